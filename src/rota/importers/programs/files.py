"""Which files are looked at, what is in them, and their content before and after.

Pure: bytes in, bytes out. A file whose text does not come back as the very same bytes is left as it is.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import PurePath
from tokenize import detect_encoding

from . import requirements
from .edits import Migrated, Remark, Source
from .python import Left, change_python, parsed
from .settings import change_settings

#: What a file is, by the end of its name.
_PYTHON = frozenset((".py", ".pyi", ".pyw"))
_SETTINGS = {
    ".ini": "ini",
    ".cfg": "ini",
    ".conf": "ini",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".env": "env",
}
_REQUIREMENTS = re.compile(r"(?:.*[-_.])?(?:requirements|constraints)(?:[-_.].*)?\.(?:txt|in)")
_CONDA = re.compile(r"(?:conda[-_])?environment.*\.ya?ml")
_LOCKS = frozenset(("poetry.lock", "uv.lock", "pdm.lock", "pipfile.lock", "conda-lock.yml", "pixi.lock"))
#: Byte order marks. Windows PowerShell writes UTF-16 (`pip freeze > requirements.txt`), and pip reads it.
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SHEBANG = re.compile(rb"#!.*python")
_WORD = re.compile(rb"apscheduler", re.IGNORECASE)
#: Where a project says which Pythons it runs on, with a version that Rota does not run on.
_PYTHONS = re.compile(
    r"(?m)^\s*(?:requires-python|python_requires|python)\s*=\s*[\"']?[^\"'\n]*\b3\.(?:[0-9]|10)\b"
)
_PROJECTS = frozenset(("pyproject.toml", "setup.py", "setup.cfg", "pipfile"))
_NEEDED = re.compile(rb"(?:import|from)\s+apscheduler\b|\b(?:install|add)\b.*\bapscheduler\b", re.IGNORECASE)
#: Files that start or show programs: they are not changed; their lines that name APScheduler are reported.
_OTHERS = re.compile(
    r"dockerfile.*|.*\.dockerfile|.*\.ipynb|makefile|justfile|.*\.(?:sh|bat|cmd|ps1)|procfile", re.IGNORECASE
)


def migrated(path: PurePath | str, data: bytes) -> Migrated:
    """Return a file as it is for Rota.

    :param path: its path, of whatever system; its name tells what it is
    :param data: its content
    """
    result = Migrated(data)
    path = PurePath(path) if isinstance(path, str) else path
    kind = _kind(path, data)
    if kind is None or _WORD.search(data.replace(b"\0", b"")) is None:  # UTF-16 has a zero beside each letter
        return result
    name = path.name.lower()
    if kind == "lock":
        result.remarks.append(
            Remark(1, "look", "this is a lock file; make it anew after what it is made from has changed")
        )
        return result
    if kind == "other":
        _remark_words(data, result)
        return result
    try:
        text, encoding, mark = _text(data, kind)
    except (SyntaxError, UnicodeError, LookupError) as exc:
        result.remarks.append(Remark(1, "look", f"it cannot be read ({exc}); it was left as it is"))
        return result
    source = Source(text)
    try:
        _change(source, kind, name)
        changed = source.changed()
        if kind == "python" and source.edits:
            parsed(changed)
        content = mark + changed.encode(encoding)
    except Left as exc:
        result.remarks.append(Remark(exc.line, "look", str(exc)))
        return result
    except UnicodeError as exc:
        result.remarks.append(Remark(1, "look", f"it cannot be written ({exc}); it was left as it is"))
        return result
    result.remarks += source.said()
    if source.edits:
        result.data, result.edits = content, sorted(source.edits)
        result.before, result.after = text, changed
    return result


def _kind(path: PurePath, data: bytes) -> str | None:
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in _PYTHON or (not suffix and _SHEBANG.match(data)):
        return "python"
    if name in _LOCKS:
        return "lock"
    if _REQUIREMENTS.fullmatch(name) or (
        path.parent.name.lower() == "requirements" and suffix in (".txt", ".in")
    ):
        return "requirements"
    if _CONDA.fullmatch(name):
        return "conda"
    if name == "pipfile":
        return "pipfile"
    if _OTHERS.fullmatch(name):
        return "other"
    if name.startswith(".env"):
        return "env"
    return _SETTINGS.get(suffix)


def _text(data: bytes, kind: str) -> tuple[str, str, bytes]:
    """Return the text of a file, its encoding, and the byte order mark before it.

    :raises SyntaxError, UnicodeError, LookupError: if it cannot be read, or would not be written as it was
    """
    encoding = detect_encoding(BytesIO(data).readline)[0] if kind == "python" else "utf-8-sig"
    mark = b""
    if encoding == "utf-8-sig":
        marks = _MARKS if kind != "python" else _MARKS[:1]
        mark, encoding = next((each for each in marks if data.startswith(each[0])), (b"", "utf-8"))
        data = data[len(mark) :]
    text = data.decode(encoding)
    if text.encode(encoding) != data:
        raise UnicodeError(f"in {encoding} its text would be written in other bytes")
    return text, encoding, mark


def _change(source: Source, kind: str, name: str) -> None:
    if kind == "python":
        change_python(source, name in ("setup.py", "noxfile.py"))
    elif kind == "requirements":
        requirements.change_lines(source)
    elif kind == "conda":
        requirements.change_conda(source)
    elif kind != "python":
        if kind == "pipfile" or name == "pyproject.toml":
            requirements.change_toml(source)
        elif name in ("setup.cfg", "tox.ini"):
            requirements.change_cfg(source)
        if kind != "pipfile":
            change_settings(source, kind)
    if name in _PROJECTS:
        for found in _PYTHONS.finditer(source.text):
            source.remark(source.line_of(found.start()), "look", "Rota needs Python 3.11 or later")


def _remark_words(data: bytes, result: Migrated) -> None:
    """Report the lines that name APScheduler in a file that is not changed; those that import or install it must be, by hand."""
    for number, line in enumerate(data.splitlines(), 1):
        if re.search(rb"(?<![\w-])apscheduler(?![\w-])", line, re.IGNORECASE):
            shown = line.decode("utf-8", "replace").strip()[:200]
            if _NEEDED.search(line):
                result.remarks.append(Remark(number, "look", f"change this by hand: {shown}"))
            else:
                result.remarks.append(Remark(number, "left", shown))
