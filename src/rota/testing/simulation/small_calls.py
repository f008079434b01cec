"""What the nodes and users of a small world send, in a form in which it can be copied in the middle and gone on with.

It sends nothing by itself.
"""

from __future__ import annotations

from typing import NamedTuple

from ...clock import SECOND, moment
from ...core.extras import RETRY, extra_of
from ...core.plan import plan, superseding
from ...core.policy import DEFAULT_POLICY, with_options
from ...core.retry import Retry
from ...core.run import Run
from ...core.states import ACTIVE, CANCELLED, ENDED, FAILED, LOST, end, succeed, wait
from ...core.tries import NEXT, superseded
from ...job.handle import Job
from ...triggers.interval import IntervalTrigger
from ..clock import VirtualClock
from . import protocol, waiting
from .rows import JobRow, job_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ...core.plan import Decision
    from .database import Program
    from .rules import Rules

#: The nodes, by names that can be exchanged in a text.
NODES = ("¹", "²")
LEASE = 15 * SECOND
#: How often time passes by a whole lease.
LEASES = 2
#: How many nominal times each job has, a second apart.
TIMES = 3
#: Why users ask runs to stop.
CANCEL = "no more"
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
    #: whether its node has been told, as it gave it back, that somebody has asked it to stop
    is_asked: bool = False


class Node(NamedTuple):
    """What a node knows.

    :ivar is_late: whether its lease may be over, and it does not know whose its runs are
    :ivar offset: how far it thinks that the server's clock is ahead
    :ivar trusts_until: until when it declares nobody dead (elapsed time)
    :ivar looked: the rows that it found due, when, and the runs of these jobs that wait; they wait to be claimed
    """

    is_alive: bool = True
    is_late: bool = False
    offset: int = 0
    trusts_until: int = -1
    looked: tuple[int, tuple[JobRow, ...], tuple[Held, ...]] | None = None
    hand: tuple[Held, ...] = ()


class Budget(NamedTuple):
    """What may still go wrong, and what users may still do.

    :ivar failures: how many attempts may still fail, and be followed by another one
    :ivar cancels: how many runs users may still ask to stop
    """

    crashes: int = 1
    suspensions: int = 1
    late: int = 1
    jumps: int = 1
    removals: int = 1
    additions: int = 1
    leases: int = LEASES
    failures: int = 0
    cancels: int = 0


#: What may happen where runs are tried again.
RETRIES = Budget(jumps=0, removals=0, additions=0, failures=1, cancels=1)


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
        now, rows, waits = arguments
        return protocol.claim([_plan(row, waits, now) for row in rows], actor, now, rules)
    if kind == "finish":
        now, held = arguments
        runs = [_run(run, actor) for run in held]
        for run, each in zip(runs, held, strict=True):
            if each.is_asked:
                end(run, CANCELLED, CANCEL, now)
            else:
                succeed(run, None, now)
        return protocol.finish(runs, now, rules)
    if kind == "give_back":
        now, held = arguments
        return waiting.give_back([_failed(_run(run, actor), now) for run in held], now, rules)
    if kind == "take":
        return waiting.take(actor, arguments, None, rules=rules)
    if kind == "cancel":
        job_id, nominal = arguments
        return waiting.cancel(job_id, nominal, CANCEL, 0)
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


def _plan(row: JobRow, waits: Sequence[Held], now: int) -> Decision:
    """Return what is decided about a due job; its retries that wait end with the claim, as the engine has it."""
    job = job_of(row)
    retry, retries = job.policy.retry, []
    if retry is not None and retry.until == NEXT and job.running > 0 and job.next_nominal is not None:
        runs = [_failed(_run(held, None), now) for held in waits if held.job_id == job.id]
        for run in runs:
            wait(run)
        retries = superseded(runs, {job.id: job.next_nominal})
    return superseding(plan(job, now, free=len(retries)), retries)


def _failed(run: Run, now: int) -> Run:
    """Return a run whose attempt has failed, and that may be tried again at once."""
    end(run, FAILED, None, now)
    extra = extra_of(run)
    extra.waiting_for, extra.not_before = RETRY, now
    return run


def _run(held: Held, owner: str | None) -> Run:
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
            "a": {"coalesce": False, "max_attempts": 3, "retry": Retry(wait_initial=1)},
            "b": {
                "coalesce": True,
                "on_lost": LOST,
                "max_instances": 2,
                "retry": Retry(wait_initial=1, until=None),
            },
        }
        for job_id, policy in options.items():
            job = Job(None, job_id, func="rota.testing.simulation.nodes:work", trigger=trigger)
            job.policy, job.state = with_options(DEFAULT_POLICY, policy), ACTIVE
            _jobs[job_id] = job
    return _jobs
