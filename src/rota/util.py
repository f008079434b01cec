"""Helpers of APScheduler's ``util`` module, by the same names: values, time zones, dates, callables.

May not read the clock; imports ``zoneinfo``, ``re`` and ``tzlocal`` only when they are needed.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from os import getpid, urandom

from .callables import (
    check_callable_args,
    get_callable_name,
    iscoroutinefunction_partial,
    maybe_ref,
    obj_to_ref,
    ref_to_obj,
)
from .errors import ConfigurationError, OptionTypeError, TriggerError, TriggerTypeError, UnknownTimezoneError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = (
    "asbool",
    "asdate",
    "asint",
    "astimezone",
    "check_callable_args",
    "convert_to_datetime",
    "datetime_ceil",
    "datetime_repr",
    "datetime_to_utc_timestamp",
    "datetime_utc_add",
    "get_callable_name",
    "iscoroutinefunction_partial",
    "local_timezone",
    "localize",
    "maybe_ref",
    "normalize",
    "obj_to_ref",
    "ref_to_obj",
    "suggestion",
    "timedelta_seconds",
    "timezone_repr",
    "timezone_to_text",
    "undefined",
    "utc_timestamp_to_datetime",
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_PATTERN = (
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[ T](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)?)?"
)


class _Undefined:
    """The type of :data:`undefined`, which equals nothing else, not even what says that it equals everything."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<undefined>"

    def __reduce__(self) -> str:
        # Copies and pickles are the same object again.
        return "undefined"


#: Stands for "no value given" where None is a value.
undefined: Any = _Undefined()


# ------------------------------------------------------------------------------------------------------------ values


def new_node_id() -> str:
    """Return a name that no other node has, ever."""
    return f"{getpid()}-{urandom(6).hex()}"


def asint(text: Any) -> int | None:
    """Return a string as an integer, None as None.

    :raises ConfigurationError: (a ``ValueError``) if the text is no integer
    """
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"invalid integer: {text!r}") from None


def asbool(obj: Any) -> bool:
    """Return an object as a boolean; strings are read as words (true yes on y t 1, false no off n f 0).

    :raises ConfigurationError: (a ``ValueError``) if a string is none of these words
    """
    if not isinstance(obj, str):
        return bool(obj)
    word = obj.strip().lower()
    if word in ("true", "yes", "on", "y", "t", "1"):
        return True
    if word in ("false", "no", "off", "n", "f", "0"):
        return False
    raise ConfigurationError(
        f'Unable to interpret value "{word}" as boolean; write one of true, yes, on, 1, false, no, off, 0'
    )


