"""What is stored of a job or a run, looked at before it is believed: what of it is damaged, in words, and what to take instead.

Pure: it reads no store. It may not raise, whatever it is given.
"""

from __future__ import annotations

from ..clock import FIRST_SHOWN, HELD, HOUR, LAST_SHOWN
from ..core.states import ACTIVE, CLAIMED, END_STATES, ENDED, LOST, PAUSED, QUARANTINED, WAITING
from ..texts import repr_of, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..core.recorded import Recorded

    #: whether a value is what it must be, what that is in words, and what to take instead of something else
    Kind = tuple[Callable[[Any], bool], str, Callable[[Any], Any]]

#: How the reason of a job begins that is in quarantine because of what is stored of it.
DAMAGED = "its stored data is damaged: "
#: What is said of a job that is active, and of which nobody can tell when it is due.
NEVER_DUE = f"{DAMAGED}next_due must be a time while a job is active, got none"
#: Stands for a version that is none; no job is ever stored with it.
NO_VERSION = -1
#: Times outside are no times of jobs: not even UTC can show them.
EARLIEST, LATEST = FIRST_SHOWN - 15 * HOUR, LAST_SHOWN + 13 * HOUR
#: More than any count or version comes to; databases count on from here without leaving 64 bits.
MOST = 2**62
#: More than any version comes to that is believed: a job that has it goes on counting, and does not come to ``MOST``.
MOST_VERSION = MOST // 2

STATES = frozenset((ACTIVE, PAUSED, QUARANTINED, ENDED))
STATUSES = frozenset((CLAIMED, WAITING, *END_STATES))
#: How many characters of a damaged value are told.
_TOLD = 80


def is_damaged(error: str | None) -> bool:
    """Whether a job is quarantined because what is stored of it is damaged."""
    return isinstance(error, str) and error.startswith(DAMAGED)


def is_time(value: Any) -> bool:
    """Whether a value is an instant that a job or run can have."""
    return isinstance(value, int) and EARLIEST <= value <= LATEST


def stands_for(nominal: int, last: Any, count: Any, status: Any) -> Recorded:
    """Return what the record of a nominal time stands for; of a damaged one that is its own time at least.

    :param nominal: an instant, microseconds since the epoch
    :param count: for how many times; a record of one stands for its own, whatever ``last`` says
    """
    until = last if count != 1 and is_time(last) and last >= nominal else nominal
    return nominal, until, status if isinstance(status, str) else "unreadable"


def version_of(value: Any) -> int:
    """Return a stored version, NO_VERSION if it is none."""
    return value if isinstance(value, int) and 0 <= value < MOST_VERSION else NO_VERSION


def count_of(value: Any) -> int | None:
    """Return a stored count, None if it is none. A broken number is put right where it would refuse something."""
    return value if isinstance(value, (int, float)) and -MOST < value < MOST else None  # type: ignore[return-value]


def renewals_of(value: Any) -> int | None:
    """Return a stored count of a lease's renewals, None if it is none; one that is less than nothing was never counted."""
    is_count = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < MOST
    return value if is_count else None


def text_instead(value: Any) -> str:
    """Return the text that stands for a value that is none: such bytes as text, or else how Python writes it."""
    return value if type(value) is str else shortened(repr_of(value), 200)


# ---------------------------------------------------------------------------------------------------------------- jobs


def is_sound_job(
    id: Any,
    name: Any,
    executor: Any,
    nominal: Any,
    due: Any,
    version: Any,
    state: Any,
    running: Any,
    error: Any,
) -> bool:
    """Whether these columns of a job can be what a store wrote; what makes the job besides is seen when it is restored."""
    try:
        return (
            0 <= version < MOST_VERSION
            and -MOST < running < MOST
            and state in STATES
            and (
                due is None or (EARLIEST <= nominal <= LATEST and (EARLIEST <= due <= LATEST or due == HELD))
            )
            and (nominal is None or EARLIEST <= nominal <= LATEST)
            # A comparison takes a broken number for one, and nothing else that is none.
            and float not in (type(version), type(running), type(nominal), type(due))
            and isinstance(id, str)
            and isinstance(name, str)
            and isinstance(executor, str)
            and (error is None or isinstance(error, str))
        )
    except TypeError:
        return False


def mended_job(columns: Sequence[Any]) -> tuple[list[Any], str]:
    """Return the columns of a damaged job with something sound in the place of what is damaged, and what that is.

    :param columns: in the order of :meth:`rota.codec.jobs.JobFormat.job_of`
    """
    sound, wrong = _mended(_JOB, columns)
    if sound[9] is not None and sound[8] is None:
        sound[9] = None
        if _is_none_or_time(columns[8]):
            wrong.append(f"next_nominal must be a time, as next_due is one, got {columns[8]!r}")
    return sound, "; ".join(wrong)


