"""The engine: one pass over the job stores at a time, in turn; what they have in common, and how long the host may wait.

A host calls :meth:`Engine.tick`, which waits for no job. Threads of its own only renew leases and watch the passes.
"""

from __future__ import annotations

from threading import get_ident

from ..clock import HELD, LEASE, SECOND, SLICE
from ..core.policy import Policy
from ..core.run import heard
from ..errors import StoreReplacedError
from ..events import EVENT_CLOCK_JUMPED, ClockEvent
from ..interrupts import is_interrupt
from ..util import new_node_id
from .capacity import Capacity
from .clock_jumps import JUMP, ClockWatch
from .outlet import Outlet
from .pass_watch import PassLeftBehind, PassWatch
from .passes import StorePass
from .store_state import StoreState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..clock import Clock
    from ..core.run import Run
    from ..executors.base import BaseExecutor
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .beats import Beats
    from .completions import Completions

#: After so many leases without a pass a node is not renewed any more: it lives, and does no work.
SILENCE = 4


class Engine:
    """The mechanism behind every scheduler.

    :param clock: the clock
    :param logger: the scheduler's logger
    :param executors: the scheduler's executors by alias (a live mapping)
    :param dispatch: queues an event for the listeners; it waits for none of them
    :param wanted: returns the mask of events that somebody listens to
    :param wake: makes the host call :meth:`tick` soon; thread-safe
    :param retry_interval: the longest wait (seconds) between two tries with a store that fails
    :param lease: seconds after which other nodes take over the runs of this node if it does not renew its lease
    :param runs_jobs: False: this is no node; nothing is claimed, and no lease is taken
    :param host_works: returns whether the thread or loop of the host is there; thread-safe
    :param replace_pass: makes another thread of the host go on when a pass hangs; returns whether the host can do that
    """

    #: the longest wait that :meth:`tick` returns (seconds), None: any, as in virtual time
    slice: float | None = SLICE

    def __init__(
        self,
        clock: Clock,
        logger: GuardedLogger,
        executors: Mapping[str, BaseExecutor],
        dispatch: Callable[[Any], None],
        wanted: Callable[[], int],
        wake: Callable[[], None],
        retry_interval: float = 10.0,
        lease: float = LEASE,
        runs_jobs: bool = True,
        host_works: Callable[[], bool] | None = None,
        replace_pass: Callable[[], bool] | None = None,
    ) -> None:
        self.outlet = Outlet(clock, logger, executors, dispatch, wanted, wake, retry_interval, runs_jobs)
        self.clock = clock
        self.logger = logger
        self.stores: dict[str, StoreState] = {}
        #: stores that were removed and whose runs have not all ended; nothing is claimed from them any more
        self.leaving: tuple[StoreState, ...] = ()
        #: both of them
        self.states: tuple[StoreState, ...] = ()
        #: whether due jobs are claimed; False while the scheduler is paused or stopping
        self.claiming = False
        #: the id of this node in stores that need no lease
        self.node = new_node_id()
        self.last_tick: int | None = None
        self._lease = int(lease * SECOND)
        self._host_works = host_works
        #: when a pass, or a look of a shutdown that waits, was over last (microseconds in which the machine was awake)
        self._worked_at = self.outlet.awake()
        #: by when a pass that is under way is to be over, or one that the host waits for to have begun (microseconds in which the
        #: machine was awake); None: it waits for a wake-up
        self._expected_by: int | None = None
        self._watch = PassWatch(self.outlet, self._lease, replace_pass, self.has_host)
        self._watch.meanwhile = self.look_at_time
        self._capacity = Capacity(self.outlet, self._crowded)
        self.outlet.room_came_free = self._capacity.came_free
        self._passes: dict[StoreState, StorePass] = {}
        self._offload: Callable[[Callable[[], None]], None] | None = None
        self._soon: Callable[[Callable[[], None]], None] | None = None
        #: calls something in the only thread that may use the sockets of stores, and waits for its end; None: any thread may
        self.where_sockets_are: Callable[[Callable[[], None]], None] | None = None
        #: when the next pass was to come at the latest (monotonic microseconds), None if it was to wait for a wake-up
        self._expected_at: int | None = None
        self._clocks = ClockWatch()
        heard[self.node] = self

    # -- life cycle ----------------------------------------------------------------------------------------------

    def add_store(self, alias: str, store: BaseJobStore) -> None:
        """Take a started store into the passes."""
        store.log_by(self.logger)
        if store.does_io:
            from . import damage  # noqa: F401 - import time: where a store fails, there may be no file to open any more

        lease = None
        if store.durable and self.outlet.runs_jobs:
            from .lease import Lease  # import time: most schedulers have a memory store only

            lease = Lease(store, self.clock, self.logger, self._lease)
            heard[lease.node] = self
        state = StoreState(self.outlet, alias, store, lease)
        if lease is not None and not self.clock.virtual:  # in virtual time nothing happens by itself
            from .renewals import Renewals  # import time

            state.renewals = Renewals(
                lease, lambda: self._renew_aside(state), self.works, self.clock, self.logger
            )
        state.completions.offload = self._offload if store.does_io else self._soon
        self._passes[state] = StorePass(self.outlet, state, self._capacity, self._watch, self.node)
        self._keep({**self.stores, alias: state}, self.leaving)
        self.outlet.listen_to(store, state.asked.tell)

    def begin_removal(self, alias: str) -> StoreState | None:
        """Claim nothing more from a store; what runs still ends in it. Return its state, None if there is no such store."""
        state = self.stores.get(alias)
        if state is not None:
            stores = {name: kept for name, kept in self.stores.items() if name != alias}
            self._keep(stores, (*self.leaving, state))
        return state

    def end_removal(self, state: StoreState) -> bool:
        """Give back what this node holds in a removed store, and forget it; False if that was done already."""
        if state not in self.leaving:
            return False
        self._keep(self.stores, tuple(other for other in self.leaving if other is not state))
        self._passes.pop(state, None)
        self._leave(state)
        return True

    def _keep(self, stores: dict[str, StoreState], leaving: tuple[StoreState, ...]) -> None:
        self.stores, self.leaving = stores, leaving
        self.states = (*stores.values(), *leaving)

    def set_offload(
        self,
        offload: Callable[[Callable[[], None]], None] | None,
        soon: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Let ended runs be recorded by calls of the host's.

        :param offload: calls what waits for a store that does I/O (hosts that may not block)
        :param soon: calls what does not wait, once for all runs that end in one turn of a loop
        """
        self._offload, self._soon = offload, soon
        for state in self.states:
            state.completions.offload = offload if state.store.does_io else soon

    @property
    def does_io(self) -> bool:
        """Whether a pass may wait for a disk or a network."""
        return any(state.store.does_io for state in self.states)

    @property
    def in_flight(self) -> int:
        """How many runs are under way or not recorded yet."""
        return sum(state.completions.in_flight for state in self.states)

    def listener_of(self, run: Run) -> Beats | None:
        """Return who listens to what a run says; None: it is in no store of this engine."""
        alias = getattr(run.job, "_jobstore_alias", None)
        for state in self.states:
            if state.alias == alias and run.owner == (self.node if state.lease is None else state.lease.node):
                return state.completions.listen()
        return None

    def owns(self, node: str | None) -> bool:
        """Whether a node id is one of this engine's."""
        return node == self.node or any(
            state.lease is not None and node == state.lease.node for state in self.states
        )

    def works(self) -> bool:
        """Whether this node does its work, so that its leases may be renewed. Thread-safe."""
        return self.has_host() and self.outlet.awake() - self._worked_at <= SILENCE * self._lease

    def has_host(self) -> bool:
        """Whether the thread or loop of the host is there. Thread-safe."""
        return self._host_works is None or self._host_works()

    def is_overdue(self) -> bool:
        """Whether a pass should have come or been over by now, and has not for longer than a lease. Thread-safe."""
        by = self._expected_by
        return by is not None and self.outlet.awake() - by > self._lease

    def _renew_aside(self, state: StoreState) -> None:
        if self.where_sockets_are is not None and state.store.waits_for_sockets:
            self.where_sockets_are(lambda: self.renew(state))
        else:
            self.renew(state)

    def renew(self, state: StoreState) -> None:
        """Renew the lease in a store outside the passes. Thread-safe."""
        lease = state.lease
        if lease is not None and lease.renewed_at is not None and not state.back_off.replaced:
            try:
                was_set = lease.renew(state.completions.in_hand or {})
            except StoreReplacedError as exc:
                state.back_off.failed(exc, "renewing the lease")
                return
            if state.completions.beats is not None:
                state.completions.beats.renewed()
            if was_set or state.completions.withheld:
                self.outlet.wake()

    def drain(self) -> None:
        """Start nothing more of what was claimed and waits for its permission."""
        for state in self.states:
            state.completions.drain()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no run is under way and all are recorded, at most so long; return whether that is so."""
        for state in self.states:
            idle = state.completions.wait_idle(seconds)
            self._worked_at = self.outlet.awake()
            if not idle:
                return False
        return self.in_flight == 0

    def flush(self) -> None:
        """Record what has ended, as far as the stores take it."""
        for state in self.states:
            state.completions.flush()

    @property
    def parts(self) -> list[Completions]:
        """The ends of runs of each store."""
        return [state.completions for state in self.states]

    @property
    def waiting(self) -> int:
        """How many runs wait for their permission to start."""
        return sum(state.completions.waiting for state in self.states)

    @property
    def unrecorded(self) -> int:
        """How many runs have ended that a store has not taken yet."""
        return sum(state.completions.unrecorded for state in self.states)

    def leave(self) -> None:
        """Record what has ended, and end the leases of this node."""
        self._watch.stop()
        for state in self.states:
            self._leave(state)

    # -- one pass ------------------------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Do what is due now.

        :return: seconds until the next call is needed at the latest; None: only a wake-up makes one necessary
        """
        self.last_tick = self.clock.now()
        for state in self.states:
            state.waits_until = HELD
        watch = self._watch
        watch.passes += 1
        self._expected_by = self._watch_clock()
        delay: float | None = None
        self._capacity.begin()
        self.outlet.passing = ident = get_ident()
        try:
            for state in self.states:
                watch.under_way = state
                wait = self._pass_over(state)
                if wait is not None and (delay is None or wait < delay):
                    delay = wait
        except PassLeftBehind:
            return 0.0  # another thread makes the passes by now, and what this one would note is not true any more
        finally:
            if self.outlet.passing == ident:
                self.outlet.passing = None
        watch.under_way = None
        if Policy.some_time_out:
            look = self.look_at_time()
            delay = look if delay is None else delay if look is None else min(delay, look)
        if self._capacity.settle():
            delay = 0.0
        if delay is not None and self.slice is not None:
            delay = min(delay, self.slice)
        now, slept = self.clock.monotonic(), self.clock.slept()
        self._worked_at = now - slept
        # The host waits from now on, not from the beginning of a pass that may have taken long.
        wait = 0 if delay is None else int(delay * SECOND)
        self._expected_at = None if delay is None else now + wait
        self._expected_by = None if delay is None or self.slice is None else now - slept + wait
        for state in self.states:
            state.waits_until = HELD if delay is None else state.store.now() + wait
        return delay

    def _pass_over(self, state: StoreState) -> float | None:
        found = self._passes.get(state)  # a store may be removed meanwhile
        return None if found is None else found.run(self.claiming and state not in self.leaving)

    def look_at_time(self) -> float | None:
        """Stop the runs that have taken too long, also while a store fails. Thread-safe.

        :return: the seconds until the next look, None: no time will be over
        """
        looks = [state.completions.timeouts.look() for state in self.states if state.completions.timeouts]
        return min((look for look in looks if look is not None), default=None)

    def _crowded(self) -> set[str]:
        """Return the executors for which stores hold plain functions back."""
        crowded: set[str] = set()
        for state in self.stores.values():
            if state.crowded:  # this is asked for each run that ends in a burst
                crowded |= state.crowded
        return crowded

    def wakes_before(self, due: int | None, alias: str) -> bool:
        """Whether a new or changed due time in a store comes before the host's next pass, so that it has to be woken up."""
        if due is None:
            return False
        state = self.stores.get(alias)
        return state is None or due < state.waits_until

    # -- leases --------------------------------------------------------------------------------------------------

    def _leave(self, state: StoreState) -> None:
        try:
            state.completions.flush()
            if state.completions.beats is not None:
                state.completions.beats.write()
            if state.requested:
                from .requests import cancel  # import time

                cancel(self.outlet, state)
            if state.lease is not None:
                state.lease.end(state.completions.unstarted, state.store.now())
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            state.back_off.failed(exc, "ending the lease")
        finally:
            if state.lease is not None:
                state.lease.ended = True
            if state.renewals is not None:
                state.renewals.stop()

    def look_soon(self) -> None:
        """Have the next pass look up what :meth:`health` tells of the stores, where that is not fresh. Thread-safe."""
        stale = [state for state in self.stores.values() if state.housekeeping.ask()]  # each is asked
        if stale:
            self.outlet.wake()

    def _watch_clock(self) -> int:
        """Notice that this machine's wall clock was set, that it slept, or that this process was suspended.

        :return: the monotonic microseconds in which the machine was awake
        """
        elapsed, expected, asleep = self.clock.monotonic(), self._expected_at, self.clock.slept()
        delta, slept = self._clocks.jump(self.clock.now(), elapsed), self._clocks.sleep(asleep)
        if delta or slept or (expected is not None and elapsed - expected > JUMP):
            # A machine that was suspended from outside may have counted none of that, so its servers are asked.
            for state in self.states:
                state.unmeasured = True
        if slept:
            self.logger.warning("The machine slept for %.1f s", slept / SECOND)
            for state in self.states:
                state.doubt_lease()
        if delta:
            self.logger.warning("The clock of this machine jumped by %+.1f s", delta / SECOND)
        if delta or slept:
            self.outlet.dispatch(ClockEvent(EVENT_CLOCK_JUMPED, (delta + slept) / SECOND))
        return elapsed - asleep
