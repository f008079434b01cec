"""What a job refuses of what it is made of or changed to: changes are all checked first, then all are made or none.

It stores nothing, and knows jobs by what they have; a textual reference to a callable is imported.
"""

from __future__ import annotations

from sys import intern
from types import FunctionType

from ..callables import (
    CO_GENERATORS,
    check_callable_args,
    described,
    get_callable_name,
    is_generator_function,
    ref_to_obj,
)
from ..clock import HELD, instant, is_shown_everywhere
from ..core.overlaps import check_overlap
from ..core.policy import OPTION_NAMES, with_options
from ..core.states import ACTIVE, QUARANTINED, set_job_state
from ..errors import (
    CallableLookupError,
    CallableReferenceError,
    JobTypeError,
    JobValueError,
    UnknownAttributeError,
)
from ..texts import repr_of, type_name
from ..triggers.base import BaseTrigger
from ..util import convert_to_datetime, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..core.policy import Policy


def usable_id(value: object) -> str | None:
    """Return an id that a job can have as an exact str, else None: stores are not asked for it, as what they answer differs."""
    if not isinstance(value, str) or "\0" in value:
        return None
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # lone surrogates
            return None
    return value if type(value) is str else str.__str__(value)  # databases take no StrEnum for a text


def checked_id(value: Any) -> str:
    """Return a job's id as an exact str if it is one; "" stands for a random one.

    :raises JobTypeError, JobValueError: if it is not
    """
    if not isinstance(value, str):
        raise JobTypeError(f"id must be a nonempty string, got {repr_of(value)}")
    usable = usable_id(value)
    if usable is None:
        raise JobValueError(
            f"id must be a text that every store can keep, got {value!a}; leave NUL characters and lone surrogates out"
        )
    return usable


def checked_name(value: Any) -> str:
    """Return a job's name if it is one.

    :raises JobTypeError: if it is not
    """
    if not value or not isinstance(value, str):
        raise JobTypeError(f"name must be a nonempty string, got {repr_of(value)}")
    return value


def checked_trigger(value: Any) -> BaseTrigger:
    """Return a job's trigger if it is one.

    :raises JobTypeError: if it is not
    """
    # Asking the abstract class costs a call; it is for those that are only registered with it.
    if BaseTrigger not in type(value).__mro__ and not isinstance(value, BaseTrigger):
        from .remedies import instead_of_trigger, shown  # rare

        remedy = "reschedule_job() takes the name of a trigger and its arguments"
        if not isinstance(value, str):
            remedy = instead_of_trigger(value)
        raise JobTypeError(f"Expected a trigger instance, got {shown(value)}; {remedy}")
    trigger: BaseTrigger = value
    return trigger


def not_a_trigger(value: object) -> JobTypeError:
    """Return the error for something that is given in place of a trigger or its name."""
    from .remedies import instead_of_trigger  # rare

    what = f"the class {value.__name__}" if isinstance(value, type) else type_name(value)
    return JobTypeError(
        f"Expected a trigger instance or string, got {what} instead; {instead_of_trigger(value)}"
    )


def checked_time(nominal: int, what: str, given: object) -> int:
    """Return a run's time (instant) if every zone can show it.

    :param what: whose time it is, for the message
    :param given: what was given for it
    :raises JobValueError: if it is too near to the ends of the calendar
    """
    if not is_shown_everywhere(nominal):
        raise JobValueError(
            f"{what} must be a time between the years 1 and 9999 in every time zone, got {repr_of(given)}; "
            f"for a job that waits until it is resumed give next_run_time=None"
        )
    return nominal


def checked_executor(value: Any) -> str:
    """Return the alias of a job's executor if it is one.

    :raises JobTypeError: if it is not
    """
    if not isinstance(value, str):
        raise JobTypeError(f"executor must be a string, got {repr_of(value)}")
    return value


def checked_call(func: Any, args: Any, kwargs: Any) -> tuple[Callable[..., Any], str | None, str]:
    """Return a callable, its textual reference (None if it has none) and its name, if it takes the arguments.

    :param func: a callable or a textual reference to one
    :raises JobTypeError: if one of the three cannot be what it is to be
    :raises ArgumentMismatchError: if the callable does not take the arguments
    """
    func_ref: str | None
    is_plain = type(func) is FunctionType
    if is_plain and "<" not in (name := func.__qualname__) and type(func.__module__) is str:
        func_ref = intern(f"{func.__module__}:{name}")  # described(), without the call
    elif isinstance(func, str):
        func_ref = func
        func = _referred(func)
        if not callable(func):
            raise JobTypeError(f"func must be a callable, and {func_ref!r} leads to {repr_of(func)}")
        name, is_plain = get_callable_name(func), type(func) is FunctionType
    elif callable(func):
        name, func_ref = described(func)  # the memory store can keep it without a reference
    else:
        from .remedies import instead_of_func, shown  # rare

        raise JobTypeError(
            f"func must be a callable or a textual reference to one, got {shown(func)}; {instead_of_func(func)}"
        )
    if type(args) is not tuple and (isinstance(args, str) or not hasattr(args, "__iter__")):
        from .remedies import instead_of_series, shown  # rare

        raise JobTypeError(
            f"args must be a non-string iterable, got {shown(args)}; {instead_of_series(args)}"
        )
    if type(kwargs) is not dict and not (hasattr(kwargs, "keys") and hasattr(kwargs, "__getitem__")):
        raise JobTypeError(
            f"kwargs must be a dict-like object, got {repr_of(kwargs)}; write kwargs={{'name': value}}"
        )
    if (func.__code__.co_flags & CO_GENERATORS) if is_plain else is_generator_function(func):
        raise JobTypeError(
            f"func must do its work when it is called, got the generator function {name}, of which a call only makes a "
            f"generator and runs nothing; pass a function that iterates over it: for _ in {name}(…): pass"
        )
    check_callable_args(func, args, kwargs)
    return func, func_ref, name


