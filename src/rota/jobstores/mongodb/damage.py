"""Documents that are not what a store wrote: jobs are put into quarantine, runs get their end, and what was there is kept.

It may not raise because of what a document holds.
"""

from __future__ import annotations

from operator import attrgetter

from ...clock import HELD, NO_TIME
from ...codec.damaged import (
    DAMAGED,
    NEVER_DUE,
    NO_VERSION,
    STATES,
    is_damaged,
    is_time,
    text_instead,
    version_of,
)
from ...core.chains import check_place, parent_of
from ...core.states import ACTIVE, CLAIMED, LOST, QUARANTINED, end, set_job_state
from ...texts import shortened
from ..documents import KEPT, fields_of, mended_fields, new_version, run_of
from ..retention import Pace
from .forms import (
    LISTS,
    ONLY_WAITS,
    OVER,
    REMOVED,
    REPLACEABLE,
    damage_of_run,
    earliest,
    entries_of,
    has_ended,
    is_waiting,
    is_whole,
)
from .jobs import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...clock import Clock
    from ...core.plan import Decision
    from ...core.run import Run
    from ...job.handle import Job
    from .server import Server

#: How many jobs the first step looks at, and how many steps there are in a round.
LOOKED_AT = 100
STEPS = 10
#: What is said of a run of which only its state is damaged: whether that is one of runs that have ended.
_MISPLACED = {
    True: "its state is that of a run that has ended",
    False: "its state is that of a run that is under way",
}
#: What is read of a document to see whether it hides its job, or runs of it.
_READ = dict.fromkeys(
    (
        *(
            "version",
            "state",
            "error",
            "executor",
            "next_nominal",
            "next_due",
            "busy",
            "not_before",
            "damaged",
        ),
        *LISTS,
    ),
    1,
)


