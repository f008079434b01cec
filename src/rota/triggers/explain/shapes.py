"""Sets of numbers and lengths of time as shapes, and what all languages do with them.

Pure; knows no trigger.
"""

from __future__ import annotations

from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: A set of numbers in words: ("all",), ("every", n), ("range", a, b), ("steps", n, a, b) or ("list", a, b, c…).
Shape = tuple[str | int, ...]


class Words:
    """A language. The methods take shapes (see :data:`Shape`), numbers and texts that are words already."""

    weekdays: Sequence[str]
    joint: str
    either: str

    def listed(self, items: Sequence[str], joint: str | None = None) -> str:
        """Return ``a, b and c``, or with another joint."""
        if len(items) < 2:
            return "".join(items)
        return f"{', '.join(items[:-1])} {joint or self.joint} {items[-1]}"

    def numbers(self, shape: Shape) -> str:
        """Return a set of numbers that is not the whole: ``1, 3 to 5``."""
        kind, *values = shape
        if kind == "range":
            return f"{values[0]}–{values[1]}"
        return self.listed([str(value) for value in values])


def shape(values: list[int], low: int, high: int) -> Shape:
    """Return the form of a set of numbers (see :data:`Shape`).

    :param values: the numbers, in order
    :param low: the least that there can be
    :param high: the greatest
    """
    if len(values) == high - low + 1:
        return ("all",)
    steps = {second - first for first, second in pairwise(values)}
    if len(values) > 2 and len(steps) == 1:
        (step,) = steps
        if step == 1:
            return ("range", values[0], values[-1])
        if values[0] == low and values[-1] + step == high + 1:
            return ("every", step)
        if len(values) > 4:
            return ("steps", step, values[0], values[-1])
    return ("list", *values)


def listed_shape(values: list[int], low: int, high: int) -> Shape:
    """Return the form of a set of numbers that are named one by one where "every n" would not say which."""
    found = shape(values, low, high)
    if found[0] == "every":
        found = ("steps", found[1], values[0], values[-1])
    return found if found[0] in ("range", "steps") and len(values) > 2 else ("list", *values)


def cyclic_shape(values: list[int], size: int = 7) -> Shape:
    """Return a range, which may run over Sunday (or with a size of 24 over midnight), or a list."""
    if len(values) > 2:
        for first in values:
            run = [(first + offset) % size for offset in range(len(values))]
            if sorted(run) == values:
                return ("range", run[0], run[-1])
    return ("list", *values)


def length_of(seconds: float) -> list[tuple[str, float]]:
    """Return a length of time as units in the plural and how many there are of each."""
    rest: float = int(seconds) if seconds == int(seconds) else seconds
    units: list[tuple[str, float]] = []
    for unit, size in (("weeks", 604800), ("days", 86400), ("hours", 3600), ("minutes", 60)):
        number, rest = divmod(rest, size)
        if number:
            units.append((unit, number))
    if rest or not units:
        units.append(("seconds", rest))
    return units
