"""The nodes of a simulation: schedulers with clocks of their own, and executors whose runs end when the simulation says so.

They know the world that they live in, and no store by name.
"""

from __future__ import annotations

from ...clock import SECOND
from ...core.run import is_expired, time_of
from ...core.states import CANCELLED, MISSED, end, succeed
from ...executors.base import NativeExecutor, chain
from ...executors.steps import NOT_STARTED, may_start, record_failure
from ...logs import GuardedLogger
from ...outcomes import Snooze
from ...schedulers.base import STATE_STOPPED
from ..clock import VirtualClock
from ..manual import ManualScheduler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random
    from typing import Any

    from ...core.run import Run
    from ...executors.steps import Done
    from ...jobstores.base import BaseJobStore
    from .audit import Audit

LOGGER = GuardedLogger("rota.testing.simulation")


def work() -> None:
    """Be the job of a simulation; it is never called, its runs end as the simulation says."""


class Crash(BaseException):
    """A process is killed in the middle of what it does: raised through its code, which can do nothing more to the store."""


class NodeClock(VirtualClock):
    """A node's view of the world's time: it is wrong by ``skew`` (microseconds), which changes when it is set."""

    __slots__ = ("_world", "skew")

    def __init__(self, world: VirtualClock, skew: int) -> None:
        super().__init__()
        self._world = world
        self.skew = skew

    def now(self) -> int:
        return self._world.now() + self.skew

    def monotonic(self) -> int:
        return self._world.monotonic()

    def _move(self, length: int) -> None:
        self._world._move(length)


