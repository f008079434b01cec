"""Functions among the options of a job: ``on_failure``, the predicate of ``retry``; by their names where they have any.

Checks; it calls nothing. A textual reference is imported, as that of a job's callable is.
"""

from __future__ import annotations

from types import MethodType

from ..callables import check_callable_args, described, is_generator_function, ref_to_obj
from ..errors import ArgumentMismatchError, CallableMismatchError, JobTypeError
from ..references import check_reference
from ..texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Nameless:
    """A callable that only this process can find: the memory store can keep it. Equal to itself only."""

    __slots__ = ("func",)

    def __init__(self, func: Any) -> None:
        self.func = func

    def __repr__(self) -> str:
        return repr_of(self.func)


def checked_handler(value: Any) -> str | Nameless:
    """Return what is to be called with a run that has failed; see :func:`checked_function`."""
    return checked_function("on_failure", value, "the run")


def checked_predicate(value: Any) -> str | Nameless | type:
    """Return what is to be asked about an exception; see :func:`checked_function`. A textual reference may lead to a class."""
    if isinstance(value, str):
        found = ref_to_obj(value)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    return checked_function("on", value, "the exception")


def checked_function(option: str, value: Any, argument: str) -> str | Nameless:
    """Return a function of one argument: its textual reference, or itself if it has none.

    :param option: what it was given as, for the message
    :param argument: what it is called with, for the message
    :raises JobTypeError: if it cannot be called with that
    :raises CallableReferenceError, CallableLookupError: if a textual reference leads nowhere
    """
    func = ref_to_obj(value) if isinstance(value, str) else value
    if not callable(func):
        raise JobTypeError(
            f"{option} must be a function of one argument, {argument}, or a textual reference to one, got {repr_of(value)}; "
            f'write {option}=tell or {option}="package.module:tell"'
        )
    if is_generator_function(func):
        raise JobTypeError(
            f"{option} must do its work when it is called, got the generator function {repr_of(value)}; pass a function that "
            f"iterates over it"
        )
    try:
        check_callable_args(func, (None,), {})
    except ArgumentMismatchError as exc:
        raise JobTypeError(f"{option} must take one argument, {argument}: {exc}") from None
    if isinstance(value, str):
        return str(value)
    reference = described(func)[1]
    if reference is None or isinstance(func, MethodType):  # the name of a method does not say of which object
        return Nameless(func)
    try:
        check_reference(reference, func)
    except CallableMismatchError:
        return Nameless(func)
    return reference
