"""The form in which all readers give the jobs of APScheduler.

Reads nothing itself.
"""

from __future__ import annotations

from typing import Any

#: The next run of a row whose source does not keep it beside the job.
UNKNOWN: Any = object()


class Row:
    """One job of a source: its id, its state (a pickle, or what an export says), and the next run that is kept beside it.

    :ivar float | None next_run: seconds since the epoch, None for a paused job, :data:`UNKNOWN`
    """

    __slots__ = ("id", "next_run", "state")

    def __init__(self, id: str, state: Any, next_run: Any = UNKNOWN) -> None:
        self.id = id
        self.state = state
        self.next_run = next_run if next_run is None or type(next_run) in (int, float) else UNKNOWN
