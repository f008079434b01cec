"""The thread that sees a pass that does not get on: a trigger, or a store, that does not return.

It looks and tells. It calls no code of users, and stores nothing: how long something takes changes no job.
"""

from __future__ import annotations

from ..clock import HOUR, SECOND
from ..events import EVENT_SCHEDULER_STALLED, SchedulerStalledEvent
from ..texts import error_text, type_name
from .native import Lock, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..core.plan import Decision
    from ..job.handle import Job
    from .outlet import Outlet
    from .store_state import StoreState

#: So many calls of triggers that hang are left behind, at most, each with its thread.
MOST = 10
#: How often the thread looks in the length of a lease, and the longest time between two looks (microseconds).
LOOKS = 3
LONGEST = HOUR
#: How long the end of a scheduler waits for the thread (seconds).
PATIENCE = 1.0


class PassLeftBehind(BaseException):
    """Ends a pass whose place another one has taken meanwhile; no guard of the engine may take it for an error."""


class Planning:
    """The jobs of one store that a pass plans together, and how far it has come."""

    __slots__ = ("decisions", "jobs", "left_behind", "state")

    def __init__(self, state: StoreState, jobs: Sequence[Job]) -> None:
        self.state = state
        self.jobs = jobs
        #: None for a job whose plan goes on in a later pass
        self.decisions: list[Decision | None] = []
        #: the id and version of the job that hangs, once another pass has taken the place of this one
        self.left_behind: tuple[str, int] | None = None

    @property
    def job(self) -> Job | None:
        """The job that is being planned."""
        place = len(self.decisions)
        return self.jobs[place] if place < len(self.jobs) else None


