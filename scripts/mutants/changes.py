"""The small changes that can be made in a module, and how one of them is made in a program that has loaded the module.

A change is made in the syntax tree; no file is written.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LEFT_OUT = (
    ast.Expr,
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Raise,
    ast.Continue,
    ast.Break,
    ast.Delete,
)
#: What says nothing of behaviour, or only of the words of an error.
UNSEEN = {"annotation", "returns", "decorator_list", "exc"}


@dataclass
class Change:
    """One change: ``new`` is put into a field of a node, or a place of a list, in a statement of a module."""

    path: Path
    line: int
    text: str
    statement: ast.stmt
    #: the statements of the module after it
    following: list[ast.stmt]
    #: the lines of which one is executed before the change can act; None: it acts when the module is imported
    lines: range | None
    owner: Any
    key: Any
    new: Any

    @property
    def names(self) -> set[str]:
        """What its statement binds in the module."""
        name = getattr(self.statement, "name", None)
        return {name} if name else set(_bound(self.statement))

    def statements(self) -> list[ast.stmt]:
        """Return what is executed anew: its statement, and the tables of the module that are made of what that binds."""
        found, names = [self.statement], self.names
        for other in self.following if self.lines is None else ():
            used = {part.id for part in ast.walk(other) if isinstance(part, ast.Name)}
            if isinstance(other, (ast.Assign, ast.AnnAssign)) and used & names:
                found.append(other)
                names |= set(_bound(other))
        return found

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


def changes_of(paths: Iterable[Path]) -> list[Change]:
    """Return all changes of some files, and of the files in some folders."""
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return [change for file in files for change in _Finder(file).found]


class _Finder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[Change] = []
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for place, self.statement in enumerate(body, 1):
            self.following = body[place:]
            self._visit(self.statement, None, None, None, None)

    def _visit(self, node: ast.AST, owner: Any, key: Any, function: Any, lines: range | None) -> None:
        """Find the changes of a node, which is in a field of another or in a place of a list, and of all that is in it."""
        if isinstance(node, ast.stmt):
            if _is_unseen(node):
                return
            if function is not None:
                lines = _head(node)
                if _may_be_left_out(node, function):
                    self._add(node, (owner, key), lines, owner, key, ast.Pass())
        for shown, place, name, new in _changes(node, owner, key):
            self._add(node, shown, lines, place, name, new)
        for name, value in ast.iter_fields(node):
            inside = node if isinstance(node, FUNCTIONS) and name == "body" else function
            items = list(enumerate(value)) if isinstance(value, list) else [(name, value)]
            for place, item in items:
                if isinstance(item, ast.AST) and name not in UNSEEN:
                    self._visit(item, value if isinstance(value, list) else node, place, inside, lines)

    def _add(self, node: Any, shown: Any, lines: range | None, owner: Any, key: Any, new: Any) -> None:
        before = _shown(shown)
        old = _put(owner, key, new)
        after = "left out" if isinstance(new, ast.Pass) else _shown(shown)
        _put(owner, key, old)
        line = getattr(node, "lineno", self.statement.lineno)
        text = f"{before}  →  {after}"
        self.found.append(
            Change(self.path, line, text, self.statement, self.following, lines, owner, key, new)
        )


def _changes(node: ast.AST, owner: Any, key: Any) -> Iterable[tuple[Any, Any, Any, Any]]:
    """Yield what shows a change (a node or a place), the place (owner and key) and what is put there."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                for other in COMPARISONS[type(operator)]:
                    yield node, node.ops, place, other()
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in OPERATORS:
            yield node, node, "op", OPERATORS[type(operator)]()
        case ast.BoolOp(op=either):
            yield node, node, "op", ast.Or() if isinstance(either, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield (owner, key), owner, key, operand
        case ast.Constant(value=bool() as value):
            yield owner, node, "value", not value
        case ast.Constant(value=int() | float() as number):
            yield owner, node, "value", number + 1
            yield owner, node, "value", number - 1
        case ast.Call(func=ast.Name(id=name) as called) if name in CALLS:
            yield node, called, "id", CALLS[name]
        case ast.Return(value=ast.expr() as returned) if not _is_nothing(returned):
            yield node, node, "value", None
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if _is_plain(test):
            yield (node, "test"), node, "test", ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=tests):
            for place, test in enumerate(tests):
                if _is_plain(test):
                    yield (tests, place), tests, place, ast.UnaryOp(ast.Not(), test)


