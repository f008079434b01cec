"""Runs and jobs that somebody governs: asked for, cancelled, left out, paused with a note, put on hold; nodes that drain.

It changes stores through the port, in any thread; what a node does about it is the engine's business.
"""

from __future__ import annotations

from functools import partial

from ..clock import moment
from ..core.chains import SKIPPED_AHEAD
from ..core.pauses import LONGEST_NOTE, Pause, goes_on_with, left_out, only_counted, pause_of, text_of
from ..core.plan import due_time, is_time_of, record_of
from ..core.states import ACTIVE, CANCELLED, CLAIMED, ENDED, NEW, PAUSED, QUARANTINED, WAITING, set_job_state
from ..engine.stops import note_request, stop_here
from ..errors import JobLookupError, JobValueError, OptionTypeError, StoreConflictError
from ..jobstores.held_rows import as_soon_as_free
from ..texts import repr_of, shortened
from ..triggers.base import AskedBy
from .arguments import in_zone, instant_of, key_of, store_of
from .beside import beside, write
from .book import TRIES
from .edits import edit
from .ends import tell_of_ends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from typing import Any

    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .book import JobBook


# ---------------------------------------------------------------------------------------------------------- cancelling


def cancel(book: JobBook, job_id: str, nominal: Any, reason: str, jobstore: str | None) -> Run:
    """Cancel a run, or a time to come; return the record.

    :raises JobLookupError: if there is neither a record nor a job
    :raises JobValueError: if the instant is no time of the job, or the run has ended
    """
    from .searches import standing_for  # import time

    alias, store = store_of(book, jobstore)
    key = key_of("nominal", nominal)
    for _ in range(TRIES):
        now = store.now()
        run = as_soon_as_free(store.cancel_run, job_id, key, shortened(reason, LONGEST_NOTE), now)
        if run is None and (several := standing_for(book, store, job_id, key)) is not None:
            raise JobValueError(
                f'The record of job "{job_id}" from {_shown(book, several.nominal)} on, of {several.count} times, has ended '
                f"already: {several.status}; rerun() takes one of them out"
            )
        if run is None:
            run = _leave_out(book, alias, store, job_id, key)
            if run is None:  # it was claimed, or changed, meanwhile
                continue
        elif run.status == CLAIMED:
            run = _tell(book, alias, store, run, reason)
        elif run.status != CANCELLED:
            raise JobValueError(
                f'The run of job "{job_id}" of {_shown(book, run.nominal)} has ended already: {run.status}'
            )
        elif run.finished_at == now:  # it waited: nobody else knows of its end
            tell_of_ends(book.scheduler, book.engine, book.listening.mask, alias, [run], book.log)
        in_zone(book, [run])
        return run
    raise StoreConflictError(f'The run of job "{job_id}" is changed by others all the time; try again')


def _tell(book: JobBook, alias: str, store: BaseJobStore, run: Run, reason: str) -> Run:
    """Have this node stop the run if it has it; else the node that has it sees it when it asks the store.

    :return: the record: one that has not started has ended
    """
    engine = book.engine
    state = None if engine is None else engine.stores.get(alias)
    if engine is None or state is None:
        note_request(store, run, book.log)
        return run
    return stop_here(engine.outlet, state, run, reason) or run


def _leave_out(book: JobBook, alias: str, store: BaseJobStore, job_id: str, nominal: int) -> Run | None:
    """Record a time to come as cancelled; return the record, None if the job was changed meanwhile."""
    job, _ = book.scheduler._lookup_job(job_id, alias)
    now, following = store.now(), job.next_nominal
    with AskedBy(book.scheduler):
        known = is_time_of(job, nominal)
        if not known or nominal < (now if following is None else following):
            raise JobValueError(
                f'nominal must be a time to come of job "{job_id}" or one that has a record, got {_shown(book, nominal)}; '
                f"its next time is {job.next_run_time}"
            )
        decision = beside(job)
        record = record_of(job, nominal, nominal, 1, CANCELLED, SKIPPED_AHEAD, now)
        decision.records.append(record)
        if nominal == following and job.state == ACTIVE:
            after = job.trigger.after(nominal, nominal)
            if after is None:
                decision.state, decision.next_nominal, decision.next_due = ENDED, None, None
            else:
                decision.next_nominal, decision.next_due = after, due_time(job, after)
    if not write(store, decision) or record not in decision.records:
        return None
    tell_of_ends(book.scheduler, book.engine, book.listening.mask, alias, [record], book.log)
    book.wake_host()
    return record


# ------------------------------------------------------------------------------------------------------------- pausing


