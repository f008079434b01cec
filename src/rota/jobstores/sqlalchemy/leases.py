"""The leases of the nodes in the SQL store: begun, renewed, looked at. A damaged lease is over.

It takes over no runs; what becomes of those of a dead node is decided in ``rota.core.orphans``, for ``rescue()`` in ``run_writes``.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import bindparam, case, func, select

from ...codec.damaged import LATEST, MOST, is_time, renewals_of
from ...errors import HeldRowsError, StoreError
from ..identity import RESTORED, Changed
from ..server_clock import AHEAD
from .databases.base import BATCH
from .layout import IDENTITY_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TypeVar

    from sqlalchemy import Connection

    from ...core.run import Run
    from ..identity import Identity
    from .layout import Tables
    from .runs import Runs
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
        #: the same if nobody has changed the lease since it was looked at
        self._prolong = self._renew.where(table.c.lease_until == bindparam("b_before"))

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
            self._check(node, conn.execute(self._table.insert(), first).rowcount)
            return None, 1
        count = (renewals or 0) + 1 if is_known else 1
        values = {"b_id": node, "lease_until": until, "started": now}
        ran = is_time(before) and bool(before >= now)
        # Somebody may have taken it for a lease of the future meanwhile, as the clock was set back: then it may have been over.
        if ran and conn.execute(self._prolong, {**values, "b_before": before}).rowcount:
            return True, count
        self._check(node, conn.execute(self._renew, values).rowcount)
        return False, count

    def _check(self, node: str, written: int) -> None:
        """Refuse a lease that the database has not written: it would look like a backup that was put back."""
        if not written:
            raise StoreError(
                f'The database has not written the lease of node {node} into "{self._table}", and has raised nothing; look for a '
                "trigger or rule of it"
            )

    def settle(
        self, conn: Connection, now: int, clock: Callable[[], int], careful: bool = False
    ) -> Collection[str]:
        """Lock the leases that are over until the end of the transaction, so that nobody renews them meanwhile.

        A lease that seems to have been renewed in the future counts from now: the clock was set back. A damaged lease is over.

        :param clock: tells ``now`` as time goes on
        :param careful: whether to expect that somebody holds the rows of some
        :return: the nodes whose leases somebody else holds, who may be renewing them
        """
        # A text or bytes in the place of a number come after all numbers.
        in_question = (
            (self._table.c.lease_until < now)
            | (self._table.c.lease_until > LATEST)
            | (self._table.c.started > now + AHEAD)
        )
        nodes = select(self._table.c.id, self._table.c.lease_until, self._table.c.started)
        over = set(conn.execute(select(self._table.c.id).where(in_question)).scalars()) if careful else set()
        found = conn.execute(nodes.where(in_question).with_for_update(skip_locked=careful)).all()
        # A lease that was renewed while this transaction was held up is not in the future; from here on nobody renews one.
        now = clock()
        for id, until, started in found:
            if not (is_time(until) and is_time(started)):
                conn.execute(self._set, {"b_id": id, "lease_until": now - 1, "started": now - 1})
            elif started > now + AHEAD:
                conn.execute(self._set, {"b_id": id, "lease_until": until - started + now, "started": now})
        return over.difference(row.id for row in found)

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
    """Begins, renews and ends the leases of nodes in one store.

    :param measure: asks for the server's time by the function that it is given; returns by how much the store's has moved
    """

    def __init__(
        self,
        transactions: Transactions,
        nodes: Nodes,
        runs: Runs,
        identity: Identity,
        measure: Callable[[Callable[[], int | None]], int],
    ) -> None:
        self._transactions = transactions
        self._nodes = nodes
        self._runs = runs
        self._identity = identity
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
