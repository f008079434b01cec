"""What becomes of claimed runs that no living node owns: they are executed again by the node that finds them, or lost.

Pure decisions about run objects; a store reads the orphans and carries the decisions out.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

from ..callables import lacking
from ..errors import StoreConflictError
from .policy import DEFAULT_POLICY
from .states import CANCELLED, CLAIMED, LOST, TIMED_OUT, end
from .timeouts import marked, time_out_with_node
from .transitions import may_claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from ..job.handle import Job
    from .run import Run
    from .timeouts import PartsOf
    from .waiting import MayTake


class Search:
    """Whose runs a node may take over, and what it has taken so far; see the port.

    :param refusal: returns why a run is not trusted, None if it is
    :param can_run: whether the callable and the arguments of a job were restored
    :param job_for: returns the job with the arguments of a run that has its own, see :func:`sort_out`
    :param parts_of: returns what is kept beside runs, see :func:`sort_out`
    :param may_take: whether the runs of a job may be taken or ended at all; see the port. None: any
    :ivar own: the keys of the runs that the node has in hand, those that it has taken among them
    :ivar left: of how many jobs it can still take runs for each executor, None for any number
    """

    __slots__ = (
        "_can_run",
        "_job_for",
        "_may_take",
        "_parts_of",
        "_refusal",
        "in_doubt",
        "known",
        "left",
        "node",
        "own",
        "ownerless",
    )

    def __init__(
        self,
        node: str,
        room: Mapping[str, int] | None,
        known: Collection[tuple[str, int]],
        in_doubt: bool,
        ownerless: bool,
        refusal: Callable[[Run], str | None] | None,
        can_run: Callable[[Job], bool],
        job_for: Callable[[Run, Job], Job] | None = None,
        parts_of: PartsOf | None = None,
        may_take: MayTake | None = None,
    ) -> None:
        self._may_take = may_take
        self._refusal = refusal
        self._parts_of = parts_of
        self._job_for = job_for
        self._can_run = can_run
        self.node = node
        self.known = known
        self.in_doubt = in_doubt
        self.ownerless = ownerless
        self.own = set(known)
        self.left = None if room is None else dict(room)

    def is_orphan(self, job_id: str, nominal: int, owner: str | None, living: Collection[str]) -> bool:
        """Whether a claimed run is one that the node may take over.

        :param living: the nodes whose lease is not over
        """
        if owner == self.node:
            return self.in_doubt and (job_id, nominal) not in self.own
        return owner is None or not (self.ownerless or owner in living)

    def takeable(self, runs: Sequence[Run]) -> Sequence[Run]:
        """Return runs without those of jobs that are to be left as they are."""
        return takeable(runs, self._may_take)

    def sort_out(self, orphans: Sequence[Run], jobs: Mapping[str, Job], now: int) -> list[Run]:
        """Decide which runs the node takes and which have ended; return those, changed accordingly: see :func:`sort_out`."""
        return sort_out(
            *(self.takeable(orphans), jobs, self.node, now, self.left, self.known, self._refusal),
            can_run=self._can_run,
            job_for=self._job_for,
            parts_of=self._parts_of,
        )

    def rescue(
        self, tries: Callable[[], Iterable[object]], look: Callable[[], tuple[list[Run], bool]]
    ) -> list[Run]:
        """Take over what there is, again as long as others change what was found; return it, oldest first, each job's runs linked.

        :param tries: returns one item for each look that may be in vain, one after another
        :param look: looks for orphans and carries out what becomes of them; returns those that others had not changed, and
            whether another look is in vain
        :raises StoreConflictError: if others change them all the time, and some may be of the node itself, which looks for those
            again only while it is in doubt
        """
        found: list[Run] = []
        left = iter(tries())
        while next(left, None) is not None:
            taken, is_over = look()
            self._note(taken)
            found += taken
            if is_over:
                break
            if taken:  # the others are taken in steps of their own
                left = iter(tries())
        else:
            if self.in_doubt:
                raise StoreConflictError("Orphaned runs are changed by others all the time")
        found.sort(key=attrgetter("nominal"))
        linked(found)
        return found

    def _note(self, taken: Iterable[Run]) -> None:
        """Take note of the runs that the node has taken."""
        for run in taken:
            if run.status == CLAIMED:
                self.own.add((run.job_id, run.nominal))
                if self.left is not None:
                    self.left[run.executor] = self.left.get(run.executor, 0) - 1


def takeable(runs: Sequence[Run], may_take: MayTake | None) -> Sequence[Run]:
    """Return runs without those of jobs of which none may be taken: a store has refused them lately."""
    if may_take is None:
        return runs
    # All of them are asked about, and each job once: its runs are taken together.
    may = {job_id: may_take(job_id, None) for job_id in dict.fromkeys(run.job_id for run in runs)}
    return [run for run in runs if may[run.job_id]]


def sort_out(
    orphans: Sequence[Run],
    jobs: Mapping[str, Job],
    node: str,
    now: int,
    room: Mapping[str, int] | None,
    known: Collection[tuple[str, int]] = (),
    refusal: Callable[[Run], str | None] | None = None,
    *,
    can_run: Callable[[Job], bool],
    job_for: Callable[[Run, Job], Job] | None = None,
    parts_of: PartsOf | None = None,
) -> list[Run]:
    """Decide which orphaned runs a node takes and which have ended; return those, changed accordingly.

    Runs whose time was over have timed out, and those that somebody has asked to stop are cancelled.
    Others are left as they are if their job cannot be restored here or needs a resource that is not here, if living nodes have as
    many of its runs under way as it may have (R2), or if the executor has no room. The runs of a job are taken together or not at
    all: a node that has lost its lease and does not know it yet goes on with those that were not taken, beside those that were.
    No runs are taken of a job of which ``node`` has one in hand that another node has taken over.

    :param orphans: claimed runs that no living node owns, or that ``node`` owns without knowing it, oldest first
    :param jobs: the jobs of these runs, by id; also jobs whose schedule is over
    :param node: the id of the node that takes the runs
    :param now: instant
    :param room: for each executor alias, of how many jobs the node can take runs, as those of one job are executed one after
        another; None: any number, for any alias
    :param known: the keys of the runs that ``node`` has in hand
    :param refusal: returns why a run is not trusted, None if it is; a store with a signing key executes signed runs only
    :param can_run: whether the callable and the arguments of a job were restored
    :param job_for: returns the job with the arguments of a run that has its own, or raises if they cannot be restored
    :param parts_of: returns what is kept beside runs; None: nothing is known of it
    """
    left = None if room is None else dict(room)
    orphaned = Counter(run.job_id for run in orphans)
    changed: list[Run] = []
    is_open: dict[str, bool] = {}
    in_hand = {run.job_id for run in orphans if run.owner != node and (run.job_id, run.nominal) in known}
    over = {} if parts_of is None else marked(orphans, jobs, parts_of)
    for run in orphans:
        if run.job_id in in_hand:
            continue
        job = jobs.get(run.job_id)
        late = over.get((run.job_id, run.nominal))
        if _has_timed_out(run, job, late, now):
            changed.append(run)
            continue
        reason = _why_ended(run, job, node, late is not None)
        if reason is None and (job is None or not can_run(job) or lacking(job)):
            continue
        reason = reason or _why_refused(run, refusal)
        if reason is not None or job is None:
            end(run, _status_of_end(run, job, node), reason, now)
        else:
            if left is not None and run.executor not in left:
                # What is stored with the run is damaged, or the job has another executor since its claim.
                run.executor = job.executor
            if run.owner != node:  # the node's own runs were counted when they were claimed
                if job.id not in is_open:
                    is_open[job.id] = _is_open(run, job, orphaned[job.id], left)
                if not is_open[job.id]:
                    continue
            _take(run, node, now, late is not None)
        _give_job(run, job, job_for, now)
        changed.append(run)
    return changed


def _take(run: Run, node: str, now: int, has_timed_out: bool) -> None:
    """Make an orphan a run of a node; what another one had begun is another attempt."""
    if run.owner not in (None, node):
        run.parts = part_of_last(run, has_timed_out)
        run.attempt += 1
    run.owner, run.claimed_at, run.started_at = node, now, None


def part_of_last(run: Run, has_timed_out: bool) -> dict[str, str]:
    """Return the part of a run that keeps its last attempt, of which the node is gone."""
    from .details import DIED, Attempt, part_of_attempt  # rare

    attempt = Attempt(run.attempt, TIMED_OUT if has_timed_out else DIED, run.owner)
    attempt.started_at = run.started_at
    name, text = part_of_attempt(attempt)
    return {name: text}


def _has_timed_out(run: Run, job: Job | None, reason: str | None, now: int) -> bool:
    """End a run whose time was over when its node died, unless it is tried again; return whether it has ended.

    :param reason: why its time was over; None: it was not
    """
    if reason is None:
        return False
    policy = DEFAULT_POLICY if job is None else job.policy
    is_tried_again = policy.retry is not None and policy.retry.is_for_timeouts
    if is_tried_again and _why_cancelled(run) is None and run.tries + 1 < policy.max_attempts:
        return False
    time_out_with_node(run, reason, now)
    run.job = job
    return True


def _give_job(run: Run, job: Job | None, job_for: Callable[[Run, Job], Job] | None, now: int) -> None:
    """Give a run its job, with its own arguments if it has any; if these cannot be restored, it is lost."""
    run.job = job
    if job is None or job_for is None or getattr(run, "extra", None) is None:
        return
    try:
        run.job = job_for(run, job)
    except Exception as exc:  # what is stored may be anything
        if run.status == CLAIMED:
            end(run, LOST, f"its arguments could not be restored: {exc!r}", now)


def by_job(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return runs by the ids of their jobs, in the same order."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.job_id, []).append(run)
    return groups


def linked(runs: Iterable[Run]) -> None:
    """Link the claimed runs of each job by ``then``, so that they are executed one after another."""
    last: dict[str, Run] = {}
    for run in runs:
        if run.status == CLAIMED:
            if run.job_id in last:
                last[run.job_id].then = run
            last[run.job_id] = run


def _is_open(run: Run, job: Job, orphaned: int, left: dict[str, int] | None) -> bool:
    """Whether the runs of a job may be taken, of which this is the first; counts the room that they need."""
    if not may_claim(job.running - orphaned, job.policy.limit):  # R2
        return False  # those that living nodes have under way come first, such as the beginning of the same group
    if left is not None:
        if left.get(run.executor, 0) <= 0:
            return False
        left[run.executor] -= 1
    return True


def _why_refused(run: Run, refusal: Callable[[Run], str | None] | None) -> str | None:
    reason = None if refusal is None else refusal(run)
    return None if reason is None else f"it is not trusted: {reason}"


def _why_cancelled(run: Run) -> str | None:
    """Return why somebody has asked a run to stop, None if nobody has: with its node gone, it has stopped."""
    extra = getattr(run, "extra", None)
    return None if extra is None else extra.cancel


def _status_of_end(run: Run, job: Job | None, node: str) -> str:
    """Return how a run ends that is not executed again: one that had not started is not lost when its job is removed."""
    had_started = job is not None or run.owner not in (None, node)
    return LOST if had_started and _why_cancelled(run) is None else CANCELLED


def _why_ended(run: Run, job: Job | None, node: str, has_timed_out: bool) -> str | None:
    """Return why a run is not executed again, or None.

    :param has_timed_out: whether its last attempt has, which may be followed by another one
    """
    if has_timed_out:
        return None
    cancel = _why_cancelled(run)
    if cancel is not None:
        return cancel
    if run.owner in (None, node):  # it was never started
        return "its job was removed before it started" if job is None else None
    if job is None:
        return f"its job was removed; it was claimed by node {run.owner}"
    if job.policy.on_lost == LOST:
        return f"node {run.owner} is gone"
    tries = run.tries + 1  # whether it had started is not known: it counts
    if tries >= job.policy.max_attempts:
        return f"node {run.owner} is gone, and the run was tried {tries} times (max_attempts)"
    return None
