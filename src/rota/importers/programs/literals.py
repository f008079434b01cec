"""Texts in Python files: which of them name a module, a logger, an option or a requirement of APScheduler.

A dotted name says what it is by itself; the bare word only where it stands. Docstrings and texts that hold it among other words
are left alone.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from . import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .edits import Source
    from .places import Places

_QUOTES = re.compile(r"[A-Za-z]{0,2}(\"\"\"|'''|\"|')")
#: Functions that take the name of a module, by the last part of their own.
_MODULE_CALLS = frozenset(
    [
        "import_module",
        "__import__",
        "find_spec",
        "importorskip",
        "ModuleType",
        "import_string",
        "load_module",
        "reload",
    ]
)
#: Functions that take the name of a distribution.
_DISTRIBUTION_CALLS = frozenset(
    ["version", "distribution", "get_distribution", "metadata", "requires", "from_name", "require"]
)
_LEVELS = frozenset(["DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "NOTSET", "TRACE"])
_REQUIRES = re.compile(r"require|depend|packages_to_install", re.IGNORECASE)
_LOGGER = re.compile(r"logger|^(?:get_?log|assert_?(?:no_?)?logs)$", re.IGNORECASE)
_NAMING = re.compile(r"name|logger|module", re.IGNORECASE)


class _Literals:
    def __init__(self, tree: ast.Module, is_setup: bool) -> None:
        self.parents: dict[ast.AST, tuple[ast.AST, str]] = {}
        self.is_setup = is_setup
        for node in ast.walk(tree):
            for field, value in ast.iter_fields(node):
                for child in value if isinstance(value, list) else (value,):
                    if isinstance(child, ast.AST):
                        self.parents[child] = node, field
        #: functions that are called with dotted names of modules: there the bare word is one, too
        self.module_calls = set(_MODULE_CALLS)
        #: variables of loops over the names of loggers
        self.logger_lists: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and _text(node.args[0]) is not None:
                called = _last_name(node.func)
                if called and names.is_reference(str(_text(node.args[0]))) and called != "getLogger":
                    self.module_calls.add(called)
            elif (
                isinstance(node, (ast.For, ast.AsyncFor))
                and isinstance(node.iter, ast.Name)
                and _gets_logger(node)
            ):
                self.logger_lists.add(node.iter.id)

    def above(self, node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
        """Yield the nodes around a node, from the inside out, each with the field that leads to it."""
        while node in self.parents:
            node, field = self.parents[node]
            yield node, field

    # -- what a text is --------------------------------------------------------------------------------------------

    def is_docstring(self, node: ast.AST) -> bool:
        return isinstance(self.parents[node][0], ast.Expr)

    def is_data(self, node: ast.AST) -> bool:
        """Whether a text is the value of a parameter or key that names data."""
        for parent, field in self.above(node):
            if isinstance(parent, ast.keyword):
                return parent.arg in names.DATA_NAMES
            if isinstance(parent, ast.Dict):
                return field == "values" and _text(_key_of(parent, node)) in names.DATA_NAMES
            if isinstance(parent, (ast.stmt, ast.Call, ast.Subscript)):
                return False
            node = parent
        return False

    def names_package(self, node: ast.Constant) -> bool:
        """Whether the bare word ``apscheduler`` names the package or its logger where it stands."""
        parent, field = self.parents[node]
        if isinstance(parent, ast.Call):
            return field == "args" and (
                self._takes_names(parent, node)
                or (_last_name(parent.func) == "startswith" and _is_naming(parent.func))
            )
        if isinstance(parent, ast.keyword):
            return parent.arg in ("logger", "logger_name", "module", "package")
        if isinstance(parent, ast.Dict):
            return field == "keys" and self._is_named_key(parent, node)
        if isinstance(parent, ast.Subscript):
            return _last_name(parent.value) in ("modules", "loggers", "loggerDict")
        if isinstance(parent, ast.Compare):
            return any(
                _is_naming(part) or _last_name(part) == "modules"
                for part in (parent.left, *parent.comparators)
            )
        if isinstance(parent, (ast.List, ast.Tuple, ast.Set)):
            return self._is_list_of_loggers(parent)
        return False

    def _takes_names(self, call: ast.Call, node: ast.AST) -> bool:
        called = _last_name(call.func) or ""
        if not call.args or call.args[0] is not node:
            return False
        return called in self.module_calls or bool(_LOGGER.search(called))

    def _is_named_key(self, parent: ast.Dict, node: ast.AST) -> bool:
        texts = [_text(key) for key in parent.keys]
        if any(text is not None and names.REFERENCE.fullmatch(text) for text in texts):
            return True
        value = parent.values[parent.keys.index(node)]  # type: ignore[arg-type]
        if (_text(value) or _last_name(value) or "").upper() in _LEVELS:
            return True
        if isinstance(value, ast.Dict) and any(
            _text(key) in ("level", "handlers", "propagate") for key in value.keys
        ):
            return True
        outer, field = self.parents[parent]
        if isinstance(outer, ast.Dict) and field == "values":
            return _text(_key_of(outer, parent)) == "loggers"
        return any(
            isinstance(target, (ast.Name, ast.Subscript))
            and re.search("loggers", ast.unparse(target), re.IGNORECASE)
            for target in getattr(outer, "targets", ())
        )

    def _is_list_of_loggers(self, parent: ast.AST) -> bool:
        outer, field = self.parents[parent]
        if isinstance(outer, (ast.For, ast.AsyncFor)):
            return field == "iter" and _gets_logger(outer)
        if isinstance(outer, ast.Call) and _last_name(outer.func) == "startswith":
            return _is_naming(outer.func)
        if isinstance(outer, ast.Compare):
            return _is_naming(outer.left)
        targets = getattr(outer, "targets", None) or [getattr(outer, "target", None)]
        return any(
            isinstance(target, ast.Name) and (target.id in self.logger_lists or "logger" in target.id.lower())
            for target in targets
        )

    def names_distribution(self, node: ast.Constant) -> bool:
        parent, field = self.parents[node]
        return (
            isinstance(parent, ast.Call)
            and field == "args"
            and _last_name(parent.func) in _DISTRIBUTION_CALLS
        )

    def is_requirement(self, node: ast.Constant) -> bool:
        """Whether a text stands in a list of what a project requires."""
        in_list = False
        for parent, _ in self.above(node):
            in_list = in_list or isinstance(parent, (ast.List, ast.Tuple, ast.Set))
            if isinstance(parent, ast.keyword):
                return in_list and _REQUIRES.search(parent.arg or "") is not None
            if isinstance(parent, ast.Call) and self.is_setup:
                return _last_name(parent.func) == "install"
            if isinstance(parent, (ast.Assign, ast.AnnAssign)):
                targets = getattr(parent, "targets", None) or [getattr(parent, "target", None)]
                return in_list and any(
                    _REQUIRES.search(ast.unparse(target)) for target in targets if target is not None
                )
            if isinstance(parent, (ast.stmt, ast.Call)):
                return False
        return False

    def is_annotation(self, node: ast.AST) -> bool:
        for parent, field in self.above(node):
            if field in ("annotation", "returns"):
                return True
            if isinstance(parent, (ast.stmt, ast.Call)):
                break
        return False

    def is_prefix(self, node: ast.Constant) -> bool:
        """Whether ``"apscheduler."`` is the beginning of names, and not of data."""
        parent, field = self.parents[node]
        if isinstance(parent, ast.keyword):
            return parent.arg == "prefix"
        if isinstance(parent, ast.Call) and field == "args":
            called = _last_name(parent.func)
            return (
                called in ("startswith", "removeprefix") and _is_naming(parent.func)
            ) or called == "configure"
        return False


def change_literals(tree: ast.Module, source: Source, places: Places, is_setup: bool) -> None:
    """Note which texts of a program are to be changed, and what is to be said of the others."""
    literals = _Literals(tree, is_setup)
    in_texts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            _change_begin(node, source, places)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in in_texts:
            if "apscheduler" in node.value.lower() and not literals.is_docstring(node):
                _change(node, node.value, literals, source, places)
        elif (
            isinstance(node, ast.Attribute)
            and node.attr
            in (
                "version",
                "version_info",
                "release",
                "__version__",
            )
            and isinstance(node.value, ast.Name)
            and node.value.id == "apscheduler"
        ):
            _say_version(source, node.lineno)


def _change(node: ast.Constant, value: str, literals: _Literals, source: Source, places: Places) -> None:
    start = places.start(node)
    opened = _QUOTES.match(source.text, start)
    begin = start if opened is None else opened.end()
    if literals.is_requirement(node):
        _change_requirement(node, value, begin, source)
        return
    if literals.names_distribution(node) and value.lower() == "apscheduler":
        done = source.replace(begin, value, "rota")
        _say_version(source, node.lineno)
    elif literals.is_annotation(node):
        found = names.WORD.search(source.text, begin, places.end(node))
        done = found is not None
        while found is not None:
            source.replace(found.start(), "apscheduler", "rota")
            found = names.WORD.search(source.text, found.end(), places.end(node))
    elif not value.startswith("apscheduler") or literals.is_data(node):
        done = False
    elif names.is_reference(value) and not value.endswith("jobs"):
        remedy = names.missing(value)
        if remedy is not None:
            source.remark(node.lineno, "look", remedy)
        done = remedy is None and source.replace(begin, "apscheduler", "rota")
    elif (value == "apscheduler" and literals.names_package(node)) or (
        value == "apscheduler." and literals.is_prefix(node)
    ):
        done = source.replace(begin, "apscheduler", "rota")
    else:
        done = False
    if not done and names.MENTION.search(value):
        source.remark(node.lineno, "left", source.line(node.lineno).strip())


def _change_begin(node: ast.JoinedStr, source: Source, places: Places) -> None:
    first = node.values[0] if node.values else None
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        return
    opened = _QUOTES.match(source.text, places.start(node))
    begins = opened is not None and names.BEGIN_OF_REFERENCE.match(first.value) is not None
    if begins and opened is not None and source.replace(opened.end(), "apscheduler", "rota"):
        return
    if names.MENTION.search(first.value):
        source.remark(node.lineno, "left", source.line(node.lineno).strip())


def _change_requirement(node: ast.Constant, value: str, begin: int, source: Source) -> None:
    found = names.requirement(value)
    if found is None:
        return
    text, said = found
    if text != value and not source.replace(begin, value, text):
        said = "this requirement could not be changed; change it by hand"
    if said is not None:
        source.remark(node.lineno, "look", said)


def _say_version(source: Source, line: int) -> None:
    source.remark(line, "look", "Rota's versions begin at 0.1; check what is compared with them")


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _key_of(parent: ast.Dict, value: ast.AST) -> ast.AST | None:
    return next((key for key, found in zip(parent.keys, parent.values, strict=True) if found is value), None)


def _last_name(node: ast.AST) -> str | None:
    """Return the last part of what a dotted expression is called by."""
    found: Any = node
    return getattr(found, "attr", None) or getattr(found, "id", None)


def _is_naming(node: ast.AST) -> bool:
    """Whether an expression is about a name, such as ``record.name``, ``record["name"]`` or ``logger_name.startswith``."""
    inner = (
        node.value
        if isinstance(node, ast.Attribute) and node.attr in ("startswith", "removeprefix")
        else node
    )
    if isinstance(inner, ast.Subscript):
        return _NAMING.search(_text(inner.slice) or "") is not None
    return _NAMING.search(_last_name(inner) or "") is not None


def _gets_logger(loop: ast.For | ast.AsyncFor) -> bool:
    """Whether a loop gets the logger of each name that it goes through."""
    variable = loop.target.id if isinstance(loop.target, ast.Name) else None
    return any(
        isinstance(node, ast.Call)
        and _LOGGER.search(_last_name(node.func) or "") is not None
        and any(isinstance(argument, ast.Name) and argument.id == variable for argument in node.args)
        for part in loop.body
        for node in ast.walk(part)
    )
