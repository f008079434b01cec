"""This node's lease in one durable store: kept in time, or renewed late, with whatever nobody has taken meanwhile.

It asks the store; what becomes of rescued runs is the engine's business.
"""

from __future__ import annotations

from ..clock import SECOND
from ..core.run import GONE, Permission
from ..errors import HeldRowsError
from ..interrupts import is_interrupt
from ..util import new_node_id
from .clock_jumps import JUMP, ClockWatch
from .native import Lock, patiently

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ..clock import Clock
    from ..core.run import Run
    from ..core.waiting import MayTake
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .refused_runs import RefusedRuns

    #: runs by job id and nominal time
    InHand = Mapping[tuple[str, int], Run]

#: For how long a node that begins declares nobody dead, at most (microseconds).
BEGINNING = 30 * SECOND
#: The shortest wait for something that has to do with a lease (seconds).
SHORTEST_WAIT = 0.01
#: After so many claims in a row that won nothing the lease is renewed, if that was done last so long ago (microseconds): others may
#: have changed it in the store, where a node whose lease is over gets nothing.
IN_VAIN = 2
NOT_LATELY = SECOND
#: How long the end of a lease waits for a renewal that is under way (seconds).
PATIENCE = 5.0


class Lease:
    """A node in one store. Its runs stay its own as long as nobody has taken them, however late it renews its lease.

    The passes begin the lease. They also renew it, unless something else does (``kept``): then only one that is late already.

    :param length: how long the lease lasts after each renewal (microseconds); it is renewed three times in that time
    """

    __slots__ = (
        "_clock",
        "_clocks",
        "_clocks_differ",
        "_dispelled",
        "_doubts",
        "_in_turn",
        "_in_vain",
        "_logger",
        "_looked_at",
        "_refused",
        "_rescued",
        "_store",
        "_unanswered",
        "asked",
        "claims_from",
        "ended",
        "hurry",
        "is_new",
        "kept",
        "left_over",
        "length",
        "no_takeover_until",
        "node",
        "permission",
        "renewed_at",
        "unsure",
    )

    def __init__(self, store: BaseJobStore, clock: Clock, logger: GuardedLogger, length: int) -> None:
        self._store = store
        self._clock = clock
        self._logger = logger
        self._clocks_differ = False
        #: how many claims in a row won nothing
        self._in_vain = 0
        #: compares the clock by which the lease lasts with the monotonic one, from one renewal to the next
        self._clocks = ClockWatch()
        #: held by the thread that renews the lease at the moment
        self._in_turn = Lock()
        #: True after a renewal that raised: the store may have renewed the lease without saying whose the runs are
        self._unanswered = False
        #: when the store was last looked through for runs to take (monotonic microseconds)
        self._looked_at: int | None = None
        #: the runs that the store refuses to give; None: there are none
        self._refused: RefusedRuns | None = None
        #: rescued runs that have not ended yet, as far as is known
        self._rescued: set[tuple[str, int]] = set()
        self.length = length
        self.node = new_node_id()
        #: monotonic microseconds; None: it has not begun
        self.renewed_at: int | None = None
        #: whether somebody else renews the lease than the passes
        self.kept = False
        #: whether its node has just begun, and cannot know whether the store was away until now
        self.is_new = True
        #: True: the next pass renews it, whatever the time
        self.hurry = False
        #: True once it is given up; it is not renewed any more
        self.ended = False
        #: until when nobody is declared dead (monotonic microseconds): whoever was cut off as this node was has to renew first
        self.no_takeover_until = 0
        #: when runs are claimed again (monotonic microseconds): in a store that was replaced, the others first claim anew what they
        #: have in hand, or it would be executed twice
        self.claims_from = 0
        #: how many doubts there were whether the store holds runs for this node that it does not know of; which is dispelled
        self._doubts = self._dispelled = 0
        #: what the runs that are claimed from now on need to start; another one after a renewal that was too late for the store
        self.permission = self._permission(0)
        #: True while there are runs in hand of which the store did not say, after such a renewal, that they are this node's still
        self.unsure = False
        #: keys of the claimed runs that the store holds for this node since it was put back from a backup, and that are not in hand
        self.left_over: set[tuple[str, int]] = set()
        #: True once somebody has asked for a run that this node may take at once
        self.asked = False

    def _permission(self, until: int) -> Permission:
        """Return a permission for runs of this store, whose times are those of its clock, if it has one."""
        return Permission(until, self._store if self._store.has_clock else None)

    @property
    def in_doubt(self) -> bool:
        """Whether the store may hold runs for this node that it does not know of."""
        return self._doubts != self._dispelled

    def doubt(self) -> int:
        """Have the next pass look for such runs; return the number of this doubt. Thread-safe."""
        self._doubts += 1
        return self._doubts

    def dispel(self, doubts: int) -> None:
        """Take note that a look, or an answer, has dispelled all doubts up to one; those that came meanwhile stay."""
        if self._doubts == doubts:
            self._dispelled = doubts

    @property
    def every(self) -> int:
        """Microseconds from one renewal to the next."""
        return self.length // 3

    @property
    def _late(self) -> int:
        """How many microseconds after a renewal the next one is so late that another node's lease may be over."""
        return self.length // 2

    def keep(self, in_hand: InHand) -> None:
        """Renew the lease if that is for the pass to do now.

        :param in_hand: the runs that were handed out and are not recorded
        """
        if self.renewed_at is not None and not self.hurry:
            age = self._clock.monotonic() - self.renewed_at
            if age < (self._late if self.kept else self.every):
                return
        try:
            self.renew(in_hand)
        except HeldRowsError:  # by a moment; a pass to come tries again
            if self.renewed_at is None or self._clock.monotonic() - self.renewed_at >= self._late:
                raise

    def wait(self, claiming: bool) -> float:
        """Return the seconds until the next pass is needed to renew the lease, or to look for runs that nobody carries out.

        :param claiming: whether this node takes any
        """
        now, times = self._clock.monotonic(), [self.every]
        if not self.kept and self.renewed_at is not None:
            times.append(self.renewed_at + self.every - now)
        if claiming and self._looked_at is not None:
            times.append(self._looked_at + self.every - now)
            if self._looked_at < self.no_takeover_until:
                times.append(self.no_takeover_until - now)
        return max(min(times) / SECOND, SHORTEST_WAIT)

    def note_claim(self, won: bool) -> None:
        """Take note of a claim, and whether it won anything."""
        self._in_vain = 0 if won else self._in_vain + 1
        if self._in_vain >= IN_VAIN and self.renewed_at is not None:
            self.hurry = self.hurry or self._clock.monotonic() - self.renewed_at >= NOT_LATELY

    def wait_for_the_others(self) -> float | None:
        """Return the seconds until the next pass while nothing may be claimed or taken over; None: it may."""
        left = self.claims_from - self._clock.monotonic()
        return min(max(left / SECOND, SHORTEST_WAIT), self.wait(True)) if left > 0 else None

    def why_nothing_is_claimed(self) -> str | None:
        """Return in words why nothing may be claimed though the store works; None: it may."""
        left = self.claims_from - self._clock.monotonic()
        if left <= 0:
            return None
        return (
            "it was replaced while it was open, and is open again; nothing is claimed for another "
            f"{left / SECOND:.0f} s, until the other nodes have claimed anew what they have in hand"
        )

    def renew(self, in_hand: InHand) -> bool:
        """Renew the lease, even if it has run out; say what others have taken meanwhile. Thread-safe.

        It does nothing while another thread is at it.

        :return: whether the store's clock was set since the last renewal
        """
        if not self._in_turn.acquire(False):
            return False
        try:
            return not self.ended and self._renew([run for run in list(in_hand.values()) if not run.ended])
        finally:
            self._in_turn.release()

    def _renew(self, in_hand: Collection[Run]) -> bool:
        elapsed, before = self._clock.monotonic(), self.renewed_at
        unanswered, self._unanswered = self._unanswered or self.unsure, True
        self.unsure = False
        lost = self._store.renew(self.node, self._store.now(), self.length, in_hand, unanswered)
        self._unanswered = self.hurry = False
        if lost is not None and not (unanswered and not lost):
            self._say_what_is_lost([run for run in lost if not run.ended])
        late = before is not None and elapsed - before >= self._late
        jumped = self._clocks.jump(self._store.now(), self._clock.monotonic()) != 0
        if late or jumped or unanswered or lost is not None:
            self.trust_the_others()
        elif before is None and self.is_new:
            # The store may have been away until now, or its clock set: who lives renews its lease within a third of its length.
            self.no_takeover_until = self._clock.monotonic() + min(self._late, BEGINNING)
        if lost is not None:
            self._tell_whose_they_are(in_hand, lost)
        # After that: a pass that sees this sees also that nobody may be declared dead, and a worker whose the runs are.
        self.renewed_at = elapsed
        self.permission.until = elapsed + self.length
        if late or jumped or unanswered or lost is not None:
            self.doubt()  # a store shows nothing to a node whose lease is over, so that a look meanwhile may have found nothing
        self._compare_clocks()
        return jumped

    def check(self, in_hand: InHand) -> None:
        """Renew the lease now, to see that the store is the one that it was.

        :raises StoreReplacedError: if it is not
        """
        waited = patiently(self._in_turn, PATIENCE)
        try:
            if not self.ended:
                self._renew([run for run in list(in_hand.values()) if not run.ended])
        finally:
            if waited:
                self._in_turn.release()

    def begin_anew(self, in_hand: InHand) -> list[Run]:
        """Begin the lease in a store that was opened anew; return the runs in hand that it does not have as this node's.

        These have no permission to start until somebody gives them one.
        """
        waited = patiently(self._in_turn, PATIENCE)
        try:
            runs, elapsed = list(in_hand.values()), self._clock.monotonic()
            self.renewed_at = self._looked_at = None
            self._rescued = set()
            missing = self._store.renew(self.node, self._store.now(), self.length, runs, True) or []
            self._unanswered = self.hurry = self.unsure = False
            self.trust_the_others()
            gone = {id(run) for run in missing}
            self.permission, waiting = self._permission(elapsed + self.length), self._permission(0)
            for run in runs:
                run.permission = waiting if id(run) in gone else self.permission
            self.renewed_at = elapsed
            self.claims_from = (
                elapsed + self.length
            )  # the others have renewed by then and seen it too, or their leases are over
        finally:
            if waited:
                self._in_turn.release()
        return missing

    def _tell_whose_they_are(self, in_hand: Collection[Run], lost: Collection[Run]) -> None:
        """Renew the permission of the runs that are still this node's; those that were not asked for have none until they are."""
        gone = {(run.job_id, run.nominal) for run in lost}
        self.permission = self._permission(0)
        for run in in_hand:
            run.permission = GONE if (run.job_id, run.nominal) in gone else self.permission

    def trust_the_others(self) -> None:
        """Declare no node dead for one lease: it was cut off too, perhaps, and has to renew its lease first."""
        self.no_takeover_until = self._clock.monotonic() + self.length

    def _say_what_is_lost(self, lost: Collection[Run]) -> None:
        if not lost:
            self._logger.warning(
                "Node %s did not renew its lease in time; nobody has taken anything over, and it keeps its runs",
                self.node,
            )
            return
        self._logger.error(
            "Node %s did not renew its lease in time; others have taken over %d of its runs, such as %r. Those that have not begun "
            "here are left to them, and the outcomes of the others will be refused",
            self.node,
            len(lost),
            next(iter(lost)),
        )

    def _compare_clocks(self) -> None:
        """Say once when the store's clock shows another time than this machine's: jobs run by the store's."""
        offset = self._store.clock_offset or 0
        wrong = abs(offset) > SECOND
        if wrong and not self._clocks_differ:
            self._logger.warning(
                "The clock of %r is %+.1f s ahead of this machine's; jobs run by the store's. Set the clocks by NTP",
                self._store,
                offset / SECOND,
            )
        self._clocks_differ = wrong

    # -- runs of others ------------------------------------------------------------------------------------------

    def wants_rescue(self, in_hand: Collection[tuple[str, int]]) -> bool:
        """Whether it is time to look for runs that nobody carries out."""
        if self.in_doubt or self.asked or self._looked_at is None:
            return True
        if self._refused is not None and self._refused.is_due:
            return True
        now = self._clock.monotonic()
        if self._looked_at < self.no_takeover_until <= now:
            return True
        return self._may_rescue_more(in_hand) or now - self._looked_at >= self.every

    def look_later(self) -> None:
        """Take note that the store was not looked through for runs to take, as none may be taken now."""
        self._looked_at = self._clock.monotonic()

    def rescue(self, now: int, room: Mapping[str, int], in_hand: Collection[tuple[str, int]]) -> list[Run]:
        """Take over the runs of dead nodes, those that nobody has, and those of this node whose claim was answered by an error."""
        moved = self._store.measure_clock()
        if abs(moved) > JUMP:
            # Who has renewed by the new time looks dead by the old one, and who has not yet, by the new one.
            self.trust_the_others()
        self._looked_at = elapsed = self._clock.monotonic()
        # Late now: another thread may be renewing the lease at this moment.
        late = self.renewed_at is None or elapsed - self.renewed_at >= self._late
        ownerless = late or elapsed < self.no_takeover_until
        in_doubt = self.in_doubt or self._refused is not None  # its own runs may be among these
        doubts = self.doubt()  # an error leaves it: what was taken may be ours all the same
        self.asked = False
        known = set(in_hand)

        def take(left: Mapping[str, int], *may_take: MayTake) -> list[Run]:
            given = self._store.rescue(
                self.node, now + moved, left, set(known), in_doubt, ownerless, *may_take
            )
            known.update((run.job_id, run.nominal) for run in given)
            return given

        runs, is_sure = self._taken(take, room)
        if is_sure:
            self.dispel(doubts)
        self._rescued.update((run.job_id, run.nominal) for run in runs)
        return runs

    def _taken(self, take: Callable[..., list[Run]], room: Mapping[str, int]) -> tuple[list[Run], bool]:
        """Take runs over, without those that the store refuses; return them, and whether it is sure that these are all."""
        refused = self._refused
        if refused is None:
            try:
                return take(room), True
            except BaseException as exc:
                from .damage import is_away  # import time

                if is_interrupt(exc) or is_away(exc):
                    raise
                from .refused_runs import RefusedRuns  # rare

                refused = self._refused = RefusedRuns(self._clock, self._logger)
        runs = refused.take(take, room)
        if not refused:
            self._refused = None
        return runs, refused.is_sure

    def _may_rescue_more(self, in_hand: Collection[tuple[str, int]]) -> bool:
        """Whether rescued runs have ended since the last look, so that there is room for what had to wait."""
        if not self._rescued:
            return False
        before = len(self._rescued)
        self._rescued = {key for key in self._rescued if key in in_hand}
        return len(self._rescued) < before

    # -- the end -------------------------------------------------------------------------------------------------

    def end(self, unstarted: list[Run], now: int) -> None:
        """Give back the runs that were not started, and end the lease."""
        self.ended = True
        waited = patiently(self._in_turn, PATIENCE)  # a renewal that comes later would begin it anew
        try:
            if self.renewed_at is not None:
                self._store.leave(self.node, unstarted, now)
                self.renewed_at = None
        finally:
            if waited:
                self._in_turn.release()