class HeldExecutor(NativeExecutor):
    """Takes runs and keeps them until the simulation starts and ends them; the runs of a group one after another.

    :param room: how many runs it takes at once
    :param executing: all runs of the world that have been started and have not ended
    :param latest: returns what the fastest of the clocks shows by which leases last
    """

    skips_cancelled = True
    _clock: NodeClock
    #: from which attempt on its runs succeed; None: each may fail
    succeeds_from: int | None = None

    def __init__(self, room: int, audit: Audit, executing: list[Run], latest: Callable[[], int]) -> None:
        self._room = room
        self._latest = latest
        self._audit = audit
        #: all runs of the world that have been started and have not ended
        self._executing = executing
        self._dead = False
        #: what is left of each group, its head first
        self.groups: list[tuple[list[Run], Done]] = []

    @property
    def under_way(self) -> int:
        """How many runs it holds; after its process has died, more than anybody waits for."""
        if self._dead:
            return 1_000_000
        return sum(len(runs) for runs, _ in self.groups)

    def capacity(self) -> int:
        """Return how many more runs it takes."""
        return max(0, self._room - self.under_way)

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Keep runs."""
        self.groups.extend((list(chain(head)), done) for head in runs)

    def step(self, rng: Random) -> None:
        """Start a run, or end one that has been started."""
        group = rng.choice(self.groups)
        run = group[0][0]
        now = time_of(run, self._clock)
        if run.started_at is not None:
            is_last = self.succeeds_from is not None and run.attempt >= self.succeeds_from
            self._finish(run, 1.0 if is_last else rng.random(), rng, now)
            self._drop(group)
        elif run.cancelled:
            end(run, CANCELLED, NOT_STARTED, now)
            self._drop(group)
        elif not may_start(run, self._clock):
            self._audit.count("withheld")
            self._drop(group)
        elif is_expired(run, now):
            end(run, MISSED, "expired", now)
            self._drop(group)
        else:
            self._audit.start(run, self._executing, self._latest())
            run.started_at = now
            if hasattr(run, "watch"):
                run.watch.begin(run)
            self._executing.append(run)

    def _finish(self, run: Run, drawn: float, rng: Random, now: int) -> None:
        """End a run, or what it was called for comes to nothing: it fails, or wants to be called later."""
        is_retried = run.job is not None and run.job.policy.retry is not None
        if drawn >= (0.5 if is_retried else 0.25):
            succeed(run, None, now)
            return
        exc = Snooze(rng.choice((1, 4, 12))) if drawn < 0.05 else RuntimeError("as the simulation wants it")
        record_failure(run, exc, now, LOGGER)

    def terminate_run(self, run: Run) -> None:
        """Take note that the time of a run is over, which goes on as if it was in a thread."""
        self._audit.stopped.time_is_over(run)

    def cancel(self) -> None:
        """End everything as cancelled."""
        while self.groups:
            run = self.groups[0][0][0]
            end(run, CANCELLED, "cancelled by the simulation", time_of(run, self._clock))
            self._drop(self.groups[0])

    def forget(self) -> None:
        """Die: nothing that was under way ends."""
        for runs, _ in self.groups:
            for run in runs:
                self._end(run)
        self.groups.clear()
        self._dead = True

    def _drop(self, group: tuple[list[Run], Done]) -> None:
        runs, done = group
        run = runs.pop(0)
        if not runs:
            self.groups.remove(group)
        self._end(run)
        done(run)

    def _end(self, run: Run) -> None:
        self._executing[:] = [other for other in self._executing if other is not run]


class Node:
    """One process of the simulated world.

    :param name: its name in the trace
    :param store: its store object
    :param skew: how far its clock is ahead of the world's (microseconds)
    :param renews_aside: whether something renews its lease besides its passes, as the thread of real schedulers does
    """

    def __init__(
        self,
        name: str,
        store: BaseJobStore,
        world: VirtualClock,
        skew: int,
        executor: HeldExecutor,
        lease: float,
        renews_aside: bool,
    ) -> None:
        self.name = name
        self.store = store
        self.executor = executor
        self.alive = True
        #: it does nothing before so much time has passed in the world (microseconds)
        self.suspended_until = 0
        #: it makes no passes before that; its workers work, and its lease is renewed
        self.blocked_until = 0
        self.renews_aside = renews_aside
        #: when a user began to do something through it, by the clock that counts, or the earliest that this has shown since
        self.began = 0
        self.clock = NodeClock(world, skew)
        self.scheduler = ManualScheduler(
            clock=self.clock,
            jobstores={"default": store},
            executors={"default": executor},
            lease=lease,
            jobstore_retry_interval=2,
            logger="rota.testing.simulation",
        )

    @property
    def now(self) -> int:
        """The instant by the clock that counts for the jobs of its store."""
        return self.store.now()

    def start(self) -> None:
        """Start its scheduler."""
        self.scheduler.start()
        lease = self._state.lease
        if lease is not None:
            # It takes over from its first moment on: nodes begin all the time here, and would meet few dead ones else.
            lease.is_new = False
        if self.renews_aside:
            lease.kept = True

    @property
    def _state(self) -> Any:
        assert self.scheduler._engine is not None
        return self.scheduler._engine.stores["default"]

    def renew(self) -> None:
        """Renew its lease if it is time, as the thread of real schedulers does: unless no pass has come back for long."""
        engine = self.scheduler._engine
        if not self.renews_aside or engine is None or not engine.works():
            return
        lease = self._state.lease
        begun = lease.renewed_at
        if begun is not None and self.scheduler.clock.monotonic() - begun >= lease.every:
            try:
                engine.renew(self._state)
            except ConnectionError:
                pass  # it is tried again

    def crash(self) -> None:
        """Die as by SIGKILL."""
        self.alive = False
        self.executor.forget()
        self.scheduler.state = STATE_STOPPED
        self.store.detach()

    def __repr__(self) -> str:
        return f"{self.name}{self.clock.skew / SECOND:+.1f}s"


def instrument(
    store: BaseJobStore, names: Sequence[str], call: Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]
) -> None:
    """Let ``call(name, original, arguments)`` stand between a scheduler and some methods of its store object."""
    for method in names:
        original = getattr(type(store), method).__get__(store)

        def through(*args: Any, _name: str = method, _original: Callable[..., Any] = original) -> Any:
            return call(_name, _original, args)

        setattr(store, method, through)
