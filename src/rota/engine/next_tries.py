"""Attempts that came to nothing on their way back into the store, where their runs wait for the next try.

What follows an attempt is decided in :mod:`rota.core.tries`; this writes it, and tells of it.
"""

from __future__ import annotations

from ..core.details import DIED, GIVEN_BACK, before_another, forgotten_with, last_attempt, part_of_attempt
from ..core.extras import RETRY, extra_of
from ..core.policy import Policy
from ..core.run import GONE, LAST, asked_to_stop
from ..core.states import CANCELLED, CLAIMED, FAILED, LOST, SNOOZED, SUCCEEDED, WAITING
from ..core.tries import FINAL, next_try, not_given_back, stop_instead
from ..core.waiting import JOB_REMOVED
from ..errors import HeldRowsError
from ..events import EVENT_JOB_RETRYING, JobRetryingEvent
from ..executors.steps import chain
from ..interrupts import is_interrupt
from ..jobstores.held_rows import MOST_HELD
from ..texts import error_text
from .announcements import local
from .damage import is_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Protocol

    from ..core.details import RunParts
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .beats import Beats
    from .lease import Lease
    from .outlet import Outlet

    class KnowsBackfills(Protocol):
        """What others ask of this node; see :class:`~rota.engine.store_state.Asked`."""

        backfills: Mapping[str, str]
        again_at: int


class GivenBack:
    """What has become of the runs of a batch.

    :ivar ended: the runs that have ended for good
    :ivar waiting: those that wait in the store now
    :ivar refused: those that belong to another node by now
    :ivar deferred: those that wait for the end of their group
    :ivar held: those whose rows somebody else holds
    :ivar left: those that could not be written, to be tried again
    :ivar error: what the store said of these
    """

    __slots__ = ("deferred", "ended", "error", "held", "left", "refused", "waiting")

    def __init__(self) -> None:
        self.ended: list[Run] = []
        self.waiting: list[Run] = []
        self.refused: list[Run] = []
        self.deferred: list[Run] = []
        self.held: list[Run] = []
        self.left: list[Run] = []
        self.error: BaseException | None = None

    @property
    def unwritten(self) -> list[Run]:
        """The runs that stay with this node."""
        return [*self.deferred, *self.held, *self.left]


