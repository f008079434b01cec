"""Which uses of a name in a Python file mean the package that is imported under it.

Reads a syntax tree; it changes nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Scope:
    """A part of the file with names of its own.

    :ivar imports: the imports that bind the name here
    :ivar others: what else binds it
    :ivar harmless: what binds it to nothing, as where an optional package is missing
    :ivar uses: where it stands
    """

    def __init__(self, parent: Scope | None, is_class: bool = False) -> None:
        self.parent = parent
        self.is_class = is_class
        self.imports: list[ast.alias] = []
        self.others: list[ast.AST] = []
        self.harmless: list[ast.Name] = []
        self.uses: list[ast.Name] = []
        self.statements: list[ast.Global | ast.Nonlocal] = []

    @property
    def binds(self) -> bool:
        """Whether the name is one of this scope."""
        return bool(self.imports or self.others or self.harmless)

    def resolved(self) -> Scope | None:
        """Return the scope in which the name is bound that is used here; None if none binds it."""
        if any(isinstance(statement, ast.Global) for statement in self.statements):
            found = self
            while found.parent is not None:
                found = found.parent
            return found
        if self.binds and not self.statements:
            return self
        return self.outside()

    def outside(self) -> Scope | None:
        """Return the scope in which the name is bound that is seen in here unless it is bound here."""
        above = self.parent
        while above is not None:
            if above.binds and not above.is_class:
                return above.resolved()
            above = above.parent
        return None


def scopes_of(tree: ast.Module, name: str) -> list[Scope]:
    """Return the scopes of a file in which a name is bound or used."""
    reader = _Reader(name)
    reader.inside(Scope(None), tree.body)
    for scope in reader.scopes:
        outside = scope.outside() if scope.is_class and (scope.others or scope.harmless) else None
        if outside is not None and any(isinstance(use.ctx, ast.Load) for use in scope.uses):
            outside.others += scope.others or scope.harmless  # before it is bound here, it is the one outside
    return [scope for scope in reader.scopes if scope.binds or scope.uses or scope.statements]


class _Reader(ast.NodeVisitor):
    def __init__(self, name: str) -> None:
        self.name = name
        self.scopes: list[Scope] = []
        self.scope = Scope(None)

    def inside(self, scope: Scope, nodes: Iterable[ast.AST]) -> None:
        self.scopes.append(scope)
        outer, self.scope = self.scope, scope
        for node in nodes:
            self.visit(node)
        self.scope = outer

    def generic_visit(self, node: ast.AST) -> None:
        if getattr(node, "name", None) == self.name or getattr(node, "rest", None) == self.name:
            self.scope.others.append(node)  # except … as, match … as, type parameters
        super().generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname == self.name:
                self.scope.others.append(alias)
            elif alias.asname is None and alias.name.partition(".")[0] == self.name:
                self.scope.imports.append(alias)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.scope.others += [alias for alias in node.names if (alias.asname or alias.name) == self.name]

    def visit_Assign(self, node: ast.Assign) -> None:
        nothing = isinstance(node.value, ast.Constant) and node.value.value in (None, False)
        for target in node.targets:
            if nothing and isinstance(target, ast.Name) and target.id == self.name:
                self.scope.harmless.append(target)
                self.scope.uses.append(target)
            else:
                self.visit(target)
        self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == self.name:
            self.scope.uses.append(node)
            if isinstance(node.ctx, ast.Store):
                self.scope.others.append(node)

    def visit_Global(self, node: ast.Global) -> None:
        if self.name in node.names:
            self.scope.statements.append(node)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        if self.name in node.names:
            self.scope.statements.append(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name == self.name:
            self.scope.others.append(node)
        arguments = _arguments(node.args)
        for outside in (
            *node.decorator_list,
            *_defaults(node.args),
            node.returns,
            *(a.annotation for a in arguments),
        ):
            if outside is not None:
                self.visit(outside)
        self._function(arguments, node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for outside in _defaults(node.args):
            self.visit(outside)
        self._function(_arguments(node.args), [node.body])

    def _function(self, arguments: list[ast.arg], body: Iterable[ast.AST]) -> None:
        scope = Scope(self.scope)
        scope.others += [argument for argument in arguments if argument.arg == self.name]
        self.inside(scope, body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if node.name == self.name:
            self.scope.others.append(node)
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outside)
        self.inside(Scope(self.scope, is_class=True), node.body)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        first = node.generators[0].iter
        self.visit(first)
        inner: list[ast.AST] = [*node.generators]
        inner += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._first = first
        self.inside(Scope(self.scope), inner)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.visit(node.target)
        if node.iter is not self._first:
            self.visit(node.iter)
        for condition in node.ifs:
            self.visit(condition)


def _arguments(args: ast.arguments) -> list[ast.arg]:
    found = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    return found + [argument for argument in (args.vararg, args.kwarg) if argument is not None]


def _defaults(args: ast.arguments) -> list[ast.expr]:
    return [*args.defaults, *(default for default in args.kw_defaults if default is not None)]
