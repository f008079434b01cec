"""What the ``on_failure`` of a job may be: a function of one argument, by its name where it has one.

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
    """Return what is to be called with a run that has failed: its textual reference, or itself if it has none.

    :raises JobTypeError: if it cannot be called with a run
    :raises CallableReferenceError, CallableLookupError: if a textual reference leads nowhere
    """
    func = ref_to_obj(value) if isinstance(value, str) else value
    if not callable(func):
        raise JobTypeError(
            f"on_failure must be a function of one argument, the run, or a textual reference to one, got {repr_of(value)}; "
            f'write on_failure=tell or on_failure="package.module:tell"'
        )
    if is_generator_function(func):
        raise JobTypeError(
            f"on_failure must do its work when it is called, got the generator function {repr_of(value)}; pass a function that "
            f"iterates over it"
        )
    try:
        check_callable_args(func, (None,), {})
    except ArgumentMismatchError as exc:
        raise JobTypeError(f"on_failure must take one argument, the run: {exc}") from None
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
