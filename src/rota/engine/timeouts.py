"""The runs of one store whose jobs have a ``timeout`` or a ``heartbeat_timeout``: watched, told of, and stopped in time.

The passes look at them, and come in time: the host is woken when a run begins whose time is over before the next look. It decides
nothing (:mod:`rota.core.timeouts` does), and waits for no run.
"""

from __future__ import annotations

from copy import copy
from threading import get_ident
from time import sleep

from ..clock import HELD, SECOND
from ..core.run import said_by
from ..core.states import CLAIMED, WITHHELD
from ..core.timeouts import TIMEOUT, mark_of, note_of, time_out, until
from ..events import EVENT_JOB_TIMED_OUT, JobTimedOutEvent
from ..interrupts import is_interrupt
from .announcements import local
from .native import Lock, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from ..core.policy import Policy
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from .outlet import Outlet

    class Ends(Protocol):
        """The ends of the runs of a store."""

        timeouts: Timeouts | None

        @property
        def in_flight(self) -> int:
            """How many runs were handed out and are not recorded."""

        @property
        def unrecorded(self) -> int:
            """How many of them have ended."""

        def end_instead(self, run: Run, record: Run) -> None:
            """Take the end of a run that is not waited for any more, in the form of another object."""

        def flush(self) -> None:
            """Record what has ended."""


#: The shortest wait until another look, while another thread looks (microseconds).
SHORTEST = SECOND // 10
#: A sleep of the machine that is not longer than that is not taken out (microseconds).
DOZE = SECOND
#: How long a run has to end after its time, before a shutdown goes on without it (microseconds).
GRACE = SECOND
#: Looks are so far apart at least, for each run that is watched (microseconds): they take a twentieth of the time at most.
SPREAD = 5
#: The longest pause of the thread that looks while runs are carried out inline (seconds).
PAUSE = 0.1


class Overdue:
    """An attempt whose time is over, and that goes on.

    :ivar Run called: the run as its job sees it, which may be a copy
    :ivar Policy policy: the policy of its job, as it was when the attempt began
    :ivar str reason: why its time is over
    :ivar int at: since when (monotonic)
    """

    __slots__ = ("at", "called", "policy", "reason")

    def __init__(self, called: Run, policy: Policy, reason: str, at: int) -> None:
        self.called = called
        self.policy = policy
        self.reason = reason
        self.at = at


class CopyWatch:
    """Watches the copy of a run which the executor of a third party lets the job see."""

    __slots__ = ("_run", "_watch")

    def __init__(self, watch: Timeouts, run: Run) -> None:
        self._watch = watch
        self._run = run

    def begin(self, run: Run) -> None:
        """Take note that an attempt begins now."""
        self._watch.begin_copy(self._run, run)

    def forget(self, run: Run) -> None:
        """Take note that it has not begun after all."""
        self._watch.forget(self._run)

    def is_over(self, run: Run) -> bool:
        """Whether the time of the attempt is over, and it goes on."""
        return self._watch.is_over(self._run)

    def of_copy(self, run: Run) -> CopyWatch:
        """Return this: a copy of a copy is watched as its original."""
        return self


