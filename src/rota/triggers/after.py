"""The trigger of a job that is started by the ends of another job's runs, and by no time.

Pure; see the port in :mod:`rota.triggers.base`. What an end starts is decided in :mod:`rota.core.chains`.
"""

from __future__ import annotations

from datetime import timedelta

from ..clock import NO_TIME, SECOND, microseconds
from ..errors import TriggerError, TriggerTypeError
from ..texts import repr_of
from .base import BaseTrigger, InstantTrigger
from .fields import REQUIRED, Field, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime, tzinfo
    from typing import Any, Self

#: Which ends start a job.
ENDS = ("succeeded", "failed", "any")
#: The longest delay (seconds): a year.
LONGEST_DELAY = 366 * 24 * 3600


class After(InstantTrigger):
    """Starts the job when a run of another job of the same store ends. Alias: ``after``.

    The job is active and has no next time. Each end that counts leaves a run that waits for its delay, and for a free place;
    the same end never leaves two.

    :param job_id: the id of the other job; it may be added later
    :param on: which ends count: "succeeded"; "failed", for one that failed, timed out or was lost for good; or "any", for these and
        cancelled ones. Times that were skipped or missed start nothing
    :param delay: seconds (or a timedelta) from the end to the earliest start
    :raises TriggerError: if something of it cannot be meant
    """

    __slots__ = ("_delay", "job_id", "starts_on")

    job_id: str
    starts_on: str
    #: microseconds
    _delay: int

    alias = "after"
    declared = Fields(
        1,
        Field("job_id", REQUIRED),
        Field("on", "succeeded", held="starts_on"),
        Field("delay", 0, same="_delay"),
    )

    def __init__(
        self,
        job_id: str,
        on: str = "succeeded",
        delay: float | timedelta = 0,
        *,
        timezone: tzinfo | str | None = None,
        now: int | None = None,
    ) -> None:
        # Every named trigger is given the zone and the time of its scheduler; this one has no use for them.
        self.job_id = _checked_id(job_id)
        if on not in ENDS:
            raise TriggerError(
                f'on must be "succeeded", "failed" or "any", got {repr_of(on)}; "any" is each of these, and cancelled runs'
            )
        self.starts_on = str(on)
        self._delay = _checked_delay(delay)
        BaseTrigger.some_chain = True

    @property
    def delay(self) -> int | float:
        """Seconds from the end of the other job's run to the earliest start."""
        return self._delay // SECOND if self._delay % SECOND == 0 else self._delay / SECOND

    @property
    def starts_after(self) -> str | None:  # type: ignore[override]  # it does not change
        """The id of the job of which runs start this one."""
        return self.job_id

    @property
    def delay_after(self) -> int:  # type: ignore[override]  # it does not change
        """Microseconds from the end to the earliest start."""
        return self._delay

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return None: no time starts it."""
        return None

    def first(self, now: int) -> int | None:
        """Return what stands for no time."""
        return NO_TIME

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return what stands for no time."""
        return NO_TIME if instant < NO_TIME else None

    def at_or_before(self, instant: int) -> int | None:
        """Return None: it never had a time."""
        return None

    def occurrences(
        self, start: datetime | date | str | None = None, end: datetime | date | str | None = None
    ) -> Iterator[datetime]:
        """Yield nothing: no time starts it."""
        return iter(())

    def next(self, n: int = 1, start: datetime | date | str | None = None) -> list[datetime]:
        """Return nothing: no time starts it."""
        return []

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Return the trigger of which ``spec`` is the :meth:`spec`."""
        return cls(**{name: value for name, value in spec.items() if name != "type"})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["job_id"], state["on"], state["delay"])  # type: ignore[misc]

    def __str__(self) -> str:
        on = "" if self.starts_on == "succeeded" else f" (on {self.starts_on})"
        return f"after {self.job_id}{on}{f' + {self.delay:g} s' if self._delay else ''}"


def _checked_id(job_id: Any) -> str:
    """Return the id of a job."""
    if not isinstance(job_id, str) or not (job_id and job_id.isprintable()):
        kind = TriggerError if isinstance(job_id, str) else TriggerTypeError
        raise kind(f'job_id must be the id of a job, got {repr_of(job_id)}; write After("nightly-import")')
    return str(job_id)


def _checked_delay(delay: Any) -> int:
    """Return a delay as microseconds."""
    if isinstance(delay, bool) or not isinstance(delay, (int, float, timedelta)):
        raise TriggerTypeError(
            f"delay must be a number of seconds or a timedelta, got {repr_of(delay)}; write delay=60"
        )
    try:
        found = microseconds(delay)
    except (ValueError, OverflowError):
        found = -1
    if not 0 <= found <= LONGEST_DELAY * SECOND:
        raise TriggerError(
            f"delay must be from 0 to {LONGEST_DELAY} seconds, got {repr_of(delay)}; for a fixed time of day use a schedule"
        )
    return found
