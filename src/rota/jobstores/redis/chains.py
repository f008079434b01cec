"""Runs that the ends of others leave at the jobs after them, sent with the request that writes these ends.

What an end starts is decided in ``rota.core.chains``; ``scripts/_follow.lua`` writes it with the end, and for no other.
"""

from __future__ import annotations

from ...core.chains import followers, moved_on, parent_of, starts_others
from ...core.states import ENDED
from ...errors import StoreConflictError
from .forms import padded, record_of
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job

#: How often the keys of new runs are changed as they have records already.
TRIES = 100


class Chains:
    """Reads the jobs after others, and tells what the ends of these leave there.

    :param run: carries out a script with some fields
    :param jobs_of: makes jobs of an answer
    :param format: signs runs
    :param starting: returns those of some ended runs whose ends may start other jobs
    """

    def __init__(
        self,
        run: Callable[..., Any],
        jobs_of: Callable[[str], list[Job]],
        format: JobFormat,
        starting: Callable[[Sequence[Run]], list[Run]],
    ) -> None:
        self._run = run
        self._jobs_of = jobs_of
        self._format = format
        self.starting = starting

    def children(self, parents: Collection[str]) -> list[Job]:
        """Return the jobs that the ends of some jobs start."""
        jobs = self._jobs_of(self._run("children", *sorted(parents)))
        return [job for job in jobs if job.state != ENDED and parent_of(job) in parents]

    def parents(self) -> list[str]:
        """Return the ids of the jobs that start others, and of some that did."""
        return texts(self._run("parents"))

    def send(self, ended: Sequence[Run], now: int, script: str, *fields: str) -> Any:
        """Carry out a script that writes ends, with what these leave at other jobs; return its answer.

        :param ended: the runs whose ends may be written
        """
        left = self._left_by(ended, now)
        for _ in range(TRIES):
            answer = self._run(script, *fields, beside=self._fields(left))
            if not left or not isinstance(answer, str) or not answer.startswith("+"):
                return answer
            for place in answer[1:].split(","):
                _next_free(left, left[int(place)][1])
        raise StoreConflictError(
            f"The times of runs after {ended[0].id} have records, {TRIES} times in a row; try again"
        )

    def _left_by(self, ended: Sequence[Run], now: int) -> list[tuple[Run, Run]]:
        """Return what ends leave: the run that ends, and the new one."""
        ended = [run for run in ended if starts_others(run)]
        children = self.children({run.job_id for run in ended}) if ended else []
        left: list[tuple[Run, Run]] = []
        for parent in ended if children else ():
            for run in followers(parent, children, now):
                if any(_key(run) == _key(other) for _, other in left):
                    _next_free(left, run)
                left.append((parent, run))
        return left

    def _fields(self, left: Sequence[tuple[Run, Run]]) -> list[str]:
        fields: list[str] = []
        for parent, run in left:
            if not run.ended:
                self._format.sign(run)
            fields += (parent.job_id, padded(parent.nominal))
            fields += (run.job_id, padded(run.nominal), run.status, record_of(run))
        return fields


def _key(run: Run) -> tuple[str, int]:
    return run.job_id, run.nominal


def _next_free(left: Sequence[tuple[Run, Run]], run: Run) -> None:
    """Give a run the next key that none of the others has."""
    moved_on(run)
    while any(_key(run) == _key(other) for _, other in left if other is not run):
        moved_on(run)
