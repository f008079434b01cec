"""A world so small that everything that can happen in it can be tried: two nodes, two jobs with three times each, one database.

It knows what can happen next and makes it happen; in which order is the search's business.
"""

from __future__ import annotations

from ...clock import SECOND
from ...core.extras import extra_of
from ...core.states import ACTIVE, CLAIMED, ENDED, WAITING
from ...errors import ConflictingIdError, JobLookupError
from .database import COMMIT, Database, Deadlock, Duplicate, Waits
from .rows import JobRow, NodeRow, is_due, waiting_of, when
from .rules import ALL
from .small_audit import judge, judge_end
from .small_calls import (
    FIRST,
    LEASE,
    LEASES,
    NODES,
    SCHEDULE,
    TIMES,
    Budget,
    Call,
    Held,
    Node,
    program_of,
    templates,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ...core.run import Run
    from .rules import Rules

USER = "user"
#: How the clock of the server jumps: beyond a lease, and back.
JUMPS = (20 * SECOND, -2 * SECOND)
#: How wrong a node's clock has to turn out to count as a jump.
NOTICED = 2 * SECOND
#: How often a transaction that lost against another is tried.
TRIES = 3
#: How many rounds everything takes to come to rest, at most.
ROUNDS = 30


class SmallWorld:
    """One state of the world.

    :param rules: the rules of the protocol that are kept
    :param budget: what may go wrong, and what users may do
    """

    __slots__ = ("budget", "calls", "db", "elapsed", "nodes", "rules", "shift")

    def __init__(self, rules: Rules = ALL, budget: Budget | None = None) -> None:
        self.rules = rules
        self.budget = budget or Budget()
        self.db = Database()
        #: microseconds since the first nominal time
        self.elapsed = 0
        #: how far the server's clock has jumped
        self.shift = 0
        self.nodes = dict.fromkeys(NODES, Node())
        self.calls: list[Call] = []
        first = SCHEDULE[0]
        jobs = {
            id: JobRow(id, first, first, 0, ACTIVE, 0, None, job, first) for id, job in templates().items()
        }
        leases = {node: NodeRow(node, first + LEASE, first) for node in NODES}
        self.db.committed = self.db.committed._replace(jobs=jobs, nodes=leases)

    def copy(self) -> SmallWorld:
        """Return a copy that can go its own way."""
        twin = SmallWorld.__new__(SmallWorld)
        twin.rules, twin.budget, twin.elapsed, twin.shift = self.rules, self.budget, self.elapsed, self.shift
        twin.db = self.db.copy()
        twin.nodes = dict(self.nodes)
        twin.calls = [call.copy() for call in self.calls]
        return twin

    @property
    def now(self) -> int:
        """What the server's clock shows."""
        return FIRST + self.elapsed + self.shift

    def now_of(self, node: str) -> int:
        """Return what a node takes for the server's time."""
        return FIRST + self.elapsed + self.nodes[node].offset

    # -- what can happen -----------------------------------------------------------------------------------------

    def choices(self) -> Iterator[tuple[str, Callable[[SmallWorld], None]]]:
        """Yield what can happen next: what it is called, and what makes it happen in a copy of this world."""
        for index, call in enumerate(self.calls):
            transaction = self.db.open.get(call.transaction or 0)
            if transaction is None or transaction.waits_for is None:
                yield (
                    f"{call.kind} of {call.actor} goes on",
                    lambda world, index=index: world._go_on(world.calls[index]),  # type: ignore[misc]
                )
        for name, node in self.nodes.items():
            if node.is_alive:
                yield from self._choices_of(name, node)
        yield from self._accidents()
        yield from self._choices_of_users()
        if self.elapsed < (TIMES - 1) * SECOND:
            yield "a second passes", lambda world: world._pass_time(SECOND)
        if self.budget.leases and any(not node.is_alive for node in self.nodes.values()):
            yield "a lease passes", lambda world: world._pass_lease(None)

    def _choices_of(self, name: str, node: Node) -> Iterator[tuple[str, Callable[[SmallWorld], None]]]:
        busy = {call.kind for call in self.calls if call.actor == name}
        if not busy - {"finish", "give_back"}:
            for kind, arguments in self._passes(name, node):
                if kind == "look":
                    yield f"{name} looks", lambda world: world._look(name)
                else:
                    yield from self._begins(name, kind, arguments)
        if not busy & {"finish", "give_back"}:
            now, heads = self.now_of(name), _heads(node)
            for run in heads:
                yield from self._begins(name, "finish", (now, (run,)))
                if self.budget.failures and not run.is_asked and _is_only(run, node):
                    yield from self._begins(name, "give_back", (now, (run,)))
            if len(heads) > 1:
                yield from self._begins(name, "finish", (now, heads))

    def _passes(self, name: str, node: Node) -> Iterator[tuple[str, Any]]:
        """Yield what the passes of a node may do next, and with what."""
        now, lease = self.now_of(name), self.db.committed.nodes.get(name)
        if node.is_late or node.offset != self.shift or lease is None or lease.until < self.now:
            yield "renew", (self.now, node.hand, node.is_late)
        if node.looked is not None:
            yield "claim", node.looked
            return
        if not node.is_late and any(is_due(row, now) for row in self.db.committed.jobs.values()):
            yield "look", None
        if not node.is_late and any(
            run.status == WAITING and when(run) <= now for run in self.db.committed.runs.values()
        ):
            yield "take", now
        if self._has_orphans(name, node, now):
            yield (
                "rescue",
                (now, frozenset((run.job_id, run.nominal) for run in node.hand), self._trusts(node)),
            )

    def _begins(
        self, actor: str, kind: str, arguments: Any
    ) -> Iterator[tuple[str, Callable[[SmallWorld], None]]]:
        what = f"{kind} of {actor}"
        if kind in ("finish", "give_back"):
            what += f" ({', '.join(f'{run.job_id}@{run.nominal - FIRST}' for run in arguments[1])})"
        elif kind in ("add", "remove"):
            what += f" ({arguments[0]})"
        elif kind == "cancel":
            what += f" ({arguments[0]}@{arguments[1] - FIRST})"
        yield what, lambda world: world._begin(Call(actor, kind, arguments, False))
        if self.budget.late:
            yield f"{what} begins", lambda world: world._begin(Call(actor, kind, arguments, True))

    def _accidents(self) -> Iterator[tuple[str, Callable[[SmallWorld], None]]]:
        for name, node in self.nodes.items():
            if node.is_alive and self.budget.crashes:
                yield f"{name} crashes", lambda world, name=name: world._crash(name)  # type: ignore[misc]
                if not any(call.actor == name for call in self.calls):
                    yield from self._begins(name, "leave", node.hand)
            if node.is_alive and self.budget.suspensions:
                yield (
                    f"{name} is suspended for a lease",
                    lambda world, name=name: world._pass_lease(name),  # type: ignore[misc]
                )
        if self.budget.jumps:
            for jump in JUMPS:
                yield (
                    f"the server's clock jumps by {jump // SECOND} s",
                    lambda world, jump=jump: world._jump(jump),  # type: ignore[misc]
                )

    def _choices_of_users(self) -> Iterator[tuple[str, Callable[[SmallWorld], None]]]:
        if any(call.actor == USER for call in self.calls):
            return
        for job_id in templates():
            if job_id in self.db.committed.jobs:
                if self.budget.removals:
                    yield from self._begins(USER, "remove", (job_id,))
            elif self.budget.additions:
                first = next((nominal for nominal in SCHEDULE if nominal >= self.now), None)
                if first is not None:
                    yield from self._begins(USER, "add", (job_id, first))
        if self.budget.cancels:
            for key, run in self.db.committed.runs.items():
                if run.status in (CLAIMED, WAITING):
                    yield from self._begins(USER, "cancel", key)

    def _trusts(self, node: Node) -> bool:
        return node.is_late or self.elapsed < node.trusts_until

    def _has_orphans(self, name: str, node: Node, now: int) -> bool:
        view, ownerless = self.db.committed, self._trusts(node)
        return any(
            run.status == CLAIMED
            and (
                run.owner is None
                or (
                    run.owner != name
                    and not ownerless
                    and (run.owner not in view.nodes or view.nodes[run.owner].until < now)
                )
            )
            for run in view.runs.values()
        )

    # -- what happens --------------------------------------------------------------------------------------------

    def _look(self, name: str) -> None:
        now = self.now_of(name)
        rows = tuple(row for row in self.db.committed.jobs.values() if is_due(row, now))
        if not self.rules.limits:
            rows = tuple(row._replace(running=0) for row in rows)
        ids = {row.id for row in rows}
        waits = tuple(
            Held(run.job_id, run.nominal, run.attempt, run.due, False)
            for run in waiting_of(self.db.committed)
            if run.job_id in ids
        )
        self._know(name, looked=(now, rows, waits))

    def _crash(self, name: str) -> None:
        self._spend(crashes=1)
        self._die(name)

    def _die(self, name: str) -> None:
        self.nodes[name] = Node(is_alive=False)
        for call in self.calls:
            if call.actor == name and call.transaction is not None:
                self.db.end(self.db.open[call.transaction], False)
        self.calls = [call for call in self.calls if call.actor != name]

    def _jump(self, jump: int) -> None:
        self._spend(jumps=1)
        self.shift += jump

    def _pass_time(self, length: int) -> None:
        self.elapsed += length

    def _pass_lease(self, suspended: str | None) -> None:
        """Let time pass by more than a lease; whoever is awake renews its own all the time."""
        if suspended is None:
            self._spend(leases=1)
        else:
            self._spend(suspensions=1)
        before = self.elapsed
        self.elapsed += LEASE + SECOND
        rows = dict(self.db.committed.nodes)
        for name, node in self.nodes.items():
            if name == suspended:
                self._know(name, is_late=True)
            elif node.is_alive and not node.is_late:
                trusts = before + LEASE if abs(self.shift - node.offset) > NOTICED else node.trusts_until
                self._know(name, offset=self.shift, trusts_until=trusts)
                rows[name] = NodeRow(name, self.now + LEASE, self.now)
        self.db.committed = self.db.committed._replace(nodes=rows)

    def _begin(self, call: Call) -> None:
        if call.is_late:
            self._spend(late=1)
        if call.kind == "leave":
            self._spend(crashes=1)
        elif call.kind == "remove":
            self._spend(removals=1)
        elif call.kind == "add":
            self._spend(additions=1)
        elif call.kind == "give_back":
            self._spend(failures=1)
        elif call.kind == "cancel":
            self._spend(cancels=1)
        elif call.kind == "claim":
            self._know(call.actor, looked=None)
        self.calls.append(call)
        self._go_on(call)

    def _know(self, name: str, **changes: Any) -> None:
        self.nodes[name] = self.nodes[name]._replace(**changes)

    def _spend(self, **amounts: int) -> None:
        left = {what: getattr(self.budget, what) - amount for what, amount in amounts.items()}
        self.budget = self.budget._replace(**left)

    # -- calls ---------------------------------------------------------------------------------------------------

    def _go_on(self, call: Call) -> None:
        """Execute the next statement of a call that is late, or all that are left of another one, up to a lock."""
        while True:
            try:
                self._carry_out(call)
                return
            except Deadlock:
                call.results, call.transaction = [], None
                call.tries += 1
                if call.tries == TRIES:
                    self.calls.remove(call)
                    return

    def _carry_out(self, call: Call) -> None:
        program = program_of(call, self.rules, lambda: self.now_of(call.actor))
        try:
            statement = program.send(None)
            for result in call.results:
                statement = (program.throw if type(result) is Duplicate else program.send)(result)
            while True:
                try:
                    result = self._execute(call, statement)
                except Waits:
                    return
                call.results.append(result)
                statement = (program.throw if type(result) is Duplicate else program.send)(result)
                if call.is_late:
                    return
        except StopIteration as end:
            self._finished(call, end.value)
        except (ConflictingIdError, JobLookupError):
            self._finished(call, None)

    def _execute(self, call: Call, statement: Any) -> Any:
        db = self.db
        transaction = db.begin() if call.transaction is None else db.open[call.transaction]
        call.transaction = transaction.number
        before = db.committed
        try:
            result = db.execute(transaction, statement)
        except Duplicate as exc:
            result = exc
        if transaction.number not in db.open:
            call.transaction = None
        if statement is COMMIT and before is not db.committed:
            now = None if self.shift else self.now
            judge(before, db.committed, SCHEDULE, now, call.actor == USER)
        return result

    def _finished(self, call: Call, result: Any) -> None:
        if call.transaction is not None:
            self.db.end(self.db.open[call.transaction], False)
        self.calls.remove(call)
        name, kind = call.actor, call.kind
        if kind == "claim":
            for decision in result:
                self._take(name, decision.runs, decision.state == ENDED)
        elif kind in ("rescue", "take"):
            for run in result or ():
                if not run.ended:
                    self._take(name, [run], run.job.state == ENDED)
        elif kind == "finish":
            ended = call.arguments[1]
            self._know(name, hand=tuple(run for run in self.nodes[name].hand if run not in ended))
        elif kind == "give_back":
            asked = {(run.job_id, run.nominal) for run in result or () if extra_of(run).cancel is not None}
            given, hand = call.arguments[1], self.nodes[name].hand
            kept = [run for run in hand if run not in given or (run.job_id, run.nominal) in asked]
            self._know(name, hand=tuple(run._replace(is_asked=run in given or run.is_asked) for run in kept))
        elif kind == "renew":
            node = self.nodes[name]
            trusts = node.is_late or abs(self.shift - node.offset) > NOTICED
            until = self.elapsed + LEASE if trusts else node.trusts_until
            self._know(name, is_late=False, offset=self.shift, trusts_until=until)
        elif kind == "leave":
            self._die(name)

    def _take(self, name: str, runs: list[Run], is_last: bool) -> None:
        taken = [Held(run.job_id, run.nominal, run.attempt, run.due, is_last) for run in runs]
        self._know(name, hand=(*self.nodes[name].hand, *taken))

    # -- the end -------------------------------------------------------------------------------------------------

    def come_to_rest(self, known: set[bytes], state_of: Callable[[SmallWorld], bytes]) -> None:
        """End all trouble, and check that everything comes to an end.

        :param known: the states on the way that are known to come to an end; new ones are added
        :param state_of: returns what makes two worlds the same
        :raises Violation: if it does not
        """
        self.budget = Budget(0, 0, 0, 0, 0, 0, LEASES)
        self.elapsed = max(self.elapsed, TIMES * SECOND + max(-self.shift, 0))
        passed: set[bytes] = set()
        for _ in range(ROUNDS):
            while self.calls:  # one at least waits for none: a circle is rolled back
                self._go_on(next(call for call in self.calls if not self._waits(call)))
            state = state_of(self)
            if state in known:
                known |= passed
                return
            passed.add(state)
            acted = [self._live(name) for name, node in self.nodes.items() if node.is_alive]
            if not any(acted):
                if not self.budget.leases:
                    break
                self._pass_lease(None)
        judge_end(self.db.committed)
        known |= passed

    def _waits(self, call: Call) -> bool:
        transaction = self.db.open.get(call.transaction or 0)
        return transaction is not None and transaction.waits_for is not None

    def _live(self, name: str) -> bool:
        """Let a node do what it can do; return whether there was anything."""
        acted = False
        for wanted in ("renew", "look", "claim", "take", "rescue"):
            for kind, arguments in self._passes(name, self.nodes[name]):
                if kind == wanted:
                    acted = True
                    if kind == "look":
                        self._look(name)
                    else:
                        self._begin(Call(name, kind, arguments, False))
                    break
        heads = _heads(self.nodes[name])
        if heads:
            self._begin(Call(name, "finish", (self.now_of(name), heads), False))
        return acted or bool(heads)


def _heads(node: Node) -> tuple[Held, ...]:
    """Return the runs of a node that may end next: those of one job are executed one after another."""
    return tuple({run.job_id: run for run in reversed(node.hand)}.values())


def _is_only(run: Held, node: Node) -> bool:
    """Whether no other run of the job is in hand: members of one group are given back when their last one has ended."""
    return sum(other.job_id == run.job_id for other in node.hand) == 1