def suggestion(word: str, possible: Any) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of the possible words, or an empty string if none is near."""
    near = nearest(word, possible)
    return f"; did you mean {near!r}?" if near is not None else ""


def nearest(word: str, possible: Any) -> str | None:
    """Return the possible word that was probably meant by this one, None if none is near."""
    from difflib import get_close_matches  # import time

    by_folded = {str(name).casefold(): str(name) for name in possible}
    folded = word.casefold()
    for found in get_close_matches(folded, by_folded, 3):
        if _is_near(folded, found):
            return by_folded[found]
    return None


def _is_near(one: str, other: str) -> bool:
    """Whether two words differ by a slip in every four characters at most, or one is the begin or the end of the other."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) >= _PART and (longer.startswith(shorter) or longer.endswith(shorter)):
        return True
    return _slips(one, other) <= max(1, len(shorter) // 4)


#: From how many characters on a begin or an end of a word tells which one it is.
_PART = 4


def _slips(one: str, other: str) -> int:
    """Return how many characters are left out, put in, changed, or swapped with their neighbour between two words."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, here in enumerate(one, 1):
        previous, row = row, [i]
        for j, there in enumerate(other, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (here != there))
            if i > 1 and j > 1 and here == other[j - 2] and one[i - 2] == there:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = previous
    return row[-1]


# -------------------------------------------------------------------------------------------------------- time zones


#: classes whose objects are zones as they are: that of zoneinfo, once it has been seen
_ready_zones: set[type] = {timezone}


def astimezone(obj: Any) -> tzinfo | None:
    """Return the time zone that a name or a tzinfo object stands for; None stays None.

    :param obj: a name of the tz database ("UTC" gives ``datetime.timezone.utc``), a fixed offset ("+02:00"), or a
        tzinfo. Zones of pytz become the zones of the same name of zoneinfo; others are returned as they are
    :raises UnknownTimezoneError: (a ``ValueError`` and ``KeyError``) if there is no zone of that name
    :raises OptionTypeError: (a ``TypeError``) if the object is neither
    """
    if obj is None or obj is UTC:
        return obj
    if type(obj) in _ready_zones:
        zone: tzinfo = obj
        return zone
    if isinstance(obj, str):
        return _zone_by_name(obj)
    if not isinstance(obj, tzinfo):
        raise OptionTypeError(
            f"Expected tzinfo, got {type(obj).__name__} instead; pass a zone name such as 'Europe/Berlin'"
        )
    if isinstance(obj, timezone):
        return obj
    if hasattr(obj, "key"):
        if type(obj).__module__ == "zoneinfo":
            _ready_zones.add(type(obj))
        return obj
    if hasattr(obj, "zone"):
        if obj.zone:
            return _zone_by_name(str(obj.zone))
        offset = obj.utcoffset(None)  # pytz.FixedOffset
        return obj if offset is None else timezone(offset)
    if obj.tzname(None) == "local":
        raise ConfigurationError(
            "Unable to determine the name of the local timezone -- you must explicitly specify the name of the local "
            "timezone, as a location such as 'Europe/Helsinki' (abbreviations such as EST know no daylight saving time)"
        )
    return obj


# What zoneinfo keeps by itself made reading a stored job take 14 µs instead of 10.
@lru_cache(maxsize=64)
def _zone_by_name(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if name[:1] in ("+", "-"):
        return _fixed_offset(name)
    from zoneinfo import ZoneInfo  # import time

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones  # import time

        from .zonehints import zone_hint  # import time

        known = available_timezones()
        hint = (
            (zone_hint(name) or suggestion(name, known))
            if known
            else "; no time zone data is installed: pip install tzdata"
        )
        raise UnknownTimezoneError(f"No time zone found with key {name!r}{hint}") from None


def _fixed_offset(text: str) -> timezone:
    try:
        offset = datetime.strptime(text, "%z").utcoffset()
    except ValueError:
        offset = None
    if offset is None:
        from .zonehints import zone_hint  # import time

        hint = zone_hint(text) or "; write a fixed offset as +HH:MM or -HH:MM"
        raise UnknownTimezoneError(f"No time zone found with key {text!r}{hint}")
    return timezone(offset)


def local_timezone(*modules: str) -> tzinfo:
    """Return the zone of this machine; UTC, with a warning, where the system does not tell.

    :param modules: where a program may have put a function of its own in the place of APScheduler's name ``get_localzone``
    """
    from tzlocal import get_localzone  # optional

    for name in modules:
        found = getattr(sys.modules.get(name), "__dict__", {}).get("get_localzone", get_localzone)
        if found is not get_localzone:
            return astimezone(found()) or UTC
    try:
        return astimezone(get_localzone()) or UTC
    except (KeyError, ValueError, OSError) as exc:
        import warnings  # import time

        warnings.warn(
            f"The local time zone is unknown ({exc}): UTC is used; set TZ or pass timezone=…",
            RuntimeWarning,
            stacklevel=2,
        )
        return UTC


def timezone_repr(timezone: tzinfo) -> str:
    """Return the key of a zone of the tz database, else the ``repr()``."""
    key = getattr(timezone, "key", None)
    return key if isinstance(key, str) else repr(timezone)


def timezone_to_text(zone: tzinfo) -> str | None:
    """Return the text from which :func:`astimezone` makes an equal zone, or None if there is none.

    That is the key of a zone of the tz database, or a fixed offset such as ``+05:30``.
    """
    key = getattr(zone, "key", None)
    if isinstance(key, str):
        return key
    try:
        offset = zone.utcoffset(None)
    except Exception:  # a foreign zone may only answer for a datetime
        offset = None
    if offset is not None:
        return "UTC" if not offset else _offset_text(offset)
    # Zones that dateutil reads from a file show where they come from.
    shown = repr(zone)
    if shown.startswith("tzfile('") and shown.endswith("')"):
        name = shown[8:-2].rpartition("/zoneinfo/")[2]
        try:
            return timezone_repr(_zone_by_name(name))
        except UnknownTimezoneError:
            return None
    return None


def _offset_text(offset: timedelta) -> str:
    sign, seconds = ("-", -offset) if offset < timedelta(0) else ("+", offset)
    text = f"{sign}{str(seconds).zfill(8)}"
    return text.removesuffix(":00")


def normalize(dt: datetime) -> datetime:
    """Return the same instant as a wall time that exists: a time inside a gap moves by the length of the gap."""
    return datetime.fromtimestamp(dt.timestamp(), dt.tzinfo)


def localize(dt: datetime, tzinfo: tzinfo) -> datetime:
    """Return a naive datetime as a time of a zone (RFC 5545 3.3.5: gap, the offset before it; overlap, the first)."""
    if hasattr(tzinfo, "localize"):
        localized: datetime = tzinfo.localize(dt)
        return localized
    return normalize(dt.replace(tzinfo=tzinfo))


# ------------------------------------------------------------------------------------------------------------- dates


def asdate(obj: Any) -> Any:
    """Return an ISO date string as a date; anything else as it is.

    :raises TriggerError: (a ``ValueError``) if the string is no date
    """
    if not isinstance(obj, str):
        return obj
    try:
        return date.fromisoformat(obj)
    except ValueError as exc:
        raise TriggerError(f"Invalid date string {obj!r}: {exc}; write YYYY-MM-DD") from None


def convert_to_datetime(input: Any, tz: tzinfo | str | None, arg_name: str) -> datetime | None:
    """Return a datetime, date or string as an aware datetime; None stays None.

    :param input: an aware datetime (returned as it is), a naive datetime or date (read in ``tz``), or a string
        ``YYYY-M-D[ H:M:S[.ffffff][Z|±HH:MM]]`` or of another ISO 8601 form
    :param tz: zone of what carries none
    :param arg_name: name of the argument, for the error message
    :raises TriggerError: (a ``ValueError``) if a string is no date, or there is no zone at all
    :raises TriggerTypeError: (a ``TypeError``) if ``input`` is something else
    """
    if input is None:
        return None
    if isinstance(input, datetime):
        value = input
    elif isinstance(input, date):
        value = datetime.combine(input, time())
    elif isinstance(input, str):
        value = _parse_datetime(input, arg_name)
    else:
        meant = ""
        if isinstance(input, timedelta):
            meant = f": {arg_name}=datetime.now(UTC) + {input!r} is that long from now"
        elif isinstance(input, (int, float)):
            meant = f": {arg_name}=datetime.fromtimestamp({input!r}, UTC) for a number of seconds since 1970"
        raise TriggerTypeError(
            f"Unsupported type for {arg_name}: {type(input).__name__}; pass a datetime, a date or a string{meant}"
        )
    if value.tzinfo is not None:
        return value
    if tz is None:
        raise TriggerError(f'The "tz" argument must be specified if {arg_name} has no timezone information')
    zone = astimezone(tz) if isinstance(tz, str) else tz
    assert zone is not None
    try:
        return localize(value, zone)
    except (
        ValueError,
        OverflowError,
    ):  # of the calendar's first and last hours, and what is no time in this zone
        raise TriggerError(
            f"{arg_name} must be a time between the years 1 and 9999 in every time zone, got {value}; leave it out, or give "
            f"one that is nearer"
        ) from None


def _parse_datetime(text: str, arg_name: str) -> datetime:
    try:
        return datetime.fromisoformat(text)  # many times faster than what follows, and nearly always enough
    except ValueError as exc:
        problem = exc
    import re  # import time

    found = re.fullmatch(_DATE_PATTERN, text, re.ASCII)
    try:
        if found is None:
            raise problem
        *numbers, fraction, zone = found.groups()
        year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
        # APScheduler reads the fraction as a number of microseconds; as digits after a point it is a fraction.
        microsecond = int(fraction.ljust(6, "0")) if fraction else 0
        tz = None if zone is None else UTC if zone == "Z" else _fixed_offset(zone)
        return datetime(year, month, day, hour, minute, second, microsecond, tz)
    except ValueError as exc:
        raise TriggerError(
            f"Invalid date string {text!r} for {arg_name} ({exc}); write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS"
            f"[.ffffff][Z|±HH:MM]"
        ) from None


def datetime_to_utc_timestamp(timeval: datetime | None) -> float | None:
    """Return the seconds since the epoch of a datetime (a naive one is read as UTC), None for None."""
    if timeval is None:
        return None
    delta = (timeval if timeval.tzinfo is not None else timeval.replace(tzinfo=UTC)) - _EPOCH
    return delta.days * 86400 + delta.seconds + delta.microseconds / 1000000


def utc_timestamp_to_datetime(timestamp: float | None) -> datetime | None:
    """Return the UTC datetime of a number of seconds since the epoch, None for None."""
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)


def timedelta_seconds(delta: timedelta) -> float:
    """Return a timedelta in seconds."""
    return delta.total_seconds()


def datetime_ceil(dateval: datetime) -> datetime:
    """Return a datetime rounded up to the whole second."""
    if dateval.microsecond > 0:
        return datetime_utc_add(dateval, timedelta(seconds=1, microseconds=-dateval.microsecond))
    return dateval


def datetime_utc_add(dateval: datetime, tdelta: timedelta) -> datetime:
    """Return a datetime plus *elapsed* time (adding to an aware datetime in Python adds wall clock time)."""
    if dateval.tzinfo is None:
        return dateval + tdelta
    return (dateval.astimezone(UTC) + tdelta).astimezone(dateval.tzinfo)


def datetime_repr(dateval: datetime | None) -> str:
    """Return a datetime as ``2026-03-29 03:30:00 CEST``, None as ``None``."""
    return dateval.strftime("%Y-%m-%d %H:%M:%S %Z") if dateval else "None"
