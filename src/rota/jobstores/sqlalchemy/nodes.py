"""The nodes table: who is alive, and what becomes of the runs of those who are not.

Each function is one step inside a transaction of the caller.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import bindparam, select

from ...core.run import LOST, end
from ...errors import StoreError
from ...jobcodec import can_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from ...core.run import Run
    from ...job import Job
    from .ledger import Ledger
    from .schema import Tables


class Nodes:
    """Reads and writes leases. The row of a dead node stays for a while, so that it learns about its death."""

    def __init__(self, tables: Tables) -> None:
        self._table = table = tables.nodes
        self._find = select(table.c.lease_until).where(table.c.id == bindparam("b_id"))
        self._renew = (
            table.update().where(table.c.id == bindparam("b_id")).values(lease_until=bindparam("lease_until"))
        )

    def is_alive(self, conn: Connection, node: str, now: int) -> bool:
        """Whether the lease of a node is not over.

        :raises StoreError: if it never had one
        """
        until = conn.scalar(self._find, {"b_id": node})
        if until is None:
            raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        return bool(until >= now)

    def renew(self, conn: Connection, node: str, now: int, until: int) -> bool:
        """Begin or prolong a lease; False if it was over."""
        before = conn.scalar(self._find, {"b_id": node})
        if before is None:
            conn.execute(self._table.insert(), {"id": node, "lease_until": until, "started": now})
        elif before < now:
            return False
        else:
            conn.execute(self._renew, {"b_id": node, "lease_until": until})
        return True

    def gone(self, conn: Connection, instant: int) -> list[str]:
        """Return the nodes whose lease was over before an instant."""
        return list(
            conn.execute(select(self._table.c.id).where(self._table.c.lease_until < instant)).scalars()
        )

    def remove(self, conn: Connection, *nodes: str) -> None:
        """Forget nodes."""
        conn.execute(self._table.delete().where(self._table.c.id.in_(nodes)))


def rescue(
    conn: Connection,
    ledger: Ledger,
    orphans: Sequence[Run],
    jobs: Mapping[str, Job],
    node: str,
    now: int,
    room: Mapping[str, int] | None,
) -> list[Run]:
    """Give orphaned runs to a node, or record them as lost, as their jobs' policies say.

    :param orphans: claimed runs that no living node owns, or that ``node`` owns without knowing
    :param jobs: the jobs of these runs, by id; also jobs whose schedule is over
    :param room: how many runs the node can take for each executor, None for any number
    :return: what was taken, linked by ``then`` where it is of one job, and what was lost
    """
    left = None if room is None else dict(room)
    found: list[Run] = []
    last: dict[str, Run] = {}
    lost: Counter[str] = Counter()
    orphaned = Counter(run.job_id for run in orphans)
    for run in orphans:
        job = jobs.get(run.job_id)
        reason = _why_lost(run, job, node)
        if reason is not None:
            end(run, LOST, reason, now)
            if ledger.lose(conn, run):
                lost[run.job_id] += 1
                run.job = job
                found.append(run)
            continue
        if job is None or not can_run(job):
            continue
        if run.owner != node:  # what is the node's own already has been given its room
            if job.running - orphaned[job.id] >= job.policy.max_instances:
                continue  # what living nodes run of it comes first, such as the beginning of the same group
            if left is not None:
                if left.get(run.executor, 0) <= 0:
                    continue
                left[run.executor] -= 1
        if ledger.take(conn, run, node, now):
            run.job = job
            if run.job_id in last:
                last[run.job_id].then = run
            last[run.job_id] = run
            found.append(run)
    ledger.release(conn, lost, now)
    return found


def _why_lost(run: Run, job: Job | None, node: str) -> str | None:
    """Return why a run is not executed again, or None."""
    if job is None:
        return f"its job was removed; it was claimed by node {run.owner}"
    if run.owner in (None, node):  # it was never started
        return None
    if job.policy.on_lost == LOST:
        return f"node {run.owner} is gone"
    if run.attempt >= job.policy.max_attempts:
        return f"node {run.owner} is gone, and the run was tried {run.attempt} times (max_attempts)"
    return None
