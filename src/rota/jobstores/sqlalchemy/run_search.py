"""Searching the records: those that match among the next ones after a key, led by the key of the table or an index.

Each method is one step inside a transaction of the caller. It reads bounded ranges of keys, and never passes rows over by number.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, func, not_, select, true, union_all

from ...codec.damaged import EARLIEST, LATEST, text_instead
from ...core.extras import ORIGINS, SCHEDULE
from ...core.queries import OUTCOMES, Part, key_of_run
from ...core.states import CLAIMED, END_STATES, MANUAL, MISSED, SKIPPED, SUCCEEDED, WAITING
from .forms import run_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection
    from sqlalchemy import Select as SqlSelect

    from ...core.queries import RunQuery
    from ...core.run import Run
    from .forms import Row
    from .history import History
    from .layout import Tables

    Select = SqlSelect[*tuple[Any, ...]]

_ALL = (CLAIMED, WAITING, *END_STATES)
#: The statuses of runs that may have an error.
_WITH_ERRORS = tuple(status for status in _ALL if status not in (SUCCEEDED, MISSED, SKIPPED))
#: The columns that are looked at to see whether a record is wanted; the whole row is read only then.
_KEY = ("job_id", "nominal")
_COLUMNS = ("job_id", "nominal", "status", "reason", "owner", "executor", "error_type", "origin")
#: What is read of a job's last runs to see whether the job is wanted.
_ENDS = ("job_id", "nominal", "status", "finished")
#: How many branches one statement has, at most: ids of jobs, or types of errors.
BRANCHES = 50
#: How many keys one statement reads whole rows of: at most the square of that is looked up.
KEYS = 30
_SIZES = (1, 5, BRANCHES)


class RunSearch:
    """Searches the records of one store."""

    def __init__(self, tables: Tables, history: History) -> None:
        self._database = tables.database
        self._runs = tables.runs
        self._history = history
        self._statements: dict[tuple[Any, ...], Any] = {}

    # -- searching -----------------------------------------------------------------------------------------------

    def part(self, conn: Connection, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        """Return those that match among the next ``count`` records after a key; see the port."""
        names = _names_for(query)
        walk = self._of_jobs if query.job_ids is not None else self._of_branches
        rows, more = walk(conn, query, names, after, count)
        last, looked_at = _key(rows[-1]) if more and rows else None, len(rows)
        rows = [row for row in rows if type(row[0]) is str and type(row[1]) is int]
        if not names:
            runs = [run_of(row) for row in rows]
        else:
            if names != _KEY:
                rows = [row for row in rows if query.matches(_looked_at(*row))]  # type: ignore[arg-type]
            runs = self._whole(conn, [(row[0], row[1]) for row in rows])
        self._history.label(conn, runs)
        return Part(runs, last, looked_at)

    def count(self, conn: Connection, query: RunQuery, most: int) -> int:
        """Return how many records a query wants that the index alone tells, counted up to ``most``."""
        runs, (first, end) = self._runs.c, bounds_of(query)
        conditions = (runs.nominal >= first, runs.nominal < end)
        if query.job_ids is not None:
            counted = select(runs.nominal).where(runs.job_id.in_(sorted(query.job_ids)), *conditions)
        else:
            newest = select(runs.nominal).where(*conditions).order_by(runs.nominal.desc()).limit(most)
            parts = [newest.where(runs.status == status).subquery() for status in statuses_of(query)]
            if not parts:
                return 0
            counted = select(union_all(*map(select, parts)).subquery())
        some = counted.limit(most).subquery()
        return conn.scalar(select(func.count()).select_from(some)) or 0

    def one(self, conn: Connection, job_id: str, nominal: int) -> Run | None:
        """Return the record of a key, None if there is none."""
        found = self._whole(conn, [(job_id, nominal)])
        self._history.label(conn, found)
        return found[0] if found else None

    def last(
        self, conn: Connection, ids: Collection[str], n: int, statuses: Collection[str] | None
    ) -> dict[str, list[Run]]:
        """Return the newest ``n`` records of some jobs, newest first; see the port."""
        key = "last", statuses is not None
        values: dict[str, Any] = {"n": n}
        if statuses is not None:
            values["statuses"] = list(statuses)
        found: list[Run] = []
        for some, size in self._portions(sorted(set(ids))):
            statement = self._cached((*key, size), partial(self._last, size, statuses is not None))
            found += map(run_of, conn.execute(statement, {**values, **_named("job", some, size)}))
        self._history.label(conn, found)
        by_job: dict[str, list[Run]] = {}
        for run in sorted(found, key=key_of_run):
            by_job.setdefault(run.job_id, []).append(run)
        return by_job

    def last_ends(self, conn: Connection, ids: Collection[str], n: int) -> dict[str, list[Any]]:
        """Return how and when the last ``n`` runs of some jobs that tell how the job is have ended, newest first."""
        values = {"n": n, "statuses": list(OUTCOMES)}
        found: dict[str, list[Any]] = {}
        for some, size in self._portions(sorted(ids)):
            statement = self._cached(("ends", size), partial(self._last, size, True, _ENDS))
            for row in conn.execute(statement, {**values, **_named("job", some, size)}):
                if type(row.nominal) is int:  # else it is damaged
                    found.setdefault(row.job_id, []).append(row)
        return {
            job_id: [
                _End(row.status, row.finished if type(row.finished) is int else None)
                for row in sorted(rows, key=lambda row: -row.nominal)
            ]
            for job_id, rows in found.items()
        }

    def _last(self, size: int, by_status: bool, names: tuple[str, ...] = ()) -> Select:
        runs = self._runs.c
        columns = select(*(runs[name] for name in names)) if names else select(self._runs)
        newest = columns.order_by(runs.nominal.desc()).limit(bindparam("n"))
        if by_status:
            newest = newest.where(runs.status.in_(bindparam("statuses", expanding=True)))
        return self._of_each(size, ("job",), lambda job: newest.where(runs.job_id == job))

    def _whole(self, conn: Connection, keys: Sequence[tuple[str, int]]) -> list[Run]:
        """Return the records of some keys, in their order; those that are gone are left out."""
        runs = self._runs.c
        given = self._database.given("job", "time")
        found: dict[tuple[str, int], Run] = {}
        if given is not None:
            named = and_(runs.job_id == given.c.job, runs.nominal == given.c.time)
            statement = self._cached(
                ("whole",), lambda: select(self._runs).join_from(given, self._runs, named)
            )
            values = {"job": [id for id, _ in keys], "time": [nominal for _, nominal in keys]}
            for row in conn.execute(statement, values) if keys else ():
                found[row.job_id, row.nominal] = run_of(row)
            return [found[key] for key in keys if key in found]
        statement = self._cached(
            ("whole",),
            lambda: select(self._runs).where(
                runs.job_id.in_(bindparam("ids", expanding=True)),
                runs.nominal.in_(bindparam("times", expanding=True)),
            ),
        )
        for start in range(0, len(keys), KEYS):
            some = keys[start : start + KEYS]
            values = {"ids": list({id for id, _ in some}), "times": list({nominal for _, nominal in some})}
            for row in conn.execute(statement, values):
                found[row.job_id, row.nominal] = run_of(row)
        return [found[key] for key in keys if key in found]

    # -- by status or error ----------------------------------------------------------------------------------------

    def _of_branches(
        self,
        conn: Connection,
        query: RunQuery,
        names: tuple[str, ...],
        after: tuple[Any, ...] | None,
        count: int,
    ) -> tuple[list[Row], bool]:
        """Return the next records by statuses or types of errors, in order, and whether there are more."""
        first, end = bounds_of(query)
        errors = query.error_types
        if errors is not None and self._database.partial_indexes and len(errors) <= BRANCHES:
            branches, wanted_ones = "error", [type[:100] for type in sorted(errors)]
        else:
            branches, wanted_ones = "status", statuses_of(query)
        if not wanted_ones or first >= end:
            return [], False
        values = _named("branch", wanted_ones, len(wanted_ones))

        def same(nominal: int, id: str, limit: int) -> list[Row]:
            statement = self._cached(
                ("same", branches, len(values), names), partial(self._same, branches, len(values), names)
            )
            found = conn.execute(statement, {**values, "nominal": nominal, "id": id, "n": limit}).all()
            return list(found)

        def older(before: int, limit: int) -> list[Row]:
            statement = self._cached(
                ("older", branches, len(values), names), partial(self._older, branches, len(values), names)
            )
            found = conn.execute(statement, {**values, "before": before, "first": first, "n": limit}).all()
            return list(found)

        rows: list[Row] = []
        wanted, before = count + 1, end
        if after is not None:
            before = min(-after[0], end)
            rows = same(before, after[1], wanted)
        if len(rows) < wanted:
            rows += _in_order(older, same, before, wanted - len(rows))
        return rows[:count], len(rows) > count

    def _branch(self, branches: str, number: int) -> tuple[ColumnElement[bool], ...]:
        runs = self._runs.c
        value: ColumnElement[Any] = bindparam(f"branch{number}")
        if branches == "status":
            return (runs.status == value,)
        return runs.error_type.is_not(None), self._database.beginning_of(runs.error_type) == value

    def _same(self, branches: str, size: int, names: tuple[str, ...]) -> Select:
        runs = self._runs.c
        next_ones = (
            self._columns(names)
            .where(runs.nominal == bindparam("nominal"), runs.job_id > bindparam("id"))
            .order_by(runs.job_id)
            .limit(bindparam("n"))
        )
        found = union_all(
            *(
                select(next_ones.where(*self._branch(branches, number)).subquery(f"part{number}"))
                for number in range(size)
            )
        ).subquery()
        return select(found).order_by(found.c.job_id).limit(bindparam("n"))

    def _older(self, branches: str, size: int, names: tuple[str, ...]) -> Select:
        runs = self._runs.c
        newest = (
            self._columns(names)
            .where(runs.nominal < bindparam("before"), runs.nominal >= bindparam("first"))
            .order_by(runs.nominal.desc())
            .limit(bindparam("n"))
        )
        found = union_all(
            *(
                select(newest.where(*self._branch(branches, number)).subquery(f"part{number}"))
                for number in range(size)
            )
        ).subquery()
        return select(found).order_by(found.c.nominal.desc()).limit(bindparam("n"))

    # -- by job ----------------------------------------------------------------------------------------------------

    def _of_jobs(
        self,
        conn: Connection,
        query: RunQuery,
        names: tuple[str, ...],
        after: tuple[Any, ...] | None,
        count: int,
    ) -> tuple[list[Row], bool]:
        """Return the next records of some jobs, in order, and whether there are more."""
        first, end = bounds_of(query)
        ids = sorted(query.job_ids or ())
        if not ids or first >= end:
            return [], False
        # Of many jobs, together twice as many as are wanted. What may come after the last of one of them is left to the next part.
        most = count + 1 if len(ids) <= 5 else min(count + 1, max(ceil(count / len(ids)) * 2, 8))
        found: list[list[Row]] = []
        for some, size in self._portions(ids):
            statement = self._cached(("jobs", size, names), partial(self._newest_of_jobs, size, names))
            before = [_end_for(id, after, end) for id in some]
            values = {
                **_named("job", some, size),
                **_named("time", before, size, end),
                "first": first,
                "n": most,
            }
            by_job: dict[str, list[Row]] = {}
            for row in conn.execute(statement, values).all():
                by_job.setdefault(row[0], []).append(row)
            found += by_job.values()
        rows = sorted((row for rows in found for row in rows), key=_key)
        edges = [max(map(_key, rows)) for rows in found if len(rows) == most]
        more = bool(edges)
        if edges:
            edge = min(edges)
            rows = [row for row in rows if _key(row) <= edge]
        return rows[:count], more or len(rows) > count

    def _newest_of_jobs(self, size: int, names: tuple[str, ...]) -> Select:
        runs = self._runs.c
        newest = (
            self._columns(names)
            .where(runs.nominal >= bindparam("first"))
            .order_by(runs.nominal.desc())
            .limit(bindparam("n"))
        )
        return self._of_each(
            size, ("job", "time"), lambda job, before: newest.where(runs.job_id == job, runs.nominal < before)
        )

    # -- statements ------------------------------------------------------------------------------------------------

    def _columns(self, names: tuple[str, ...]) -> Select:
        found = select(*(self._runs.c[name] for name in names)) if names else select(self._runs)
        if self._database.keeps_any_type:
            found = found.where(not_(self._database.is_no_text(self._runs.c.job_id)))
        return found

    def _portions(self, ids: Sequence[str]) -> Iterable[tuple[Sequence[str], int]]:
        """Return ids in portions, each with the size of the statement for it; 0: it takes arrays."""
        if self._database.takes_arrays:
            yield ids, 0
            return
        for start in range(0, len(ids), BRANCHES):
            some = ids[start : start + BRANCHES]
            yield some, next(size for size in _SIZES if size >= len(some))

    def _of_each(self, size: int, names: tuple[str, ...], newest: Callable[..., Select]) -> Select:
        """Return the statement that finds the newest records for each of some sets of values.

        :param size: how many sets; 0: arrays of them are given
        :param names: the names of the values
        :param newest: makes the statement for one set
        """
        given = self._database.given(*names) if not size else None
        if given is None:
            parts = (newest(*(bindparam(f"{name}{number}") for name in names)) for number in range(size))
            return select(union_all(*(select(part.subquery()) for part in parts)).subquery())
        # Fifty branches are planned fifty times.
        found = newest(*(given.c[name] for name in names)).lateral()
        return select(found).select_from(given.join(found, true()))

    def _cached(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return a statement that is made once: to put fifty branches together takes longer than to carry them out."""
        statement = self._statements.get(key)
        if statement is None:
            statement = self._statements[key] = make()
        return statement


