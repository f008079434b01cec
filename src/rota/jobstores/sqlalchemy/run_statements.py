"""The statements of the claim protocol, with the rules that are carried out in SQL (R1 to R6, see ``rota.core.transitions``).

Makes statements, and executes none.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import bindparam, case, not_, or_, select

from ...clock import HELD
from ...core.states import CLAIMED, ENDED, WAITING
from ..documents import KEPT
from .forms import CLAIMS, ENDS, EXTRA, FENCE, LAST_ENDS, MARKS, PLAIN_ENDS, RECORD
from .job_statements import JobStatements, has_waiting
from .prepared import Prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Table, Update, UpdateBase

    from .databases.statements import Values
    from .layout import Tables

#: The columns that statements set, in the order in which rows give their values.
_MOVED = ("next_nominal", "next_due", "version", "running", "state", "error", "updated")
_TAKEN = ("owner", "attempt", "claimed")
_LOST = ("status", "reason", "finished", "name", "func")
_SUPERSEDED = ("status", "reason", "finished")


class RunStatements:
    """The statements for claims, ends and orphans of one store."""

    def __init__(self, tables: Tables) -> None:
        self._jobs = tables.jobs
        self._runs = tables.runs
        self._claims(tables)
        self._ends()
        self._counters(tables)
        self._ended_jobs()
        self._orphans()

    def _claims(self, tables: Tables) -> None:
        jobs, runs, c = self._jobs, self._runs, self._jobs.c
        look = select(c.id, c.version, c.running).with_for_update(skip_locked=True)
        #: locks jobs and reads the columns for R1 and R2; jobs that another transaction holds are left out
        self.look = look.where(c.id.in_(bindparam("ids", expanding=True)))
        #: the same with as many ids in one parameter as the database takes
        self.look_all = look.where(tables.database.is_one_of(c.id))
        self.exist = select(c.id).where(c.id.in_(bindparam("ids", expanding=True)))
        #: R3, for a job that was read with ``look``
        self.move = Prepared(
            lambda value: (
                jobs.update().where(c.id == value("b_id")).values({name: value(name) for name in _MOVED})
            ),
            *_MOVED,
            "b_id",
        )
        #: R1, R2 and R3 in one, for a job that was not read; it adds to the counter that is stored
        self.move_unchanged = Prepared(
            lambda value: (
                jobs.update()
                .where(c.id == value("b_id"), c.version == value("b_version"), c.running <= value("b_most"))
                .values({name: value(name) for name in _MOVED} | {"running": c.running + value("running")})
            ),
            *_MOVED,
            "b_id",
            "b_version",
            "b_most",
            alike=("state", "running", "error", "updated", "b_most"),
        )
        #: forgets how jobs were paused that go on
        self.end_pause = jobs.update().where(c.id == bindparam("b_id")).values(paused=None)
        waits = has_waiting(jobs, runs)
        self.drop = Prepared(lambda value: jobs.delete().where(c.id == value("b_id"), not_(waits)), "b_id")
        # R4: job and nominal time are the key of the table, so that a second record of a time is refused.
        self.insert = Prepared(
            lambda value: value.inserted(runs, **{name: value(name) for name in RECORD}), *RECORD
        )
        #: the same for what only some runs have
        self.insert_whole = Prepared(
            lambda value: value.inserted(runs, **{name: value(name) for name in (*RECORD, *EXTRA)}),
            *RECORD,
            *EXTRA,
        )
        self.insert_claimed = Prepared(
            lambda value: value.inserted(runs, **{name: value(name) for name in CLAIMS}),
            *CLAIMS,
            alike=("times", "attempt", "status", "owner", "executor", "claimed"),
        )

    def _ends(self) -> None:
        runs = self._runs
        waits = partial(_waiting, runs)
        #: tells which of some runs of a job wait (R4)
        self.look_waiting = select(runs.c.nominal, runs.c.attempt).where(
            runs.c.job_id == bindparam("job_id"),
            runs.c.nominal.in_(bindparam("nominals", expanding=True)),
            runs.c.status == WAITING,
        )
        #: ends waiting runs as a later time of their job is claimed
        self.supersede = Prepared(
            lambda value: waits(value).values(
                {name: value(name) for name in _SUPERSEDED} | {"not_before": None}
            ),
            *_SUPERSEDED,
            "b_job",
            "b_nominal",
            "b_attempt",
        )
        owned = partial(_claimed, runs, False)
        self.finish = Prepared(
            lambda value: owned(value).values({name: value(name) for name in ENDS}), *ENDS, *FENCE
        )
        #: the same for what has failed, unless somebody has asked it to stop
        self.finish_failed = Prepared(
            lambda value: (
                owned(value).where(runs.c.cancel.is_(None)).values({name: value(name) for name in ENDS})
            ),
            *ENDS,
            *FENCE,
        )
        self.finish_plain = Prepared(
            lambda value: owned(value).values({name: value(name) for name in PLAIN_ENDS}),
            *PLAIN_ENDS,
            *FENCE,
            alike=("status", "result", "b_attempt", "b_owner"),
        )
        self.finish_last = Prepared(
            lambda value: owned(value).values({name: value(name) for name in LAST_ENDS}),
            *LAST_ENDS,
            *FENCE,
            alike=("status", "result", "name", "func", "b_attempt", "b_owner"),
        )
        self.give_back = Prepared(lambda value: owned(value).values(owner=None), *FENCE)
        #: why somebody has asked a run of a node to stop, locked until its end is written
        self.request = (
            select(runs.c.cancel)
            .where(
                runs.c.job_id == bindparam("b_job"),
                runs.c.nominal == bindparam("b_nominal"),
                runs.c.status == CLAIMED,
                runs.c.attempt == bindparam("b_attempt"),
                runs.c.owner == bindparam("b_owner"),
            )
            .with_for_update()
        )
        #: the columns that R5 compares with an end that was refused
        self.record = select(runs.c.owner, runs.c.attempt, runs.c.status, runs.c.finished).where(
            runs.c.job_id == bindparam("b_job"), runs.c.nominal == bindparam("b_nominal")
        )

    def _counters(self, tables: Tables) -> None:
        jobs, c = self._jobs, self._jobs.c
        # Not as a set: there is no order in the assignments of MySQL's UPDATE that is joined with one.
        self.release = Prepared(partial(_release, jobs), "b_id", "b_less", writes_out=False)
        #: the same for jobs that do not wait: their due time is not written, nor its index (2.7 µs for a job instead of 5.6)
        self.count_down = Prepared(
            lambda value: (
                jobs.update()
                .where(c.id == value("b_id"), or_(c.next_due.is_(None), c.next_due != HELD))
                .values(running=c.running - value("b_less"))
            ),
            "b_id",
            "b_less",
            alike=("b_less",),
        )
        self.release_held = Prepared(partial(_release, jobs, held=True), "b_id", "b_less", writes_out=False)
        self.look_held = select(c.id, c.options).where(
            tables.database.is_one_of(c.id), c.next_due == HELD, c.running > 0
        )
        #: makes jobs due, after that, that wait for a place and not for all of their runs
        self.release_room = Prepared(
            lambda value: (
                jobs.update()
                .where(c.id == value("b_id"), c.next_due == HELD, c.running <= value("b_spare"))
                .values(next_due=c.next_nominal)
            ),
            "b_id",
            "b_spare",
        )
        #: locks jobs and reads them, to count how their runs have ended
        self.look_whole = select(*tables.once(JobStatements).all_columns).with_for_update()
        self.look_whole = self.look_whole.where(c.id.in_(bindparam("ids", expanding=True)))
        #: writes what was counted, with a higher version, as an edit would (R1)
        counted: dict[str, Any] = {
            name: bindparam(name) for name in ("next_nominal", "next_due", "state", *MARKS)
        }
        counted |= {"version": c.version + 1, "updated": bindparam("b_updated")}
        self.count_ends = jobs.update().where(c.id == bindparam("b_id")).values(counted)

    def _ended_jobs(self) -> None:
        # R6: a job whose schedule is over goes with its last run.
        jobs, c = self._jobs, self._jobs.c
        waits = has_waiting(jobs, self._runs)
        over = (c.state == ENDED, c.running <= 0, not_(waits))
        self.delete_over = jobs.delete().where(*over)
        self.over = select(c.id).where(*over)
        #: lets such a job stay: the statements that delete jobs do not come across it
        self.keep_ended = Prepared(
            lambda value: (
                jobs.update()
                .where(c.id == value("b_id"), c.state == ENDED, c.running <= 0, not_(waits))
                .values(state=KEPT)
            ),
            "b_id",
        )
        #: takes that back, as runs of it wait again
        self.open_kept = Prepared(
            lambda value: jobs.update().where(c.id == value("b_id"), c.state == KEPT).values(state=ENDED),
            "b_id",
        )
        #: the same before the runs are counted down, so that these jobs need not be written once more
        self.delete_ended = Prepared(
            lambda value: jobs.delete().where(
                c.id == value("b_id"), c.state == ENDED, c.running <= value("b_less"), not_(waits)
            ),
            "b_id",
            "b_less",
        )

    def _orphans(self) -> None:
        # A run that was given back has no owner; it is taken by its fence (R4).
        orphan = partial(_claimed, self._runs, True)
        self.take = Prepared(
            lambda value: orphan(value).values({name: value(name) for name in _TAKEN} | {"started": None}),
            *_TAKEN,
            *FENCE,
        )
        self.lose = Prepared(
            lambda value: orphan(value).values({name: value(name) for name in _LOST}), *_LOST, *FENCE
        )


def _claimed(table: Table, orphan: bool, value: Values) -> Update:
    """Return an UPDATE of claimed runs by their fence (R4, R5); that of an orphan may be without an owner."""
    runs, owner = table.c, value("b_owner")
    return table.update().where(
        runs.job_id == value("b_job"),
        runs.nominal == value("b_nominal"),
        runs.status == CLAIMED,
        runs.attempt == value("b_attempt"),
        runs.owner.is_not_distinct_from(owner) if orphan else runs.owner == owner,
    )


def _waiting(table: Table, value: Values) -> Update:
    """Return an UPDATE of waiting runs by their fence (R4)."""
    runs = table.c
    return table.update().where(
        runs.job_id == value("b_job"),
        runs.nominal == value("b_nominal"),
        runs.status == WAITING,
        runs.attempt == value("b_attempt"),
    )


def _release(table: Table, value: Values, held: bool = False) -> UpdateBase:
    """Return the UPDATE that counts ended runs down on their jobs, and makes jobs due that waited for them (R6).

    :param held: whether only on jobs that wait
    """
    jobs, less = table.c, value("b_less")
    due = case(
        ((jobs.next_due == HELD) & (jobs.running <= less), jobs.next_nominal),
        else_=jobs.next_due,
    )
    released = (
        table.update()
        .where(jobs.id == value("b_id"))
        # In this order: MySQL uses the new value of a column in the assignments that follow.
        .ordered_values((jobs.next_due, due), (jobs.running, jobs.running - less))
    )
    if held:
        return released.where(jobs.next_due == HELD)
    return released.returning(jobs.next_due, jobs.state, jobs.running) if value.returns else released