def pause(book: JobBook, job_id: str, jobstore: str | None, note: str | None, until: datetime | None) -> Job:
    """Pause a job, with a note and an end of the pause."""
    text = _checked_note(note)
    end = None if until is None else instant_of("until", until)
    found, alias = book.scheduler._lookup_job(job_id, jobstore)
    if found.state == ENDED and not _unfinished(book, (found.id,), alias):
        return found  # there is nothing that a pause could hold back

    def change(draft: Job) -> None:
        before = _before(draft)
        since = draft.next_nominal if draft.state == ACTIVE else before.since
        _stop(draft)
        active = None if before.hold is None else False
        now = book.now_for(draft)
        draft.paused = text_of(Pause(since, now, end, text, before.hold, active, over=before.over))

    job = edit(book, job_id, jobstore, change, f"paused{f': {text}' if text else ''}")
    state = None if book.engine is None else book.engine.stores.get(job._home[1] or "")
    if end is not None and state is not None:
        state.housekeeping.note_pause(end)
        book.wake_host()
    return job


def _before(draft: Job) -> Pause:
    """Return how a job is paused that is about to be paused, or put on hold; one whose schedule is over owes nothing."""
    return Pause(over=True) if draft.state == ENDED else pause_of(draft)


def _stop(draft: Job) -> None:
    """Make a job a paused one, unless it is in quarantine."""
    if draft.state == ENDED:
        set_job_state(draft, PAUSED)
    elif draft.state != QUARANTINED:
        draft.set_next(None)


def hold_back(book: JobBook, draft: Job) -> None:
    """Pause a job whose schedule is over, if anything of it waits or is under way."""
    if _unfinished(book, (draft.id,), draft._home[1]):
        _stop(draft)
        draft.paused = text_of(Pause(at=book.now_for(draft), over=True))


def _unfinished(book: JobBook, ids: Iterable[str], alias: str | None) -> set[str]:
    """Return the ids, of some, of the jobs of which runs wait or are under way, or a backfill is to open some."""
    from ..core.queries import RunQuery  # import time

    wanted, cursor = set(ids), None
    store = None if alias is None else book.scheduler._jobstores.get(alias)
    if store is None or not wanted:
        return set()
    found = wanted & store.backfills().keys()
    query = RunQuery(job_ids=wanted, statuses=(WAITING, CLAIMED))
    while found < wanted:
        page = store.find_runs(query, 500, cursor)
        found |= {run.job_id for run in page.items}
        cursor = page.cursor
        if cursor is None:
            break
    return found


def resume_paused(book: JobBook, job: Job, alias: str | None, is_over: bool) -> Job | None:
    """Go on with the schedule of a job that was paused, and record what it left out; one on hold stays so.

    :param is_over: whether its schedule has no time to come; unless it was given one, or runs of it wait, None is returned,
        and the job is to be removed
    :raises JobValueError: if the job is on hold
    """
    pause = pause_of(job)
    if pause.hold is not None:
        # Of which set it was put on hold is not known, and it may be in others by now.
        tags = "".join(f'those with the tag "{tag}", ' for tag in job.tags)
        raise JobValueError(
            f'Job "{job.id}" is on hold, and cannot be resumed by itself; release() jobs among which it is now: {tags}'
            f'those of the executor "{job.executor}", or all'
        )
    is_over = is_over and not pause.over and goes_on_with(pause, book.now_for(job)) is None
    if is_over and not _unfinished(book, (job.id,), alias):
        _settle(book, job, alias)
        return None
    return edit(book, job.id, alias, partial(_go_on, book), "resumed")


def _go_on(book: JobBook, draft: Job, is_released: bool = False) -> None:
    """Let a job go on that was paused or on hold, with the time to come that it had, or planned anew.

    The book records what it has left out.

    :param is_released: whether it was on hold: then its failures in a row go on counting; resuming it begins anew
    """
    pause, now = pause_of(draft), book.now_for(draft)
    following = goes_on_with(pause, now)
    draft.paused = only_counted(pause) if is_released else None
    draft.error = None
    if pause.over or (following is None and _ends(book, draft, now)):
        set_job_state(draft, ENDED)
        return
    set_job_state(draft, NEW)
    if following is None:
        book.new_jobs.plan_first(draft, now)
    else:
        draft.set_next(following, due_time(draft, following))


def _ends(book: JobBook, draft: Job, now: int) -> bool:
    """Whether a job that goes on has no time to come, and is there for its runs alone."""
    with AskedBy(book.scheduler):
        is_over = draft.trigger.first(now) is None
    return is_over and draft.state == PAUSED and bool(_unfinished(book, (draft.id,), draft._home[1]))


