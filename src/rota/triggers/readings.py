"""Crontab strings that APScheduler 3 reads otherwise than crontab(5), with both readings in words.

Pure; whoever wants to be told of them sets :data:`listener`, and nothing is compared before.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Called with a message for each string that is read without a ``dialect`` and has two readings; see :mod:`rota.compat`.
listener: Callable[[str], None] | None = None


def two_readings(expr: str) -> tuple[str, str] | None:
    """Return what a crontab string means, and what it meant to APScheduler 3, where the two differ; else None.

    They differ by numbers of weekdays, and where day and weekday are both restricted.
    """
    words = expr.split()
    if len(words) != 5:
        return None  # APScheduler refuses it
    day, weekday = words[2], words[4]
    if not (any(character.isdigit() for character in weekday) or "*" not in (day, weekday)):
        return None
    from .cron import CronTrigger  # circle

    try:
        here, there = (
            CronTrigger.from_crontab(expr, "UTC", dialect=dialect).explain().removesuffix(" (UTC)")
            for dialect in ("cron", "apscheduler3")
        )
    except ValueError:  # one of the two refuses it
        return None
    return None if here == there else (here, there)


def difference(expr: str) -> str | None:
    """Return the message about a crontab string that has two readings, None for any other."""
    found = two_readings(expr)
    if found is None:
        return None
    here, there = found
    return (
        f"from_crontab({expr!r}) means: {here}. APScheduler 3 read it as: {there}. "
        f"Pass dialect='cron' or dialect='apscheduler3', whichever is meant, or write weekdays by their names"
    )


def tell(expr: str) -> None:
    """Call the listener if a crontab string has two readings."""
    message = None if listener is None else difference(expr)
    if message is not None and listener is not None:
        listener(message)
