"""What the runs of a node say of themselves, on its way into the store: one batch for each store and second at most.

It is written by the thread that makes the passes, or renews the lease, and by none in which a job runs. What a store does not take
costs no run anything: it is written with what comes next. Here is also known when each run beat last.
"""

from __future__ import annotations

from collections import deque

from ..clock import SECOND
from ..core.beats import CANCEL_REQUESTED
from ..core.run import GONE
from ..core.states import SUCCEEDED
from ..interrupts import is_interrupt
from ..texts import error_text
from .native import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core.beats import Said
    from ..core.details import RunParts
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from .lease import Lease
    from .outlet import Outlet

#: The shortest time from one batch to the next (microseconds), and the longest after batches that failed.
EVERY = SECOND
LONGEST = 16 * SECOND
#: The shortest wait until another look (microseconds), while another thread writes.
SHORTEST = SECOND // 10
#: How many runs one batch is about, at most; the others are in the next one.
BATCH = 1000
#: How much is kept of runs that have ended while the store takes nothing: so many runs, and so many characters.
MOST_LEFT = 1000
MOST_CHARACTERS = 8 * 1024 * 1024


class Beats:
    """What the runs of one store say, on the node that has them.

    :param outlet: the scheduler, as its engine sees it
    :param store: the store
    :param alias: its alias
    :param lease: this node's lease in it; None: it needs none
    :param in_hand: the runs that were handed out and are not recorded; None where the store dies with the process
    """

    __slots__ = (
        "_alias",
        "_failures",
        "_in_hand",
        "_in_turn",
        "_lease",
        "_left",
        "_new",
        "_next_at",
        "_outlet",
        "_renewed_at",
        "_store",
        "_will_look",
        "monotonic",
    )

    def __init__(
        self,
        outlet: Outlet,
        store: BaseJobStore,
        alias: str,
        lease: Lease | None,
        in_hand: Mapping[tuple[str, int], Run] | None,
    ) -> None:
        self.monotonic = outlet.clock.monotonic
        self._outlet = outlet
        self._store = store
        self._alias = alias
        self._lease = lease
        self._in_hand = in_hand
        #: what has something new to be written
        self._new: deque[Said] = deque()
        #: what was said last by runs that have ended, and is not written yet
        self._left: deque[RunParts] = deque()
        #: held by the thread that writes
        self._in_turn = Lock()
        #: whether a pass will look here without being woken
        self._will_look = store.writes_beats_rarely and lease is not None
        #: when the next batch may be written (monotonic microseconds)
        self._next_at = outlet.clock.monotonic()
        #: which renewal of the lease the last batch came with, where it comes with one
        self._renewed_at: int | None = None
        self._failures = 0

    def add(self, said: Said) -> None:
        """Take note that a run has said something that is not written yet. Thread-safe; it does not wait, and raises nothing."""
        self._new.append(said)
        if not self._will_look:  # asked after it was appended, so the pass that forgets this finds it
            self._have_a_look()

    def claimed(self, run: Run) -> Run:
        """Return the run that was claimed, of which this one may be a copy for the job."""
        run_in_hand = None if self._in_hand is None else self._in_hand.get((run.job_id, run.nominal))
        return run if run_in_hand is None or run_in_hand.attempt != run.attempt else run_in_hand

    def look(self) -> float | None:
        """Write what is due; return the seconds until a pass has to look again, None: a run says when, or the lease."""
        if self._store.writes_beats_rarely and self._lease is not None:
            self.renewed()
            return None
        left = self._next_at - self.monotonic()
        if left > 0:
            return left / SECOND
        self._will_look = False
        if not self._new and not self._left:
            return None
        self._will_look = True
        self.write()
        return max(self._next_at - self.monotonic(), SHORTEST) / SECOND

    def renewed(self) -> None:
        """Write what was said, once for each renewal of the lease, where it is written with these only."""
        if self._lease is None or not self._store.writes_beats_rarely:
            return
        renewed_at = self._lease.renewed_at
        if renewed_at != self._renewed_at and (self._new or self._left):
            self._renewed_at = renewed_at
            self.write()

    def end(self, runs: Sequence[Run]) -> None:
        """Write what runs said last, and what they have logged; their ends are in the store."""
        for run in runs:
            parts = self.last_words(run)
            if parts:
                run.parts = parts
                self._left.append((run.job_id, run.nominal, parts))
        if self._left and self._in_turn.acquire(False):
            try:
                self._write(with_new=False)
            finally:
                self._in_turn.release()

    def last_words(self, run: Run) -> dict[str, str]:
        """Return what a run has said last, and what it has logged; what it says after that is not heard."""
        said = getattr(run, "said", None)
        if said is None:
            return {}
        if run.status == SUCCEEDED and run.cancelled:
            said.note = CANCEL_REQUESTED
        del run.said
        return said.last_words(self._instant_of, self._store.longest_log)  # type: ignore[no-any-return]

    def write(self) -> None:
        """Write what is new, unless another thread is at it; whatever goes wrong, it is tried again with the next batch."""
        if self._in_turn.acquire(False):
            try:
                self._write(with_new=True)
            finally:
                self._in_turn.release()

    def _write(self, with_new: bool) -> None:
        last = [self._left.popleft() for _ in range(min(len(self._left), BATCH))]
        new = self._take() if with_new else []
        try:
            parts = [*last, *((*said.key, said.parts(self._instant_of)) for said in new)]
            if parts:
                self._store.write_parts(parts, None if self._lease is None else self._lease.node)
            self._failures = 0
        except BaseException as exc:
            self._left.extendleft(reversed(last))
            self._forget_oldest()
            for said in new:
                if not said.is_noted:
                    said.is_noted = True
                    self._new.append(said)
            self._failures += 1
            if is_interrupt(exc):
                raise
            if self._failures == 1:
                self._outlet.logger.warning(
                    'What runs say of themselves could not be written into job store "%s": %s; trying again',
                    self._alias,
                    error_text(exc),
                )
            self._have_a_look()
        if with_new or self._failures:
            pause = min(EVERY << self._failures, LONGEST) if self._failures < 10 else LONGEST
            self._next_at = self.monotonic() + pause

    def _have_a_look(self) -> None:
        """Have a pass look here."""
        self._will_look = True
        try:
            self._outlet.wake()
        except BaseException as exc:  # a host may override it
            if is_interrupt(exc):
                raise
            self._outlet.logger.exception("wakeup() failed; what runs say is written with the next pass")

    def _take(self) -> list[Said]:
        """Return what is new of the runs that this node still has."""
        if self._lease is not None and self.monotonic() >= self._lease.permission.until:
            return []  # others may have taken them over; a renewal tells
        found = []
        for _ in range(min(len(self._new), BATCH)):
            said = self._new.popleft()
            said.is_noted = False  # before it is read: what is said from now on is new again
            if not said.is_over and self._is_in_hand(said):
                found.append(said)
        return found

    def _is_in_hand(self, said: Said) -> bool:
        if self._in_hand is None:
            return True
        run = self._in_hand.get(said.key)
        return run is not None and run.permission is not GONE and getattr(run, "said", None) is said

    def _forget_oldest(self) -> None:
        """Keep what is left within its bounds, however long the store takes nothing."""
        size = sum(len(text or "") for _, _, parts in self._left for text in parts.values())
        while len(self._left) > MOST_LEFT or size > MOST_CHARACTERS:
            size -= sum(len(text or "") for text in self._left.popleft()[2].values())

    def _instant_of(self, monotonic: int) -> int:
        """Return the instant of a monotonic time, by the clock of the store."""
        return self._store.now() - (self.monotonic() - monotonic)
