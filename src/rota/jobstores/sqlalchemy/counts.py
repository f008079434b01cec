"""Counts that housekeeping adds up in steps: records by hour and status, and how long the runs of each job took.

Each method is one step inside a transaction of the caller. A record is counted once, also if it is deleted afterwards.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from sqlalchemy import and_, bindparam, func, or_, select, union_all

from ...clock import HOUR, moment
from ...codec.damaged import EARLIEST, LATEST
from ...core.durations import Durations, durations_of, fold, text_of
from ...core.hours import KEPT, HourCounts, countable_until, hour_of
from ...core.states import CLAIMED, END_STATES, WAITING
from ..retention import Pace
from .layout import COUNTED_KEY, NONE_COUNTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from ...clock import Clock
    from .layout import Tables
    from .server import Server

#: How many records one step counts, and of how many jobs the first step adds up durations.
RECORDS = 2000
JOBS = 10
#: How many records are counted at once for somebody who asks: at first, as it is not known how long they take, and at most.
FIRST_ASKED, ASKED = 1_000, 10_000


class Counts:
    """Adds up and reads the counts of one store."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        hours, meta = tables.hours.c, tables.meta.c
        self._edge = select(meta.value).where(meta.key == COUNTED_KEY)
        self._add = (
            tables.hours.update()
            .where(hours.hour == bindparam("b_hour"), hours.status == bindparam("b_status"))
            .values(runs=hours.runs + bindparam("b_runs"))
        )

    # -- by hour and status --------------------------------------------------------------------------------------

    def by_hour(
        self,
        conn: Connection,
        since: int,
        until: int,
        is_late: Callable[[], bool],
        statuses: Collection[str] | None = None,
    ) -> HourCounts:
        """Return how many records there are by hour and status: from the table what is counted, and the rest from the ledger.

        :param is_late: whether no more of the ledger is to be counted
        :param statuses: only records with one of these; None: all
        """
        hours = self._tables.hours
        first, end = hour_of(since), hour_of(until)
        found = HourCounts()
        text = conn.scalar(self._edge)
        edge = _edge_of(text)
        if edge is not None or text == NONE_COUNTED:
            # Records may have been deleted before any were counted.
            some = select(hours).where(hours.c.hour >= first, hours.c.hour < end)
            for hour, status, number in conn.execute(some):
                is_wanted = type(status) is str and (statuses is None or status in statuses)
                if is_wanted and type(number) is int and number > 0:
                    found.setdefault(hour, {})[status] = number
        begin = first if edge is None else min(max(first, edge), end)
        unended = [status for status in (CLAIMED, WAITING) if statuses is None or status in statuses]
        wanted = [status for status in END_STATES if statuses is None or status in statuses]
        newest = self.newest(conn, (begin, end), [*wanted, *unended], is_late)
        _add_up(found, newest)
        found.searched_back_to = newest.searched_back_to
        if found.searched_back_to is None:  # those that ended too late to be counted are still under way
            unfinished = self.newest(conn, (first, begin), unended, is_late)
            _add_up(found, unfinished)
            found.searched_back_to = unfinished.searched_back_to
        return found

    def newest(
        self, conn: Connection, times: tuple[int, int], statuses: Sequence[str], is_late: Callable[[], bool]
    ) -> HourCounts:
        """Return how many records of a range of times the ledger has, the newest of them until it is late; some in any case."""
        found = HourCounts()
        begin, end = times
        size = first = min(FIRST_ASKED, ASKED)
        while begin < end and statuses:
            if is_late() and size > first:
                found.searched_back_to = moment(end)
                break
            start = self._start_of_some(conn, begin, end, statuses, min(size, ASKED))
            size *= 2
            for hour, status, number in self._counted(conn, start, end, statuses):
                counts = found.setdefault(hour, {})
                counts[status] = counts.get(status, 0) + number
            end = start
        return found

    def _start_of_some(
        self, conn: Connection, begin: int, end: int, statuses: Sequence[str], size: int
    ) -> int:
        """Return from which time on there are about so many records before an instant."""
        runs = self._tables.runs.c
        newest = (
            select(runs.nominal)
            .where(runs.nominal >= begin, runs.nominal < end)
            .order_by(runs.nominal.desc())
            .limit(size)
        )
        some = union_all(
            *(select(newest.where(runs.status == status).subquery()) for status in statuses)
        ).subquery()
        edge = conn.scalar(select(some.c.nominal).order_by(some.c.nominal.desc()).offset(size - 1).limit(1))
        return begin if edge is None else int(edge)

    def _counted(
        self, conn: Connection, begin: int, end: int, statuses: Sequence[str]
    ) -> Iterator[tuple[int, str, int]]:
        """Return hour, status and number of the records of a range of times, by the index."""
        runs = self._tables.runs.c
        hour = runs.nominal - runs.nominal % HOUR if begin >= 0 else runs.nominal
        found = (
            select(hour.label("hour"), runs.status, func.count())
            .where(runs.status.in_(statuses), runs.nominal >= begin, runs.nominal < end)
            .group_by(hour, runs.status)
        )
        for at, status, number in conn.execute(found):
            yield hour_of(int(at)), status, number

    def countable(self, conn: Connection, now: int) -> int | None:
        """Return up to which nominal time records may be counted once and for all; None: they are counted already."""
        end = countable_until(now, self._earliest(conn, (CLAIMED, WAITING)))
        begin = _edge_of(conn.scalar(self._edge))
        if begin is None:
            begin = self._earliest(conn, END_STATES)
        return None if begin is None or begin >= end else end

    def _earliest(self, conn: Connection, statuses: Sequence[str]) -> int | None:
        """Return the earliest nominal time of the records with some statuses."""
        runs = self._tables.runs.c
        first = (
            conn.scalar(select(func.min(runs.nominal)).where(runs.status == status, runs.nominal >= EARLIEST))
            for status in statuses
        )
        return min((time for time in first if type(time) is int), default=None)

    def count_some(self, conn: Connection, end: int) -> bool:
        """Count some of the records before an instant that are not counted yet; return whether there are more."""
        begin = self._locked_edge(conn)
        if begin is None:
            begin = self._earliest(conn, END_STATES)
        if begin is None or begin >= end:
            return False
        until = self._end_of_some(conn, begin, end)
        numbers: Counter[tuple[int, str]] = Counter()
        for hour, status, number in self._counted(conn, begin, until, END_STATES):
            numbers[hour, status] += number
        self._count(conn, numbers)
        meta = self._tables.meta
        if not conn.execute(meta.update().where(meta.c.key == COUNTED_KEY).values(value=str(until))).rowcount:
            conn.execute(meta.insert().values(key=COUNTED_KEY, value=str(until)))
        return until < end

    def _locked_edge(self, conn: Connection) -> int | None:
        """Return up to which time records are counted, which nobody changes until the end of the transaction."""
        text = conn.scalar(self._edge.with_for_update())
        edge = _edge_of(text)
        if (
            edge is None and text != NONE_COUNTED
        ):  # it is damaged: what is in the table would be counted once more
            conn.execute(self._tables.hours.delete())
        return edge

    def _end_of_some(self, conn: Connection, begin: int, end: int) -> int:
        """Return up to which time there are about RECORDS records, from a time on."""
        runs = self._tables.runs.c
        later = (
            select(runs.nominal)
            .where(runs.nominal >= begin, runs.nominal < end)
            .order_by(runs.nominal)
            .limit(RECORDS)
        )
        parts = [later.where(runs.status == status).subquery() for status in END_STATES]
        found = union_all(*map(select, parts)).subquery()
        edge = conn.scalar(select(found.c.nominal).order_by(found.c.nominal).offset(RECORDS - 1).limit(1))
        # All records of one time are counted together.
        return end if edge is None else max(int(edge), begin + 1)

    def count_forgotten(self, conn: Connection, records: Sequence[tuple[str, int, str]]) -> None:
        """Count records that are about to be deleted and are not counted yet.

        :param records: job id, nominal time and status of each
        """
        edge = self._locked_edge(conn)
        new = (record for record in records if edge is None or record[1] >= edge)
        self._count(conn, Counter((hour_of(nominal), status) for _, nominal, status in new))

    def _count(self, conn: Connection, numbers: Mapping[tuple[int, str], int]) -> None:
        for (hour, status), number in sorted(numbers.items()):
            values = {"b_hour": hour, "b_status": status, "b_runs": number}
            if not conn.execute(self._add, values).rowcount:
                new = {"hour": hour, "status": status, "runs": number}
                conn.execute(self._tables.hours.insert(), new)

    def forget(self, conn: Connection, now: int) -> None:
        """Delete the counts of hours that are long over."""
        hours = self._tables.hours
        conn.execute(hours.delete().where(hours.c.hour < now - KEPT))

    # -- durations -----------------------------------------------------------------------------------------------

    def durations(self, conn: Connection, job_id: str) -> Durations | None:
        """Return how long the runs of a job took; None if none was counted, or there is no such job."""
        jobs = self._tables.jobs.c
        text = conn.scalar(select(jobs.durations).where(jobs.id == job_id))
        found = durations_of(text if type(text) is str else None)
        return found if found.count else None

    def add_durations(
        self, conn: Connection, after: str, jobs: int, now: int
    ) -> tuple[dict[str, str], str | None]:
        """Add up the durations of the runs of the next jobs in the order of ids that were not added up before.

        :param after: the id after which the next ones come
        :param jobs: how many
        :param now: instant
        :return: the durations that have changed, as they are to be stored, and after which id to go on; None at the end
        """
        table, runs = self._tables.jobs.c, self._tables.runs.c
        next_ones = select(table.id, table.durations).where(table.id > after).order_by(table.id).limit(jobs)
        rows = conn.execute(next_ones).all()
        known = {id: durations_of(_text(text)) for id, text in rows if type(id) is str}
        if not known:
            return {}, None
        later = [
            and_(runs.job_id == id, runs.nominal > (EARLIEST if durations.until is None else durations.until))
            for id, durations in known.items()
        ]
        found = select(runs.job_id, runs.nominal, runs.status, runs.started, runs.finished)
        found = found.where(or_(*later), runs.nominal <= LATEST).order_by(runs.job_id, runs.nominal)
        by_job: dict[str, list[Any]] = {}
        records = conn.execute(found.limit(RECORDS)).all()
        for job_id, *record in records:
            by_job.setdefault(job_id, []).append(record)
        passed = {id: fold(known[id], some, now) for id, some in by_job.items()}
        changed = {id: text_of(known[id]) for id, number in passed.items() if number}
        if len(records) == RECORDS:  # the last of them may have more, and those after it were not looked at
            last = records[-1].job_id
            before = max((id for id in known if id < last), default=after)
            return changed, before if passed[last] == len(by_job[last]) else last
        return changed, rows[-1].id if len(rows) == jobs and type(rows[-1].id) is str else None

    def write_durations(self, conn: Connection, texts: Mapping[str, str]) -> None:
        """Store durations."""
        jobs = self._tables.jobs
        change = jobs.update().where(jobs.c.id == bindparam("b_id")).values(durations=bindparam("durations"))
        conn.execute(change, [{"b_id": id, "durations": text} for id, text in sorted(texts.items())])

    # -- a round -------------------------------------------------------------------------------------------------

    def steps(self, server: Server, clock: Clock, now: int, all: bool) -> Iterator[None]:
        """Count what is not counted yet, in steps of a few milliseconds.

        :param now: instant
        :param all: whether to look at all jobs, too
        :raises HeldRowsError: if somebody holds rows; the rest is counted with the next round
        """
        end = server.read(partial(self.countable, now=now))
        while end is not None and server.step(partial(self.count_some, end=end)):
            yield
        yield
        if not all:
            return
        server.step(partial(self.forget, now=now))
        pace = Pace(JOBS)
        after: str | None = ""
        while after is not None:
            began, size = clock.monotonic(), pace.size
            texts, after = server.read(partial(self.add_durations, after=after, jobs=size, now=now))
            if texts:
                server.step(partial(self.write_durations, texts=texts))
            pace.note(size, clock.monotonic() - began)
            yield


def _edge_of(text: Any) -> int | None:
    """Return up to which time records are counted, None if none are."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _add_up(found: HourCounts, more: HourCounts) -> None:
    for hour, numbers in more.items():
        counts = found.setdefault(hour, {})
        for status, number in numbers.items():
            counts[status] = counts.get(status, 0) + number