class _End(NamedTuple):
    """How a run has ended, as far as a query for jobs asks."""

    status: str
    finished_at: int | None


class _Looked(NamedTuple):
    """A record as far as it is looked at, mended: what a query asks about it."""

    job_id: str
    nominal: int
    status: Any
    reason: str | None
    origin: str
    owner: Any
    executor: Any
    error_type: str | None
    error: str | None


def _looked_at(
    job_id: str,
    nominal: int,
    status: Any,
    reason: Any,
    owner: Any,
    executor: Any,
    error_type: Any,
    origin: Any,
    error: Any = None,
) -> _Looked:
    """Return what is looked at of a row with the columns _COLUMNS, and the error if that matters."""
    if origin is None and reason == MANUAL:  # in layouts before
        origin, reason = MANUAL, None
    elif origin not in ORIGINS:
        origin = SCHEDULE
    texts = _text(error_type), _text(error)
    return _Looked(job_id, nominal, status, _text(reason), origin, owner, executor, *texts)


def is_led(query: RunQuery) -> bool:
    """Whether an index alone leads to the records that a query wants, so that each that is looked at is wanted."""
    others = (
        query.reasons,
        query.origins,
        query.nodes,
        query.executors,
        query.error_types,
        query.text,
    )
    return all(other is None for other in others) and (query.job_ids is None or query.statuses is None)