def damaged_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the damaged ones among the fields that say how a job stands; its parts are not looked at."""
    get = document.get
    found = {name: get(name) for name in LISTS if not is_whole(document, name)}
    if version_of(get("version")) == NO_VERSION:
        found["version"] = get("version")
    for name in ("next_nominal", "next_due"):
        value = get(name)
        fits = is_time(value) or (isinstance(value, int) and value == HELD)
        if value is not None and (not fits or isinstance(value, bool)):
            found[name] = value
    state, error = get("state"), get("error")
    if not (isinstance(state, str) and (state in STATES or state in (KEPT, REMOVED))):
        found["state"] = state
    if not (error is None or isinstance(error, str)):
        found["error"] = error
    return found


def reason_for(document: Mapping[str, Any]) -> str | None:
    """Return why a job has to be put into quarantine: it would never be found, or its runs not be counted; None if it need not."""
    found = damaged_fields(document)
    if found:
        told = "; ".join(f"{name} is {shortened(text_instead(value), 80)}" for name, value in found.items())
        return f"{DAMAGED}{told}"
    if not isinstance(document["_id"], str):
        return f"{DAMAGED}its id must be a text, got {shortened(text_instead(document['_id']), 80)}"
    if document.get("state") == ACTIVE:
        if document.get("next_due") is None or document.get("next_nominal") is None:
            return NEVER_DUE
        if not isinstance(document.get("executor"), str):
            return f"{DAMAGED}executor must be a text, got {shortened(text_instead(document.get('executor')), 80)}"
    return None


def _is_marked_busy(document: Mapping[str, Any]) -> bool:
    """Whether the unfinished runs of a job are found."""
    busy = document.get("busy")
    return busy is True or (
        busy == ONLY_WAITS
        and all(is_waiting(entry) for name in LISTS for entry in entries_of(document, name))
    )


class Damage:
    """Puts right what others have damaged.

    :param server: where the documents are
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        #: the id up to which documents were looked at
        self._at: Any = None

    # -- jobs ----------------------------------------------------------------------------------------------------

    def quarantine(self, document: Mapping[str, Any], reason: str) -> int | None:
        """Put the job of a document into quarantine, if it is as it was read; what is damaged is kept in the field ``damaged``.

        :return: its new version, None if it is not as it was read
        """
        raw, id = damaged_fields(document), document["_id"]
        version = version_of(document.get("version"))
        new = new_version() if version == NO_VERSION else version + 1
        values: dict[str, Any] = {"version": new, "next_due": None}
        if document.get("state") not in REPLACEABLE:
            values |= {"state": QUARANTINED, "error": reason}
        if "next_nominal" in raw:
            values["next_nominal"] = None
        condition = {"_id": id, "version": document.get("version")}
        for name in LISTS:
            if name in raw or document.get(name) is None:
                values[name] = entries_of(document, name)
                condition[name] = document.get(name)
        before = document.get("damaged")
        kept = {**(before if isinstance(before, dict) else {}), **raw}
        jobs = self._server.jobs
        with self._server.translated():
            try:
                done = jobs.update_one(condition, {"$set": {**values, **({"damaged": kept} if raw else {})}})
            except Exception:  # it is too long, or of a kind that may stand where it stood, and not here
                told = {name: text_instead(value) for name, value in raw.items()}
                done = jobs.update_one(condition, {"$set": {**values, "damaged": told}})
        return new if done.matched_count else None

    def claim(self, decisions: Iterable[Decision]) -> list[Decision]:
        """Carry out decisions to put damaged jobs into quarantine; return those that were."""
        won = []
        for decision in decisions:
            with self._server.translated():
                document = self._server.jobs.find_one({"_id": decision.job.id})
            if document is None or version_of(document.get("version")) != decision.version:
                continue
            version = self.quarantine(document, decision.error or "")
            if version is not None:
                decision.version = version - 1
                won.append(decision)
        return won

    def set_aside(self, documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return documents without those whose id is no text, which no job can have; they are put into quarantine."""
        found = []
        for document in documents:
            if isinstance(document["_id"], str):
                found.append(document)
            else:
                self.quarantine(document, reason_for(document) or "")
        return found

    def recount(self, jobs: Sequence[Job]) -> None:
        """Let the counts of jobs say how many of their runs are under way."""
        ids = [job.id for job in jobs]
        with self._server.translated():
            found = list(self._server.jobs.find({"_id": {"$in": ids}}, {"under_way": 1}))
        counts = {document["_id"]: len(entries_of(document, "under_way")) for document in found}
        for job in jobs:
            job.running = counts.get(job.id, 0)

    def steps(
        self,
        now: int,
        clock: Clock,
        some: Callable[[Iterable[str]], list[dict[str, Any]]],
        job_of: Callable[[Mapping[str, Any]], Job],
    ) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for jobs and runs that nobody would find because of what is stored of them, in steps; see the port.

        :param some: returns documents by their ids
        """
        pace = Pace(LOOKED_AT)
        for _ in range(STEPS):
            began = clock.monotonic()
            hidden, documents, is_last = self._look_over(pace.size)
            jobs = [job_of(document) for document in (some(hidden) if hidden else ())]
            for job in jobs:
                job.error = hidden.get(job.id, job.error)
                set_job_state(job, QUARANTINED)
            untimed = [
                document["_id"]
                for document in documents
                if document.get("next_due") == NO_TIME and document.get("state") == ACTIVE
            ]
            jobs += self._look_at_chains(some(untimed), job_of) if untimed else ()
            runs = self.end_damaged(documents, now)
            pace.note(len(documents), clock.monotonic() - began)
            yield jobs, runs
            if is_last:
                return

    def _look_at_chains(
        self, documents: Iterable[Mapping[str, Any]], job_of: Callable[[Mapping[str, Any]], Job]
    ) -> list[Job]:
        """Have jobs found by the ends of those that start them; return those that are to be put in order or into quarantine."""
        found = []
        for document in documents:
            job = job_of(document)
            if job.state != ACTIVE:  # not restored: whoever needs it finds out
                continue
            parent = parent_of(job)
            if parent is not None and parent != document.get("parent"):
                same = {"_id": document["_id"], "version": document.get("version")}
                with self._server.translated():
                    self._server.jobs.update_one(same, {"$set": {"parent": parent}})
            if check_place(job):
                found.append(job)
        return found

    def _look_over(self, limit: int) -> tuple[dict[str, str], list[dict[str, Any]], bool]:
        """Look at the next documents, in the order of their ids; what hides runs is put right.

        :param limit: at how many to look
        :return: the ids of jobs that have to be put into quarantine, with the reasons; the documents; whether these were the last
        """
        jobs = self._server.jobs
        onwards: dict[str, Any] = {}
        if self._at is not None:  # only texts are compared with a text, and ids of jobs are texts
            onwards["_id"] = {"$gt": self._at} if isinstance(self._at, str) else {"$gte": ""}
        with self._server.translated():
            documents = list(jobs.find(onwards, _READ).sort("_id", 1).limit(limit))
        self._at = documents[-1]["_id"] if len(documents) == limit else None
        hidden: dict[str, str] = {}
        in_vain = []
        for document in documents:
            id, state, reason = document["_id"], document.get("state"), reason_for(document)
            self.mend_time(document)
            if reason is None or self._is_known(document):
                if not any(document.get(name) for name in LISTS):
                    if (
                        document.get("next_due") == HELD or state in OVER
                    ):  # it waits for runs that are not there
                        in_vain.append(id)
                elif not _is_marked_busy(document):  # nobody would find its runs
                    with self._server.translated():
                        jobs.update_one({"_id": id}, {"$set": {"busy": True}})
            elif state in REPLACEABLE or not isinstance(id, str):
                self.quarantine(document, reason)
            else:
                hidden[id] = reason
        if in_vain:
            over = {"_id": {"$in": in_vain}, "under_way": [], "pending": [], "state": {"$in": OVER}}
            with self._server.translated():
                jobs.bulk_write(release(in_vain))
                jobs.delete_many(over)
        return hidden, documents, self._at is None

    def mend_time(self, document: Mapping[str, Any]) -> None:
        """Have the runs of a job that wait found at their times, and not before, if its runs are still as they were read."""
        soonest = earliest(entry for name in LISTS for entry in entries_of(document, name))
        if document.get("not_before") != soonest:
            same = {"_id": document["_id"], **{name: document.get(name) for name in LISTS}}
            change = {"$unset": {"not_before": ""}} if soonest is None else {"$set": {"not_before": soonest}}
            with self._server.translated():
                self._server.jobs.update_one(same, change)

    def _is_known(self, document: Mapping[str, Any]) -> bool:
        """Whether a job is in quarantine already, and nothing is left to be put right in its document."""
        error = document.get("error")
        return (
            document.get("state") == QUARANTINED
            and isinstance(error, str)
            and is_damaged(error)
            and not damaged_fields(document)
        )

    def mend_lists(self, ids: Iterable[str]) -> bool:
        """Put right the lists of runs of these jobs, as far as they are none; return whether that was so of any."""
        with self._server.translated():
            documents = list(self._server.jobs.find({"_id": {"$in": list(ids)}}, _READ))
        damaged = [document for document in documents if not all(is_whole(document, name) for name in LISTS)]
        mended = [self.quarantine(document, reason_for(document) or "") for document in damaged]
        return any(version is not None for version in mended)

    # -- runs ----------------------------------------------------------------------------------------------------

    def end_damaged(self, documents: Iterable[Mapping[str, Any]], now: int) -> list[Run]:
        """End the runs that are damaged, claimed ones and those that wait; return them.

        :param documents: those of jobs with unfinished runs
        """
        found: list[Run] = []
        for document in documents:
            if not (is_whole(document, "under_way") and is_whole(document, "pending")):
                self.quarantine(document, reason_for(document) or "")
                continue
            lists = {name: entries_of(document, name) for name in LISTS}
            if any(damage_of_run(document, entry, name) for name in LISTS for entry in lists[name]):
                found += self._end(document, lists, now)
        return found

    def _end(
        self, document: Mapping[str, Any], lists: Mapping[str, list[dict[str, Any]]], now: int
    ) -> list[Run]:
        id = document["_id"]
        left: dict[str, list[dict[str, Any]]] = {name: [] for name in LISTS}
        damaged: list[dict[str, Any]] = []
        for name in LISTS:
            for entry in lists[name]:
                (damaged if damage_of_run(document, entry, name) else left[name]).append(entry)
        taken = {entry["nominal"] for name in LISTS for entry in left[name]}
        runs, ends = [], []
        for entry in damaged:
            sound, wrong = mended_fields({**entry, "job_id": id})
            sound["nominal"] = sound["last"] = self._free_key(id, entry.get("nominal"), now, taken)
            run = run_of({**sound, "status": CLAIMED})
            end(run, LOST, f"{DAMAGED}{wrong or _MISPLACED[has_ended(entry)]}", now)
            fields = fields_of(run)
            del fields["job_id"]
            runs.append(run)
            ends.append({**fields, "damaged": entry})
        same = {"_id": id, **{name: document.get(name) for name in LISTS}}
        pending = [*left["pending"], *ends]
        change: dict[str, Any] = {"$set": {"under_way": left["under_way"], "pending": pending, "busy": True}}
        soonest = earliest([*left["under_way"], *pending])
        if soonest is None:
            change["$unset"] = {"not_before": ""}
        else:
            change["$set"]["not_before"] = soonest
        with self._server.translated():
            done = self._server.jobs.update_one(same, change).matched_count
        return sorted(runs, key=attrgetter("nominal")) if done else []

    def _free_key(self, job_id: str, nominal: Any, now: int, taken: set[int]) -> int:
        """Return the nominal time of a damaged run, or if that is none an instant that has no record of its job."""
        key = nominal if is_time(nominal) else now
        while key in taken or (
            key != nominal
            and self._server.runs.find_one({"_id": {"job_id": job_id, "nominal": key}}, {"_id": 1})
        ):
            key += 1
        taken.add(key)
        return int(key)
