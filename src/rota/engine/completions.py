"""Completions: from the end of a run to the store's record of it, and only then to its event.

Group commit: whatever has ended while the last write was under way is written together. It starts no runs.
"""

from __future__ import annotations

from collections import deque
from threading import Event, Lock
from time import sleep

from ..clock import HELD, SECOND
from ..core.policy import Policy
from ..core.run import GONE, LAST, Run, asked_to_stop, is_plain
from ..core.states import CANCELLED, LOST, SUCCEEDED, WITHHELD, end, take_back
from ..errors import HeldRowsError
from ..interrupts import is_interrupt
from ..jobstores.base import BaseJobStore
from ..triggers.base import BaseTrigger
from .announcements import EVENT_OF_STATUS, event_of, tell_of_pauses
from .backoff import FIRST_PAUSE, LONGEST_PAUSE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, MutableMapping, Sequence
    from typing import Any, Protocol

    from ..core.plan import Decision
    from .backoff import BackOff
    from .beats import Beats
    from .failures import Failures
    from .lease import Lease
    from .next_tries import GivenBack, KnowsBackfills, NextTries
    from .outlet import Outlet
    from .refusals import Refusals
    from .timeouts import Timeouts
    from .withdrawn import Withdrawn

    class HearsOfEnd(Protocol):
        """Somebody who has asked for a run."""

        def has_ended(self, run: Run, outcome: tuple[BaseException | None, Any] | None = ...) -> None:
            """Take the end of the run; it calls no code of users."""


#: How many ended runs are written at once, at most.
BATCH = 1000
#: Where so many runs are about to end, the first to end waits for others …
COMPANY = 10
#: … for so long (seconds), which is less than a commit takes: a burst in SQLite is recorded a tenth faster.
PAUSE = 0.001


