"""From what pickles and exports say to values: plain containers and scalars, dates, times, zones, UUIDs and decimals.

Everything else is refused with its path and its class. Zones of pytz and dateutil become those of zoneinfo; neither library is
needed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from ..codec.bounds import TooMuch, check_hashes
from ..errors import RotaError
from ..util import astimezone, local_timezone
from .pickles import Made, Name

if TYPE_CHECKING:
    from collections.abc import Callable

#: How deep values may be nested; more does not fit into Rota's JSON either.
_MAX_DEPTH = 100
#: How many values one job may consist of, and how many characters: a few bytes of a pickle can stand for billions.
_MAX_VALUES = 100_000
_MAX_TEXT = 16 * 1024 * 1024


#: Where a part stands: ``args``, or a place and the step from there. It is only written out for a refusal.
Path = str | tuple[Any, str, Any]


class NotTakenOver(Exception):
    """A part of a job cannot be taken over; ``path`` says which."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = _written(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


class Values:
    """Makes the values of one job.

    :ivar list[str] notes: what became something else on the way, and what
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._values = 0
        self._text = 0

    def value(self, found: Any, path: Path, depth: int = 0) -> Any:
        """Return the value of a part.

        :param found: what :func:`rota.importers.pickles.read_pickle` returned, or a part of it
        :param path: where it stands in the job, for messages
        :raises NotTakenOver: if it, or something in it, cannot be taken over
        """
        self._values += 1
        if self._values > _MAX_VALUES or self._text > _MAX_TEXT or depth > _MAX_DEPTH:
            raise NotTakenOver(path, "there is too much in it, or it is nested too deeply")
        kind = type(found)
        if kind in (str, bytes):
            self._text += len(found)
            return found
        if found is None or kind in (bool, int, float):
            return found
        if kind in (list, tuple, set, frozenset):
            items = [self.value(item, (path, "[{}]", i), depth + 1) for i, item in enumerate(found)]
            if kind in (set, frozenset):
                check_keys(items, path)
            return kind(items)
        if kind is dict:
            keys = [self.value(key, (path, "<key {}>", key), depth + 1) for key in found]
            check_keys(keys, path)
            return {
                key: self.value(item, (path, "[{}]", key), depth + 1)
                for key, item in zip(keys, found.values(), strict=True)
            }
        if kind is Made and repr(found.name) in _MAKERS:
            return self.made(found, path, _MAKERS[repr(found.name)])
        if isinstance(found, (Made, Name)):
            raise NotTakenOver(
                path, f"{found!r} is not taken over: only plain data is (nothing of it was executed)"
            )
        raise NotTakenOver(path, f"{kind.__name__} is not taken over")

    def made(self, found: Made, path: Path, maker: Callable[[Values, Made, Path], Any]) -> Any:
        """Return what a maker makes of a note; whatever is wrong with the note is said with its path."""
        try:
            return maker(self, found, path)
        except NotTakenOver:
            raise
        except (
            RotaError,
            ValueError,
            TypeError,
            IndexError,
            KeyError,
            AttributeError,
            ArithmeticError,
        ) as exc:
            raise NotTakenOver(path, f"{found!r} has content that is not understood: {exc}") from None

    def zone(self, found: Any, path: Path) -> tzinfo | None:
        """Return a time zone of any of the libraries; None for None."""
        value = self.value(found, path)
        if not (value is None or isinstance(value, tzinfo)):
            raise NotTakenOver(path, f"{value!r:.80} is not a time zone")
        return value

    def note(self, text: str) -> None:
        """Take note of a change, once."""
        if text not in self.notes:
            self.notes.append(text)


def check_keys(keys: list[Any], path: Path) -> None:
    """Refuse keys or members of a set that would be expensive to compare.

    :raises NotTakenOver: if there are too many, or too many have the same hash
    """
    try:
        check_hashes([hash(key) for key in keys if type(key) is not str])
    except TooMuch as exc:
        raise NotTakenOver(path, str(exc)) from None


def _written(path: Path) -> str:
    steps = []
    while not isinstance(path, str):
        path, form, key = path
        steps.append(form.format(f"{key!r:.50}" if type(key) in (str, int, float, bool, bytes) else "…"))
    return path + "".join(reversed(steps))


# ------------------------------------------------------------------------------------------------------ dates and times


def _datetime(values: Values, made: Made, path: Path) -> datetime:
    data = values.value(made.args[0], path)
    if type(data) is not bytes or len(data) != 10:
        raise ValueError("a datetime has ten bytes")
    year, month, fold = data[0] * 256 + data[1], data[2] & 0x7F, data[2] >> 7
    day, hour, minute, second = data[3:7]
    naive = datetime(year, month, day, hour, minute, second, int.from_bytes(data[7:10], "big"), fold=fold)
    if len(made.args) < 2:
        return naive
    zone = values.zone(made.args[1], path)
    offset = _pytz_offset(made.args[1])
    if zone is None or offset is None:
        return naive.replace(tzinfo=zone)
    # A zone of pytz has one offset, which decides what the wall time means.
    return (naive - offset).replace(tzinfo=UTC, fold=0).astimezone(zone)


def _date(values: Values, made: Made, path: Path) -> date:
    data = values.value(made.args[0], path)
    if type(data) is not bytes or len(data) != 4:
        raise ValueError("a date has four bytes")
    return date(data[0] * 256 + data[1], data[2], data[3])


def _time(values: Values, made: Made, path: Path) -> time:
    data = values.value(made.args[0], path)
    if type(data) is not bytes or len(data) != 6:
        raise ValueError("a time has six bytes")
    zone = values.zone(made.args[1], path) if len(made.args) > 1 else None
    hour, fold = data[0] & 0x7F, data[0] >> 7
    return time(hour, data[1], data[2], int.from_bytes(data[3:], "big"), zone, fold=fold)


def _timedelta(values: Values, made: Made, path: Path) -> timedelta:
    days, seconds, microseconds = (_whole(values.value(part, path)) for part in made.args)
    return timedelta(days, seconds, microseconds)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.80} is not a whole number")
    return value


# --------------------------------------------------------------------------------------------------------------- zones


def _offset_zone(values: Values, made: Made, path: Path) -> tzinfo:
    offset, *name = (values.value(part, path) for part in made.args)
    return timezone(offset, *name) if offset or name else UTC


def _zone_by_key(key: Any) -> tzinfo:
    if type(key) is not str:
        raise ValueError(f"{key!r:.80} is not the name of a zone")
    return astimezone(key) or UTC


def _zoneinfo(values: Values, made: Made, path: Path) -> tzinfo:
    zone = _zone_by_key(values.value(made.args[0], path))
    return ZoneInfo("UTC") if zone is UTC else zone


def _pytz_zone(values: Values, made: Made, path: Path) -> tzinfo:
    values.note("zones of pytz become those of zoneinfo")
    return _zone_by_key(values.value(made.args[0], path))


def _pytz_offset(found: Any) -> timedelta | None:
    if isinstance(found, Made) and repr(found.name) == "pytz._p" and len(found.args) == 4:
        return timedelta(seconds=_whole(found.args[1]))
    return None


def _pytz_minutes(values: Values, made: Made, path: Path) -> tzinfo:
    return timezone(timedelta(minutes=_whole(values.value(made.args[0], path))))


def _dateutil_offset(values: Values, made: Made, path: Path) -> tzinfo:
    state = made.state if isinstance(made.state, dict) else {}
    name, offset = made.args if len(made.args) == 2 else (state["_name"], state["_offset"])
    offset, name = values.value(offset, path), values.value(name, path)
    length = offset if isinstance(offset, timedelta) else timedelta(seconds=offset)
    return timezone(length, name) if name else timezone(length)


def _dateutil_local(values: Values, made: Made, path: Path) -> tzinfo:
    values.note("the local zone of dateutil becomes that of this machine")
    return local_timezone()


def _dateutil_file(values: Values, made: Made, path: Path) -> tzinfo:
    for part in made.args:
        if type(part) is str and part:
            values.note("zones of dateutil become those of zoneinfo")
            return _zone_by_key(part.rpartition("zoneinfo/")[2])
    raise ValueError("a zone of dateutil without the name of its file")


def _wrapped_zone(values: Values, made: Made, path: Path) -> tzinfo | None:
    return values.zone(made.args[0], path)


# ------------------------------------------------------------------------------------------------------------- the rest


def _uuid(values: Values, made: Made, path: Path) -> UUID:
    return UUID(int=_whole(made.state["int"]))


def _decimal(values: Values, made: Made, path: Path) -> Decimal:
    text = values.value(made.args[0], path)
    if type(text) is not str or len(text) > 1000:
        raise ValueError(f"{text!r:.80} is not a decimal")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r:.80} is not a decimal") from None


def _encoded(values: Values, made: Made, path: Path) -> bytes:
    text, coding = made.args
    if type(text) is not str or coding != "latin1":
        raise ValueError("bytes are written as latin1 only")
    return text.encode("latin1")


def _bytes(values: Values, made: Made, path: Path) -> bytes:
    if made.args:
        raise ValueError("only empty bytes are written so")
    return b""


def _series(kind: type) -> Callable[[Values, Made, Path], Any]:
    def maker(values: Values, made: Made, path: Path) -> Any:
        (items,) = made.args
        if type(items) is not list:
            raise ValueError("its items are not a list")
        members = values.value(items, path)
        check_keys(members, path)
        return kind(members)

    return maker


_MAKERS: dict[str, Callable[[Values, Made, Path], Any]] = {
    "datetime.datetime": _datetime,
    "datetime.date": _date,
    "datetime.time": _time,
    "datetime.timedelta": _timedelta,
    "datetime.timezone": _offset_zone,
    "zoneinfo.ZoneInfo": _zoneinfo,
    "zoneinfo.ZoneInfo._unpickle": _zoneinfo,
    "backports.zoneinfo.ZoneInfo._unpickle": _zoneinfo,
    "pytz._p": _pytz_zone,
    "pytz._UTC": lambda values, made, path: UTC,
    "pytz.FixedOffset": _pytz_minutes,
    "pytz._FixedOffset": _pytz_minutes,
    "pytz_deprecation_shim._impl.wrap_zone": _wrapped_zone,
    "dateutil.tz.tz.tzutc": lambda values, made, path: UTC,
    "dateutil.tz.tz.tzoffset": _dateutil_offset,
    "dateutil.tz.tz.tzlocal": _dateutil_local,
    "dateutil.tz.tz.tzfile": _dateutil_file,
    "dateutil.tz._tzfile._unpickle": _dateutil_file,
    "dateutil.zoneinfo.gettz": _dateutil_file,
    "uuid.UUID": _uuid,
    "decimal.Decimal": _decimal,
    "_codecs.encode": _encoded,
    "builtins.bytes": _bytes,
    "builtins.set": _series(set),
    "builtins.frozenset": _series(frozenset),
}
