"""Crontab strings, read into the texts of the keyword fields.

Pure. The grammar is that of crontab(5) as cronie and Quartz have it; everything that is not understood to its last
character is refused with the field, the item and the column. Weekdays come out as names, so that nobody has to know
which number Sunday has.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ...errors import CronError, TriggerTypeError
from ...util import suggestion
from .expressions import LONGEST_TEXT, MAX_VALUES, MIN_VALUES, MONTHS, shown
from .fields import FIELDS_MAP
from .notations import EVERY, is_every, read_every, without_zone, zone_before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DIALECTS = ("cron", "quartz", "apscheduler3")

_FIVE = ("minute", "hour", "day", "month", "day_of_week")
_LAYOUTS = {5: _FIVE, 6: ("second", *_FIVE), 7: ("second", *_FIVE, "year")}
#: by crontab's numbers, in which Sunday is 0 and 7
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HASH = re.compile(r"H(?:\((\d+)-(\d+)\))?(?:/(\d+))?", re.ASCII)


class Crontab:
    """What a crontab string says: the texts of the eight keyword fields, and how day and weekday are joined.

    :ivar zone: the name of the zone before it, or None
    :ivar every: the microseconds of ``@every``, which has no fields, or None
    """

    __slots__ = ("day_or_weekday", "every", "texts", "zone")

    def __init__(
        self,
        texts: tuple[str | None, ...],
        day_or_weekday: bool,
        zone: str | None = None,
        every: int | None = None,
    ) -> None:
        self.texts = texts
        self.day_or_weekday = day_or_weekday
        self.zone = zone
        self.every = every


def parse_crontab(expr: str, dialect: str = "cron", seed: str | None = None) -> Crontab:
    """Read a crontab string.

    :param expr: five to seven fields, an alias such as ``@daily``, or ``@every`` and a duration; with or without a zone before it
    :param dialect: ``"cron"``, ``"quartz"`` or ``"apscheduler3"``
    :param seed: what ``H`` is a hash of
    :raises CronError: if anything in the string is not understood
    """
    if not isinstance(expr, str):
        raise TriggerTypeError(f"A crontab expression is a string, not {expr!r}")
    if dialect not in DIALECTS:
        raise CronError(
            f"Unknown dialect {dialect!r}{suggestion(str(dialect), DIALECTS)}; there are {', '.join(DIALECTS)}"
        )
    if len(expr) > LONGEST_TEXT:
        raise CronError(
            f"{shown(expr)} has {len(expr)} characters; a crontab expression has {LONGEST_TEXT} at the most"
        )
    try:
        return read(expr, dialect, seed)
    except CronError as exc:
        refused = exc
    from .hints import for_crontab  # rare

    raise for_crontab(refused, expr, dialect)  # raised here, so that there is one traceback and not two


@lru_cache(maxsize=256)
def read(expr: str, dialect: str, seed: str | None) -> Crontab:
    """Read a crontab string for :func:`parse_crontab`, which checks the arguments and adds hints to errors."""
    zone = None if dialect == "apscheduler3" else zone_before(expr)
    if zone is not None:
        expr = without_zone(expr)
    text = expr.strip()
    if text.startswith("@") and dialect == "cron":
        if is_every(text):
            return Crontab((), False, zone, read_every(expr))
        expr = _fields_of_alias(text)
    words = expr.split()
    if dialect == "apscheduler3":
        if len(words) != 5:
            raise _wrong_count(len(words), dialect)
        for name, word, column in zip(_LAYOUTS[5], words, _columns(expr), strict=True):
            FIELDS_MAP[name](name, word, at=column)
        return Crontab(_by_keyword(words), False)
    if len(words) < (6 if dialect == "quartz" else 5) or len(words) not in _LAYOUTS:
        raise _wrong_count(len(words), dialect)
    return _read_fields(expr, words, dialect == "quartz", seed, zone)


def _fields_of_alias(text: str) -> str:
    if text == "@reboot":
        raise CronError(
            "@reboot is no time: call the function when the program starts, or use a date trigger", item=text
        )
    if text not in ALIASES:
        raise CronError(
            f"Unknown alias {shown(text)}{suggestion(text[:20], ALIASES)}; there are {', '.join(ALIASES)} and "
            f"{EVERY} 1h30m",
            item=text,
        )
    return ALIASES[text]


def _read_fields(expr: str, words: list[str], quartz: bool, seed: str | None, zone: str | None) -> Crontab:
    layout = _LAYOUTS[len(words)]
    texts: list[str] = []
    for name, word in zip(layout, words, strict=True):
        try:
            seeded = seed if "H" in word or "~" in word else None
            texts.append(word if word == "*" else _keyword_text(name, word, quartz, seeded))
        except CronError:
            break
    if len(texts) < len(words):  # read it again for an error that names its column
        name, word, column = layout[len(texts)], words[len(texts)], _columns(expr)[len(texts)]
        texts.append(_Field(name, word, column, quartz=quartz, seed=seed).keyword_text())
    first = len(words) != 5  # the seconds
    day, weekday = words[first + 2], words[first + 4]
    if quartz and (day == "?") == (weekday == "?"):
        raise _Field("day_of_week", weekday, _columns(expr)[5], quartz=True, seed=None).error(
            weekday, 0, "in Quartz one of the day and weekday fields is '?', and only one"
        )
    return Crontab(_by_keyword(texts), not (day[0] in "*?" or weekday[0] in "*?"), zone)


def _by_keyword(texts: list[str]) -> tuple[str | None, ...]:
    """Return the texts of a crontab string in the order of the keyword fields."""
    given: list[str | None] = [None, *texts] if len(texts) == 5 else [*texts]
    second, minute, hour, day, month, weekday, *year = given
    return (year[0] if year else None, month, day, None, weekday, hour, minute, second)


def _columns(expr: str) -> list[int]:
    """Return at which columns the words begin."""
    return [found.start() + 1 for found in re.finditer(r"\S+", expr)]


@lru_cache(maxsize=4096)
def _keyword_text(name: str, word: str, quartz: bool, seed: str | None) -> str:
    if name != "day_of_week" and _is_number(word) and MIN_VALUES[name] <= int(word) <= MAX_VALUES[name]:
        return str(int(word))
    return _Field(name, word, 1, quartz=quartz, seed=seed).keyword_text()


def _wrong_count(count: int, dialect: str) -> CronError:
    expected = {
        "apscheduler3": "5",
        "quartz": "6 (seconds first) or 7 (year last)",
        "cron": "5 (or 6: seconds first; or 7: seconds first, year last)",
    }[dialect]
    return CronError(f"Wrong number of fields; got {count}, expected {expected}")


class _Field:
    """One field of a crontab string: its word, where that stands, and how to read it."""

    def __init__(self, name: str, word: str, column: int, *, quartz: bool, seed: str | None) -> None:
        self.name = name
        self.word = word
        self.column = column
        self.quartz = quartz
        self.seed = seed
        self.is_weekday = name == "day_of_week"
        self.low, self.high = MIN_VALUES[name], MAX_VALUES[name]
        if self.is_weekday:
            self.low, self.high = (1, 7) if quartz else (0, 7)

    def error(self, item: str, at: int, why: str) -> CronError:
        """Return the refusal of an item; ``at`` is where it begins in the word."""
        column = self.column + at
        message = f"{self.name}: {shown(item)} at column {column}: {why}"
        return CronError(message, field=self.name, item=item, column=column)

    def keyword_text(self) -> str:
        """Return the text of the keyword field with the same meaning."""
        if self.word == "?":
            if self.name not in ("day", "day_of_week"):
                raise self.error("?", 0, "only the day and weekday fields may be '?'")
            return "*"
        texts, at = [], 0
        for item in self.word.split(","):
            texts.append(self._item(item, at))
            at += len(item) + 1
        return ",".join(texts)

    def _item(self, item: str, at: int) -> str:
        if not item:
            raise self.error(self.word, at, "an item of the list is empty")
        special = self._special(item, at)
        if special is not None:
            return special
        if item.startswith("H"):
            return self._hashed(item, at)
        if "~" in item:
            return self._random(item, at)
        body, slash, step_text = item.partition("/")
        step = self._step(item, at, step_text) if slash else None
        if body == "*":
            if self.is_weekday and step:
                return self._weekdays(range(self.low, self.high + 1, step))
            return "*" if step is None else f"*/{step}"
        first_text, dash, last_text = body.partition("-")
        first = self._value(item, at, first_text)
        last = self._value(item, at, last_text) if dash else None
        if self.is_weekday:
            return self._weekday_range(first, last, step)
        if last is not None and last < first:
            raise self._runs_backwards(item, at, first, last)
        text = str(first) if last is None else f"{first}-{last}"
        return text if step is None else f"{text}/{step}"

    def _runs_backwards(self, item: str, at: int, first: int, last: int) -> CronError:
        ranges = ((first, self.high), (self.low, last))
        parts = [str(low) if low == high else f"{low}-{high}" for low, high in ranges]
        return self.error(item, at, f"the range runs backwards; write {','.join(parts)} to run over the end")

    def _step(self, item: str, at: int, text: str) -> int:
        if not _is_number(text):
            raise self.error(item, at, "a step is a whole number after the '/'")
        step = int(text)
        if not step:
            raise self.error(item, at, "a step must be at least 1")
        return step

    def _value(self, item: str, at: int, text: str) -> int:
        if _is_number(text):
            value = int(text)
            if not self.low <= value <= self.high:
                sunday = ", 1 is Sunday" if self.is_weekday and self.quartz else ""
                why = f"{value} is out of range; {self.low} to {self.high} is allowed{sunday}"
                raise self.error(item, at, why)
            return value
        name = text.lower()
        if self.name == "month" and name in MONTHS:
            return MONTHS.index(name) + 1
        if self.is_weekday and name in _WEEKDAYS:
            return _WEEKDAYS.index(name) + self.low
        if not text:
            raise self.error(item, at, "a number is missing")
        known: Iterable[str] = MONTHS if self.name == "month" else _WEEKDAYS if self.is_weekday else ()
        raise self.error(item, at, f"{shown(text)} is not understood{suggestion(text[:20], known)}")

    # ---------------------------------------------------------------------------------------------------- weekdays

    def _weekday_range(self, first: int, last: int | None, step: int | None) -> str:
        if last is None:
            last = first if step is None else self.high
        elif last < first:
            last += 7
        if step is None and 0 < last - first < 6:
            return f"{self._weekday(first)}-{self._weekday(last)}"
        return self._weekdays(range(first, last + 1, step or 1))

    def _weekday(self, number: int) -> str:
        return _WEEKDAYS[(number - self.low) % 7]

    def _weekdays(self, numbers: Iterable[int]) -> str:
        return ",".join(dict.fromkeys(self._weekday(number) for number in numbers))

    # ----------------------------------------------------------------------------------------- L, W, #, H and ~

    def _special(self, item: str, at: int) -> str | None:
        if self.name == "day":
            return self._special_day(item.upper(), item, at)
        if not self.is_weekday:
            return None
        body, sign, number = item.partition("#")
        if sign:
            if number not in ("1", "2", "3", "4", "5"):
                raise self.error(item, at, "after '#' comes which one of the month it is, 1 to 5")
            return f"{self._weekday(self._value(item, at, body))}#{number}"
        if item.upper() == "L" and self.quartz:
            return "sat"
        if item[-1:] in ("L", "l") and len(item) > 1:
            return f"{self._weekday(self._value(item, at, item[:-1]))}L"
        return None

    def _special_day(self, folded: str, item: str, at: int) -> str | None:
        if folded == "L":
            return "last"
        if folded == "LW":
            return "LW"
        if folded.startswith("L-"):
            workday = "W" if folded.endswith("W") else ""
            number = folded[2:].removesuffix("W")
            if not _is_number(number) or int(number) > 30:
                raise self.error(item, at, "after 'L-' comes how many days before the last day, 0 to 30")
            if int(number):
                return f"L-{int(number)}{workday}"
            return "LW" if workday else "last"
        if folded.endswith("W"):
            if not _is_number(folded[:-1]):
                raise self.error(item, at, "'W' comes after one day of the month, as in 15W, or after L")
            return f"{self._value(item, at, folded[:-1])}W"
        return None

    def _hashed(self, item: str, at: int) -> str:
        found = _HASH.fullmatch(item)
        if found is None or self.name == "year":
            raise self.error(item, at, "a hash is written H, H(a-b) or H/n, in any field but the year")
        low, high = found[1] or "", found[2] or ""
        return self._chosen(item, at, low, high, found[3])

    def _random(self, item: str, at: int) -> str:
        """Return the value of ``a~b``, in which either end may be left out: a place chosen once, by the seed."""
        body, slash, step = item.partition("/")
        low, _, high = body.partition("~")
        if "~" in high or self.name == "year":
            raise self.error(item, at, "a random value is written a~b, ~ or a~b/n, in any field but the year")
        return self._chosen(item, at, low, high, step if slash else None)

    def _chosen(self, item: str, at: int, low_text: str, high_text: str, step_text: str | None) -> str:
        """Return a value of a range, or with a step a first value less than a step from the range's start."""
        if self.seed is None:
            sign = "H" if item.startswith("H") else "~"
            raise self.error(
                item, at, f"'{sign}' is a hash of the seed; pass seed=…, for instance the id of the job"
            )
        low = self._value(item, at, low_text) if low_text else self.low
        # Every month has 28 days, every week seven.
        most = 28 if self.name == "day" else self.low + 6 if self.is_weekday else self.high
        high = self._value(item, at, high_text) if high_text else most if low <= most else self.high
        if high < low:
            raise self.error(item, at, "the range runs backwards")
        if step_text is None:
            value = low + self._hash(high - low + 1)
            return self._weekday(value) if self.is_weekday else str(value)
        step = self._step(item, at, step_text)
        first = low + self._hash(min(step, high - low + 1))
        if self.is_weekday:
            return self._weekdays(range(first, high + 1, step))
        return f"{first}-{high}/{step}"

    def _hash(self, size: int) -> int:
        from hashlib import blake2b  # rare

        digest = blake2b(f"{self.seed}\0{self.name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % size


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
