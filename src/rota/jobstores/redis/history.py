"""Looking back in the Redis store: reading the records of runs, and forgetting those that are beyond their bounds.

It changes no job and no run that is under way. It decides nothing that the bounds of retention do not say.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter

from ...core.recorded import BEFORE, MOST, standing_from
from ...core.states import CLAIMED, END_STATES, WAITING
from ...errors import DeserializationError
from .. import retention
from ..base import COUNTED
from ..documents import label_all
from ..retention import Pace
from .forms import number_of, padded, run_of_text, triples
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from ...clock import Clock
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ..retention import Retention
    from .beside import Beside


class History:
    """The records of one store.

    :param run: carries out a script with some fields
    :param bounds: which records are kept
    :param beside: returns what is counted of records before they are forgotten, and what goes with jobs
    """

    def __init__(self, run: Callable[..., Any], bounds: Retention, beside: Callable[[], Beside]) -> None:
        self._run = run
        self._bounds = bounds
        self._beside = beside

    # -- reading -------------------------------------------------------------------------------------------------

    def select(self, job_id: str | None, status: str | Iterable[str] | None, limit: int) -> list[Run]:
        """Return records, newest first."""
        if limit <= 0 or job_id == "":
            return []
        wanted = (
            (status,)
            if isinstance(status, str)
            else (CLAIMED, WAITING, *END_STATES)
            if status is None
            else status
        )
        found = [run for run, _ in records(self._run("runs", job_id or "", str(limit), *wanted))]
        found.sort(key=attrgetter("nominal"), reverse=True)
        found = found[:limit]
        self.label(found)
        return found

    def label(self, runs: Sequence[Run]) -> None:
        """Give records the name and the callable that they lack."""
        ids = sorted({run.job_id for run in runs if run.name is None})
        parts = self._run("names", *ids).split("\0") if ids else []
        named = zip(parts[:-1:3], parts[1::3], parts[2::3], strict=True)
        label_all(runs, {id: (name, reference) for id, name, reference in named})

    def recorded(self, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        if job_id == "":
            return []
        parts = self._run("recorded", job_id, padded(since), str(BEFORE), str(MOST)).split("\0")
        found = zip(parts[::2], parts[1::2], strict=False)
        return standing_from((_standing(job_id, nominal, document) for nominal, document in found), since)

    # -- forgetting ----------------------------------------------------------------------------------------------

    def prune(self, now: int, clock: Clock) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job, in steps; see the port."""
        bounds, beside, pace = self._bounds, self._beside(), Pace(retention.FORGOTTEN)

        def of_job(job_id: str, keep: int) -> Iterator[int]:
            yield from _none_left(beside.count_durations(job_id, now))
            yield from self._prune_job(job_id, keep, clock, pace)

        yield from _none_left(beside.count_hours(now))
        is_whole = bounds.wants_all(now)
        if is_whole:
            yield from _none_left(beside.count_all_durations(now))
        older = partial(self._prune_old, clock=clock, pace=pace)
        yield from bounds.round(now, of_job, older, partial(self._prune_all, of_job=of_job))
        if is_whole:
            yield from _none_left(beside.tidy(now))

    def _prune_all(self, keep: int, of_job: Callable[[str, int], Iterator[int]]) -> Iterator[int]:
        """Delete the records of each job beyond its newest: of some jobs after others."""
        following: str | None = None
        while following != "":
            fields = (following or "", str(keep), str(retention.LOOKED_AT // 2))
            following, *crowded = texts(self._run("crowded", *fields))
            yield 0
            for job_id in crowded:
                yield from of_job(job_id, keep)

    def _prune_old(self, instant: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records that ended before an instant."""
        for status in END_STATES:
            start = "-inf"
            while start:
                began, size = clock.monotonic(), pace.size
                answer = self._run("prune_old", status, str(instant), start, str(size))
                start, deleted, left = texts(answer[:1])[0], int(answer[1]), int(answer[2])
                pace.note(size if start else deleted, clock.monotonic() - began)
                yield min(left, COUNTED) if deleted else 0

    def _prune_job(self, job_id: str, keep: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records of a job beyond its newest."""
        left = 1
        while left:
            began, size = clock.monotonic(), pace.size
            left = int(self._run("prune_many", job_id, str(keep), str(size)))
            pace.note(size if left else 0, clock.monotonic() - began)
            yield min(left, COUNTED)


def _none_left(steps: Iterator[object]) -> Iterator[int]:
    """Carry out steps in which no record is forgotten."""
    for _ in steps:
        yield 0


def records(text: str) -> Iterator[tuple[Run, str]]:
    """Return the runs of an answer (id, nominal time and document in turn); what is damaged is passed over."""
    for job_id, nominal, document in triples(text):
        try:
            yield run_of_text(job_id, nominal, document), document
        except DeserializationError:
            continue


def _standing(job_id: str, nominal: str, document: str) -> Recorded:
    """Return what a record stands for; one that is damaged for its own time."""
    try:
        run = run_of_text(job_id, nominal, document)
    except DeserializationError:
        at = number_of(nominal)
        return at, at, "unreadable"
    return run.nominal, run.last, run.status
