"""What nodes are asked: to drain, to cancel runs, to answer.

Each method is one step inside a transaction of the caller.
"""

from __future__ import annotations

from sqlalchemy import and_, func, or_, select

from ...clock import LAST_SHOWN
from ...core.details import cut
from ...core.orders import (
    ANY_NODE,
    BACKFILL,
    LONGEST_ANSWER,
    REQUESTS_KEPT,
    Orders,
    Request,
    backfill_id,
    kept_backfills,
)
from ...core.states import CLAIMED
from ...core.waiting import KEY_HOLDS
from ...util import new_node_id
from ..documents import version_in
from .forms import whole
from .layout import SCHEMA_VERSION, VERSION_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .layout import Tables
    from .waiting import Waiting


class NodeOrders:
    """Reads and writes what the nodes of one store are asked."""

    def __init__(self, tables: Tables, waiting: Waiting) -> None:
        self._tables = tables
        self._waiting = waiting

    def of_node(self, conn: Connection, node: str, now: int) -> Orders:
        """Return what others ask of a node; see the port."""
        nodes, runs, asked = self._tables.nodes.c, self._tables.runs.c, self._tables.requests.c
        draining = conn.scalar(select(nodes.draining).where(nodes.id == node))
        cancels = select(runs.job_id, runs.nominal, runs.cancel).where(
            runs.status == CLAIMED, runs.owner == node, runs.cancel.is_not(None)
        )
        mine = and_(asked.node == node, asked.answer.is_(None), asked.at > now - REQUESTS_KEPT)
        columns = (asked.id, asked.node, asked.kind, asked.job_id, asked.nominal, asked.answer)
        requests = select(*columns).where(or_(mine, asked.node == ANY_NODE))
        found = conn.execute(requests).all()
        return Orders(
            draining is not None,
            [
                (job_id, nominal, str(reason))
                for job_id, nominal, reason in conn.execute(cancels)
                if type(job_id) is str and type(nominal) is int
            ],
            [
                Request(str(id), str(kind), None if job_id is None else (job_id, nominal))
                for id, asked_node, kind, job_id, nominal, _ in found
                if asked_node != ANY_NODE
            ],
            self._waiting.next(conn),
            self._is_outdated(conn),
            *kept_backfills((row.id, row.job_id, row.answer) for row in found if row.node == ANY_NODE),
        )

    def backfills(self, conn: Connection) -> dict[str, str]:
        """Return what is left of backfills, by the ids of their jobs."""
        asked = self._tables.requests.c
        rows = conn.execute(select(asked.id, asked.job_id, asked.answer).where(asked.node == ANY_NODE))
        return kept_backfills((row.id, row.job_id, row.answer) for row in rows)[0]

    def keep_backfill(self, conn: Connection, job_id: str, text: str | None, before: str | None) -> bool:
        """Keep what is left of the backfill of a job, if that is still as it was looked at."""
        requests, id = self._tables.requests, backfill_id(job_id)
        mine = requests.c.id == id
        columns = requests.c.node, requests.c.job_id, requests.c.answer
        row = conn.execute(select(*columns).where(mine).with_for_update()).first()
        is_sound = row is not None and (row.node, row.job_id) == (ANY_NODE, job_id)
        found = row.answer if row is not None and is_sound else None
        if (None if found is None else str(found)) != before:
            return False
        if text is None or (
            row is not None and before is None
        ):  # what is damaged stands in the way of no other
            conn.execute(requests.delete().where(mine))
        if text is None:
            return True
        if before is None:
            values = {"id": id, "node": ANY_NODE, "kind": BACKFILL, "job_id": job_id, "at": LAST_SHOWN}
            conn.execute(requests.insert().values(answer=text, **values))
        else:
            conn.execute(requests.update().where(mine).values(answer=text))
        return True

    def _is_outdated(self, conn: Connection) -> bool:
        """Whether the tables have a newer version than this code knows."""
        meta = self._tables.meta.c
        found = conn.scalar(select(meta.value).where(meta.key == VERSION_KEY))
        return (version_in(found) or 0) > SCHEMA_VERSION

    def drain(self, conn: Connection, node: str, draining: bool, now: int) -> bool:
        """Have a node claim nothing more, or claim again; return False if there is none."""
        nodes = self._tables.nodes
        change = nodes.update().where(nodes.c.id == node).values(draining=now if draining else None)
        return bool(conn.execute(change).rowcount)

    def request(
        self, conn: Connection, node: str, kind: str, now: int, subject: tuple[str, int] | None
    ) -> str:
        """Keep a request; return its id."""
        id: str = new_node_id()
        job_id, nominal = (None, None) if subject is None else subject
        values = {"id": id, "node": node, "kind": kind, "job_id": job_id, "nominal": nominal, "at": now}
        conn.execute(self._tables.requests.insert().values(values))
        return id

    def answer(self, conn: Connection, id: str, text: str, now: int) -> None:
        """Keep an answer, unless the request is gone."""
        requests = self._tables.requests
        change = requests.update().where(requests.c.id == id, requests.c.at > now - REQUESTS_KEPT)
        conn.execute(change.values(answer=whole(cut(text, LONGEST_ANSWER))))

    def answer_to(self, conn: Connection, id: str, now: int) -> str | None:
        """Return an answer; None: there is none yet, or the request is gone."""
        requests = self._tables.requests.c
        found = select(requests.answer).where(requests.id == id, requests.at > now - REQUESTS_KEPT)
        text = conn.scalar(found)
        return None if text is None else str(text)

    def has_old(self, conn: Connection, now: int) -> bool:
        """Whether there is something to be forgotten."""
        requests, keys = self._tables.requests.c, self._tables.keys.c
        asked, used = conn.scalar(select(func.min(requests.at))), conn.scalar(select(func.min(keys.at)))
        return (asked is not None and asked <= now - REQUESTS_KEPT) or (
            used is not None and used <= now - KEY_HOLDS
        )

    def forget(self, conn: Connection, now: int) -> None:
        """Delete requests that are gone, and keys of runs that do not hold any more."""
        requests, keys = self._tables.requests, self._tables.keys
        conn.execute(requests.delete().where(requests.c.at <= now - REQUESTS_KEPT))
        conn.execute(keys.delete().where(keys.c.at <= now - KEY_HOLDS))
