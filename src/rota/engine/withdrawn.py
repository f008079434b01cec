"""Runs that were asked to stop before they had started: their ends are recorded at once, not when their turn comes.

What is recorded is a copy, as the executor has the run still; what it reports of that later changes nothing. It writes nothing.
"""

from __future__ import annotations

from copy import copy
from threading import Lock

from ..core.run import GONE
from ..core.states import CANCELLED, CLAIMED, end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..core.run import Run

    class KeepsWithdrawn(Protocol):
        """The ends of the runs of one store."""

        withdrawn: Withdrawn | None


class Withdrawn:
    """The runs of one store that have ended before their executor came to them.

    Whoever starts a run says so (``started_at``) before looking whether it was asked to stop, and whoever asks it to stop does so
    before looking here whether it has started. So a run that is found not to have started never does.
    """

    __slots__ = ("_lock", "_runs")

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs: set[Run] = set()

    def withdraw(self, run: Run, reason: str, now: int) -> Run | None:
        """Return the record of a run that ends now, None if it has started, or ends by itself.

        :param run: a run that was asked to stop (``cancelled``), of an executor that starts none of these
        """
        with self._lock:
            if run.started_at is not None or run.status != CLAIMED or run in self._runs:
                return None
            self._runs.add(run)
        record = copy(run)
        record.then = None
        if hasattr(record, "watch"):
            del record.watch
        end(record, CANCELLED, reason, now)
        run.permission = GONE  # nobody waits for it
        return record

    def drop(self, run: Run) -> bool:
        """Whether a run that its executor has reported was withdrawn before; it is forgotten."""
        with self._lock:
            if run not in self._runs:
                return False
            self._runs.discard(run)
        run.job = None  # what is executed after it stays: a retry of one before it waits for that
        return True


def withdrawn_of(ends: KeepsWithdrawn) -> Withdrawn:
    """Return the runs of one store that were asked to stop before they had started; one object for all threads."""
    known: Withdrawn = ends.withdrawn or vars(ends).setdefault("withdrawn", Withdrawn())
    return known
