"""Which resources a callable needs: its parameters that are annotated with ``Inject``.

It evaluates annotations that are texts, each by itself, and calls nothing. Where nobody has loaded ``Inject``, it looks at nothing.
"""

from __future__ import annotations

import sys
from functools import partial
from types import FunctionType, MethodType
from weakref import WeakKeyDictionary

from .errors import JobTypeError
from .interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

#: for each function, its parameters that are resources: position, name, and the name of the resource
_found: WeakKeyDictionary[FunctionType, tuple[tuple[int, str, str], ...]] = WeakKeyDictionary()


def needs_of(
    func: Any, args: Collection[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Mapping[str, str]:
    """Return the parameters that are to be filled with resources, and the names of these; those that are given are left out.

    :param func: a callable
    :param args: the positional arguments that it is given
    :param kwargs: the keyword arguments that it is given
    :raises JobTypeError: if an annotation that speaks of Inject cannot be evaluated
    """
    if "rota.inject" not in sys.modules:
        return _NOTHING
    given, named = len(args), set(kwargs or ())
    while isinstance(func, partial):
        given += len(func.args)
        named.update(func.keywords)
        func = func.func
    if isinstance(func, type):
        func, given = getattr(func, "__init__", None), given + 1
    elif isinstance(func, MethodType):
        func, given = func.__func__, given + 1
    elif not isinstance(func, FunctionType):
        func, given = getattr(type(func), "__call__", None), given + 1  # noqa: B004  # which, not whether
    if not isinstance(func, FunctionType):
        return _NOTHING
    needs = _found.get(func)
    if needs is None:
        needs = _found[func] = _needs(func)
    if not needs:
        return _NOTHING
    return {name: resource for place, name, resource in needs if place >= given and name not in named}


_NOTHING: Mapping[str, str] = {}


def _needs(func: FunctionType) -> tuple[tuple[int, str, str], ...]:
    code = func.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    positional = code.co_argcount
    found = []
    for name, annotation in func.__annotations__.items():
        if name in names:
            resource = _resource(func, name, annotation)
            if resource is not None:
                place = names.index(name)
                found.append((place if place < positional else sys.maxsize, name, resource))
    return tuple(found)


def _resource(func: FunctionType, name: str, annotation: Any) -> str | None:
    """Return the name of the resource that a parameter stands for, None if it is none."""
    from .inject import Inject  # it is loaded, or nobody comes here

    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, func.__globals__)  # the program's own text
        except BaseException as exc:  # names that are only there for type checkers
            if is_interrupt(exc):
                raise
            if "Inject" not in annotation:
                return None
            raise JobTypeError(
                f"the annotation of {name} must be one that can be evaluated, got {annotation!r} ({exc}); import what it "
                f"names where the program runs, not only for type checkers"
            ) from None
    for mark in getattr(annotation, "__metadata__", ()):
        if mark is Inject:
            return name
        if isinstance(mark, Inject):
            return mark.name
    return None
