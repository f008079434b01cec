"""Records that are opened again: ``rerun()``.

It opens the record through the port; a node takes the run as it takes any run that waits.
"""

from __future__ import annotations

from ..core.details import before_another, forgotten_with, last_attempt, part_of_attempt
from ..core.extras import RERUN, Extra
from ..core.run import Run
from ..core.states import SUCCEEDED, wait
from ..errors import JobLookupError, JobValueError, SchedulerNotRunningError, StoreConflictError
from ..texts import repr_of
from .book import TRIES
from .governed import note
from .manual_runs import check_asked
from .results import asked
from .searches import instant_of, store_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from ..jobstores.base import BaseJobStore
    from .book import JobBook


def rerun(book: JobBook, job_id: str, nominal: datetime, jobstore: str | None, chain: bool = True) -> Run:
    """Have a run that has ended executed once more; return it as it was asked for."""
    book.require_started("a rerun")
    alias, store = store_of(book, jobstore)
    engine = book.engine
    if engine is None:
        raise SchedulerNotRunningError
    key = instant_of("nominal", nominal)
    for _ in range(TRIES):
        record = _record(store, job_id, key)
        job, _ = book.scheduler._lookup_job(job_id, alias)
        check_asked(book, job, alias)
        run = _opened_again(record, store.now(), job.executor)
        run.extra.unchained = not chain
        if record.started_at is not None:
            name, text = part_of_attempt(before_another(last_attempt(record)))
            store.write_parts([(job_id, key, {name: text, **forgotten_with(record.attempt)})])
        mine = asked(book, engine.stores[alias], run, is_new=True)  # before anybody may end it
        if store.open_runs([run], store.now()):
            engine.stores[alias].asked.tell()
            note(book, job, f"the run of {record.scheduled_run_time.isoformat()} was opened again")
            book.wake_host()
            return mine
    raise StoreConflictError(f'The run of job "{job_id}" is changed by others all the time; try again')


def _record(store: BaseJobStore, job_id: str, key: int) -> Run:
    """Return the record that is to be opened again.

    :raises JobValueError: if there is none, it has not ended, or it stands for several times
    """
    record = store.get_run(job_id, key)
    if record is None:
        if store.lookup_job(job_id) is None:
            raise JobLookupError(job_id)
        raise JobValueError(
            f'nominal must be a time of job "{job_id}" that has a record, got {repr_of(key)}; get_runs("{job_id}") shows them, '
            f"and run_job() runs it apart from its schedule"
        )
    if not record.ended:
        raise JobValueError(f"Run {record.id} has not ended ({record.status}); cancel_run() stops it")
    if record.count > 1:
        raise JobValueError(
            f"nominal must be a time that has a record of its own, got the first of {record.count} times that were "
            f"{record.status} together; run_job() runs the job apart from its schedule"
        )
    return record


def _opened_again(record: Run, now: int, executor: str) -> Run:
    """Return a run that waits in the place of a record that has ended; its tries begin anew."""
    run = Run(record.job_id, record.nominal, record.due, None, executor)
    run.attempt = record.attempt
    before = getattr(record, "extra", None)
    run.extra = extra = Extra(record.origin)
    extra.waiting_for, extra.not_before, extra.asked_at = RERUN, now, now
    extra.uncounted = record.attempt
    if before is not None:
        extra.args, extra.kwargs, extra.parent = before.args, before.kwargs, before.parent
    extra.succeeded_at = record.finished_at if record.status == SUCCEEDED else before and before.succeeded_at
    wait(run)
    return run
