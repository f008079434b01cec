"""The engine: one pass over the job stores at a time, from due jobs to claimed runs in the hands of executors.

It carries out what ``core.plan`` decides. It starts no thread and never waits; a host calls :meth:`Engine.tick`.
"""

from __future__ import annotations

from ..clock import HELD, LEASE, SECOND, SLICE
from ..core.admission import admit
from ..core.plan import ENDED, QUARANTINED, plan, quarantine
from ..core.run import CANCELLED
from ..core.walks import NotYet
from ..errors import HeldRowsError, StoreError, StoreReplacedError
from ..events import (
    EVENT_CLOCK_JUMPED,
    EVENT_JOB_SUBMITTED,
    EVENT_JOBSTORE_REPLACED,
    EVENT_SCHEDULER_DEGRADED,
    EVENT_SCHEDULER_RECOVERED,
    ClockEvent,
    SchedulerHealthEvent,
)
from ..executors.steps import is_coroutine_function
from ..interrupts import is_interrupt
from ..texts import error_text, shortened
from ..util import new_node_id
from .announcing import EVENT_OF_STATUS, RUN_EVENTS, announce, announce_rest, announce_submission
from .clock_jumps import JUMP, TURN, ClockWatch, bring_forward, go_on
from .guarded import claim_singly, recount_busy
from .pass_watch import PassLeftBehind, PassWatch
from .store_state import StoreState
from .unclaimed import FIRST_PAUSE, LONGEST_PAUSE
from .withheld import start_withheld

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..clock import Clock
    from ..core.plan import Decision
    from ..core.run import Run
    from ..core.walks import Walks
    from ..executors.base import BaseExecutor
    from ..job import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .lease import Lease
    from .pass_watch import Planning

