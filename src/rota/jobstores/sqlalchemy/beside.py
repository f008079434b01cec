"""What is kept beside jobs, records and nodes: parts of runs, edits of jobs, what nodes say of themselves; and forgetting it.

Each method is one step inside a transaction of the caller. It changes no job and no record.
"""

from __future__ import annotations

from sqlalchemy import and_, bindparam, delete, exists, func, insert, not_, or_, select

from ...clock import DAY
from ...codec.damaged import is_time
from ...core.changes import KEPT, change_of, newest_first
from ...core.changes import text_of as text_of_change
from ...core.nodes import Node
from ...core.nodes import text_of as text_of_node
from ...core.states import CLAIMED
from .forms import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection, Table

    from ...core.changes import Change
    from ...core.details import RunParts
    from .layout import Tables

#: How many keys one statement names in pairs.
PAIRS = 100


class Beside:
    """Reads and writes what one store keeps beside jobs, records and nodes."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._database = tables.database
        parts, runs = tables.parts.c, tables.runs.c
        is_part = (parts.job_id == bindparam("b_job"), parts.nominal == bindparam("b_nominal"))
        self._drop_part = delete(tables.parts).where(*is_part, parts.name == bindparam("b_name"))
        # The record is locked, so that it is not deleted meanwhile: a part without it would stay.
        record = select(runs.job_id, runs.nominal, bindparam("b_name"), bindparam("b_content")).where(
            runs.job_id == bindparam("b_job"), runs.nominal == bindparam("b_nominal")
        )
        self._add_part = insert(tables.parts).from_select(
            ["job_id", "nominal", "name", "content"], record.with_for_update(read=True, key_share=True)
        )

    # -- parts of runs -------------------------------------------------------------------------------------------

    def write_parts(self, conn: Connection, parts: Sequence[RunParts], owner: str | None) -> None:
        """Keep parts of runs; see the port."""
        if owner is not None:
            mine = self._owned_by(conn, owner, [part[:2] for part in parts])
            parts = [part for part in parts if part[:2] in mine]
        rows = [
            {
                "b_job": job_id,
                "b_nominal": nominal,
                "b_name": name,
                "b_content": None if text is None else whole(text),
            }
            for job_id, nominal, texts in sorted(parts, key=lambda part: part[:2])
            for name, text in sorted(texts.items())
        ]
        if not rows:
            return
        names = ("b_job", "b_nominal", "b_name")
        conn.execute(self._drop_part, [{name: row[name] for name in names} for row in rows])
        for row in rows:
            if row["b_content"] is not None:
                conn.execute(self._add_part, row)

    def _owned_by(
        self, conn: Connection, owner: str, keys: Collection[tuple[str, int]]
    ) -> set[tuple[str, int]]:
        """Return those of the keys whose records name a node; they are locked, so that no other one takes them meanwhile."""
        runs, wanted = self._tables.runs.c, sorted(keys)
        found: set[tuple[str, int]] = set()
        for start in range(0, len(wanted), PAIRS):
            some = [and_(runs.job_id == id, runs.nominal == at) for id, at in wanted[start : start + PAIRS]]
            mine = select(runs.job_id, runs.nominal).where(or_(*some), runs.owner == owner)
            found.update((id, at) for id, at in conn.execute(mine.with_for_update(read=True)))
        return found

    def parts_of(
        self, conn: Connection, keys: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], dict[str, str]]:
        """Return what is kept of some runs; see the port."""
        parts = self._tables.parts.c
        wanted = sorted(keys)
        found: dict[tuple[str, int], dict[str, str]] = {}
        for start in range(0, len(wanted), PAIRS):
            some = [and_(parts.job_id == id, parts.nominal == at) for id, at in wanted[start : start + PAIRS]]
            for job_id, nominal, name, text in conn.execute(select(self._tables.parts).where(or_(*some))):
                if type(name) is type(text) is str:  # what is damaged says nothing
                    found.setdefault((job_id, nominal), {})[name] = text
        return found

    # -- edits ---------------------------------------------------------------------------------------------------

    def note_change(self, conn: Connection, job_id: str, change: Change) -> None:
        """Keep an edit; those of a removed job of the same id, which have higher revisions, go."""
        edits = self._tables.edits
        of_job = edits.c.job_id == job_id
        conn.execute(edits.delete().where(of_job, edits.c.revision >= change.revision))
        text = whole(text_of_change(change))
        conn.execute(edits.insert().values(job_id=job_id, revision=change.revision, content=text))
        newest = select(edits.c.revision).where(of_job).order_by(edits.c.revision.desc())
        oldest = conn.scalar(newest.offset(KEPT).limit(1))
        if oldest is not None:
            conn.execute(edits.delete().where(of_job, edits.c.revision <= oldest))

    def changes(self, conn: Connection, job_id: str) -> list[Change]:
        """Return the edits of a job that exists; see the port."""
        edits, jobs = self._tables.edits.c, self._tables.jobs.c
        revision = conn.scalar(select(func.coalesce(jobs.revision, 0)).where(jobs.id == job_id))
        if type(revision) is not int:
            return []
        found = select(edits.content).where(edits.job_id == job_id, edits.revision <= revision)
        rows = conn.execute(found.order_by(edits.revision.desc()).limit(KEPT)).scalars()
        return newest_first([change_of(text) for text in rows])

    # -- nodes ---------------------------------------------------------------------------------------------------

    def describe(self, conn: Connection, node: str, about: Mapping[str, Any]) -> None:
        """Keep what a node says of itself, if it has a lease."""
        nodes = self._tables.nodes
        text = whole(text_of_node(about))
        conn.execute(nodes.update().where(nodes.c.id == node).values(about=text))

    def nodes(self, conn: Connection, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day; see the port."""
        nodes, runs = self._tables.nodes.c, self._tables.runs.c
        claimed = select(runs.owner, func.count()).where(runs.status == CLAIMED).group_by(runs.owner)
        under_way: dict[Any, int] = {row[0]: row[1] for row in conn.execute(claimed)}
        rows = select(nodes.id, nodes.started, nodes.lease_until, nodes.about, nodes.draining)
        found = []
        for id, started, until, about, draining in conn.execute(rows.order_by(nodes.id)):
            if type(id) is not str or not (is_time(started) and is_time(until)) or until < now - DAY:
                continue  # a damaged lease is over
            node = Node(id, int(started), int(until), now, under_way.get(id, 0))
            node.tell(about if type(about) is str else None)
            node.draining = draining is not None
            found.append(node)
        return found

    # -- forgetting ----------------------------------------------------------------------------------------------

    def orphaned(
        self, conn: Connection, start: tuple[str, Any] | None, looked_at: int
    ) -> tuple[list[tuple[Any, ...]], tuple[str, Any] | None]:
        """Return the keys of tags and edits whose job is gone, among some that are looked at, and where to go on.

        :param start: the name of the table, and after which job of it; None: at the beginning
        :param looked_at: how many rows are looked at
        :return: name of the table and id of the job for each, and the next start; None at the end
        """
        name, after = start or ("tags", "")
        table = self._table(name)
        ids = select(table.c.job_id).where(table.c.job_id > after).order_by(table.c.job_id)
        some = list(conn.execute(ids.limit(looked_at)).scalars())
        following: tuple[str, Any] | None = (name, some[-1]) if len(some) == looked_at else None
        if following is None and name == "tags":
            following = ("edits", "")
        jobs = self._tables.jobs.c
        distinct = sorted({id for id in some if type(id) is str})
        there = (
            set(conn.execute(select(jobs.id).where(jobs.id.in_(distinct))).scalars()) if distinct else set()
        )
        return [(name, id) for id in distinct if id not in there], following

    def forget(self, conn: Connection, keys: Sequence[tuple[Any, ...]]) -> None:
        """Delete tags and edits of jobs that are gone, unless they have come back."""
        jobs = self._tables.jobs.c
        for name, id in keys:
            table = self._table(name)
            conn.execute(
                table.delete().where(table.c.job_id == id, not_(exists().where(jobs.id == table.c.job_id)))
            )

    def _table(self, name: str) -> Table:
        return self._tables.tags if name == "tags" else self._tables.edits
