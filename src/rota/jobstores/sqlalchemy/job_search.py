"""Searching the jobs: those that match among the next ones after a key, by id, name or due time.

Each method is one step inside a transaction of the caller. It reads bounded ranges of keys; only by name, where the database has no
index for that, it looks at all jobs.
"""

from __future__ import annotations

from types import SimpleNamespace

from sqlalchemy import and_, bindparam, exists, func, not_, or_, select, union_all

from ...clock import HELD, instant
from ...core.queries import BY_DUE, BY_NAME, Part, due_of, key_of_job
from ...core.states import ACTIVE, ENDED
from ..base import ALIASES
from ..documents import KEPT, stored_states
from ..searching import part_of_sorted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection
    from sqlalchemy import Select as SqlSelect

    from ...core.queries import JobQuery
    from ...job.handle import Job
    from .forms import Row
    from .jobs import Jobs
    from .layout import Tables
    from .run_search import RunSearch

    Select = SqlSelect[*tuple[Any, ...]]
    Key = tuple[Any, ...]

#: So many jobs are read and sorted if an index leads to them; of more, the jobs are looked at in their order.
FEW = 1000


class JobSearch:
    """Searches the jobs of one store.

    :param jobs_of: returns the jobs of rows
    """

    def __init__(
        self, tables: Tables, rows: Jobs, runs: RunSearch, jobs_of: Callable[[Iterable[Any]], list[Job]]
    ) -> None:
        self._database = tables.database
        self._jobs = tables.jobs
        self._tags = tables.tags
        self._rows = rows
        self._runs = runs
        self._jobs_of = jobs_of

    def part(self, conn: Connection, query: JobQuery, after: Key | None, count: int) -> Part[Job]:
        """Return those that match among the next ``count`` jobs after a key, their last runs as well; see the port."""
        ids = query.ids if query.ids is not None else self._few(conn, query)
        if ids is not None:
            jobs = [job for job in self._of_ids(conn, ids) if query.matches(job)]
            part = part_of_sorted(jobs, lambda job: key_of_job(job, query.sort), query.matches, after, count)
            fitting = set(self._fitting(conn, query, [job.id for job in part.found]))
            found = [job for job in part.found if job.id in fitting]
            return Part(found, part.last, min(len(ids), count))
        rows, more = self._next(conn, query, after, count)
        last = _key_of(rows[-1], query.sort) if more and rows else None
        keys = {
            row.id: _key_of(row, query.sort) for row in rows if type(row.id) is str and _may_match(row, query)
        }
        wanted = self._fitting(conn, query, list(keys))
        restored = {job.id: job for job in self._of_ids(conn, wanted)}
        found = [restored[id] for id in wanted if id in restored and query.matches(restored[id])]
        return Part(found, last, len(rows), keys)

    def count(self, conn: Connection, query: JobQuery, most: int) -> int:
        """Return how many jobs a query wants that the indexes alone tell, counted up to ``most``."""
        c, tags = self._jobs.c, self._tags.c
        some = select(c.id).where(c.state.in_(stored_states(query.wanted_states)))
        if query.executors is not None:
            some = some.where(c.executor.in_(sorted(query.executors)))
        if query.tags:
            first, *others = sorted(query.tags)
            some = some.join_from(self._tags, self._jobs, c.id == tags.job_id).where(tags.tag == first)
            other = self._tags.alias()
            some = some.where(*(exists().where(other.c.tag == tag, other.c.job_id == c.id) for tag in others))
        return conn.scalar(select(func.count()).select_from(some.limit(most).subquery())) or 0

    def _fitting(self, conn: Connection, query: JobQuery, ids: list[str]) -> list[str]:
        """Return those of some jobs whose last runs are as wanted."""
        number = query.last_runs_wanted
        if not number or not ids:
            return ids
        ends = self._runs.last_ends(conn, ids, number)
        return [id for id in ids if query.fits(ends.get(id, ()))]

    def _of_ids(self, conn: Connection, ids: Collection[str]) -> list[Job]:
        return self._jobs_of(self._rows.some(conn, ids)) if ids else []

    # -- few jobs, by an index -------------------------------------------------------------------------------------

    def _few(self, conn: Connection, query: JobQuery) -> list[str] | None:
        """Return the ids of jobs among which all are that are wanted, if an index leads to few; None: there are more."""
        for tag in sorted(query.tags or ()):
            tags = self._tags.c
            ids = self._ids(conn, [select(tags.job_id.label("id")).where(tags.tag == tag)])
            if ids is not None:
                return ids
        c = self._jobs.c
        begins = self._database.begins(c.func, query.func) if query.func else None
        if begins is not None:
            ids = self._ids(conn, [select(c.id).where(begins)])
            if ids is not None:
                return ids
        states = c.state.in_(stored_states(query.wanted_states))
        if query.due_before is not None or query.due_after is not None:
            executors = query.executors if query.executors is not None else self._executors(conn)
            active = select(c.id).where(c.state == ACTIVE, c.executor.in_(sorted(executors)))
            times = [c.next_due < HELD]
            if query.due_before is not None:
                times.append(c.next_due < instant(query.due_before))
            if query.due_after is not None:
                times.append(c.next_due >= instant(query.due_after))
            return self._ids(conn, [active.where(*times), active.where(c.next_due == HELD)])
        if query.executors is not None:
            return self._ids(conn, [select(c.id).where(states, c.executor.in_(sorted(query.executors)))])
        if ACTIVE not in query.wanted_states:
            return self._ids(conn, [select(c.id).where(states)])
        return None

    def _ids(self, conn: Connection, statements: Sequence[Select]) -> list[str] | None:
        found: list[str] = []
        for statement in statements:
            found += conn.execute(statement.limit(FEW + 1 - len(found))).scalars()
            if len(found) > FEW:
                return None
        return found

    def _executors(self, conn: Connection) -> list[str]:
        """Return the executors of active jobs, each by one look into the index."""
        c = self._jobs.c
        following = select(func.min(c.executor)).where(c.state == ACTIVE, c.executor > bindparam("b_after"))
        found: list[str] = []
        executor: str | None = ""
        for _ in range(ALIASES):
            executor = conn.scalar(following, {"b_after": executor})
            if type(executor) is not str:
                break
            found.append(executor)
        return found

    # -- all jobs, in their order ----------------------------------------------------------------------------------

    def _next(
        self, conn: Connection, query: JobQuery, after: Key | None, count: int
    ) -> tuple[list[Row], bool]:
        """Return the next rows after a key, as far as they are looked at, and whether there are more."""
        if query.sort == BY_NAME:
            found = self._by_name(conn, query, after, count + 1)
        elif query.sort == BY_DUE:
            found = self._by_due(conn, query, after, count + 1)
        else:
            found = self._by_id(conn, query, "" if after is None else after[0], count + 1)
        return found[:count], len(found) > count

    def _by_id(self, conn: Connection, query: JobQuery, after: str, limit: int) -> list[Row]:
        c, tags = self._jobs.c, self._tags.c
        rows = self._looked_at()
        if query.tags:  # there are many with each of them; any leads to the wanted ones
            of_tag = rows.join_from(self._tags, self._jobs, c.id == tags.job_id)
            rows = of_tag.where(tags.tag == min(query.tags), tags.job_id > after).order_by(tags.job_id)
        else:
            rows = rows.where(c.id > after).order_by(c.id)
        return list(conn.execute(rows.limit(limit)))

    def _by_name(self, conn: Connection, query: JobQuery, after: Key | None, limit: int) -> list[Row]:
        """Return the next rows by name, as an index leads to them; those of very long names are sorted."""
        c, name = self._jobs.c, self._database.exact(self._jobs.c.name)
        key = self._database.name_key(c)
        rows = self._looked_at("name")
        found: list[Row] = []
        rest = rows
        if key is None:  # the database looks at all of them, and leaves out those that are not wanted
            rest = self._wanted(rows, query)
        else:
            in_order = rows.order_by(key, c.id)
            rest = rows.where(key.is_(None))
            first, id = after or ("", "")
            for led in (in_order.where(key == first, c.id > id), in_order.where(key > first)):
                if len(found) < limit:
                    found += conn.execute(led.limit(limit - len(found)))
        if after is not None:
            rest = rest.where(or_(name > after[0], and_(name == after[0], c.id > after[1])))
        found += conn.execute(rest.order_by(name, c.id).limit(limit))
        return sorted(found, key=lambda row: _key_of(row, BY_NAME))[:limit]

    def _wanted(self, rows: Select, query: JobQuery) -> Select:
        c = self._jobs.c
        rows = rows.where(c.state.in_(stored_states(query.wanted_states)))
        if query.func is not None:
            rows = rows.where(self._database.exact(func.substr(c.func, 1, len(query.func))) == query.func)
        if query.tags:
            rows = rows.where(*(self._has_tag(tag) for tag in query.tags))
        return rows

    def _by_due(self, conn: Connection, query: JobQuery, after: Key | None, limit: int) -> list[Row]:
        rows: list[Row] = []
        if ACTIVE in query.wanted_states and (after is None or after[0] == 0):
            due, id = (-(2**62), "") if after is None else after[1:]
            rows = self._due_after(conn, query, due, id, limit)
        times = query.due_before is not None or query.due_after is not None
        if len(rows) < limit and not times:
            id = after[2] if after is not None and after[0] == 1 else ""
            rows += self._without_due(conn, query, id, limit - len(rows))
        return rows

    def _due_after(self, conn: Connection, query: JobQuery, due: int, id: str, limit: int) -> list[Row]:
        """Return the next active jobs by their due times, which for those that wait for their runs are their nominal times."""
        c = self._jobs.c
        rows: list[Row] = []
        executors = query.executors if query.executors is not None else self._executors(conn)
        for executor in sorted(executors):
            active = self._looked_at(numbers=("next_due", "next_nominal"))
            active = active.where(c.state == ACTIVE, c.executor == executor)
            in_order = active.order_by(c.next_due, c.id).limit(limit)
            rows += conn.execute(in_order.where(c.next_due == due, c.id > id))
            rows += conn.execute(in_order.where(c.next_due > due, c.next_due < HELD))
            held = active.where(
                c.next_due == HELD, or_(c.next_nominal > due, and_(c.next_nominal == due, c.id > id))
            )
            rows += conn.execute(held.order_by(c.next_nominal, c.id).limit(limit))
        return sorted(rows, key=lambda row: _key_of(row, BY_DUE))[:limit]

    def _without_due(self, conn: Connection, query: JobQuery, id: str, limit: int) -> list[Row]:
        """Return the next jobs that have no due time, by their ids."""
        c = self._jobs.c
        others = [state for state in query.wanted_states if state != ACTIVE]
        conditions: list[ColumnElement[bool]] = [c.state.in_(stored_states(others))] if others else []
        if ACTIVE in query.wanted_states:
            executors = query.executors if query.executors is not None else self._executors(conn)
            conditions += [
                and_(c.state == ACTIVE, c.executor == executor, c.next_due.is_(None))
                for executor in sorted(executors)
            ]
        # Sorted in the database: an index leads to them, and not in the order of their ids.
        ids = union_all(*(select(c.id).where(condition, c.id > id) for condition in conditions)).subquery()
        some = list(conn.execute(select(ids.c.id).order_by(ids.c.id).limit(limit)).scalars())
        rows = self._looked_at().where(c.id.in_(some)).order_by(c.id)
        return list(conn.execute(rows)) if some else []

    def _looked_at(self, *texts: str, numbers: tuple[str, ...] = ()) -> Select:
        """Return the columns that tell whether a job may be wanted, of rows that are in order.

        :param texts: the names of columns besides the id that the order goes by
        :param numbers: the same of numbers
        """
        c = self._jobs.c
        rows = select(c.id, c.name, c.func, c.state, c.executor, c.next_due, c.next_nominal)
        if self._database.keeps_any_type:
            rows = rows.where(*(not_(self._database.is_no_text(c[name])) for name in ("id", *texts)))
            rows = rows.where(*(not_(self._database.is_no_number(c[name])) for name in numbers))
        return rows

    def _has_tag(self, tag: str) -> ColumnElement[bool]:
        tags = self._tags.c
        return exists().where(tags.tag == tag, tags.job_id == self._jobs.c.id)


