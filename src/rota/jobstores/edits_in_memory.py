"""Edits of jobs in the memory of this process: the port's defaults.

It changes ledgers in memory under their lock, and imports little, as the first edit of a program waits for it.
"""

from __future__ import annotations

from ..core.changes import KEPT, newest_first
from .memory_ledger import FEW_CHANGED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..core.changes import Change


def note_change(store: Any, job_id: str, change: Change) -> None:
    """Keep an edit in memory."""
    beside = store._ledger.beside
    with store._ledger.lock:
        before = beside.changes.get(job_id)
        if before is None:
            beside.changes[job_id] = [change]
        elif before[0].revision < change.revision:  # as nearly always
            beside.changes[job_id] = [change, *before[: KEPT - 1]]
            return
        else:
            earlier = [other for other in before if other.revision < change.revision]
            beside.changes[job_id] = newest_first([*earlier, change])
        if len(beside.changes) > beside.most_changed:
            for gone in [id for id in beside.changes if store.lookup_job(id) is None]:
                del beside.changes[gone]
            beside.most_changed = max(FEW_CHANGED, 2 * len(beside.changes))


def changes(store: Any, job_id: str) -> list[Change]:
    """Return the edits of a job in memory."""
    job = store.lookup_job(job_id)
    if job is None:
        store._ledger.beside.changes.pop(job_id, None)
        return []
    # Those of a removed job of the same id have higher revisions.
    return [
        change for change in store._ledger.beside.changes.get(job_id, ()) if change.revision <= job.revision
    ]
