"""Jobs that do what no job should: results, errors, arguments and names of every odd kind, coroutines that do not stop.

The callables are functions of a module, so that worker processes find them; they must not hurt the run of any other job.
"""

from __future__ import annotations

import enum
import os
import signal

from ...outcomes import Skip, Snooze

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class Lie:
    """An object none of whose special methods can be relied upon."""

    def __str__(self) -> str:
        """Raise what ends a thread."""
        raise SystemExit("str")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        """Raise."""
        raise SystemExit("eq")

    def __hash__(self) -> int:
        """Raise."""
        raise SystemExit("hash")

    def __bool__(self) -> bool:
        """Raise."""
        raise SystemExit("bool")

    def __len__(self) -> int:
        """Return what is no length."""
        return -1  # noqa: PLE0303  # the point

    def __getattr__(self, name: str) -> Any:
        """Raise, whatever is asked for."""
        raise SystemExit(name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Raise when it is pickled."""
        raise SystemExit("reduce")


class Bomb:
    """An object that can be pickled, and raises SystemExit where it is unpickled."""

    def __reduce__(self) -> Any:
        """Return what ends the thread that unpickles it."""
        return (_explode, ())


def _explode() -> None:
    raise SystemExit("unpickled")


class Disguised:
    """An object that pretends to be of another class."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise KeyboardInterrupt("class")


class coroutine:  # noqa: N801  # the name is the point
    """An object that is called a coroutine and is none."""

    def send(self, value: Any) -> None:
        """Raise."""
        raise SystemExit("send")

    def close(self) -> None:
        """Raise."""
        raise SystemExit("close")

    def __await__(self) -> Any:
        """Wait for what no loop knows."""
        yield object()


class _LyingMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__name__", "__qualname__", "__module__", "send"):
            raise SystemExit(name)
        return super().__getattribute__(name)


class LyingClass(metaclass=_LyingMeta):
    """An object whose class does not tell its name."""


class Text(str):
    """A str that does not tell what it is."""

    def __str__(self) -> str:
        """Raise."""
        raise ValueError("str")

    __repr__ = __str__

    def __len__(self) -> int:
        """Lie."""
        return 10**9


class Number(enum.IntEnum):
    """What plain encoders take for an int."""

    ONE = 1


class Unprintable(Exception):
    """An exception whose texts raise."""

    def __str__(self) -> str:
        """Raise."""
        raise ValueError("no text")

    __repr__ = __str__


class Untextual(Exception):
    """An exception whose texts are none."""

    def __str__(self) -> Any:
        """Return no text."""
        return 5  # noqa: PLE0307  # the point

    __repr__ = __str__


class Deceitful(BaseException):
    """An exception whose attributes raise, and that cannot be pickled."""

    def __getattribute__(self, name: str) -> Any:
        """Raise, whatever is asked for."""
        raise SystemExit(name)

    def __str__(self) -> str:
        """Raise what ends a thread."""
        raise KeyboardInterrupt("str")

    def __reduce__(self) -> Any:
        """Raise when it is pickled."""
        raise SystemExit("reduce")


class CancelledError(BaseException):
    """Called like asyncio's, while nobody has cancelled anything."""


class GreenletExit(BaseException):
    """Called like gevent's, while nobody has killed anything."""


class NotReady(Snooze):
    """An outcome of the user's own, whose constructor takes something else: it cannot be unpickled."""

    def __init__(self) -> None:
        """Make one of half a minute."""
        super().__init__(30)


class Uninitialized(Snooze):
    """An outcome whose constructor does not call the one that it is derived from."""

    def __init__(self) -> None:
        """Leave everything out."""


class Unreasonable(Skip):
    """An outcome whose reason raises."""

    @property
    def reason(self) -> str:
        """Raise."""
        raise ZeroDivisionError

    @reason.setter
    def reason(self, reason: str) -> None:
        """Do nothing."""


class Masked(Exception):
    """An exception that does not tell its class."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise SystemExit("class")


def _with_wait(wait: Any) -> Snooze:
    outcome = Snooze(60)
    outcome.wait = wait
    return outcome


def _local_skip() -> Skip:
    class Local(Skip):
        """A class that no other process can find."""

    return Local("nothing to do")


def _endless() -> Iterator[int]:
    while True:
        yield 1


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def _circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


#: What makes the results of hostile jobs, by name.
RESULTS: dict[str, Callable[[], Any]] = {
    "lie": Lie,
    "bomb": Bomb,
    "disguised": Disguised,
    "coroutine": coroutine,
    "lying class": LyingClass,
    "text": lambda: Text("x"),
    "number": lambda: Number.ONE,
    "surrogate": lambda: "\ud800\x00",
    "huge int": lambda: 10**5000,
    "nan": lambda: float("nan"),
    "huge text": lambda: "x" * 300_000,
    "bytes": lambda: b"\x00" * 300_000,
    "endless": _endless,
    "deep": _deep,
    "circle": _circle,
    "class": lambda: Lie,
    "exception": Deceitful,
    "not implemented": lambda: NotImplemented,
    "ellipsis": lambda: ...,
    "dictionary": lambda: {"\ud800": [Text("y"), {1, 2}]},
}

#: What makes outcomes that do not say how their runs go on, by name.
BROKEN_OUTCOMES: dict[str, Callable[[], BaseException]] = {
    "snooze of a text": lambda: _with_wait("1"),
    "snooze of the past": lambda: _with_wait(-5),
    "snooze without end": lambda: _with_wait(10**30),
    "snooze of a lie": lambda: _with_wait(Lie()),
    "uninitialized snooze": Uninitialized,
    "unreasonable skip": Unreasonable,
}

#: What makes outcomes of the user's own, by name.
OWN_OUTCOMES: dict[str, Callable[[], BaseException]] = {"not ready": NotReady, "local skip": _local_skip}

#: What makes the errors of hostile jobs, by name.
ERRORS: dict[str, Callable[[], BaseException]] = {
    "unprintable": lambda: Unprintable("x"),
    "untextual": lambda: Untextual("x"),
    "deceitful": Deceitful,
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "generator exit": GeneratorExit,
    "stop iteration": lambda: StopIteration(1),
    "stop async iteration": StopAsyncIteration,
    "cancelled": CancelledError,
    "greenlet exit": GreenletExit,
    "group": lambda: BaseExceptionGroup("g", [Unprintable("x"), SystemExit(1), Untextual("y")]),
    "memory": MemoryError,
    "recursion": RecursionError,
    "surrogate": lambda: ValueError("\ud800\x00"),
    "huge": lambda: ValueError("x" * 300_000),
    "odd arguments": lambda: ValueError(Lie(), _deep),
    "assertion": AssertionError,
    "os error": lambda: OSError(5, "\udc80"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
    "masked": Masked,
    **BROKEN_OUTCOMES,
    "syntax": lambda: SyntaxError("x", ("f", 1, 1, "\ud800")),
}


def give(kind: str) -> Any:
    """Return an odd result."""
    return RESULTS[kind]()


def fail(kind: str) -> None:
    """Raise an odd error."""
    raise ERRORS[kind]()


def fail_deep(kind: str, depth: int = 200) -> None:
    """Raise an odd error with a long traceback, in the course of another one."""
    if depth:
        return fail_deep(kind, depth - 1)
    try:
        fail(kind)
    except BaseException as exc:
        raise ERRORS["unprintable"]() from exc
    return None


async def give_async(kind: str) -> Any:
    """Return an odd result from a coroutine."""
    return RESULTS[kind]()


def raise_own_outcome(kind: str) -> None:
    """Raise an outcome of the user's own."""
    raise OWN_OUTCOMES[kind]()


async def raise_own_outcome_async(kind: str) -> None:
    """Raise an outcome of the user's own in a coroutine."""
    raise OWN_OUTCOMES[kind]()


async def fail_async(kind: str) -> None:
    """Raise an odd error in a coroutine."""
    raise ERRORS[kind]()


async def inner_cancellation() -> None:
    """Wait for something that was cancelled, while nobody asked this run to stop."""
    from asyncio import Future, get_running_loop  # import time

    future: Future[None] = get_running_loop().create_future()
    get_running_loop().call_soon(future.cancel)
    await future


def give_hostile_coroutine() -> Any:
    """Return a coroutine from a plain function; it raises."""
    return fail_async("deceitful")


def use_up(value: Any) -> Any:
    """Return an odd argument."""
    return value


def kill_worker(parent: int) -> None:
    """Kill the process that carries this out, unless it is the program itself."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def close_everything(parent: int) -> None:
    """Close all files of the process that carries this out, its pipe to the pool too, unless it is the program itself."""
    if os.getpid() != parent:
        os.closerange(3, 200)