#: After so many leases without a pass a node is not renewed any more: it lives, and does no work.
SILENCE = 4
#: How often (seconds) coroutines are looked for behind plain functions that wait for a thread of the same executor.
CROWDED = 0.1
#: How often the clock of a store is measured where no lease is renewed (microseconds).
MEASURED = 60 * SECOND
#: The most jobs that one pass takes from a store for one executor.
PASS = 1000
#: … from a store in memory, where a pass costs little: fewer objects are alive at once than make Python look for garbage, which
#: took half of the time of a burst.
PASS_IN_MEMORY = 100


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

    #: the longest wait that :meth:`tick` returns (seconds), None: any; and whether it looks for what others changed.
    #: In virtual time nothing changes behind the engine's back, so the testing kit turns both off.
    slice: float | None = SLICE
    polls = True

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
        self.clock = clock
        self.logger = logger
        self.dispatch = dispatch
        self.wanted = wanted
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
        #: True while the interpreter exits
        self.exiting = False
        self._executors = executors
        self._wake = wake
        self._retry_interval = retry_interval
        self._lease = int(lease * SECOND)
        self._runs_jobs = runs_jobs
        self._host_works = host_works
        #: when a pass, or a look of a shutdown that waits, was over last (microseconds in which the machine was awake)
        self._worked_at = self.awake()
        #: by when a pass that is under way is to be over, or one that the host waits for to have begun (microseconds in which the
        #: machine was awake); None: it waits for a wake-up
        self._expected_by: int | None = None
        self._watch = PassWatch(self, self._lease, replace_pass)
        self._offload: Callable[[Callable[[], None]], None] | None = None
        self._soon: Callable[[Callable[[], None]], None] | None = None
        #: executors that a pass of the tick under way found without room
        self._full: set[str] = set()
        #: executors that raise when they are asked for their room; that is logged once in a row
        self._broken: set[str] = set()
        #: the same of the last tick: when they have room again, the host is woken up
        self._starved: tuple[str, ...] = ()
        #: calls something in the only thread that may use the sockets of stores, and waits for its end; None: any thread may
        self.where_sockets_are: Callable[[Callable[[], None]], None] | None = None
        #: when the next pass was to come at the latest (monotonic microseconds), None if it was to wait for a wake-up
        self._expected_at: int | None = None
        self._clocks = ClockWatch()

    # -- life cycle ----------------------------------------------------------------------------------------------

    def add_store(self, alias: str, store: BaseJobStore) -> None:
        """Take a started store into the passes."""
        store.log_by(self.logger)
        lease = None
        if store.durable and self._runs_jobs:
            from .lease import Lease  # import time: most schedulers have a memory store only

            lease = Lease(store, self.clock, self.logger, self._lease)
        state = StoreState(self, alias, store, lease)
        if lease is not None and not self.clock.virtual:  # in virtual time nothing happens by itself
            from .renewals import Renewals  # import time

            state.renewals = Renewals(
                lease, lambda: self._renew_aside(state), self.works, self.clock, self.logger
            )
        state.completions.offload = self._offload if store.does_io else self._soon
        self._keep({**self.stores, alias: state}, self.leaving)
        self.listen_to(store)

    def listen_to(self, store: BaseJobStore) -> None:
        """Have a store wake the host when others have changed something that is due soon."""
        if self._runs_jobs:
            store.on_wake(self._wake)

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
    def executors(self) -> Mapping[str, BaseExecutor]:
        """The scheduler's executors by alias."""
        return self._executors

    @property
    def does_io(self) -> bool:
        """Whether a pass may wait for a disk or a network."""
        return any(state.store.does_io for state in self.states)

    @property
    def in_flight(self) -> int:
        """How many runs are under way or not recorded yet."""
        return sum(state.completions.in_flight for state in self.states)

    def owns(self, node: str | None) -> bool:
        """Whether a node id is one of this engine's."""
        return node == self.node or any(
            state.lease is not None and node == state.lease.node for state in self.states
        )

    def works(self) -> bool:
        """Whether this node does its work, so that its leases may be renewed. Thread-safe."""
        return self.has_host() and self.awake() - self._worked_at <= SILENCE * self._lease

    def has_host(self) -> bool:
        """Whether the thread or loop of the host is there. Thread-safe."""
        return self._host_works is None or self._host_works()

    def is_overdue(self) -> bool:
        """Whether a pass should have come or been over by now, and has not for longer than a lease. Thread-safe."""
        by = self._expected_by
        return by is not None and self.awake() - by > self._lease

    def came_back(self, state: StoreState, job_id: str) -> None:
        """Have a job planned again whose trigger has returned at last."""
        self.logger.info('The trigger of job "%s" (job store %r) has returned', job_id, state.alias)
        self._wake()

    def awake(self) -> int:
        """Return the monotonic microseconds without those in which the machine slept, and no host could make a pass."""
        return self.clock.monotonic() - self.clock.slept()

    def _renew_aside(self, state: StoreState) -> None:
        if self.where_sockets_are is not None and state.store.waits_for_sockets:
            self.where_sockets_are(lambda: self.renew(state))
        else:
            self.renew(state)

    def renew(self, state: StoreState) -> None:
        """Renew the lease in a store outside the passes. Thread-safe."""
        lease = state.lease
        if lease is not None and lease.renewed_at is not None and not state.replaced:
            try:
                was_set = lease.renew(state.completions.in_hand or {})
            except StoreReplacedError as exc:
                self.store_failed(state.alias, exc, "renewing the lease")
                return
            if was_set or state.completions.withheld:
                self._wake()

    def drain(self) -> None:
        """Start nothing more of what was claimed and waits for its permission."""
        for state in self.states:
            state.completions.drain()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no run is under way and all are recorded, at most so long; return whether that is so."""
        for state in self.states:
            idle = state.completions.wait_idle(seconds)
            self._worked_at = self.awake()
            if not idle:
                return False
        return self.in_flight == 0

    def flush(self) -> None:
        """Record what has ended, as far as the stores take it."""
        for state in self.states:
            state.completions.flush()

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
        self._starved = ()  # runs that end meanwhile wake nobody; the room that they leave is looked at below
        self._full.clear()
        try:
            for state in self.states:
                watch.under_way = state
                wait = self._guarded_pass(state)
                if wait is not None and (delay is None or wait < delay):
                    delay = wait
        except (
            PassLeftBehind
        ):  # another thread makes the passes by now, and what this one would note is not true any more
            return 0.0
        watch.under_way = None
        # In this order: a run that ends later finds its executor here, and one that ended earlier has left room.
        self._starved = tuple(self._full)
        if self._starved and self._roomy():
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

    def concerns(self, due: int | None, alias: str) -> bool:
        """Whether a new or changed due time in a store comes before the host's next pass, so that it has to be woken up."""
        if due is None:
            return False
        state = self.stores.get(alias)
        return state is None or due < state.waits_until

    def _guarded_pass(self, state: StoreState) -> float | None:
        if state.retry_at is not None:
            wait = state.retry_at - self.clock.monotonic()
            if wait > 0:
                return wait / SECOND
        failures = state.failures
        try:
            if state.replaced:
                from .reopening import reopen  # import time: it is needed once in years

                reopen(self, state)
            if failures or state.unmeasured:
                state.store.measure_clock()
                state.unmeasured = False
            wait_for = self._pass(state)
            held = state.completions.held_wait
            if held is not None:
                wait_for = held if wait_for is None else min(wait_for, held)
        except BaseException as exc:  # of a store, or of what it calls; other stores go on
            if is_interrupt(exc) or type(exc) is PassLeftBehind:
                raise
            if type(exc) is HeldRowsError:  # by a moment; a store that is locked for long says something else
                return LONGEST_PAUSE / 10 / SECOND
            self.store_failed(state.alias, exc, "looking for due jobs")
            wait = (state.retry_at or 0) - self.clock.monotonic()
            return max(wait, 0) / SECOND
        if failures and state.failures == failures:
            self._recovered(state)
        return wait_for

    def _pass(self, state: StoreState) -> float | None:
        store = state.store
        state.completions.flush()  # what a failing store did not take
        lease, claims, pause = state.lease, self._claims_from(state), None
        self._watch_clock_of(state)
        if lease is not None:
            in_hand = state.completions.in_hand or {}
            lease.keep(in_hand)
            self._watch_clock_of(state)  # a renewal measures the clock
            if state.renewals is not None:
                state.renewals.ensure()
            if state.completions.withheld:
                start_withheld(self, state, lease)
            pause = lease.wait_for_the_others()
            if claims and pause is None and lease.wants_rescue(in_hand):
                self._rescue(state, lease)
        if not claims:
            state.housekeeping.look_if_wanted(tuple(self._executors))
            return self._measure_in_time(state) if lease is None else lease.wait(False)
        if state.requested:
            self._hand_over(state, [state.requested.popleft() for _ in range(len(state.requested))])
        if pause is not None:
            return pause
        most = PASS if store.does_io else PASS_IN_MEMORY
        room = {
            alias: min(PASS if alias in state.crowded else most, self._room(alias))
            for alias in list(self._executors)
        }
        open_to = {alias: free for alias, free in room.items() if free > 0}
        own = store.__dict__
        if "get_due_jobs" in own or "get_next_run_time" in own or "update_job" in own or "remove_job" in own:
            store.obey_program()  # replaced on the object, perhaps just now
        now = store.now()  # anew: leases and claims may not be judged by the time before something slow
        jobs: Sequence[Job] = []
        if open_to:
            jobs = self._due(state, now, open_to) if state.unclaimed else store.due(now, open_to)
        rooms = self._function_rooms() if jobs else {}
        state.crowded = set()
        if rooms:
            jobs, state.crowded = admit(jobs, rooms, is_coroutine_function)
        handed: int | None = None  # None: nothing has come of the pass
        if jobs:
            decisions = self._plan(state, jobs, now)
            # What ends meanwhile (all of it where runs are inline) is recorded together if it cannot be lost and nobody
            # listens: a burst of inline runs takes a quarter less.
            state.completions.gather(not self.wanted() & RUN_EVENTS)
            try:
                handed = self._carry_out(state, decisions, now) if decisions else None
            finally:
                state.completions.gathered()
            # Who had room for more than all that was handed out has room still.
            open_to = {
                alias: free for alias, free in open_to.items() if (handed or 0) < free or self._room(alias)
            }
        if state.crowded:
            open_to = {alias: free for alias, free in open_to.items() if alias not in state.crowded}
        if len(open_to) < len(room):
            self._full.update(alias for alias in room if alias not in open_to)
        if state.set_back and not self._bring_forward(state):
            return 0.0
        wait = self._wait(state, open_to, now if handed is None else None)
        return min(CROWDED, CROWDED if wait is None else wait) if state.crowded else wait

    def _function_rooms(self) -> dict[str, int]:
        """Return the room for plain functions of those executors that count them apart."""
        rooms = {}
        for alias, executor in list(self._executors.items()):
            try:
                room = executor.function_room()
            except BaseException as exc:  # it costs its own functions their turn, and no others
                if is_interrupt(exc):
                    raise
                room = 0
            if room is not None:
                rooms[alias] = room
        return rooms

    def _claims_from(self, state: StoreState) -> bool:
        return self.claiming and state not in self.leaving

    def _room(self, alias: str, any_room: bool = False) -> int:
        """Return how many jobs to take for an executor.

        :param any_room: whether so little room counts that a pass for it alone would not pay
        """
        executor = self._executors.get(alias)
        if executor is None:
            return 0
        try:
            room = min(PASS, executor.capacity()) if any_room or executor.roomy() else 0
        except BaseException as exc:  # it costs its own jobs their turn, and no others
            if is_interrupt(exc):
                raise
            if alias not in self._broken:
                self._broken.add(alias)
                self.logger.exception(
                    'Executor "%s" cannot tell its room; it gets no runs until it can', alias
                )
            return 0
        if self._broken:
            self._broken.discard(alias)
        return room

    def _due(self, state: StoreState, now: int, open_to: Mapping[str, int]) -> Sequence[Job]:
        """Return the due jobs without those that could not be claimed and are to wait."""
        due = state.store.due(now, state.unclaimed.widened(open_to))
        return state.unclaimed.ready(due, open_to, self.clock.monotonic())

    def _wait(
        self, state: StoreState, open_to: Mapping[str, int], in_vain: int | None = None
    ) -> float | None:
        """Return the seconds until the store's next due time, or until it has to be looked at anyway.

        :param in_vain: the time by which due jobs were looked for if nothing has come of it; None: something has
        """
        store = state.store
        following = store.next_due(open_to) if open_to else None
        wait = None if following is None else max(following - store.now(), 0) / SECOND
        unmoved, state.unmoved = state.unmoved, 0
        if following is not None and wait == 0:
            if state.unclaimed:
                now = store.now()
                upcoming = store.due(now + LONGEST_PAUSE, state.unclaimed.widened(open_to))
                wait = state.unclaimed.wait(upcoming, now, self.clock.monotonic()) / SECOND
            elif in_vain is not None and following <= in_vain:
                # The store says that something is due, and gives nothing.
                state.unmoved = min(unmoved + 1, 10)
                wait = min(FIRST_PAUSE << unmoved, LONGEST_PAUSE) / SECOND
        aliases = tuple(self._executors)
        pause = state.housekeeping.turn(following, aliases, len(open_to) == len(aliases), wait == 0)
        if state.housekeeping.damaged:
            damaged, state.housekeeping.damaged = state.housekeeping.damaged, []
            now = store.now()
            self._carry_out(state, self._plan(state, damaged, now), now)
        if pause is not None:
            wait = pause if wait is None else min(wait, pause)
        if state.lease is not None:
            left = state.lease.wait(True)
            wait = left if wait is None else min(wait, left)
        poll = store.poll_interval if self.polls else None
        return poll if poll is not None and (wait is None or wait > poll) else wait

    def _plan(self, state: StoreState, jobs: Sequence[Job], now: int) -> list[Decision]:
        """Plan what is due.

        :raises PassLeftBehind: if a trigger took so long that another thread has gone on meanwhile
        """
        if state.lease is not None:  # else the counts are in this process, changed together with the runs
            recount_busy(state, jobs)
        planning = self._watch.begin(state, jobs)
        decisions, goes_on = planning.decisions, False
        walks, late = state.walks, state.unclaimed.late
        walks.now, state.walks_until = now, self.clock.monotonic() + TURN
        try:
            is_plain = not late and not walks  # as nearly always; asked once, not for each job
            for job in jobs:
                if is_plain:
                    decisions.append(_decide(job, now, walks))
                else:
                    decision = late.pop((job.id, job.version), None)
                    decisions.append(decision or _decide(job, walks.time_of(job) if walks else now, walks))
                if planning.left_behind is not None:
                    if decisions[-1] is None:  # this thread holds up nobody any more
                        decisions[-1] = _decide(job, now, None)
                    break
        finally:
            goes_on = self._watch.end(planning)
        if not goes_on:
            raise PassLeftBehind
        if not walks:  # then none of them is left for a later pass
            return decisions  # type: ignore[return-value]
        self._go_on_later(state, planning)
        return [decision for decision in decisions if decision is not None]

    def _go_on_later(self, state: StoreState, planning: Planning) -> None:
        """Have later passes go on with walks that are not over, and forget those that are."""
        elapsed = self.clock.monotonic()
        for job, decision in zip(planning.jobs, planning.decisions, strict=True):
            if decision is None:
                state.unclaimed.come_back_to(job.id, elapsed)
            else:
                state.walks.is_over(job.id)
        state.walks.keep(state.unclaimed)

    def _carry_out(self, state: StoreState, decisions: Sequence[Decision], now: int) -> int | None:
        """Claim and hand out what is planned; return how many runs were handed out, None if nothing could be claimed."""
        permission = (
            None if state.lease is None else state.lease.permission
        )  # what holds when they are claimed
        won = self._claim(state, decisions, now)
        in_hand = state.completions.in_hand
        if in_hand and [1 for each in won for run in each.runs if (run.job_id, run.nominal) in in_hand]:
            from .reopening import leave_in_hand  # import time: it is needed once in years

            leave_in_hand(state, won)
        if len(won) < len(decisions) or state.unclaimed:
            state.unclaimed.note(decisions, won, self.clock.monotonic())
        submissions: dict[str, list[Run]] = {}
        #: jobs whose times had records already
        left_out: list[Job] = []
        count = 0
        wanted = self.wanted()
        for decision in won:
            runs = decision.runs
            if runs:
                count += len(runs)
                if permission is not None:
                    for run in runs:
                        run.permission = permission
                if state.skipping:
                    state.skipping.discard(decision.job.id)
                alias = runs[0].executor
                if alias in submissions:
                    submissions[alias].append(runs[0])
                else:
                    submissions[alias] = [runs[0]]
                if wanted & EVENT_JOB_SUBMITTED:
                    announce_submission(self, state.alias, decision.job, EVENT_JOB_SUBMITTED, runs)
            elif not decision.records and decision.error is None:
                left_out.append(decision.job)
            if decision.records or decision.error is not None or decision.state == ENDED:
                announce_rest(self, state, decision)
        if count:
            state.completions.expect(count, won)
            for alias, heads in submissions.items():
                self.submit(state, alias, heads)
        for job in left_out:  # after what is claimed has been handed out, as this may raise
            go_on(state.store, job)
        return count if won else None

    def _claim(self, state: StoreState, decisions: Sequence[Decision], now: int) -> list[Decision]:
        lease = state.lease
        node = self.node
        if lease is not None:
            # An error does not tell whether the claim was stored, so it leaves a doubt.
            was_sure, doubts, node = not lease.in_doubt, lease.doubt(), lease.node
        try:
            won = state.store.claim(decisions, node, now)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            won, left = claim_singly(state.store, decisions, node, now, exc)
            if left is not None:
                if not won:
                    raise left from None
                self.store_failed(state.alias, left, "claiming runs")  # what was claimed is carried out
            return won
        if lease is not None:
            if was_sure:
                lease.dispel(doubts)
            lease.note_claim(bool(won))
        return won

    def submit(self, state: StoreState, alias: str, heads: Sequence[Run]) -> None:
        """Hand the heads of groups of claimed runs to an executor, or end them if it does not take them."""
        done = state.completions.done
        state.completions.handing_out = True
        try:
            executor = self._executors[alias]
            executor.room_came_free = self.room_came_free
            own = executor.__dict__
            if (
                "_do_submit_job" in own
                or "submit_job" in own
                or "_run_job_success" in own
                or "_run_job_error" in own
            ):
                executor.obey_program()  # replaced on the object, perhaps just now
            executor.submit(heads, done)
        except BaseException as exc:  # it was removed or shut down meanwhile, and has taken none of the runs
            if is_interrupt(exc):
                raise
            from ..core.run import fail
            from ..executors.steps import chain

            self.logger.exception('Error submitting runs to executor "%s"', alias)
            for head in heads:
                for run in chain(head):
                    if not run.ended:
                        fail(run, exc, "", state.store.now())
                        done(run)
        finally:
            state.completions.handing_out = False

    def _hand_over(self, state: StoreState, runs: Sequence[Run]) -> None:
        """Give claimed runs that no plan of this pass has made to their executors."""
        followers = {id(run.then) for run in runs}
        heads: dict[str, list[Run]] = {}
        for run in runs:
            state.completions.expect_run(run)
            if run.job is not None and self.wanted() & EVENT_JOB_SUBMITTED:
                announce_submission(self, state.alias, run.job, EVENT_JOB_SUBMITTED, [run])
            if id(run) not in followers:
                heads.setdefault(run.executor, []).append(run)
        for alias, some in heads.items():
            self.submit(state, alias, some)

    # -- leases --------------------------------------------------------------------------------------------------

    def _rescue(self, state: StoreState, lease: Lease) -> None:
        """Take over the runs of nodes that did not renew their lease, and hand them to the executors."""
        room = {alias: self._room(alias, any_room=True) for alias in list(self._executors)}
        permission = lease.permission
        rescued = lease.rescue(state.store.now(), room, state.completions.in_hand or {})
        if lease.left_over:
            from .reopening import end_left_over  # import time

            for run in end_left_over(rescued, lease.left_over, state.store.now()):
                rescued.remove(run)
                state.completions.expect_run(run)
                state.completions.done(run)
        taken = []
        again = 0
        for run in rescued:
            if run.status == CANCELLED:
                self.logger.info("Run %r is cancelled: %s", run, run.reason)
                announce(self, state.alias, run, EVENT_OF_STATUS[run.status])
            elif run.ended:
                self.logger.error("Run %r of a dead node was recorded as %s: %s", run, run.status, run.reason)
                announce(self, state.alias, run, EVENT_OF_STATUS[run.status])
            elif run.job is None or run.executor not in self._executors:
                self.logger.error("Run %r of a dead node waits for an executor %r", run, run.executor)
            else:
                again += run.attempt > 1
                self.logger.debug("Run %r is taken over", run)
                run.permission = permission
                taken.append(run)
        if again:
            self.logger.warning("%d runs of dead nodes are executed again (job store %r)", again, state.alias)
        self._hand_over(state, taken)

    def _leave(self, state: StoreState) -> None:
        try:
            state.completions.flush()
            if state.requested:
                from .requests import cancel  # import time

                cancel(self, state)
            if state.lease is not None:
                state.lease.end(state.completions.unstarted, state.store.now())
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            self.store_failed(state.alias, exc, "ending the lease")
        finally:
            if state.lease is not None:
                state.lease.ended = True
            if state.renewals is not None:
                state.renewals.stop()

    # -- trouble -------------------------------------------------------------------------------------------------

    def store_failed(self, alias: str, exc: BaseException, doing: str) -> None:
        """Note an error of a store: back off (exponentially, with jitter), and say so once."""
        from random import random

        state = self._state_of(alias)
        if state is None:
            return
        state.failures += 1
        if issubclass(type(exc), StoreReplacedError):
            self._was_replaced(state, exc)
            return
        pause = min(self._retry_interval, 0.1 * 2 ** min(state.failures, 16)) * (0.75 + random() / 2)
        state.retry_at = self.clock.monotonic() + int(pause * SECOND)
        state.error = error_text(exc)
        self.logger.warning(
            "Error %s in job store %r: %s (trying again in %.1f s)",
            doing,
            alias,
            state.error,
            pause,
            exc_info=exc if state.failures == 1 and not issubclass(type(exc), StoreError) else None,
        )
        if state.failures == 1:
            self.dispatch(SchedulerHealthEvent(EVENT_SCHEDULER_DEGRADED, alias, state.error))
        self._wake()

    def _was_replaced(self, state: StoreState, exc: BaseException) -> None:
        """Say once that a store is not the one that was opened; the next pass opens what is there now."""
        again, state.replaced = state.replaced, True
        state.retry_at = self.clock.monotonic() + (SECOND if again else 0)
        state.error = error_text(exc)
        if not again:
            self.logger.error("Job store %r: %s", state.alias, state.error)
            self.dispatch(SchedulerHealthEvent(EVENT_JOBSTORE_REPLACED, state.alias, state.error))
        if state.failures == 1:
            self.dispatch(SchedulerHealthEvent(EVENT_SCHEDULER_DEGRADED, state.alias, state.error))
        self._wake()

    def _state_of(self, alias: str) -> StoreState | None:
        """Return the state of the store of that alias, or of the one that had it last and still ends its runs."""
        removed = (state for state in reversed(self.leaving) if state.alias == alias)
        return self.stores.get(alias) or next(removed, None)

    def _recovered(self, state: StoreState) -> None:
        self.logger.info("Job store %r works again after %d errors", state.alias, state.failures)
        state.failures, state.retry_at, state.error = 0, None, None
        self.dispatch(SchedulerHealthEvent(EVENT_SCHEDULER_RECOVERED, state.alias))

    def doubt(self, alias: str) -> None:
        """Have the next pass look for runs that a store holds for this node and that it does not know of.

        An end that is refused is mostly that of a run which another node has taken over. If what is stored of it was changed by
        somebody else, nobody would ever end it.
        """
        state = self._state_of(alias)
        if state is not None and state.lease is not None:
            state.lease.doubt()
            self._wake()

    def job_came_free(self) -> None:
        """Wake the host for a job that waited for the end of its runs."""
        self._wake()

    def permission_is_missing(self) -> None:
        """Wake the host for a run that could not start without permission."""
        self._wake()

    def room_came_free(self) -> None:
        """Wake the host if due jobs wait for an executor that has room again."""
        if self._starved and self._roomy():
            self._wake()

    def _roomy(self) -> bool:
        """Whether so much room has come free in a starved executor that another pass pays."""
        crowded: set[str] = set()
        for state in self.stores.values():
            if state.crowded:  # this is asked for each run that ends in a burst
                crowded |= state.crowded
        rooms = self._function_rooms() if crowded else {}
        return any(
            self._room(alias) and (alias not in crowded or rooms.get(alias, 1)) for alias in self._starved
        )

    def look_soon(self) -> None:
        """Have the next pass look up what :meth:`health` tells of the stores, where that is not fresh. Thread-safe."""
        stale = [state for state in self.stores.values() if state.housekeeping.ask()]  # each is asked
        if stale:
            self._wake()

    def is_backing_off(self, alias: str) -> bool:
        """Whether a store is left alone for a while after an error."""
        state = self._state_of(alias)
        if state is None or state.replaced:
            return state is not None
        return state.retry_at is not None and state.retry_at > self.clock.monotonic()

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
            self._doubt_leases(*self.states)
        if delta:
            self.logger.warning("The clock of this machine jumped by %+.1f s", delta / SECOND)
        if delta or slept:
            self.dispatch(ClockEvent(EVENT_CLOCK_JUMPED, (delta + slept) / SECOND))
        return elapsed - asleep

    def _doubt_leases(self, *states: StoreState) -> None:
        """Renew this node's leases at once, and give the others time to do so: after a jump, all of them look over."""
        for state in states:
            if state.lease is not None:
                state.lease.hurry = True
                state.lease.trust_the_others()

    def _watch_clock_of(self, state: StoreState) -> None:
        """Notice that the clock that counts for a store's jobs was set, and plan elapsed-time jobs anew."""
        store = state.store
        delta = state.clocks.jump(store.now(), self.clock.monotonic())
        if delta:
            state.set_back = state.set_back or delta < 0
            if store.has_clock:
                self.logger.warning(
                    "The clock of job store %r jumped by %+.1f s", state.alias, delta / SECOND
                )
            self._doubt_leases(state)

    def _bring_forward(self, state: StoreState) -> bool:
        """Plan elapsed-time jobs anew after the clock was set back, for some milliseconds; return whether that is done."""
        began, steps = self.clock.monotonic(), state.moves or bring_forward(state.store)
        state.moves = None  # what raises begins anew
        for _ in steps:
            if self.clock.monotonic() - began >= TURN:
                state.moves = steps
                return False
        state.set_back = False
        return True

    def _measure_in_time(self, state: StoreState) -> float | None:
        """Measure the clock of a store that is not asked for leases now and then; return the seconds until the next time."""
        if not state.store.has_clock or self.clock.virtual:
            return None
        now = self.clock.monotonic()
        if now - state.measured_at >= MEASURED:
            state.store.measure_clock()
            state.measured_at = now
        return (state.measured_at + MEASURED - now) / SECOND


def _decide(job: Job, now: int, walks: Walks | None) -> Decision | None:
    """Plan one job; whatever is wrong with it costs itself and never its neighbours. None: that goes on in a later pass."""
    if job.state == QUARANTINED:
        return quarantine(job, job.error or "it could not be restored")
    try:
        return plan(job, now, walks)
    except BaseException as exc:  # a trigger may raise anything
        if is_interrupt(exc):
            raise
        if type(exc) is NotYet:
            return None
        return quarantine(job, f"planning failed: {shortened(error_text(exc))}")
