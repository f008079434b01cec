"""The jobs of the Redis store: added, saved, listed, looked up when they are due, and let out of quarantine.

It knows no run; the steps, which are atomic, are in ``scripts/``.
"""

from __future__ import annotations

from ...core.states import ACTIVE, ENDED, QUARANTINED
from ...errors import ConflictingIdError, JobLookupError, StoreConflictError
from .. import retention
from ..base import COUNTED
from ..documents import heal, new_version, ordered
from ..retention import Pace
from .forms import fitting, ids_of, jobs_of, run_of_text, spec_of, state_of, tags_of, time_of, time_of_score
from .runs import AT_ONCE, TRIES
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...clock import Clock
    from ...codec.jobs import JobFormat
    from ...core.queries import JobQuery
    from ...core.run import Run
    from ...job.handle import Job
    from .forms import Home


class Jobs:
    """Reads and writes the jobs of one store.

    :param run: carries out a script with some fields
    :param format: how the parts of a job are written
    :param home: returns the scheduler and the alias of the store
    """

    def __init__(self, run: Callable[..., Any], format: JobFormat, home: Callable[[], Home]) -> None:
        self._run = run
        self._format = format
        self._home = home

    # -- reading -------------------------------------------------------------------------------------------------

    def of(self, text: str, healing: bool = False) -> list[Job]:
        """Return the jobs of an answer; what is damaged is in quarantine.

        :param healing: take jobs out of quarantine, if they can be restored
        """
        return jobs_of(text, self._format, *self._home(), healing)

    def one(self, job_id: str) -> Job | None:
        """Return the job of that id, None if there is none."""
        for job in self.of(self._run("look_up", job_id)):
            # One whose schedule is over is there as long as runs of it wait, or if its last one has not ended well.
            if job.state != ENDED or job.running <= 0 or self._run("has_waiting", job_id):
                return job
        return None

    def all(self) -> list[Job]:
        """Return all jobs in the order of listings."""
        jobs = (job for part in self._scan("list") for job in self.of(part))
        return ordered({job.id: job for job in jobs if job.state != ENDED}.values())

    def select(self, state: Collection[str] | None, limit: int | None, offset: int) -> list[Job]:
        """Return a page of the jobs; see the port."""
        if state is None and limit is None:
            return self.all()[offset:]
        end = None if limit is None else offset + limit
        ids: list[str] = []
        if end and (state is None or ACTIVE in state):
            ids = ids_of(self._run("soonest", str(end)))
        if end is None or len(ids) < end:
            ids = ids_of("".join(self._scan("find", *(state or ()))))
        return [job for job in self.by_ids(ids[offset:end]) if job.state != ENDED]

    def by_ids(self, ids: Sequence[str], query: JobQuery | None = None) -> list[Job]:
        """Return the jobs of some ids, in this order; those that there are not, and those that no query wants, are left out."""
        found: dict[str, Job] = {}
        for first in range(0, len(ids), AT_ONCE):
            part = self._run("look_up", *ids[first : first + AT_ONCE])
            found.update((job.id, job) for job in self.of(part if query is None else fitting(part, query)))
        return [found[job_id] for job_id in ids if job_id in found]

    def _scan(self, script: str, *fields: str) -> Iterator[str]:
        """Carry out a script that answers in parts, a cursor with each."""
        cursor = "0"
        while True:
            cursor, part = texts(self._run(script, cursor, *fields))
            yield part
            if cursor == "0":
                return

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return due jobs, earliest first, at most so many for each executor as it has room for."""
        limits = {alias: min(limit, AT_ONCE) for alias, limit in room.items() if limit > 0}
        wanted = [text for alias, limit in limits.items() for text in (alias, str(limit))]
        if not wanted:
            return []
        jobs = self.of(self._run("due", str(now), *wanted))
        misplaced = [job for job in jobs if job.executor not in limits and job.state != QUARANTINED]
        if misplaced:  # somebody else has put them there
            self._run("unlist", *(text for job in misplaced for text in (job.id, job.executor)))
            jobs = [job for job in jobs if job not in misplaced]
        return ordered(jobs) if len(wanted) > 2 else jobs

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors; of all, if none is named."""
        found = self._run("next_due", *executors)
        return time_of_score(found) if found else None

    def overdue(self, now: int, known: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for each executor that is not known."""
        found = texts(self._run("overdue", str(now), *known))
        return {alias: int(count) for alias, count in zip(found[::2], found[1::2], strict=True)}

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[Job], replace: Callable[[Job, Job], None] | None) -> None:
        """Store jobs in one step; see the port.

        :raises ConflictingIdError: if there are some of these ids, and nothing may be replaced
        """
        stored: dict[str, Job] = {}
        for _ in range(TRIES):
            fields = [field for job in jobs for field in self._new(job, stored.get(job.id))]
            conflicts = texts(self._run("add", *fields, beside=tags_of(jobs)))
            if not conflicts:
                return
            if replace is None:
                raise ConflictingIdError(*conflicts)
            by_id = {job.id: job for job in jobs}
            for job_id in conflicts:
                stored.pop(job_id, None)
            for found in self.of(self._run("look_up", *conflicts)):
                if found.state != ENDED:
                    replace(by_id[found.id], found)
                    stored[found.id] = found
        raise StoreConflictError(
            f"Some of {len(jobs)} jobs were changed by others {TRIES} times in a row; try again"
        )

    def _new(self, job: Job, stored: Job | None) -> tuple[str, ...]:
        """Return the fields of a job that is added, or replaces a stored one; set its version."""
        spec = spec_of(job, self._format)
        if stored is None:
            job.version = new_version()
        else:
            job.version = stored.version + 1
        rest = state_of(job.state, job.next_nominal, job.next_due, job.executor, job.error)
        due = time_of(job.state, job.next_due)
        before = "" if stored is None else str(stored.version)
        return job.id, spec, str(job.version), rest, job.executor, due, before

    def save(self, job: Job, version: str, spec: str | None = None) -> bool:
        """Replace a job.

        :param version: the version that it has to have, a text; nothing for any
        :param spec: what the job is, in the form of its key; nothing to leave that as it is
        :return: whether the version was right
        :raises JobLookupError: if there is no job of that id
        """
        if spec is None:
            spec = spec_of(job, self._format)
        rest = state_of(job.state, job.next_nominal, job.next_due, job.executor, job.error)
        due = time_of(job.state, job.next_due)
        answer = self._run("save", job.id, version, spec, rest, job.executor, due, beside=tags_of((job,)))
        if answer == "gone":
            raise JobLookupError(job.id)
        if answer == "changed":
            return False
        job.version = int(answer)
        return True

    def remove(
        self,
        job_id: str,
        clock: Callable[[], int],
        send: Callable[..., Any],
    ) -> list[Run] | None:
        """Delete a job; return its waiting runs, which are cancelled. What counts its unfinished runs stays until they have ended.

        :param clock: tells the current instant
        :param send: carries out a script at an instant, with what the ends of the waiting runs leave at other jobs
        :raises JobLookupError: if there is none
        """
        answer = self._run("remove", job_id)
        if answer == "waiting":
            now = clock()
            answer = send(now, "remove", job_id, str(now))
        if answer == 0:
            raise JobLookupError(job_id)
        return None if answer == 1 else _runs_of(answer)

    def remove_all(self, now: int) -> list[Run]:
        """Delete all jobs, and cancel their waiting runs, which are returned."""
        return _runs_of(self._run("remove_all", str(now)))

    def heal(self, now: int, clock: Clock) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now, in steps; see the port."""
        cursor, pace, seen = "", Pace(retention.RESTORED), 0
        while cursor != "0":
            began = clock.monotonic()
            *answer, total = self._run("quarantined", cursor or "0", str(pace.size))
            cursor, part = texts(answer)
            jobs = self.of(part, healing=True)
            healed = [job for job in jobs if self._is_healed(job, now)]
            pace.note(len(jobs), clock.monotonic() - began)
            seen += len(jobs) - len(healed)
            yield healed, min(max(total - seen - len(healed), 0), COUNTED) if cursor != "0" else 0

    def _is_healed(self, job: Job, now: int) -> bool:
        """Let a job out of quarantine that can be restored and planned; return whether that was done."""
        if not heal(job, now):
            return False
        try:
            return self.save(job, str(job.version), spec="")
        except JobLookupError:
            return False


def _runs_of(answer: list[Any]) -> list[Run]:
    """Return the runs of an answer of keys and documents."""
    found = texts(answer)
    keys = (key.split("\0", 1) for key in found[::2])
    return [
        run_of_text(id, nominal, document) for (id, nominal), document in zip(keys, found[1::2], strict=True)
    ]
