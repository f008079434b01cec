"""Passes over one store: keep its lease, take over what dead nodes left, plan and claim what is due, hand it to executors.

It carries out what :mod:`rota.core.plan` decides, and waits for no job.
"""

from __future__ import annotations

from ..callables import ASKED
from ..clock import NO_TIME, SECOND
from ..core.policy import Policy
from ..core.room import admit
from ..core.states import ENDED
from ..errors import HeldRowsError
from ..events import EVENT_JOB_SUBMITTED
from ..executors.steps import is_coroutine_function
from ..interrupts import is_interrupt
from .announcements import RUN_EVENTS, announce_rest, announce_submission
from .backoff import FIRST_PAUSE, LONGEST_PAUSE
from .capacity import PASS
from .clock_jumps import TURN, bring_forward, go_on, set_back_unseen
from .pass_watch import PassLeftBehind
from .planning import decide, what_is_met
from .submission import hand_over, start_withheld, submit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core.plan import Decision
    from ..core.run import Permission, Run
    from ..job.handle import Job
    from .capacity import Capacity
    from .lease import Lease
    from .outlet import Outlet
    from .pass_watch import PassWatch, Planning
    from .store_state import StoreState

#: The most jobs that a pass takes from a store in memory for one executor. A pass costs little there, and fewer objects are alive
#: at once than make Python look for garbage, which took half of the time of a burst.
PASS_IN_MEMORY = 100
#: How often (seconds) coroutines are looked for behind plain functions that wait for a thread of the same executor.
CROWDED = 0.1
#: How often the clock of a store is measured where no lease is renewed (microseconds).
MEASURED = 60 * SECOND
#: Methods of stores that programs replace on the object.
REPLACEABLE = frozenset(("get_due_jobs", "get_next_run_time", "update_job", "remove_job"))


