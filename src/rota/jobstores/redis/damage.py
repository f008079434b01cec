"""Damage in the Redis store that no other step meets, and keys that somebody has overwritten by values of another kind.

Each step looks at a part of everything. What is overwritten is kept.
"""

from __future__ import annotations

from ...clock import NO_TIME
from ...codec.damaged import DAMAGED, NEVER_DUE
from ...core.chains import check_place, parent_of
from ...core.states import QUARANTINED, set_job_state
from ..retention import Pace
from .forms import state_of
from .runs import Orphans
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import Any

    from ...clock import Clock
    from ...core.run import Run
    from ...job.handle import Job
    from .runs import Runs

#: How much the first step looks at, and how many steps there are in a round.
LOOKED_AT = 100
STEPS = 10
#: How much is looked at with one step where nothing goes on before it is done.
AT_ONCE = "500"
#: The cursors of runs that wait when all were looked at.
NOWHERE = ("0", "0", "0")


class Damage:
    """Looks through the keys of one store, and puts right what others have damaged.

    :param run: carries out a script with some fields
    :param runs: writes the ends of runs
    """

    def __init__(self, run: Callable[..., Any], runs: Runs) -> None:
        self._run = run
        self._runs = runs
        #: the cursors of the states, the jobs and the runs that were looked at last
        self._at_state = self._at_job = self._at_run = "0"
        #: those of the runs that wait: by their status, of what stands for them, of their jobs
        self._at_waiting: tuple[str, ...] = NOWHERE

    def recount(self, jobs: Sequence[Job]) -> None:
        """Let the counts of jobs say how many of their runs are under way."""
        counts = self._run("recount", *(job.id for job in jobs))
        for job, count in zip(jobs, counts, strict=True):
            job.running = int(count)

    def steps(
        self, now: int, clock: Clock, jobs_of: Callable[[str], list[Job]]
    ) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for jobs and runs that nobody would find because of what is stored of them, in steps; see the port.

        :param jobs_of: makes jobs of an answer
        """
        pace = Pace(LOOKED_AT)
        for _ in range(STEPS):
            began, size = clock.monotonic(), str(pace.size)
            self._at_state, found, untimed = texts(self._run("look_over", self._at_state, size, str(NO_TIME)))
            lost = state_of(QUARANTINED, None, None, "default", f"{DAMAGED}nobody knows when it is due")
            self._at_job, stateless = texts(self._run("look_for_lost", self._at_job, size, lost))
            jobs = jobs_of(found) + jobs_of(stateless)
            for job in jobs:
                if job.state != QUARANTINED:
                    job.error = NEVER_DUE
                    set_job_state(job, QUARANTINED)
            jobs += self._look_at_chains(jobs_of(untimed)) if untimed else ()
            self._at_run, runs, of_runs = texts(self._run("look_at_runs", self._at_run, size))
            orphans = Orphans(runs, of_runs, "", (), now)
            ended = self._runs.take(orphans.damaged, orphans, "", now, {}) if orphans.damaged else []
            self._at_waiting = tuple(texts(self._run("look_at_waiting", *self._at_waiting, size)))
            pace.note(pace.size, clock.monotonic() - began)
            yield jobs, ended
            if self._at_state == self._at_job == self._at_run == "0" and self._at_waiting == NOWHERE:
                return

    def _look_at_chains(self, jobs: Sequence[Job]) -> list[Job]:
        """Have jobs found by the ends of those that start them; return those that are to be put in order or into quarantine."""
        # Of those that are not restored, whoever needs them finds out.
        restored = [job for job in jobs if job.state != QUARANTINED]
        chained = [(parent, job.id) for job in restored if (parent := parent_of(job)) is not None]
        if chained:
            self._run("adopt", *(part for pair in chained for part in pair))
        return [job for job in restored if check_place(job)]

    def set_aside(self, run: Callable[..., Any], executors: Collection[str]) -> Iterator[tuple[str, str]]:
        """Put keys aside that somebody has overwritten by values of another kind, and make anew what follows from the others.

        :param run: carries out a script once, whatever the server answers
        :param executors: aliases whose keys are looked at, besides those that are found
        :return: the name of each such key, and under which name its value is kept
        """
        moved = texts(run("set_aside", *executors))
        if moved:
            for script in ("look_over", "index_runs"):
                cursor: str | None = None
                while cursor != "0":
                    answer = run(script, cursor or "0", AT_ONCE)
                    cursor = texts(answer)[0] if isinstance(answer, list) else str(answer)
        yield from zip(moved[::2], moved[1::2], strict=True)
