"""How the steps of the claim protocol look for MongoDB: conditional updates of a job's document.

Pure: it asks no server.
"""

from __future__ import annotations

from pymongo import UpdateOne

from ...codec.damaged import is_time, text_instead
from ...core.transitions import ends_pause, may_claim
from ...core.tries import ended_copies, hear, is_unasked
from ...texts import storable
from .forms import LISTS, earliest, entries_of, entry_of, is_waiting, size_of, standing_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ...core.plan import Decision
    from ...core.run import Run

#: How many bytes of records a job's document gets at once, before they are filed.
ROOM = 1_000_000


def claim_of(decision: Decision, token: str) -> UpdateOne:
    """Return the update that carries out a decision, with its conditions."""
    condition: dict[str, Any] = {"_id": decision.job.id, "version": decision.version}  # R1
    changes = _moved(decision, token)
    pushes: dict[str, Any] = {}
    if decision.waits_for_room:  # R2: as many as may be are under way
        condition[f"under_way.{decision.job.policy.limit - 1}"] = {"$exists": True}
    if decision.runs:
        # R2: fewer than the limit are under way if the list has no entry at the last place below it.
        condition[f"under_way.{decision.job.policy.limit - 1}"] = {"$exists": False}
        pushes["under_way"] = {"$each": [{**entry_of(run), "claim": token} for run in decision.runs]}
    if decision.records:
        pushes["pending"] = {"$each": [{**entry_of(record), "claim": token} for record in decision.records]}
    update: dict[str, Any] = {"$set": changes}
    if pushes:
        changes["busy"] = True
        update["$push"] = pushes
    if ends_pause(decision):
        update["$unset"] = {"paused": ""}
    return UpdateOne(condition, update)


def superseding_claim_of(
    decision: Decision, token: str, document: Mapping[str, Any], now: int
) -> UpdateOne | None:
    """Return the update of :func:`claim_of` that ends waiting retries as well.

    :param document: the job's document, of which the update expects that its runs are as they were read
    :return: None: there is no room (R2), or one of the retries waits no more (R4)
    """
    under_way, pending = (list(entries_of(document, name)) for name in LISTS)
    keys = [(run.nominal, run.attempt) for run in decision.superseded]
    gone = [entry for entry in under_way if is_waiting(entry) and _key(entry) in keys]
    left = [entry for entry in under_way if entry not in gone]
    if len(gone) < len(keys) or not may_claim(len(left), decision.job.policy.limit):
        return None
    runs = [{**entry_of(run), "claim": token} for run in decision.runs]
    ends = [entry_of(run) for run in ended_copies(decision.superseded, now)]
    under_way = [*left, *runs]
    pending += [*({**entry_of(record), "claim": token} for record in decision.records), *ends]
    changes = {
        **_moved(decision, token),
        "busy": True,
        "under_way": under_way,
        "pending": pending,
    }
    condition = {
        "_id": decision.job.id,
        "version": decision.version,  # R1
        **{name: document.get(name) for name in LISTS},
    }
    soonest = earliest([*under_way, *pending])
    if soonest is None:
        return UpdateOne(condition, {"$set": changes, "$unset": {"not_before": ""}})
    return UpdateOne(condition, {"$set": {**changes, "not_before": soonest}})


def _moved(decision: Decision, token: str) -> dict[str, Any]:
    """Return what a claim sets: the job moves, in the step in which it gets its runs and records (R3)."""
    return {
        "next_nominal": decision.next_nominal,
        "next_due": decision.next_due,
        "version": decision.version + 1,
        "state": decision.state,
        "error": storable(decision.error),
        "claim": token,
    }


def _key(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    return entry.get("nominal"), entry.get("attempt")


def rounds_of(runs: Sequence[Run]) -> Iterator[list[tuple[Run, dict[str, Any]]]]:
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


def end_of(run: Run, end: Mapping[str, Any]) -> UpdateOne:
    """Return the update that moves a run under way to those that have ended, if its end is accepted (R5)."""
    return UpdateOne({"_id": run.job_id, "under_way": fence_of_end(run)}, change_of_end(run, end))


def change_of_end(run: Run, end: Mapping[str, Any]) -> dict[str, Any]:
    """Return what moves a run under way to those that have ended."""
    return {"$pull": {"under_way": {"nominal": run.nominal}}, "$push": {"pending": end}}


def fence_of(run: Run) -> dict[str, Any]:
    """Return the condition that a run under way is of this owner and attempt (R5)."""
    return {"$elemMatch": {"nominal": run.nominal, "attempt": run.attempt, "owner": run.owner}}


def fence_of_end(run: Run) -> dict[str, Any]:
    """Return the condition of the end of a run: the same, and that nobody has asked it to stop if it has failed."""
    fence = fence_of(run)
    if is_unasked(run):
        fence["$elemMatch"]["cancel"] = None
    return fence


def has_heard(run: Run, document: Mapping[str, Any], now: int) -> bool:
    """Let a run that has failed know if the document of its job says that somebody had asked it to stop before."""
    for entry in entries_of(document, "under_way") if is_unasked(run) else ():
        key = entry.get("nominal"), entry.get("attempt"), entry.get("owner")
        if key == (run.nominal, run.attempt, run.owner) and entry.get("cancel") is not None:
            hear(run, text_instead(entry["cancel"]) or "", now)
            return True
    return False


def lasts_of(document: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the last time that each of the runs and records in a job's document stands for."""
    if not document.get("busy"):
        return ()
    entries = (entry for name in LISTS for entry in entries_of(document, name))
    return tuple(standing_of(entry)[1] for entry in entries if is_time(entry.get("nominal")))
