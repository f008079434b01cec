"""How long the runs of a job took: their number, their mean, and how they are spread.

Pure: records are handed in, in steps, and each is counted once. It reads no ledger.
"""

from __future__ import annotations

from json import dumps, loads

from ..clock import DAY, HOUR, MINUTE, SECOND
from .states import CLAIMED, SUCCEEDED, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    #: a record as it is needed here: its nominal time, its status, and when it started and finished
    Ended = tuple[int, str, int | None, int | None]

_MILLISECOND = SECOND // 1000

#: The upper bounds of the buckets (microseconds); the last bucket has none.
BOUNDS = (
    *(number * _MILLISECOND for number in (1, 5, 20, 100, 500)),
    *(number * SECOND for number in (1, 5, 15, 30)),
    *(number * MINUTE for number in (1, 5, 15)),
    *(number * HOUR for number in (1, 3, 12)),
)
BUCKETS = len(BOUNDS) + 1
#: How long after its nominal time a run that has not ended is waited for.
PATIENCE = DAY


class Durations:
    """How long the runs of one job took that have succeeded.

    :ivar int count: how many there were
    :ivar int total: how long they took together (microseconds)
    :ivar list[int] buckets: how many took less than each of :data:`BOUNDS` and not less than the one before; the last: longer
    :ivar int | None until: up to which nominal time (instant) records have been looked at; None: none yet
    """

    __slots__ = ("buckets", "count", "total", "until")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.buckets = [0] * BUCKETS
        self.until: int | None = None

    @property
    def mean(self) -> float | None:
        """The mean (seconds); None: there were no runs."""
        return None if self.count == 0 else self.total / self.count / SECOND

    def add(self, duration: int) -> None:
        """Count one run.

        :param duration: microseconds
        """
        self.count += 1
        self.total += duration
        self.buckets[sum(duration >= bound for bound in BOUNDS)] += 1

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as JSON-able data (durations in seconds; the last bucket's bound is None)."""
        bounds: list[float | None] = [*(bound / SECOND for bound in BOUNDS), None]
        return {
            "count": self.count,
            "mean": self.mean,
            "buckets": [
                {"below": bound, "count": count} for bound, count in zip(bounds, self.buckets, strict=True)
            ],
        }

    def __eq__(self, other: object) -> bool:
        return text_of(self) == text_of(other) if isinstance(other, Durations) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Durations of {self.count} runs, mean {self.mean} s>"


def fold(durations: Durations, records: Iterable[Ended], now: int) -> int:
    """Count the records of a job that follow those that were looked at before; return how many were passed.

    It stops at the first run that has not ended, which is counted later; one whose time was a day ago is passed.

    :param durations: of the job; changed in place
    :param records: those with a nominal time after ``durations.until``, oldest first
    :param now: instant
    """
    passed = 0
    for nominal, status, started, finished in records:
        if status in (CLAIMED, WAITING) and nominal > now - PATIENCE:
            break
        if status == SUCCEEDED and type(started) is type(finished) is int and finished >= started:
            durations.add(finished - started)
        durations.until = nominal
        passed += 1
    return passed


def text_of(durations: Durations) -> str:
    """Return durations as a stored text."""
    values = [durations.until, durations.count, durations.total, *durations.buckets]
    return dumps(values, separators=(",", ":"))


def durations_of(text: str | None) -> Durations:
    """Return the durations of a stored text; if there is none or it is damaged, those of a job that was never looked at."""
    durations = Durations()
    try:
        until, count, total, *buckets = loads(text or "")
    except (ValueError, TypeError, RecursionError):
        return durations
    numbers = [count, total, *buckets]
    are_sound = all(type(number) is int and number >= 0 for number in numbers)
    if are_sound and type(until) is int and len(buckets) == BUCKETS and sum(buckets) == count:
        durations.until, durations.count, durations.total, durations.buckets = until, count, total, buckets
    return durations
