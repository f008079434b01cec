"""How the wall times of a cron schedule become instants where the clocks change: the four policies.

Pure. A zone is a row of stretches with one offset each; inside a stretch, wall time and real time run alike. All rules
are about the joints: a *gap* of wall time where the clocks jump forward, an *overlap* where they jump back. The rules
are those of cron(8), Kubernetes, Cronos and Quartz.NET.
"""

from __future__ import annotations

from ...zone_maps import BLOCK_BITS, DAY, LAST_SECOND, MARGIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...zone_maps import Stretch, ZoneMap
    from .schedule import Schedule

_THREE_HOURS = 3 * 3600
_ANY_LENGTH = 10 * DAY


class Rules:
    """What a policy does where the clocks change.

    :param policy: its name
    :param catch_up: the longest gap (seconds) whose times fire once at its end
    :param hide: the longest overlap in which the second pass is left out, where the first has fired
    :param hide_unfired: whether the second pass is left out even if the schedule began after the first
    :param shift: whether times in a gap fire as far after its beginning as they lie in it
    """

    __slots__ = ("catch_up", "hide", "hide_unfired", "policy", "shift")

    def __init__(
        self, policy: str, catch_up: int = 0, hide: int = 0, hide_unfired: bool = False, shift: bool = False
    ) -> None:
        self.policy = policy
        self.catch_up = catch_up
        self.hide = hide
        self.hide_unfired = hide_unfired
        self.shift = shift


#: For each policy, the rules of fixed and of wild schedules.
POLICIES = {
    "vixie": (Rules("vixie", catch_up=_THREE_HOURS, hide=_THREE_HOURS), Rules("vixie")),
    "wall": (Rules("wall"), Rules("wall")),
    "gap-end": (
        Rules("gap-end", catch_up=_ANY_LENGTH, hide=_THREE_HOURS),
        Rules("gap-end", catch_up=_ANY_LENGTH),
    ),
    "shift": (Rules("shift", hide=_ANY_LENGTH, hide_unfired=True, shift=True), Rules("shift", shift=True)),
}


def next_fire(
    schedule: Schedule, zone: ZoneMap, rules: Rules, second: int, previous: int | None
) -> int | None:
    """Return the first second from ``second`` on at which the schedule fires, None if there is none.

    :param previous: the second of the last fire, or None if nothing is known of one
    """
    while second <= LAST_SECOND:
        number = second >> BLOCK_BITS
        block = zone.blocks.get(number)
        if block is None:
            block = zone.block(number)
        if isinstance(block, int):
            wall = schedule.next_wall(second + block)
            if wall is None:
                return None
            found = wall - block
            if found < ((number + 1) << BLOCK_BITS) + MARGIN or zone.fixed is not None:
                return found
            # No wall second in between matches, and no offset is a day long.
            second = wall - DAY
            block = zone.block(second >> BLOCK_BITS)
            if isinstance(block, int):
                return wall - block
        else:
            inside = _next_inside(schedule, rules, block, second, previous)
            if inside is not None:
                return inside
            second = block[-1][1]
    return None


def last_fire(schedule: Schedule, zone: ZoneMap, rules: Rules, second: int, first: int | None) -> int | None:
    """Return the last second up to ``second`` at which the schedule fires, None if there is none since 1970.

    :param first: the second of the first fire of the schedule, or None if it has always run
    """
    second = min(second, LAST_SECOND)
    while second >= -DAY:
        number = second >> BLOCK_BITS
        block = zone.block(number)
        if isinstance(block, int):
            wall = schedule.last_wall(second + block)
            if wall is None:
                return None
            found = wall - block
            if found >= (number << BLOCK_BITS) - MARGIN or zone.fixed is not None:
                return found
            second = wall + DAY
        else:
            inside = _last_inside(schedule, rules, block, second, first)
            if inside is not None:
                return inside
            second = block[0][0] - 1
    return None


def count_fires(schedule: Schedule, zone: ZoneMap, rules: Rules, first: int, last: int) -> int:
    """Return how many times a schedule whose first fire is at ``first`` fires up to ``last``, both included."""
    stretches = zone.stretches(first - MARGIN, last + 1)
    count = 0
    for index, (start, end, offset) in enumerate(stretches):
        low, high = max(start, first), min(end, last + 1)
        if index:
            low = max(low, _hidden_since(rules, stretches, index, first))
        if low < high:
            count += schedule.count_walls(low + offset, high + offset)
        if not index or start > last:
            continue
        gap = _gap_walls(stretches, index)
        if rules.shift and gap:
            at = start
            while (
                moved := _next_shifted(schedule, stretches, index, max(at, first))
            ) is not None and moved <= last:
                # Fires at a matching wall time are counted already.
                count += schedule.next_wall(moved + offset) != moved + offset
                at = moved + 1
        elif start >= first and _catches_up(schedule, rules, gap):
            count += schedule.next_wall(start + offset) != start + offset
    return count


