"""Leases: which nodes are alive, and what becomes of the runs of those that are not.

What happens to the runs of dead nodes is decided in ``rota.core.orphans``; this carries it out.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from sqlalchemy import bindparam, case, func, select

from ...codec.damaged import LATEST, MOST, is_time, renewals_of
from ...codec.unrestored import can_run
from ...core.orphans import linked, sort_out
from ...core.states import LOST, end
from ...errors import HeldRowsError, StoreError
from ..identity import RESTORED, Changed
from ..server_clock import AHEAD
from .databases.base import BATCH
from .forms import fence_of
from .layout import IDENTITY_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any, TypeVar

    from sqlalchemy import Connection

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job
    from ..identity import Identity
    from .jobs import Jobs
    from .layout import Tables
    from .runs import Orphan, Runs
    from .transactions import Transactions

    Result = TypeVar("Result")


class Nodes:
    """The nodes table. The row of a dead node stays for a while, so that the node learns of it if it was only held up.

    Each method is one step inside a transaction of the caller.

    A row says when the lease is over, and when it was renewed (``started``): the difference is its length.
    """

    def __init__(self, tables: Tables) -> None:
        self._table = table = tables.nodes
        self._find = select(table.c.lease_until, table.c.renewals).where(table.c.id == bindparam("b_id"))
        meta = tables.meta
        #: the same with the identity of the store
        self._look = (
            select(meta.c.value, table.c.lease_until, table.c.renewals)
            .select_from(meta.outerjoin(table, table.c.id == bindparam("b_id")))
            .where(meta.c.key == IDENTITY_KEY)
        )
        self._set = (
            table.update()
            .where(table.c.id == bindparam("b_id"))
            .values(lease_until=bindparam("lease_until"), started=bindparam("started"))
        )
        # A damaged count begins anew.
        count = case((table.c.renewals.between(0, MOST), table.c.renewals + 1), else_=1)
        self._renew = self._set.values(renewals=count)

    def is_alive(self, conn: Connection, node: str, now: int, identity: Identity) -> bool:
        """Whether the lease of a node is not over.

        :raises StoreError: if it never had one
        :raises Changed: if it had one, and the store was put back from a backup
        """
        known = identity.renewals(node)  # before reading: another thread may renew the lease at this moment
        row = conn.execute(self._find, {"b_id": node}).first()
        # A damaged count begins anew.
        renewals = None if row is None else renewals_of(row[1])
        if (row is None or renewals is not None) and identity.is_restored(node, now, renewals, known):
            raise Changed(RESTORED)
        if row is None:
            raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        return is_time(row[0]) and bool(row[0] >= now)

    def renew(
        self, conn: Connection, node: str, now: int, until: int, identity: Identity
    ) -> tuple[bool | None, int]:
        """Begin or prolong a lease, if the store is the one that was opened.

        :return: whether the lease was running until now, None if there was none; and how often it has been renewed
        :raises Changed: if it is another one
        """
        row = conn.execute(self._look, {"b_id": node}).first()
        found, before, renewals = (None, None, 0) if row is None else row
        is_known = renewals is None or renewals_of(renewals) is not None
        change = identity.change(node, now, found, renewals if is_known else identity.renewals(node))
        if change is not None:
            raise Changed(change)
        if before is None:
            first = {"id": node, "lease_until": until, "started": now, "renewals": 1}
            conn.execute(self._table.insert(), first)
            return None, 1
        conn.execute(self._renew, {"b_id": node, "lease_until": until, "started": now})
        return is_time(before) and bool(before >= now), (renewals or 0) + 1 if is_known else 1

    def settle(self, conn: Connection, now: int, clock: Callable[[], int]) -> None:
        """Lock the leases that are over until the end of the transaction, so that nobody renews them meanwhile.

        A lease that seems to have been renewed in the future counts from now: the clock was set back. A damaged lease is over.

        :param clock: tells ``now`` as time goes on
        """
        # A text or bytes in the place of a number come after all numbers.
        in_question = (
            (self._table.c.lease_until < now)
            | (self._table.c.lease_until > LATEST)
            | (self._table.c.started > now + AHEAD)
        )
        nodes = select(self._table.c.id, self._table.c.lease_until, self._table.c.started)
        found = conn.execute(nodes.where(in_question).with_for_update()).all()
        # A lease that was renewed while this transaction was held up is not in the future; from here on nobody renews one.
        now = clock()
        for id, until, started in found:
            if not (is_time(until) and is_time(started)):
                conn.execute(self._set, {"b_id": id, "lease_until": now - 1, "started": now - 1})
            elif started > now + AHEAD:
                conn.execute(self._set, {"b_id": id, "lease_until": until - started + now, "started": now})

    def gone(self, conn: Connection, instant: int) -> list[str]:
        """Return at most BATCH nodes whose lease was over before an instant, or is damaged."""
        until = self._table.c.lease_until
        over = select(self._table.c.id).where((until < instant) | (until > LATEST))
        return list(conn.execute(over.limit(BATCH)).scalars())

    def living(self, conn: Connection, instant: int) -> int:
        """Return how many nodes have a lease that is not over at an instant."""
        until = self._table.c.lease_until
        found: int = (
            conn.scalar(
                select(func.count()).select_from(self._table).where(until >= instant, until <= LATEST)
            )
            or 0
        )
        return found

    def remove(self, conn: Connection, *nodes: str) -> None:
        """Forget nodes."""
        conn.execute(self._table.delete().where(self._table.c.id.in_(nodes)))


class Leases:
    """Begins, renews and ends the leases of nodes in one store, and takes over the runs of those that are dead.

    :param job_of: returns the job of a row
    :param measure: asks for the server's time by the function that it is given; returns by how much the store's has moved
    """

    def __init__(
        self,
        transactions: Transactions,
        nodes: Nodes,
        runs: Runs,
        jobs: Jobs,
        format: JobFormat,
        identity: Identity,
        job_of: Callable[[Any], Job],
        measure: Callable[[Callable[[], int | None]], int],
    ) -> None:
        self._transactions = transactions
        self._nodes = nodes
        self._runs = runs
        self._jobs = jobs
        self._format = format
        self._identity = identity
        self._job_of = job_of
        self._measure = measure

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run], in_doubt: bool
    ) -> list[Run] | None:
        """Renew or begin a node's lease, by the database's clock if it has one; see the port."""
        server = self._transactions.server
        self._runs.warm_up(server.engine.dialect)  # a node that begins a lease is about to run jobs
        moved = 0

        def work(conn: Connection) -> tuple[list[Run] | None, int, int]:
            nonlocal moved
            moved += self._measure(partial(server.database.time_of, conn))
            there = now + moved
            ran, renewals = self._nodes.renew(conn, node, there, there + lease, self._identity)
            if (ran and not in_doubt) or (ran is None and not in_hand):
                return None, renewals, there + lease
            return self._runs.lost(conn, node, in_hand), renewals, there + lease

        def careful(work: Callable[[Connection], Result]) -> Result:
            server.connections.check_log()
            return server.step(work)

        lost, renewals, until = self._transactions.guarded(careful, work)
        self._identity.written(node, renewals, until)
        return lost

    def leave(self, node: str, runs: Sequence[Run]) -> None:
        """Give back runs that were not started, and end the lease unless other runs of the node are under way."""

        def work(conn: Connection) -> None:
            self._runs.give_back(conn, runs)
            if not self._runs.is_busy(conn, node):
                self._nodes.remove(conn, node)

        while True:
            try:
                self._transactions.step(work)
                break
            except HeldRowsError:
                if not self._transactions.server.database.one_writer:
                    raise
                # Another process is writing to the file: that is waited for here, as no step of this node follows.
        self._identity.left(node)

    def forget(self, instant: int) -> None:
        """Delete the rows of some nodes whose lease was over before an instant."""
        gone = self._transactions.read(partial(self._nodes.gone, instant=instant))
        if gone:
            self._transactions.step(lambda conn: self._nodes.remove(conn, *gone))

    def rescue(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None,
        known: Collection[tuple[str, int]],
        in_doubt: bool,
        ownerless: bool,
        clock: Callable[[], int],
    ) -> list[Run]:
        """Take over runs that no living node owns; see the port.

        :param clock: tells ``now`` as time goes on
        """
        orphans = partial(self._runs.orphans, now=now, own=node if in_doubt else None, ownerless=ownerless)
        # Nearly always there is nothing to do, and then nothing is written.
        if not self._transactions.read(partial(orphans, ahead=True)):
            return []

        def work(conn: Connection) -> list[Run]:
            if not self._nodes.is_alive(conn, node, now, self._identity):
                return []  # its own runs may not be its own any more
            self._nodes.settle(conn, now, clock)
            unknown = [
                (run, fence)
                for run, fence in orphans(conn)
                if run.owner != node or (run.job_id, run.nominal) not in known
            ]
            held = self._runs.held(conn, {run.job_id for run, _ in unknown})
            # This node's own runs change no job, and nobody would look for them again later.
            unknown = [(run, fence) for run, fence in unknown if run.owner == node or run.job_id not in held]
            orphaned = Counter([run.job_id for run, _ in unknown])
            jobs = {row.id: self._job_of(row) for row in self._jobs.some(conn, orphaned)}
            self._recount_busy(conn, {id: job for id, job in jobs.items() if id not in held}, orphaned)
            refusal = self._format.run_refusal
            return _taken_over(conn, self._runs, unknown, jobs, node, now, room, known, refusal)

        try:
            return self._transactions.step(work)
        except HeldRowsError:  # the row of a node or a run: rescue is called again with the next renewal
            return []

    def _recount_busy(self, conn: Connection, jobs: Mapping[str, Job], orphaned: Mapping[str, int]) -> None:
        """Check the counters of jobs that seem to have no room for their orphaned runs (R2)."""
        busy = [
            id for id, job in jobs.items() if not 0 <= job.running - orphaned[id] < job.policy.max_instances
        ]
        for id, running in self._jobs.recount(conn, busy, wait=False).items() if busy else ():
            jobs[id].running = running


def _taken_over(
    conn: Connection,
    table: Runs,
    orphans: Sequence[Orphan],
    jobs: Mapping[str, Job],
    node: str,
    now: int,
    room: Mapping[str, int] | None,
    known: Collection[tuple[str, int]],
    refusal: Callable[[Run], str | None],
) -> list[Run]:
    """Give orphaned runs to a node, or record them as lost, as :func:`~rota.core.orphans.sort_out` decides.

    :return: the runs that were taken over, those of one job linked by ``then``, and the runs that were lost
    """
    fences = {id(run): fence for run, fence in orphans}
    # Found out before runs get another owner.
    damaged = [run for run, fence in orphans if fence != fence_of(run)]
    whole = [run for run, fence in orphans if fence == fence_of(run)]
    changed = sort_out(whole, jobs, node, now, room, known, refusal, can_run=can_run)
    for run in damaged:
        end(run, LOST, run.reason, now)
    changed += damaged
    found = [run for run in changed if table.settle(conn, run, fences[id(run)])]
    table.release(conn, Counter(run.job_id for run in found if run.ended), now)
    linked(found)
    return found
