"""What must happen to live schedulers when the process forks or the interpreter exits.

Keeps weak references only; a scheduler that is gone needs nothing.
"""

from __future__ import annotations

import atexit
import os
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import BaseScheduler

_started: WeakSet[BaseScheduler] = WeakSet()
_installed = False


def watch(scheduler: BaseScheduler) -> None:
    """Look after a scheduler from its start on."""
    global _installed
    # Called last first: schedulers let their runs end before anything ends that their executors use.
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)
    if not _installed:
        _installed = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    _started.add(scheduler)


def _after_fork() -> None:
    # Threads do not survive a fork: the child's copies must not pretend to run.
    for scheduler in list(_started):
        scheduler._stop_in_child()
    _started.clear()


def _at_exit() -> None:
    for scheduler in list(_started):
        if scheduler.running:
            try:
                scheduler._is_exiting()
                scheduler._stop_at_exit()
            except Exception:  # the others get their moment all the same
                scheduler._log.exception("Error shutting down at exit")
