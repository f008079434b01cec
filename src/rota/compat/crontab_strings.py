"""Crontab strings in programs that were written for APScheduler: a warning for the first that is read otherwise here.

Logs; what the readings are is found in :mod:`rota.triggers.readings`.
"""

from __future__ import annotations

from ..logs import GuardedLogger
from ..triggers import readings

_log = GuardedLogger("rota.scheduler")


def warn_once() -> None:
    """Warn of the first crontab string from now on that APScheduler 3 reads otherwise; the others are not reported."""
    readings.listener = _warn


def _warn(message: str) -> None:
    readings.listener = None
    _log.warning("%s. Other crontab strings are not reported; rota migrate finds them", message)