# ---------------------------------------------------------------------------------------------------------------- runs


def is_sound_run(
    job_id: Any,
    nominal: Any,
    last: Any,
    count: Any,
    due: Any,
    attempt: Any,
    status: Any,
    owner: Any,
    executor: Any,
    claimed: Any,
    started: Any,
    finished: Any,
) -> bool:
    """Whether these columns of a run can be what a store wrote."""
    try:
        return (
            EARLIEST <= nominal <= last <= LATEST
            and EARLIEST <= due <= LATEST
            and 0 < count < MOST
            and 0 <= attempt < MOST  # nobody has taken a run yet that is asked for
            and status in STATUSES
            and float not in (type(nominal), type(last), type(due), type(count), type(attempt))
            and isinstance(job_id, str)
            and isinstance(executor, str)
            and (owner is None or isinstance(owner, str))
            and (claimed is None or is_time(claimed))
            and (started is None or is_time(started))
            and (finished is None or is_time(finished))
        )
    except TypeError:
        return False


def mended_run(fields: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the fields of a damaged run with something sound in the place of what is damaged, and what that is.

    :param fields: by the names of :data:`RUN_FIELDS`; others are left out
    """
    sound, wrong = _mended(_RUN, [fields.get(name) for name in RUN_FIELDS])
    found = dict(zip(RUN_FIELDS, sound, strict=True))
    if found["last"] < found["nominal"]:
        if is_time(fields.get("last")) and is_time(fields.get("nominal")):
            wrong.append(f"last must not come before the nominal time, got {fields.get('last')!r}")
        found["last"] = found["nominal"]
    return found, "; ".join(wrong)


# --------------------------------------------------------------------------------------------------------------- kinds


def _mended(kinds: Mapping[str, Kind], values: Sequence[Any]) -> tuple[list[Any], list[str]]:
    sound, wrong = [], []
    for (name, (fits, words, instead)), value in zip(kinds.items(), values, strict=True):
        if fits(value):
            sound.append(value)
        else:
            sound.append(instead(value))
            wrong.append(f"{name} must be {words}, got {shortened(repr_of(value), _TOLD)}")
    return sound, wrong


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_none_or_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_none_or_time(value: Any) -> bool:
    return value is None or is_time(value)


def _is_due(value: Any) -> bool:
    return value is None or is_time(value) or (isinstance(value, int) and value == HELD)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and 0 < value < MOST


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and -MOST < value < MOST


def _is_attempt(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < MOST


def _is_state(value: Any) -> bool:
    return isinstance(value, str) and value in STATES


def _is_status(value: Any) -> bool:
    return isinstance(value, str) and value in STATUSES


def _nothing(value: Any) -> None:
    return None


_TEXT: Kind = (_is_text, "a text", text_instead)
_OPTIONAL_TEXT: Kind = (
    _is_none_or_text,
    "a text or nothing",
    text_instead,
)
_OPTIONAL_TIME: Kind = (_is_none_or_time, "a time in microseconds, or nothing", _nothing)
_TIME: Kind = (is_time, "a time in microseconds", lambda value: 0)
_POSITIVE: Kind = (_is_positive, "a positive number", lambda value: 1)

_JOB: Mapping[str, Kind] = {
    "id": _TEXT,
    "name": _TEXT,
    "func": _TEXT,
    "trigger": _TEXT,
    "args": _TEXT,
    "kwargs": _TEXT,
    "options": _TEXT,
    "executor": _TEXT,
    "next_nominal": _OPTIONAL_TIME,
    "next_due": (_is_due, "a time in microseconds, or nothing", _nothing),
    "version": (
        lambda value: version_of(value) != NO_VERSION,
        "a number from 0 up",
        lambda value: NO_VERSION,
    ),
    "state": (_is_state, f"one of {', '.join(sorted(STATES))}", lambda value: QUARANTINED),
    "running": (_is_count, "a count", lambda value: 0),
    "error": _OPTIONAL_TEXT,
}
_RUN: Mapping[str, Kind] = {
    "job_id": _TEXT,
    "nominal": _TIME,
    "last": _TIME,
    "count": _POSITIVE,
    "due": _TIME,
    "attempt": (_is_attempt, "a number from 0 up", lambda value: 1),
    "status": (_is_status, f"one of {', '.join(sorted(STATUSES))}", lambda value: LOST),
    "owner": _OPTIONAL_TEXT,
    "executor": _TEXT,
    "claimed": _OPTIONAL_TIME,
    "started": _OPTIONAL_TIME,
    "finished": _OPTIONAL_TIME,
}
#: the fields of a run that are looked at; the others are texts for people
RUN_FIELDS = tuple(_RUN)
