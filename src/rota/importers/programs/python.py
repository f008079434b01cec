"""Python files: imports of APScheduler and the names that they bind; what texts in them name is found in ``literals``.

The syntax tree says what is meant and where; only the word itself is changed. A file that does not parse is left alone.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

from . import names
from .crontabs import find_crontabs
from .literals import change_literals
from .places import Places
from .scopes import scopes_of
from .stored import find_stores

if TYPE_CHECKING:
    from .edits import Source
    from .scopes import Scope

_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
OLD, NEW = "apscheduler", "rota"
_FROM = re.compile(r"from(?:[ \t\f]|\\(?:\r\n|\r|\n))+apscheduler(?!\w)")
#: Libraries that import APScheduler themselves, whatever they are called.
_LIBRARIES = frozenset(("fastapi_scheduler", "dishka_apscheduler", "apscheduler_di"))


class Left(Exception):
    """A file is left as it is; says why and where."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def parsed(text: str) -> ast.Module:
    """Return the syntax tree of a program.

    :raises Left: if there is none
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a program that is only read
        try:
            return ast.parse(text)
        except SyntaxError as exc:
            raise Left(
                exc.lineno or 1, f"Python {_PYTHON} does not parse it ({exc.msg}); it was left as it is"
            ) from None
        except (ValueError, RecursionError, MemoryError) as exc:
            raise Left(1, f"Python {_PYTHON} does not parse it ({exc}); it was left as it is") from None


def change_python(source: Source, is_setup: bool) -> None:
    """Note what is to be changed in a program.

    :param is_setup: whether it says what a project requires
    :raises Left: if it is to be left as it is
    """
    tree = parsed(source.text)
    places = Places(source)
    try:
        _check_version(tree)
        _change_imports(tree, source, places)
        _change_names(tree, source, places)
        change_literals(tree, source, places, is_setup)
        find_stores(tree, source)
        find_crontabs(tree, source)
    except RecursionError:
        raise Left(1, "it is nested too deeply to be read; it was left as it is") from None


def _check_version(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        found: list[tuple[str, list[str]]] = []
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module) and not node.level:
            found = [((node.module or "")[len(OLD) + 1 :], [alias.name for alias in node.names])]
        elif isinstance(node, ast.Import):
            found = [(a.name[len(OLD) + 1 :], []) for a in node.names if _is_ours(a.name)]
        for module, imported in found:
            version = names.other_version(module, imported)
            if version is not None:
                raise Left(_line(node), f"it is written for APScheduler {version}; it was left as it is")


def _is_ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == OLD


def _change_imports(tree: ast.Module, source: Source, places: Places) -> None:
    """Change what is imported by another name, or from a module; see :func:`_change_names` for the rest."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            if not _is_ours(node.module):
                _watch_library(source, node.lineno, node.module, [alias.name for alias in node.names])
            elif _is_there(source, node.lineno, node.module, [alias.name for alias in node.names]):
                found = _FROM.match(source.text, places.start(node))
                _replace(source, node, None if found is None else found.end() - len(OLD))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if not _is_ours(alias.name):
                    _watch_library(source, node.lineno, alias.name, [])
                elif alias.asname is not None and _is_there(source, node.lineno, alias.name, []):
                    _replace(source, alias, places.start(alias))


def _is_there(source: Source, line: int, module: str, imported: list[str]) -> bool:
    """Whether Rota has what is imported; if not, this is said."""
    paths = [module, *(f"{module}.{name}" for name in imported)]
    remedy = next(filter(None, map(names.missing, paths)), None)
    inner = module[len(OLD) + 1 :]
    if remedy is None and inner and inner not in names.MODULES:
        remedy = f"Rota has no module {NEW}.{inner}"
    if remedy is not None:
        source.remark(line, "look", f"{remedy}; this import was left as it is")
    if any(name in ("version", "version_info", "release", "__version__") for name in imported):
        source.remark(line, "look", "Rota's versions begin at 0.1; check what is compared with them")
    return remedy is None


def _watch_library(source: Source, line: int, module: str, imported: list[str]) -> None:
    top = module.partition(".")[0]
    if (OLD in top and top != OLD) or top in _LIBRARIES or (top == "telegram" and "JobQueue" in imported):
        source.remark(line, "library", top)
    elif OLD in imported:
        source.remark(line, "look", f"{module} may give the name {OLD} or, once it is changed too, {NEW}")


def _replace(source: Source, node: Any, start: int | None, new: str = NEW) -> None:
    if start is None or not source.replace(start, OLD, new):
        source.remark(node.lineno, "look", "this could not be changed; change it by hand")


def _change_names(tree: ast.Module, source: Source, places: Places) -> None:
    """Change ``import apscheduler`` and all that means the package by this name."""
    scopes = scopes_of(tree, OLD)
    bound = [scope for scope in scopes if scope.imports]
    if not bound:
        return
    taken = _first_line_of(tree, NEW)
    homes = {id(scope): scope.resolved() for scope in scopes}
    renamed = set()
    for scope in bound:
        home = homes[id(scope)] or scope
        if taken is None and not home.others:
            renamed.add(id(home))
            _rename(scope, source, places)
        elif all(alias.name == OLD for alias in scope.imports):
            for alias in scope.imports:  # nothing else has to change
                _replace(source, alias, places.start(alias), f"{NEW} as {OLD}")
        else:
            name, line = (NEW, taken) if taken is not None else (OLD, _line(home.others[0]))
            raise Left(
                line,
                f"the name {name} is used for something else here; give that another name first. The file was left as it is",
            )
    for scope in scopes:
        if id(homes[id(scope)]) not in renamed:
            continue
        for use in scope.uses:
            _replace(source, use, places.start(use))
        for statement in scope.statements:
            start = places.start(statement)
            for found in names.WORD.finditer(source.text, start, places.end(statement)):
                source.replace(found.start(), OLD, NEW)


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


def _rename(scope: Scope, source: Source, places: Places) -> None:
    for alias in scope.imports:
        if _is_there(source, alias.lineno, alias.name, []):
            _replace(source, alias, places.start(alias))


def _first_line_of(tree: ast.Module, name: str) -> int | None:
    """Return the line in which a name is bound that is not a package of this name; None if it is not."""
    lines = [_line(node) for scope in scopes_of(tree, name) for node in (*scope.others, *scope.harmless)]
    return min(lines, default=None)
