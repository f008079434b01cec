"""A scheduler whose time a test moves by hand.

A host without thread or loop: nothing happens unless :meth:`ManualScheduler.advance` and its like are called.
"""

from __future__ import annotations

from datetime import UTC

from ..clock import NO_TIME, SECOND, SYSTEM_CLOCK, instant, moment
from ..core.plan import due_time_of
from ..core.policy import Policy
from ..core.states import ACTIVE, NEW
from ..engine.timeouts import look_while_waiting
from ..errors import ConfigurationError
from ..schedulers.base import STATE_STOPPED, BaseScheduler
from ..texts import repr_of
from .clock import VirtualClock, span
from .virtual_loop import VirtualExecutor, VirtualLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta
    from typing import Any

    from ..engine.completions import Completions
    from ..engine.engine import Engine
    from ..executors.base import BaseExecutor
    from ..job.handle import Job
    from ..logs import GuardedLogger
    from ..schedulers.event_queue import EventQueue

#: The lease of a node whose clock leaps from one due time to the next: longer than any test (seconds).
LONG_LEASE = 100 * 365 * 86400.0
#: How often a scheduler may be woken at one instant before that counts as an endless loop.
BUSY = 100_000
#: How long real threads and processes may take, in real seconds, before a test fails.
PATIENCE = 30.0


