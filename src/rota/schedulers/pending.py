"""The jobs that were added before ``start()``: they wait in a list, and go to their stores when the scheduler starts.

It stores nothing and takes no lock: whoever changes the list holds the lock of the job stores.
"""

from __future__ import annotations

from ..errors import ConflictingIdError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ..job.handle import Job

    Entry = tuple[Job, str, bool]


class PendingJobs:
    """Jobs in the order in which they were added, each with the alias of its store and whether it replaces one of its id there."""

    def __init__(self) -> None:
        #: job, alias of its store, replace_existing
        self.entries: list[Entry] = []
        #: the policies that the jobs set themselves, by alias and id; the defaults are those of the time of start()
        self._options: dict[tuple[str, str], dict[str, Any]] = {}

    def keep(self, job: Job, alias: str, replace: bool, options: dict[str, Any]) -> None:
        """Keep a job.

        :param options: the policies that were given for it
        :raises ConflictingIdError: if one of its id waits for the same store, and ``replace`` is False
        """
        # Looking through all of them for a new id would make adding 10 000 jobs take seconds instead of 0.3.
        known = self.entries if (alias, job.id) in self._options else ()
        for i, (other, other_alias, _) in enumerate(known):
            if other.id == job.id and other_alias == alias:
                if not replace:
                    raise ConflictingIdError(job.id)
                del self.entries[i]
                break
        self.entries.append((job, alias, replace))
        self._options[alias, job.id] = options

    def keep_all(
        self, jobs: Sequence[Job], alias: str, replace: bool, options: Mapping[str, dict[str, Any]]
    ) -> None:
        """Keep several jobs: all of them or, if one is refused, none.

        :param options: the policies that were given, by the ids of the jobs that were given any
        :raises ConflictingIdError: as :meth:`keep`
        """
        before = list(self.entries), dict(self._options)
        try:
            for job in jobs:
                self.keep(job, alias, replace, options.get(job.id, {}))
        except BaseException:
            self.entries[:], self._options = before
            raise

    def find(self, job_id: str, alias: str | None) -> Job | None:
        """Return the job of an id that waits for a store (None: for any), None if there is none."""
        for job, waits_for, _ in self.entries:
            if job.id == job_id and alias in (None, waits_for):
                return job
        return None

    def for_store(self, alias: str | None) -> list[Job]:
        """Return the jobs that wait for a store (None: for any)."""
        return [job for job, waits_for, _ in self.entries if alias in (None, waits_for)]

    def alias_of(self, job: Job) -> str | None:
        """Return the alias of the store that a job waits for, None if it does not wait."""
        return next((alias for waiting, alias, _ in list(self.entries) if waiting is job), None)

    def options_of(self, job: Job, alias: str) -> dict[str, Any]:
        """Return the policies that a job sets itself."""
        return self._options.get((alias, job.id), {})

    def add_options(self, job: Job, alias: str, options: Mapping[str, Any]) -> None:
        """Take note of policies that a job sets itself from now on: those of the time of start() do not take their place."""
        self._options[alias, job.id] = {**self._options.get((alias, job.id), {}), **options}

    def remove(self, job_id: str, alias: str | None) -> str | None:
        """Remove the job of an id; return the alias of the store that it waited for, None if there is none."""
        for i, (job, waits_for, _) in enumerate(self.entries):
            if job.id == job_id and alias in (None, waits_for):
                del self.entries[i]
                self._options.pop((waits_for, job.id), None)
                return waits_for
        return None

    def remove_all(self, alias: str | None) -> None:
        """Remove the jobs that wait for a store (None: for any)."""
        self.entries[:] = [entry for entry in self.entries if alias not in (None, entry[1])]
        kept = {(waits_for, job.id) for job, waits_for, _ in self.entries}
        self._options = {key: options for key, options in self._options.items() if key in kept}

    def forget_options(self, job: Job, alias: str) -> None:
        """Forget the policies of a job that has been stored."""
        self._options.pop((alias, job.id), None)

    def take_out(self, stored: Collection[int]) -> None:
        """Take entries out that have been stored, by the ids of the entries as objects."""
        self.entries[:] = [entry for entry in self.entries if id(entry) not in stored]
