"""The statements about jobs: reading, adding, replacing and removing them, and counting their runs.

Makes statements, and executes none. The rules R1 to R6 are those of ``rota.core.transitions``.
"""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import and_, bindparam, case, exists, func, not_, or_, select

from ...clock import HELD
from ...codec.damaged import EARLIEST, LATEST, MOST
from ...core.states import ACTIVE, CLAIMED, ENDED, QUARANTINED, WAITING
from ..base import COUNTED
from ..documents import KEPT
from .forms import MARKS, NEW, PARTS, WRITTEN_MARKS
from .prepared import Prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Column, ColumnElement, Insert, Table
    from sqlalchemy import Select as SqlSelect

    from .databases.base import Database
    from .databases.statements import Values
    from .layout import Tables

    Select = SqlSelect[*tuple[Any, ...]]


class JobStatements:
    """The statements for the jobs of one store."""

    def __init__(self, tables: Tables) -> None:
        self._jobs = tables.jobs
        self._runs = tables.runs
        c = self._jobs.c
        #: the columns that make a job, in the order of job_of()
        self.columns: tuple[Column[Any], ...] = (
            c.id,
            c.name,
            c.func,
            c.trigger_spec,
            c.args,
            c.kwargs,
            c.options,
            c.executor,
            c.next_nominal,
            c.next_due,
            c.version,
            c.state,
            c.running,
            c.error,
        )
        #: the same with what only some jobs have, which is nothing to those who run them
        self.all_columns: tuple[Column[Any], ...] = (*self.columns, *(c[name] for name in MARKS))
        self._reads()
        self._writes()
        self._tags(tables.tags)
        self._counts()

    def _reads(self) -> None:
        c = self._jobs.c
        self.visible: Select = select(*self.all_columns).where(c.state.not_in((ENDED, KEPT)))
        self.waits = has_waiting(self._jobs, self._runs)
        # One whose schedule is over is there as long as runs of it wait, or if it is kept.
        self.one = select(*self.all_columns).where(
            c.id == bindparam("b_id"), or_(c.state != ENDED, self.waits)
        )
        self.some: Select = select(*self.all_columns).where(c.id.in_(bindparam("ids", expanding=True)))
        in_order = case((c.next_due.is_(None), 1), else_=0), c.next_due, c.id
        self.page = self.visible.order_by(*in_order)
        active: Select = select(*self.columns).where(c.state == ACTIVE, c.next_due <= bindparam("b_now"))
        self.due_any = active.order_by(c.next_due)
        of_executor = c.executor == bindparam("b_executor")
        self.due = active.where(of_executor).order_by(c.next_due).limit(bindparam("b_limit"))
        self.next = select(func.min(c.next_due)).where(c.state == ACTIVE)
        self.next_of = self.next.where(c.executor == bindparam("b_executor"))
        self.next_executor = (
            select(c.executor)
            .where(c.state == ACTIVE, c.executor > bindparam("b_after"))
            .order_by(c.executor)
            .limit(1)
        )
        waiting = select(c.next_due).where(c.state == ACTIVE, of_executor, c.next_due <= bindparam("b_now"))
        self.overdue = select(func.count()).select_from(waiting.limit(COUNTED).subquery())

    def _writes(self) -> None:
        jobs, c = self._jobs, self._jobs.c
        self.insert = Prepared(self._inserted, *NEW, writes_out=False)
        changes: dict[str, Any] = {name: bindparam(name) for name in PARTS}
        changes["next_nominal"] = bindparam("next_nominal")
        # A job may only wait for runs that are still under way (R6).
        changes["next_due"] = case(
            ((bindparam("next_due") == HELD) & (c.running <= 0), bindparam("next_nominal")),
            else_=bindparam("next_due"),
        )
        changes |= {name: bindparam(name) for name in ("version", "state", "error", "updated")}
        update = jobs.update().where(c.id == bindparam("b_id")).values(changes)
        # R1, for the change of a job by its user.
        self.save = update.where(c.version == bindparam("b_version"))
        marks: dict[str, Any] = {name: bindparam(name) for name in WRITTEN_MARKS}
        self.save_marked = self.save.values(marks)
        self.mark = jobs.update().where(c.id == bindparam("b_id")).values(marks)
        nothing = dict.fromkeys(("durations", "failures", "horizon", *WRITTEN_MARKS))
        self.revive = update.values(created=bindparam("created"), **nothing)
        self.revive = self.revive.where(c.state.in_((ENDED, KEPT)))
        self.delete = jobs.delete().where(c.id == bindparam("b_id"), c.state != ENDED, not_(self.waits))
        self.delete_ended = jobs.delete().where(c.id == bindparam("b_id"), c.state == ENDED, not_(self.waits))
        # R1, for a job that comes out of quarantine.
        self.heal = Prepared(
            lambda value: (
                jobs.update()
                .where(c.id == value("b_id"), c.version == value("b_version"), c.state == QUARANTINED)
                .values(
                    state=value("state"),
                    error=None,
                    next_due=value("next_due"),
                    version=c.version + 1,
                    updated=value("updated"),
                )
            ),
            *("state", "next_due", "updated", "b_id", "b_version"),
        )

    def _tags(self, tags: Table) -> None:
        self.untag = tags.delete().where(tags.c.job_id == bindparam("b_id"))
        self.tag = tags.insert()

    def _inserted(self, value: Values) -> Insert:
        """Return the INSERT of a job, with as many runs under way as the ledger says."""
        runs = self._runs
        # A job that was removed while it ran, and is added again, still has those runs under way. They are locked, so that the end
        # of one at this moment is waited for, or counts it down on this row.
        locked = (
            select(runs.c.nominal)
            .where(runs.c.job_id == value("id"), runs.c.status == CLAIMED)
            .correlate_except(runs)
            .with_for_update()
            .subquery("under_way")
        )
        under_way = select(func.count()).select_from(locked).scalar_subquery()
        return value.inserted(self._jobs, **{name: value(name) for name in NEW}, running=under_way)

    def _counts(self) -> None:
        jobs, c = self._jobs, self._jobs.c
        counters: Select = select(c.id, c.running, c.next_due, c.state)
        counters = counters.where(c.id.in_(bindparam("ids", expanding=True)))
        #: locks jobs and reads their counters
        self.counters = counters.with_for_update()
        #: the same without those that somebody else has locked
        self.free_counters = counters.with_for_update(skip_locked=True)
        self.set_counter = jobs.update().where(c.id == bindparam("b_id")).values(running=bindparam("running"))
        #: the same for a job that waits for room and has none of its runs under way (R6)
        self.set_free = self.set_counter.values(next_due=c.next_nominal)

    @cached_property
    def under_way(self) -> Select:
        """Counts the runs of some jobs that are under way, or keep their places."""
        runs = self._runs.c
        return (
            select(runs.job_id, func.count())
            .where(runs.job_id.in_(bindparam("ids", expanding=True)), has_place(runs))
            .group_by(runs.job_id)
        )


def has_waiting(jobs: Table, runs: Table) -> ColumnElement[bool]:
    """Return the condition that runs of a job wait."""
    c = runs.c
    return exists().where(c.job_id == jobs.c.id, c.status == WAITING, c.not_before.is_not(None))


def has_place(c: Any) -> ColumnElement[bool]:
    """Return the condition that a run counts for its job: it is under way, or keeps its place while it waits.

    :param c: the columns of runs
    """
    from ...core.extras import KEEPS_PLACE  # import time

    # In the text of JSON, quotes inside of values are written otherwise.
    keeps = [c.extra.like(f'%"waiting_for":"{word}"%') for word in KEEPS_PLACE]
    return or_(c.status == CLAIMED, and_(c.status == WAITING, or_(*keeps)))


def is_sound_waiting(database: Database, c: Any) -> ColumnElement[bool]:
    """Return the condition, true or not known of each, that a waiting run waits for a time, and can be taken by its fence.

    :param c: the columns of runs
    """
    sound = [c.not_before >= EARLIEST, c.not_before <= LATEST, c.attempt >= 0, c.attempt < MOST]
    if database.keeps_any_type:
        sound += [not_(database.is_no_number(column)) for column in (c.not_before, c.attempt)]
    return and_(*sound)
