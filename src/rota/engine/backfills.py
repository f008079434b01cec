"""Backfills that are carried on, by whichever node of their store comes first: runs are opened, and more when those have started.

It asks the store and has it open runs; which ones is decided in :mod:`rota.core.backfill`. What is left stands in the store, so
that the death of a node ends no backfill.
"""

from __future__ import annotations

from bisect import bisect_left

from ..clock import SECOND, moment
from ..codec.damaged import DAMAGED
from ..core.backfill import (
    FEW,
    MOST,
    OPENED,
    WAIT_AT_ONCE,
    Backfill,
    backfill_of,
    is_of,
    last_instant,
    openings,
    times_from,
)
from ..core.details import before_another, forgotten_with, last_attempt, part_of_attempt
from ..core.extras import BACKFILL, extra_of
from ..core.queries import RunQuery
from ..core.recorded import BEFORE
from ..core.states import CLAIMED, ENDED, QUARANTINED, WAITING
from ..interrupts import is_interrupt
from ..texts import error_text, shortened
from .due_again import make_due

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .outlet import Outlet
    from .store_state import StoreState

#: How often one step is tried while others change its job.
TRIES = 20
#: For how long a pass carries backfills on, and after what pause the next one does (microseconds).
TURN, REST = SECOND // 50, SECOND // 20
#: How soon it is looked at backfills again of which enough runs wait (microseconds), if none of them is started here before.
LATER = 5 * SECOND
#: How many characters of what cannot be read are told.
TOLD = 300


class EndsEarly(Exception):
    """A backfill cannot be carried on; the text says why."""


class TooLong(EndsEarly):
    """More times of the job are in the range of a backfill than any may have."""


class TriggerFailed(EndsEarly):
    """A job's trigger cannot tell its times; the cause says why."""


class Damaged(EndsEarly):
    """What is left of a backfill is not what a store has written, or is not trusted."""


