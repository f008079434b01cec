"""A world of several nodes on one store, in virtual time, driven by one seed.

Chooses at random what happens next; the audit decides whether it may.
"""

from __future__ import annotations

import random
from contextlib import suppress
from copy import copy
from functools import partial

from ...clock import SECOND, moment
from ...core.extras import AFTER, BACKFILL
from ...core.states import ACTIVE, PAUSED
from ...schedulers.base import STATE_PAUSED, STATE_RUNNING
from ..clock import VirtualClock
from .attempts import name, time
from .audit import Audit
from .chain import begin_chain, has_chain
from .clocks import Clocks
from .fibers import Fibers
from .nodes import Crash, HeldExecutor, Node, instrument
from .users import JOBS, Users
from .witnesses import Witnesses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...jobstores.base import BaseJobStore
    from .attempts import Waits

LEASE = 15.0
#: Within what time retries and snoozed runs start again, unless a clock was set back (microseconds).
SOON = 15 * SECOND
#: How many things happen in a seed, unless somebody wants another number.
STEPS = 120
#: How many nodes there are at most.
NODES = 3
#: How deep one node's work may be interrupted by that of others.
DEPTH = 2
#: How likely a process is killed just before or just after its store does something.
FATAL = 0.02
#: How likely the renewal of a lease comes later than it should.
LATENESS = 0.1
#: How likely something else is done between two statements of a transaction, where a store tells when one begins.
PAUSES = 0.15

#: The store's methods in which something may go wrong, or somebody may come in between.
WATCHED = (
    "add_job",
    "cancel_run",
    "claim",
    "due",
    "find_runs",
    "finish",
    "give_back",
    "leave",
    "lookup_job",
    "next_due",
    "open_runs",
    "remove_all_jobs",
    "remove_job",
    "renew",
    "rescue",
    "save_job",
    "take_waiting",
)
#: Those among them that depend on what was read before; others like to come in between.
CONDITIONAL = ("cancel_run", "claim", "give_back", "rescue", "save_job", "take_waiting")
#: What happens how often.
WEIGHTS = {
    "tick": 40,
    "work": 40,
    "pass time": 16,
    "change a job": 12,
    "crash": 2,
    "suspend": 3,
    "block": 2,
    "shut down": 2,
    "pause or resume": 2,
    "start a node": 4,
    "go on": 40,
    "set a clock": 2,
    "begin or end trouble": 3,
}
#: The same where runs have little time, and are asked to stop: nodes die with such runs.
OFTEN = {"crash": 8, "start a node": 10, "pass time": 24, "change a job": 30}
#: What a store that forgets everything with its process is not put through.
DURABLE_ONLY = ("crash", "suspend", "block", "shut down", "start a node")