class StorePass:
    """The passes over one store.

    :param node: the id of this node in a store that needs no lease
    """

    __slots__ = ("_capacity", "_node", "_outlet", "_state", "_watch")

    def __init__(
        self, outlet: Outlet, state: StoreState, capacity: Capacity, watch: PassWatch, node: str
    ) -> None:
        self._outlet = outlet
        self._state = state
        self._capacity = capacity
        self._watch = watch
        self._node = node

    def run(self, claims: bool) -> float | None:
        """Do what is due in the store now; whatever goes wrong costs this store only.

        :param claims: whether due jobs are claimed
        :return: the seconds until the store has to be looked at again, None: not before a wake-up
        :raises PassLeftBehind: if another thread has taken the place of this one meanwhile
        """
        state, back_off = self._state, self._state.back_off
        left = back_off.left()
        if left > 0:
            return left
        failures = back_off.failures
        try:
            if back_off.replaced:
                from .reopening import reopen  # import time: it is needed once in years

                reopen(self._outlet, state)
            if failures or state.unmeasured:
                state.store.measure_clock()
                state.unmeasured = False
            wait = self._pass(claims)
            if state.completions.beats is not None:
                look = state.completions.beats.look()
                wait = look if wait is None else wait if look is None else min(wait, look)
            held = state.completions.held_wait
            if held is not None:
                wait = held if wait is None else min(wait, held)
        except BaseException as exc:  # of a store, or of what it calls; other stores go on
            if is_interrupt(exc) or type(exc) is PassLeftBehind:
                raise
            if type(exc) is HeldRowsError:  # by a moment; a store that is locked for long says something else
                return LONGEST_PAUSE / 10 / SECOND
            back_off.failed(exc, "looking for due jobs")
            return back_off.left()
        if failures and back_off.failures == failures:
            back_off.recovered()
        return wait

    def _pass(self, claims: bool) -> float | None:
        state, outlet = self._state, self._outlet
        state.completions.flush()  # what a failing store did not take
        self._watch_clock()
        lease = state.lease
        pause = None if lease is None else self._keep(lease, claims)
        asked = state.asked
        if asked.told or asked.next_waiting is not None or asked.backfills:
            from .asked import attend  # import time: schedulers of one process are rarely asked anything

            node = self._node if lease is None else lease.node
            attend(outlet, state, node, self._room, claims and pause is None)
        claims = claims and not asked.draining
        if not claims:
            state.housekeeping.look_if_wanted(tuple(outlet.executors))
            return self._measure_in_time() if lease is None else lease.wait(False)
        if state.requested:
            hand_over(outlet, state, [state.requested.popleft() for _ in range(len(state.requested))])
        return self._serve() if pause is None else pause

    def _keep(self, lease: Lease, claims: bool) -> float | None:
        """Keep the lease, and do what it allows; return for how long nothing may be claimed, None: it may."""
        state = self._state
        in_hand = state.completions.in_hand or {}
        lease.keep(in_hand)
        self._watch_clock()  # a renewal measures the clock
        if state.renewals is not None:
            state.renewals.ensure()
        if state.completions.withheld:
            start_withheld(self._outlet, state, lease)
        pause = lease.wait_for_the_others()
        if lease.wants_rescue(in_hand):
            state.asked.told = True  # as often as this
            if not claims or state.asked.draining:
                lease.look_later()
            elif pause is None:
                self._rescue(lease)
        return pause

    def _room(self) -> dict[str, int]:
        return {alias: self._capacity.of(alias, any_room=True) for alias in list(self._outlet.executors)}

    def _serve(self) -> float | None:
        """Claim and hand out what is due, as far as there is room; return the seconds until the next look."""
        state, outlet, capacity = self._state, self._outlet, self._capacity
        store = state.store
        most = PASS if store.does_io else PASS_IN_MEMORY
        room = {
            alias: min(PASS if alias in state.crowded else most, capacity.of(alias))
            for alias in list(outlet.executors)
        }
        open_to = {alias: free for alias, free in room.items() if free > 0}
        if not REPLACEABLE.isdisjoint(store.__dict__):
            store.obey_program()  # replaced on the object, perhaps just now
        now, jobs = self._due_now(open_to)
        handed: int | None = None  # None: nothing has come of the pass
        if jobs:
            handed = self._hand_out(jobs, now)
            # An executor that had room for more than all that was handed out still has it; it is not asked again.
            open_to = {
                alias: free for alias, free in open_to.items() if (handed or 0) < free or capacity.of(alias)
            }
        if state.crowded:
            open_to = {alias: free for alias, free in open_to.items() if alias not in state.crowded}
        if len(open_to) < len(room):
            capacity.note_full(alias for alias in room if alias not in open_to)
        if state.set_back is None:
            state.set_back = set_back_unseen(store, state.alias, outlet.logger)
        if state.set_back and not self._bring_forward():
            return 0.0
        wait = self._wait(open_to, now if handed is None else None)
        return min(CROWDED, CROWDED if wait is None else wait) if state.crowded else wait

    def _hand_out(self, jobs: Sequence[Job], now: int) -> int | None:
        """Plan, claim and hand out due jobs; return how many runs were handed out, None if nothing could be claimed."""
        completions = self._state.completions
        decisions = self._plan(jobs, now)
        # What ends meanwhile (all of it where runs are inline) is recorded together if it cannot be lost and nobody
        # listens: a burst of inline runs takes a quarter less.
        completions.gather(not self._outlet.wanted() & RUN_EVENTS)
        try:
            return self._carry_out(decisions, now) if decisions else None
        finally:
            completions.gathered()

    def _due_now(self, open_to: Mapping[str, int]) -> tuple[int, Sequence[Job]]:
        """Return the time, and the jobs that are due by it."""
        store = self._state.store
        now = store.now()  # anew: leases and claims may not be judged by the time before something slow
        jobs = self._due(now, open_to) if open_to else ()
        if jobs and store.has_clock and self._state.has_set_clock(jobs, now, self._outlet.clock.monotonic()):
            self._watch_clock()
            now = store.now()
            jobs = self._due(now, open_to)
        return now, jobs

    def _due(self, now: int, open_to: Mapping[str, int]) -> Sequence[Job]:
        """Return the due jobs without those that are to wait: they could not be claimed, or plain functions find no room."""
        state = self._state
        if state.unclaimed:
            due = state.store.due(now, state.unclaimed.widened(open_to))
            jobs: Sequence[Job] = state.unclaimed.ready(due, open_to, self._outlet.clock.monotonic())
        else:
            jobs = state.store.due(now, open_to)
        rooms = self._capacity.for_functions() if jobs else None
        state.crowded = set()
        if rooms:
            jobs, state.crowded = admit(jobs, rooms, is_coroutine_function)
        return self._with_resources(jobs) if ASKED else jobs

    def _with_resources(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the due jobs without those for which this node lacks a resource."""
        return self._state.lacking_of(self._outlet).without(jobs)

    def _wait(self, open_to: Mapping[str, int], in_vain: int | None = None) -> float | None:
        """Return the seconds until the store's next due time, or until it has to be looked at anyway.

        :param in_vain: the time by which due jobs were looked for if nothing has come of it; None: something has
        """
        state = self._state
        store = state.store
        following = store.next_due(open_to) if open_to else None
        if following is not None and following >= NO_TIME:  # a job that no time starts
            following = None
        wait = None if following is None else max(following - store.now(), 0) / SECOND
        unmoved, state.unmoved = state.unmoved, 0
        if following is not None and wait == 0:
            if state.unclaimed:
                now = store.now()
                upcoming = store.due(now + LONGEST_PAUSE, state.unclaimed.widened(open_to))
                wait = state.unclaimed.wait(upcoming, now, self._outlet.clock.monotonic()) / SECOND
            elif in_vain is not None and following <= in_vain:
                # The store says that something is due, and gives nothing.
                state.unmoved = min(unmoved + 1, 10)
                wait = min(FIRST_PAUSE << unmoved, LONGEST_PAUSE) / SECOND
        aliases = tuple(self._outlet.executors)
        pause = state.housekeeping.turn(following, aliases, len(open_to) == len(aliases), wait == 0)
        if self._carry_out_found():
            state.asked.told = True  # runs may wait that the states of these jobs kept from starting
            wait = 0.0
        if pause is not None:
            wait = pause if wait is None else min(wait, pause)
        if state.asked.next_waiting is not None or state.asked.backfills:
            from .asked import sooner  # rare

            wait = sooner(self._outlet, state, wait)
        if state.lease is not None:
            left = state.lease.wait(True)
            wait = left if wait is None else min(wait, left)
        poll = store.poll_interval if self._outlet.polls else None
        return poll if poll is not None and (wait is None or wait > poll) else wait

    def _carry_out_found(self) -> bool:
        """Do what housekeeping has found: damaged jobs, pauses that are over; return whether a job goes on, or has been healed."""
        state, housekeeping = self._state, self._state.housekeeping
        if housekeeping.damaged:
            damaged, housekeeping.damaged = housekeeping.damaged, []
            now = state.store.now()
            self._carry_out(self._plan(damaged, now), now)
        released, housekeeping.released = housekeeping.released, False
        if not housekeeping.resumed:
            return released
        from .pauses_over import resumed  # rare

        now = state.store.now()
        self._carry_out(list(resumed(housekeeping.take_resumed(), now)), now)
        return True

    def _plan(self, jobs: Sequence[Job], now: int) -> list[Decision]:
        """Plan what is due.

        :raises PassLeftBehind: if a trigger took so long that another thread has gone on meanwhile
        """
        state = self._state
        met = what_is_met(state, jobs, now, self._outlet.logger)
        planning = self._watch.begin(state, jobs)
        decisions, goes_on = planning.decisions, False
        walks, late = state.walks, state.unclaimed.late
        walks.now, state.walks_until = now, self._outlet.clock.monotonic() + TURN
        try:
            # as nearly always; asked once, not for each job
            is_plain = not late and not walks and met is None
            for job in jobs:
                if is_plain:
                    decisions.append(decide(job, now, walks))
                else:
                    decision = late.pop((job.id, job.version), None)
                    at = walks.time_of(job) if walks else now
                    decisions.append(decision or decide(job, at, walks, met))
                if planning.left_behind is not None:
                    if decisions[-1] is None:  # this thread holds up nobody any more
                        decisions[-1] = decide(job, now, None)
                    break
        finally:
            goes_on = self._watch.end(planning)
        if not goes_on:
            raise PassLeftBehind
        if not walks:  # then none of them is left for a later pass
            return decisions  # type: ignore[return-value]
        self._go_on_later(planning)
        return [decision for decision in decisions if decision is not None]

    def _go_on_later(self, planning: Planning) -> None:
        """Have later passes go on with walks that are not over, and forget those that are."""
        state = self._state
        elapsed = self._outlet.clock.monotonic()
        for job, decision in zip(planning.jobs, planning.decisions, strict=True):
            if decision is None:
                state.unclaimed.come_back_to(job.id, elapsed)
            else:
                state.walks.is_over(job.id)
        state.walks.keep(state.unclaimed)

    def _carry_out(self, decisions: Sequence[Decision], now: int) -> int | None:
        """Claim and hand out what is planned; return how many runs were handed out, None if nothing could be claimed."""
        state = self._state
        permission = (
            None if state.lease is None else state.lease.permission
        )  # what holds when they are claimed
        is_looked_at_again = False
        if state.asked.backfills:
            from .backfills import leave_some  # rare

            over = [each.job.id for each in decisions if each.state == ENDED]
            leave_some(state, [id for id in over if id in state.asked.backfills])
        if Policy.some_wait:
            from .rooms import make_room  # import time

            planned, decisions = decisions, make_room(self._outlet, state, decisions)
            is_looked_at_again = len(decisions) < len(planned)
        won = self._claim(decisions, now) if decisions else []
        in_hand = state.completions.in_hand
        if in_hand and [1 for each in won for run in each.runs if (run.job_id, run.nominal) in in_hand]:
            from .reopening import leave_in_hand  # import time: it is needed once in years

            leave_in_hand(state, won)
        if len(won) < len(decisions) or state.unclaimed:
            state.unclaimed.note(decisions, won, self._outlet.clock.monotonic())
        count, heads, left_out = self._sorted(won, permission)
        if count:
            state.completions.expect(count, won)
            for alias, runs in heads.items():
                submit(self._outlet, state, alias, runs)
        for job in left_out:  # after what is claimed has been handed out, as this may raise
            go_on(state.store, job, self._outlet.logger)
        return count if won or is_looked_at_again else None

    def _sorted(
        self, won: Sequence[Decision], permission: Permission | None
    ) -> tuple[int, dict[str, list[Run]], list[Job]]:
        """Announce what was claimed; return how many runs it has, their heads by executor, and the jobs whose times had records."""
        state = self._state
        heads: dict[str, list[Run]] = {}
        left_out: list[Job] = []
        count = 0
        submitted, skipping = self._outlet.wanted() & EVENT_JOB_SUBMITTED, state.skipping
        for decision in won:
            runs = decision.runs
            if runs:
                count += len(runs)
                if permission is not None:
                    for run in runs:
                        run.permission = permission
                if skipping:
                    skipping.discard(decision.job.id)
                head = runs[0]
                alias = head.executor
                if alias in heads:
                    heads[alias].append(head)
                else:
                    heads[alias] = [head]
                if submitted:
                    announce_submission(self._outlet, state.alias, decision.job, EVENT_JOB_SUBMITTED, runs)
            elif not decision.records and hasattr(decision, "left_out"):
                left_out.append(decision.job)
            if Policy.some_retry and (decision.superseded or decision.waits_for_room):
                from .busy import after_claim  # rare

                after_claim(self._outlet, state, decision)
            if decision.records or decision.error is not None or decision.state == ENDED:
                announce_rest(self._outlet, state.alias, decision, skipping, state.store.now)
        return count, heads, left_out

    def _claim(self, decisions: Sequence[Decision], now: int) -> list[Decision]:
        state = self._state
        lease = state.lease
        node = self._node
        if lease is not None:
            # An error does not tell whether the claim was stored, so it leaves a doubt.
            was_sure, doubts, node = not lease.in_doubt, lease.doubt(), lease.node
        try:
            won = state.store.claim(decisions, node, now)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            from .damage import claim_singly  # import time

            known, logger = state.unclaimed, self._outlet.logger
            won, left = claim_singly(state.store, decisions, node, now, exc, known, logger)
            if left is not None:
                if not won:
                    raise left from None
                state.back_off.failed(left, "claiming runs")  # what was claimed is carried out
            return won
        if lease is not None:
            if was_sure:
                lease.dispel(doubts)
            lease.note_claim(bool(won))
        return won

    def _rescue(self, lease: Lease) -> None:
        """Take over the runs of nodes that did not renew their lease, and hand them to the executors."""
        state = self._state
        room = self._room()
        permission = lease.permission
        rescued = lease.rescue(state.store.now(), room, state.completions.in_hand or {})
        if lease.left_over:
            from .reopening import end_left_over  # import time

            for run in end_left_over(rescued, lease.left_over, state.store.now()):
                rescued.remove(run)
                state.completions.expect_run(run)
                state.completions.done(run)
        if rescued:
            from .deaths import sort_rescued  # rare

            hand_over(self._outlet, state, sort_rescued(self._outlet, state, rescued, permission))

    def _watch_clock(self) -> None:
        """Notice that the clock that counts for a store's jobs was set, and plan elapsed-time jobs anew."""
        state = self._state
        store = state.store
        delta = state.clocks.jump(store.now(), self._outlet.clock.monotonic())
        if delta:
            state.housekeeping.note_jump(delta)
            state.set_back = state.set_back if delta > 0 else (state.set_back or 0) - delta
            if store.has_clock:
                self._outlet.logger.warning(
                    "The clock of job store %r jumped by %+.1f s", state.alias, delta / SECOND
                )
            state.doubt_lease()

    def _bring_forward(self) -> bool:
        """Plan elapsed-time jobs anew after the clock was set back, for some milliseconds; return whether that is done."""
        state = self._state
        began, logger = self._outlet.clock.monotonic(), self._outlet.logger
        steps = state.moves or bring_forward(state.store, state.set_back or 0, logger)
        state.moves = None  # what raises begins anew
        for _ in steps:
            if self._outlet.clock.monotonic() - began >= TURN:
                state.moves = steps
                return False
        state.set_back = 0
        return True

    def _measure_in_time(self) -> float | None:
        """Measure the clock of a store that is not asked for leases now and then; return the seconds until the next time."""
        state = self._state
        if not state.store.has_clock or self._outlet.clock.virtual:
            return None
        now = self._outlet.clock.monotonic()
        if now - state.measured_at >= MEASURED:
            state.store.measure_clock()
            state.measured_at = now
        return (state.measured_at + MEASURED - now) / SECOND