class ManualScheduler(BaseScheduler):
    """A scheduler for tests, in virtual time: deterministic, without threads, and a year in about a second.

    ::

        scheduler = ManualScheduler()
        scheduler.start()
        scheduler.add_job(send_report, "cron", hour=9)
        scheduler.advance(days=7)  # calls send_report() seven times, each at 09:00 of its day

    All else is as in the other schedulers: the same engine, stores, events and ledger. Jobs run inline, in the thread that moves
    the time. Coroutines run on a loop in virtual time, so that ``await asyncio.sleep(60)`` ends when the clock has moved by a
    minute and other jobs go on meanwhile. The runs of other executors (``executors={"default": {"type": "threadpool"}}``) are
    waited for before time moves on.

    Differences of defaults: the time zone is UTC, and the lease is so long that it is never over (pass ``lease=15`` to test that).
    Note that a trigger *object* that starts "now" (``IntervalTrigger(hours=1)``) reads the real clock when it is made; use the
    trigger's name in ``add_job()``, or give it ``start_date``.

    Extra option:

    :param clock: the :class:`~rota.testing.clock.VirtualClock`; by default a new one
    """

    clock: VirtualClock
    _woken = False
    #: False: a shutdown does not wait until the time of runs is over
    _waits = True
    #: when the engine wants its next pass (instant)
    _next_pass: int | None = None
    #: what a job or listener has asked for that waits for its own end
    _later: list[Callable[[], object]]

    def start(self, paused: bool = False) -> None:
        """Start; nothing runs before time is moved or :meth:`run_pending` is called.

        :param paused: True: process no jobs before :meth:`resume` is called
        """
        self.loop = VirtualLoop(self.clock)
        self._waits = True
        super().start(paused)

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> None:
        """Stop; see :meth:`~rota.schedulers.base.BaseScheduler.shutdown`.

        With ``wait``, virtual time moves on until the coroutines under way have ended (by ``timeout`` at most). Called from
        inside a job, the rest happens as soon as that job has ended.
        """
        self._waits = wait
        super().shutdown(wait, timeout)

    def wakeup(self) -> None:
        """Make the next :meth:`run_pending` look for due jobs again."""
        self._woken = True

    # -- moving time ---------------------------------------------------------------------------------------------

    def advance(
        self,
        duration: float | timedelta = 0,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Let time pass, and run everything that becomes due, in order, each at its own time.

        The parts are added up. What is due at the very end of the time is run, too.

        :param duration: seconds, or a timedelta
        """
        self._run_until(self.clock.now() + span(duration, weeks, days, hours, minutes, seconds))

    def advance_to(self, time: datetime) -> None:
        """Let time pass until the clock shows ``time``, and run everything that becomes due.

        :raises ValueError: if that time is past
        """
        target = instant(time)
        if target < self.clock.now():
            raise ValueError(
                f"{time} is past (it is {self.clock.datetime()}); use clock.set() for a clock jump"
            )
        self._run_until(target)

    def run_pending(self) -> None:
        """Run what is due now, without time passing."""
        for _ in range(BUSY):
            self._woken = False
            wait = self.tick()
            worked = self._go_on()
            if not (self._woken or worked or wait == 0):
                return
        raise RuntimeError(
            f"The scheduler was still busy after {BUSY} passes at {self.clock.datetime()}; does a job plan itself "
            f"for the present time again and again?"
        )

    def tick(self) -> float | None:
        """Make one pass, as the loop of a real scheduler does.

        :return: seconds until the next pass is needed; None: only a wake-up makes one necessary
        """
        wait = self._process_jobs()
        self._deliver()
        self._next_pass = None if wait is None else self.clock.now() + max(round(wait * SECOND), 1)
        self._end()
        return wait

    @property
    def next_wakeup(self) -> datetime | None:
        """The next time at which something happens: a run becomes due or a sleeping coroutine goes on; None: nothing.

        What is due now is run first.
        """
        self.run_pending()
        following = self._next_instant()
        return None if following is None else moment(following, self.timezone)

    def preview(
        self,
        duration: float | timedelta = 0,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        limit: int = 1000,
    ) -> list[tuple[datetime, Job]]:
        """Return what will run in the given time, and when, without running anything or moving time.

        Overlap, misfires and changes that jobs make themselves are left out.

        :param duration: seconds, or a timedelta; the parts are added up
        :param limit: at most so many runs
        :return: due times (in the scheduler's zone) with their jobs, earliest first
        """
        now = self.clock.now()
        last = now + span(duration, weeks, days, hours, minutes, seconds)
        runs = [(due, job) for job in self.get_jobs() for due in _due_times(job, now, last, limit)]
        runs.sort(key=lambda run: (run[0], run[1].id))
        return [(moment(due, self.timezone), job) for due, job in runs[:limit]]

    # -- inside --------------------------------------------------------------------------------------------------

    def _configure(self, config: dict[str, Any]) -> None:
        clock = config.setdefault("clock", None) or VirtualClock()
        if not isinstance(clock, VirtualClock):
            raise ConfigurationError(f"A ManualScheduler needs a VirtualClock, got {repr_of(clock)}")
        config["clock"] = clock
        config.setdefault("timezone", UTC)
        config.setdefault("lease", LONG_LEASE)
        self._later = []
        super()._configure(config)

    def _create_default_executor(self) -> BaseExecutor:
        return VirtualExecutor(self.loop)

    def _open(self) -> None:
        default = self._executors.get("default")
        if isinstance(default, VirtualExecutor):  # a restart
            default._loop = self.loop
        super()._open()
        engine = self._lifecycle.require_engine()
        engine.slice, engine.outlet.polls = None, False

    def _run_until(self, target: int) -> None:
        self.run_pending()
        while True:
            following = self._next_instant()
            if following is None or following > target:
                break
            self.clock.advance_to(max(following, self.clock.now()))
            self.run_pending()
        if target > self.clock.now():
            self.clock.advance_to(target)
            self.run_pending()

    def _next_instant(self) -> int | None:
        """Return the instant of the next thing that happens; what is due at once has been run."""
        if self._engine is None:
            return None
        times = [] if self._next_pass is None or self.state == STATE_STOPPED else [self._next_pass]
        timer = self.loop.next_timer()
        if timer is not None:
            times.append(self.clock.now() + timer - self.clock.monotonic())
        return min(times, default=None)

    def _go_on(self) -> bool:
        """Let coroutines go on as far as they can, and wait for real threads; return whether there was any work."""
        if self._engine is None:
            return False
        worked = self.loop.run_ready()
        self._settle(self._engine)
        self._deliver()
        self._end()
        return worked

    def _make_engine_logger(self) -> GuardedLogger:
        return self._log

    def _pump_soon(self, queue: EventQueue) -> None:
        """Leave it to the next step: events are delivered before time moves on."""

    def _deliver(self) -> None:
        for queue in self._listening.queues:
            queue.pump()

    def _wait_for_listener(self, queue: EventQueue) -> bool:
        queue.pump()
        return True

    def _settle(self, ends: Engine | Completions) -> None:
        """Wait for the runs that real threads and processes carry out; virtual time stands still for them."""
        until = SYSTEM_CLOCK.monotonic() + int(PATIENCE * SECOND)
        while ends.in_flight - ends.unrecorded - ends.waiting > self._virtual_runs():
            ends.wait_idle(0.001)
            if SYSTEM_CLOCK.monotonic() > until:
                raise TimeoutError(
                    f"{ends.in_flight} runs did not end within {PATIENCE} real seconds; a job that waits for "
                    f"virtual time must be a coroutine"
                )

    def _virtual_runs(self) -> int:
        """Return how many runs wait for virtual time, or for a test that holds them in an executor of its own.

        Such an executor tells their number by an attribute ``under_way``.
        """
        return sum(getattr(executor, "under_way", 0) for executor in list(self._executors.values()))

    def _wait_idle(
        self, ends: Engine | Completions, timeout: float | None, wanted: Callable[[], bool] | None = None
    ) -> bool:
        until = None if timeout is None else self.clock.monotonic() + int(timeout * SECOND)
        while True:
            self.loop.run_ready()
            self._settle(ends)
            if ends.in_flight == 0:
                return True
            timer = self.loop.next_timer()
            if Policy.some_time_out:
                left = look_while_waiting(ends.parts)
                if left is not None and self._waits:
                    at = self.clock.monotonic() + round(left * SECOND)
                    timer = at if timer is None else min(timer, at)
            if timer is None or (until is not None and timer > until):
                if until is not None:
                    self.clock.advance(max(until - self.clock.monotonic(), 0) / SECOND)
                return False
            self.clock.advance(max(timer - self.clock.monotonic(), 0) / SECOND)

    def _wait_for_event(self, event: Any, seconds: float) -> bool:
        """Let that time pass, as nobody else does."""
        self.run_pending()
        if not event.is_set():
            self.advance(seconds=seconds)
        return bool(event.is_set())

    def _do_aside(self, work: Callable[[], object]) -> None:
        """Do something as soon as the pass or job from which it was asked for has ended."""
        if self._lifecycle.is_inside():
            self._later.append(work)
        else:
            work()

    def _end(self) -> None:
        """Do what was asked for from inside: finish a shutdown, or the removal of a store."""
        while self._later:
            self._later.pop(0)()


def _due_times(job: Job, now: int, last: int, limit: int) -> Iterator[int]:
    """Return the due times of a job up to ``last``."""
    if job.state not in (NEW, ACTIVE):
        return
    nominal = job.trigger.first(now) if job.state == NEW else job.next_nominal
    if nominal == NO_TIME:
        return
    while nominal is not None and nominal <= last and limit > 0:
        due = due_time_of(job, nominal)
        if due <= last:
            yield due
            limit -= 1
        nominal = job.trigger.after(nominal, nominal)