class NextTries:
    """Gives runs of one store back to it.

    :param outlet: the scheduler, as its engine sees it
    :param store: the store
    :param alias: its alias
    :param lease: this node's lease in it; None: it needs none
    """

    __slots__ = ("_alias", "_deferred", "_lease", "_outlet", "_store", "_tails")

    def __init__(self, outlet: Outlet, store: BaseJobStore, alias: str, lease: Lease | None) -> None:
        self._outlet = outlet
        self._store = store
        self._alias = alias
        self._lease = lease
        #: runs that wait for the end of their group, each with those after it in that
        self._deferred: list[tuple[Run, Sequence[Run]]] = []
        #: the last members of groups whose runs wait no more: by then the links may be cut, as some of them are recorded
        self._tails: dict[Run, Run] = {}

    @property
    def deferred(self) -> int:
        """How many runs wait for the end of their group."""
        return len(self._deferred)

    def take_ready(self, batch: Sequence[Run]) -> list[Run]:
        """Return the runs whose groups have ended, and wait for them no more.

        :param batch: the runs that have ended since the last time
        """
        if not self._deferred:
            return []
        keys = {(run.job_id, run.nominal) for run in batch}
        ready = {run: after[-1] for run, after in self._deferred if _are_over(after, keys)}
        self._deferred = [(run, after) for run, after in self._deferred if run not in ready]
        self._tails |= ready
        return list(ready)

    def give_back(self, runs: Sequence[Run], beats: Beats | None, is_leaving: bool = False) -> GivenBack:
        """Give those of some runs back that are tried again; the others have ended for good.

        Members of a group are given back when its last one has ended, and wait for the same time: no try runs beside another.

        :param runs: runs as they come from their executors
        :param beats: what the runs have said of themselves
        :param is_leaving: whether this node leaves a store that others share
        """
        found, now = GivenBack(), self._store.now()
        if not [1 for run in runs if run.status != SUCCEEDED]:
            found.ended += runs  # as nearly always
            return found
        groups: dict[int, list[Run]] = {}
        keys: set[tuple[str, int]] | None = None
        for run in runs:
            tail = self._tails.pop(run, None)
            if next_try(run, now, not self._outlet.exiting, is_leaving) is None:
                found.ended.append(run)
                if run.reason in FINAL:
                    self._outlet.logger.error("Run %r has failed for good: %s", run, run.reason)
                continue
            if tail is None:
                if keys is None:
                    keys = {(run.job_id, run.nominal) for run in runs}
                *_, tail = members = chain(run)
                if not _are_over(members[1:], keys):
                    self._deferred.append((run, members[1:]))
                    found.deferred.append(run)
                    continue
            groups.setdefault(id(tail), []).append(run)
        for group in groups.values():
            latest = max(extra_of(run).not_before or 0 for run in group)
            for run in group:
                extra_of(run).not_before = latest
        if groups:
            self._write([run for group in groups.values() for run in group], beats, now, found)
        return found

    def _write(self, runs: Sequence[Run], beats: Beats | None, now: int, found: GivenBack) -> None:
        """Give runs back: together, or one by one if the store does not take them together."""
        words = {} if beats is None else {id(run): beats.last_words(run) for run in runs}
        try:
            self._write_some(runs, words, now, found)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            self._write_singly(runs, words, now, exc, found)

    def _write_some(
        self, runs: Sequence[Run], words: Mapping[int, Mapping[str, str]], now: int, found: GivenBack
    ) -> None:
        node = None if self._lease is None else self._lease.node
        keep_attempts(self._store, runs, words, node, self._outlet.logger)
        refused = self._store.give_back(runs, now)
        unkept = set(map(id, refused))
        for run in refused:
            asked = asked_to_stop(run)
            if asked is None and getattr(run, "wish", None) == LAST:
                not_given_back(run, (run.status != SNOOZED and run.reason) or JOB_REMOVED, now)
                found.ended.append(run)
            elif asked is None:
                found.refused.append(run)
            else:  # by somebody whose word has come to the store, and not here yet
                stop_instead(run, asked, now)
                found.ended.append(run)
        found.waiting += [run for run in runs if id(run) not in unkept]

    def _write_singly(
        self,
        runs: Sequence[Run],
        words: Mapping[int, Mapping[str, str]],
        now: int,
        error: BaseException,
        found: GivenBack,
    ) -> None:
        """Give runs back one by one; one that the store does not take ends, and says why."""
        held = 0  # how many in a row
        for number, run in enumerate(runs):
            if isinstance(error, HeldRowsError) and (len(runs) == 1 or held == MOST_HELD):
                found.held += runs[number:]
                return
            if is_away(error) and not isinstance(error, HeldRowsError):
                found.left += runs[number:]
                found.error = error
                return
            try:
                self._write_some([run], words, now, found)
                held = 0
            except BaseException as exc:
                if is_interrupt(exc):
                    raise
                error = exc
                if is_away(exc):
                    held += isinstance(exc, HeldRowsError)
                    (found.held if isinstance(exc, HeldRowsError) else found.left).append(run)
                    continue
                not_given_back(
                    run, f"it could not be given back for another try: {error_text(exc)[:500]}", now
                )
                found.ended.append(run)

    def tell(
        self, waiting: Sequence[Run], begin: Callable[[int], object], asked: KnowsBackfills | None
    ) -> None:
        """Tell of runs that wait for their next try now, and let the due times go on that end these.

        :param begin: called with the time at which a run may start again (instant)
        :param asked: what is asked of this node; None: nobody has said
        """
        outlet, backfilled = self._outlet, () if asked is None else asked.backfills
        if Policy.some_wait or backfilled:
            from .due_again import for_given_back  # rare

            for_given_back(self._store, waiting, backfilled, outlet.logger)
        for run in waiting:
            extra = extra_of(run)
            not_before = extra.not_before or 0
            begin(not_before)
            job, exc = run.job, run.exception
            run.job = run.then = run.exception = None
            if extra.waiting_for != RETRY:
                continue
            at = local(job, not_before)
            outlet.logger.info(
                'Try %d of job "%s" has come to nothing; the next one is at %s',
                run.tries,
                run.job_id if job is None else job,
                at,
            )
            if outlet.wanted() & EVENT_JOB_RETRYING:
                code, time = EVENT_JOB_RETRYING, local(job, run.nominal)
                outlet.dispatch(JobRetryingEvent(code, run.job_id, self._alias, time, at, exc, run))


def _are_over(members: Sequence[Run], keys: Container[tuple[str, int]]) -> bool:
    """Whether the last of some members of a group has ended, and is recorded by now or with these runs.

    Those that nobody waits for, as they were asked to stop before their turn, are passed over. A worker may have just ended the
    last, and not reported it yet: then the others go on waiting, for the same time as it may have to.
    """
    last = next((run for run in reversed(members) if run.permission is not GONE), None)
    if last is None or (last.job_id, last.nominal) in keys:
        return True
    # It may wait already: another job's part of the same step has failed.
    return last.status == WAITING or (last.job is None and last.status != CLAIMED)


def _outcome_of(run: Run, status: str) -> str:
    """Return the outcome of an attempt of a run that waits for another one."""
    # It was asked to stop as its node leaves.
    if status == CANCELLED or (status == FAILED and extra_of(run).waiting_for == SNOOZED):
        return GIVEN_BACK
    return DIED if status == LOST else status


def keep_attempts(
    store: BaseJobStore,
    runs: Sequence[Run],
    words: Mapping[int, Mapping[str, str]],
    node: str | None,
    logger: GuardedLogger,
) -> None:
    """Keep what is known of the last attempts of runs beside their records; trouble with that costs no run its next try.

    :param words: what runs, by their identities, have said last
    """
    parts: list[RunParts] = []
    for run in runs:
        attempt = before_another(last_attempt(run))
        attempt.outcome = _outcome_of(run, attempt.outcome)
        name, text = part_of_attempt(attempt)
        kept = {**words.get(id(run), {}), name: text, **forgotten_with(run.attempt)}
        parts.append((run.job_id, run.nominal, kept))
    try:
        store.write_parts(parts, node)
    except BaseException as exc:
        if is_interrupt(exc) or is_away(exc):
            raise
        logger.warning("What is known of attempts could not be kept: %s", error_text(exc))
