"""What to write instead of a value of the wrong type, as the end of an error's message.

Pure. Loaded when a value is refused.
"""

from __future__ import annotations

from datetime import timedelta

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LENGTHS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def number_meant(name: str, value: Any) -> str:
    """Return ``"; write name=5"`` for what stands for a number; nothing if that is not clear.

    :param name: the parameter that takes a number
    :param value: what was given for it: a text, a timedelta, a Decimal
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        size = _LENGTHS.get(name, 0)
        if size and not seconds % size:
            return f"; write {name}={int(seconds // size)}"
        return f"; write seconds={seconds:.15g}" if name in _LENGTHS else ""
    number = _number(value)
    return "" if number is None else f"; write {name}={number:.15g}"


def whole_number_meant(name: str, value: Any) -> str:
    """Return the same for a parameter that takes whole numbers."""
    if isinstance(value, timedelta):
        size = _LENGTHS.get(name, 0)
        whole = size and not value % timedelta(seconds=size)
        return f"; write {name}={value // timedelta(seconds=size)}" if whole else ""
    if name in ("hour", "minute", "second") and ":" in str(value):
        from .cron.other_systems import clock_of  # rare

        clock = clock_of(str(value))
        if clock is None:
            return ""
        second = f", second={clock[2]}" if clock[2] != "0" else ""
        return f"; write hour={clock[0]}, minute={clock[1]}{second}"
    number = _number(value)
    return f"; write {name}={int(number)}" if number is not None and number.is_integer() else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 1e15 else None  # not NaN either