def _is_plain(test: ast.expr) -> bool:
    """Whether a condition has no operator that is turned round by another change."""
    return not isinstance(test, (ast.Compare, ast.UnaryOp))


def _is_nothing(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in (None, False)


def _is_unseen(node: ast.stmt) -> bool:
    """Whether a statement is for type checkers only, or binds a name that is no behaviour."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="TYPE_CHECKING" | "__all__" | "__slots__")]):
            return True
    return False


def _may_be_left_out(node: ast.stmt, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function without a statement is another one; without a name that is bound nowhere else it is only broken."""
    match node:
        case ast.Expr(value=ast.Constant() | ast.Yield() | ast.YieldFrom()) | ast.AnnAssign(value=None):
            return False
        case ast.Assign(targets=targets):
            bound = [
                *_bound(function),
                *(part.arg for part in ast.walk(function.args) if isinstance(part, ast.arg)),
            ]
            return all(bound.count(name) > 1 for target in targets for name in _bound(target))
        case ast.AnnAssign(target=ast.Name()):
            return False
    return isinstance(node, LEFT_OUT)


def _bound(node: ast.AST) -> list[str]:
    """Return the names that a statement or function binds."""
    names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return [name.id for name in names if isinstance(name.ctx, ast.Store)]


def _head(node: ast.stmt) -> range:
    """Return the lines of a statement, without those of the statements in it."""
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    first = body[0] if body else None
    end = node.end_lineno if first is None else getattr(first, "lineno", node.lineno + 1) - 1
    return range(node.lineno, max(node.lineno, end or 0) + 1)


def _shown(what: Any) -> str:
    if isinstance(what, tuple):
        owner, key = what
        what = owner[key] if isinstance(owner, list) else getattr(owner, key)
    if isinstance(what, list):
        return ", ".join(map(_shown, what))
    lines = ast.unparse(ast.fix_missing_locations(what)).splitlines()
    return lines[0] if len(lines) == 1 else f"{lines[0]} …"


def _put(owner: Any, key: Any, new: Any) -> Any:
    """Put something into a field of a node or a place of a list; return what was there."""
    if isinstance(owner, list):
        old, owner[key] = owner[key], new
    else:
        old = getattr(owner, key)
        setattr(owner, key, new)
    return old


# ------------------------------------------------------------------------------------------- a change in a loaded module


def put_in(change: Change) -> None:
    """Let the loaded module, and all who have imported from it, behave as its changed source says. There is no way back."""
    name = ".".join(change.path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    _put(change.owner, change.key, change.new)
    flags = __future__.annotations.compiler_flag
    fresh = dict(vars(module))
    for statement in change.statements():
        tree = ast.fix_missing_locations(ast.Module([statement], []))
        exec(compile(tree, str(change.path), "exec", flags, dont_inherit=True), fresh)
        for name, new in list(fresh.items()):
            old = vars(module).get(name)
            if new is not old and _graft(old, new):
                fresh[name] = old
            elif new is not old:
                _replace(name, old, new)


def _replace(name: str, old: Any, new: Any) -> None:
    for module in list(sys.modules.values()):
        known = getattr(module, "__dict__", {})
        if name in known and known[name] is old:
            setattr(module, name, new)


#: Attributes of a class that no method reads.
OF_THE_CLASS = {
    "__dict__",
    "__weakref__",
    "__module__",
    "__doc__",
    "__annotations__",
    "__qualname__",
    "__slots__",
}


def _graft(old: Any, new: Any) -> bool:
    """Let a function or class, which others hold, do what its changed one does; return whether it can."""
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        if old.__code__.co_freevars != new.__code__.co_freevars:
            return False
        old.__code__, old.__defaults__, old.__kwdefaults__ = (
            new.__code__,
            new.__defaults__,
            new.__kwdefaults__,
        )
        return True
    if isinstance(old, type) and isinstance(new, type):
        for name, part in vars(new).items():
            kept = (
                name in OF_THE_CLASS or name.startswith("_abc") or type(part).__name__ == "member_descriptor"
            )
            if not kept and not _graft(vars(old).get(name), part):
                setattr(old, name, part)
        return True
    if isinstance(old, property) and isinstance(new, property):
        return _graft(old.fget, new.fget) and (new.fset is None or _graft(old.fset, new.fset))
    if isinstance(old, (staticmethod, classmethod)) and isinstance(new, (staticmethod, classmethod)):
        return _graft(old.__func__, new.__func__)
    return False
