"""Runs that wait in the MongoDB store, and cancelling.

Each step about a run is one conditional update of its job's document, as in the claim protocol. What may start is decided by
:mod:`rota.core.waiting`; a key that a run was asked for with is taken before the run is opened.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from operator import itemgetter

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from ...codec.damaged import DAMAGED, is_time, text_instead
from ...core.extras import extra_of, keeps_place
from ...core.openings import by_run
from ...core.states import CLAIMED, LOST, WAITING, end
from ...core.transitions import rooms_of
from ...core.waiting import JOB_REMOVED, KEY_HOLDS, Taking, cancelled, given_back, is_asked, opened
from ...errors import DeserializationError, HeldRowsError
from ...texts import storable
from ..documents import mended_fields, run_of
from .failures import counted, together
from .forms import (
    KEPT,
    LISTS,
    NO_ARRAY,
    OVER,
    REMOVED,
    earliest,
    entries_of,
    entry_of,
    is_waiting,
    key_of,
    time_of,
)
from .jobs import REMOVAL
from .run_updates import fence_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.openings import Cut
    from ...core.run import Run
    from ...job.handle import Job
    from .filing import Filing
    from .search import Searching
    from .server import Server

#: How many jobs with waiting runs are read at once, and how many at most.
STEP = 100
MOST = 2000
#: How often a step is tried against others' changes.
TRIES = 20


class Waiting:
    """Opens, takes, gives back and cancels runs of one store.

    :param server: where the documents are
    :param format: how arguments of runs are written
    :param filing: files records
    :param searching: reads records
    """

    def __init__(self, server: Server, format: JobFormat, filing: Filing, searching: Searching) -> None:
        self._server = server
        self._format = format
        self._filing = filing
        self._searching = searching

    # -- opening -------------------------------------------------------------------------------------------------

    def open_runs(self, runs: Sequence[Run], now: int, cuts: Sequence[Cut], version: int | None) -> list[Run]:
        """Make runs wait; see the port."""
        found = []
        together: dict[str, list[Run]] = {}
        for run in runs:
            key = extra_of(run).key
            if key is None:
                together.setdefault(run.job_id, []).append(run)
            else:
                known = self._open_by_key(run, key, now)
                if known is not None:
                    found.append(known)
        for job_id, some in together.items():
            found += self._open(job_id, some, now, cuts, version)
        return found

    def _open_by_key(self, run: Run, key: str, now: int) -> Run | None:
        """Open a run unless its key was taken, else return the run of that key; None: it is refused."""
        place = {"job_id": run.job_id, "key": key}
        free = {"_id": place, "at": {"$lte": now - KEY_HOLDS}}
        mine = {"$set": {"nominal": run.nominal, "at": now}}
        with self._server.translated():
            try:
                self._server.keys.update_one(free, mine, upsert=True)
            except DuplicateKeyError:
                pass  # it is taken
            held = self._server.keys.find_one({"_id": place}) or {}
        nominal: Any = held.get("nominal")
        if is_time(nominal) and nominal != run.nominal:
            known = self._searching.get_run(run.job_id, int(nominal))
            if known is not None:
                return known
            # Whoever has taken the key has not opened the run yet.
            run.nominal = run.last = int(nominal)
        if self._open(run.job_id, [run], now):
            return run
        known = self._searching.get_run(run.job_id, run.nominal)
        if known is not None and extra_of(known).key == key:
            return known
        with self._server.translated():  # nothing was opened by this key
            self._server.keys.delete_one({"_id": place, "nominal": run.nominal})
        return None

    def _open(
        self,
        job_id: str,
        runs: Sequence[Run],
        now: int,
        cuts: Sequence[Cut] = (),
        version: int | None = None,
    ) -> list[Run]:
        """Make runs of a job wait whose times have no record that has not ended (R4), in one step; return those that do."""
        for run in runs:
            extra = extra_of(run)
            opened(run, now if extra.not_before is None else extra.not_before)
            self._format.extra_text(run)
            self._format.sign(run)
        cut_of = by_run(cuts, runs) if cuts else {}
        keys = {run.nominal for run in runs} | {cut.found.nominal for cut in cut_of.values()}
        for _ in range(TRIES):
            with self._server.translated():
                document = self._server.jobs.find_one({"_id": job_id})
                if document is None or _is_gone(document):
                    return []
                if version is not None and document.get("version") != version:  # R1
                    return []
                unfinished: dict[Any, Any] = {
                    entry.get("nominal"): entry.get("status")
                    for name in LISTS
                    for entry in entries_of(document, name)
                }
                if any(status not in (CLAIMED, WAITING) for key, status in unfinished.items() if key in keys):
                    self._filing.file([job_id])  # it has ended
                    continue
                filed = self._filed(job_id, keys)
                free = [run for run in runs if _is_free(run, filed, unfinished, cut_of)]
                if not free or self._push(document, free, cut_of, filed, now):
                    return free
        return []

    def _push(
        self,
        document: Mapping[str, Any],
        runs: Sequence[Run],
        cut_of: Mapping[tuple[str, int], Cut],
        filed: Mapping[Any, Mapping[str, Any]],
        now: int,
    ) -> bool:
        """Put runs that wait into the document of their job, and what is left of their cuts; return False if others changed it."""
        job_id = document["_id"]
        its_cuts = {id(cut): cut for run in runs if (cut := _cut_of(cut_of, run)) is not None}
        pieces = [piece for cut in its_cuts.values() for piece in cut.left]
        # A record that is written after this look comes with a new version of its job.
        condition = {"_id": job_id, "version": document.get("version")}
        busy = bool(pieces) and document.get("busy") is not True
        change = {
            "$push": {"pending": {"$each": [entry_of(run) for run in (*runs, *pieces)]}},
            "$min": {"not_before": min(extra_of(run).not_before or now for run in runs)},
            "$inc": {"version": 1},
            **({"$set": {"busy": True}} if busy or not document.get("busy") else {}),
        }
        if not self._server.jobs.update_one(condition, change).matched_count:
            return False
        for run in runs:  # it would be found beside the one that waits
            record = filed.get(run.nominal)
            if record is not None:
                key = key_of(job_id, run.nominal)
                self._server.runs.delete_one({"_id": key, "attempt": record.get("attempt")})
        if pieces:
            self._filing.file([job_id])
        self._filing.settle([job_id])
        return True

    def _filed(self, job_id: str, keys: Iterable[int]) -> dict[Any, Mapping[str, Any]]:
        """Return what is filed of some nominal times of a job."""
        of = {"_id": {"$in": [key_of(job_id, key) for key in sorted(keys)]}}
        fields = {"nominal": 1, "status": 1, "attempt": 1, "last": 1, "count": 1}
        return {record.get("nominal"): record for record in self._server.runs.find(of, fields)}

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
                is_asked(run, self._searching.get_run(run.job_id, run.nominal))
                refused.append(run)
        ids = sorted({run.job_id for run in runs})
        self._filing.file(ids, ask=False)
        self._filing.let_go_on(rooms_of(runs))
        self._filing.settle(ids)
        return refused

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
            if jobs.update_one({"_id": run.job_id, "under_way": fence}, change).matched_count:
                return True
            # The answer to the same step may have been lost.
            waits = {"nominal": run.nominal, "attempt": run.attempt, "status": run.status}
            either = [{name: {"$elemMatch": waits}} for name in LISTS]
            return jobs.find_one({"_id": run.job_id, "$or": either}, {"_id": 1}) is not None

    # -- taking --------------------------------------------------------------------------------------------------

    def next_waiting(self) -> int | None:
        """Return the earliest time of all waiting runs."""
        with self._server.translated():
            waits = {
                "not_before": {"$type": "number", **NO_ARRAY}
            }  # an array is of the type of each of its elements
            found = self._server.jobs.find(waits, {"not_before": 1}).sort("not_before", ASCENDING).limit(1)
            for document in found:
                return int(document["not_before"])
        return None

    def take(
        self, node: str, now: int, room: Mapping[str, int] | None, job_of: Callable[[Mapping[str, Any]], Job]
    ) -> list[Run]:
        """Take waiting runs; see the port."""
        taking = Taking(node, now, room)
        changed: list[Run] = []
        seen: list[Any] = []
        jobs = self._server.jobs
        while not taking.full and len(seen) < MOST:
            due = {"not_before": {"$lte": now}, "_id": {"$nin": seen}}
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
        by_id = {document["_id"]: document for document in documents}
        jobs = {
            id: None if document.get("state") == REMOVED else job_of(document)
            for id, document in by_id.items()
        }
        running = {id: len(entries_of(document, "under_way")) for id, document in by_id.items()}
        waiting = [
            (time_of(entry), id, entry)
            for id, document in by_id.items()
            for name in LISTS
            for entry in entries_of(document, name)
            if is_waiting(entry) and time_of(entry) <= now
        ]
        waiting.sort(key=itemgetter(0))
        runs = [(id, entry, self._run_of(id, entry, now)) for _, id, entry in waiting]
        taking.look_at(run for _, _, run in runs)
        changes: dict[str, list[tuple[Mapping[str, Any], Run]]] = {}
        for id, entry, run in runs:
            if taking.full:
                break
            keeps = keeps_place(extra_of(run))
            job = jobs[id]
            is_damaged = run.ended
            if is_damaged or taking.take(
                run, job, running[id], self._format.job_for, self._format.run_refusal
            ):
                if run.status == CLAIMED and not keeps:
                    running[id] += 1
                elif run.status != CLAIMED:
                    running[id] -= keeps
                    if job is None:
                        document = by_id[id]
                        run.name = text_instead(document.get("name"))
                        run.func = text_instead(document.get("func"))
                changes.setdefault(id, []).append((entry, run))
        changed = []
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


def _is_gone(document: Mapping[str, Any]) -> bool:
    """Whether a job is not there any more, but for the ends of its runs."""
    state = document.get("state")
    return state == REMOVED or (state in OVER and "not_before" not in document and KEPT not in document)


def _cut_of(cut_of: Mapping[tuple[str, int], Cut], run: Run) -> Cut | None:
    return cut_of.get((run.job_id, run.nominal))


def _is_free(
    run: Run,
    filed: Mapping[Any, Mapping[str, Any]],
    unfinished: Mapping[Any, Any],
    cut_of: Mapping[tuple[str, int], Cut],
) -> bool:
    """Whether a run may be opened: its time has no record that has not ended (R4), and that of its cut is as it was looked at."""
    if run.nominal in unfinished:
        return False
    cut = _cut_of(cut_of, run)
    if cut is None:
        return run.nominal not in filed or run.attempt > 0
    get = filed.get(cut.found.nominal, {}).get
    return cut.found.nominal not in unfinished and cut.seen == tuple(
        map(get, ("status", "attempt", "last", "count"))
    )