def _referred(reference: str) -> Any:
    """Return what a textual reference leads to; if that is nothing, say what was probably meant."""
    try:
        return ref_to_obj(reference)
    except (CallableReferenceError, CallableLookupError) as exc:
        from .remedies import instead_of_reference  # rare

        raise type(exc)(f"{exc}{instead_of_reference(reference, exc)}") from exc.__cause__


# ------------------------------------------------------------------------------------------------------------- changes


def _tags(value: Any) -> Any:
    from .marks import checked_tags  # most jobs have none

    return checked_tags(value)


def _metadata(value: Any) -> Any:
    from .marks import checked_metadata  # most jobs have none

    return checked_metadata(value)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": checked_name,
    "trigger": checked_trigger,
    "executor": checked_executor,
    "tags": _tags,
    "metadata": _metadata,
}
#: what is only checked together
_CALL = frozenset(("func", "args", "kwargs"))
#: what decides together whether a due time can wait for room
_OF_ROOM = frozenset(("policy", "trigger"))
_UNSET: Any = object()


def change(job: Any, changes: Mapping[str, Any]) -> None:
    """Validate changes of a job, then make all of them or none.

    :param changes: new values by the names of attributes
    :raises UnknownAttributeError: if a name is none that can be changed
    :raises InvalidJobError: (its subclasses) for whatever is wrong with a value
    """
    approved: dict[str, Any] = {}
    options: dict[str, Any] = {}
    following = _UNSET
    for name, value in changes.items():
        check = _CHECKS.get(name)
        if check is not None:
            approved[name] = check(value)
        elif name == "next_run_time":
            following = next_instant(job, value)
        elif name in OPTION_NAMES:
            options[name] = value
        elif name == "id":
            _check_id(job, value)
        elif name not in _CALL:
            raise _unknown(changes)
    if not _CALL.isdisjoint(changes):
        args = approved["args"] = changes.get("args", job.args)
        kwargs = approved["kwargs"] = changes.get("kwargs", job.kwargs)
        approved["func"], approved["func_ref"], _ = checked_call(changes.get("func", job.func), args, kwargs)
    if options:
        approved["policy"] = with_options(job.policy, options)
    _check_overlap(job, approved)
    for name, value in approved.items():
        setattr(job, name, value)
    if following is not _UNSET:
        if job.state == QUARANTINED:
            job.error = None
            set_job_state(job, ACTIVE)
        job.set_next(following)


def _check_overlap(job: Any, approved: dict[str, Any]) -> None:
    """Refuse an ``overlap`` that the trigger of a job leaves no meaning; a job that waits for room is planned anew."""
    if _OF_ROOM.isdisjoint(approved):
        return
    found = (approved[name] if name in approved else getattr(job, name) for name in ("policy", "trigger"))
    policy, trigger = found
    check_overlap(policy.overlap, trigger)
    if "policy" in approved:
        approved["next_due"] = due_by_policy(job, policy)


def due_by_policy(job: Any, policy: Policy) -> int | None:
    """Return when the next time of a job is due by another policy: one that waits for room is looked at again at once."""
    waits = job.policy.waits_for_room and job.next_due == HELD and policy != job.policy
    due: int | None = job.next_nominal if waits else job.next_due
    return due


def _unknown(changes: Mapping[str, Any]) -> UnknownAttributeError:
    names = (*sorted(_CALL), "next_run_time", *_CHECKS, *OPTION_NAMES)
    unknown = [name for name in changes if name not in names and name != "id"]
    return UnknownAttributeError(
        f"The following are not modifiable attributes of Job: {', '.join(unknown)}"
        + (suggestion(unknown[0], names) or f"; there are {', '.join(names)}")
    )


def _check_id(job: Any, value: Any) -> None:
    if not isinstance(value, str):
        raise JobTypeError(f"id must be a nonempty string, got {repr_of(value)}")
    if getattr(job, "id", value) != value:
        raise JobValueError(f"The job ID may not be changed (job {job.id!r}, new id {repr_of(value)})")


def next_instant(job: Any, value: Any) -> int | None:
    """Return a next run time as an instant, None for a pause.

    :raises InvalidJobError: (its subclasses) if it is none
    """
    # A naive time is meant in the scheduler's zone, whatever the trigger's is (as in APScheduler).
    timezone = getattr(job._scheduler, "timezone", None) or job._timezone()
    when = convert_to_datetime(value, timezone, "next_run_time")
    return None if when is None else checked_time(instant(when), "next_run_time", value)
