"""What somebody may ask of the SQL store beside the schedules: runs that wait, cancelling, orders to nodes.

The methods of the port; what each does in its transaction is in ``waiting`` and ``orders``.
"""

from __future__ import annotations

from functools import cached_property, partial

from sqlalchemy.exc import IntegrityError

from ...core.extras import extra_of
from ...core.waiting import given_back
from ..chaining import StartsChains
from ..requests import TakesRequests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from ...codec.jobs import JobFormat
    from ...core.openings import Cut
    from ...core.orders import Orders
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from ..identity import Identity
    from .chains import Chains
    from .jobs import Jobs
    from .layout import Tables
    from .leases import Nodes
    from .orders import NodeOrders
    from .runs import Runs
    from .transactions import Transactions
    from .waiting import Waiting
    from .wakeups import Wakeups


class AskedTables(TakesRequests, StartsChains):
    """The tables of one store as somebody may ask something of them."""

    starts_chains = True

    _identity: Identity
    _transactions: Transactions
    _nodes: Nodes
    _jobs: Jobs
    _runs: Runs
    _tables: Tables
    _format: JobFormat
    _job_of: Callable[[Any], Job]
    _wakeups: Wakeups
    now: Callable[[], int]

    @cached_property
    def _chains(self) -> Chains:
        from .chains import Chains  # import time

        return Chains(self._tables, self._jobs, self._runs, self._format, self._wakeups, self._job_of)

    def _follow_in(self, conn: Connection, runs: Sequence[Run], now: int) -> None:
        """Write what the ends of runs leave at other jobs, in the transaction that writes these."""
        if runs:
            self._chains.follow(conn, runs, now)

    @cached_property
    def _waiting(self) -> Waiting:
        from .waiting import Waiting  # import time

        return Waiting(self._tables, self._jobs, self._runs, self._format, self._job_of)

    @cached_property
    def _orders(self) -> NodeOrders:
        from .orders import NodeOrders  # import time

        return NodeOrders(self._tables, self._waiting)

    # -- runs that wait ------------------------------------------------------------------------------------------

    def open_runs(
        self, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
    ) -> list[Run]:
        """Make runs wait that are asked for; see the port."""

        def work(conn: Connection) -> list[Run]:
            found = self._waiting.open(conn, runs, now, cuts, version)
            times = [run.extra.not_before for run in found if not run.ended and hasattr(run, "extra")]
            self._wakeups.tell_if_soon(conn, min((time for time in times if time is not None), default=None))
            return found

        if not runs:
            return []
        return self._transactions.step(work)

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait, for any node; see the port."""
        if not runs:
            return []
        refused = self._transactions.step(partial(self._waiting.give_back, runs=runs, now=now))
        for run in runs:
            if run not in refused:
                given_back(run, extra_of(run).not_before or now)
        self._wakeups.wake()
        return refused

    def take_waiting(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take waiting runs whose time has come; see the port. Those of jobs that somebody else holds are left to the next time."""
        from ...core.waiting import Taking  # import time

        first = self._transactions.read(self._waiting.next)
        if first is None or first > now:
            return []

        def work(conn: Connection, careful: bool) -> list[Run]:
            if not self._nodes.is_alive(conn, node, now, self._identity):
                return []
            return self._waiting.take(conn, Taking(node, now, room, may_take), now, careful)

        return self._transactions.step_around_held_rows(work)

    def next_waiting(self) -> int | None:
        """Return the earliest time at which a waiting run may start, None if none waits."""
        return self._transactions.read(self._waiting.next)

    def cancel_run(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        """Cancel a run; see the port. The other nodes are told, as one of them may have it."""

        def work(conn: Connection) -> Run | None:
            run = self._waiting.cancel(conn, job_id, nominal, reason, now, only_waiting)
            if run is not None and not run.ended:
                self._wakeups.tell(conn)
            return run

        run = self._transactions.step(work)
        self._wakeups.wake()
        return run

    def _remove(self, conn: Connection, job_id: str) -> list[Run] | None:
        if self._jobs.remove(conn, job_id):
            return None
        return self._waiting.remove_job(conn, job_id, self.now())  # runs of it wait, or it is not there

    def _remove_all(self, conn: Connection) -> list[Run]:
        ended = self._waiting.cancel_all(conn, self.now())
        self._jobs.remove_all(conn)
        return ended

    # -- what is left of a backfill ------------------------------------------------------------------------------

    def backfills(self) -> dict[str, str]:
        """Return what is left of backfills, by the ids of their jobs."""
        return self._transactions.read(self._orders.backfills)

    def backfill_refusal(self, job_id: str, text: str) -> str | None:
        """Return why what is left of the backfill of a job is not carried on; see the port."""
        return self._format.backfill_refusal(job_id, text)

    def keep_backfill(self, job_id: str, text: str | None, before: str | None) -> bool:
        """Keep what is left of the backfill of a job, if that is still as it was looked at; see the port."""
        signed = None if text is None else self._format.signed_backfill(job_id, text)

        def work(conn: Connection) -> bool:
            kept = self._orders.keep_backfill(conn, job_id, signed, before)
            self._wakeups.tell(conn)
            return kept

        try:
            kept = self._transactions.step(work)
        except IntegrityError:  # somebody else was faster
            return False
        self._wakeups.wake()
        return kept

    # -- chains --------------------------------------------------------------------------------------------------

    def children(self, parents: Collection[str]) -> Sequence[Job]:
        """Return the jobs that the ends of some jobs start, as they are stored."""
        return self._transactions.read(partial(self._chains.children, parents=parents))

    def parents(self) -> Collection[str]:
        """Return the ids of the jobs that start others."""
        return self._transactions.read(self._chains.parents)

    # -- nodes ---------------------------------------------------------------------------------------------------

    def orders(self, node: str, now: int) -> Orders:
        """Return what others ask of a node."""
        return self._transactions.read(partial(self._orders.of_node, node=node, now=now))

    def drain(self, node: str, draining: bool, now: int) -> bool:
        """Have a node claim nothing more, or claim again; return False if there is none."""

        def work(conn: Connection) -> bool:
            found = self._orders.drain(conn, node, draining, now)
            self._wakeups.tell(conn)
            return found

        found = self._transactions.write(work)
        self._wakeups.wake()
        return found

    def request(self, node: str, kind: str, now: int, subject: tuple[str, int] | None = None) -> str:
        """Ask a node for something that only it knows; return the id of the request."""

        def work(conn: Connection) -> str:
            id = self._orders.request(conn, node, kind, now, subject)
            self._wakeups.tell(conn)
            return id

        id = self._transactions.write(work)
        self._wakeups.wake()
        return id

    def answer(self, id: str, text: str, now: int) -> None:
        """Answer a request; one that is gone is forgotten."""
        self._transactions.step(partial(self._orders.answer, id=id, text=text, now=now))

    def answer_to(self, id: str, now: int) -> str | None:
        """Return the answer to a request; None: there is none yet, or it is gone."""
        return self._transactions.read(partial(self._orders.answer_to, id=id, now=now))
