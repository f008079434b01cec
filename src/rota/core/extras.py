"""What only some runs have: another origin than the schedule, a time to wait for, arguments and a key of their own.

Pure. A run of the schedule that waits for nothing has none of it, and costs nothing for it.
"""

from __future__ import annotations

from json import dumps, loads

from ..clock import is_shown_everywhere
from .states import MANUAL, SNOOZED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Where a run comes from.
SCHEDULE, AFTER, BACKFILL = "schedule", "after", "backfill"
ORIGINS = (SCHEDULE, MANUAL, AFTER, BACKFILL)
#: Why a run waits.
RETRY, RERUN = "retry", "rerun"
WAITS_FOR = (RETRY, SNOOZED, RERUN, BACKFILL, AFTER, MANUAL)
#: What keeps its place among its job's runs while it waits.
KEEPS_PLACE = (RETRY, SNOOZED)
#: What starts also while its job is paused: somebody has asked for it.
ASKED_FOR = (MANUAL, RERUN)


class Extra:
    """What only some runs have.

    :ivar str origin: where the run comes from: one of :data:`ORIGINS`
    :ivar int uncounted: how many of its attempts do not count as tries: snoozed, given back, or before it was opened again
    :ivar str | None waiting_for: why it waits, or has waited last: one of :data:`WAITS_FOR`
    :ivar int | None not_before: when it may start (instant), while it waits
    :ivar str | None cancel: why somebody has asked it to stop; None: nobody has
    :ivar str | None key: the key that it was asked for with
    :ivar args: its own positional arguments (None: the job's), as a tuple or as the text that a store keeps
    :ivar kwargs: the same of its keyword arguments
    :ivar str | None parent: the run that has started it: its job, nominal time and attempt, as its ``id`` has them
    :ivar bool unchained: whether its end starts no other jobs
    :ivar int | None asked_at: when somebody has opened its record again (instant)
    :ivar int | None succeeded_at: when an earlier execution of the same time has succeeded (instant)
    :ivar int | None backfill: when the backfill was asked for that has opened it (instant)
    """

    __slots__ = (
        "args",
        "asked_at",
        "backfill",
        "cancel",
        "key",
        "kwargs",
        "not_before",
        "origin",
        "parent",
        "succeeded_at",
        "unchained",
        "uncounted",
        "waiting_for",
    )

    def __init__(self, origin: str = SCHEDULE) -> None:
        self.origin = origin
        self.uncounted = 0
        self.waiting_for: str | None = None
        self.not_before: int | None = None
        self.cancel: str | None = None
        self.key: str | None = None
        self.args: Any = None
        self.kwargs: Any = None
        self.parent: str | None = None
        self.unchained = False
        self.asked_at: int | None = None
        self.succeeded_at: int | None = None
        self.backfill: int | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extra):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Extra.__slots__)

    __hash__ = None  # type: ignore[assignment]  # changed while its run goes on

    def __repr__(self) -> str:
        return f"<Extra {self.origin}>"


#: The values that a store keeps in one text, and of which types they are.
_TEXT: dict[str, type] = {
    "uncounted": int,
    "waiting_for": str,
    "key": str,
    "args": str,
    "kwargs": str,
    "parent": str,
    "unchained": bool,
    "asked_at": int,
    "succeeded_at": int,
    "backfill": int,
}


def extra_of(run: Any) -> Extra:
    """Return what a run has beside its record; a run that has nothing gets something to write into."""
    extra: Extra | None = getattr(run, "extra", None)
    if extra is None:
        extra = run.extra = Extra()
    return extra


def text_of(extra: Extra) -> str | None:
    """Return what a store keeps in one text; the arguments are texts already. None: there is nothing."""
    values = {name: value for name in _TEXT if (value := getattr(extra, name))}
    return dumps(values, ensure_ascii=False, separators=(",", ":")) if values else None


def tell(
    run: Any, origin: object, not_before: object, cancel: object, text: object, reason: object = None
) -> None:
    """Set what a run has beside its record to what a store keeps of it; what is damaged is as if it were not there.

    :param origin: None: the schedule
    :param text: as :func:`text_of` returns it
    :param reason: the reason of its record; layouts before had the origin "manual" there
    """
    if origin is None and reason == MANUAL:
        origin = MANUAL
        run.reason = None
    if origin is None and not_before is None and cancel is None and text is None:
        return
    extra = run.extra = Extra(origin if isinstance(origin, str) and origin in ORIGINS else SCHEDULE)
    extra.not_before = not_before if type(not_before) is int and is_shown_everywhere(not_before) else None
    extra.cancel = None if cancel is None else cancel if isinstance(cancel, str) else repr(cancel)
    try:
        values = loads(text) if isinstance(text, str) else {}
        for name, kind in _TEXT.items():
            if type(values.get(name)) is kind:
                setattr(extra, name, values[name])
    except (ValueError, AttributeError, RecursionError):
        pass  # it waits and has an origin all the same
    if extra.waiting_for not in WAITS_FOR:
        extra.waiting_for = None
    extra.uncounted = max(extra.uncounted, 0)


def keeps_place(extra: Extra | None) -> bool:
    """Whether a waiting run keeps its place among those of its job."""
    return extra is not None and extra.waiting_for in KEEPS_PLACE
