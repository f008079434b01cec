"""The jobs of the Redis store: to fields of scripts and back, added, saved, listed, and let out of quarantine.

The atomic steps are in ``job_scripts``.
"""

from __future__ import annotations

from random import getrandbits

from ...core.states import ACTIVE, ENDED
from ...errors import ConflictingIdError, JobLookupError, StoreConflictError
from ..documents import heal, ordered
from . import job_scripts as scripts
from .forms import ids_of, jobs_of, spec_of, state_of, time_of
from .runs import AT_ONCE, TRIES
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
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

    def all(self) -> list[Job]:
        """Return all jobs in the order of listings."""
        jobs = (job for part in self._scan(scripts.LIST) for job in self.of(part))
        return ordered({job.id: job for job in jobs if job.state != ENDED}.values())

    def select(self, state: Collection[str] | None, limit: int | None, offset: int) -> list[Job]:
        """Return a page of the jobs; see the port."""
        if state is None and limit is None:
            return self.all()[offset:]
        end = None if limit is None else offset + limit
        ids: list[str] = []
        if end and (state is None or ACTIVE in state):
            ids = ids_of(self._run(scripts.SOONEST, str(end)))
        if end is None or len(ids) < end:
            ids = ids_of("".join(self._scan(scripts.FIND, *(state or ()))))
        ids = ids[offset:end]
        found: dict[str, Job] = {}
        for first in range(0, len(ids), AT_ONCE):
            part = self._run(scripts.LOOK_UP, *ids[first : first + AT_ONCE])
            found.update((job.id, job) for job in self.of(part) if job.state != ENDED)
        return [found[job_id] for job_id in ids if job_id in found]

    def _scan(self, script: str, *fields: str) -> Iterator[str]:
        """Carry out a script that answers in parts, a cursor with each."""
        cursor = "0"
        while True:
            cursor, part = texts(self._run(script, cursor, *fields))
            yield part
            if cursor == "0":
                return

    # -- writing -------------------------------------------------------------------------------------------------

    def add_many(self, jobs: Sequence[Job], replace: Callable[[Job, Job], None] | None) -> None:
        """Store jobs in one step; see the port.

        :raises ConflictingIdError: if there are some of these ids, and nothing may be replaced
        """
        stored: dict[str, Job] = {}
        for _ in range(TRIES):
            fields = [field for job in jobs for field in self._new(job, stored.get(job.id))]
            conflicts = texts(self._run(scripts.ADD, *fields))
            if not conflicts:
                return
            if replace is None:
                raise ConflictingIdError(*conflicts)
            by_id = {job.id: job for job in jobs}
            for job_id in conflicts:
                stored.pop(job_id, None)
            for found in self.of(self._run(scripts.LOOK_UP, *conflicts)):
                if found.state != ENDED:
                    replace(by_id[found.id], found)
                    stored[found.id] = found
        raise StoreConflictError(
            f"Some of {len(jobs)} jobs were changed by others {TRIES} times in a row; try again"
        )

    def _new(self, job: Job, stored: Job | None) -> tuple[str, ...]:
        """Return the fields of a job that is added, or takes the place of a stored one; sets its version."""
        spec = spec_of(job, self._format)
        if stored is None:
            # Starts anywhere, so that a decision about a removed job of the same id cannot be taken for one about this job.
            job.version = getrandbits(40)
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
        answer = self._run(scripts.SAVE, job.id, version, spec, rest, job.executor, due)
        if answer == "gone":
            raise JobLookupError(job.id)
        if answer == "changed":
            return False
        job.version = int(answer)
        return True

    def is_healed(self, job: Job, now: int) -> bool:
        """Let a job out of quarantine that can be restored and planned; return whether that was done."""
        if not heal(job, now):
            return False
        try:
            return self.save(job, str(job.version), spec="")
        except JobLookupError:
            return False
