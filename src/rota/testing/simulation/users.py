"""The users of a simulation: they add, pause, change and remove jobs through one of the nodes.

They choose at random; the audit decides whether what comes of it may be.
"""

from __future__ import annotations

from contextlib import contextmanager
from random import Random

from ...clock import SECOND, moment
from ...core.retry import Retry
from ...core.states import ACTIVE
from ...errors import RotaError
from ...triggers.cron import CronTrigger
from ...triggers.date import DateTrigger
from ...triggers.interval import IntervalTrigger
from .nodes import Crash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ...triggers.base import BaseTrigger
    from .audit import Audit
    from .nodes import Node

#: How many jobs there are at most.
JOBS = 3
#: In what part of the worlds the time of runs is limited, users ask many of them to stop, and nodes die more often.
GOVERNED = 0.25

#: What they do with schedules, some things more often than others.
OF_SCHEDULES = (
    "add",
    "add",
    "add again",
    "add again",
    "remove",
    "pause",
    "resume",
    "resume",
    "reschedule",
    "modify",
    "run at",
    "set back",
    "replace",
)
#: All that they do.
KINDS = (
    *OF_SCHEDULES,
    "ask for a run of",
    "ask for a run of",
    "cancel a run of",
    "backfill",
    "backfill",
    "cancel the backfill of",
)
#: The same where they ask many runs to stop.
OFTEN_CANCELLING = (*KINDS, *(6 * ("cancel a run of",)))

WORK = "rota.testing.simulation.nodes:work"


#: what due times of the jobs meet, drawn by their numbers; of terminate_other the simulation has no worker processes
OVERLAPS = ("skip", "skip", "skip", "buffer_one", "buffer_all", "cancel_other", "allow_all")


