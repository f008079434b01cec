"""Why a store refused the end of a run, and what becomes of the run: another node has it, or the store is another one than it was.

It asks the store and the lease; it tells nobody.
"""

from __future__ import annotations

from ..interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from .lease import Lease


class Refusals:
    """What is known of ends that one store refused."""

    __slots__ = ("_lease", "_reasons", "_store", "displaced", "reopened")

    def __init__(self, store: BaseJobStore, lease: Lease | None) -> None:
        self._store = store
        self._lease = lease
        #: runs in hand (by identity) that have no place in their store, which was emptied, put back or replaced
        self.displaced: set[int] = set()
        #: how often the store was opened anew
        self.reopened = 0
        #: why the ends of runs (by identity) were refused, where that is known already
        self._reasons: dict[int, str] = {}

    def look_into(
        self, refused: Sequence[Run], reopened: int, in_hand: dict[tuple[str, int], Run]
    ) -> tuple[list[Run], list[Run], list[Run], BaseException | None]:
        """Find out why ends were refused: by the fence, or because the store is not the one in which the runs were claimed.

        :return: the runs that are refused, those that are lost with their store, those of which nothing is known yet as the store
            cannot be asked, and what it said then
        """
        lease, displaced = self._lease, self.displaced
        assert lease is not None
        stale: list[Run] = []
        lost: list[Run] = []
        others = [run for run in refused if id(run) not in displaced]
        left = list(refused)
        again = [run for run in refused if id(run) in displaced]
        try:
            if others:
                lease.check(in_hand)
                if (
                    self.reopened == reopened
                ):  # else they may have been written anew after the store was asked
                    forgotten = self._forgotten(others, lease)
                    stale = [run for run in others if run not in forgotten]
                    again += forgotten
                    left = list(again)
            for run in again:
                self._record_again(run, lease.node, stale, lost)
                displaced.discard(id(run))
                left.remove(run)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            return stale, lost, left, exc
        return stale, lost, left, None

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
