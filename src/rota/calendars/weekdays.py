"""Days of the week, from names, ranges, lists and APScheduler's numbers to a set, and back to a text.

Pure. 0 is Monday throughout.
"""

from __future__ import annotations

from ..errors import TriggerError, TriggerTypeError
from ..util import suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def weekday_numbers(value: Any) -> frozenset[int]:
    """Return the numbers of weekdays given as names, ranges, lists or numbers.

    :param value: a number, a text such as ``"mon-fri"`` or ``"sat,sun"``, or an iterable of these
    :raises TriggerError: if a day is not understood
    :raises TriggerTypeError: if a value has the wrong type
    """
    if isinstance(value, str):
        return frozenset(day for item in value.split(",") for day in _range(item.strip(), value))
    if isinstance(value, bool) or not (isinstance(value, int) or hasattr(value, "__iter__")):
        raise TriggerTypeError(
            f"a weekday is a name such as 'mon' or a number from 0 (Monday), not {value!r}"
        )
    if isinstance(value, int):
        if not 0 <= value <= 6:
            raise TriggerError(f"weekday {value} is out of range; 0 is Monday, 6 is Sunday")
        return frozenset((value,))
    return frozenset(day for item in value for day in weekday_numbers(item))


def weekdays_text(days: frozenset[int]) -> str:
    """Return weekdays as names and ranges; one that runs over Sunday as one range (``fri-mon``)."""
    if len(days) == 7:
        return "mon-sun"
    parts = []
    for start in sorted(day for day in days if (day - 1) % 7 not in days):
        end = start
        while (end + 1) % 7 in days:
            end = (end + 1) % 7
        parts.append(WEEKDAYS[start] if start == end else f"{WEEKDAYS[start]}-{WEEKDAYS[end]}")
    return ",".join(parts)


def _range(item: str, text: str) -> Iterable[int]:
    first, dash, last = item.partition("-")
    low = _number(first, text)
    high = _number(last, text) if dash else low
    return (day % 7 for day in range(low, high + 1 if high >= low else high + 8))


def _number(name: str, text: str) -> int:
    folded = name.strip().lower()
    if folded in WEEKDAYS:
        return WEEKDAYS.index(folded)
    if len(folded) == 1 and folded in "0123456":
        return int(folded)
    raise TriggerError(
        f"weekday {name!r} in {text!r} is not understood{suggestion(folded, WEEKDAYS)}; write mon to sun, or 0 (Monday) to 6"
    )
