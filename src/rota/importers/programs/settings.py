"""Configuration files that are not Python: ini, TOML, YAML, JSON and lines of ``NAME=value``.

They are not parsed and written anew, so that their form stays: a dotted name of APScheduler's is changed where it is a
whole key or value, the bare word only where it is the name of a logger.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .edits import Source

OLD, NEW = "apscheduler", "rota"
_COMMENTS = {"ini": "#;", "toml": "#", "yaml": "#", "env": "#", "json": ""}
#: What stands before a whole key or value, and after it.
_BEFORE = re.compile(r"(?:^\s*(?:-\s+)*(?:export\s+)?|[\"'=\[{(,]\s*|:\s+)$")
_AFTER = re.compile(r"\s*(?:$|[\"',\])}=]|:(?:\s|$))")
_CANDIDATE = re.compile(rf"(?<![\w.$/@-]){OLD}(?:\.[\w.*%{{}}]+(?::\w[\w.]*)?)?(?![\w/@-])")
#: What follows the name of a logger whose level is set.
_LEVEL = re.compile(
    r"[\"']?\s*[:=]\s*[\"']?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|NOTSET)[\"']?\s*[,}]?\s*$",
    re.IGNORECASE,
)
_QUALNAME = re.compile(r"\s*qualname\s*[=:]\s*$")
_MYPY = re.compile(rf"(?<=mypy-){OLD}(?=[.,\]])")
_KEY = re.compile(r"(\s*)(?:-\s+)?[\"']?([^\"'#\s:]+)[\"']?\s*:(?:\s|$)")
_TABLE = re.compile(r"\s*\[\[?([^\]]+)\]")
_IN_LOGGERS = re.compile(r"(?:^|\.)\s*loggers\s*\.\s*[\"']?$")


def change_settings(source: Source, form: str) -> None:
    """Note what is to be changed in a configuration file.

    :param form: "ini", "toml", "yaml", "json" or "env"
    """
    loggers = set(_logger_places(source, form))
    for number, start, line in source.lines():
        if OLD not in line:
            continue
        content = line[: _end_of_content(line, _COMMENTS[form])]
        if form == "ini" and content.lstrip().startswith("[mypy-"):
            for section in _MYPY.finditer(content):
                source.replace(start + section.start(), OLD, NEW)
        for found in _CANDIDATE.finditer(content):
            alone = _stands_alone(content, found.start(), found.end())
            if form == "json" and not alone:
                continue
            done = _is_changed(content, found, start + found.start() in loggers, form)
            if done:
                source.replace(start + found.start(), OLD, NEW)
            elif alone:
                source.remark(number, "left", line.strip())
            remedy = names.missing(found[0])
            if remedy is not None:
                source.remark(number, "look", remedy)


def _is_changed(line: str, found: re.Match[str], names_logger: bool, form: str) -> bool:
    text, before = found[0], line[: found.start()]
    if names.missing(text) is not None:
        return False
    if not _stands_alone(line, found.start(), found.end()):
        return form == "toml" and _TABLE.match(line) is not None and _IN_LOGGERS.search(before) is not None
    if names.is_reference(text):
        return True
    if text == OLD and _LEVEL.match(line, found.end()):
        return True
    return text == OLD and (names_logger or (form == "ini" and _QUALNAME.match(before) is not None))


def _stands_alone(line: str, start: int, end: int) -> bool:
    return _BEFORE.search(line[:start]) is not None and _AFTER.match(line, end) is not None


def _end_of_content(line: str, marks: str) -> int:
    """Return where the comment of a line begins."""
    quote = ""
    for at, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in marks and (at == 0 or line[at - 1].isspace() or not line[:at].strip()):
            return at
    return len(line)


# -- the loggers of a logging configuration ------------------------------------------------------------------------


def _logger_places(source: Source, form: str) -> Iterator[int]:
    """Yield the offsets at which the name of a logger begins."""
    if form == "yaml":
        yield from _yaml_loggers(source)
    elif form == "json":
        yield from _json_loggers(source)
    elif form == "toml":
        inside = False
        for _, start, line in source.lines():
            table = _TABLE.match(line)
            if table is not None:
                inside = re.search(r"(?:^|\.)loggers$", table[1].strip()) is not None
            elif inside and "=" in line:
                yield start + line.find(OLD)


def _yaml_loggers(source: Source) -> Iterator[int]:
    above: list[tuple[int, str]] = []
    for _, start, line in source.lines():
        key = _KEY.match(line)
        if key is None:
            continue
        indent = len(key[1])
        while above and above[-1][0] >= indent:
            above.pop()
        if above and above[-1][1] == "loggers":
            yield start + key.start(2)
        above.append((indent, key[2]))


def _json_loggers(source: Source) -> Iterator[int]:
    text, keys = source.text, [""]
    last = ""
    for found in re.finditer(r'"((?:[^"\\\n]|\\.)*)"|[{}\[\],]', text):
        sign = found[0]
        if sign in "{[":
            keys.append(last)
            last = ""
        elif sign in "}]":
            if len(keys) > 1:
                keys.pop()
        elif sign != ",":
            last = found[1]
            if keys[-1] == "loggers" and last == OLD and text[found.end() :].lstrip().startswith(":"):
                yield found.start(1)
