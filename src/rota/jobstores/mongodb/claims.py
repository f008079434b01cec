"""The claim protocol of the MongoDB store, its first half: a claim is one conditional update of a job's document, by its version.

What the server refuses together is tried one by one. It decides nothing; how runs end is in ``runs``.
"""

from __future__ import annotations

from os import urandom

from pymongo import UpdateOne

from ...codec.damaged import is_damaged, is_time
from ...core.plan import quarantined_instead
from ...core.recorded import first_nominal, leave_out_recorded, ranges_of
from ...core.states import ENDED
from ...core.transitions import marked, moved
from ...errors import HeldRowsError, StoreError, StoreUnavailableError
from ...interrupts import is_interrupt
from ...texts import error_text, shortened, storable
from .forms import LISTS, entries_of, entry_of, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ...core.plan import Decision
    from ..retention import Retention
    from .damage import Damage
    from .history import History
    from .runs import Runs
    from .server import Server


#: How many keys, and how many ranges of times, one question names.
BATCH = 500
RANGES = 100


class Claims:
    """Makes decisions true in one store.

    :param server: where the documents are
    :param runs: files records
    :param history: reads records
    :param damage: puts damaged jobs into quarantine
    :param bounds: counts records
    """

    def __init__(
        self, server: Server, runs: Runs, history: History, damage: Damage, bounds: Retention
    ) -> None:
        self._server = server
        self._runs = runs
        self._history = history
        self._damage = damage
        self._bounds = bounds
        #: of the jobs that were due last: version, and the nominal times of the runs in the document
        self._seen: dict[str, tuple[int, tuple[int, ...]]] = {}

    def note(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take note of the documents of due jobs, so that a claim need not look at them again."""
        self._seen = {
            document["_id"]: (document.get("version", 0), _nominals(document)) for document in documents
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
            matched = self._write(decisions, token)
        except BaseException as exc:
            if not (_is_refusal(exc) or isinstance(exc, HeldRowsError)):
                raise
            won = self._claim_singly(decisions, node, token)
        else:
            with self._server.translated():
                won = list(decisions) if matched == len(decisions) else self._won(decisions, node, token)
        for decision in won:
            moved(decision)
            self._bounds.count(decision.job.id, len(decision.runs) + len(decision.records))
        filed = [decision.job.id for decision in won if decision.records or decision.state == ENDED]
        if filed:
            self._runs.file(filed)
        return won

    def _write(self, decisions: Sequence[Decision], token: str) -> int:
        """Write claims; return how many documents met their conditions."""
        updates = [_claim_of(decision, token) for decision in decisions]
        with self._server.translated():
            return int(self._server.jobs.bulk_write(updates, ordered=False).matched_count)

    def _claim_singly(self, decisions: Sequence[Decision], node: str, token: str) -> list[Decision]:
        """Carry out one by one what was refused together; a job whose claim is refused alone goes into quarantine."""
        with self._server.translated():
            won = self._won(decisions, node, token)
        for decision in decisions:
            if decision in won:
                continue
            try:
                matched = self._write([decision], token)
            except HeldRowsError:  # it is tried again by a later pass
                continue
            except BaseException as exc:
                if not _is_refusal(exc):
                    raise
                quarantined_instead(
                    decision, f"its store refuses its claim: {shortened(error_text(exc), 2000)}"
                )
                matched = self._write([decision], token)
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
            version, nominals = seen.get(decision.job.id, (None, ()))
            if version != decision.version:
                unseen.append(decision.job.id)
            elif nominals:
                taken[decision.job.id] = set(nominals)
        with self._server.translated():
            if unseen:
                for document in self._server.jobs.find({"_id": {"$in": unseen}, "busy": True}):
                    taken[document["_id"]] = set(_nominals(document))
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
        for decision in decisions:
            used = taken.get(decision.job.id)
            since = first_nominal(decision)
            if used and since is not None and max(used) >= since:
                leave_out_recorded(decision, self._history.recorded(decision.job.id, since))


def _claim_of(decision: Decision, token: str) -> UpdateOne:
    """Return the update that carries out a decision, with its conditions."""
    condition: dict[str, Any] = {"_id": decision.job.id, "version": decision.version}  # R1
    # R3: the job moves, and has its runs and records, in one step.
    changes: dict[str, Any] = {
        "next_nominal": decision.next_nominal,
        "next_due": decision.next_due,
        "version": decision.version + 1,
        "state": decision.state,
        "error": storable(decision.error),
        "claim": token,
    }
    pushes: dict[str, Any] = {}
    if decision.runs:
        # R2: fewer than the limit are under way if the list has no entry at the last place below it.
        condition[f"under_way.{decision.job.policy.max_instances - 1}"] = {"$exists": False}
        pushes["under_way"] = {"$each": [{**entry_of(run), "claim": token} for run in decision.runs]}
    if decision.records:
        pushes["pending"] = {"$each": [{**entry_of(record), "claim": token} for record in decision.records]}
    update: dict[str, Any] = {"$set": changes}
    if pushes:
        changes["busy"] = True
        update["$push"] = pushes
    return UpdateOne(condition, update)


def _nominals(document: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the nominal times of the runs in a job's document."""
    if not document.get("busy"):
        return ()
    entries = (entry for name in LISTS for entry in entries_of(document, name))
    return tuple(entry["nominal"] for entry in entries if is_time(entry.get("nominal")))


def _is_refusal(exc: BaseException) -> bool:
    """Whether an error may be about one of several claims: the server refused it, or it could not be written for the server."""
    if is_interrupt(exc) or isinstance(exc, (StoreUnavailableError, HeldRowsError)):
        return False
    return isinstance(exc, (StoreError, ValueError, TypeError, OverflowError, ArithmeticError))
