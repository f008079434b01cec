"""Targets of ``rota run``: a module or file with a scheduler in it, or a crontab file.

Imports what it is told to import; it starts nothing.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..schedulers.base import BaseScheduler
from .output import CliError

if TYPE_CHECKING:
    from types import ModuleType

_FILE = re.compile(r"(.+\.py)(?::([\w.]+))?")
_MODULE = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::([\w.]+))?")


def crontab_path(target: str) -> Path | None:
    """Return the path of a crontab file, or None if the target is Python.

    :raises CliError: if it is neither
    """
    if _FILE.fullmatch(target):
        return None
    path = Path(target)
    if path.is_file():
        return path
    if path.exists() and not _MODULE.fullmatch(target):
        raise CliError(f"{target} is a folder; give a file in it, or a module: package.module")
    if not _MODULE.fullmatch(target):
        raise CliError(f"there is no file {target}")
    return None


def find_scheduler(target: str) -> BaseScheduler:
    """Import a module or file and return the scheduler in it.

    :param target: ``package.module`` or ``path/file.py``, and ``:attribute`` if the scheduler is not the only one in it; the
        attribute may be a function without parameters that returns one
    :raises CliError: if there is no such module or no scheduler in it, or more than one
    """
    found = _FILE.fullmatch(target) or _MODULE.fullmatch(target)
    assert found is not None
    name, attribute = found[1], found[2]
    module = _import_file(Path(name)) if name.endswith(".py") else _import_module(name)
    if attribute:
        return _attribute(module, attribute)
    schedulers = {
        id(value): (name, value) for name, value in vars(module).items() if isinstance(value, BaseScheduler)
    }
    candidates = [name for name, _ in schedulers.values()]
    if len(candidates) == 1:
        return next(iter(schedulers.values()))[1]
    if not candidates:
        raise CliError(
            f"there is no scheduler in {target}: none of its global names is one. Assign it to a global name, or name a function "
            f"that returns it: rota run {target}:make_scheduler"
        )
    raise CliError(
        f"there are {len(candidates)} schedulers in {target}; say which: "
        + ", ".join(f"{target}:{name}" for name in candidates)
    )


def _attribute(module: ModuleType, path: str) -> BaseScheduler:
    value: Any = module
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            names = [name for name, value in vars(module).items() if isinstance(value, BaseScheduler)]
            hint = f"; its schedulers are: {', '.join(names)}" if names else ""
            raise CliError(f"{module.__name__} has no attribute {path!r}{hint}") from None
    if callable(value) and not isinstance(value, BaseScheduler):
        value = value()
    if not isinstance(value, BaseScheduler):
        raise CliError(
            f"{module.__name__}:{path} is a {type(value).__name__}, not a scheduler (rota.schedulers…)"
        )
    return value


def _import_module(name: str) -> ModuleType:
    _add_to_path(Path.cwd())
    parent = name.rpartition(".")[0]
    try:
        known = find_spec(name) is not None
    except ImportError as exc:
        if exc.name is None or not f"{parent}.".startswith(f"{exc.name}."):
            raise
        known = False
    except ValueError:  # __main__ and the like
        known = False
    if not known:
        raise CliError(
            f"there is no file and no module {name} (looked for in {Path.cwd()} and in Python's path)"
        )
    return import_module(name)


def _import_file(path: Path) -> ModuleType:
    """Import a file under the name that other processes can import it by: its own, or its package's and its own."""
    if not path.is_file():
        raise CliError(f"there is no file {path}")
    path = path.resolve()
    parts = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    _add_to_path(folder)
    name = ".".join(parts)
    module = import_module(name)
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path:
        raise CliError(
            f"{path} would be the module {name!r}, but that name belongs to {found or 'a built-in module'}; rename the file"
        )
    return module


def _add_to_path(folder: Path) -> None:
    text = str(folder)
    if text not in sys.path:
        sys.path.insert(0, text)
