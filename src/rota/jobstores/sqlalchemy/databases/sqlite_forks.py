"""Forks wait until no thread is in a transaction of SQLite, and its idle connections are closed before them.

SQLite keeps its locks on files in the memory of the process. A child that is forked in the middle of a transaction finds them
taken by nobody, for ever; one that inherits an open file takes locks for held that only its parent has. So transactions of
other threads are waited for, new ones wait, and idle connections are closed. Knows no table.
"""

from __future__ import annotations

import os
from threading import Event, Lock, get_ident
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Idle(Protocol):
        """The connections of one database."""

        def close_idle(self) -> None: ...


#: How long a fork waits for transactions and for other forks, how long these wait for it, and how often it looks (seconds).
PATIENCE = 5.0
POLL = 0.002


class ForkGate:
    """Keeps forks and transactions apart: a thread is inside from ``enter()`` to ``leave()``; no other may enter during a fork."""

    def __init__(self) -> None:
        #: databases whose idle connections are closed before a fork
        self.databases: WeakSet[Idle] = WeakSet()
        self._reset()

    def _reset(self) -> None:
        #: identities of the threads inside; changes of a list are atomic, and take less time than a lock
        self._inside: list[int] = []
        #: the thread that forks
        self._forking: int | None = None
        self._forked = Event()
        self._one_at_a_time = Lock()
        self._holds = False

    def enter(self) -> None:
        """Wait for forks under way, and keep the next ones waiting."""
        me = get_ident()
        self._inside.append(me)
        # Asked after this thread is on the list: either the forking thread sees it there, or this one sees the fork here.
        while self._forking not in (None, me) and self._inside.count(me) == 1:
            self._inside.remove(me)
            if not self._forked.wait(PATIENCE):
                self._inside.append(me)
                return
            self._inside.append(me)

    def leave(self) -> None:
        """Let waiting forks go on."""
        self._inside.remove(get_ident())

    def close(self) -> None:
        """Keep the other threads out; called right before a fork, it waits a bounded time."""
        self._holds = self._one_at_a_time.acquire(timeout=PATIENCE)
        me = get_ident()
        self._forked.clear()
        self._forking = me
        pause = Event()
        for _ in range(int(PATIENCE / POLL)):
            if self._inside.count(me) == len(self._inside):
                break
            pause.wait(POLL)
        for database in list(self.databases):
            database.close_idle()

    def open(self) -> None:
        """Let the other threads in again; called in the parent right after a fork."""
        self._forking = None
        self._forked.set()
        if self._holds:
            self._holds = False
            self._one_at_a_time.release()

    def forget(self) -> None:
        """Open, and forget the threads inside; called in the child, where those threads do not exist."""
        inside = self._inside.count(get_ident())
        self._reset()
        self._inside += [get_ident()] * inside


def _guarded(work: Callable[[], object]) -> Callable[[], None]:
    """Return a function that logs errors: Python prints errors of such a handler, and forks all the same."""

    def call() -> None:
        try:
            work()
        except Exception:
            from ....logs import GuardedLogger  # import time

            GuardedLogger("rota.jobstores").exception("Error at a fork")

    return call


GATE = ForkGate()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guarded(GATE.close), after_in_parent=_guarded(GATE.open), after_in_child=_guarded(GATE.forget)
    )
