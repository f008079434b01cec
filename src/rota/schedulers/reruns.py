"""Records that are opened again: ``rerun()``.

It opens the record through the port; a node takes the run as it takes any run that waits.
"""

from __future__ import annotations

from ..core.openings import Cut, cut_of, opened_again, stands_for
from ..engine.backfills import keep_attempts
from ..errors import JobLookupError, JobValueError, SchedulerNotRunningError, StoreConflictError
from ..jobstores.held_rows import as_soon_as_free
from ..texts import repr_of
from ..triggers.base import AskedBy
from .arguments import key_of, store_of
from .book import TRIES
from .edits import note
from .manual_runs import check_asked
from .results import asked
from .searches import among_several

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from .book import JobBook


def rerun(
    book: JobBook, job_id: str, nominal: datetime | int, jobstore: str | None, chain: bool = True
) -> Run:
    """Have a run that has ended executed once more; return it as it was asked for.

    One time of a record of several is taken out of it: it has a record of its own from then on.
    """
    book.require_started("a rerun")
    alias, store = store_of(book, jobstore)
    engine = book.engine
    if engine is None:
        raise SchedulerNotRunningError
    key = key_of("nominal", nominal)
    for _ in range(TRIES):
        record = _record(store, job_id, key)
        job, _ = book.scheduler._lookup_job(job_id, alias)
        check_asked(book, job, alias)
        with AskedBy(book.scheduler):
            if not stands_for(job, record, key):
                raise _no_such(job_id, key)
            cut = cut_of(job, record, [key]) if record.last != record.nominal else Cut(record)
            run = opened_again(job, record, key, store.now())
        run.extra.unchained = not chain
        if not cut.splits:
            as_soon_as_free(keep_attempts, store, [record])
        mine = asked(book, engine.stores[alias], run, is_new=True)  # before anybody may end it
        if as_soon_as_free(store.open_runs, [run], store.now(), [cut]):
            engine.stores[alias].asked.tell()
            note(book, job, f"the run of {run.scheduled_run_time.isoformat()} was opened again")
            book.wake_host()
            return mine
    raise StoreConflictError(f'The run of job "{job_id}" is changed by others all the time; try again')


def _record(store: BaseJobStore, job_id: str, key: int) -> Run:
    """Return the record that is to be opened again, or one of several times that may stand for it.

    :raises JobValueError: if there is none, or it has not ended
    """
    record = store.get_run(job_id, key) or among_several(store, job_id, key)
    if record is None:
        if store.lookup_job(job_id) is None:
            raise JobLookupError(job_id)
        raise _no_such(job_id, key)
    if not record.ended:
        raise JobValueError(f"Run {record.id} has not ended ({record.status}); cancel_run() stops it")
    return record


def _no_such(job_id: str, key: int) -> JobValueError:
    return JobValueError(
        f'nominal must be a time of job "{job_id}" that has a record, got {repr_of(key)}; get_runs("{job_id}") shows them, '
        f"and run_job() runs it apart from its schedule"
    )
