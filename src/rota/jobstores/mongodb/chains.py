"""Runs that the ends of others leave at the jobs after them, in the MongoDB store.

An end that is written stands in its job's document until it is filed; what it leaves at other jobs is written before it is, by
whoever files it, and never twice. What an end starts is decided in :mod:`rota.core.chains`.
"""

from __future__ import annotations

from ...core.chains import followers, moved_on, parent_of, starts_others
from ...core.extras import extra_of
from ...errors import DeserializationError, StoreConflictError
from ..documents import run_of
from .forms import LISTS, REMOVED, REPLACEABLE, entries_of, entry_of, is_waiting, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job
    from .server import Server

#: How often the document of a job is changed against others' changes, and how many microseconds are tried for the key of a run.
TRIES, KEYS = 20, 1000


class Chains:
    """Reads the jobs after others, and writes what the ends of these leave there.

    :param server: where the documents are
    :param format: signs runs
    :param job_of: returns the job of a document
    """

    def __init__(self, server: Server, format: JobFormat, job_of: Callable[[Mapping[str, Any]], Job]) -> None:
        self._server = server
        self._format = format
        self._job_of = job_of

    def children(self, parents: Collection[str]) -> list[Job]:
        """Return the jobs that the ends of some jobs start."""
        of_parents = {"parent": {"$in": sorted(parents)}, "state": {"$nin": REPLACEABLE}}
        with self._server.translated():
            jobs = map(self._job_of, list(self._server.jobs.find(of_parents)))
            return [job for job in jobs if parent_of(job) in parents]

    def parents(self) -> list[str]:
        """Return the ids of the jobs that start others."""
        with self._server.translated():
            found = self._server.jobs.find({"parent": {"$exists": True}}, {"parent": 1})
            return sorted({document["parent"] for document in found if type(document.get("parent")) is str})

    def follow(self, ends: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
        """Write what ends leave at other jobs, as far as that is not written yet; return the ids of these jobs.

        :param ends: for the ids of jobs the entries of their runs that have ended
        :raises StoreConflictError: if others change one of these jobs all the time
        """
        ended = [run for id, entries in ends.items() for run in self._starting(id, entries)]
        children = self.children({run.job_id for run in ended}) if ended else []
        changed = []
        for parent in ended if children else ():
            for run in followers(parent, children, parent.finished_at or parent.nominal):
                if self._write(run, parent):
                    changed.append(run.job_id)
        return changed

    def _starting(self, job_id: str, entries: Sequence[Mapping[str, Any]]) -> list[Run]:
        found = []
        for entry in entries:
            try:
                run = run_of({**entry, "job_id": job_id})
            except DeserializationError:  # nobody can tell how it has ended
                continue
            if starts_others(run):
                found.append(run)
        return found

    def _write(self, run: Run, parent: Run) -> bool:
        """Write a run under the first free key; return False if it is there, or not wanted."""
        jobs, tries = self._server.jobs, 0
        for _ in range(KEYS):
            # Its document first: what moves from there to the records is in one of them at each moment.
            document = jobs.find_one({"_id": run.job_id})
            if document is None or document.get("state") == REMOVED:
                return False
            there = self._record(document, run)
            if there is not None:
                if _parent_of(there, run.job_id) == parent.id:
                    return False
                moved_on(run)
                continue
            if not self._is_open(parent):
                return False  # somebody else has filed it, and this was left before
            if not run.ended:
                self._format.sign(run)
            # A record that is written after this look comes with a new version of its job.
            condition = {"_id": run.job_id, "version": document.get("version")}
            if jobs.update_one(condition, self._change(run)).matched_count:
                return True
            tries += 1
            if tries == TRIES:
                break
        raise StoreConflictError(f"Job {run.job_id} was changed by others {TRIES} times in a row; try again")

    def _change(self, run: Run) -> dict[str, Any]:
        change: dict[str, Any] = {
            "$push": {"pending": entry_of(run)},
            "$inc": {"version": 1},
            "$set": {"busy": True},
        }
        if not run.ended:
            change["$min"] = {"not_before": extra_of(run).not_before}
        return change

    def _record(self, document: Mapping[str, Any], run: Run) -> Mapping[str, Any] | None:
        """Return the entry or record of a run's key, None if it is free."""
        for name in LISTS:
            for entry in entries_of(document, name):
                if entry.get("nominal") == run.nominal:
                    return entry
        found: Mapping[str, Any] | None = self._server.runs.find_one({"_id": key_of(run.job_id, run.nominal)})
        return found

    def _is_open(self, parent: Run) -> bool:
        """Whether the end of a run is still to be filed."""
        document = self._server.jobs.find_one({"_id": parent.job_id}, {"pending": 1}) or {}
        return any(
            (entry.get("nominal"), entry.get("attempt")) == (parent.nominal, parent.attempt)
            and not is_waiting(entry)
            for entry in entries_of(document, "pending")
        )


def _parent_of(entry: Mapping[str, Any], job_id: str) -> str | None:
    try:
        return extra_of(run_of({**entry, "job_id": job_id})).parent
    except DeserializationError:
        return None
