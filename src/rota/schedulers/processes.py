"""What must happen to live schedulers when the process forks or the interpreter exits.

Keeps weak references only; a scheduler that is gone needs nothing. It ends by the ways of :mod:`rota.schedulers.lifecycle`.
"""

from __future__ import annotations

import atexit
import os
from _weakrefset import WeakSet  # import time: unlike weakref, it is loaded with threading
from threading import Event, get_ident

from ..clock import SECOND
from ..interrupts import is_interrupt
from .book import STATE_STOPPED
from .lifecycle import CANCEL_GRACE, POLL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..jobstores.base import BaseJobStore
    from .lifecycle import Lifecycle

#: How long runs may still work when the interpreter exits (seconds).
EXIT_GRACE = 5.0
#: A program that ends so soon after the start (seconds) was hardly meant to.
EARLY = 1.0

#: What calls of a scheduler that runs load at their first use. A child that is forked while a thread imports one of them would wait
#: for that thread for ever: the lock of an import is copied as it is.
LOADED_LATE = (
    "rota.core.beats",
    "rota.core.extras",
    "rota.core.handlers",
    "rota.core.pauses",
    "rota.core.recorded",
    "rota.engine.added_again",
    "rota.engine.asked",
    "rota.engine.beats",
    "rota.engine.damage",
    "rota.engine.failures",
    "rota.engine.lacking",
    "rota.engine.pauses_over",
    "rota.engine.requests",
    "rota.executors.around",
    "rota.executors.kept_logs",
    "rota.executors.worker_beats",
    "rota.job.marks",
    "rota.jobstores.edits_in_memory",
    "rota.jobstores.eight_methods",
    "rota.jobstores.requests_in_memory",
    "rota.jobstores.searching",
    "rota.jobstores.waiting_runs",
    "rota.schedulers.aio",
    "rota.schedulers.around",
    "rota.schedulers.beside",
    "rota.schedulers.bulk",
    "rota.schedulers.changes",
    "rota.schedulers.ends",
    "rota.schedulers.event_queue",
    "rota.schedulers.governed",
    "rota.schedulers.manual_runs",
    "rota.schedulers.removal",
    "rota.schedulers.resources",
    "rota.schedulers.results",
    "rota.schedulers.searches",
    "rota.schedulers.transfer",
    "rota.schedulers.views",
    "rota.trust.names",
)
_started: WeakSet[Lifecycle] = WeakSet()
_installed = False
#: by threads that fork: the stores that are held meanwhile
_held: dict[int, list[BaseJobStore]] = {}


def watch(life: Lifecycle) -> None:
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
    _started.add(life)


def _before_fork() -> None:
    if _started:
        for module in LOADED_LATE:
            __import__(module)
    # What another thread is about to change must not be copied half-way, and no lock that the copy needs may be held.
    stores = [store for life in list(_started) for store in list(life.scheduler._jobstores.values())]
    _held[get_ident()] = stores
    _each(stores, "before_fork")


def _after_fork() -> None:
    _each(_held.pop(get_ident(), ()), "after_fork")


def _after_fork_in_child() -> None:
    # Threads do not survive a fork: the child's copies must not pretend to run.
    _held.clear()
    _each([life.scheduler for life in list(_started)], "_stop_in_child")
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
    for life in list(_started):
        try:
            _note_exit(life)
            life.scheduler._stop_at_exit()
        except BaseException as exc:  # the others get their moment all the same
            if is_interrupt(exc):
                raise
            life.log.exception("Error shutting down at exit")


# -- what the schedulers do then -----------------------------------------------------------------------------------


def _note_exit(life: Lifecycle) -> None:
    """The interpreter exits: what has to be ended by force from now on is lost, and not cancelled."""
    if life.engine is not None:
        life.engine.outlet.exiting = True
    for executor in life.scheduler._executors.values():
        executor.exiting = True


def stop_at_exit(life: Lifecycle, waits_for_runs: bool = True) -> None:
    """The interpreter exits: give the runs under way a moment, and hand the rest back.

    :param waits_for_runs: False: they cannot end any more, as their loop has ended
    """
    scheduler = life.scheduler
    if scheduler.state != STATE_STOPPED:
        _warn_of_early_exit(life)
        scheduler._stop_claiming()
        scheduler._drain(waits_for_runs, EXIT_GRACE)
    elif not scheduler._wait_closed(EXIT_GRACE):  # of a shutdown that nobody waited for
        life.hurried = True
        scheduler._wait_closed(POLL + 2 * CANCEL_GRACE)


def _warn_of_early_exit(life: Lifecycle) -> None:
    """Say so when the program ends before the scheduler has done anything, although it has jobs."""
    scheduler, engine = life.scheduler, life.require_engine()
    lived = scheduler.clock.monotonic() - life.started_at
    if scheduler._kept_alive_by is None or not life.book.runs_jobs or lived > EARLY * SECOND:
        return
    if any(state.completions.submitted for state in engine.states):
        return
    try:
        aliases = tuple(scheduler._executors)
        has_jobs = any(state.store.next_due(aliases) is not None for state in engine.states)
    except Exception:  # the store's trouble is told elsewhere
        return
    if has_jobs:
        life.log.warning(
            "The program ends %.1f s after the scheduler was started, before any job has run. The scheduler does not keep it "
            "running: %s",
            lived / SECOND,
            scheduler._kept_alive_by,
        )


def stop_in_child(life: Lifecycle) -> None:
    """The process was forked: threads and connections are the parent's; this copy is a stopped scheduler."""
    scheduler, book = life.scheduler, life.book
    was_running = book.is_open
    scheduler.state = STATE_STOPPED
    book.is_copy, book.is_open = was_running or book.is_copy, False
    life.set_engine(None)
    life.closed = Event()
    life.closed.set()
    book.listening.renew()
    parts: list[Any] = [*scheduler._jobstores.values(), *scheduler._executors.values()]
    for part in parts:
        try:
            part.forked()
        except BaseException as exc:  # the others have to forget all the same
            if is_interrupt(exc):
                raise
            life.log.exception("%r cannot be used in this forked process", part)
    if was_running:
        life.log.warning(
            "This process was forked from one with a running scheduler; the copy is stopped. "
            "Call start() here if this process is to run jobs, too; until then it takes no jobs and shows none"
        )
