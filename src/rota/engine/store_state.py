"""What the engine remembers about one of its stores.

Holds; the engine decides.
"""

from __future__ import annotations

from collections import deque

from ..clock import HELD, SECOND
from ..core.walks import Walks
from ..triggers.base import BaseTrigger
from .backoff import BackOff, Unclaimed
from .clock_jumps import JUMP, ClockWatch
from .completions import Completions
from .housekeeping import Housekeeping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .lacking import Lacking
    from .lease import Lease
    from .outlet import Outlet
    from .refused_runs import RefusedRuns
    from .renewals import Renewals


#: How often a server is asked for its time at most because jobs seem to be late (microseconds).
DOUBTED = SECOND // 2


class Asked:
    """What others ask of this node in one store, as far as it knows; see :mod:`rota.engine.asked`.

    :ivar bool told: True: the next pass asks the store, as somebody has said something
    :ivar int | None next_waiting: when the earliest waiting run may start (instant), as far as is known
    :ivar bool draining: whether this node is to claim nothing more here
    :ivar bool begun: whether a run has begun to wait since the store was asked for waiting runs last; set back before that
    :ivar bool outdated: whether the store has a newer layout than this node knows
    :ivar said: what this node has said of itself
    :ivar backfills: what is left of backfills, as texts by the ids of their jobs, as far as is known
    :ivar set backfilled: the ids of jobs whose backfill is over or cancelled, and of which runs of it may be under way
    :ivar int backfill_at: until when they are left alone (monotonic microseconds)
    :ivar int again_at: until when waiting runs that could not start are left alone (monotonic microseconds)
    """

    __slots__ = (
        "again_at",
        "backfill_at",
        "backfilled",
        "backfills",
        "begun",
        "draining",
        "next_waiting",
        "outdated",
        "said",
        "strays",
        "told",
    )

    def __init__(self) -> None:
        #: the ids of what is kept as left of a backfill and belongs to no job; each is logged once
        self.strays: set[str] = set()
        self.told = self.draining = self.outdated = self.begun = False
        self.next_waiting: int | None = None
        self.said: Mapping[str, Any] | None = None
        self.again_at = self.backfill_at = 0
        self.backfills: Mapping[str, str] = {}
        self.backfilled: set[str] = set()

    def know(self, backfills: Mapping[str, str]) -> None:
        """Take note of the backfills that there are."""
        if backfills.keys() - self.backfills.keys():
            self.backfill_at = 0
        self.backfilled |= self.backfills.keys() - backfills.keys()
        self.backfills = backfills

    def tell(self) -> None:
        """Have the next pass ask the store. Thread-safe."""
        self.told = True

    def begin_at(self, not_before: int) -> None:
        """Take note that a run waits from now on which may start then (instant). Thread-safe; see :meth:`note_next`."""
        self.begun = True
        if self.next_waiting is None or not_before < self.next_waiting:
            self.next_waiting = not_before
        self.again_at = 0

    def note_next(self, answer: int | None) -> None:
        """Take note of when the earliest waiting run may start (instant), as the store has answered.

        A run that has begun to wait since it was asked may not be in that: then it is asked once more, by the next pass.
        """
        self.next_waiting = answer
        if self.begun:  # asked after that is set, so that one of both threads sees the other
            self.next_waiting = 0


