"""Middleware of every kind, kind and hostile, for tests of executors and schedulers.

Functions of a module, so that worker processes find them. A hostile one harms only jobs whose first argument asks for it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from functools import partial
from random import choice, random
from typing import Annotated

from ...inject import Inject
from . import hostile_jobs
from .executor_jobs import setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    from ...core.run import Run


class Seen(Exception):
    """What :func:`telling` raises about the error that it has seen."""


def _within(name: str) -> str:
    before = setting.get()
    return name if before == "unset" else f"{before} > {name}"


@contextmanager
def outer(run: Run) -> Iterator[None]:
    """Note that the call is inside, with the name of the job."""
    token = setting.set(_within(f"outer of {run.job_id}"))
    try:
        yield
    finally:
        setting.reset(token)


@contextmanager
def inner(run: Run) -> Iterator[None]:
    """Note that the call is inside this, too."""
    token = setting.set(_within("inner"))
    try:
        yield
    finally:
        setting.reset(token)


class Both:
    """A context manager for plain functions and for coroutines."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __enter__(self) -> None:
        setting.set(_within("plain"))

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing."""

    async def __aenter__(self) -> None:
        setting.set(_within("awaited"))

    async def __aexit__(self, *exc_info: object) -> None:
        """Do nothing."""


@asynccontextmanager
async def only_async(run: Run) -> AsyncIterator[None]:
    """Only what coroutines can enter."""
    yield


@contextmanager
def telling(run: Run) -> Iterator[None]:
    """Raise what was seen of the error of the job."""
    try:
        yield
    except ValueError as exc:
        raise Seen(f"saw {exc}") from exc


@contextmanager
def refusing(run: Run) -> Iterator[None]:
    """Let no call begin."""
    if not run.ended:
        raise PermissionError("not today")
    yield


def suppressing(run: Run) -> Any:
    """Suppress every error."""
    return _swallowing()


def ask(number: int, bot: Annotated[str, Inject], other: Annotated[str, Inject] = "default") -> str:
    """Return what the parameters were filled with."""
    return f"{number} {bot} {other}"


async def ask_async(number: int, bot: Annotated[str, Inject("bot")]) -> str:
    """Return what a parameter was filled with, in a coroutine."""
    return f"{number} {bot} default"


def make_bot() -> str:
    """Make a resource."""
    return "bot"


def look() -> str:
    """Return in which middleware this is called."""
    return setting.get()


async def look_async() -> str:
    """Return in which middleware this is called, in a coroutine."""
    return setting.get()


def look_later() -> Any:
    """Return a coroutine that tells in which middleware it is carried out."""
    return look_async()


class _Manager:
    """A context manager made of two functions."""

    def __init__(self, enter: Callable[[], Any], leave: Callable[..., Any]) -> None:
        self._enter = enter
        self._leave = leave

    def __enter__(self) -> Any:
        return self._enter()

    def __exit__(self, *exc_info: Any) -> Any:
        return self._leave(*exc_info)


def _nothing(*args: Any) -> None:
    """Do nothing."""


def _raising(kind: str) -> Callable[..., Any]:
    def raise_it(*args: Any) -> Any:
        raise hostile_jobs.ERRORS[kind]()

    return raise_it


@contextmanager
def _twice() -> Iterator[None]:
    yield
    yield


@contextmanager
def _never() -> Iterator[None]:
    if not hostile_jobs.ERRORS:  # a generator that never comes to its yield
        yield


def _swallowing() -> Any:
    return _Manager(_nothing, lambda *exc_info: True)


#: What it raises is an error; an outcome, broken or not, is the run's.
_ERRORS = tuple(kind for kind in hostile_jobs.ERRORS if kind not in hostile_jobs.BROKEN_OUTCOMES)
#: What hostile middleware returns, by what is wrong with it; each with a part of the words in the record of its run.
WRONGS: dict[str, tuple[Callable[[], Any], str]] = {
    "returns nothing": (_nothing, "must return a context manager, got None"),
    "returns a class": (lambda: _Manager, "must return a context manager"),
    "returns a lie": (hostile_jobs.Lie, "must return a context manager"),
    "returns a lying class": (hostile_jobs.LyingClass, "must return a context manager"),
    "yields twice": (_twice, "on the way out, after the job had returned: RuntimeError"),
    "never yields": (_never, "on the way in, so the job was not called: RuntimeError"),
    **{f"raises {kind}": (_raising(kind), "on the way in, so the job was not called: ") for kind in _ERRORS},
    **{
        f"enters with {kind}": (
            partial(_Manager, _raising(kind), _nothing),
            "on the way in, so the job was not called: ",
        )
        for kind in _ERRORS
    },
    **{
        f"leaves with {kind}": (
            partial(_Manager, _nothing, _raising(kind)),
            "on the way out, after the job had returned: ",
        )
        for kind in _ERRORS
    },
}
#: Middleware that does something wrong about the error of a job, with a part of the words in the record.
WRONG_ABOUT_ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "suppresses": (_swallowing, "suppressed ValueError: no"),
    "answers with a lie": (
        lambda: _Manager(_nothing, lambda *exc_info: hostile_jobs.Lie()),
        "on the way out: SystemExit: bool. Before that there was ValueError: no",
    ),
    "raises instead": (
        lambda: _Manager(_nothing, _raising("unprintable")),
        "on the way out: Unprintable: <Unprintable whose __str__() raises ValueError>. Before that",
    ),
}


def hostile(run: Run) -> Any:
    """Do what the first argument of the job asks for; nothing if it asks for nothing."""
    job: Any = run.job
    asked = job.args[0] if job.args and type(job.args[0]) is str else ""
    make, _ = WRONGS.get(asked) or WRONG_ABOUT_ERRORS.get(asked) or (lambda: _Manager(_nothing, _nothing), "")
    return make()


def capricious(run: Run) -> Any:
    """Do anything that hostile middleware does, now and then."""
    if run.job_id == "neighbour" or random() < 0.8:
        return _Manager(_nothing, _nothing)
    make, _ = choice([*WRONGS.values(), *WRONG_ABOUT_ERRORS.values()])
    return make()


def tell_badly(run: Run) -> None:
    """Be told of a failure, and do anything that a job does, now and then."""
    if random() < 0.5:
        hostile_jobs.fail(choice(list(hostile_jobs.ERRORS)))


async def tell_badly_async(run: Run) -> None:
    """Be told of a failure, in a coroutine."""
    tell_badly(run)


def asked(kind: str) -> str:
    """Return what the middleware was asked for."""
    return kind


async def asked_async(kind: str) -> str:
    """Return what the middleware was asked for, in a coroutine."""
    return kind


def fail_as_asked(kind: str) -> None:
    """Raise."""
    raise ValueError("no")


async def fail_as_asked_async(kind: str) -> None:
    """Raise, in a coroutine."""
    raise ValueError("no")
