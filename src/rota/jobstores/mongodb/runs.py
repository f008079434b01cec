"""The claim protocol of the MongoDB store, its second half: finish, give back, take over. Claims are in ``claims``.

A run that has ended moves from ``under_way`` to ``pending`` of its job's document by one conditional update, which is its fence;
from there it is filed in the collection of runs. Whatever a dead process has left in ``pending``, others file.
It decides nothing that the planner has decided.
"""

from __future__ import annotations

from contextlib import suppress
from operator import attrgetter

from pymongo import ReplaceOne, UpdateMany, UpdateOne

from ...codec.unrestored import can_run
from ...core.orphans import by_job, linked, sort_out
from ...errors import HeldRowsError, StoreError
from .forms import (
    OVER,
    collect,
    damage_of_run,
    entries_of,
    entry_of,
    identity_of,
    key_of,
    numbered,
    size_of,
)
from .jobs import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...core.orphans import Search
    from ...core.run import Run
    from ...job.handle import Job
    from .damage import Damage
    from .jobs import Jobs
    from .leases import Leases
    from .server import Server

#: How many jobs one question names.
BATCH = 500
#: How many bytes of records a job's document gets at once, before they are filed.
ROOM = 1_000_000
#: How often a rescue is tried against others' changes.
TRIES = 10


