"""Why a store refused the end of a run, and what becomes of the run: another node has it, the store is another one, or ignores it.

It asks the store and the lease; it tells nobody.
"""

from __future__ import annotations

from ..core.states import CLAIMED
from ..events import EVENT_JOB_LOST, EVENT_JOB_REFUSED
from ..interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .lease import Lease
    from .next_tries import GivenBack

    class KeepsRefusals(Protocol):
        """The ends of the runs of one store."""

        refusals: Refusals | None


TAKEN_OVER = "another node has taken the run over"
LOST_WITH_ITS_STORE = (
    "has no record: its job store was emptied, put back from a backup or replaced while it ran"
)


class Refusals:
    """What is known of ends that one store refused."""

    __slots__ = ("_lease", "_logger", "_reasons", "_store", "_unwritten", "displaced")

    def __init__(self, store: BaseJobStore, lease: Lease | None, logger: GuardedLogger) -> None:
        self._store = store
        self._lease = lease
        self._logger = logger
        #: the runs in hand, by identity, that the store keeps as they were; that is logged once
        self._unwritten: dict[int, Run] = {}
        #: runs in hand (by identity) that have no place in their store, which was emptied, put back or replaced
        self.displaced: set[int] = set()
        #: why the ends of runs (by identity) were refused, where that is known already
        self._reasons: dict[int, str] = {}

    def look_into(
        self, refused: Sequence[Run], is_same: Callable[[], bool], in_hand: dict[tuple[str, int], Run]
    ) -> tuple[list[Run], list[Run], list[Run], list[Run], BaseException | None]:
        """Find out why ends were refused: by the fence, or because the store is not the one in which the runs were claimed.

        :param is_same: whether the store was not opened anew since it has refused them
        :return: the runs that are refused, those that are lost with their store, those that stand there as they were
            (:meth:`unwritten`), those of which nothing is known yet as the store cannot be asked, and what it said then
        """
        lease, displaced = self._lease, self.displaced
        assert lease is not None
        stale: list[Run] = []
        lost: list[Run] = []
        kept: list[Run] = []
        others = [run for run in refused if id(run) not in displaced]
        left = list(refused)
        again = [run for run in refused if id(run) in displaced]
        try:
            if others:
                lease.check(in_hand)
                if is_same():  # else they may have been written anew after the store was asked
                    forgotten = self._forgotten(others, lease)
                    kept = self.unwritten([run for run in others if run not in forgotten], in_hand)
                    stale = [run for run in others if run not in forgotten and run not in kept]
                    again += forgotten
                    left = list(again)
            for run in again:
                self._record_again(run, lease.node, stale, lost)
                displaced.discard(id(run))
                left.remove(run)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            return stale, lost, kept, left, exc
        return stale, lost, kept, left, None

    def unwritten(self, refused: Sequence[Run], in_hand: Mapping[tuple[str, int], Run]) -> list[Run]:
        """Return those of some refused runs that nobody has taken over: their records stand as claimed by this node.

        What was to be written of them was not, though the store has raised nothing: a trigger or rule of the database ignores it,
        perhaps. They stay in hand, so that they are not taken for runs that nobody carries out.
        """
        lease = self._lease
        assert lease is not None
        found = []
        for run in refused:
            if run.permission is not lease.permission:
                continue
            record = self._store.get_run(run.job_id, run.nominal)
            # A damaged attempt that is a truth equals one; the store knows better.
            if record is None or type(record.attempt) is not int or record.attempt != run.attempt:
                continue
            if (record.status, record.owner) == (CLAIMED, lease.node):
                found.append(run)
        known = self._unwritten
        for id_ in [id_ for id_, run in known.items() if in_hand.get((run.job_id, run.nominal)) is not run]:
            del known[id_]
        for run in found:
            if id(run) not in known:
                known[id(run)] = run
                self._logger.error(
                    "The outcome of %r was not written: the store has raised nothing, and has the run as before, claimed by this "
                    "node; look for a trigger or rule of the database that ignores the change. The run is not executed again; its "
                    "outcome is kept, and tried again after pauses",
                    run,
                )
        return found

    def keep_unwritten(self, found: GivenBack, in_hand: Mapping[tuple[str, int], Run]) -> None:
        """Keep those of the runs that were given back and refused which nobody has taken over, to be tried again."""
        try:
            unwritten = self.unwritten(found.refused, in_hand)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            found.left += found.refused
            found.refused, found.error = [], exc
            return
        found.held += unwritten
        found.refused = [run for run in found.refused if run not in unwritten]

    def _forgotten(self, refused: Sequence[Run], lease: Lease) -> list[Run]:
        """Return those runs, of some that were refused, of which the store has no record though nobody can have taken them over.

        It was put back from a backup between two renewals of the lease, which cannot tell.
        """
        own = [run for run in refused if run.permission is lease.permission]
        known = self._recorded_keys(own) if own else ()
        return [run for run in own if (run.job_id, run.nominal) not in known]

    def _recorded_keys(self, runs: Sequence[Run]) -> set[tuple[str, int]]:
        """Return the keys of the records that jobs have, as far as they are of interest for these runs."""
        since: dict[str, int] = {}
        for run in runs:
            since[run.job_id] = min(run.nominal, since.get(run.job_id, run.nominal))
        found = self._store.recorded(since)
        return {(job_id, first) for job_id, records in found.items() for first, _, _ in records}

    def _record_again(self, run: Run, node: str, stale: list[Run], lost: list[Run]) -> None:
        """Write the end of a run that its store does not know of; take note if it cannot be."""
        from .missing_records import NO_JOB, TAKEN, record_again  # import time: it is needed once in years

        found = record_again(self._store, node, run)
        if found == NO_JOB:
            lost.append(run)
        elif found == TAKEN and self._store.finish([run], self._store.now()):  # else the record is its own
            self._reasons[id(run)] = "its time has a record of another run since the store was put back"
            stale.append(run)

    def reasons_for(self, refused: Sequence[Run]) -> dict[int, str]:
        """Return for refused runs (by identity) what became of them in the store."""
        reasons, self._reasons = self._reasons, {}
        try:
            known = self._recorded_keys(refused)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            return reasons
        for run in refused:
            if (run.job_id, run.nominal) not in known:
                reasons.setdefault(id(run), "the store has no record of the run any more")
        return reasons


def refusals_of(
    ends: KeepsRefusals, store: BaseJobStore, lease: Lease | None, logger: GuardedLogger
) -> Refusals:
    """Return what is known of the ends that a store refused; one object for all threads."""
    known: Refusals = ends.refusals or vars(ends).setdefault("refusals", Refusals(store, lease, logger))
    return known


def announcements_of(
    refused: Sequence[Run], lost: Sequence[Run], known: Refusals
) -> dict[int, tuple[int, str]]:
    """Return, for runs (by identity) whose outcome has no place in the store, the code of the event and the reason."""
    reasons = known.reasons_for(refused) if refused else {}
    found = {
        id(run): (EVENT_JOB_REFUSED, f"was refused: {reasons.get(id(run), TAKEN_OVER)}") for run in refused
    }
    for run in lost:
        found.setdefault(id(run), (EVENT_JOB_LOST, LOST_WITH_ITS_STORE))
    return found