class Users:
    """The users of one world.

    :param say: takes a line for the trace
    """

    def __init__(self, rng: Random, seed: int, audit: Audit, say: Callable[[str], None]) -> None:
        self._rng = rng
        self._seed = seed
        self._audit = audit
        self._say = say
        self._ticks_of_phase = 0
        self._apart = Random(f"{seed} apart")
        #: whether this is a world in which the time of runs is limited, and users ask many of them to stop
        self.governs = self._apart.random() < GOVERNED
        self._policies = [self._policy(number) for number in range(JOBS)]
        #: the latest trigger with which each job was replaced
        self._triggers: dict[int, BaseTrigger] = {}

    def act(self, node: Node) -> None:
        """Be a user who does something with a job, through a node."""
        rng = self._rng
        node.began = node.now
        number = rng.randrange(JOBS)
        job_id = f"{self._seed}.{number}"
        kind = rng.choice(OFTEN_CANCELLING if self.governs else KINDS)
        self._say(f"{node}: a user wants to {kind} {job_id}")
        try:
            self._do(kind, node, number, job_id)
        except (RotaError, ConnectionError, Crash) as exc:
            self._say(f"   which fails: {type(exc).__name__}")

    def _do(self, kind: str, node: Node, number: int, job_id: str) -> None:
        rng, scheduler = self._rng, node.scheduler
        if kind == "add":
            added = scheduler.add_job(WORK, self._trigger(node.now), id=job_id, **self._policies[number])
            self._triggers[number] = added.trigger
        elif kind == "remove":
            if rng.random() < 0.3:
                scheduler.remove_all_jobs()
            else:
                scheduler.remove_job(job_id)
        elif kind == "pause":
            for_a_while = self._apart.random() < 0.6
            until = moment(node.now + self._apart.randint(1, 8) * SECOND) if for_a_while else None
            scheduler.pause_job(job_id, until=until)
        elif kind == "resume":
            if self._is_paused(job_id):
                scheduler.resume_job(job_id)
        elif kind == "reschedule":
            scheduler.reschedule_job(job_id, trigger=self._trigger(node.now + 10 * SECOND))
        elif self._edits_paused(kind, node, job_id):
            pass
        elif kind == "modify":
            scheduler.modify_job(job_id, name=f"renamed at {node.now}")
        elif kind == "run at":
            self._ticks_of_phase += 1
            when = (node.now // SECOND + rng.randint(5, 20)) * SECOND + self._ticks_of_phase
            scheduler.modify_job(job_id, next_run_time=moment(when))
        elif kind == "set back":
            self._set_back(node, job_id)
        else:
            self._do_more(kind, node, number, job_id)

    def _edits_paused(self, kind: str, node: Node, job_id: str) -> bool:
        """Give a paused job another trigger, and it stays so, or a time that it owes, with which it goes on; or do not."""
        owed = self._audit.owed.of(job_id)
        if owed is None or kind not in ("modify", "run at") or self._apart.random() < 0.5:
            return False
        if kind == "modify":
            node.scheduler.modify_job(job_id, trigger=self._trigger(node.now + 10 * SECOND))
            return True
        if type(owed.trigger) is not IntervalTrigger:
            return False
        when = owed.first + self._apart.randint(0, 8) * owed.trigger.microseconds
        with _seeing_records(node):
            node.scheduler.modify_job(job_id, next_run_time=moment(when))
        return True

    def _do_more(self, kind: str, node: Node, number: int, job_id: str) -> None:
        if "backfill" in kind:
            self._backfill(kind, node)
        elif kind.endswith("a run of"):
            self._govern(kind, node, job_id)
        else:
            self._bring_back(kind, node, number, job_id)

    def _govern(self, kind: str, node: Node, job_id: str) -> None:
        rng = self._rng
        nominal = self._audit.some_run(job_id, rng)
        if kind == "cancel a run of":
            if nominal is None:
                self._leave_out(node, job_id)
            else:
                node.scheduler.cancel_run(job_id, moment(nominal), reason="cancelled by a user")
        elif self._audit.durable:  # else it is claimed at once, as no pass plans it
            later = moment(node.now + rng.randint(1, 20) * SECOND)
            with _seeing_records(node):  # of the same instant, as no time passes here
                node.scheduler.run_job(job_id, not_before=later if rng.random() < 0.5 else None)

    def _leave_out(self, node: Node, job_id: str) -> None:
        """Cancel a time of an interval job that has not come: the next one, or one of those after it."""
        job = node.store.lookup_job(job_id)
        if job is None or type(job.trigger) is not IntervalTrigger:
            return
        following = job.trigger.first(node.now) if job.next_nominal is None else job.next_nominal
        if following is not None:
            ahead = self._apart.randint(0, 3) * job.trigger.microseconds
            node.scheduler.cancel_run(job_id, moment(following + ahead))

    def _backfill(self, kind: str, node: Node) -> None:
        """Have some of the latest times of a job run, one whose schedule has times that no other one has; or end that."""
        rng = self._rng
        found = [node.store.lookup_job(f"{self._seed}.{number}") for number in range(JOBS)]
        jobs = [job for job in found if job is not None and type(job.trigger) is IntervalTrigger]
        if not jobs:
            return
        job_id = rng.choice(jobs).id
        if kind == "backfill":
            start, every = node.now - rng.randint(1, 60) * SECOND, rng.random() < 0.3
            node.scheduler.backfill(job_id, moment(start), moment(node.now), only_missing=not every)
        else:
            node.scheduler.cancel_backfill(job_id)

    def _bring_back(self, kind: str, node: Node, number: int, job_id: str) -> None:
        trigger = self._latest_trigger(number)
        if trigger is None:
            return
        if kind == "add again":
            node.scheduler.remove_job(job_id)  # as programs do at each start
        elif self._audit.owed.of(job_id) is not None and self._apart.random() < 0.5:
            trigger = self._trigger(node.now + 10 * SECOND)
        node.scheduler.add_job(
            WORK, trigger, id=job_id, replace_existing=kind == "replace", **self._policies[number]
        )

    def _policy(self, number: int) -> dict[str, Any]:
        rng = self._rng
        # In worlds with limits of time so many things meet already that few seeds reach all of them.
        overlap = "skip" if self.governs else OVERLAPS[(self._seed + number) % len(OVERLAPS)]
        options: dict[str, Any] = {
            "coalesce": rng.random() < 0.5,
            "max_instances": rng.choice((1, 1, 2, 3)),
            "misfire_grace_time": rng.choice((None, None, 3, 10)),
            "on_lost": rng.choice(("rerun", "rerun", "rerun", "lost")),
            "max_attempts": rng.choice((1, 2, 3)),
            "expires": rng.choice((None, None, None, 8)),
            "retry": self._retry(),
            "overlap": overlap,
            "timeout": self._timeout(),
        }
        options.pop({"buffer_all": "coalesce", "allow_all": "max_instances"}.get(overlap, ""), None)
        return options

    def _timeout(self) -> float | None:
        """Return how long a run may take: in most worlds any time. Drawn apart, so that these worlds stay as they were."""
        rng = self._apart
        return rng.choice((None, 0.5, 0.5, 2)) if self.governs else None

    def _retry(self) -> Retry | None:
        """Return how a job is tried again: mostly not. Its waits are no longer than the simulation takes to come to rest."""
        rng = self._rng
        if rng.random() < 0.5:
            return None
        return Retry(
            wait_initial=rng.choice((1, 3, 10)),
            wait_max=10,
            wait_jitter=0,
            timeout=rng.choice((None, None, 15)),
            until=rng.choice(("next", "next", None)),
        )

    def _trigger(self, now: int) -> BaseTrigger:
        """Return a trigger whose times no other trigger of this world has: its microseconds are its own."""
        rng = self._rng
        self._ticks_of_phase += 1
        start = moment((now // SECOND + rng.randint(-3, 10)) * SECOND + self._ticks_of_phase)
        kind = rng.random()
        jitter = rng.choice((None, None, 4))
        if kind < 0.1:
            return DateTrigger(start)
        if kind < 0.2:
            return CronTrigger(second=f"*/{rng.choice((2, 7, 20))}", timezone="UTC", jitter=jitter)
        length = rng.choice((1, 2, 5, 13)) * rng.choice((1, 1, 0.25))
        end = moment(now + rng.randint(1, 60) * SECOND) if rng.random() < 0.2 else None
        return IntervalTrigger(seconds=length, start_date=start, end_date=end, jitter=jitter)

    def _latest_trigger(self, number: int) -> BaseTrigger | None:
        """Return the trigger of a job, or the latest known of one that has gone: it comes back with times that have records."""
        job = self._audit.lookup(f"{self._seed}.{number}")
        if job is not None:
            self._triggers[number] = job.trigger
        return self._triggers.get(number)

    def _earlier(self, job_id: str) -> int | None:
        """Return an earlier time of an interval job than its next one; it, or later ones, may have records."""
        job = self._audit.lookup(job_id)
        if job is None or job.next_nominal is None or not isinstance(job.trigger, IntervalTrigger):
            return None
        before: int = job.next_nominal - self._rng.randint(1, 8) * job.trigger.microseconds
        return before

    def _set_back(self, node: Node, job_id: str) -> None:
        """Set a job's next time back. That it is not within a record of several times, the scheduler sees, and no claim."""
        when = self._earlier(job_id)
        if when is None:
            return
        with _seeing_records(node):
            node.scheduler.modify_job(job_id, next_run_time=moment(when))

    def _is_paused(self, job_id: str) -> bool:
        seen = self._audit.look(job_id)
        return seen is not None and seen.state != ACTIVE


@contextmanager
def _seeing_records(node: Node) -> Iterator[None]:
    """Let the scheduler of a node see what is recorded, which else the claim alone does."""
    blind = vars(node.store).pop("recorded", None)
    try:
        yield
    finally:
        if blind is not None:
            vars(node.store)["recorded"] = blind
