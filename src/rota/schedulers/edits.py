"""Edits of jobs: each gives its job a new revision, and is kept among the job's last edits.

What an edit changes is the caller's; it imports little, as the first edit of a program waits for it.
"""

from __future__ import annotations

from ..core.changes import Change
from ..interrupts import is_interrupt
from ..jobstores.held_rows import as_soon_as_free

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..job.handle import Job
    from .book import JobBook


def edit(book: JobBook, job_id: str, jobstore: str | None, change: Callable[[Job], None], what: str) -> Job:
    """Apply a change to a job that gives it a new revision, and keep what was changed."""

    def revise(draft: Job) -> None:
        change(draft)
        draft.revision += 1

    job = book.change(job_id, jobstore, revise)
    note(book, job, what)
    return job


def note(book: JobBook, job: Job, what: str) -> None:
    """Keep what an edit has changed of a job; trouble with that does not undo the edit."""
    alias = job._home[1]
    store = None if alias is None else book.scheduler._jobstores.get(alias)
    if store is None:
        return
    engine = book.engine
    who = "" if engine is None else engine.node
    state = None if engine is None or alias is None else engine.stores.get(alias)
    if state is not None and state.lease is not None:
        who = state.lease.node
    try:
        as_soon_as_free(store.note_change, job.id, Change(job.revision, store.now(), who, what))
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        book.log.exception('The edit of job "%s" is made, and could not be kept among its edits', job.id)
