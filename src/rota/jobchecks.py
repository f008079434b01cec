"""What a job refuses of what it is made of or changed to.

Pure, but that a textual reference to a callable is imported; it holds nothing.
"""

from __future__ import annotations

from .callables import check_callable_args, described, get_callable_name, ref_to_obj
from .errors import JobTypeError
from .triggers.base import BaseTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def checked_name(value: Any) -> str:
    """Return a job's name if it is one.

    :raises JobTypeError: if it is not
    """
    if not value or not isinstance(value, str):
        raise JobTypeError(f"name must be a nonempty string, got {value!r}")
    return value


def checked_trigger(value: Any) -> BaseTrigger:
    """Return a job's trigger if it is one.

    :raises JobTypeError: if it is not
    """
    # Asking the abstract class costs a call; it is for those that are only registered with it.
    if BaseTrigger not in type(value).__mro__ and not isinstance(value, BaseTrigger):
        raise JobTypeError(
            f"Expected a trigger instance, got {value!r}; reschedule_job() takes the name of a trigger and its arguments"
        )
    trigger: BaseTrigger = value
    return trigger


def checked_executor(value: Any) -> str:
    """Return the alias of a job's executor if it is one.

    :raises JobTypeError: if it is not
    """
    if not isinstance(value, str):
        raise JobTypeError(f"executor must be a string, got {value!r}")
    return value


def checked_call(func: Any, args: Any, kwargs: Any) -> tuple[Callable[..., Any], str | None, str]:
    """Return a callable, its textual reference (None if it has none) and its name, if it takes the arguments.

    :param func: a callable or a textual reference to one
    :raises JobTypeError: if one of the three cannot be what it is to be
    :raises ArgumentMismatchError: if the callable does not take the arguments
    """
    if isinstance(func, str):
        func_ref: str | None = func
        func = ref_to_obj(func)
        if not callable(func):
            raise JobTypeError(f"func must be a callable, and {func_ref!r} leads to {func!r}")
        name = get_callable_name(func)
    elif callable(func):
        name, func_ref = described(func)  # the memory store can keep it without a reference
    else:
        raise JobTypeError(f"func must be a callable or a textual reference to one, got {func!r}")
    if type(args) is not tuple and (isinstance(args, str) or not hasattr(args, "__iter__")):
        raise JobTypeError(f"args must be a non-string iterable, got {args!r}")
    if type(kwargs) is not dict and not (hasattr(kwargs, "keys") and hasattr(kwargs, "__getitem__")):
        raise JobTypeError(f"kwargs must be a dict-like object, got {kwargs!r}")
    check_callable_args(func, args, kwargs)
    return func, func_ref, name
