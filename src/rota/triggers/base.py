"""The port of all triggers: what the engine asks of them, and APScheduler's interface on top.

Pure: a trigger may not read the clock, keep state between calls, or do I/O. (A constructor reads it where a parameter
defaults to the current time and the caller gives no ``now``.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import ContextVar
from datetime import UTC, datetime

from ..clock import SECOND, moment, trigger_zone
from ..clock import instant as to_instant
from ..errors import TooMuchWorkError, TriggerError, TriggerTypeError
from ..texts import repr_of, shortened
from ..util import timezone_to_text
from .algebra.operators import TriggerOperators

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date, tzinfo
    from typing import Any, ClassVar

    from .fields import Fields
    from .lint import Finding

#: How many occurrences the default methods walk before they give up counting one by one.
WALK_LIMIT = 100_000

#: The scheduler that asks. Its zone is looked up only if a trigger needs it, as finding the local zone takes a while.
_asking: ContextVar[Any] = ContextVar("rota.asking", default=None)


class AskedBy:
    """A context in which custom triggers without a zone are told the time in the scheduler's zone, as in APScheduler.

    :param scheduler: whatever has a ``timezone``
    """

    __slots__ = ("_scheduler", "_token")

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def __enter__(self) -> None:
        self._token = _asking.set(self._scheduler)

    def __exit__(self, *error: object) -> None:
        _asking.reset(self._token)


#: The triggers of texts, as stores keep them: all jobs of a text share one object (:mod:`rota.codec.jobs`). It is bounded.
KEPT: dict[str, BaseTrigger] = {}


def check_own(trigger: BaseTrigger, name: str) -> None:
    """Refuse to change a parameter of a trigger that stored jobs share: each job of the same schedule would change.

    :raises AttributeError: if that is so
    """
    if any(kept is trigger for kept in list(KEPT.values())):
        raise AttributeError(
            f"{name} must be assigned before a job with the trigger is stored, got one that stored jobs share; give the job "
            f"another trigger by reschedule_job()"
        )


# What fromtimestamp() can do on every platform: up to the year 3000.
_QUICK_LIMIT = 32_503_680_000 * SECOND


class BaseTrigger(TriggerOperators, ABC):
    """Base class of all triggers.

    A custom trigger implements :meth:`get_next_fire_time` (APScheduler's interface); it is enough. The engine asks
    the methods on instants below; the built-in triggers answer those directly.
    """

    __slots__ = ()

    #: seconds by which a due time may come after its nominal time, or None
    jitter: float | None = None
    #: seconds over which jobs are spread by their ids, or None
    spread: float | None = None
    #: the zone in which the trigger's wall times are meant, or None
    timezone: tzinfo | None = None
    #: False where wall times are read in the zone of this machine because no zone was given; not part of specs
    zone_given: bool = True
    #: whether the user chose the start; False where it is the time of construction
    start_given: bool = True
    #: whether the trigger measures elapsed time, so that a clock that is set back must not delay it
    elapsed: bool = False
    #: whether the next time is counted from the end of the run, so that :meth:`after` only tells what it would be for a run
    #: that takes no time
    follows_end: bool = False
    #: whether the work of finding the times is not known beforehand and has to be counted
    counts_work: bool = False
    #: whether finding the times may call code of the program
    asks_programs: bool = True
    #: the id of the job of which ended runs start jobs with this trigger (:class:`~rota.triggers.after.After`), None: times do
    starts_after: str | None = None
    #: whether the ends of runs of any job that this process knows of start other jobs
    some_chain: ClassVar[bool] = False
    #: which of its ends do so, and after how many microseconds
    starts_on: str = ""
    delay_after: int = 0

    @property
    def regular(self) -> bool:
        """Whether a run is due at its nominal time, and the next one counted from it: no jitter, spread or ``follows_end``."""
        return not self.jitter and not self.spread and not self.follows_end

    @abstractmethod
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the next nominal time, or None if there is none (APScheduler's interface).

        :param previous_fire_time: the previous nominal time, or None for a new schedule
        :param now: the current time
        """

    def first(self, now: int) -> int | None:
        """Return the first nominal time of a schedule that starts at ``now``; it may lie in the past (date trigger).

        :param now: instant, microseconds since the epoch
        """
        return self._checked(self.get_next_fire_time(None, self._asked_moment(now)))

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first nominal time that is later than ``instant``, or None.

        :param instant: microseconds since the epoch
        :param previous: the last nominal time that fired, where the caller knows it; it anchors the phase of an
            interval and tells a cron trigger whether the first pass of a repeated hour has fired
        """
        base = self._asked_moment(instant)
        following = self._checked(self.get_next_fire_time(base, base))
        if following is not None and following <= instant:
            raise TriggerError(
                f"{self} went back in time: asked for a time after {base.isoformat()}, it answered "
                f"{self._asked_moment(following).isoformat()}; get_next_fire_time() must return a later time or None"
            )
        return following

    def _checked(self, answer: Any) -> int | None:
        """Return the instant of what :meth:`get_next_fire_time` returned.

        :raises TriggerTypeError: if it is no datetime with a zone
        """
        if answer is None:
            return None
        try:
            return to_instant(answer)
        except TypeError as exc:
            if isinstance(answer, datetime) and answer.tzinfo is not None:
                raise  # of its zone
            raise TriggerTypeError(
                f"{type(self).__name__}.get_next_fire_time() must return a datetime with a time zone, or None, got "
                f"{shortened(repr_of(answer), 200)}; count from its arguments, which have one"
            ) from exc

    def anchor_among(self, previous: int) -> int | None:
        """Return what a combined trigger must give :meth:`after` as ``previous``; None keeps the trigger's own grid.

        :param previous: the last nominal time of the *combined* trigger, which need not be one of this trigger
        """
        return None

    def origin(self) -> int | None:
        """Return the instant at which the schedule starts, as far as the trigger says so; None if it has no start."""
        return None

    def at_or_before(self, instant: int) -> int | None:
        """Return the last nominal time up to ``instant``, of a schedule that has always run; None if there is none.

        Custom triggers need not know it.

        :param instant: microseconds since the epoch
        :raises TriggerError: if this kind of trigger cannot look back
        """
        raise TriggerError(f"{type(self).__name__} cannot tell its previous times")

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last nominal time from ``first`` to ``now`` and how many there are, both ends included.

        :param first: a nominal time of this trigger that is not later than ``now``
        :param now: instant, microseconds since the epoch
        :return: the last nominal time, and the count (at least 1); where that is much work, as far as the work of a call goes
        """
        last, count = first, 1
        try:
            while count < WALK_LIMIT:
                following = self.after(last, last)
                if following is None or following > now:
                    break
                last, count = following, count + 1
        except TooMuchWorkError:
            if count == 1:
                raise
        return last, count

    def moved(self, delta: int) -> BaseTrigger:
        """Return the trigger that would have been made now if this machine's clock were ahead of what it is.

        Only a start that is the time of construction moves; a trigger without one is returned as it is.

        :param delta: by how many microseconds
        """
        return self

    def same_schedule(self, other: BaseTrigger) -> bool:
        """Whether a job whose trigger ``other`` is replaced by this one may keep its next run.

        A start that this one was not given does not count: it would only be the time of construction.
        """
        if type(self) is not type(other):
            return False
        mine, theirs = self.spec(), other.spec()
        if mine is None or theirs is None:
            return self == other
        if not self.start_given:
            mine.pop("start_date", None)
            theirs.pop("start_date", None)
        return mine == theirs

    def spec(self) -> dict[str, Any] | None:
        """Return the trigger as JSON-able data with a ``type`` key, or None if it has no such form."""
        return None

    def parts(self) -> Sequence[BaseTrigger]:
        """Return the triggers that this one combines; none for a simple one."""
        return ()

    # ------------------------------------------------------------------------------------------------ looking ahead

    def occurrences(
        self, start: datetime | date | str | None = None, end: datetime | date | str | None = None
    ) -> Iterator[datetime]:
        """Yield the nominal times from ``start`` to ``end``, both included, one by one as they are asked for.

        The schedule counts as one that begins at ``start``; jitter and spread are no part of nominal times.

        :param start: datetime, date or ISO string, read in the trigger's zone where it carries none (default: now)
        :param end: the same; None means without an end
        :raises TriggerError: if one of them is no date
        """
        from .preview import occurrences  # import time

        return occurrences(self, start, end)

    def next(self, n: int = 1, start: datetime | date | str | None = None) -> list[datetime]:
        """Return the next ``n`` nominal times; fewer if the trigger ends before.

        :param n: how many, 0 or more
        :param start: datetime, date or ISO string: the earliest time, included (default: now)
        :raises TriggerError: if ``n`` is no such number or ``start`` is no date
        """
        from .preview import next_times  # import time

        return next_times(self, n, start)

    def explain(self, language: str = "en") -> str:
        """Return in a sentence when the trigger fires.

        :param language: ``"en"`` (English) or ``"vi"`` (Vietnamese)
        :raises TriggerError: if the language is not known
        """
        from .explain.describe import explain  # import time

        return explain(self, language)

    def lint(
        self, zone: tzinfo | str | None = None, years: int | Iterable[int] | None = None
    ) -> list[Finding]:
        """Return the dates on which a change of the clocks changes what happens: see :class:`rota.triggers.lint.Finding`.

        :param zone: zone to look at (default: the trigger's own); a cron trigger is read in it instead
        :param years: a year or several (default: this year and the four that follow)
        :raises TriggerError: if a year is out of range
        """
        from .lint import lint  # import time

        return lint(self, zone, years)

    def _apply_jitter(
        self, next_fire_time: datetime | None, jitter: float | None, now: datetime
    ) -> datetime | None:
        """Return the time as it is; custom triggers of APScheduler call this.

        The engine adds the jitter of the ``jitter`` attribute to the due time, so that nominal times stay on their grid.
        """
        return next_fire_time

    def _asked_moment(self, instant: int) -> datetime:
        """Return an instant as custom triggers are told it: in their zone, else that of the scheduler that asks, else UTC."""
        return moment(instant, trigger_zone(self) or getattr(_asking.get(), "timezone", None) or UTC)

    def _moment(self, instant: int) -> datetime:
        zone = self.timezone or UTC
        if not instant % SECOND and 0 <= instant < _QUICK_LIMIT:
            return datetime.fromtimestamp(instant // SECOND, zone)  # faster than moment(), and exact here
        return moment(instant, zone)


class InstantTrigger(BaseTrigger):
    """Base class of the triggers that answer on instants; equal by value, and never changed by Rota.

    A program's subclass that overrides :meth:`get_next_fire_time` alone is asked by that method only, as in APScheduler; through
    ``super()`` it reaches the answers of the class that it derives from.
    """

    __slots__ = ()

    #: the name of the kind in specs
    alias = ""
    #: the parameters of the kind
    declared: ClassVar[Fields]
    #: the class whose ``after()`` answers
    _native: type[InstantTrigger]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.counts_work:
            from ..work import COUNTED, counted  # import time; plain triggers do without

            for name in COUNTED:
                if name in cls.__dict__:
                    setattr(cls, name, counted(name, cls.__dict__[name]))
        if "after" in cls.__dict__:
            cls._native = cls
        elif "get_next_fire_time" in cls.__dict__:
            for name in ("first", "after", "at_or_before", "latest", "anchor_among"):
                setattr(cls, name, getattr(BaseTrigger, name))
        cls.asks_programs = cls.counts_work or cls.first is BaseTrigger.first

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the next nominal time, or None if there is none; jitter is not part of it.

        :param previous_fire_time: the previous nominal time, or None for a new schedule
        :param now: the current time; earlier than the previous time means that the schedule starts again at ``now``
        """
        at, native = to_instant(now), self._native
        if previous_fire_time is None:
            found = native.first(self, at)
        else:
            previous = at if previous_fire_time is now else to_instant(previous_fire_time)
            found = native.after(self, at - 1) if at < previous else native.after(self, previous, previous)
        return None if found is None else self._moment(found)

    def first(self, now: int) -> int | None:
        return self._native.after(self, now - 1)

    @abstractmethod
    def after(self, instant: int, previous: int | None = None) -> int | None: ...

    def spec(self) -> dict[str, Any] | None:
        return self.declared.spec(self, self.alias)

    def __getstate__(self) -> dict[str, Any]:
        return self.declared.state(self)

    def _identity(self) -> object:
        """Return everything that makes two triggers equal, hashable."""
        return self.declared.identity(self)

    @property
    def _zone_text(self) -> str | None:
        return timezone_to_text(self.timezone or UTC)

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        """Return the call that makes an equal trigger; in angle brackets if there is none (a zone without a name)."""
        spec = self.spec()
        return f"<{type(self).__name__} {self}>" if spec is None else self._call(spec)

    def _call(self, spec: dict[str, Any]) -> str:
        from .fields import call_text  # rare

        return call_text(type(self).__name__, spec)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, InstantTrigger)
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), self._identity()))


def state_of(trigger: BaseTrigger) -> Any:
    """Return the state from which :func:`restored` makes an equal trigger; custom ones need no methods for that."""
    state = trigger.__getstate__()
    if isinstance(state, tuple) and len(state) == 2 and not hasattr(trigger, "__setstate__"):
        return {**(state[0] or {}), **state[1]}  # attributes from the instance's dictionary and from slots
    return state


def restored(cls: type[BaseTrigger], state: Any) -> BaseTrigger:
    """Return the trigger of a class with the given state."""
    trigger: Any = cls.__new__(cls)
    if hasattr(trigger, "__setstate__"):
        trigger.__setstate__(state)
    elif state is not None:
        for name, value in state.items():
            setattr(trigger, name, value)
    made: BaseTrigger = trigger
    return made