class World:
    """One seed's world.

    :param seed: decides everything
    :param make_store: returns a new store object on the same data (for a store that cannot be shared: always the same one)
    :param observer: one more such object, started, for the audit
    :param steps: how many things happen
    """

    def __init__(
        self, seed: int, make_store: Callable[[], BaseJobStore], observer: BaseJobStore, steps: int = STEPS
    ) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.steps = steps
        self.clock = VirtualClock()
        # Never at a whole second: a cron job that is resumed at the very instant of its last run has that time once more.
        self.clock.advance(self.rng.randrange(60) + 0.0005)
        self.audit = Audit(observer)
        self.executing: list[Any] = []
        self.nodes: list[Node] = []
        self.trace: list[str] = []
        self._make_store = make_store
        self._durable = observer.durable
        self._clocks = Clocks(self.rng, self.clock, getattr(observer, "server", None), self._say)
        self._born = 0
        #: how likely an answer of the store is an error
        self._trouble = 0.0
        #: how likely a call of a store is its process's last one
        self._fatal = FATAL if observer.durable else 0.0
        #: how likely a renewal that is due comes later
        self._lateness = LATENESS
        self._depth = 0
        #: the latest instant by which a node has done something
        self._latest = 0
        #: the nodes that are in the middle of a pass
        self._ticking: list[Node] = []
        self._users = Users(self.rng, seed, self.audit, self._say)
        #: what is going on at the same time, if the store can be interrupted in the middle of a transaction; else None
        self._fibers = Fibers() if hasattr(observer, "pause") else None
        #: how likely that is done
        self._pauses = PAUSES
        self._witnesses = Witnesses(self.audit, self._fibers)

    def run(self) -> None:
        """Let everything happen, then let it come to rest, and check the balance.

        :raises Violation: if something is wrong
        """
        left_out = set() if self._durable else set(DURABLE_ONLY)
        if self._fibers is None:
            left_out.add("go on")
        if (
            self._durable and self.audit.read_leases is None
        ):  # a lease of the time before a jump cannot be told
            left_out.add("set a clock")
        happenings = list(WEIGHTS)
        often = OFTEN if self._users.governs else {}
        weights = [0 if what in left_out else often.get(what, weight) for what, weight in WEIGHTS.items()]
        self._start_node()
        for _ in range(JOBS):
            self._change_job()
        if has_chain(self.seed, self.audit):
            self._end_transactions()  # nobody claims anything in between
            if self.nodes:
                begin_chain(self.seed, self.audit, self.nodes[0])
        for what in self.rng.choices(happenings, weights, k=self.steps):
            with suppress(Crash):
                self._do(what)
            if self.audit.violation is not None:
                raise self.audit.violation
        self._come_to_rest()
        if self.audit.violation is not None:
            raise self.audit.violation

    # -- what happens --------------------------------------------------------------------------------------------

    def _do(self, what: str) -> None:
        rng, node = self.rng, self._awake(unblocked=what == "tick")
        if what == "pass time":
            self._pass_time(rng.choice((0.2, 1, 1, 3, 3, 6, 20)) * rng.random())
        elif what == "start a node":
            if len(self.nodes) < NODES:
                self._start_node()
        elif what == "change a job":
            self._change_job()
        elif what == "go on":
            self._go_on()
        elif what == "set a clock":
            self._latest = 0
            self._clocks.set_one(self.nodes)
        elif what == "begin or end trouble":
            self._trouble = 0.0 if self._trouble else rng.choice((0.05, 0.2, 0.5))
        elif node is None:
            self._pass_time(1)
        else:
            self._do_with(node, what)

    def _do_with(self, node: Node, what: str) -> None:
        if what == "tick":
            self._act(node, "pass", lambda: self._tick(node))
        elif what == "work":
            self._act(node, "work", lambda: self._work(node))
        elif what == "crash":
            self._say(f"{node} crashes with {node.executor.under_way} runs")
            self._die(node)
        elif what in ("suspend", "block"):
            self._hold_up(node, what)
        elif what == "shut down":
            if not self._is_busy(node):
                self._act(node, "pass", lambda: self._shut_down(node))
        elif what == "pause or resume":
            self._act(node, "pass", lambda: self._pause_or_resume(node))

    def _act(self, node: Node, kind: str, work: Callable[[], object]) -> None:
        """Do something on behalf of a node, up to where something else comes in between, if the store allows that.

        :param kind: one of "pass", "work" and "renew": a node does one of each at a time
        """
        if self._fibers is None:
            work()
        elif kind not in self._fibers.of(node):
            self._fibers.begin(node, kind, lambda: _unless_killed(work))

    def _is_busy(self, node: Node) -> bool:
        return self._fibers is not None and bool(self._fibers.of(node))

    def _go_on(self) -> None:
        """Let something go on that was interrupted in the middle of a transaction."""
        assert self._fibers is not None
        now = self.clock.monotonic()
        ready = [fiber for fiber in self._fibers.ready() if fiber.who.suspended_until <= now]
        if ready:
            fiber = self.rng.choice(ready)
            self._say(f"{fiber.who} goes on with its {fiber.kind}")
            self._fibers.go_on(fiber)

    def _shut_down(self, node: Node) -> None:
        self._say(f"{node} shuts down with {node.executor.under_way} runs")
        self.nodes.remove(node)
        node.scheduler.shutdown(timeout=0)
        self._die(node)  # a store that failed may have kept something

    def _pause_or_resume(self, node: Node) -> None:
        if node.scheduler.state == STATE_RUNNING:
            self._say(f"{node} pauses")
            node.scheduler.pause()
        elif node.scheduler.state == STATE_PAUSED:
            self._say(f"{node} resumes")
            node.scheduler.resume()

    def _hold_up(self, node: Node, what: str) -> None:
        """Let a node do nothing for a while, or make no passes while its workers work and its lease is renewed."""
        rng = self.rng
        length = rng.choice((3, 10, 30, 60) if what == "suspend" else (3, 10, 30, 100)) * rng.random() + 1
        self._say(f"{node} {'is suspended' if what == 'suspend' else 'makes no passes'} for {length:.1f} s")
        until = self.clock.monotonic() + int(length * SECOND)
        if what == "suspend":
            node.suspended_until = until
        else:
            node.blocked_until = until

    def _start_node(self) -> None:
        rng = self.rng
        store = self._make_store()
        self._born += 1
        executor = HeldExecutor(rng.choice((1, 2, 5, 500)), self.audit, self.executing, self._clocks.latest)
        skew = self._clocks.wrong() if self._durable else 0
        renews_aside = self._durable and rng.random() < 0.7
        node = Node(f"n{self._born}", store, self.clock, skew, executor, LEASE, renews_aside)
        # Nobody sees a record in time, so that the claim decides about jobs that come back.
        store.recorded = lambda since: {}  # type: ignore[method-assign]
        instrument(store, WATCHED, lambda method, original, args: self._call(node, method, original, args))
        if self._fibers is not None:
            store.pause = partial(self._between, node)  # type: ignore[attr-defined]
            store.witness = self._witnesses.begin  # type: ignore[attr-defined]
        self._say(f"{node} starts")
        node.start()
        self.nodes.append(node)

    def _die(self, node: Node) -> None:
        if node in self.nodes:
            self.nodes.remove(node)
        node.crash()

    def _awake(self, unblocked: bool = False) -> Node | None:
        """Return a node that is not suspended, by chance; None if all are.

        :param unblocked: only one that makes passes
        """
        now = self.clock.monotonic()
        awake = [
            node
            for node in self.nodes
            if node.suspended_until <= now and not (unblocked and node.blocked_until > now)
        ]
        return self.rng.choice(awake) if awake else None

    def _tick(self, node: Node) -> None:
        self._say(f"{node} ticks")
        self._ticking.append(node)
        try:
            node.scheduler.tick()
        finally:
            self._ticking.remove(node)

    def _work(self, node: Node) -> None:
        if node.executor.groups:
            run = node.executor.groups[0][0][0]
            self._say(f"{node} works, such as on {run!r}")
            node.executor.step(self.rng)

    def _pass_time(self, seconds: float) -> None:
        self.clock.advance(round(seconds, 3))
        for node in list(self.nodes):
            # Not always in time: a thread may have to wait for its turn, too.
            if node.suspended_until <= self.clock.monotonic() and self.rng.random() >= self._lateness:
                with suppress(Crash):
                    self._act(node, "renew", node.renew)

    def _change_job(self) -> None:
        """Let a user do something with a job, through the node whose clock is the most ahead."""
        awake = [node for node in self.nodes if node.suspended_until <= self.clock.monotonic()]
        if not awake or max(node.now for node in self.nodes) > max(node.now for node in awake):
            return
        node = max(awake, key=lambda node: node.now)
        # A node that was ahead has died: what it planned is not over yet for this one.
        if node.now >= self._latest:
            self._act(node, "pass", lambda: self._users.act(node))

    # -- between a scheduler and its store -----------------------------------------------------------------------

    def _call(self, node: Node, method: str, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        rng = self.rng
        self._latest = max(self._latest, node.now)
        if (
            self._fibers is None
            and self._depth < DEPTH
            and rng.random() < (0.4 if method in CONDITIONAL else 0.05)
        ):
            self._interrupt(node)
        fault, fate = rng.random(), rng.random()
        if not node.alive or fate < self._fatal / 2:
            self._kill(node, f"before {method}")
        if fault < self._trouble / 2:
            self._say(f"   {method} of {node} fails")
            raise ConnectionError(f"{method}: the connection was refused")
        # What a store that lives in the process has done is never in doubt.
        is_lost = self._trouble / 2 <= fault < self._trouble and self._durable
        if is_lost and method == "give_back":  # who hears no answer has changed nothing
            args = ([copy(run) for run in args[0]], *args[1:])
        result = self._witnesses.watch(node, method, original, args)
        if fate < self._fatal:
            self._kill(node, f"after {method}")
        if is_lost:
            self._say(f"   the answer to {method} of {node} is lost")
            raise ConnectionError(f"{method}: the connection was lost before the answer came")
        return result

    def _kill(self, node: Node, when: str) -> None:
        if node.alive:
            self._say(f"   {node} is killed {when}")
            self.audit.count("killed within a call")
            self._die(node)
        raise Crash

    def _interrupt(self, node: Node) -> None:
        """Let somebody do something between two steps of a node."""
        somebody = self._awake()
        if somebody is None:
            return
        self._depth += 1
        with suppress(Crash):
            # A node's workers may end a run in the middle of its pass, but there is one pass at a time.
            if self.rng.random() < 0.1:
                somebody.renew()
            elif (
                somebody is not node
                and somebody not in self._ticking
                and somebody.blocked_until <= self.clock.monotonic()
                and self.rng.random() < 0.6
            ):
                self._tick(somebody)
            else:
                self._work(somebody)
        self._depth -= 1

    def _between(self, node: Node, waits: Callable[[], bool]) -> None:
        """Let others act between two statements of a transaction, at least until it need not wait for them any more."""
        assert self._fibers is not None
        fiber = self._fibers.running
        while waits() or (fiber is not None and self.rng.random() < self._pauses):
            assert fiber is not None, "a transaction waits when there should be no other one"
            fiber.waits = waits
            fiber.pause()
            if not node.alive:
                raise Crash

    def _end_transactions(self) -> None:
        """Let everything come to its end that was interrupted in the middle of a transaction."""
        while self._fibers is not None and self._fibers.paused:
            ready = self._fibers.ready()
            self.audit.require(ready, "transactions wait for each other for ever")
            with suppress(Crash):
                self._fibers.go_on(ready[0])

    # -- the end -------------------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """End all trouble, let every run end, and check the balance."""
        self._trouble = self._fatal = self._lateness = self._pauses = 0.0
        self._depth = DEPTH
        self._say("-- everything comes to rest")
        if not self.nodes:
            self._start_node()
        self._end_transactions()
        for node in self.nodes:
            node.suspended_until = node.blocked_until = 0
            node.executor.succeeds_from = 3
            if node.scheduler.state == STATE_PAUSED:
                node.scheduler.resume()
        self._pass_time(4)  # nobody leaves the store alone for longer after an error
        self._end_backfills()
        begin = self._places()
        self._rest_until(lambda: self._are_over(begin), "runs that were under way")
        # A node whose clock is ahead may have looked before another one let the job go.
        earliest = min(node.now for node in self.nodes)
        for job_id in self.audit.segments:
            self.audit.is_in_time(job_id, earliest)
        for job_id in self.audit.segments:
            seen = self.audit.look(job_id)
            if seen is not None and seen.state in (ACTIVE, PAUSED):  # a pause may have an end
                self.nodes[0].scheduler.pause_job(job_id)
        # Those wait whose time is not far, or as a clock was set back.
        self._cancel_waiting(lambda job_id, waits: waits.not_before > earliest)
        self._rest_until(self._is_at_rest, "the last runs")
        self.audit.balance()

    def _end_backfills(self) -> None:
        """Have the backfills come to their ends; those of jobs that start nothing, or are kept busy by retries, are cancelled."""
        store, rounds = self.nodes[0].store, iter(range(10))

        def are_over() -> bool:
            is_late = next(rounds, None) is None
            soon = min(node.now for node in self.nodes) + SOON
            far = {key[0] for key, waits in self.audit.waiting.items() if waits.not_before > soon}
            for job_id in store.backfills():
                seen = self.audit.look(job_id)
                if seen is not None and (seen.state != ACTIVE or job_id in far or is_late):
                    self.nodes[0].scheduler.cancel_backfill(job_id)
            return not store.backfills()

        self._rest_until(are_over, "backfills")

    def _are_over(self, begin: set[tuple[str, int]]) -> bool:
        """Whether some runs neither are under way nor keep their places; those that nobody starts soon are cancelled."""
        soon = min(node.now for node in self.nodes) + SOON
        cancels = self._cancel_waiting(
            lambda job_id, waits: waits.keeps_place and (waits.not_before > soon or self._is_paused(job_id))
        )
        return not cancels and not begin & self._places()

    def _is_at_rest(self) -> bool:
        # Their jobs are paused, and start none of them.
        cancels = self._cancel_waiting(
            lambda job_id, waits: waits.keeps_place or waits.why in (BACKFILL, AFTER)
        )
        return not cancels and not self.audit.claimed and not self.audit.waiting

    def _places(self) -> set[tuple[str, int]]:
        """Return the keys of the runs that are under way, or keep their places while they wait."""
        return {*self.audit.claimed, *(key for key, waits in self.audit.waiting.items() if waits.keeps_place)}

    def _is_paused(self, job_id: str) -> bool:
        seen = self.audit.look(job_id)
        return seen is not None and seen.state == PAUSED

    def _cancel_waiting(self, is_meant: Callable[[str, Waits], bool]) -> bool:
        """Cancel some of the runs that wait; return whether there were any: their jobs may have become due."""
        keys = [key for key, waits in sorted(self.audit.waiting.items()) if is_meant(key[0], waits)]
        for job_id, nominal in keys:
            self.nodes[0].scheduler.cancel_run(job_id, moment(nominal))
        return bool(keys)

    def _rest_until(self, reached: Callable[[], bool], what: str) -> None:
        # Longer than two leases (who comes back gives the others one), the pauses after errors and a rescue; and as often as a node
        # makes passes.
        in_vain, before = 0, 0
        for _ in range(500):
            self._drain()
            if reached():
                return
            self._pass_time(2.5)
            left = len(self.audit.claimed) + len(self.audit.waiting)
            # Runs that wait for one place start one after another, however many there are.
            in_vain, before = 0 if left < before else in_vain + 1, left
            if in_vain == 20:
                break
        self.audit.require(
            False, f"{what} never ended: {list(map(name, (*self.audit.claimed, *self.audit.waiting)))}"
        )

    def _drain(self) -> None:
        """Let all nodes do what they can do at this moment."""
        for node in self.nodes:
            for _ in range(5000):
                self._say(f"{node} ticks")
                wait = node.scheduler.tick()
                if not node.executor.groups and wait != 0:
                    break
                while node.executor.groups:
                    node.executor.step(self.rng)
            else:
                self.audit.require(False, f"{node} does not come to an end")

    def _say(self, what: str) -> None:
        if what:
            self.trace.append(f"{time(self.clock.now())}  {what}")


def _unless_killed(work: Callable[[], object]) -> None:
    with suppress(Crash):
        work()