def is_led(query: JobQuery) -> bool:
    """Whether indexes alone tell which jobs a query wants."""
    others = (
        query.text,
        query.ids,
        query.func,
        query.due_before,
        query.due_after,
        query.last_runs_wanted or None,
    )
    return all(other is None for other in others)


def _due_of(row: Row) -> int | None:
    due: Any = due_of(row)  # type: ignore[arg-type]
    return due if type(due) is int else None


def _key_of(row: Row, sort: str) -> Key:
    """Return the key of a row, as that of its job."""
    if sort == BY_NAME:
        return row.name, row.id
    if sort == BY_DUE:
        due = _due_of(row)
        return (1, 0, row.id) if due is None else (0, due, row.id)
    return (row.id,)


def _may_match(row: Row, query: JobQuery) -> bool:
    """Whether the job of a row may be wanted, as far as its row tells without its tags."""
    if type(row.name) is not str or type(row.func) is not str:
        return True
    seen = SimpleNamespace(
        id=row.id,
        name=row.name,
        func_ref=row.func,
        state=ENDED if row.state == KEPT else row.state,
        executor=row.executor,
        next_due=row.next_due,
        next_nominal=row.next_nominal,
        tags=query.tags or (),
    )
    try:
        return query.matches(seen)  # type: ignore[arg-type]
    except TypeError:
        return True  # it is damaged: the job is looked at as it is restored