class StoreState:
    """What the engine remembers about one store: its completions, its lease, and its back-off after errors."""

    __slots__ = (
        "alias",
        "asked",
        "back_off",
        "clocks",
        "completions",
        "crowded",
        "housekeeping",
        "keeps_open",
        "lacking",
        "lease",
        "measured_at",
        "moves",
        "refused_runs",
        "renewals",
        "requested",
        "set_back",
        "skipping",
        "store",
        "unclaimed",
        "unmeasured",
        "unmoved",
        "waits_until",
        "walks",
        "walks_until",
    )

    def __init__(self, outlet: Outlet, alias: str, store: BaseJobStore, lease: Lease | None) -> None:
        self.alias = alias
        #: what others ask of this node here
        self.asked = Asked()
        self.back_off = BackOff(outlet, alias)
        self.store = store
        #: None for a store that dies with the process
        self.lease = lease
        #: the thread that renews the lease; None: the passes do, as in virtual time
        self.renewals: Renewals | None = None
        self.completions = Completions(outlet, self.back_off, store, alias, lease)
        self.completions.begin_at = self.asked.begin_at
        self.completions.asked_here = self.asked
        #: compares the clock that counts for the store's jobs with this node's monotonic one
        self.clocks = ClockWatch()
        #: how far that clock was set back (microseconds), until elapsed-time jobs have been planned anew; None: it is not known yet
        self.set_back: int | None = None
        #: what is left of that
        self.moves: Iterator[None] | None = None
        #: True: the server's clock has to be measured before anything is claimed
        self.unmeasured = False
        #: when that was done last, but for renewals of the lease (monotonic microseconds); a store measures when it starts
        self.measured_at = outlet.clock.monotonic()
        #: until when (the store's time) the host waits; HELD while a pass is under way, so that whatever comes then wakes it up
        self.waits_until = HELD
        self.housekeeping = Housekeeping(outlet, store, alias, lambda: self.asked.next_waiting)
        #: whether the store stays open after its removal
        self.keeps_open = False
        #: claimed runs that somebody has asked for, for the next pass to start
        self.requested: deque[Run] = deque()
        #: the waiting runs that the store refuses to give; None: there are none
        self.refused_runs: RefusedRuns | None = None
        #: jobs whose last time was skipped because they were still running; that is logged once in a row
        self.skipping: set[str] = set()
        #: executor aliases for which the last pass left plain functions in the store
        self.crowded: set[str] = set()
        #: due jobs that could not be claimed
        self.unclaimed = Unclaimed()
        #: those of them for which this node lacks a resource; None: there never was one
        self.lacking: Lacking | None = None
        #: walks over many times of custom triggers that go on in the next pass, and until when one goes on in this pass
        self.walks = Walks(lambda: outlet.clock.monotonic() < self.walks_until)
        self.walks_until = 0
        #: how many passes in a row found the store's next time due, and nothing to do
        self.unmoved = 0

    def lacking_of(self, outlet: Outlet) -> Lacking:
        """Return what is known of jobs for which this node lacks a resource.

        :param outlet: the scheduler, as its engine sees it
        """
        if self.lacking is None:
            from .lacking import Lacking  # most programs have no resources

            self.lacking = Lacking(outlet, self.store, self.unclaimed, lambda: self.asked.next_waiting)
        return self.lacking

    def tell_of_ends(self, outlet: Outlet, runs: Sequence[Run]) -> None:
        """Tell of ends that a store has by now and that no executor has reported, as of runs that waited.

        Those who have asked for the runs are told, and this node: these ends may have left runs at other jobs. Thread-safe.

        :param outlet: the scheduler, as its engine sees it
        """
        self.completions.tell_askers(runs)
        if BaseTrigger.some_chain:
            self.asked.tell()
            outlet.wake()

    def has_set_clock(self, jobs: Sequence[Job], now: int, elapsed: int) -> bool:
        """Ask the server for its time if due jobs seem to be late; return whether its clock was set.

        Another node may have seen that before, and moved jobs to times that are past by what this one knows.

        :param elapsed: what the monotonic clock shows (microseconds)
        """
        if elapsed < self.measured_at + DOUBTED or min(job.next_due or now for job in jobs) > now - JUMP:
            return False
        self.measured_at = elapsed
        return abs(self.store.measure_clock()) >= JUMP

    def doubt_lease(self) -> None:
        """Renew this node's lease at once, and give the others time to do so: after a jump of the clock, all of them look over."""
        if self.lease is not None:
            self.lease.hurry = True
            self.lease.trust_the_others()