def _gap_walls(stretches: list[Stretch] | tuple[Stretch, ...], index: int) -> tuple[int, int] | None:
    """Return the wall seconds that are jumped over where a stretch begins: the first, and the first after them."""
    start, _, offset = stretches[index]
    before = stretches[index - 1][2]
    return (start + before, start + offset) if offset > before else None


def _catches_up(schedule: Schedule, rules: Rules, gap: tuple[int, int] | None) -> bool:
    if gap is None or gap[1] - gap[0] > rules.catch_up:
        return False
    wall = schedule.next_wall(gap[0])
    return wall is not None and wall < gap[1]


def _next_shifted(
    schedule: Schedule, stretches: list[Stretch] | tuple[Stretch, ...], index: int, second: int
) -> int | None:
    """Return the first second from ``second`` on that stands for a time in the gap before the stretch."""
    gap = _gap_walls(stretches, index)
    before = stretches[index - 1][2]
    if gap is None:
        return None
    wall = schedule.next_wall(max(second + before, gap[0]))
    return wall - before if wall is not None and wall < gap[1] else None


def _hidden_until(
    rules: Rules, stretches: list[Stretch] | tuple[Stretch, ...], index: int, previous: int | None
) -> int:
    """Return the first second of a stretch that is no second pass to be left out.

    A second pass is left out where the trigger has fired in the first pass, at or after that time's turn. A fire *in*
    the second pass tells that the first had none from there on: the schedule began between the two.
    """
    start, _, offset = stretches[index]
    length = stretches[index - 1][2] - offset
    if not 0 < length <= rules.hide:
        return start
    if rules.hide_unfired:
        return start + length
    if previous is None or not start - length <= previous < start:
        return start
    return previous + length + 1


def _hidden_since(
    rules: Rules, stretches: list[Stretch] | tuple[Stretch, ...], index: int, first: int | None
) -> int:
    """Return what :func:`_hidden_until` comes to for a schedule that has fired since ``first`` (None: always)."""
    start, _, offset = stretches[index]
    length = stretches[index - 1][2] - offset
    if 0 < length <= rules.hide and (rules.hide_unfired or first is None or first < start):
        return start + length
    return start


def _next_inside(
    schedule: Schedule, rules: Rules, stretches: tuple[Stretch, ...], second: int, previous: int | None
) -> int | None:
    for index, (start, end, offset) in enumerate(stretches):
        if second >= end:
            continue
        at = max(second, start)
        shifted = None
        if index:
            if at == start and _catches_up(schedule, rules, _gap_walls(stretches, index)):
                return start
            at = max(at, _hidden_until(rules, stretches, index, previous))
            if rules.shift:
                shifted = _next_shifted(schedule, stretches, index, at)
        wall = schedule.next_wall(at + offset)
        found = None if wall is None else wall - offset
        if shifted is not None and (found is None or shifted < found):
            found = shifted
        if found is not None and found < end:
            return found
    return None


def _last_inside(
    schedule: Schedule, rules: Rules, stretches: tuple[Stretch, ...], second: int, first: int | None
) -> int | None:
    for index in range(len(stretches) - 1, -1, -1):
        start, end, offset = stretches[index]
        if second < start:
            continue
        at, low, shifted = min(second, end - 1), start, None
        if index:
            low = _hidden_since(rules, stretches, index, first)
            if rules.shift:
                shifted = _last_shifted(schedule, stretches, index, at)
        wall = schedule.last_wall(at + offset)
        found = None if wall is None or wall - offset < low else wall - offset
        if shifted is not None and (found is None or shifted > found):
            found = shifted
        if found is not None:
            return found
        if index and _catches_up(schedule, rules, _gap_walls(stretches, index)):
            return start
    return None


def _last_shifted(schedule: Schedule, stretches: tuple[Stretch, ...], index: int, second: int) -> int | None:
    gap = _gap_walls(stretches, index)
    before = stretches[index - 1][2]
    if gap is None:
        return None
    wall = schedule.last_wall(min(second + before, gap[1] - 1))
    return wall - before if wall is not None and wall >= gap[0] else None


# ------------------------------------------------------------------------------------------------------ looking ahead


def effect_of(
    schedule: Schedule, rules: Rules, at: int, before: int, after: int, most: int
) -> tuple[str, list[int], int]:
    """Return what happens where an offset changes, the wall seconds it happens to (at most so many), and their number.

    Nothing is told where the change cannot be noticed: every pass of a schedule that is the same in every hour.

    :param at: the first second of the new offset
    """
    low, high = at + min(before, after), at + max(before, after)
    if after > before:
        caught_up = high - low <= rules.catch_up
        effect = "shifted" if rules.shift else "caught up" if caught_up else "skipped"
    else:
        effect = "first pass only" if high - low <= rules.hide else "both passes"
    if effect != "first pass only" and high - low < DAY and schedule.times.is_periodic(high - low):
        return effect, [], 0
    walls: list[int] = []
    wall = schedule.next_wall(low)
    while wall is not None and wall < high and len(walls) < most:
        walls.append(wall)
        wall = schedule.next_wall(wall + 1)
    return effect, walls, schedule.count_walls(low, high)