class Timeouts:
    """The runs of one store whose time is limited, from their beginning to their end.

    Who takes a run out of ``_watched`` decides how it ends: a look, as one whose time is over, or its end. That needs no lock.

    :param outlet: the scheduler, as its engine sees it
    :param store: the store
    :param alias: its alias
    :param completions: the ends of its runs
    """

    __slots__ = (
        "_alias",
        "_completions",
        "_copies",
        "_has_news",
        "_has_thread",
        "_in_turn",
        "_is_looking",
        "_left",
        "_looks_at",
        "_monotonic",
        "_noting",
        "_outlet",
        "_over",
        "_sleeps",
        "_slept",
        "_store",
        "_watched",
    )

    def __init__(self, outlet: Outlet, store: BaseJobStore, alias: str, completions: Ends) -> None:
        self._outlet = outlet
        self._monotonic = outlet.clock.monotonic
        self._store = store
        self._alias = alias
        self._completions = completions
        #: the attempts under way: when each has begun, its policy (an edit is for the next one), until when it is not over for sure
        self._watched: dict[Run, tuple[int, Policy, int]] = {}
        #: those of them that a job sees as a copy
        self._copies: dict[Run, Run] = {}
        #: those whose time is over and that have not ended
        self._over: dict[Run, Overdue] = {}
        #: those that are not waited for any more, and have not ended
        self._left: set[Run] = set()
        #: when the next look is needed (monotonic)
        self._looks_at = HELD
        #: whether a look is under way, which may not have seen what begins now; whether something has begun meanwhile
        self._is_looking = self._has_news = False
        #: when it was noticed that the machine had slept, and how long, as far as runs under way are concerned
        self._sleeps: list[tuple[int, int]] = []
        self._slept = outlet.clock.slept()
        #: held while that is noted
        self._noting = Lock()
        #: held by the thread that looks
        self._in_turn = Lock()
        #: whether a thread looks while runs are carried out inline
        self._has_thread = False

    # -- what the threads that carry runs out call ---------------------------------------------------------------

    def begin(self, run: Run) -> None:
        """Take note that an attempt begins now. Thread-safe; it does not wait, and raises nothing."""
        now, policy = self._monotonic(), run.job.policy  # type: ignore[union-attr]  # only the time of such runs is watched
        limit = policy.time_limit
        safe = HELD if limit is None else now + limit  # it had one when it was handed over
        self._watched[run] = now, policy, safe
        if self._outlet.passing == get_ident():
            self._has_news = True
            if not self._has_thread and not self._outlet.clock.virtual:
                self._look_aside()  # nobody makes passes while a run is carried out inline
        elif self._is_looking or safe < self._looks_at:
            self._looks_at = min(safe, self._looks_at)
            self._has_news = True
            self._wake()

    def begin_copy(self, run: Run, called: Run) -> None:
        """Take note that an attempt begins now of which the job sees a copy."""
        self._copies[run] = called
        self.begin(run)

    def forget(self, run: Run) -> None:
        """Take note that an attempt has not begun after all."""
        self._watched.pop(run, None)

    def is_over(self, run: Run) -> bool:
        """Whether the time of an attempt is over, and it goes on."""
        return run in self._over or run in self._left

    def of_copy(self, run: Run) -> CopyWatch:
        """Return who watches a copy of a run."""
        return CopyWatch(self, run)

    def end(self, run: Run) -> bool:
        """Let a run that was just reported end as "timed_out" if its time is over; return whether its end is to be recorded."""
        watched = self._watched.pop(run, None)
        del run.watch
        if self._copies:
            self._copies.pop(run, None)
        if watched is not None and self._monotonic() < watched[2]:  # as nearly always
            return True
        if run.status == WITHHELD:
            return True
        reason = None
        if watched is not None:
            (started, policy, _), now = watched, self._monotonic()
            reason = self._why_over(run, started, policy, now)
            if reason is not None:
                self._tell(run, reason, "it has ended by now")
        elif (over := self._over.pop(run, None)) is not None:
            reason, policy = over.reason, over.policy
        elif run in self._left:
            self._left.discard(run)
            return False
        if reason is not None and run.status != CLAIMED:
            note = note_of(run)
            if note is not None:
                said_by(run).note = note
            time_out(run, policy, reason, run.finished_at or self._store.now())
        return True

    def _why_over(self, run: Run, started: int, policy: Policy, now: int) -> str | None:
        """Return why the time of an attempt is over, None if it is not."""
        self._notice_sleep(now)
        at, reason = self._until(run, started, policy)
        return reason if at <= now else None

    def _until(self, run: Run, started: int, policy: Policy) -> tuple[int, str]:
        said = getattr(run, "said", None)
        return until(policy, started, None if said is None else said.beat_at, self._sleeps)

    def _look_aside(self) -> None:
        """Look in a thread of its own as long as runs are carried out inline."""
        self._has_thread = True
        try:
            start_thread("rota-timeouts", self._look_meanwhile)
        except (
            RuntimeError
        ):  # there can be no more threads; the ends of these runs tell that their time was over
            self._has_thread = False

    def _look_meanwhile(self) -> None:
        while self._has_thread:
            # Between two runs, too: a thread for each would cost more than they do.
            while self._is_passing():
                left = self.look()
                sleep(PAUSE if left is None else min(left, PAUSE))
            self._has_thread = False
            # A run that has begun since then may have seen the thread.
            self._has_thread = self._is_passing() and bool(self._watched)

    def _is_passing(self) -> bool:
        return self._outlet.passing is not None

    def _wake(self) -> None:
        try:
            self._outlet.wake()
        except BaseException as exc:  # a host may override it
            if is_interrupt(exc):
                raise
            self._outlet.logger.exception("wakeup() failed; time-outs of runs are noticed with the next pass")

    # -- what the passes call ------------------------------------------------------------------------------------

    def look(self) -> float | None:
        """Stop what has taken too long; return the seconds until the next look, None: a run that begins says when."""
        now = self._monotonic()
        if now < self._looks_at and not self._has_news and not self._outlet.clock.virtual:
            return None if self._looks_at == HELD else (self._looks_at - now) / SECOND
        if not self._in_turn.acquire(False):
            return SHORTEST / SECOND
        try:
            earliest = self._look(now)
            return None if earliest == HELD else max(earliest - now, 0) / SECOND
        finally:
            self._in_turn.release()

    def _look(self, now: int) -> int:
        """Stop what has taken too long; return when the next look is needed (monotonic)."""
        self._notice_sleep(now)
        while True:
            self._is_looking, self._has_news = True, False
            # A look that is planned stays, though its run may have ended: most runs that begin wake nobody then.
            earliest = self._looks_at if now < self._looks_at and not self._outlet.clock.virtual else HELD
            entries = list(self._watched.items())
            for run, (started, policy, at) in entries:
                if at <= now:
                    at, reason = self._until(run, started, policy)
                    if at <= now:
                        self._stop(run, Overdue(self._copies.get(run, run), policy, reason, now))
                        continue
                if at < earliest:
                    earliest = at
            if not self._outlet.clock.virtual and earliest != HELD:
                earliest = max(earliest, now + SPREAD * len(entries))
            self._looks_at = earliest
            self._is_looking = False
            if not self._has_news:
                return earliest

    def _stop(self, run: Run, over: Overdue) -> None:
        self._over[run] = over  # before it is taken out, so that its end finds it in one of both
        if self._watched.pop(run, None) is None:  # it has just ended
            self._over.pop(run, None)
            return
        self._tell(run, over.reason, "it is stopped, or asked to stop")  # before it may end by that
        run.cancelled = over.called.cancelled = True
        executor = self._outlet.executors.get(run.executor)
        try:
            if executor is not None:
                executor.terminate_run(over.called)
        except BaseException as exc:  # it may be a third party's
            if is_interrupt(exc):
                raise
            self._outlet.logger.exception("Run %r could not be stopped", run)
        if self._store.durable and run in self._over:  # if this node dies, others know
            said_by(run).go_on(mark_of(run, over.reason))

    def _tell(self, run: Run, reason: str, what: str) -> None:
        outlet = self._outlet
        why = "has taken longer than it may" if reason == TIMEOUT else "has not said anything for too long"
        outlet.logger.warning("Run %r %s (%s); %s", run, why, reason, what)
        if outlet.wanted() & EVENT_JOB_TIMED_OUT:
            code, time = EVENT_JOB_TIMED_OUT, local(run.job, run.nominal)
            outlet.dispatch(JobTimedOutEvent(code, run.job_id, self._alias, time, reason, run))

    def _notice_sleep(self, now: int) -> None:
        """Take note of the time in which the machine has slept, for all that is under way."""
        self._noting.acquire()
        try:
            slept = self._outlet.clock.slept()
            length, self._slept = slept - self._slept, slept
            if length > DOZE:
                oldest = min([started for started, _, _ in list(self._watched.values())], default=now)
                self._sleeps = [*(each for each in self._sleeps if each[0] > oldest), (now, length)]
        finally:
            self._noting.release()

    # -- what a shutdown calls -----------------------------------------------------------------------------------

    @property
    def is_late(self) -> bool:
        """Whether there are runs that have not ended, and their time is over."""
        return bool(self._over)

    @property
    def stuck(self) -> int:
        """How many runs have not ended long after their time, and so may never end."""
        longest = self._monotonic() - GRACE
        return sum(over.at <= longest for over in list(self._over.values()))

    def leave_behind(self) -> None:
        """Let the runs end whose time is over, without waiting for them any longer.

        What is recorded is a copy, as the job goes on with the run. Whatever it does changes nothing any more.
        """
        for run, over in list(self._over.items()):
            self._left.add(run)  # before it is taken out, so that its end finds it in one of both
            record = copy(run)
            if self._over.pop(run, None) is None:
                self._left.discard(run)  # it has just ended
                continue
            del record.watch
            time_out(record, over.policy, over.reason, self._store.now())
            self._outlet.logger.warning("Run %r has not ended after its time; it is left behind", record)
            self._completions.end_instead(run, record)


def look_while_waiting(parts: Sequence[Ends]) -> float | None:
    """Stop what has taken too long while no passes are made, and do not wait any longer for what only that is left of.

    :param parts: the ends of the runs that are waited for
    :return: the seconds until the next look, None: no time will be over
    """
    watched = [part for part in parts if part.timeouts is not None]
    waits = [part.timeouts.look() for part in watched if part.timeouts is not None]
    in_flight = sum(part.in_flight - part.unrecorded for part in parts)
    stuck = sum(part.timeouts.stuck for part in watched if part.timeouts is not None)
    if stuck and in_flight == stuck:
        leave_behind(watched)
        return 0.0
    if any(part.timeouts.is_late for part in watched if part.timeouts is not None):
        waits.append(GRACE / SECOND)
    return min((wait for wait in waits if wait is not None), default=None)


def leave_behind(parts: Sequence[Ends]) -> None:
    """Record the ends of the runs whose time is over, without waiting for them."""
    for part in parts:
        if part.timeouts is not None:
            part.timeouts.leave_behind()
            part.flush()
