"""Typed JSON of dates, times and time zones.

Pure; zones come back by name, so they follow the tz database of the machine that reads them.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Refused(Exception):
    """Carries the path of a value that does not fit, from the inside out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []


def pack_zone(zone: tzinfo) -> Any:
    """Return a zone of zoneinfo or pytz by its name, a fixed offset by its length.

    :raises Refused: if it has neither
    """
    if isinstance(zone, ZoneInfo) and zone.key:
        return {"~zone": zone.key}
    if isinstance(zone, timezone):
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # how it is pickled
        return {"~offset": [offset // timedelta(microseconds=1), *name]}
    if type(zone).__module__.partition(".")[0] == "pytz":
        if getattr(zone, "zone", None):
            return {"~pytz": zone.zone}  # type: ignore[attr-defined]
        fixed = zone.utcoffset(None)
        if fixed is not None:
            return {"~offset": [fixed // timedelta(microseconds=1)]}
    raise Refused(f"time zone {zone!r} has no name; use zoneinfo.ZoneInfo('Area/City')")


def pack_datetime(value: datetime, depth: int) -> Any:
    """Return a datetime as ISO 8601, with its zone and fold where an offset does not tell them."""
    zone = value.tzinfo
    if zone is None or (type(zone) is timezone and len(zone.__getinitargs__()) == 1):  # type: ignore[attr-defined]
        return {"~datetime": value.isoformat() if not value.fold else [value.isoformat(), None, 1]}
    packed = pack_zone(zone)
    if "~pytz" in packed:  # its zones carry one offset each: the instant decides
        return {"~datetime": [value.astimezone(UTC).replace(tzinfo=None).isoformat(), packed, value.fold]}
    return {"~datetime": [value.replace(tzinfo=None).isoformat(), packed, value.fold]}


def pack_time(value: time, depth: int) -> Any:
    """Return a time as ISO 8601, with its zone and fold if it has any."""
    zone = value.tzinfo
    if zone is None and not value.fold:
        return {"~time": value.isoformat()}
    return {
        "~time": [
            value.replace(tzinfo=None).isoformat(),
            None if zone is None else pack_zone(zone),
            value.fold,
        ]
    }


def unpack_datetime(data: Any) -> datetime:
    """Return the datetime of packed data, in which the zone is unpacked already."""
    if isinstance(data, str):
        return datetime.fromisoformat(data)
    text, zone, fold = data
    value = datetime.fromisoformat(text)
    if zone is None:
        return value.replace(fold=fold)
    if hasattr(zone, "localize"):
        found: datetime = zone.fromutc(value)
        return found
    return value.replace(tzinfo=zone, fold=fold)


def unpack_time(data: Any) -> time:
    """Return the time of packed data, in which the zone is unpacked already."""
    if isinstance(data, str):
        return time.fromisoformat(data)
    text, zone, fold = data
    return time.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def unpack_offset(data: Any) -> timezone:
    """Return the zone of a packed fixed offset."""
    offset, *name = data
    return timezone(timedelta(microseconds=offset), *name) if offset or name else UTC


def unpack_pytz(name: str) -> Any:
    """Return a zone of pytz, which has to be installed."""
    import pytz  # optional

    return pytz.timezone(name)
