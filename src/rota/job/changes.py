"""Changes of a job's attributes, as modify() takes them: all of them are checked first, then all are made or none.

It stores nothing, and it knows jobs by what they have.
"""

from __future__ import annotations

from ..clock import instant
from ..core.policy import OPTION_NAMES, with_options
from ..core.states import ACTIVE, QUARANTINED, set_job_state
from ..errors import JobTypeError, JobValueError, UnknownAttributeError
from ..texts import repr_of
from ..util import convert_to_datetime, suggestion
from .checks import checked_call, checked_executor, checked_name, checked_time, checked_trigger


def _tags(value: Any) -> Any:
    from .marks import checked_tags  # most jobs have none

    return checked_tags(value)


def _metadata(value: Any) -> Any:
    from .marks import checked_metadata  # most jobs have none

    return checked_metadata(value)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": checked_name,
    "trigger": checked_trigger,
    "executor": checked_executor,
    "tags": _tags,
    "metadata": _metadata,
}
#: what is only checked together
_CALL = frozenset(("func", "args", "kwargs"))
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
    for name, value in approved.items():
        setattr(job, name, value)
    if following is not _UNSET:
        if job.state == QUARANTINED:
            job.error = None
            set_job_state(job, ACTIVE)
        job.set_next(following)


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
