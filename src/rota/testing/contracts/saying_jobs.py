"""Jobs that say how far they have got, and that log; for tests of executors.

The callables are functions of a module, so that worker processes find them; the tests are in ``saying``.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextvars import copy_context

from ...errors import HeartbeatError
from ...executors.base import current_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

log = logging.getLogger("tests.saying")
log.setLevel(logging.INFO)


class Silent(logging.Logger):
    """A logger without handlers: those of pytest raise what a record raises."""

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802  # its name
        """Do nothing."""


silent = Silent("silent", logging.INFO)
#: What is no progress, and what is no note.
NO_PROGRESS: tuple[Any, ...] = (7, -0.1, float("nan"), float("inf"), "0.5", True, b"1", [], 1e400, 10**400)
NO_NOTE: tuple[Any, ...] = (3, b"page", ["page"], 0.5)


class Number:
    """A number of the program's own."""

    def __float__(self) -> float:
        return 0.25


class Wrong:
    """What cannot be shown, and logs and raises when it is tried."""

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __str__(self) -> str:
        silent.info("said by __str__: %s", "inner")
        raise RuntimeError("no text")

    __repr__ = __str__


class Talkative:
    """What logs itself whenever it is shown, once deep."""

    depth = 0

    def __str__(self) -> str:
        Talkative.depth += 1
        if Talkative.depth < 5:
            silent.info("again: %s", self)
        return "talkative"


def advance(*notes: str) -> None:
    """Say some notes, and how many of them were said."""
    for number, note in enumerate(notes):
        current_run().heartbeat(progress=(number + 1) / len(notes), note=note)


async def advance_async(*notes: str) -> None:
    """Do the same in a coroutine."""
    advance(*notes)


def say_twice() -> None:
    """Say a progress, and then a note alone."""
    current_run().heartbeat(progress=1)
    current_run().heartbeat(note="nearly done")
    current_run().heartbeat()


def say_from_threads() -> None:
    """Say something from a thread that has the run, and one that has the context."""
    run = current_run()
    context = copy_context()
    threads = [
        threading.Thread(target=run.heartbeat, args=(0.5,)),
        threading.Thread(target=context.run, args=(lambda: current_run().heartbeat(note="from a thread"),)),
    ]
    for thread in threads:
        thread.start()
        thread.join()


def say_wrong() -> list[str]:
    """Say what is wrong, and return what is said about it."""
    answers = []
    for progress in (*NO_PROGRESS, Wrong()):
        try:
            current_run().heartbeat(progress)
        except HeartbeatError as exc:
            answers.append(str(exc))
    for note in (*NO_NOTE, Wrong()):
        try:
            current_run().heartbeat(note=note)
        except HeartbeatError as exc:
            answers.append(str(exc))
    current_run().heartbeat(Number(), "right")  # type: ignore[arg-type]
    return answers


def say_much(count: int) -> None:
    """Say so much, without a pause."""
    beat = current_run().heartbeat
    for number in range(count):
        beat(number / count, "under way")
    beat(1.0, "done")


def say_long() -> None:
    """Say a note of a megabyte."""
    current_run().heartbeat(note="ü" * 1_000_000)


def say_strange() -> None:
    """Say what no file takes."""
    current_run().heartbeat(note="a\0b\ud800c")
    log.info("a\0b\ud800c")


def log_some(*messages: str) -> None:
    """Log some messages."""
    for message in messages:
        log.info("got %s", message)
        log.debug("not so %s", message)


async def log_async(*messages: str) -> None:
    """Do the same in a coroutine."""
    log_some(*messages)


def log_and_fail() -> None:
    """Log an error that was caught, and raise another one."""
    try:
        raise KeyError("inner")
    except KeyError:
        log.exception("caught")
    raise ValueError("outer")


def log_wrong() -> None:
    """Log what cannot be shown, and arguments that do not fit."""
    silent.info("wrong: %s", Wrong())
    silent.info("%d of %d", "one")  # it is wrong
    silent.info("talks: %s", Talkative())
    silent.info("after that")


def log_much(size: int, times: int) -> None:
    """Log so many characters so often, and a last word."""
    text = "x" * size
    for _ in range(times):
        log.info(text)
    log.info("the last word")


def log_from_threads() -> None:
    """Log from a thread that has the context, and from one that has not."""
    context = copy_context()
    for target in (lambda: log.info("without"), lambda: context.run(log.info, "with")):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()


def print_some(*texts: str) -> None:
    """Print some texts."""
    for text in texts:
        print(text)  # noqa: T201  # it is what is tested
    sys.stdout.writelines(["of ", "lines\n"])


def replace_output() -> None:
    """Leave another standard output behind."""
    import io  # rare

    print("kept")  # noqa: T201  # it is what is tested
    sys.stdout = io.StringIO()
    print("not kept")  # noqa: T201


def is_output_left() -> str:
    """Return what the standard output is, and put the first one back."""
    kind = type(sys.stdout).__name__
    sys.stdout = sys.__stdout__
    return kind
