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
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Any

    #: position, name, name of the resource, and whether there is no default that could stand for it
    Need = tuple[int, str, str, bool]

#: The names of all resources that callables of jobs cannot do without. While it is empty, nobody need be asked for what it has.
ASKED: set[str] = set()
_found: WeakKeyDictionary[FunctionType, tuple[Need, ...]] = WeakKeyDictionary()


def needs_of(
    func: Any, args: Collection[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Sequence[Need]:
    """Return the parameters that are to be filled with resources, without those that are given.

    :param func: a callable
    :param args: the positional arguments that it is given
    :param kwargs: the keyword arguments that it is given
    :raises JobTypeError: if an annotation that speaks of Inject cannot be evaluated
    """
    if "rota.inject" not in sys.modules:
        return ()
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
        return ()
    needs = _found.get(func)
    if needs is None:
        needs = _found[func] = tuple(_needs(func))
        ASKED.update(resource for _, _, resource, is_required in needs if is_required)
    return [need for need in needs if need[0] >= given and need[1] not in named] if needs else ()


def required_by(job: Any) -> Sequence[str]:
    """Return the names of the resources that a job cannot do without."""
    return [
        resource
        for _, _, resource, is_required in needs_of(job.func, job.args, job._rare.kwargs)
        if is_required
    ]


def lacking(job: Any) -> Sequence[str]:
    """Return the names of the resources that a job needs and its scheduler does not have.

    Of a callable whose annotations cannot be read there are none: its call fails, and says so.
    """
    if not ASKED:
        return ()
    asked = getattr(job._home[0], "_lacking", None)
    try:
        return () if asked is None else asked(job)
    except BaseException as exc:  # annotations are texts of users
        if is_interrupt(exc):
            raise
        return ()


def _needs(func: FunctionType) -> Iterator[Need]:
    code = func.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    first_default = code.co_argcount - len(func.__defaults__ or ())
    for name, annotation in func.__annotations__.items():
        resource = _resource(func, name, annotation) if name in names else None
        if resource is not None:
            place = names.index(name)
            if place < code.co_argcount:
                yield place, name, resource, place < first_default
            else:
                yield sys.maxsize, name, resource, name not in (func.__kwdefaults__ or ())


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
