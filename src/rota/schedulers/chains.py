"""Jobs that are started by the ends of others: what is refused, and who is told before they are stored: their stores and parents.

What is a chain is decided in :mod:`rota.core.chains`.
"""

from __future__ import annotations

from ..core.chains import has_inside, parent_of, trouble
from ..errors import ChainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .pending import PendingJobs

#: How often a parent is marked against others' changes.
TRIES = 50


class _Known:
    """The jobs that chains are made of: new ones, and those of a store or those that wait for it.

    :param new: jobs that are about to be stored
    :param store: the store; None: they are to wait for ``start()``
    :param pending: the jobs that wait for the same store
    """

    def __init__(self, new: Sequence[Job], store: BaseJobStore | None, pending: Sequence[Job]) -> None:
        self.new = {job.id: job for job in new}
        self._jobs = {job.id: job for job in pending} | self.new
        self._store = store
        if store is not None:
            store.look_for_parents()

    def parent_of(self, job_id: str) -> str | None:
        """Return the id of the job of which ended runs start a job."""
        job = self.find(job_id)
        return None if job is None else parent_of(job)

    def find(self, job_id: str) -> Job | None:
        """Return a job as it is to be, or is."""
        job = self._jobs.get(job_id)
        return job if job is not None or self._store is None else self._store.lookup_job(job_id)

    def children_of(self, job_id: str) -> list[str]:
        """Return the ids of the jobs that the ends of a job start."""
        found = {id for id, job in self._jobs.items() if parent_of(job) == job_id}
        if self._store is not None and self._store.may_start_others(job_id):
            found.update(job.id for job in self._store.children((job_id,)) if job.id not in self._jobs)
        return sorted(found)


class Places:
    """Where jobs are that may follow each other: the stores of a scheduler, and the jobs that wait for ``start()``.

    :param stores: by alias
    :param pending: the jobs that wait
    :param is_open: whether calls go to the stores
    """

    def __init__(self, stores: Mapping[str, BaseJobStore], pending: PendingJobs, is_open: bool) -> None:
        self._stores = stores
        self._pending = pending
        self._is_open = is_open

    def check(self, jobs: Sequence[Job], alias: str) -> list[Job]:
        """Refuse jobs that cannot be started by the ends of others; return those that are.

        :param jobs: jobs that are about to be stored, or to wait
        :param alias: the alias of their store
        :raises ChainError: if one of them cannot
        """
        started = [job for job in jobs if parent_of(job) is not None]
        for job in jobs:
            if job not in started and has_inside(job.trigger):
                raise ChainError(
                    f'trigger of job "{job.id}" must be After(…) itself, got one inside {job.trigger}; add a job for each: one '
                    f"with After(…), one with the schedule"
                )
        if not started:
            return []
        store = self._stores.get(alias)
        if store is not None and not store.starts_chains:
            raise ChainError(
                f'jobstore of job "{started[0].id}" must be one whose runs start others, got {type(store).__name__}, which has '
                f"no ledger of its own; keep both jobs in one of Rota's stores, or give the job a schedule of its own"
            )
        pending = () if self._is_open else self._pending.for_store(alias)
        known = _Known(jobs, store if self._is_open else None, pending)
        for job in started:
            parent = parent_of(job) or ""
            self._check_place(job, parent, alias, known)
            said = trouble(job.id, parent, known.parent_of, known.children_of)
            if said is not None:
                raise ChainError(
                    f'trigger of job "{job.id}" must be one that it can have, got {job.trigger}: that {said}'
                )
        return started

    def _check_place(self, job: Job, parent: str, alias: str, known: _Known) -> None:
        """Refuse a parent that is in another store; one that is in none may be added later."""
        if parent == job.id or known.find(parent) is not None:
            return
        for other, store in self._stores.items():
            found = store.lookup_job(parent) if self._is_open else self._pending.find(parent, other)
            if other != alias and found is not None:
                raise ChainError(
                    f'job_id must be the id of a job of the same store as job "{job.id}" ({alias!r}), got {parent!r}, which is '
                    f"in {other!r}; add one of them to the other's store (jobstore={other!r})"
                )

    def prepare(self, jobs: Sequence[Job], alias: str, may_write: bool = True) -> None:
        """Refuse what :meth:`check` refuses, and let the store and parents know of children that are about to be stored.

        A parent is marked before its child is there, so that no run that is claimed afterwards ends without a look at its children.

        :param may_write: whether parents may be marked now: not inside a transaction of the caller's
        :raises ChainError: as :meth:`check`
        """
        started = self.check(jobs, alias)
        store = self._stores.get(alias)
        if store is None:
            return
        new = {job.id: job for job in jobs}
        for job in started:
            parent = parent_of(job) or ""
            store.note_child(parent, job.id)
            if parent in new:
                new[parent].chained = True
            elif store.durable and may_write:
                _mark(store, parent)
        for job in jobs:
            if store.durable and store.may_start_others(job.id):
                job.chained = True


def _mark(store: BaseJobStore, parent: str) -> None:
    """Have a stored job say that it starts others; if it is not there, its store knows."""
    for _ in range(TRIES):
        job = store.lookup_job(parent)
        if job is None or job.chained:
            return
        draft = job.copy()
        draft.chained = True
        try:
            if store.save_job(draft, job.version):
                return
        except KeyError:  # it has gone in between
            return
