"""What must happen to live schedulers when the process forks or the interpreter exits.

Keeps weak references only; a scheduler that is gone needs nothing.
"""

from __future__ import annotations

import atexit
import os
from _weakrefset import WeakSet  # import time: unlike weakref, it is loaded with threading
from threading import get_ident

from ..interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger

    class Live(Protocol):
        """What is asked of a scheduler here."""

        _jobstores: dict[str, BaseJobStore]

        @property
        def _log(self) -> GuardedLogger: ...
        def _note_exit(self) -> None: ...
        def _stop_at_exit(self) -> None: ...
        def _stop_in_child(self) -> None: ...


_started: WeakSet[Live] = WeakSet()
_installed = False
#: by threads that fork: the stores that are held meanwhile
_held: dict[int, list[BaseJobStore]] = {}


def watch(scheduler: Live) -> None:
    """Look after a scheduler from its start on."""
    global _installed
    if not _installed:
        _installed = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
            )
    # Handlers are called last to first, and this one comes before those that end what runs need, as multiprocessing's does.
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)
    _started.add(scheduler)


def _before_fork() -> None:
    # What another thread is about to change must not be copied half-way, and no lock that the copy needs may be held.
    stores = [store for scheduler in list(_started) for store in list(scheduler._jobstores.values())]
    _held[get_ident()] = stores
    _each(stores, "before_fork")


def _after_fork() -> None:
    _each(_held.pop(get_ident(), ()), "after_fork")


def _after_fork_in_child() -> None:
    # Threads do not survive a fork: the child's copies must not pretend to run.
    _held.clear()
    _each(list(_started), "_stop_in_child")
    _started.clear()


def _each(objects: Iterable[Any], method: str) -> None:
    for each in objects:
        try:
            getattr(each, method)()
        except BaseException as exc:  # the others are looked after all the same
            if is_interrupt(exc):
                raise
            from ..logs import GuardedLogger  # import time

            GuardedLogger("rota.scheduler").exception("Error at a fork (%r)", each)


def _at_exit() -> None:
    for scheduler in list(_started):
        try:
            scheduler._note_exit()
            scheduler._stop_at_exit()
        except BaseException as exc:  # the others get their moment all the same
            if is_interrupt(exc):
                raise
            scheduler._log.exception("Error shutting down at exit")
