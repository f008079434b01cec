"""The nodes table: who is alive, and what becomes of the runs of those who are not.

Each function is one step inside a transaction of the caller.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import bindparam, func, select

from ...core.run import LOST, end
from ...damaged import LATEST, is_time
from ...errors import StoreError
from ..offset import AHEAD
from ..orphans import linked, sort_out
from .rows import fence_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from ...core.run import Run
    from ...job import Job
    from .ledger import Ledger, Orphan
    from .schema import Tables


class Nodes:
    """Reads and writes leases. The row of a dead node stays for a while, so that it learns about its death.

    A row says when the lease is over, and when it was renewed (``started``): the difference is its length.
    """

    def __init__(self, tables: Tables) -> None:
        self._table = table = tables.nodes
        self._find = select(table.c.lease_until).where(table.c.id == bindparam("b_id"))
        self._renew = (
            table.update()
            .where(table.c.id == bindparam("b_id"))
            .values(lease_until=bindparam("lease_until"), started=bindparam("started"))
        )

    def is_alive(self, conn: Connection, node: str, now: int) -> bool:
        """Whether the lease of a node is not over.

        :raises StoreError: if it never had one
        """
        until = conn.scalar(self._find, {"b_id": node})
        if until is None:
            raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        return is_time(until) and bool(until >= now)

    def renew(self, conn: Connection, node: str, now: int, until: int) -> bool | None:
        """Begin or prolong a lease; return whether it was running until now, None if there was none."""
        before = conn.scalar(self._find, {"b_id": node})
        if before is None:
            conn.execute(self._table.insert(), {"id": node, "lease_until": until, "started": now})
            return None
        conn.execute(self._renew, {"b_id": node, "lease_until": until, "started": now})
        return is_time(before) and bool(before >= now)

    def settle(self, conn: Connection, now: int) -> None:
        """Have it decided until the end of the transaction who is alive: no lease that is over is renewed meanwhile.

        A lease that was renewed in the future, as it seems, counts from now: the clock was set back. One that is damaged is over.
        """
        # What is no number comes after all numbers.
        in_question = (
            (self._table.c.lease_until < now)
            | (self._table.c.lease_until > LATEST)
            | (self._table.c.started > now + AHEAD)
        )
        for id, until, started in conn.execute(
            select(self._table).where(in_question).with_for_update()
        ).all():
            if not (is_time(until) and is_time(started)):
                renewed = {"b_id": id, "lease_until": now - 1, "started": now - 1}
            elif started > now + AHEAD:
                renewed = {"b_id": id, "lease_until": until - started + now, "started": now}
            else:
                continue
            conn.execute(self._renew, renewed)

    def gone(self, conn: Connection, instant: int) -> list[str]:
        """Return the nodes whose lease was over before an instant."""
        until = self._table.c.lease_until
        gone = select(self._table.c.id).where((until < instant) | (until > LATEST))
        return list(conn.execute(gone).scalars())

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
) -> list[Run]:
    """Give orphaned runs to a node, or record them as lost, as :func:`~rota.jobstores.orphans.sort_out` decides.

    :return: what was taken, linked by ``then`` where it is of one job, and what was lost
    """
    fences = {id(run): fence for run, fence in orphans}
    # Before they change hands.
    damaged = [run for run, fence in orphans if fence != fence_of(run)]
    changed = sort_out(
        [run for run, fence in orphans if fence == fence_of(run)], jobs, node, now, room, known
    )
    for run in damaged:
        end(run, LOST, run.reason, now)
    changed += damaged
    found = [run for run in changed if ledger.settle(conn, run, fences[id(run)])]
    ledger.release(conn, Counter(run.job_id for run in found if run.ended), now)
    linked(found)
    return found
