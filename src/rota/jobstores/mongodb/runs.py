"""The claim protocol of the MongoDB store: claim, finish, give back, take over; each a conditional update of a job's document.

A claim is guarded by the job's version. A run that has ended moves from ``under_way`` to ``pending`` of its job's document by an
update that is its fence; from there it is filed. What the server refuses together is tried one by one. It decides nothing that the
planner has decided.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from operator import attrgetter
from os import urandom

from pymongo import UpdateOne

from ...codec.damaged import is_damaged
from ...core.orphans import by_job
from ...core.pauses import counting
from ...core.plan import quarantined_instead
from ...core.policy import Policy
from ...core.recorded import first_nominal, firsts_of, leave_out_recorded, ranges_of
from ...core.states import ENDED
from ...core.transitions import marked, moved, rooms_of
from ...core.tries import end_superseded, is_unasked
from ...errors import HeldRowsError, StoreConflictError, StoreError, StoreUnavailableError
from ...interrupts import is_interrupt
from ...texts import error_text, shortened
from .failures import counted, together
from .forms import LISTS, collect, damage_of_run, entries_of, entry_of, identity_of, is_waiting, key_of
from .run_updates import (
    change_of_end,
    claim_of,
    end_of,
    fence_of,
    fence_of_end,
    has_heard,
    lasts_of,
    rounds_of,
    superseding_claim_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Any

    from ...core.orphans import Search
    from ...core.plan import Decision
    from ...core.run import Run
    from ...job.handle import Job
    from ..retention import Retention
    from .damage import Damage
    from .filing import Filing
    from .history import History
    from .jobs import Jobs
    from .leases import Leases
    from .server import Server

#: How many keys, and how many ranges of times, one question names.
BATCH = 500
RANGES = 100
#: How often a rescue is tried against others' changes.
TRIES = 10
#: How often the end of a run is tried that counts towards the pause of its job.
COUNTED_TRIES = 100


class Runs:
    """Reads and writes the runs of one store that are under way.

    :param server: where the documents are
    :param jobs: reads the jobs of runs
    :param leases: tells which nodes are alive
    :param damage: puts right what is damaged
    :param filing: files records
    :param history: reads records
    :param bounds: counts records
    """

    def __init__(
        self,
        server: Server,
        jobs: Jobs,
        leases: Leases,
        damage: Damage,
        filing: Filing,
        history: History,
        bounds: Retention,
    ) -> None:
        self._server = server
        self._jobs = jobs
        self._leases = leases
        self._damage = damage
        self._filing = filing
        self._history = history
        self._bounds = bounds
        #: of the jobs that were due last: version, and the last times of the runs and records in the document
        self._seen: dict[str, tuple[int, tuple[int, ...]]] = {}

    # -- claim ---------------------------------------------------------------------------------------------------

    def note(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take note of the documents of due jobs, so that a claim need not look at them again."""
        self._seen = {
            document["_id"]: (document.get("version", 0), lasts_of(document)) for document in documents
        }

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out the decisions whose job is as it was when they were made, and has room (R1, R2); return those."""
        damaged = [decision for decision in decisions if is_damaged(decision.error)]
        if damaged:
            sound = [decision for decision in decisions if decision not in damaged]
            return [*self._damage.claim(damaged), *(self.claim(sound, node, now) if sound else ())]
        token = urandom(8).hex()
        for decision in decisions:
            marked(decision, node, now)
        self._leave_out_recorded(decisions)
        try:
            matched = self._write(decisions, token, now)
        except BaseException as exc:
            if not (_is_refusal(exc) or isinstance(exc, HeldRowsError)):
                raise
            won = self._claim_singly(decisions, node, token, now)
        else:
            with self._server.translated():
                won = list(decisions) if matched == len(decisions) else self._won(decisions, node, token)
        for decision in won:
            moved(decision)
            end_superseded(decision.superseded, now)
            self._bounds.count(decision.job.id, len(decision.runs) + len(decision.records))
        filed = [
            decision.job.id
            for decision in won
            if decision.records or decision.state == ENDED or decision.superseded
        ]
        if filed:
            self._filing.file(filed, ask=False)
        return won

    def _write(self, decisions: Sequence[Decision], token: str, now: int) -> int:
        """Write claims; return how many documents met their conditions."""
        superseding = [decision for decision in decisions if decision.superseded]
        updates = [claim_of(decision, token) for decision in decisions if decision not in superseding]
        with self._server.translated():
            updates += self._superseding(superseding, token, now) if superseding else []
            return int(self._server.jobs.bulk_write(updates, ordered=False).matched_count) if updates else 0

    def _superseding(self, decisions: Sequence[Decision], token: str, now: int) -> list[UpdateOne]:
        """Return the claims of decisions that end waiting retries, as far as they can be carried out."""
        ids = [decision.job.id for decision in decisions]
        documents = {document["_id"]: document for document in self._server.jobs.find({"_id": {"$in": ids}})}
        updates = (
            superseding_claim_of(decision, token, documents[decision.job.id], now)
            for decision in decisions
            if decision.job.id in documents
        )
        return [update for update in updates if update is not None]

    def _claim_singly(self, decisions: Sequence[Decision], node: str, token: str, now: int) -> list[Decision]:
        """Carry out one by one what was refused together; a job whose claim is refused alone goes into quarantine."""
        with self._server.translated():
            won = self._won(decisions, node, token)
        for decision in decisions:
            if decision in won:
                continue
            try:
                matched = self._write([decision], token, now)
            except HeldRowsError:  # it is tried again by a later pass
                continue
            except BaseException as exc:
                if not _is_refusal(exc):
                    raise
                quarantined_instead(
                    decision, f"its store refuses its claim: {shortened(error_text(exc), 2000)}"
                )
                matched = self._write([decision], token, now)
            if matched:
                won.append(decision)
        return won

    def _won(self, decisions: Sequence[Decision], node: str, token: str) -> list[Decision]:
        """Return the decisions that were carried out by the request of that token.

        Runs and records have the token, and no other claim writes them; of decisions that write neither the document has it.
        """
        ids = [decision.job.id for decision in decisions]
        fields = {"claim": 1, "under_way": 1, "pending": 1}
        wrote, named = set(), set()
        for document in self._server.jobs.find({"_id": {"$in": ids}}, fields):
            entries = [entry for name in LISTS for entry in entries_of(document, name)]
            if any(entry.get("claim") == token and entry.get("owner") == node for entry in entries):
                wrote.add(document["_id"])
            if document.get("claim") == token:
                named.add(document["_id"])
        unseen = [decision for decision in decisions if not decision.runs and decision.job.id not in wrote]
        keys = [
            key_of(decision.job.id, decision.records[0].nominal) for decision in unseen if decision.records
        ]
        if keys:  # others may have filed what was pending
            filed = self._server.runs.find({"_id": {"$in": keys}, "claim": token}, {"_id": 1})
            wrote.update(document["_id"]["job_id"] for document in filed)
        return [
            decision
            for decision in decisions
            if decision.job.id in (wrote if decision.runs or decision.records else named)
        ]

    def _leave_out_recorded(self, decisions: Sequence[Decision]) -> None:
        """Take out of decisions what has a record already (R4): the job was removed and added again, or set back by its user.

        The runs under way are looked at first, then the filed ones, as runs move in that direction. A record that is written after
        this look comes with a new version of its job.
        """
        seen = self._seen
        taken: dict[str, set[int]] = {}
        unseen = []
        for decision in decisions:
            version, lasts = seen.get(decision.job.id, (None, ()))
            if version != decision.version:
                unseen.append(decision.job.id)
            elif lasts:
                taken[decision.job.id] = set(lasts)
        with self._server.translated():
            if unseen:
                for document in self._server.jobs.find({"_id": {"$in": unseen}, "busy": {"$exists": True}}):
                    taken[document["_id"]] = set(lasts_of(document))
            keys = [
                key_of(record.job_id, record.nominal)
                for decision in decisions
                for record in (*decision.runs, *decision.records)
            ]
            for start in range(0, len(keys), BATCH):
                some = {"_id": {"$in": keys[start : start + BATCH]}}
                for found in self._server.runs.find(some, {"_id": 1}):
                    taken.setdefault(found["_id"]["job_id"], set()).add(found["_id"]["nominal"])
            among = [
                {"job_id": job_id, "nominal": {"$gt": first, "$lte": last}}
                for job_id, first, last in ranges_of(decisions)
            ]
            for start in range(0, len(among), RANGES):
                within = {"$or": among[start : start + RANGES]}
                for found in self._server.runs.find(within, {"job_id": 1, "nominal": 1}):
                    taken.setdefault(found["job_id"], set()).add(found["nominal"])
        reached = {job_id for job_id, first in firsts_of(decisions) if self._history.reaches(job_id, first)}
        for decision in decisions:
            used = taken.get(decision.job.id)
            since = first_nominal(decision)
            if since is not None and (decision.job.id in reached or (used and max(used) >= since)):
                leave_out_recorded(decision, self._history.recorded(decision.job.id, since))

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(self, runs: Sequence[Run], now: int, job_of: Callable[[Mapping[str, Any]], Job]) -> list[Run]:
        """Write how runs ended; return those whose end is refused (R5).

        :param now: instant
        :param job_of: makes a job of a document
        :raises HeldRowsError: if somebody holds the documents of some; the others are written
        """
        refused: list[Run] = []
        held: list[Run] = []
        if Policy.some_pause and (ends := counting(runs)):
            runs = [run for run in runs if run not in ends]
            for run in sorted(ends, key=lambda run: run.finished_at or now):
                try:
                    refused += self._finish_counted(run, now, job_of)
                except HeldRowsError:
                    held.append(run)
        for some in rounds_of(runs):
            try:
                refused += self._finish(some, now)
            except HeldRowsError as exc:
                held += exc.runs
        if held:
            raise HeldRowsError(
                f"The documents of {len(held)} runs, such as {held[0]!r}, are in somebody's open transaction",
                held,
                refused,
            )
        return refused

    def _finish(self, ended: Sequence[tuple[Run, dict[str, Any]]], now: int) -> list[Run]:
        """Write ends in one round; return the runs whose end is refused."""
        runs, ends = [run for run, _ in ended], [end for _, end in ended]
        updates = [end_of(run, end) for run, end in ended]
        ids = sorted({run.job_id for run in runs})
        try:
            with self._server.translated():
                matched = self._server.jobs.bulk_write(updates, ordered=False).matched_count
        except HeldRowsError as exc:
            with self._server.translated():
                # Of these some may be refused: that is found out when they are tried again.
                left = self._refused(runs, ends, ids)
            self._filing.file(ids, ask=False)
            self._filing.let_go_on(rooms_of(runs))
            if not left:
                return []
            raise HeldRowsError(str(exc), left) from exc
        except StoreError:
            if not self._damage.mend_lists(ids):
                raise
            return self._finish(ended, now)
        with self._server.translated():
            refused = [] if matched == len(runs) else self._refused(runs, ends, ids)
            asked = [run for run in refused if self._has_heard(run, now)]
        self._filing.file(ids, ask=False)
        self._filing.let_go_on(rooms_of(runs))
        if asked:
            left = self._finish([(run, entry_of(run)) for run in asked], now)
            return [run for run in refused if run not in asked or run in left]
        return refused

    def _has_heard(self, run: Run, now: int) -> bool:
        """Let a run that has failed know if somebody had asked it to stop before; return whether somebody had."""
        mine = {"_id": run.job_id, "under_way": fence_of(run)}
        found = self._server.jobs.find_one(mine, {"under_way": 1}) if is_unasked(run) else None
        return found is not None and has_heard(run, found, now)

    def _finish_counted(
        self, run: Run, now: int, job_of: Callable[[Mapping[str, Any]], Job]
    ) -> Sequence[Run]:
        """Write the end of a run, with what that counts towards the pause of its job; return the run if it is refused."""
        end = entry_of(run)
        for _ in range(COUNTED_TRIES):
            with self._server.translated():
                document = self._server.jobs.find_one({"_id": run.job_id, "under_way": fence_of(run)})
                if document is None:
                    return self._refused([run], [end], [run.job_id])
            if has_heard(run, document, now):
                end = entry_of(run)
            left = len(entries_of(document, "under_way")) - 1
            more = counted(job_of(document), [run], left, now)
            if not more:
                return self._finish([(run, end)], now)
            condition = {
                "_id": run.job_id,
                "under_way": fence_of_end(run),
                "version": document.get("version"),
            }
            with self._server.translated():
                matched = self._server.jobs.update_one(condition, together(change_of_end(run, end), more))
            if matched.matched_count:
                self._filing.file([run.job_id], ask=False)
                self._filing.let_go_on(rooms_of([run]))
                return ()
        raise StoreConflictError(
            f"Job {run.job_id!r} was changed by others {COUNTED_TRIES} times in a row, while the end of a run was written"
        )

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

    # -- what a node has in hand ---------------------------------------------------------------------------------

    def keep(self, node: str, in_hand: Collection[Run], now: int) -> list[Run]:
        """Make sure of a node's runs after its lease had run out; return those that are not its any more.

        The documents of the other runs are changed: a node that has seen the lease run out cannot take them any more.
        """
        kept = {"$set": {"under_way.$.kept": now}}
        updates = [UpdateOne({"_id": run.job_id, "under_way": fence_of(run)}, kept) for run in in_hand]
        held = set()
        with self._server.translated():
            if updates:
                self._server.jobs.bulk_write(updates, ordered=False)
            for document in self._server.jobs.find({"busy": True, "under_way.owner": node}, {"under_way": 1}):
                for entry in entries_of(document, "under_way"):
                    if entry.get("owner") == node:
                        held.add(repr((document["_id"], entry.get("nominal"), entry.get("attempt"))))
        return [run for run in in_hand if repr((run.job_id, run.nominal, run.attempt)) not in held]

    def leave(self, runs: Sequence[Run]) -> None:
        """Leave claimed runs, which were not started, to whoever comes first."""
        if runs:
            given = {"$set": {"under_way.$.owner": None}}
            updates = [UpdateOne({"_id": run.job_id, "under_way": fence_of(run)}, given) for run in runs]
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
    ) -> list[Run]:
        """Take over runs that no living node owns, or end them; return those.

        :param clock: tells ``now`` as time goes on
        """

        def look() -> tuple[list[Run], bool]:
            documents = self._busy()
            damaged = self._damage.end_damaged(documents, now)
            if damaged:
                documents = self._busy()
            self._file_leftovers(documents)
            waiting = [document["_id"] for document in documents if "not_before" in document]
            if waiting:
                self._filing.settle(waiting)
            living = self._leases.alive(now, clock)
            # The own runs of a node whose lease is over may not be its own any more.
            orphans = _orphans(documents, search, living) if search.node in living else []
            if not orphans:
                return damaged, True
            by_id = {document["_id"]: document for document in documents}
            found_jobs = self._jobs.some({run.job_id for run in orphans})
            jobs = {job.id: job for job in map(job_of, found_jobs)}
            changed = search.sort_out(orphans, jobs, now)
            taken = self._take(changed, by_id, jobs, now)
            return [*damaged, *taken], len(taken) == len(changed)

        return search.rescue(partial(range, TRIES), look)

    def _busy(self) -> list[dict[str, Any]]:
        """Return the documents of jobs with runs that have not ended, or are not filed."""
        with self._server.translated():
            return list(self._server.jobs.find({"busy": True}))

    def _file_leftovers(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """File what a dead process may have left."""
        ids = [
            document["_id"]
            for document in documents
            if not all(map(is_waiting, entries_of(document, "pending")))
        ]
        if ids:
            self._filing.file(ids)

    def _take(
        self,
        changed: Sequence[Run],
        documents: Mapping[str, Mapping[str, Any]],
        jobs: Mapping[str, Job],
        now: int,
    ) -> list[Run]:
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
                    over = [run for run in runs if run.ended]
                    change = together(change, counted(jobs.get(job_id), over, len(left), now))
                with suppress(HeldRowsError), self._server.translated():
                    if self._server.jobs.update_one(condition, change).matched_count:
                        taken += runs
        if lost:
            self._filing.file(lost)
        return taken


def _orphans(documents: Iterable[Mapping[str, Any]], search: Search, living: Collection[str]) -> list[Run]:
    """Return the runs in these documents that a node may take over, oldest first."""
    found: dict[tuple[str, int], Run] = {}
    for document in documents:
        for entry in entries_of(document, "under_way"):
            if is_waiting(entry) or damage_of_run(document, entry):
                continue
            if search.is_orphan(document["_id"], entry["nominal"], entry.get("owner"), living):
                collect(found, {**entry, "job_id": document["_id"]})
    return sorted(found.values(), key=attrgetter("nominal"))


def _is_refusal(exc: BaseException) -> bool:
    """Whether an error may be about one of several claims: the server refused it, or it could not be written for the server."""
    if is_interrupt(exc) or isinstance(exc, (StoreUnavailableError, HeldRowsError)):
        return False
    return isinstance(exc, (StoreError, ValueError, TypeError, OverflowError, ArithmeticError))