class PassWatch:
    """Sees by looking again and again whether the pass under way gets on.

    A machine or process that was suspended is no pass that hangs: only time between two looks at the same place counts.

    :param outlet: the scheduler, as its engine sees it
    :param lease: after so long (microseconds) a pass hangs
    :param replace: makes another thread go on with the passes; returns whether the host can do that
    :param has_host: returns whether the thread or loop of the host is there; thread-safe
    """

    __slots__ = (
        "_ended",
        "_has_host",
        "_in_turn",
        "_join",
        "_lease",
        "_left_behind",
        "_outlet",
        "_place",
        "_planning",
        "_replace",
        "_since",
        "_stop",
        "_told",
        "meanwhile",
        "passes",
        "under_way",
    )

    def __init__(
        self,
        outlet: Outlet,
        lease: int,
        replace: Callable[[], bool] | None,
        has_host: Callable[[], bool],
    ) -> None:
        self._outlet = outlet
        self._has_host = has_host
        self._lease = lease
        self._replace = replace
        #: called while a pass does not get on, in the thread that looks at it
        self.meanwhile: Callable[[], object] = bool
        #: how many passes have begun
        self.passes = 0
        #: the store that the pass under way is about; None: there is none
        self.under_way: StoreState | None = None
        self._planning: Planning | None = None
        #: held while it is decided whether a pass goes on or is left behind
        self._in_turn = Lock()
        #: what was seen at the last look, and since when
        self._place: tuple[object, ...] = ()
        self._since = 0
        #: whether it has been told that the pass is still there
        self._told = False
        #: how many passes were left behind and have not come back
        self._left_behind = 0
        #: held while the thread is to go on; None: there is none
        self._stop: Lock | None = None
        self._join: Callable[[float], object] | None = None
        self._ended = False

    # -- what a pass tells ---------------------------------------------------------------------------------------

    def begin(self, state: StoreState, jobs: Sequence[Job]) -> Planning:
        """Take note that a pass begins to plan jobs: their triggers may be anybody's."""
        if self._stop is None:
            self._ensure()
        self._planning = planning = Planning(state, jobs)
        return planning

    def end(self, planning: Planning) -> bool:
        """Take note that a pass has planned its jobs; return whether it is to go on, as no other one has taken its place."""
        self._in_turn.acquire()
        try:
            key = planning.left_behind
            if key is None:
                self._planning = None
                return True
            self._left_behind -= 1
            unclaimed = planning.state.unclaimed
            last = planning.decisions[-1] if planning.decisions else None
            if last is not None and last.job.id == key[0]:  # else the call was interrupted
                unclaimed.late[key] = last
            unclaimed.hanging -= {key}
        finally:
            self._in_turn.release()
        outlet = self._outlet
        outlet.logger.info(
            'The trigger of job "%s" (job store %r) has returned', key[0], planning.state.alias
        )
        outlet.wake()
        return False

    # -- what the thread does ------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look whether the pass under way has got on; if it has not for a lease, say so once, and have another one made."""
        planning, state = self._planning, self.under_way
        if planning is not None:
            done = len(planning.decisions)
        else:  # runs that end may be inline
            done = 0 if state is None else state.completions.ended
        place, now = (self.passes, state, planning, done), self._outlet.awake()
        if place != self._place:
            self._place, self._since, self._told = place, now, False
            return
        if state is not None:
            self.meanwhile()
        if state is not None and now - self._since >= self._lease:
            self._hangs(state, planning, now - self._since)

    def _hangs(self, state: StoreState, planning: Planning | None, elapsed: int) -> None:
        job = None if planning is None else planning.job
        replaced = planning is not None and job is not None and self._leave_behind(planning, job)
        if replaced is None or (self._told and not replaced):
            return
        self._told = True
        seconds = f"{elapsed / SECOND:.1f} s"
        if job is None:
            reason = f"it has waited for {seconds} for its store, or for what runs inline"
        else:
            reason = (
                f'the trigger ({type_name(job.trigger)}) of job "{job.id}" has not returned for {seconds}'
            )
        self._outlet.logger.error(
            "The pass over job store %r hangs: %s. %s",
            state.alias,
            reason,
            "The other jobs go on in a new thread, and this one does when that call returns"
            if replaced
            else "No job is started until that returns",
        )
        self._outlet.dispatch(
            SchedulerStalledEvent(
                EVENT_SCHEDULER_STALLED, state.alias, reason, None if job is None else job.id
            )
        )

    def _leave_behind(self, planning: Planning, job: Job) -> bool | None:
        """Have another thread go on without a job; return whether it does, None if the pass got on at this moment."""
        if self._replace is None:
            return False
        unclaimed = planning.state.unclaimed
        self._in_turn.acquire()
        try:
            if self._planning is not planning or planning.job is not job:
                return None
            if self._left_behind >= MOST:
                return False
            key = (job.id, job.version)
            # All of that first: the other thread begins at once.
            planning.left_behind, self._planning = key, None
            unclaimed.hanging |= {key}
            if self._replace():
                self._left_behind += 1
                return True
            planning.left_behind, self._planning = None, planning
            unclaimed.hanging -= {key}
            return False
        finally:
            self._in_turn.release()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _ensure(self) -> None:
        if self._ended or self._outlet.clock.virtual:  # in virtual time nothing happens by itself
            return
        stop = Lock()
        stop.acquire()
        self._stop = stop
        try:
            self._join = start_thread("rota-watch", lambda: self._main(stop))
        except RuntimeError:  # there can be no more threads at the moment
            self._stop = None

    def stop(self) -> None:
        """End the thread."""
        self._ended = True
        stop, self._stop, join = self._stop, None, self._join
        if stop is not None:
            stop.release()
            if join is not None:
                join(PATIENCE)

    def _main(self, stop: Lock) -> None:
        pause = min(self._lease / LOOKS, LONGEST) / SECOND
        while not stop.acquire(True, pause):
            if not self._has_host():
                self._stop = None  # the next pass starts another one
                return
            try:
                self.look()
            except BaseException as exc:  # whatever it is, the next look may succeed
                self._outlet.logger.error("A look at the pass under way failed: %s", error_text(exc))
