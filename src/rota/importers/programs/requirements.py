"""What a project requires: requirement files, pyproject.toml, setup.cfg, Pipfile, environment.yml.

Changes the requirement of APScheduler to one of Rota, with the extras by their names there; what a tool has locked is left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import names

if TYPE_CHECKING:
    from .edits import Source

_LINE = re.compile(r"(\s*(?:-\s+)?)(apscheduler\b[^#\\]*?)(\s*(?:\\|\s#.*|--hash.*)?)$", re.IGNORECASE)
_EGG = re.compile(r"(?<![\w-])apscheduler(?:\.git|\s*@|$)|egg=apscheduler", re.IGNORECASE)
_OTHER = re.compile(r"\s*(?:-\s+)?[\"']?(sqlalchemy)\s*(?:\[[^\]]*\])?\s*([^#;\"']*)", re.IGNORECASE)
_OLD_SQLALCHEMY = re.compile(r"(?:==|~=|<=?|\^|=)\s*[\"']?(?:0|1)\.|<\s*2\b")
_TABLE = re.compile(r"\s*\[\[?([^\]]+)\]\]?\s*(?:#.*)?$")
_ARRAY = re.compile(r"\s*[\"']?([\w.-]+)[\"']?\s*=\s*\[")
_QUOTED = re.compile(r"\"([^\"\\]*)\"|'([^']*)'")
_POETRY = re.compile(r"(\s*[\"']?)(apscheduler)([\"']?\s*=\s*)(\"[^\"]*\"|'[^']*'|\{[^}]*\})", re.IGNORECASE)
#: Tables of TOML whose keys are names of distributions.
_BY_NAME = re.compile(
    r"tool\.poetry(?:\.group\.[^.]+)?\.(?:dev-)?dependencies|(?:dev-)?packages|tool\.pixi\..*pypi-dependencies"
)
#: Tables whose arrays are lists of requirements, whatever they are called.
_LISTS = re.compile(r"project\.optional-dependencies|dependency-groups|tool\.pdm\.dev-dependencies")
#: Arrays that are lists of requirements wherever they are.
_LIST_KEYS = frozenset(
    [
        "dependencies",
        "requires",
        "dev-dependencies",
        "constraint-dependencies",
        "override-dependencies",
        "extra-dependencies",
    ]
)
_CFG_KEYS = frozenset(["install_requires", "tests_require", "setup_requires", "requires", "deps"])


def change_lines(source: Source) -> None:
    """Change a requirement file: a requirement on each line."""
    lines = [line for _, _, line in source.lines()]
    for number, start, line in source.lines():
        ours = line.lstrip().lower().startswith("apscheduler")
        following = lines[number] if number < len(lines) and line.rstrip().endswith("\\") else ""
        if ours and "--hash" in line + following:
            made = "this is locked by a hash; put rota into what it was made from, and make it anew"
            source.remark(number, "look", made)
        else:
            _change_line(source, number, start, line)


def change_cfg(source: Source) -> None:
    """Change setup.cfg and tox.ini: lists of requirements below some keys."""
    section, inside = "", False
    for number, start, line in source.lines():
        table = _TABLE.match(line)
        key = re.match(r"([\w.-]+)\s*[=:]\s*", line)
        if table is not None:
            section, inside = table[1].strip(), False
        elif key is not None:
            inside = key[1] in _CFG_KEYS or section in ("options.extras_require", "options.extras_requires")
            if inside and line[key.end() :].strip():
                _change_line(source, number, start + key.end(), line[key.end() :])
        elif inside and line[:1].isspace():
            _change_line(source, number, start, line)


def change_conda(source: Source) -> None:
    """Change environment.yml: what pip installs; conda does not have Rota."""
    pip: int | None = None
    for number, start, line in source.lines():
        indent = len(line) - len(line.lstrip())
        if re.match(r"\s*-\s+pip:\s*$", line):
            pip = indent
        elif pip is not None and line.strip() and indent <= pip:
            pip = None
        if re.match(r"\s*-\s+(?:[\w-]+::)?apscheduler\b", line, re.IGNORECASE) and pip is None:
            source.remark(
                number, "look", "conda does not have Rota; take this line out and put '- rota' below '- pip:'"
            )
        elif pip is not None:
            _change_line(source, number, start, line)


def change_toml(source: Source) -> None:
    """Change pyproject.toml and Pipfile: lists of requirements, and tables by the names of distributions."""
    table, listed = "", False
    for number, start, line in source.lines():
        head = _TABLE.match(line)
        if head is not None and not listed:
            table = head[1].strip()
            if re.search(r"dependencies\.apscheduler$", table, re.IGNORECASE):
                source.remark(number, "look", "put rota here, with the extras and the version that you want")
            continue
        by_name = _POETRY.match(line)
        if by_name is not None and _BY_NAME.fullmatch(table):
            _change_by_name(source, number, start, by_name)
            continue
        array = _ARRAY.match(line)
        if array is not None and not listed:
            listed = array[1] in _LIST_KEYS or _LISTS.fullmatch(table) is not None
        if listed:
            for found in _QUOTED.finditer(_content(line)):
                group = 1 if found[1] is not None else 2
                _change_text(source, number, start + found.start(group), found[group])
            listed = "]" not in _QUOTED.sub("", _content(line))


def _content(line: str) -> str:
    """Return a line of TOML with blanks instead of its comment."""
    plain = _QUOTED.sub(lambda found: "x" * len(found[0]), line)
    return line[: plain.find("#")] if "#" in plain else line


def _change_by_name(source: Source, number: int, start: int, found: re.Match[str]) -> None:
    value = found[4]
    version = re.search(r"version\s*=\s*([\"'])(.*?)\1", value) if value.startswith("{") else None
    given = version[2] if version is not None else value.strip("\"'")
    if re.match(r"[\^~=>]*\s*4", given):
        source.remark(number, "look", "this is APScheduler 4, whose programs Rota does not run")
        return
    if value[0] != "{":
        wanted = value[0] + "*" + value[0]
    else:
        wanted = re.sub(r"(version\s*=\s*([\"'])).*?\2", r"\1*\2", value)
        extras = re.search(r"(extras\s*=\s*\[)([^\]]*)(\])", wanted)
        if extras is not None:
            ours, unknown = names.rota_extras(re.findall(r"[\w-]+", extras[2]))
            listed = ", ".join(f'"{name}"' for name in ours)
            wanted = wanted[: extras.start(2)] + listed + wanted[extras.end(2) :]
            if unknown:
                source.remark(number, "look", f"Rota has no extra {', '.join(unknown)}; it was left out")
        if re.search(r"\b(git|url|path)\s*=", wanted):
            source.remark(number, "look", "this leads to APScheduler's code; put rota here by hand")
            return
    source.replace(start + found.start(2), found[2], "rota")
    if wanted != value:
        source.replace(start + found.start(4), value, wanted)


def _change_line(source: Source, number: int, start: int, line: str) -> None:
    old = _OTHER.match(line)
    if old is not None and _OLD_SQLALCHEMY.search(old[2]):
        source.remark(number, "look", "Rota's SQL store needs SQLAlchemy 2.0 or later")
    found = _LINE.match(line)
    if found is not None:
        _change_text(source, number, start + found.start(2), found[2].rstrip())
    elif _EGG.search(re.split(r"(?:^|\s)#(?!egg)", line)[0]):
        source.remark(number, "look", "this leads to APScheduler's code; put rota here by hand")


def _change_text(source: Source, number: int, start: int, text: str) -> None:
    old = _OTHER.match(text)
    if old is not None and _OLD_SQLALCHEMY.search(old[2]):
        source.remark(number, "look", "Rota's SQL store needs SQLAlchemy 2.0 or later")
    found = names.requirement(text)
    if found is None:
        if re.match(r"apscheduler\s*@", text, re.IGNORECASE):
            source.remark(number, "look", "this leads to APScheduler's code; put rota here by hand")
        return
    wanted, said = found
    if wanted != text:
        source.replace(start, text, wanted)
    if said is not None:
        source.remark(number, "look", said)
