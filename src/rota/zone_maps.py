"""The offsets of a time zone as integers: where they change, and which instants show a wall time.

Pure, apart from a bounded memory of what the zones answered. Everything here is in whole seconds: *seconds* count from
the epoch in UTC, *wall seconds* count what a clock in the zone shows as if it were UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise

from .errors import TriggerError
from .util import timezone_to_text

#: A stretch of time with one offset: first second, first second after it, offset.
Stretch = tuple[int, int, int]

DAY = 86400
#: Answers are remembered in blocks of 2**20 seconds (12 days); each looks MARGIN beyond both of its ends, so that
#: whatever is less than three days away needs no look at the neighbours. Offsets lie strictly between -1 and +1 day.
BLOCK_BITS = 20
MARGIN = 3 * DAY
#: The offset is asked for this often. The shortest change there and back in the tz database takes 6.9 days (Gaza).
STEP = 3 * DAY

#: The seconds in which datetime can show every offset: 0001-01-03 to 9999-12-29.
FIRST_SECOND = -62135596800 + 2 * DAY
LAST_SECOND = 253402300799 - 2 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_KEPT_BLOCKS = 4096
_KEPT_ZONES = 512

_SIMPLE = re.compile(r"[A-Za-z0-9_+:/-]+")
_SECONDS = tuple(f"{second:02}" for second in range(60))
_maps: dict[int, ZoneMap] = {}


def zone_map(zone: tzinfo) -> ZoneMap:
    """Return the map of a zone, made once per zone object."""
    found = _maps.get(id(zone))
    if found is None:
        if len(_maps) >= _KEPT_ZONES:
            _maps.clear()
        # The map holds the zone, so the id stays its own.
        found = _maps[id(zone)] = ZoneMap(zone)
    return found


@lru_cache(maxsize=256)
def _offset_text(offset: int) -> str:
    """Return an offset in seconds as ISO 8601 has it."""
    return datetime(1970, 1, 1, tzinfo=timezone(timedelta(seconds=offset))).isoformat()[19:]


@lru_cache(maxsize=4096)
def _minute_text(minute: int) -> str:
    """Return a wall time in minutes as ISO 8601 has it, up to the colon before the seconds."""
    return (_NAIVE_EPOCH + timedelta(minutes=minute)).isoformat()[:-2]


class ZoneMap:
    """The offsets of one time zone."""

    __slots__ = ("blocks", "fixed", "quoted", "text", "zone")

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        #: what :meth:`block` remembers
        self.blocks: dict[int, int | tuple[Stretch, ...]] = {}
        #: the offset in seconds of a zone that never changes it, else None
        self.fixed: int | None = self.offset(0) if isinstance(zone, timezone) else None
        #: the text from which :func:`rota.util.astimezone` makes an equal zone, None if there is none
        self.text = timezone_to_text(zone)
        #: the same as JSON has it, None also if that may need escapes
        self.quoted = f'"{self.text}"' if self.text and _SIMPLE.fullmatch(self.text) else None

    def offset(self, second: int) -> int:
        """Return the seconds that a clock in the zone is ahead of UTC."""
        second = min(max(second, FIRST_SECOND), LAST_SECOND)
        delta = (_EPOCH + timedelta(seconds=second)).astimezone(self.zone).utcoffset()
        if delta is None or delta.microseconds:
            raise TriggerError(
                f"The time zone {self.zone!r} has no offset in whole seconds; use another zone"
            )
        return delta.days * DAY + delta.seconds

    def block(self, number: int) -> int | tuple[Stretch, ...]:
        """Return the offset of a block and its margins, or its stretches if the offset changes there.

        :param number: ``second >> BLOCK_BITS``
        """
        found = self.blocks.get(number)
        if found is None:
            if len(self.blocks) >= _KEPT_BLOCKS:
                self.blocks.clear()
            found = self.fixed
            if found is None:
                found = self._survey((number << BLOCK_BITS) - MARGIN, ((number + 1) << BLOCK_BITS) + MARGIN)
            self.blocks[number] = found
        return found

    def stretches(self, start: int, end: int) -> list[Stretch]:
        """Return the stretches that make up ``start`` to ``end`` (not included); the last may reach beyond."""
        result: list[Stretch] = []
        for number in range(start >> BLOCK_BITS, (end >> BLOCK_BITS) + 1):
            low, high = max(number << BLOCK_BITS, start), min((number + 1) << BLOCK_BITS, end)
            block = self.block(number)
            for first, last, offset in ((low, high, block),) if isinstance(block, int) else block:
                first, last = max(first, low), min(last, high)
                if first >= last:
                    continue
                if result and result[-1][2] == offset:
                    result[-1] = (result[-1][0], last, offset)
                else:
                    result.append((first, last, offset))
        return result

    def stretch(self, second: int) -> Stretch:
        """Return a stretch with one offset that holds a second; the offset may last longer than the stretch."""
        if self.fixed is not None:
            return 2 * FIRST_SECOND, 2 * LAST_SECOND, self.fixed  # beyond whatever is asked for
        number = second >> BLOCK_BITS
        block = self.block(number)
        if isinstance(block, int):
            return (number << BLOCK_BITS) - MARGIN, ((number + 1) << BLOCK_BITS) + MARGIN, block
        return next(stretch for stretch in block if second < stretch[1])

    def second_of(self, wall: int) -> int:
        """Return the second that a wall second stands for (RFC 5545 3.3.5: gap, the offset before it; overlap, the first)."""
        found = self.seconds_of(wall)
        if found:
            return min(found)
        block = self.block(wall >> BLOCK_BITS)
        assert not isinstance(block, int)
        before = next(one[2] for one, two in pairwise(block) if one[1] + one[2] <= wall < two[0] + two[2])
        return wall - before

    def seconds_of(self, wall: int) -> list[int]:
        """Return the seconds at which clocks in the zone show a wall second: none in a gap, two in an overlap."""
        block = self.block(wall >> BLOCK_BITS)
        if isinstance(block, int):
            return [wall - block]
        return [wall - offset for start, end, offset in block if start <= wall - offset < end]

    def wall_of(self, second: int) -> int:
        """Return the wall second that clocks in the zone show at a second."""
        block = self.block(second >> BLOCK_BITS)
        if isinstance(block, int):
            return second + block
        for _, end, offset in block:
            if second < end:
                return second + offset
        raise AssertionError("a block covers its seconds")

    def isoformat(self, instant: int) -> str:
        """Return what ``datetime.isoformat()`` says of an instant in the zone; a third of its time, with making the datetime."""
        second, rest = divmod(instant, 1_000_000)
        offset = self.blocks.get(second >> BLOCK_BITS)
        if type(offset) is not int:
            offset = self.wall_of(second) - second
        minute, second = divmod(second + offset, 60)
        fraction = f".{rest:06}" if rest else ""
        return f"{_minute_text(minute)}{_SECONDS[second]}{fraction}{_offset_text(offset)}"

    def _survey(self, start: int, end: int) -> int | tuple[Stretch, ...]:
        found: list[Stretch] = []
        since, offset, at = start, self.offset(start), start
        while at < end:
            step = min(at + STEP, end)
            if self.offset(step) == offset:
                at = step
                continue
            low, high = at, step
            while high - low > 1:
                middle = (low + high) // 2
                if self.offset(middle) == offset:
                    low = middle
                else:
                    high = middle
            if high >= end:
                break
            found.append((since, high, offset))
            since, offset, at = high, self.offset(high), high
        return offset if not found else (*found, (since, end, offset))
