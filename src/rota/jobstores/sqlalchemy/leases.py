"""The nodes table: who is alive, and what becomes of the runs of those who are not.

Each function is one step inside a transaction of the caller.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import bindparam, case, func, select

from ...codec.damaged import LATEST, MOST, is_time, renewals_of
from ...codec.unrestored import can_run
from ...core.orphans import linked, sort_out
from ...core.states import LOST, end
from ...errors import StoreError
from ..identity import RESTORED, Changed
from ..server_clock import AHEAD
from .forms import fence_of
from .layout import BATCH, IDENTITY_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from ...core.run import Run
    from ...job.handle import Job
    from ..identity import Identity
    from .layout import Tables
    from .runs import Ledger, Orphan


class Nodes:
    """Reads and writes leases. The row of a dead node stays for a while, so that it learns about its death.

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
        # A count that is none begins anew.
        count = case((table.c.renewals.between(0, MOST), table.c.renewals + 1), else_=1)
        self._renew = self._set.values(renewals=count)

    def is_alive(self, conn: Connection, node: str, now: int, identity: Identity) -> bool:
        """Whether the lease of a node is not over.

        :raises StoreError: if it never had one
        :raises Changed: if it had one, and the store was put back from a backup
        """
        known = identity.renewals(node)  # before the look: another thread may renew it at this moment
        row = conn.execute(self._find, {"b_id": node}).first()
        # A count that is none begins anew.
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
        """Have it decided until the end of the transaction who is alive: no lease that is over is renewed meanwhile.

        A lease that was renewed in the future, as it seems, counts from now: the clock was set back. One that is damaged is over.

        :param clock: tells ``now`` as time goes on
        """
        # What is no number comes after all numbers.
        in_question = (
            (self._table.c.lease_until < now)
            | (self._table.c.lease_until > LATEST)
            | (self._table.c.started > now + AHEAD)
        )
        nodes = select(self._table.c.id, self._table.c.lease_until, self._table.c.started)
        found = conn.execute(nodes.where(in_question).with_for_update()).all()
        # What was renewed while this transaction was held up is not ahead, and from here on nobody renews it.
        now = clock()
        for id, until, started in found:
            if not (is_time(until) and is_time(started)):
                conn.execute(self._set, {"b_id": id, "lease_until": now - 1, "started": now - 1})
            elif started > now + AHEAD:
                conn.execute(self._set, {"b_id": id, "lease_until": until - started + now, "started": now})

    def gone(self, conn: Connection, instant: int) -> list[str]:
        """Return nodes whose lease was over before an instant or is damaged, at most as many as one statement names."""
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


def rescue(
    conn: Connection,
    ledger: Ledger,
    orphans: Sequence[Orphan],
    jobs: Mapping[str, Job],
    node: str,
    now: int,
    room: Mapping[str, int] | None,
    known: Collection[tuple[str, int]],
    refusal: Callable[[Run], str | None],
) -> list[Run]:
    """Give orphaned runs to a node, or record them as lost, as :func:`~rota.core.orphans.sort_out` decides.

    :return: what was taken, linked by ``then`` where it is of one job, and what was lost
    """
    fences = {id(run): fence for run, fence in orphans}
    # Before they change hands.
    damaged = [run for run, fence in orphans if fence != fence_of(run)]
    whole = [run for run, fence in orphans if fence == fence_of(run)]
    changed = sort_out(whole, jobs, node, now, room, known, refusal, can_run=can_run)
    for run in damaged:
        end(run, LOST, run.reason, now)
    changed += damaged
    found = [run for run in changed if ledger.settle(conn, run, fences[id(run)])]
    ledger.release(conn, Counter(run.job_id for run in found if run.ended), now)
    linked(found)
    return found
