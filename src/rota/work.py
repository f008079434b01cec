"""How much work one call of a trigger may do: counted in steps, so that a schedule is taken or refused alike on every machine.

Pure but for the count of the call under way in each thread. It looks at no clock: a slow machine must not change what is stored.
"""

from __future__ import annotations

from _thread import _local
from functools import wraps

from .errors import TooMuchWorkError, TriggerError
from .texts import shortened, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol, TypeVar

    R = TypeVar("R")

    class Trigger(Protocol):
        """What is asked of a trigger here."""

        def parts(self) -> Sequence[Any]: ...


#: The most steps of one call. A step is about what asking a cron trigger once costs.
STEPS = 100_000
#: The most steps of all that is asked for one plan of a job, or to construct a trigger.
STEPS_OF_A_PLAN = 4 * STEPS
#: With fewer steps left, what a call could do without is left out.
FEW = STEPS // 10
#: What counting the times of a range takes, in steps.
COUNTING = 20
#: The most triggers of which one may be made, each counted as often as it is a part.
LARGEST_SIZE = 1000
#: How deep triggers may be made of triggers that are made of others.
DEEPEST = 50
#: The methods that are counted.
COUNTED = ("first", "after", "at_or_before", "latest")


class _NoneLeft(TooMuchWorkError):
    pass


class _Count(_local):
    #: steps left in the call under way, None: nothing is counted
    left: int | None = None


_count = _Count()


def spend(steps: int = 1) -> None:
    """Count steps of the call under way.

    :raises TooMuchWorkError: if it has none left
    """
    left = _count.left
    if left is None:
        return
    if left < steps:
        _count.left = 0
        raise _NoneLeft("its times take too many steps to find")
    _count.left = left - steps


def are_few_left() -> bool:
    """Whether the call under way has few steps left, so that it had better come to an end."""
    return _count.left is not None and _count.left < FEW


def within(steps: int, call: Callable[..., R], *args: Any) -> R:
    """Call something that may take so many steps, and no more than are left where steps are counted already.

    :raises TooMuchWorkError: if it takes more
    """
    outer = _count.left
    _count.left = given = steps if outer is None else min(steps, outer)
    try:
        return call(*args)
    finally:
        _count.left = None if outer is None else outer - (given - (_count.left or 0))


def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a trigger that counts the steps of its calls; the outermost call ends when it has taken too many."""
    weight = COUNTING if name == "latest" else 1

    @wraps(method)
    def call(self: Trigger, *args: Any) -> Any:
        if _count.left is None:
            return refusing(self, within, STEPS, call, self, *args)
        spend(weight * (1 + len(self.parts())))
        return method(self, *args)

    return call


def refusing(trigger: Trigger, call: Callable[..., R], *args: Any) -> R:
    """Call something about a trigger; name the trigger where it takes too many steps.

    :raises TooMuchWorkError: if it does
    """
    try:
        return call(*args)
    except _NoneLeft:
        raise TooMuchWorkError(
            f"{type(trigger).__name__} must find its next times in {STEPS:,} steps, got more for "
            f"{shortened(text_of(trigger), 200)}; write it with fewer or plainer parts"
        ) from None


def check_size(trigger: Trigger) -> None:
    """Refuse a trigger that is made of too many others, or too deep.

    :raises TriggerError: saying what it is made of
    """
    size, depth, level = 0, 0, [trigger]
    while level:
        size, depth = size + len(level), depth + 1
        if size > LARGEST_SIZE:
            raise TriggerError(
                f"{type(trigger).__name__} must be made of {LARGEST_SIZE:,} triggers at most, shared ones counted each time, "
                f"got more; say it by one cron expression or recurrence rule, or divide it among several jobs"
            )
        if depth > DEEPEST:
            raise TriggerError(
                f"{type(trigger).__name__} must be made of others {DEEPEST} deep at most, got more; combine fewer triggers by one "
                f"operator each"
            )
        level = [part for each in level for part in getattr(each, "parts", tuple)()]
