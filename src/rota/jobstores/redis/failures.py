"""Jobs of the Redis store that are paused after failures in a row: what is counted is written in the step that ends a run.

It reads a job, has it counted (:func:`rota.core.pauses.count_ends`), and gives the script what the job has to be; a script writes
that if the job is as it was read.
"""

from __future__ import annotations

from ...core.pauses import count_ends
from ...errors import StoreConflictError
from .forms import fence_of, padded, record_of, spec_of, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job
    from .chains import Chains

#: How often the end of a run is tried against others' changes of its job.
TRIES = 100


class Failures:
    """Counts the ends of runs of one store.

    :param run: carries out a script with some fields
    :param jobs_of: makes jobs of an answer
    :param format: how the parts of a job are written
    :param chains: returns what tells what ends leave at other jobs
    """

    def __init__(
        self,
        run: Callable[..., Any],
        jobs_of: Callable[[str], list[Job]],
        format: JobFormat,
        chains: Callable[[], Chains],
    ) -> None:
        self._run = run
        self._jobs_of = jobs_of
        self._format = format
        self._chains = chains

    def finish(self, run: Run, now: int) -> str:
        """Write how a run ended; return "0" if that is refused (R5), "2" if it has failed and somebody had asked it to stop."""
        record = (run.job_id, padded(run.nominal), run.status, fence_of(run), record_of(run))
        chains = self._chains()
        starting = chains.starting([run])
        for _ in range(TRIES):
            found = self._run("look_up", run.job_id)
            jobs = self._jobs_of(found)
            if jobs:
                jobs[0].running -= 1
            fields = self.counted(jobs[0], [run], now) if jobs else ("", "")
            if not fields[0]:
                return str(chains.send(starting, now, "finish", *record))
            answer = chains.send(starting, now, "finish_counted", *record, found.split("\0")[2], *fields)
            if answer != "1" and hasattr(run, "pauses"):
                del run.pauses
            if answer != "changed":
                return str(answer)
        raise StoreConflictError(
            f"Job {run.job_id!r} was changed by others {TRIES} times in a row, while the end of a run was written"
        )

    def counted(self, job: Job, runs: Sequence[Run], now: int) -> tuple[str, str]:
        """Return spec and rest of a job as they are after the ends of some runs; nothing if these do not change it.

        :param job: the job as it was read, with as many runs under way as are left; it is changed
        """
        if not runs or not count_ends(job, runs, now):
            return "", ""
        rest = state_of(job.state, job.next_nominal, job.next_due, job.executor, job.error)
        return spec_of(job, self._format), rest
