"""Housekeeping of one store beside its work: forgetting, healing, counting, in steps between which due jobs go first.

It asks the store for one step after another, and remembers what was seen for ``health()``; it claims nothing, and never waits.
"""

from __future__ import annotations

from collections import Counter

from ..clock import HOUR, SECOND
from ..core.states import WAITING
from ..events import EVENT_JOB_RESTORED, JobEvent
from ..job.rare import Rare
from ..jobstores.base import BaseJobStore
from .announcements import EVENT_OF_STATUS, announce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from ..job.handle import Job
    from .outlet import Outlet

#: The time from one round to the next (microseconds), and the least multiple of the time that the last one worked.
ROUND = 60 * SECOND
RARITY = 10
#: After so long (microseconds) a turn makes way for due jobs. A store's step takes about as long again at most.
TURN = SECOND // 100
#: A turn is followed by a pause so many times as long, but no longer than this (microseconds): others write, too.
REST = 2
LONGEST_PAUSE = SECOND // 10
#: The shortest pause (microseconds).
SHORTEST_PAUSE = SECOND // 1000
#: Where jobs are due all the time, a turn comes after so long nevertheless (microseconds).
PATIENCE = SECOND
#: So many executors that are not there are named in the log.
MOST_STRANGERS = 1000
#: What ``health()`` tells is looked up anew when somebody asks for it after so long (microseconds).
FRESH = SECOND


