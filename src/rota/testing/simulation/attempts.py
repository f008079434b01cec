"""What must hold of runs that are tried again in a simulation: how often, when, and beside what; a model of their attempts.

It is told by the audit, and looks at no store.
"""

from __future__ import annotations

from typing import NamedTuple

from ...clock import moment
from ...core.extras import AFTER, KEEPS_PLACE, RETRY, extra_of
from ...core.overlaps import left_out
from ...core.states import CLAIMED, FAILED, SNOOZED, TIMED_OUT
from ...core.tries import DEADLINE, FINAL, NEXT, SUPERSEDED, deadline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...core.plan import Decision
    from ...core.run import Run
    from .seen import Snapshot

    #: job id, nominal instant
    Key = tuple[str, int]


class Waits(NamedTuple):
    """A run that waits.

    :ivar not_before: when it may start
    :ivar why: one of :data:`~rota.core.extras.WAITS_FOR`
    """

    attempt: int
    not_before: int
    why: str | None

    @property
    def keeps_place(self) -> bool:
        """Whether it keeps its place among the runs of its job."""
        return self.why in KEEPS_PLACE


class Presented(NamedTuple):
    """A run as it is given back, before its store changes it.

    :ivar fence: owner and attempt
    :ivar most: how many tries it has at most
    """

    run: Run
    key: Key
    fence: tuple[str | None, int]
    status: str
    waits: Waits
    most: int


def presented(runs: Iterable[Run]) -> list[Presented]:
    """Return runs as they are given back."""
    found = []
    for run in runs:
        extra = extra_of(run)
        waits = Waits(run.attempt, extra.not_before or 0, extra.waiting_for)
        most = 1 if run.job is None else run.job.policy.max_attempts
        found.append(
            Presented(run, (run.job_id, run.nominal), (run.owner, run.attempt), run.status, waits, most)
        )
    return found


