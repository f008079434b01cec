"""Runs that wait in the MongoDB store, and cancelling.

Each step about a run is one conditional update of its job's document, as in the claim protocol. What may start is decided by
:mod:`rota.core.waiting`; how runs are opened is in ``opening``.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from operator import itemgetter

from pymongo import ASCENDING

from ...codec.damaged import DAMAGED, EARLIEST, LATEST, is_time, text_instead
from ...core.extras import extra_of, keeps_place
from ...core.states import CLAIMED, HOLDING_UP, LOST, end
from ...core.transitions import rooms_of
from ...core.waiting import (
    JOB_REMOVED,
    Taking,
    cancelled,
    given_back,
    has_no_job,
    is_asked,
    next_look,
)
from ...errors import DeserializationError, HeldRowsError
from ...texts import storable
from ..documents import mended_fields, run_of
from .failures import counted, together
from .forms import (
    LISTS,
    NO_ARRAY,
    REMOVED,
    earliest,
    entries_of,
    entry_of,
    is_waiting,
    time_of,
)
from .jobs import REMOVAL
from .opening import TRIES
from .run_updates import fence_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from .damage import Damage
    from .filing import Filing
    from .search import Searching
    from .server import Server

#: How many jobs with waiting runs are read at once, and how many at most.
STEP = 100
MOST = 2000


class Waiting:
    """Takes, gives back and cancels runs of one store.

    :param server: where the documents are
    :param format: how arguments of runs are written
    :param filing: files records
    :param searching: reads records
    :param damage: puts right what is damaged
    """

    def __init__(
        self, server: Server, format: JobFormat, filing: Filing, searching: Searching, damage: Damage
    ) -> None:
        self._server = server
        self._format = format
        self._filing = filing
        self._searching = searching
        self._damage = damage

    # -- giving back ---------------------------------------------------------------------------------------------

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait; return those that were refused (R5), or that somebody has asked to stop."""
        refused = []
        for run in runs:
            fence, twin = {"$elemMatch": {**fence_of(run)["$elemMatch"], "cancel": None}}, copy(run)
            twin.extra = copy(extra_of(run))
            given_back(twin, twin.extra.not_before or now)
            self._format.extra_text(twin)
            if self._wait(twin, fence):
                given_back(run, extra_of(run).not_before or now)
            else:
                if not is_asked(run, self._searching.get_run(run.job_id, run.nominal)):
                    self._look_for_job(run)
                refused.append(run)
        ids = sorted({run.job_id for run in runs})
        self._filing.file(ids, ask=False)
        self._filing.let_go_on(rooms_of(runs))
        self._filing.settle(ids)
        return refused

    def _look_for_job(self, run: Run) -> None:
        """Take note of it if a run that is still its node's has no job any more."""
        gone = {"_id": run.job_id, "state": REMOVED, "under_way": fence_of(run)}
        with self._server.translated():
            if self._server.jobs.find_one(gone, {"_id": 1}) is not None:
                has_no_job(run)

    def _wait(self, run: Run, fence: Mapping[str, Any]) -> bool:
        """Write a run that waits over the claimed one; return whether it was there, or waits already."""
        entry, jobs = entry_of(run), self._server.jobs
        soonest = {"$min": {"not_before": entry["not_before"]}}
        if keeps_place(run.extra):
            change: dict[str, Any] = {"$set": {"under_way.$": entry}, **soonest}
        else:
            pull = {"$pull": {"under_way": {"nominal": run.nominal}}}
            change = {**pull, "$push": {"pending": entry}, **soonest}
        with self._server.translated():
            mine = {"_id": run.job_id, "state": {"$ne": REMOVED}, "under_way": fence}
            if jobs.update_one(mine, change).matched_count:
                return True
            # The answer to the same step may have been lost.
            waits = {"nominal": run.nominal, "attempt": run.attempt, "status": run.status}
            either = [{name: {"$elemMatch": waits}} for name in LISTS]
            return jobs.find_one({"_id": run.job_id, "$or": either}, {"_id": 1}) is not None

    # -- taking --------------------------------------------------------------------------------------------------

    def next_waiting(self, job_of: Callable[[Mapping[str, Any]], Job], now: int) -> int | None:
        """Return when somebody has to look at waiting runs next; see the port."""
        waits: dict[str, Any] = {"not_before": {"$gte": EARLIEST, "$lte": LATEST, **NO_ARRAY}}
        jobs, fields = self._server.jobs, {"not_before": 1, "state": 1}
        with self._server.translated():
            first = next(iter(jobs.find(waits, fields).sort("not_before", ASCENDING).limit(1)), None)
            if first is None or first.get("state") not in HOLDING_UP:
                return None if first is None else int(first["not_before"])
            free = {**waits, "state": {"$nin": list(HOLDING_UP)}}
            held_up = {**waits, "state": {"$in": list(HOLDING_UP)}}
            times = [
                int(document["not_before"])
                for document in jobs.find(free, fields).sort("not_before", ASCENDING).limit(1)
            ]
            for document in jobs.find(held_up).sort("not_before", ASCENDING).limit(MOST):
                if times and document["not_before"] >= min(times):
                    break
                found = next_look(self._earliest_first(document, job_of(document), now))
                times += [] if found is None else [found]
        return min(times, default=None)

    def _earliest_first(
        self, document: Mapping[str, Any], job: Job, now: int
    ) -> list[tuple[Run, Job | None]]:
        waiting = [entry for name in LISTS for entry in entries_of(document, name) if is_waiting(entry)]
        runs = [self._run_of(job.id, entry, now) for entry in sorted(waiting, key=time_of)]
        return [(run, None if run.ended else job) for run in runs]  # one that is damaged ends at once

    def take(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None,
        job_of: Callable[[Mapping[str, Any]], Job],
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take waiting runs; see the port."""
        taking = Taking(node, now, room, may_take)
        changed: list[Run] = []
        seen: list[Any] = []
        jobs = self._server.jobs
        while not taking.full and len(seen) < MOST:
            due = {"not_before": {"$lte": now}, "_id": {"$type": "string", "$nin": seen}}
            with self._server.translated():
                documents = list(jobs.find(due).sort("not_before", ASCENDING).limit(STEP))
            changed += self._take_some(documents, taking, now, job_of)
            seen += [document["_id"] for document in documents]
            if len(documents) < STEP:
                break
        return changed

    def _take_some(
        self,
        documents: Sequence[Mapping[str, Any]],
        taking: Taking,
        now: int,
        job_of: Callable[[Mapping[str, Any]], Job],
    ) -> list[Run]:
        for document in documents:
            self._damage.mend_time(document)  # or it would be looked at again and again
        by_id = {document["_id"]: document for document in documents}
        jobs = {
            id: None if document.get("state") == REMOVED else job_of(document)
            for id, document in by_id.items()
        }
        running = {id: len(entries_of(document, "under_way")) for id, document in by_id.items()}
        waiting = [
            (time_of(entry), id, name, entry)
            for id, document in by_id.items()
            for name in LISTS
            for entry in entries_of(document, name)
            if is_waiting(entry) and time_of(entry) <= now
        ]
        waiting.sort(key=itemgetter(0))
        runs = [(id, name, entry, self._run_of(id, entry, now)) for _, id, name, entry in waiting]
        damaged = {id for id, _, _, run in runs if run.ended}
        changed = self._damage.end_damaged([by_id[id] for id in sorted(damaged)], now)
        runs = [
            each for each in runs if each[0] not in damaged
        ]  # others of these jobs are taken by the next step
        for id, name, _, run in runs:
            if name == "under_way" and not keeps_place(extra_of(run)):
                running[id] -= 1  # what it keeps its place for is damaged
        taking.look_at(run for *_, run in runs)
        changes: dict[str, list[tuple[Mapping[str, Any], Run]]] = {}
        for id, _, entry, run in runs:
            if taking.full:
                break
            keeps = keeps_place(extra_of(run))
            job = jobs[id]
            if taking.take(run, job, running[id], self._format.job_for, self._format.run_refusal):
                if run.status == CLAIMED and not keeps:
                    running[id] += 1
                elif run.status != CLAIMED:
                    running[id] -= keeps
                    if job is None:
                        document = by_id[id]
                        run.name = text_instead(document.get("name"))
                        run.func = text_instead(document.get("func"))
                changes.setdefault(id, []).append((entry, run))
        for id, some in changes.items():
            with suppress(HeldRowsError):  # they are taken by a later step
                over = [run for _, run in some if run.ended]
                if self._replace(by_id[id], some, counted(jobs[id], over, running[id], now)):
                    changed += [run for _, run in some]
        self._file([run for run in changed if run.ended])
        ids = list(by_id)
        self._filing.settle(ids)
        return changed

    def _run_of(self, job_id: str, entry: Mapping[str, Any], now: int) -> Run:
        """Return a waiting run; one that is damaged has ended."""
        fields = {**entry, "job_id": job_id}
        try:
            return run_of(fields)
        except DeserializationError:
            sound, wrong = mended_fields(fields)
            nominal: Any = entry.get("nominal")
            sound["nominal"] = sound["last"] = int(nominal) if is_time(nominal) else now
            run = run_of({**sound, "status": CLAIMED})
            end(run, LOST, f"{DAMAGED}{wrong}", now)
            return run

    def _replace(
        self,
        document: Mapping[str, Any],
        changed: Iterable[tuple[Mapping[str, Any], Run]],
        more: dict[str, dict[str, Any]] | None = None,
    ) -> bool:
        """Write what has become of waiting runs of a job, if its runs are as they were read; return whether they were.

        :param more: what else is changed of the job with it
        """
        under_way, pending = (list(entries_of(document, name)) for name in LISTS)
        for entry, run in changed:
            for entries in (under_way, pending):
                if entry in entries:
                    entries.remove(entry)  # type: ignore[arg-type]
            (pending if run.ended else under_way).append(entry_of(run))
        condition = {
            "_id": document["_id"],
            "version": document.get("version"),  # R1
            **{name: document.get(name) for name in LISTS},
        }
        change: dict[str, Any] = {
            "$set": {"under_way": under_way, "pending": pending, "busy": True},
            "$inc": {"version": 1},
        }
        soonest = earliest([*under_way, *pending])
        if soonest is None:
            change["$unset"] = {"not_before": ""}
        else:
            change["$set"]["not_before"] = soonest
        with self._server.translated():
            change = together(change, more or {})
            return bool(self._server.jobs.update_one(condition, change).matched_count)

    def _file(self, ended: Iterable[Run]) -> None:
        ids = sorted({run.job_id for run in ended})
        if ids:
            self._filing.file(ids)

    # -- cancelling ----------------------------------------------------------------------------------------------

    def cancel_run(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        """Cancel a run; see the port."""
        for _ in range(TRIES):
            with self._server.translated():
                document = self._server.jobs.find_one({"_id": job_id}) or {}
            found = [
                entry
                for name in LISTS
                for entry in entries_of(document, name)
                if entry.get("nominal") == nominal
            ]
            if not found or not (is_waiting(found[0]) or found[0].get("status") == CLAIMED):
                break
            if is_waiting(found[0]):
                run = self._run_of(job_id, found[0], now)
                if not run.ended:
                    cancelled(run, reason, now)
                if self._replace(document, [(found[0], run)]):
                    self._file([run])
                    self._filing.settle([job_id])
                    break
            elif only_waiting or self._ask_to_stop(job_id, found[0], reason):
                break
        return self._searching.get_run(job_id, nominal)

    def _ask_to_stop(self, job_id: str, entry: Mapping[str, Any], reason: str) -> bool:
        """Have the node of a run told that it is cancelled; return whether the run is still as it was read."""
        if entry.get("cancel") is not None:
            return True
        same = {name: entry.get(name) for name in ("nominal", "attempt", "owner", "status")}
        change = {"$set": {"under_way.$.cancel": storable(reason)}}
        with self._server.translated():
            condition = {"_id": job_id, "under_way": {"$elemMatch": same}}
            return bool(self._server.jobs.update_one(condition, change).matched_count)

    def remove(self, job_id: str, now: int) -> list[Run] | None:
        """Delete a job with runs that wait, which are cancelled; return them, None if there is no such job."""
        for _ in range(TRIES):
            with self._server.translated():
                document = self._server.jobs.find_one({"_id": job_id, "state": {"$ne": REMOVED}})
                if document is None:
                    return None
                ended: list[Run] = []
                lists: dict[str, list[Any]] = {name: [] for name in LISTS}
                for name in LISTS:
                    for entry in entries_of(document, name):
                        if not is_waiting(entry):
                            lists[name].append(entry)
                            continue
                        run = self._run_of(job_id, entry, now)
                        if not run.ended:
                            cancelled(run, JOB_REMOVED, now)
                        run.name = text_instead(document.get("name"))
                        run.func = text_instead(document.get("func"))
                        lists["pending"].append(entry_of(run))
                        ended.append(run)
                condition = {"_id": job_id, **{name: document.get(name) for name in LISTS}}
                change: dict[str, Any] = {
                    **REMOVAL,
                    "$set": {**REMOVAL["$set"], **lists, "busy": True},
                    "$unset": {"not_before": ""},
                }
                if self._server.jobs.update_one(condition, change).matched_count:
                    self._filing.file([job_id])
                    return ended
        return None