class Housekeeping:
    """What a store needs now and then, in rounds of steps; and what was seen on the way.

    :param outlet: the scheduler, as its engine sees it
    :param alias: the alias of the store
    :param next_waiting: returns when the earliest waiting run may start (instant), as far as is known
    """

    __slots__ = (
        "_ahead",
        "_alias",
        "_began",
        "_doubts_until",
        "_healed",
        "_next",
        "_next_waiting",
        "_outlet",
        "_resume_at",
        "_steps",
        "_store",
        "_strangers",
        "_wanted",
        "_worked",
        "damaged",
        "earliest",
        "goes_on_at",
        "looked_at",
        "overdue",
        "released",
        "resumed",
        "to_forget",
        "to_heal",
    )

    def __init__(
        self, outlet: Outlet, store: BaseJobStore, alias: str, next_waiting: Callable[[], int | None]
    ) -> None:
        self._outlet = outlet
        self._store = store
        self._alias = alias
        self._next_waiting = next_waiting
        #: what is left of the round under way
        self._steps: Iterator[object] | None = None
        #: when the next round begins, and when the one under way goes on (monotonic microseconds)
        self._next = self._resume_at = 0
        #: how long this round has worked (microseconds)
        self._worked = 0
        #: whether a job left quarantine since the last look for due jobs
        self._healed = False
        #: whether a job has left quarantine since somebody has looked
        self.released = False
        #: executor aliases that jobs ask for and this scheduler does not have; that is logged once
        self._strangers: set[str] = set()
        #: whether somebody has asked for what is known
        self._wanted = False
        #: jobs that were found to be damaged, and are to be quarantined by the pass
        self.damaged: list[Job] = []
        #: jobs whose pause is over, for the pass to let go on
        self.resumed: list[Job] = []
        #: how far the clock has jumped forward lately (microseconds), and until when that may have been a mistake (monotonic)
        self._ahead = self._doubts_until = 0
        #: when the next pause is over, as far as is known (instant)
        self.goes_on_at: int | None = None
        #: the earliest due time, as far as is known (instant)
        self.earliest: int | None = None
        #: how many due jobs wait for each executor alias, and when that was looked up (monotonic microseconds)
        self.overdue: dict[str, int] = {}
        self.looked_at: int | None = None
        #: how many quarantined jobs are still to be looked at in this round, and records to be deleted; of very many, at least
        self.to_heal = 0
        self.to_forget = 0

    def turn(
        self, following: int | None, aliases: Sequence[str], is_earliest: bool, is_due: bool
    ) -> float | None:
        """Go on for some milliseconds, unless jobs are due.

        :param following: the earliest due time (instant) of jobs that could be started
        :param aliases: the aliases of the executors
        :param is_earliest: whether no other job is due earlier
        :param is_due: whether a job can be started at once; one that is due and cannot be claimed has to wait
        :return: seconds until the next turn; None: any later pass will do
        """
        pause = self._turn(following, aliases, is_earliest, is_due)
        # A round under way comes first, and rests in between.
        if self.goes_on_at is None or self._steps is not None:
            return pause
        left = max(self.goes_on_at - self._store.now(), 0) / SECOND
        return left if pause is None else min(pause, left)

    def note_jump(self, delta: int) -> None:
        """Take note that the clock was set (microseconds): nothing is forgotten for a clock that is put right within an hour."""
        elapsed = self._outlet.clock.monotonic()
        if elapsed >= self._doubts_until:
            self._ahead = 0
        self._ahead = max(self._ahead + delta, 0)
        if delta > 0:
            self._doubts_until = elapsed + HOUR

    def note_pause(self, until: int) -> None:
        """Take note of a pause that is over at some time (instant). Thread-safe."""
        self.goes_on_at = until if self.goes_on_at is None else min(self.goes_on_at, until)

    def _turn(
        self, following: int | None, aliases: Sequence[str], is_earliest: bool, is_due: bool
    ) -> float | None:
        if is_earliest:
            self.earliest = following
        self.look_if_wanted(aliases)
        clock = self._outlet.clock
        began = clock.monotonic()
        if self._steps is None:
            if began < self._next and (self.goes_on_at is None or self.goes_on_at > self._store.now()):
                return None
            self._steps = self._round(aliases)
            self._next, self._worked, self._resume_at = began + ROUND, 0, began
        elif began < self._resume_at:
            return (self._resume_at - began) / SECOND
        if is_due and began - self._resume_at < PATIENCE:
            return SHORTEST_PAUSE / SECOND
        is_held = following is not None and following <= self._store.now() and not is_due
        return self._go_on(self._steps, began, None if is_held else following)

    def _go_on(self, steps: Iterator[object], began: int, following: int | None) -> float | None:
        clock = self._outlet.clock
        self._steps = None  # what raises ends the round
        self._healed = False
        for _ in steps:
            elapsed = clock.monotonic()
            if elapsed - began >= TURN or (following is not None and following <= self._store.now()):
                self._steps = steps
                self._worked += elapsed - began
                pause = min(max(REST * (elapsed - began), SHORTEST_PAUSE), LONGEST_PAUSE)
                self._resume_at = elapsed + pause
                return pause / SECOND
        elapsed = self._resume_at = clock.monotonic()
        self._next = max(self._next, elapsed + RARITY * (self._worked + elapsed - began))
        return 0.0 if self._healed else None

    def _round(self, aliases: Sequence[str]) -> Iterator[object]:
        self._look(aliases)
        self._name_strangers(aliases, self.overdue, "Due jobs")
        yield None
        earliest = self._next_waiting()
        if earliest is not None and earliest <= self._store.now() - ROUND:
            self._name_strangers(aliases, self._waiting_for(), "Waiting runs")
            yield None
        now = self._store.now()
        ahead = self._ahead if self._outlet.clock.monotonic() < self._doubts_until else 0
        for part in (self._heal(now), self._look_at_pauses(), self._mend(now), self._prune(now - ahead)):
            yield from self._guarded(part)

    def _guarded(self, steps: Iterator[object]) -> Iterator[object]:
        """Do the steps of one part of a round; if the store refuses one, the other parts come nevertheless."""
        try:
            yield from steps
        except GeneratorExit:
            raise
        except BaseException as exc:
            from .damage import note_refusal  # import time

            logger, trouble = (
                self._outlet.logger,
                "Part of the housekeeping of job store %r is left to the next round: %s",
            )
            note_refusal(exc, logger, trouble, self._alias)
            yield None

    def _heal(self, now: int) -> Iterator[object]:
        for healed, left in in_steps(self._store, "heal", now):
            self.to_heal = left
            for job in healed:
                self._healed = self.released = True
                self._outlet.logger.info('Job "%s" left quarantine', job.id)
                self._outlet.dispatch(JobEvent(EVENT_JOB_RESTORED, job.id, self._alias))
            yield None
        self.to_heal = 0

    def _look_at_pauses(self) -> Iterator[object]:
        self.goes_on_at = None
        # A store of eight methods keeps no pauses, and in memory there are only those of this process.
        if (self._store.durable or Rare.some_paused) and type(self._store).claim is not BaseJobStore.claim:
            from .pauses_over import over  # import time

            for paused, until in over(self._store):
                self.resumed += paused
                if until is not None:
                    self.note_pause(until)
                yield None

    def _mend(self, now: int) -> Iterator[object]:
        for jobs, runs in in_steps(self._store, "mend", now):
            self.damaged += jobs
            for run in runs:
                self._outlet.logger.error("Run %r was recorded as %s: %s", run, run.status, run.reason)
                announce(self._outlet, self._alias, run, EVENT_OF_STATUS[run.status])
            yield None

    def _prune(self, now: int) -> Iterator[object]:
        for left in in_steps(self._store, "prune", now):
            self.to_forget = left or 0
            yield None
        self.to_forget = 0

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def age(self) -> float | None:
        """How many seconds ago it was looked up how many jobs are due; None: not yet."""
        at = self.looked_at
        return None if at is None else max(self._outlet.clock.monotonic() - at, 0) / SECOND

    def ask(self) -> bool:
        """Have what is known looked up anew by the next pass, if it is not fresh; return whether the host has to be woken up."""
        looked_at = self.looked_at
        fresh = FRESH if self._counts_cheaply else ROUND
        if looked_at is not None and self._outlet.clock.monotonic() - looked_at < fresh:
            return False
        self._wanted = True
        return True

    @property
    def _counts_cheaply(self) -> bool:
        """Whether the store counts due jobs by itself; else all of its jobs are read."""
        return type(self._store).overdue is not BaseJobStore.overdue

    def take_resumed(self) -> list[Job]:
        """Return the jobs whose pause is over, once."""
        resumed, self.resumed = self.resumed, []
        return resumed

    def look_if_wanted(self, aliases: Sequence[str]) -> None:
        """Look up what somebody has asked for."""
        if self._wanted:
            self._look(aliases)

    def _look(self, aliases: Sequence[str]) -> None:
        self._wanted = False
        clock = self._outlet.clock
        self.earliest = self._store.next_due(aliases)
        self.overdue = self._store.overdue(self._store.now(), ())
        self.looked_at = clock.monotonic()

    def _waiting_for(self) -> dict[str, int]:
        """Return how many of the newest waiting runs could have started a while ago, for each executor alias."""
        from ..core.extras import extra_of  # rare
        from ..core.queries import RunQuery

        found = self._store.find_runs(RunQuery(statuses={WAITING}), MOST_STRANGERS).items
        late = self._store.now() - ROUND
        waiting = [run for run in found if (extra_of(run).not_before or 0) <= late]
        return Counter(run.executor for run in waiting)

    def _name_strangers(self, aliases: Sequence[str], waiting_for: Mapping[str, int], what: str) -> None:
        for alias, waiting in waiting_for.items():
            if (
                alias not in aliases
                and alias not in self._strangers
                and len(self._strangers) < MOST_STRANGERS
            ):
                self._strangers.add(alias)
                self._outlet.logger.error(
                    '%s (%d) wait for an executor "%s" that this scheduler does not have; add it',
                    what,
                    waiting,
                    alias,
                )


def in_steps(store: BaseJobStore, name: str, now: int) -> Iterator[Any]:
    """Return the steps of a store's method; the whole is one step where a subclass overrides only that.

    :param name: "heal", "mend" or "prune"
    """
    for holder in (store, *type(store).__mro__):
        defined = vars(holder)
        if f"{name}_in_steps" in defined:
            break
        if name in defined:
            done = getattr(store, name)(now)
            yield {"heal": (done or [], 0), "mend": done or ([], [])}.get(name, 0)
            return
    yield from getattr(store, f"{name}_in_steps")(now)