class Completions:
    """The ended runs of one store on their way into its ledger."""

    #: what the runs say of themselves; None: none has said anything yet
    beats: Beats | None = None
    #: what gives runs back that are tried again; None: none was yet
    next_tries: NextTries | None = None
    #: called with the time at which a run that waits may start (instant)
    begin_at: Callable[[int], object]
    #: the runs whose time is limited; None: there was none yet
    timeouts: Timeouts | None = None
    #: whether some of them were not waited for any more
    has_left_some = False
    #: the runs that were asked to stop before they had started; None: there was none yet
    withdrawn: Withdrawn | None = None
    #: what is known of ends that the store refused; None: it has refused none yet
    refusals: Refusals | None = None

    def __init__(
        self, outlet: Outlet, back_off: BackOff, store: BaseJobStore, alias: str, lease: Lease | None
    ) -> None:
        self._outlet = outlet
        self._back_off = back_off
        self._store = store
        self._alias = alias
        self._lease = lease
        #: stores of eight methods do not tell by the due time that a job waits for the end of its runs
        self._asks_triggers = type(store).finish is BaseJobStore.finish
        self._ended: deque[Run] = deque()
        self._writing = Lock()
        #: runs handed to executors; only the engine's thread counts here
        self.submitted = 0
        #: runs whose end is in the store; only the holder of the lock counts here
        self.recorded = 0
        #: the runs that were handed out and are not recorded, also those that another node has taken over; None for a store that
        #: dies with the process
        self.in_hand: dict[tuple[str, int], Run] | None = {} if store.durable else None
        #: claimed runs of a durable store that a shutdown kept from starting; they are given back
        self.unstarted: list[Run] = []
        #: how often the store was opened anew
        self.reopened = 0
        #: what jobs want to be told of their failed runs
        self.failures: Failures | None = None
        #: what others ask of this node in the store; None: nobody has said
        self.asked_here: KnowsBackfills | None = None
        #: runs that somebody has asked for and still holds, who are told of their ends; None: there never was one
        self.asked: MutableMapping[tuple[str, int], HearsOfEnd] | None = None
        #: runs in hand that their executor could not start without permission; the passes hand them out again
        self.withheld: deque[Run] = deque()
        #: ended runs whose rows somebody else holds; when they are tried again (monotonic microseconds), and after what pause
        self._held: list[Run] = []
        self._held_until = 0
        self._held_pause = FIRST_PAUSE
        #: True while nothing is to start any more
        self.draining = False
        self._idle = Event()
        #: called with flush() by hosts that must not wait for the store, or that record once in a turn of their loop
        self.offload: Callable[[Callable[[], None]], None] | None = None
        self._offloaded = False
        #: True while the engine hands out runs; what ends then may be inline, and waits for nobody
        self.handing_out = False
        #: True while done() leaves it to the engine to record what has ended
        self._gathers = False

    @property
    def parts(self) -> tuple[Completions]:
        """The ends of runs of each store: this one; an engine has several."""
        return (self,)

    @property
    def in_flight(self) -> int:
        """How many runs were handed out and are not recorded."""
        return self.submitted - self.recorded

    @property
    def ended(self) -> int:
        """How many runs have ended, as far as is known."""
        return self.recorded + self.unrecorded

    def expect(self, count: int, decisions: Sequence[Decision]) -> None:
        """Take note that the ``count`` runs of these decisions are about to be handed to executors."""
        self.submitted += count
        if self.in_hand is not None:
            for decision in decisions:
                for run in decision.runs:
                    self.in_hand[run.job_id, run.nominal] = run

    def expect_run(self, run: Run) -> None:
        """Take note that a rescued run is about to be handed to an executor."""
        self.submitted += 1
        if self.in_hand is not None:
            self.in_hand[run.job_id, run.nominal] = run

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no run is under way and all are recorded, at most so long; return whether that is so."""
        self._idle.clear()
        return not self.in_flight or (self._idle.wait(seconds) and not self.in_flight)

    def done(self, run: Run) -> None:
        """Take an ended run; the callback of all executors. Thread-safe, and it never raises."""
        if run.permission is not None and run.status == WITHHELD and run.permission is not GONE:
            self._withhold(run)
            return
        if Policy.some_time_out and hasattr(run, "watch") and not (self.timeouts or self.watch()).end(run):
            return
        if run.retval is not None and not is_plain(run.retval):
            from ..codec.results import kept_of  # import time: most jobs return nothing

            # Here, as it may call code of users, which may hang: not under a lock, nor in the thread that claims.
            run.kept = kept_of(run.retval)
        if run.status != SUCCEEDED and (asked := asked_to_stop(run)) is not None:
            if self.withdrawn is not None and self.withdrawn.drop(run):
                return
            if run.status == CANCELLED:
                run.reason = asked
            else:
                from ..core.tries import stop_instead  # rare

                stop_instead(run, asked, self._store.now())
        self._take(run)

    def _take(self, run: Run) -> None:
        """Take the end of a run, and have it recorded."""
        self._ended.append(run)
        if self._gathers:  # asked after the run was appended, so gathered() finds it
            return
        if self.offload is None:
            self.flush()
        elif not self._offloaded:
            self._offloaded = True
            self.offload(self.flush)

    def _withhold(self, run: Run) -> None:
        take_back(run)
        if hasattr(run, "watch"):
            run.watch.forget(run)
        self.withheld.append(run)
        if self.draining:  # asked after the run was appended, so drain() finds it
            self.give_back_withheld()
        else:
            if self._lease is not None:
                self._lease.hurry = True
            self._outlet.wake()

    def drain(self) -> None:
        """Start nothing more: what waits for its permission is given back."""
        self.draining = True
        self.give_back_withheld()

    def give_back_withheld(self) -> None:
        """Cancel what waits for its permission; its store gets it back."""
        while self.withheld:
            try:
                run = self.withheld.popleft()
            except IndexError:  # another thread was faster
                return
            end(run, CANCELLED, "the scheduler was shut down before it started", self._store.now())
            self.done(run)

    def gather(self, wanted: bool) -> None:
        """Leave what ends to :meth:`gathered`, if that is wanted and the records would die with the process."""
        self._gathers = wanted and self.in_hand is None

    def gathered(self) -> None:
        """Record what has ended since :meth:`gather`."""
        if self._gathers:
            self._gathers = False
            self.flush()

    @property
    def waiting(self) -> int:
        """How many runs wait for their permission."""
        return len(self.withheld)

    @property
    def unrecorded(self) -> int:
        """How many runs have ended and are not in the store yet."""
        deferred = 0 if self.next_tries is None else self.next_tries.deferred
        return len(self._ended) + len(self._held) + deferred

    def flush(self) -> None:
        """Write what has ended. One thread writes; the others leave their runs to it and go on."""
        self._offloaded = False
        if self._held:
            self._take_up_held()
        # Asked again after the lock is given back: a run that came in between would wait for the next one.
        while self._ended and self._writing.acquire(False):
            try:
                self._wait_for_company()
                written = self._write()
            finally:
                self._writing.release()
            if self.failures:
                self.failures.tell()
            if not written:
                return

    def _wait_for_company(self) -> None:
        """Let runs that are about to end be written with the first: each write to a disk or server costs much, its size little."""
        ended = len(self._ended)
        if self._store.does_io and not self.handing_out and ended < COMPANY <= self.in_flight - ended:
            sleep(PAUSE)

    def _write(self) -> bool:
        ended, outlet, reopened = self._ended, self._outlet, self.reopened
        if self._back_off.is_on:
            return False
        if self._store.does_io:
            outlet.room_came_free()  # the next pass looks for due jobs while this is written
        batch = self._next_batch()
        if not batch:
            return True
        ended_now = batch if self.in_hand is None else self._without_unstarted(batch)
        again = self._give_back(ended_now) if ended_now and self._may_go_on() else None
        if again is not None:
            ended_now = again.ended
        waiting = self._has_waiting_job(ended_now)
        try:
            refused, lost, left, error = (
                self._carry_out(ended_now, reopened) if ended_now else ((), (), (), None)
            )
        except BaseException:  # an interrupt
            ended.extendleft(reversed(ended_now))
            self.recorded += len(batch) - len(ended_now) - (0 if again is None else len(again.unwritten))
            raise
        if again is not None:
            ended_now = [*ended_now, *again.refused]
            refused, left, error = [*refused, *again.refused], [*left, *again.unwritten], error or again.error
        if left:
            unwritten = dict.fromkeys(left)
            batch = [run for run in batch if run not in unwritten]
            ended_now = [run for run in ended_now if run not in unwritten]
        self.recorded += len(batch)
        if self.in_hand is not None:
            self._let_go(self.in_hand, batch)
        try:
            self._tell(ended_now, refused, lost, again)
        finally:
            if self.asked_here is not None and self.asked_here.backfills:  # another run of one may start
                self.asked_here.again_at = 0
                waiting = True
            if waiting:
                outlet.wake()
            if error is not None:
                self._back_off.failed(error, "recording ended runs")
        return error is None

    def _next_batch(self) -> list[Run]:
        """Return the runs that are to be written next."""
        # Only the writer takes from the left, so what is counted here is there.
        take = self._ended.popleft
        batch = [take() for _ in range(min(len(self._ended), BATCH))]
        if self.next_tries is not None:
            batch += self.next_tries.take_ready(batch)
        return batch

    def _tell(
        self, ended: Sequence[Run], refused: Sequence[Run], lost: Sequence[Run], again: GivenBack | None
    ) -> None:
        """Keep what runs said last, and tell of what has become of them."""
        if Run.some_say and self.beats is not None:
            unkept = {id(run) for run in (*refused, *lost)}
            self.beats.end([run for run in ended if id(run) not in unkept])
        if BaseTrigger.some_chain and self._store.starting(ended):
            self.begin_at(self._store.now())  # the jobs after these have runs that wait
            self._outlet.wake()
        try:
            if again is not None and again.waiting and self.next_tries is not None:
                self.next_tries.tell(again.waiting, self.begin_at, self.asked_here)
                self._outlet.wake()
            self._announce(ended, refused, lost)
        finally:
            if self.submitted == self.recorded and not self._idle.is_set():
                self._idle.set()
            self._outlet.room_came_free()
            if refused and self._lease is not None:
                # Mostly another node has taken the run over. If somebody else changed what is stored of it, nobody would ever end
                # it: the next pass looks for what the store holds for this node.
                self._lease.doubt()
                self._outlet.wake()

    def _may_go_on(self) -> bool:
        """Whether some of the runs that have ended may have to wait for another try."""
        return Run.some_again or Policy.some_retry or (self.draining and self.in_hand is not None)

    def _give_back(self, runs: Sequence[Run]) -> GivenBack:
        """Give those of some runs back that are tried again; what cannot be written is kept."""
        if self.next_tries is None:
            from .next_tries import NextTries  # most runs are not tried again

            self.next_tries = NextTries(self._outlet, self._store, self._alias, self._lease)
        found = self.next_tries.give_back(runs, self.beats, self.draining and self.in_hand is not None)
        if found.refused and self._lease is not None:
            from .refusals import refusals_of  # rare

            known = refusals_of(self, self._store, self._lease, self._outlet.logger)
            known.keep_unwritten(found, self.in_hand or {})
        if found.held:
            self._set_aside(found.held)
        self._ended.extendleft(reversed(found.left))
        return found

    def _has_waiting_job(self, runs: Sequence[Run]) -> bool:
        """Whether the job of a run waits for its end: for room, or as its next time is counted from there."""
        asks = self._asks_triggers
        for run in runs:
            job = run.job
            if job is not None and (job.next_due == HELD or (asks and job.trigger.follows_end)):
                return True
        return False

    def _let_go(self, in_hand: dict[tuple[str, int], Run], runs: Sequence[Run]) -> None:
        for run in runs:
            key = (run.job_id, run.nominal)
            if in_hand.get(key) is run:
                del in_hand[key]

    def _carry_out(
        self, runs: Sequence[Run], reopened: int
    ) -> tuple[Sequence[Run], Sequence[Run], Sequence[Run], BaseException | None]:
        """Write ends of runs, as far as that can be done; the others are kept for a later pass.

        :param reopened: how often the store had been opened anew before it was asked for anything
        :return: the runs that are refused by the fence, those that are lost with their store, those that are kept, and the error
            that ended it
        """
        refused: Sequence[Run] = ()
        held: Sequence[Run] = ()
        lost: Sequence[Run] = ()
        left: list[Run] = []
        error: BaseException | None = None
        try:
            refused = self._store.finish(runs, self._store.now())
        except HeldRowsError as exc:  # the others are written
            refused, held = exc.refused, exc.runs or runs
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            from .damage import finish_singly, set_aside  # import time

            written, refused, error = finish_singly(self._store, runs, exc, self._outlet.logger)
            held, left, error = set_aside(runs, written, error)
        if refused and self._lease is not None:
            from .refusals import refusals_of  # rare

            known = refusals_of(self, self._store, self._lease, self._outlet.logger)
            refused, lost, unwritten, doubtful, failure = known.look_into(
                refused, lambda: self.reopened == reopened, self.in_hand or {}
            )
            held = [*held, *unwritten]
            left += doubtful
            error = error or failure
        self._set_aside(held)
        self._ended.extendleft(reversed(left))
        return refused, lost, [*left, *held], error

    def _set_aside(self, held: Sequence[Run]) -> None:
        """Keep ends of runs whose rows somebody else holds until a pass tries again, after pauses that double; others go on."""
        if held:
            pause = self._held_pause = min(2 * self._held_pause, LONGEST_PAUSE)
            self._held_until = self._outlet.clock.monotonic() + pause
            self._held += held
            self._outlet.wake()  # the host waits for no longer than that
        elif not self._held:
            self._held_pause = FIRST_PAUSE

    def _take_up_held(self) -> None:
        if self._outlet.clock.monotonic() >= self._held_until and self._writing.acquire(False):
            try:
                held, self._held = self._held, []
                self._ended.extendleft(reversed(held))
            finally:
                self._writing.release()

    @property
    def held_wait(self) -> float | None:
        """Seconds until ends of runs are to be written whose rows somebody else held; None: there are none."""
        if not self._held:
            return None
        return max(self._held_until - self._outlet.clock.monotonic(), FIRST_PAUSE) / SECOND

    def _without_unstarted(self, batch: list[Run]) -> list[Run]:
        """Put the runs aside that a shutdown cancelled before they started: a durable store gets them back.

        What another node has taken over leaves without a word: it has no end here.
        """
        ended = [run for run in batch if not _is_unstarted(run) and run.status != WITHHELD]
        if self._outlet.exiting:
            # What was ended by force stays claimed: as of a node that died, it is run again or lost.
            ended = [run for run in ended if run.status != LOST]
        if len(ended) < len(batch):
            self.unstarted += [run for run in batch if _is_unstarted(run)]
        return ended

    def _announce(self, batch: Sequence[Run], refused: Sequence[Run], lost: Sequence[Run]) -> None:
        outlet, alias = self._outlet, self._alias
        wanted = outlet.wanted()
        unrecorded = None
        if refused or lost:
            from .refusals import announcements_of, refusals_of  # rare

            known = refusals_of(self, self._store, self._lease, outlet.logger)
            unrecorded = announcements_of(refused, lost, known)
        if Policy.some_tell:
            self.note_failures(batch, unrecorded or ())
        if self.asked:
            self.tell_askers([run for run in batch if not unrecorded or id(run) not in unrecorded])
        for run in batch:
            event = None
            job = run.job
            if job is not None:  # label(), of which the call costs more than what it does
                run.name, run.func = job.name, job.func_ref
            if unrecorded and id(run) in unrecorded:
                code, why = unrecorded[id(run)]
                outlet.logger.error("The outcome of %r (%s) %s", run, run.status, why)
                event = event_of(alias, run, code)
            elif wanted and wanted & EVENT_OF_STATUS[run.status]:
                event = event_of(alias, run, EVENT_OF_STATUS[run.status])
            # The ledger is bounded; it may not keep a job's objects alive.
            run.job = run.then = run.exception = None
            if run.kept is not None:
                run.retval, run.kept = run.kept[1], None
            if event is not None:  # after that, so that every listener sees the same run
                outlet.dispatch(event)
        if Policy.some_pause:
            self.tell_of_pauses([run for run in batch if not unrecorded or id(run) not in unrecorded])

    def tell_of_pauses(self, runs: Sequence[Run]) -> None:
        """Tell of jobs that were paused as these runs have failed, whose ends are in the store."""
        if any(hasattr(run, "pauses") for run in runs):
            node = "" if self._lease is None else self._lease.node
            tell_of_pauses(self._outlet, self._store, self._alias, node, runs)

    def tell_askers(self, runs: Sequence[Run]) -> None:
        """Tell those who have asked for runs of their ends, with what the runs have raised and returned."""
        asked = self.asked or {}
        for run in runs:
            waiting = asked.get((run.job_id, run.nominal))
            if waiting is not None:
                known = run.status == SUCCEEDED or run.exception is not None
                waiting.has_ended(run, (run.exception, run.retval) if known else None)

    def listen(self) -> Beats:
        """Return who listens to the runs of this store, from the first of them that says something on. Thread-safe."""
        if self.beats is None:
            from .beats import Beats  # most runs say nothing

            beats = Beats(self._outlet, self._store, self._alias, self._lease, self.in_hand)
            return self.__dict__.setdefault("beats", beats)  # type: ignore[no-any-return]
        return self.beats

    def watch(self) -> Timeouts:
        """Return who watches the runs of this store, from the first whose time is limited on. Thread-safe."""
        if self.timeouts is None:
            from .timeouts import Timeouts  # most jobs have no limit

            timeouts = Timeouts(self._outlet, self._store, self._alias, self)
            return self.__dict__.setdefault("timeouts", timeouts)  # type: ignore[no-any-return]
        return self.timeouts

    def end_instead(self, run: Run, record: Run, goes_on: bool = True) -> None:
        """Take the end of a run that is not waited for any more, in the form of another object.

        :param run: the run that goes on, or has not started
        """
        key = (run.job_id, run.nominal)
        if self.in_hand is None:
            self._store.put_in_place(run, record)
        elif self.in_hand.get(key) is run:
            self.in_hand[key] = record
        if goes_on:
            self.has_left_some = True
            record.wish = LAST  # it may still go on here
        self._take(record)

    def note_failures(self, runs: Sequence[Run], unrecorded: Container[int] = ()) -> Failures:
        """Take note of failed runs of which somebody is to be told; return what tells.

        :param unrecorded: the identities of runs whose end is not in the store
        """
        if self.failures is None:
            from .failures import Failures  # most jobs name nobody

            self.failures = Failures(self._outlet, self._alias)
        self.failures.note(runs, unrecorded)
        return self.failures


def _is_unstarted(run: Run) -> bool:
    """Whether a run was kept from starting, and nobody has asked for that: its store gets it back."""
    return run.status == CANCELLED and run.started_at is None and asked_to_stop(run) is None