class Attempts:
    """How often each run has been tried, and with which others it is executed one after another.

    :param require: raises unless what it is given holds
    :param count: adds to a number of the report
    """

    def __init__(self, require: Callable[[object, str], None], count: Callable[..., None]) -> None:
        self._require = require
        self._count = count
        #: how many attempts of a run have failed or died
        self._tries: dict[Key, int] = {}
        #: the first member of each group, by its members
        self._groups: dict[Key, Key] = {}

    def claimed(self, decision: Decision) -> None:
        """Take note of the group of a claim."""
        runs = decision.runs
        if len(runs) > 1:
            for run in runs:
                self._groups[run.job_id, run.nominal] = run.job_id, runs[0].nominal

    def opened(self, run: Run) -> None:
        """Take note of a run whose tries begin anew."""
        self._tries.pop((run.job_id, run.nominal), None)
        self._groups.pop((run.job_id, run.nominal), None)

    def left(self, key: Key) -> None:
        """Take note of a run that a shutdown has kept from starting: it waits for none that failed before it, within the limit."""
        self._groups.pop(key, None)

    def ended(self, run: Run) -> None:
        """Check a run that has ended for good."""
        if run.reason in FINAL:
            self._count(run.reason)
        if run.status in (FAILED, TIMED_OUT) and run.job is not None:
            self._add((run.job_id, run.nominal), run.job.policy.max_attempts)

    def died(self, run: Run) -> None:
        """Check a run that is taken over from a dead node, to be executed again."""
        assert run.job is not None
        self._add((run.job_id, run.nominal), run.job.policy.max_attempts - 1)

    def given_back(self, given: Presented) -> None:
        """Check a run that waits from now on."""
        if given.status == SNOOZED:
            self._count("snoozed")
        elif given.status == CLAIMED:
            self._count("given back after a death")
        else:
            self._count("retried")
            self._add(given.key, given.most - 1)

    def taken(self, run: Run) -> None:
        """Check how often a run was tried that is executed again."""
        key = run.job_id, run.nominal
        tries = self._tries.get(key, 0)
        self._require(run.tries == tries, f"{name(key)} counts {run.tries} tries; there were {tries}")

    def taken_in_time(self, run: Run, waits: Waits, now: int) -> None:
        """Check that a retry is taken before its deadline, and ends after it."""
        if waits.why != RETRY or run.job is None or (run.ended and run.reason != DEADLINE):
            return
        deadline = deadline_of(run, run.job.policy)
        is_over = deadline is not None and now > deadline
        if run.ended:
            self._count(DEADLINE)
        self._require(
            is_over == run.ended, f"{run!r} is {run.status} {'after' if is_over else 'before'} its deadline"
        )

    def left_out(
        self, run: Run, waits: Waits, beside: int | None, others: Mapping[Key, Waits], now: int
    ) -> None:
        """Check a run of a chain that has ended instead of starting, as its job has no place for it.

        :param beside: how many runs of the job were under way; None: an end in the same call has started it
        :param others: what else waits
        """
        is_newest = not any(
            job_id == run.job_id and nominal > run.nominal and other.why == AFTER and other.not_before <= now
            for (job_id, nominal), other in others.items()
        )
        key, job = (run.job_id, run.nominal), run.job
        self._require(
            waits.why == AFTER and job is not None, f"{name(key)} was skipped; it waits for {waits.why}"
        )
        assert job is not None
        self._require(
            beside is None or beside >= job.policy.limit, f"{name(key)} was skipped beside {beside} others"
        )
        self._require(
            run.reason == left_out(job.policy.overlap, is_newest), f"{name(key)} was skipped: {run.reason}"
        )
        self._count(f"left out of a chain: {run.reason}")

    def superseded(self, run: Run, waits: Waits, decision: Decision) -> None:
        """Check a waiting retry that has ended with the claim of a later time."""
        key = run.job_id, run.nominal
        self._require(
            (run.status, run.reason) == (FAILED, SUPERSEDED) and waits.attempt == run.attempt,
            f"{name(key)} was superseded as {run.status}, {run.reason}, attempt {run.attempt}",
        )
        retry = decision.job.policy.retry
        self._require(
            waits.why == RETRY and retry is not None and retry.until == NEXT,
            f"{name(key)} was superseded; it waits for {waits.why}",
        )
        self._require(
            decision.runs and all(run.nominal < later.nominal for later in decision.runs),
            f"{name(key)} was superseded by no later time",
        )
        self._count(SUPERSEDED)

    def started(self, run: Run, beside: Sequence[Run]) -> None:
        """Check that a run is started beside no other one of its group.

        :param beside: what is executed, and would be recorded
        """
        key = run.job_id, run.nominal
        group = self._groups.get(key)
        others = [
            name((other.job_id, other.nominal))
            for other in beside
            if group is not None and self._groups.get((other.job_id, other.nominal)) == group
        ]
        self._require(not others, f"{name(key)} was started beside {others}, which are of its group")

    def _add(self, key: Key, most: int) -> None:
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        self._require(tries <= most, f"{name(key)} has failed or died {tries} times, {most} may be followed")


def places_of(job_id: str, claimed: Iterable[Key], waiting: Mapping[Key, Waits]) -> int:
    """Return how many runs of a job are under way, or keep their places while they wait."""
    kept = sum(waits.keeps_place for (id, _), waits in waiting.items() if id == job_id)
    return kept + sum(1 for id, _ in claimed if id == job_id)


def running_of(
    before: Mapping[str, Snapshot | None], claimed: Iterable[Key], waiting: Mapping[Key, Waits]
) -> dict[str, int]:
    """Return how many runs of some jobs have places when waiting ones are taken.

    A store in memory may be interrupted by the end of a run while it looks up the jobs.

    :param before: the jobs right before the call
    """
    return {
        job_id: 0 if seen is None else min(seen.running, places_of(job_id, claimed, waiting))
        for job_id, seen in before.items()
    }


def name(key: tuple[str, int]) -> str:
    """Return a run's name for messages."""
    return f"{key[0]}@{time(key[1])}"


def time(instant: int) -> str:
    """Return an instant's time of day."""
    return moment(instant).strftime("%H:%M:%S.%f")
