"""Waiting and orphaned runs that a store refuses to give together: found by asking for ever fewer, and left out for a while.

It asks the store, by the function that it is given, and hands out nothing.
"""

from __future__ import annotations

from ..clock import SECOND, moment
from ..interrupts import is_interrupt
from ..texts import error_text
from .backoff import FIRST_PAUSE
from .damage import MOST_REFUSED, is_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..clock import Clock
    from ..core.run import Run
    from ..core.waiting import MayTake
    from ..logs import GuardedLogger

    #: what is taken or left by itself: a run by its job and nominal time; None for those of the job that are taken together
    Unit = tuple[str, int | None]
    #: takes runs, as far as there is room and it may
    Take = Callable[[Mapping[str, int], MayTake], Sequence[Run]]

#: The longest pause before a refused run is tried again (microseconds). The first is that of jobs that cannot be claimed.
LONGEST_PAUSE = 60 * SECOND
#: How often the store is asked for all that is left, at most, after some were found to be refused.
LOOKS = 10


class RefusedRuns:
    """The runs of one store that were refused by themselves, each with the pause after which it is tried again.

    :ivar is_sure: whether nothing was refused the last time; else it is not known whether the store has given runs
    """

    __slots__ = ("_clock", "_logger", "_pauses", "is_sure")

    def __init__(self, clock: Clock, logger: GuardedLogger) -> None:
        self._clock = clock
        self._logger = logger
        #: how long the pause is, and when it is over (monotonic microseconds)
        self._pauses: dict[Unit, tuple[int, int]] = {}
        self.is_sure = True

    def __bool__(self) -> bool:
        return bool(self._pauses)

    @property
    def is_due(self) -> bool:
        """Whether a run is to be tried again now."""
        return bool(self._due())

    def _due(self) -> list[Unit]:
        """Return the units whose pauses are over, some at most, so that they hold up nobody."""
        now = self._clock.monotonic()
        over = [(until, unit) for unit, (_, until) in self._pauses.items() if until <= now]
        return [unit for _, unit in sorted(over, key=lambda each: each[0])[:MOST_REFUSED]]

    def take(self, take: Take, room: Mapping[str, int]) -> list[Run]:
        """Return the runs that the store gives: those by themselves whose pauses are over, then the others together.

        If it refuses these, it is asked for ever fewer, until it is known which ones it refuses.

        :param room: for each executor alias, how many runs there is room for
        :raises BaseException: what the store raises if that speaks of no run, and none was given
        """
        look = _Look(take, room)
        error = self._take_again(look)
        if error is None:
            error = self._take_others(look)
        self.is_sure = look.is_sure
        if error is not None and not look.found:
            raise error
        return look.found

    def _take_again(self, look: _Look) -> BaseException | None:
        """Try those again whose pauses are over; return what the store says if it is away."""
        for unit in self._due():
            error = self._try_again(look, unit)
            if error is not None and is_away(error):
                return error
        return None

    def _take_others(self, look: _Look) -> BaseException | None:
        """Take those that were not refused before; return what the store says if that is about no run."""
        for _ in range(LOOKS):
            error = look.ask(lambda unit: unit not in self._pauses)
            if error is None or is_away(error) or not look.asked:
                return error
            error = self._ask_for_fewer(look, list(look.asked), error)
            if error is not None or look.in_a_row >= MOST_REFUSED:
                return error
            # It may have refused one before it had asked about all of them.
        return None

    def _try_again(self, look: _Look, unit: Unit) -> BaseException | None:
        before = len(look.found)
        error = look.ask(lambda each: each == unit)
        if error is not None:
            self._leave_out(unit, error)
        elif len(look.found) > before or not look.asked:
            del self._pauses[unit]
        else:  # it cannot start now, whatever the store would say
            pause, _ = self._pauses[unit]
            self._pauses[unit] = pause, self._clock.monotonic() + pause
        return error

    def _ask_for_fewer(
        self, look: _Look, units: Sequence[Unit], error: BaseException
    ) -> BaseException | None:
        """Ask for each half of what was refused together, and so on; return what the store says if it has gone away meanwhile.

        :param error: what it has said of all of them
        """
        if len(units) == 1:
            self._leave_out(units[0], error)
            look.in_a_row += 1
            return None
        parts = _halves(units)
        while parts and look.in_a_row < MOST_REFUSED:  # then the store is at fault, and is asked later
            part = parts.pop()
            refusal = look.ask(frozenset(part).__contains__)
            if refusal is None:
                continue
            if is_away(refusal):
                return refusal
            if len(part) > 1:
                parts += _halves(part)
            else:
                self._leave_out(part[0], refusal)
                look.in_a_row += 1
        return None

    def _leave_out(self, unit: Unit, error: BaseException) -> None:
        known = self._pauses.get(unit)
        pause = FIRST_PAUSE if known is None else min(2 * known[0], LONGEST_PAUSE)
        self._pauses[unit] = pause, self._clock.monotonic() + pause
        if known is None:
            job_id, nominal = unit
            which = "its runs" if nominal is None else f"its run at {moment(nominal)}"
            self._logger.error(
                'Job "%s": the store refuses to give %s: %s. This is tried again after pauses that double up to %d seconds; '
                "other runs go on",
                job_id,
                which,
                error_text(error),
                LONGEST_PAUSE // SECOND,
            )


class _Look:
    """One look for runs, in several steps.

    :ivar found: the runs that were given
    :ivar asked: the units about which the store has asked in the last step, as far as they might be taken
    :ivar is_sure: whether nothing was refused
    :ivar in_a_row: how many units were found to be refused since something was given
    """

    __slots__ = ("_left", "_take", "asked", "found", "in_a_row", "is_sure")

    def __init__(self, take: Take, room: Mapping[str, int]) -> None:
        self._take = take
        self._left = dict(room)
        self.found: list[Run] = []
        self.asked: dict[Unit, None] = {}
        self.is_sure = True
        self.in_a_row = 0

    def ask(self, may: Callable[[Unit], bool]) -> BaseException | None:
        """Take what may be taken; return what the store raises instead."""
        asked: dict[Unit, None] = {}
        self.asked = asked

        def may_take(job_id: str, nominal: int | None) -> bool:
            unit = job_id, nominal
            if not may(unit):
                return False
            asked[unit] = None
            return True

        try:
            runs = self._take(self._left, may_take)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            self.is_sure = False
            return exc
        for run in runs:
            if not run.ended and run.executor in self._left:
                self._left[run.executor] -= 1
        self.found += runs
        if runs:
            self.in_a_row = 0
        return None


def _halves(units: Sequence[Unit]) -> list[Sequence[Unit]]:
    """Return the two halves, of which the first is taken from the end."""
    middle = len(units) // 2
    return [units[middle:], units[:middle]]
