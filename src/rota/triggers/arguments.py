"""What the constructors of triggers take: zones, dates, seconds and pickled states, checked and made what triggers hold.

Pure, but for the clock where a caller gives no ``now``. It knows no trigger.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from datetime import timezone as dt_timezone

from ..clock import SYSTEM_CLOCK
from ..clock import instant as to_instant
from ..errors import DeserializationError, TriggerError, TriggerTypeError
from ..texts import repr_of
from ..util import astimezone, convert_to_datetime, local_timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

#: What a date without a zone is read in where its wall time has to stay what it is, even where clocks jump over it.
NO_ZONE = dt_timezone(timedelta(0), "none")


def current_instant(now: int | None) -> int:
    """Return ``now``, or the system's time where the caller gives none."""
    return SYSTEM_CLOCK.now() if now is None else now


def zone_for(timezone: Any, *dates: Any) -> tzinfo:
    """Return the zone of a trigger: the one given, else that of the first aware datetime, else the local one."""
    if timezone:
        zone = astimezone(timezone)
        assert zone is not None
        return zone
    for value in dates:
        if isinstance(value, datetime) and value.tzinfo is not None:
            zone = astimezone(value.tzinfo)
            assert zone is not None
            return zone
    return local_timezone(*_PATCHED)


#: Where programs put a function of their own in the place of the name.
_PATCHED = tuple(f"rota.triggers.{name}" for name in ("cron", "interval", "date", "calendarinterval"))


def is_zone_given(timezone: Any, *dates: Any) -> bool:
    """Tell whether :func:`zone_for` answers with a zone that was given, and not with that of this machine."""
    return bool(timezone) or any(isinstance(value, datetime) and value.tzinfo is not None for value in dates)


def carries_zone(value: Any, name: str) -> bool:
    """Tell whether a datetime, date or string is read without regard to a zone; so is None, which is not read."""
    read = convert_to_datetime(value, NO_ZONE, name)
    return read is None or read.tzinfo is not NO_ZONE


def optional_instant(value: Any, zone: tzinfo, name: str) -> int | None:
    """Return the instant of a datetime, date or string, None for None."""
    read = convert_to_datetime(value, zone, name)
    return None if read is None else to_instant(read)


def checked_jitter(jitter: Any) -> float | None:
    """Return a jitter in seconds, given as a number or timedelta; None stays None.

    :raises TriggerTypeError: if it is something else
    :raises TriggerError: if it is negative or not finite
    """
    return _checked_seconds("jitter", jitter)


def checked_spread(spread: Any) -> float | None:
    """Return a spread in seconds, as :func:`checked_jitter` does a jitter."""
    return _checked_seconds("spread", spread)


def _checked_seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TriggerTypeError(f"{name} must be a number of seconds, not {repr_of(value)}")
    if not 0 <= value < 10**9:
        raise TriggerError(f"{name} must be a number of seconds from 0 up, not {repr_of(value)}")
    return value


def checked_state(trigger: object, state: Any, newest: int) -> dict[str, Any]:
    """Return a pickled state if its version is known; also that of APScheduler 3.0, which is a tuple.

    :raises DeserializationError: (a ``ValueError``) if the state was written by a later version
    """
    if isinstance(state, tuple):
        state = state[1]
    version = state.get("version", 1)
    if version > newest:
        raise DeserializationError(
            f"Got serialized data for version {version} of {type(trigger).__name__}, but only versions up to {newest} "
            f"can be handled; install the version of Rota that wrote it"
        )
    found: dict[str, Any] = state
    return found