class Runs:
    """Reads and writes the runs of one store that are under way, or not filed.

    :param server: where the documents are
    :param jobs: reads the jobs of runs
    :param leases: tells which nodes are alive
    :param damage: puts right what is damaged
    """

    def __init__(self, server: Server, jobs: Jobs, leases: Leases, damage: Damage) -> None:
        self._server = server
        self._jobs = jobs
        self._leases = leases
        self._damage = damage

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(self, runs: Sequence[Run]) -> list[Run]:
        """Write how runs ended; return those whose end is refused (R5).

        :raises HeldRowsError: if somebody holds the documents of some; the others are written
        """
        refused: list[Run] = []
        held: list[Run] = []
        for some in _rounds(runs):
            try:
                refused += self._finish(some)
            except HeldRowsError as exc:
                held += exc.runs
        if held:
            raise HeldRowsError(
                f"The documents of {len(held)} runs, such as {held[0]!r}, are in somebody's open transaction",
                held,
                refused,
            )
        return refused

    def _finish(self, ended: Sequence[tuple[Run, dict[str, Any]]]) -> list[Run]:
        """Write ends in one round; return the runs whose end is refused."""
        runs, ends = [run for run, _ in ended], [end for _, end in ended]
        updates = [_end_of(run, end) for run, end in ended]
        ids = sorted({run.job_id for run in runs})
        try:
            with self._server.translated():
                matched = self._server.jobs.bulk_write(updates, ordered=False).matched_count
        except HeldRowsError as exc:
            with self._server.translated():
                # Of these some may be refused: that is found out when they are tried again.
                left = self._refused(runs, ends, ids)
            self.file(ids)
            if not left:
                return []
            raise HeldRowsError(str(exc), left) from exc
        except StoreError:
            if not self._damage.mend_lists(ids):
                raise
            return self._finish(ended)
        with self._server.translated():
            refused = [] if matched == len(runs) else self._refused(runs, ends, ids)
        self.file(ids)
        return refused

    def _refused(
        self, runs: Sequence[Run], ends: Sequence[Mapping[str, Any]], ids: Sequence[str]
    ) -> list[Run]:
        """Return the runs whose very end is neither pending nor filed (R5)."""
        written: set[tuple[Any, ...]] = set()
        for document in self._server.jobs.find({"_id": {"$in": ids}}, {"pending": 1}):
            written.update(identity_of(document["_id"], entry) for entry in entries_of(document, "pending"))
        keys = [key_of(run.job_id, run.nominal) for run in runs]
        for document in self._server.runs.find({"_id": {"$in": keys}}):
            written.add(identity_of(document["_id"]["job_id"], document))
        return [
            run for run, end in zip(runs, ends, strict=True) if identity_of(run.job_id, end) not in written
        ]

    def file(self, ids: Sequence[str]) -> None:
        """File what has ended of some jobs, let jobs become due that waited for it, and forget what is over.

        Where somebody holds a document, that is left to whoever looks for what is not filed.
        """
        with suppress(HeldRowsError):
            self._file(ids)

    def _file(self, ids: Sequence[str]) -> None:
        jobs = self._server.jobs
        with self._server.translated():
            ready = list(
                jobs.find({"_id": {"$in": list(ids)}, "pending.0": {"$exists": True}}, {"pending": 1})
            )
            files, pulls = [], []
            for document in ready:
                id, entries = document["_id"], list(numbered(entries_of(document, "pending")))
                for entry in entries:
                    key = key_of(id, entry["nominal"])
                    files.append(ReplaceOne({"_id": key}, {"_id": key, "job_id": id, **entry}, upsert=True))
                nominals = [entry["nominal"] for entry in entries]
                pulls.append(UpdateOne({"_id": id}, {"$pull": {"pending": {"nominal": {"$in": nominals}}}}))
            if files:
                self._server.runs.bulk_write(files, ordered=False)
            # R6: a job that waited for its runs becomes due, and one whose schedule is over goes with its last run.
            idle = {"_id": {"$in": list(ids)}, "under_way": [], "pending": []}
            jobs.bulk_write([*pulls, *release(list(ids)), UpdateMany(idle, {"$unset": {"busy": 1}})])
            jobs.delete_many({**idle, "state": {"$in": OVER}})

    def leftovers(self) -> list[str]:
        """Return jobs whose ended runs are not filed, some of them."""
        unfiled = {"busy": True, "pending.0": {"$exists": True}}
        with self._server.translated():
            return [found["_id"] for found in self._server.jobs.find(unfiled, {"_id": 1}).limit(BATCH)]

    # -- what a node has in hand ---------------------------------------------------------------------------------

    def keep(self, node: str, in_hand: Collection[Run], now: int) -> list[Run]:
        """Make sure of a node's runs after its lease had run out; return those that are not its any more.

        The documents of the other runs are changed: a node that has seen the lease run out cannot take them any more.
        """
        kept = {"$set": {"under_way.$.kept": now}}
        updates = [UpdateOne({"_id": run.job_id, "under_way": _fence_of(run)}, kept) for run in in_hand]
        held = set()
        with self._server.translated():
            if updates:
                self._server.jobs.bulk_write(updates, ordered=False)
            for document in self._server.jobs.find({"busy": True, "under_way.owner": node}, {"under_way": 1}):
                for entry in entries_of(document, "under_way"):
                    if entry.get("owner") == node:
                        held.add(repr((document["_id"], entry.get("nominal"), entry.get("attempt"))))
        return [run for run in in_hand if repr((run.job_id, run.nominal, run.attempt)) not in held]

    def give_back(self, runs: Sequence[Run]) -> None:
        """Leave claimed runs, which were not started, to whoever comes first."""
        if runs:
            given = {"$set": {"under_way.$.owner": None}}
            updates = [UpdateOne({"_id": run.job_id, "under_way": _fence_of(run)}, given) for run in runs]
            with self._server.translated():
                self._server.jobs.bulk_write(updates, ordered=False)

    def is_busy(self, node: str) -> bool:
        """Whether runs of a node are under way."""
        with self._server.translated():
            of_node = {"busy": True, "under_way.owner": node}
            return self._server.jobs.find_one(of_node, {"_id": 1}) is not None

    # -- orphans -------------------------------------------------------------------------------------------------

    def rescue(
        self,
        search: Search,
        now: int,
        clock: Callable[[], int],
        job_of: Callable[[Mapping[str, Any]], Job],
        refusal: Callable[[Run], str | None],
    ) -> list[Run]:
        """Take over runs that no living node owns, or end them; return those.

        :param clock: tells ``now`` as time goes on
        :param refusal: says why a run is not trusted, None if it is
        """
        found: list[Run] = []
        for _ in range(TRIES):
            documents = self._busy()
            damaged = self._damage.end_damaged(documents, now)
            found += damaged
            if damaged:
                documents = self._busy()
            self._file_leftovers(documents)
            living = self._leases.alive(now, clock)
            if search.node not in living:
                break  # its own runs may not be its own any more
            orphans = _orphans(documents, search, living)
            if not orphans:
                break
            by_id = {document["_id"]: document for document in documents}
            found_jobs = self._jobs.some({run.job_id for run in orphans})
            jobs = {job.id: job for job in map(job_of, found_jobs)}
            changed = sort_out(
                orphans, jobs, search.node, now, search.left, search.known, refusal, can_run=can_run
            )
            taken = self._take(changed, by_id)
            search.note(taken)
            found += taken
            if len(taken) == len(changed):
                break
        linked(found)
        return found

    def _busy(self) -> list[dict[str, Any]]:
        """Return the documents of jobs with runs that have not ended, or are not filed."""
        with self._server.translated():
            return list(self._server.jobs.find({"busy": True}))

    def _file_leftovers(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """File what a dead process may have left."""
        ids = [document["_id"] for document in documents if document.get("pending")]
        if ids:
            self.file(ids)

    def _take(self, changed: Sequence[Run], documents: Mapping[str, Mapping[str, Any]]) -> list[Run]:
        """Write what becomes of orphaned runs; return them, without the runs of jobs that others have changed meanwhile."""
        of_job = by_job(changed)
        taken: list[Run] = []
        lost: list[str] = []
        with self._server.translated():
            for job_id, runs in of_job.items():
                seen = documents[job_id]
                left = {entry.get("nominal"): entry for entry in entries_of(seen, "under_way")}
                ended = []
                for run in runs:
                    if run.ended:
                        del left[run.nominal]
                        ended.append(entry_of(run))
                    else:
                        left[run.nominal] = entry_of(run)
                # R1, and none of the job's runs has changed either.
                condition = {"_id": job_id, "version": seen.get("version"), "under_way": seen["under_way"]}
                change: dict[str, Any] = {"$set": {"under_way": list(left.values())}}
                if ended:
                    change["$push"] = {"pending": {"$each": ended}}
                    lost.append(job_id)
                with suppress(HeldRowsError), self._server.translated():
                    if self._server.jobs.update_one(condition, change).matched_count:
                        taken += runs
        if lost:
            self.file(lost)
        return taken


def _orphans(documents: Iterable[Mapping[str, Any]], search: Search, living: Collection[str]) -> list[Run]:
    """Return the runs in these documents that a node may take over, oldest first."""
    found: dict[tuple[str, int], Run] = {}
    for document in documents:
        for entry in entries_of(document, "under_way"):
            if damage_of_run(document, entry):
                continue
            if search.is_orphan(document["_id"], entry["nominal"], entry.get("owner"), living):
                collect(found, {**entry, "job_id": document["_id"]})
    return sorted(found.values(), key=attrgetter("nominal"))


def _rounds(runs: Sequence[Run]) -> Iterator[list[tuple[Run, dict[str, Any]]]]:
    """Return ended runs with their records, those of one job in as many parts as its document has no room for together."""
    left = [(run, entry_of(run)) for run in runs]
    if not left:
        return
    if len({run.job_id for run in runs}) == len(runs):  # as nearly always
        yield left
        return
    while left:
        fitting: list[tuple[Run, dict[str, Any]]] = []
        later: list[tuple[Run, dict[str, Any]]] = []
        sizes: dict[str, int] = {}
        for run, end in left:
            before = sizes.get(run.job_id, 0)
            size = sizes[run.job_id] = before + size_of(end)
            (later if before and size > ROOM else fitting).append((run, end))
        yield fitting
        left = later


def _fence_of(run: Run) -> dict[str, Any]:
    """Return the condition that a run under way is of this owner and attempt (R5)."""
    return {"$elemMatch": {"nominal": run.nominal, "attempt": run.attempt, "owner": run.owner}}


def _end_of(run: Run, end: Mapping[str, Any]) -> UpdateOne:
    """Return the update that moves a run under way to those that have ended, if its end is accepted (R5)."""
    change = {"$pull": {"under_way": {"nominal": run.nominal}}, "$push": {"pending": end}}
    return UpdateOne({"_id": run.job_id, "under_way": _fence_of(run)}, change)
