"""What the nodes and users of a small world send, in a form in which it can be copied in the middle and gone on with.

It sends nothing by itself.
"""

from __future__ import annotations

from typing import NamedTuple

from ...clock import SECOND, moment
from ...core.plan import plan
from ...core.policy import DEFAULT_POLICY, with_options
from ...core.run import Run
from ...core.states import ACTIVE, ENDED, LOST, succeed
from ...job.handle import Job
from ...triggers.interval import IntervalTrigger
from ..clock import VirtualClock
from . import protocol, waiting
from .rows import JobRow, job_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .database import Program
    from .rules import Rules

#: The nodes, by names that can be exchanged in a text.
NODES = ("¹", "²")
LEASE = 15 * SECOND
#: How often time passes by a whole lease.
LEASES = 2
#: How many nominal times each job has, a second apart.
TIMES = 3
FIRST = VirtualClock().now()
SCHEDULE = tuple(FIRST + number * SECOND for number in range(TIMES))


class Held(NamedTuple):
    """A run that a node has in hand."""

    job_id: str
    nominal: int
    attempt: int
    due: int
    #: whether the schedule of its job was over when it was claimed
    is_last: bool


class Node(NamedTuple):
    """What a node knows.

    :ivar is_late: whether its lease may be over, and it does not know whose its runs are
    :ivar offset: how far it thinks that the server's clock is ahead
    :ivar trusts_until: until when it declares nobody dead (elapsed time)
    :ivar looked: the rows that it found due, and when; they wait to be claimed
    """

    is_alive: bool = True
    is_late: bool = False
    offset: int = 0
    trusts_until: int = -1
    looked: tuple[int, tuple[JobRow, ...]] | None = None
    hand: tuple[Held, ...] = ()


class Budget(NamedTuple):
    """What may still go wrong, and what users may still do."""

    crashes: int = 1
    suspensions: int = 1
    late: int = 1
    jumps: int = 1
    removals: int = 1
    additions: int = 1
    leases: int = LEASES


class Call:
    """What a node or a user has sent and not finished: the answers so far, from which it can be gone on with."""

    __slots__ = ("actor", "arguments", "is_late", "kind", "results", "transaction", "tries")

    def __init__(self, actor: str, kind: str, arguments: Any, is_late: bool) -> None:
        self.actor = actor
        self.kind = kind
        self.arguments = arguments
        #: whether it waits between any two statements; else only for locks
        self.is_late = is_late
        self.results: list[Any] = []
        self.transaction: int | None = None
        self.tries = 0

    def copy(self) -> Call:
        """Return a copy that can go its own way."""
        twin = Call(self.actor, self.kind, self.arguments, self.is_late)
        twin.results, twin.transaction, twin.tries = list(self.results), self.transaction, self.tries
        return twin


def program_of(call: Call, rules: Rules, clock: Callable[[], int]) -> Program:
    """Return what a call sends, from its beginning.

    :param clock: returns what the caller takes for the time
    """
    actor, kind, arguments = call.actor, call.kind, call.arguments
    if kind == "claim":
        now, rows = arguments
        return protocol.claim([plan(job_of(row), now) for row in rows], actor, now, rules)
    if kind == "finish":
        now, held = arguments
        runs = [_run(run, actor) for run in held]
        for run in runs:
            succeed(run, None, now)
        return protocol.finish(runs, now, rules)
    if kind == "renew":
        now, held, in_doubt = arguments
        return protocol.renew(actor, now, now + LEASE, [_run(run, actor) for run in held], in_doubt)
    if kind == "rescue":
        now, known, ownerless = arguments
        return protocol.rescue(actor, now, None, known, False, ownerless, clock=clock)
    if kind == "leave":
        return protocol.leave(actor, [_run(run, actor) for run in arguments])
    if kind == "remove":
        return waiting.remove(arguments[0], 0)  # no run waits there, which would end by then
    job_id, first = arguments
    return protocol.add(
        JobRow(job_id, first, first, 1000, ACTIVE, 0, None, templates()[job_id], first), rules
    )


def _run(held: Held, owner: str) -> Run:
    job = templates()[held.job_id]
    if held.is_last:
        job = job.copy()
        job.state = ENDED
    run = Run(held.job_id, held.nominal, held.due, job)
    run.attempt, run.owner = held.attempt, owner
    return run


_jobs: dict[str, Job] = {}


def templates() -> dict[str, Job]:
    """Return the two jobs."""
    if not _jobs:
        trigger = IntervalTrigger(seconds=1, start_date=moment(SCHEDULE[0]), end_date=moment(SCHEDULE[-1]))
        options: dict[str, dict[str, Any]] = {
            "a": {"coalesce": False, "max_attempts": 3},
            "b": {"coalesce": True, "on_lost": LOST, "max_instances": 2},
        }
        for job_id, policy in options.items():
            job = Job(None, job_id, func="rota.testing.simulation.nodes:work", trigger=trigger)
            job.policy, job.state = with_options(DEFAULT_POLICY, policy), ACTIVE
            _jobs[job_id] = job
    return _jobs