def _settle(book: JobBook, job: Job, alias: str | None) -> None:
    """Record what a paused job has left out whose schedule has no time to come."""
    store = None if alias is None else book.scheduler._jobstores.get(alias)
    if store is None:
        return
    for _ in range(TRIES):
        with AskedBy(book.scheduler):
            record = left_out(job, pause_of(job), "paused", store.now())
        if record is None:
            return
        decision = beside(job)
        decision.records.append(record)
        if write(store, decision):
            return
        job, _ = book.scheduler._lookup_job(job.id, alias)
    raise StoreConflictError(f'Job "{job.id}" is changed by others all the time; try again')


def hold(book: JobBook, jobstore: str | None, chosen: dict[str, Any], note: str | None, held: bool) -> int:
    """Put jobs on hold, or release them; return how many were changed."""
    text = _checked_note(note) or ""
    count = 0
    for job, alias in _chosen(book, jobstore, chosen, held):
        pause = Pause() if job.state == ENDED else pause_of(job)
        if held == (pause.hold is not None) or job.state == QUARANTINED:
            continue
        try:
            if held:
                edit(
                    book,
                    job.id,
                    alias,
                    partial(_put_on_hold, book, text),
                    f"on hold{f': {text}' if text else ''}",
                )
            else:
                _release(book, job, alias, pause)
        except JobLookupError:  # removed meanwhile
            continue
        count += 1
        engine = book.engine
        if pause.until is not None and engine is not None and alias in engine.stores:
            engine.stores[alias].housekeeping.note_pause(pause.until)  # it may be over
            book.wake_host()
    return count


def _put_on_hold(book: JobBook, text: str, draft: Job) -> None:
    before, active = _before(draft), draft.state in (ACTIVE, ENDED)
    since, now = draft.next_nominal if draft.state == ACTIVE else before.since, book.now_for(draft)
    _stop(draft)
    pause = Pause(
        since, now, before.until, before.note, text, active, before.failures, before.good, over=before.over
    )
    if not active and before.at is not None:
        pause.at, pause.held = before.at, now
    draft.paused = text_of(pause)


def _release(book: JobBook, job: Job, alias: str, pause: Pause) -> None:
    if pause.active:
        edit(book, job.id, alias, partial(_go_on, book, is_released=True), "released")
        return

    def keep_paused(draft: Job) -> None:
        before = pause_of(draft)
        before.hold = before.held = before.active = None
        draft.paused = text_of(before)

    edit(book, job.id, alias, keep_paused, "released, and still paused")


def _chosen(
    book: JobBook, jobstore: str | None, chosen: dict[str, Any], held: bool
) -> Iterator[tuple[Job, str]]:
    """Return the jobs that a hold is for, with the alias of their store.

    :param held: whether they are to be put on hold: then those are among them whose schedule is over, and of which something waits
    """
    given = [name for name, value in chosen.items() if value]
    if len(given) != 1:
        raise OptionTypeError(
            f"hold() and release() must be given one of tag=, executor=, all=True, got {', '.join(given) or 'none'}"
        )
    from ..core.queries import JobQuery  # import time

    fields = {"tag": "tags", "executor": "executors"}
    name = given[0]
    wanted: dict[str, Any] = {} if name == "all" else {fields[name]: {chosen[name]}}
    states = (ACTIVE, PAUSED, ENDED) if held else (ACTIVE, PAUSED)
    query = JobQuery(states=states, **wanted)
    aliases = [jobstore] if jobstore is not None else [alias for alias, _ in book.stores(None)]
    for alias in aliases:
        _, store = store_of(book, alias)
        cursor = None
        while True:
            page = store.find_jobs(query, 500, cursor)
            waits = _unfinished(book, (job.id for job in page.items if job.state == ENDED), alias)
            for job in book.bound(page.items, alias):
                if job.state != ENDED or job.id in waits:
                    yield job, alias
            cursor = page.cursor
            if cursor is None:
                break


def _shown(book: JobBook, nominal: int) -> str:
    """Return a nominal time as people read it."""
    return moment(nominal, book.scheduler.timezone).isoformat(sep=" ")


def _checked_note(note: Any) -> str | None:
    if note is None:
        return None
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise JobValueError(
            f"note must be a text of {LONGEST_NOTE} characters at most, got {shortened(repr_of(note), 100)}"
        )
    return note


# -------------------------------------------------------------------------------------------------------------- nodes


def drain(book: JobBook, node: str | None, draining: bool, jobstore: str | None) -> bool:
    """Have a node claim nothing more, or claim again; return whether there is such a node.

    :param node: its id; None: this one
    """
    alias, store = store_of(book, jobstore)
    engine = book.engine
    state = None if engine is None else engine.stores.get(alias)
    if node is None and state is not None and engine is not None:
        node = engine.node if state.lease is None else state.lease.node
    found = node is not None and store.drain(node, draining, store.now())
    if state is not None:
        state.asked.tell()
        book.wake_host()
    return found