def _names_for(query: RunQuery) -> tuple[str, ...]:
    """Return the names of the columns that are looked at of each record; none: all of them, as each is wanted."""
    if not is_led(query):
        return (*_COLUMNS, "error") if query.text else _COLUMNS
    return _KEY if len(query.job_ids or ()) > _SIZES[1] else ()


def statuses_of(query: RunQuery) -> list[str]:
    """Return the statuses that wanted records can have."""
    wanted = _ALL if query.error_types is None else _WITH_ERRORS
    return [status for status in wanted if query.statuses is None or status in query.statuses]


def bounds_of(query: RunQuery) -> tuple[int, int]:
    """Return the first nominal time, and the end of the times; damaged ones are outside."""
    first, end = query.first, query.end
    return (
        EARLIEST if first is None else max(first, EARLIEST),
        LATEST + 1 if end is None else min(end, LATEST + 1),
    )


def _in_order(
    older: Callable[[int, int], list[Row]],
    same: Callable[[int, str, int], list[Row]],
    before: int,
    wanted: int,
) -> list[Row]:
    """Return the newest records before a time, those of one time by the ids of their jobs.

    No index has the times from the newest and the ids from the least, so which records of the last time are among those that an
    index leads to is anybody's guess: they are read by their ids.
    """
    rows = older(before, wanted)
    if len(rows) == wanted:
        edge = rows[-1][1]
        rows = [row for row in rows if row[1] != edge]
        return [*sorted(rows, key=_key), *same(edge, "", wanted - len(rows))]
    return sorted(rows, key=_key)


def _end_for(id: str, after: tuple[Any, ...] | None, end: int) -> int:
    """Return before which nominal time the records of a job come after a key."""
    if after is None:
        return end
    nominal: int = -after[0]
    job_id: str = after[1]
    return min(end, nominal + 1 if id > job_id else nominal)


def _key(row: Row) -> tuple[int, str]:
    return -int(row[1]), row[0]


def _text(value: Any) -> str | None:
    return value if value is None or type(value) is str else text_instead(value)


def _named(name: str, values: Sequence[Any], size: int, rest: Any = "") -> dict[str, Any]:
    """Return parameters with numbers, those without a value get ``rest``, which no row has; or an array if there is no size."""
    if not size:
        return {name: list(values)}
    padded = [*values, *[rest] * (size - len(values))]
    return {f"{name}{number}": value for number, value in enumerate(padded)}
