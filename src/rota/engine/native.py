"""Threads and locks of the operating system, also where gevent has put greenlets in their place.

For what has to go on while the program's own threads of control stand still. It knows no scheduler.
"""

from __future__ import annotations

import _thread
import sys
from time import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How often somebody looks who waits for a lock and does not stop the thread (seconds).
LOOK = 0.005


def _original(name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    return getattr(_thread, name) if monkey is None else monkey.get_original("_thread", name)


class Lock:
    """A lock that stops the thread that waits for it, and nothing else gives way."""

    __slots__ = ("acquire", "release")

    def __init__(self) -> None:
        lock = _original("allocate_lock")()
        self.acquire: Callable[..., bool] = lock.acquire
        self.release: Callable[[], None] = lock.release


def start_thread(name: str, main: Callable[[], object]) -> Callable[[float], object]:
    """Call something in a thread of its own, which does not keep the program from ending.

    :param name: what debuggers show
    :return: a function that waits for the end of the thread, at most so many seconds; greenlets go on meanwhile
    :raises RuntimeError: if there can be no more threads
    """
    if "gevent.monkey" not in sys.modules:
        from threading import Thread  # import time

        thread = Thread(target=main, name=name, daemon=True)
        thread.start()
        return thread.join
    running = Lock()
    running.acquire()

    def run() -> None:
        try:
            main()
        finally:
            running.release()

    _original("start_new_thread")(run, ())
    return lambda seconds: patiently(running, seconds)


def patiently(lock: Lock, seconds: float) -> bool:
    """Acquire a lock within so many seconds; return whether it was. Greenlets go on meanwhile, such as the one that holds it."""
    for _ in range(max(1, int(seconds / LOOK))):
        if lock.acquire(False):
            return True
        sleep(LOOK)
    return False
