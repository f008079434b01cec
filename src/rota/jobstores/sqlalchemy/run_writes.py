"""Claims, ends and takeovers of runs, in the order of the tries: at first as if nobody else were there, then with care.

What one try does is in ``runs``. It does not change the planner's decisions.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from sqlalchemy.exc import IntegrityError

from ...clock import HELD
from ...core.orphans import takeable
from ...core.recorded import firsts_of, ranges_of
from ...core.transitions import moved
from ...errors import HeldRowsError
from ..held_rows import MOST_HELD
from .forms import fence_of
from .prepared import OptimisticWriteFailed, RecordMet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from ...codec.jobs import JobFormat
    from ...core.plan import Decision
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from ..identity import Identity
    from .history import History
    from .jobs import Jobs
    from .leases import Nodes
    from .orphans import Orphans
    from .runs import Runs
    from .transactions import Transactions
    from .wakeups import Wakeups

    #: the runs that were refused, whether a job has become due, and the runs whose jobs somebody else holds
    Ends = tuple[list[Run], bool, list[Run]]

#: How often a claim is tried that meets records.
TRIES = 10


class RunWrites:
    """Claims runs of one store, records how they ended, and takes over those of nodes that are dead.

    :param job_of: returns the job of a row
    """

    def __init__(
        self,
        transactions: Transactions,
        jobs: Jobs,
        runs: Runs,
        orphans: Orphans,
        nodes: Nodes,
        history: History,
        wakeups: Wakeups,
        format: JobFormat,
        identity: Identity,
        job_of: Callable[[Any], Job],
    ) -> None:
        self._transactions = transactions
        self._jobs = jobs
        self._runs = runs
        self._orphans = orphans
        self._nodes = nodes
        self._history = history
        self._wakeups = wakeups
        self._format = format
        self._identity = identity
        self._job_of = job_of
        self._one_writer = transactions.server.database.one_writer

    # -- claiming ------------------------------------------------------------------------------------------------

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions, each job's rows together; return those whose job nobody has changed in the meantime.

        :raises StoreError: if ``node`` never had a lease
        """
        self._format.sign_runs(decisions)
        claimed = self._claimed_around_held_rows(decisions, node, now)
        if claimed is None:
            return []
        if len(claimed) < len(decisions):
            self._transactions.stay_cautious()  # as long as it goes on
        for decision, running in claimed:
            moved(decision, running)
        return [decision for decision, _ in claimed]

    def _claimed_around_held_rows(
        self, decisions: Sequence[Decision], node: str, now: int
    ) -> list[tuple[Decision, int]] | None:
        """Return the decisions that were carried out, with how many runs their job then has; None if somebody holds the rows.

        Where somebody holds what the claim of one job writes besides its row, the others are claimed one by one.
        """
        try:
            return self._claimed(decisions, node, now)
        except HeldRowsError:
            if self._one_writer or len(decisions) == 1:
                return None
        won: list[tuple[Decision, int]] = []
        held = 0  # how many in a row
        for decision in decisions:
            try:
                won += self._claimed([decision], node, now)
                held = 0
            except HeldRowsError:
                held += 1
                if held == MOST_HELD:
                    break
        return won

    def _claimed(self, decisions: Sequence[Decision], node: str, now: int) -> list[tuple[Decision, int]]:
        """Return the decisions that were carried out, with how many runs their job then has.

        :raises HeldRowsError: if somebody holds rows, other than those of jobs, which are left out
        """
        ranges, firsts = ranges_of(decisions), firsts_of(decisions)

        def work(conn: Connection, careful: bool, looked: bool) -> list[tuple[Decision, int]]:
            if not self._nodes.is_alive(conn, node, now, self._identity):
                return []
            won = self._runs.claim(conn, decisions, node, now, careful)
            if firsts and not looked:  # R4, for the times that a record stands for
                history = self._history
                if (ranges and history.between(conn, ranges)) or history.reaching(conn, firsts):
                    raise RecordMet
            return won

        def leave_out(conn: Connection) -> bool:
            return self._runs.leave_out_recorded(conn, decisions, self._history)

        careful, tries = self._transactions.are_cautious, 0
        while True:
            try:
                return self._transactions.step(partial(work, careful=careful, looked=tries > 0))
            except OptimisticWriteFailed:
                careful = True
            except HeldRowsError:
                if careful or self._one_writer:
                    raise
                self._transactions.be_cautious()
                careful = True
            except (IntegrityError, RecordMet):
                # Most likely a nominal time has its record already; it may be forgotten before it is looked for.
                tries += 1
                if (not self._transactions.read(leave_out) and tries > 1) or tries == TRIES:
                    raise

    # -- ending --------------------------------------------------------------------------------------------------

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs; return those whose fence is not the store's any more.

        :raises HeldRowsError: if somebody holds the rows of some jobs; it says of which runs, and which were refused
        """
        waited = any(run.job is not None and run.job.next_due == HELD for run in runs)
        refused, due, left = self._finished(runs, now, waited)
        if due or waited:
            self._wakeups.wake()
        if left:
            raise HeldRowsError(
                f"Somebody holds the rows of {len(left)} jobs, such as {left[0].job_id!r}, in an open transaction",
                left,
                refused,
            )
        return refused

    def _finished(self, runs: Sequence[Run], now: int, waited: bool) -> Ends:
        def work(conn: Connection, careful: bool) -> Ends:
            refused, due = self._runs.finish(conn, runs, now, careful)
            if due or waited:
                self._wakeups.tell_if_soon(conn, now)
            return refused, due, []

        try:
            if not self._transactions.are_cautious:
                return self._transactions.step_optimistically(work)
        except HeldRowsError:
            if self._one_writer:
                return [], False, list(runs)
        return self._finished_free(runs, now, waited)

    def _finished_free(self, runs: Sequence[Run], now: int, waited: bool) -> Ends:
        """Record the ends of runs whose jobs nobody else holds."""

        def work(conn: Connection) -> Ends:
            held = self._runs.held(conn, {run.job_id for run in runs})
            left = [run for run in runs if run.job_id in held]
            if len(left) == len(runs):
                return [], False, left
            ended = [run for run in runs if run.job_id not in held]
            refused, due = self._runs.finish(conn, ended, now, True)
            if due or waited:
                self._wakeups.tell_if_soon(conn, now)
            return refused, due, left

        try:
            found = self._transactions.step(work)
        except HeldRowsError:  # those of the runs
            found = [], False, list(runs)
        if found[2]:
            self._transactions.be_cautious()
        return found

    # -- orphans -------------------------------------------------------------------------------------------------

    def rescue(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None,
        known: Collection[tuple[str, int]],
        in_doubt: bool,
        ownerless: bool,
        clock: Callable[[], int],
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take over runs that no living node owns; see the port.

        :param clock: tells ``now`` as time goes on
        """
        orphans = partial(self._orphans.found, now=now, own=node if in_doubt else None, ownerless=ownerless)
        # Nearly always there is nothing to do, and then nothing is written.
        if not self._transactions.read(partial(orphans, ahead=True)):
            return []

        def work(conn: Connection, careful: bool) -> list[Run]:
            if not self._nodes.is_alive(conn, node, now, self._identity):
                return []  # its own runs may not be its own any more
            left = self._nodes.settle(conn, now, clock, careful)
            unknown = [
                (run, fence)
                for run, fence in orphans(conn)
                if run.owner not in left and (run.owner != node or (run.job_id, run.nominal) not in known)
            ]
            held = self._runs.held(conn, {run.job_id for run, _ in unknown})
            if careful:
                keys = {(run.job_id, run.nominal) for run, fence in unknown if fence == fence_of(run)}
                with_held = self._runs.of_held_runs(conn, keys)
                unknown = [(run, fence) for run, fence in unknown if run.job_id not in with_held]
            # This node's own runs change no job, and nobody would look for them again later.
            unknown = [(run, fence) for run, fence in unknown if run.owner == node or run.job_id not in held]
            if may_take is not None:
                stays = set(map(id, takeable([run for run, _ in unknown], may_take)))
                unknown = [(run, fence) for run, fence in unknown if id(run) in stays]
            orphaned = Counter([run.job_id for run, _ in unknown])
            jobs = {row.id: self._job_of(row) for row in self._jobs.some(conn, orphaned)}
            self._orphans.recount_busy(
                conn, {id: job for id, job in jobs.items() if id not in held}, orphaned
            )
            refusal = self._format.run_refusal
            return self._orphans.take_over(conn, unknown, jobs, node, now, room, known, refusal)

        return self._transactions.step_around_held_rows(work)