def records_of(store: BaseJobStore, job_id: str, first: int, last: int) -> list[Run]:
    """Return the records of a job that stand for times from an instant to another, newest first."""
    found: list[Run] = []
    query, cursor = RunQuery(job_ids=job_id, since=moment(first), until=moment(last + 1)), None
    while True:
        page = store.find_runs(query, 1000, cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    # A record of several times may begin before.
    before = store.find_runs(RunQuery(job_ids=job_id, until=moment(first)), BEFORE)
    return found + [record for record in before.items if record.last >= first]


def unfinished_of(
    store: BaseJobStore, job_id: str, backfill: Backfill | None, most: int, *more: str
) -> list[Run]:
    """Return waiting runs of a job that a backfill has opened, some at most.

    :param backfill: which one; None: any
    :param more: another status that they may have: "claimed"
    """
    found: list[Run] = []
    query, cursor = RunQuery(job_ids=job_id, statuses={WAITING, *more}), None
    while True:
        page = store.find_runs(query, max(most, 100), cursor)
        found += [run for run in page.items if is_of(run, backfill)]
        cursor = page.cursor
        if cursor is None or len(found) >= most:
            return found[:most]


def open_some(
    store: BaseJobStore, job_id: str, few: int = WAIT_AT_ONCE, goes_on: Callable[[], bool] = lambda: True
) -> tuple[list[Run], bool]:
    """Open runs of the backfill of a job, in steps, until enough of it wait or nothing is left of it.

    :param few: of how many waiting ones nothing more is opened
    :param goes_on: asked after each step, and each time of the trigger, whether to go on now
    :return: the runs that were opened, and whether enough of them wait, or there are no others
    :raises TriggerFailed: if the job's trigger raises
    :raises Damaged: if what is left cannot be read, or is not trusted
    :raises TooLong: if it has come to more times than a backfill may have
    """
    done: list[Run] = []
    waiting: int | None = None
    for _ in range(TRIES):
        # First the job, then the backfill: one that is cancelled after that has given the job another version.
        job = store.lookup_job(job_id)
        # The stores know from its policy that it waits for one place; else only a backfill has it wait.
        if job is not None and not job.policy.waits_for_room and make_due(store, job):
            continue
        kept = _kept(store, job_id)
        if kept is None:
            return done, True
        text, backfill = kept
        # It is told until its last run has ended, as scheduled times wait for it.
        if job is None or (backfill.is_over and not _goes_on(store, job_id, backfill)):
            store.keep_backfill(job_id, None, text)
            return done, True
        if backfill.is_over:
            return done, True
        if job.state == QUARANTINED:
            return done, True
        if waiting is None:
            waiting = len(unfinished_of(store, job_id, backfill, few))
            if waiting >= few:
                return done, True
        if waiting >= WAIT_AT_ONCE:
            return done, True
        runs, left = _opened(store, job, backfill, goes_on, WAIT_AT_ONCE - waiting)
        done += runs
        waiting += len(runs)
        if left is not None:
            store.keep_backfill(job_id, left.text(), text)
            if not goes_on():
                return done, False
    return done, False


def _kept(store: BaseJobStore, job_id: str) -> tuple[str, Backfill] | None:
    """Return what is left of the backfill of a job, as it is stored and as it is read; None: nothing is.

    :raises Damaged: if it cannot be read, or is not trusted
    :raises TooLong: if it has come to more times than a backfill may have
    """
    text = store.backfills().get(job_id)
    if text is None:
        return None
    backfill, refusal = backfill_of(text), store.backfill_refusal(job_id, text)
    if backfill is None or refusal is not None:
        raise Damaged(refusal or f"{DAMAGED}{shortened(text, TOLD)}")
    if backfill.is_too_long and not backfill.is_over:
        raise TooLong(f"it has come to more than {MOST:,} times of its job, which are the most")
    return text, backfill


def _goes_on(store: BaseJobStore, job_id: str, backfill: Backfill) -> bool:
    """Whether a run of a backfill has not ended."""
    return bool(unfinished_of(store, job_id, backfill, 1, CLAIMED))


def _opened(
    store: BaseJobStore, job: Job, backfill: Backfill, goes_on: Callable[[], bool], most: int
) -> tuple[list[Run], Backfill | None]:
    """Do one step; return the runs that were opened, and what is left then (None: the step has to be done again)."""
    now = store.now()
    end = min(backfill.end, last_instant(job, now))
    times, following = _asked(times_from, job, backfill.next, end, goes_on)
    if following > end:
        following = backfill.end + 1
    if not times:
        return [], backfill.from_(following)
    records = records_of(store, job.id, times[0], times[-1])
    runs, cuts, reached = _asked(openings, job, times, records, backfill, now, min(most, OPENED))
    if not runs:
        return [], backfill.from_(following, len(times))
    keep_attempts(store, [cut.found for cut in cuts])
    opened = store.open_runs(runs, now, cuts, job.version)
    if len(opened) < len(runs):  # others were faster, or have changed the job: it is looked at anew
        return opened, None
    if reached is not None:
        return opened, backfill.from_(reached, bisect_left(times, reached))
    return opened, backfill.from_(following, len(times))


def _asked(decide: Callable[..., Any], *args: Any) -> Any:
    """Decide by the times of a job's trigger, which may raise anything."""
    try:
        return decide(*args)
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        raise TriggerFailed(f"its trigger cannot tell its times: {error_text(exc)}") from exc


def keep_attempts(store: BaseJobStore, records: Sequence[Run]) -> None:
    """Keep the last attempts of records that are opened again, beside them."""
    parts = []
    for record in records:
        if record.started_at is not None:
            name, text = part_of_attempt(before_another(last_attempt(record)))
            parts.append((record.job_id, record.nominal, {name: text, **forgotten_with(record.attempt)}))
    if parts:
        store.write_parts(parts)


def carry_on(outlet: Outlet, state: StoreState) -> None:
    """Carry the backfills of a store on for a moment, if it is time; those of jobs of which enough runs wait are left alone."""
    asked, store, clock = state.asked, state.store, outlet.clock
    if clock.monotonic() < asked.backfill_at:
        return
    until = clock.monotonic() + TURN
    pause = LATER
    for job_id in list(asked.backfills):
        try:
            runs, enough = open_some(store, job_id, FEW, lambda: clock.monotonic() < until)
        except EndsEarly as exc:
            end_early(outlet, state, job_id, exc)
            continue
        except BaseException as exc:
            from .damage import note_refusal  # import time

            note_refusal(exc, outlet.logger, 'The backfill of job "%s" cannot be carried on now: %s', job_id)
            asked.tell()  # some runs may wait
            continue
        if runs:
            asked.begin_at(store.now())
        if not enough:
            pause = REST
    asked.know(store.backfills())
    asked.backfill_at = clock.monotonic() + pause


def leave_some(state: StoreState, job_ids: Iterable[str]) -> None:
    """Have a run wait of each of some jobs of which a backfill is left, as the claim that ends their schedules is about to be made.

    A job whose schedule is over goes with the last of its runs, and what is left of its backfill would go with it.
    """
    for job_id in job_ids:
        try:
            if open_some(state.store, job_id, 1)[0]:
                state.asked.begin_at(state.store.now())
        except EndsEarly:  # it is told by whoever carries the backfill on
            continue


def leave_one(state: StoreState, runs: Sequence[Run]) -> Sequence[Run]:
    """Give one run back of each job whose schedule is over, and of which none waits any more while a backfill of it is left.

    :param runs: runs that were taken now
    :return: those that stay with this node
    """
    asked, store = state.asked, state.store
    last = {run.job_id: run for run in runs if _may_be_last(run)}
    if not last:
        return runs
    asked.know(store.backfills())
    now = store.now()
    left: list[Run] = []
    for job_id, run in last.items():
        backfill = backfill_of(asked.backfills.get(job_id, ""))
        if backfill is None or backfill.is_over or unfinished_of(store, job_id, None, 1):
            continue
        extra = extra_of(run)
        extra.waiting_for, extra.not_before = BACKFILL, now
        extra.uncounted += 1
        if store.give_back([run], now):
            extra.not_before = None
        else:
            run.job = None
            left.append(run)
    if left:
        asked.backfill_at = 0  # others are opened at once
        asked.begin_at(now)
    return [run for run in runs if run not in left]


def _may_be_last(run: Run) -> bool:
    is_over = run.job is not None and run.job.state == ENDED
    return is_over and run.status == CLAIMED and extra_of(run).backfill is not None


def end_early(outlet: Outlet, state: StoreState, job_id: str, exc: EndsEarly) -> None:
    """End a backfill that cannot be carried on; what waits of it stays."""
    text = state.store.backfills().get(job_id)
    if text is not None:
        state.store.keep_backfill(job_id, None, text)
    outlet.logger.error(
        'The backfill of job "%s" ends early: %s; its times that have not run are missing, and another backfill() runs them',
        job_id,
        exc,
    )
