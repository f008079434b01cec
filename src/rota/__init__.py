"""Rota: the scheduler to embed in a Python program.

Exports only; each name is loaded when it is first used, so that ``import rota`` costs next to nothing.
"""

from .version import __version__ as __version__
from .version import release as release
from .version import version as version
from .version import version_info as version_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .calendars import BusinessCalendar as BusinessCalendar
    from .core.queries import JobQuery as JobQuery
    from .core.queries import RunQuery as RunQuery
    from .core.retry import Retry as Retry
    from .executors.asyncio import AsyncIOExecutor as AsyncIOExecutor
    from .executors.base import current_run as current_run
    from .executors.pool import ThreadPoolExecutor as ThreadPoolExecutor
    from .executors.processpool import ProcessPoolExecutor as ProcessPoolExecutor
    from .inject import Inject as Inject
    from .job.handle import Job as Job
    from .jobstores.memory import MemoryJobStore as MemoryJobStore
    from .jobstores.sqlalchemy.store import SQLAlchemyJobStore as SQLAlchemyJobStore
    from .outcomes import Cancel as Cancel
    from .outcomes import RetryAfter as RetryAfter
    from .outcomes import Skip as Skip
    from .outcomes import Snooze as Snooze
    from .schedulers.asyncio import AsyncIOScheduler as AsyncIOScheduler
    from .schedulers.background import BackgroundScheduler as BackgroundScheduler
    from .schedulers.blocking import BlockingScheduler as BlockingScheduler
    from .schedulers.gevent import GeventScheduler as GeventScheduler
    from .schedulers.qt import QtScheduler as QtScheduler
    from .schedulers.tornado import TornadoScheduler as TornadoScheduler
    from .schedulers.twisted import TwistedScheduler as TwistedScheduler
    from .triggers.after import After as After
    from .triggers.business_day import BusinessDayTrigger as BusinessDayTrigger
    from .triggers.calendarinterval import CalendarIntervalTrigger as CalendarIntervalTrigger
    from .triggers.combining import AndTrigger as AndTrigger
    from .triggers.combining import OrTrigger as OrTrigger
    from .triggers.cron import CronTrigger as CronTrigger
    from .triggers.date import DateTrigger as DateTrigger
    from .triggers.interval import IntervalTrigger as IntervalTrigger
    from .triggers.rrule import RRuleTrigger as RRuleTrigger

_WHERE = {
    "After": "triggers.after",
    "AndTrigger": "triggers.combining",
    "AsyncIOExecutor": "executors.asyncio",
    "AsyncIOScheduler": "schedulers.asyncio",
    "BackgroundScheduler": "schedulers.background",
    "BlockingScheduler": "schedulers.blocking",
    "BusinessCalendar": "calendars",
    "BusinessDayTrigger": "triggers.business_day",
    "CalendarIntervalTrigger": "triggers.calendarinterval",
    "Cancel": "outcomes",
    "CronTrigger": "triggers.cron",
    "DateTrigger": "triggers.date",
    "GeventScheduler": "schedulers.gevent",
    "Inject": "inject",
    "IntervalTrigger": "triggers.interval",
    "Job": "job",
    "JobQuery": "core.queries",
    "MemoryJobStore": "jobstores.memory",
    "OrTrigger": "triggers.combining",
    "ProcessPoolExecutor": "executors.processpool",
    "QtScheduler": "schedulers.qt",
    "RRuleTrigger": "triggers.rrule",
    "Retry": "core.retry",
    "RetryAfter": "outcomes",
    "RunQuery": "core.queries",
    "SQLAlchemyJobStore": "jobstores.sqlalchemy",
    "Skip": "outcomes",
    "Snooze": "outcomes",
    "ThreadPoolExecutor": "executors.pool",
    "TornadoScheduler": "schedulers.tornado",
    "TwistedScheduler": "schedulers.twisted",
    "current_run": "executors.base",
}

#: The libraries of which a name needs one, and which are no dependencies of Rota's own.
_NEEDS = {
    "GeventScheduler": ("gevent",),
    "QtScheduler": ("PySide6", "PyQt6", "PySide2", "PyQt5"),
    "SQLAlchemyJobStore": ("sqlalchemy",),
    "TornadoScheduler": ("tornado",),
    "TwistedScheduler": ("twisted",),
}


def __getattr__(name: str) -> object:
    if name == "__all__":  # made when it is asked for, so that `from rota import *` needs no optional library
        return [*_available(), "__version__", "release", "version", "version_info"]
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module 'rota' has no attribute {name!r}")
    from importlib import import_module  # rare

    found = globals()[name] = getattr(import_module(f"rota.{module}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_available()})


def _available() -> list[str]:
    """Return the names whose libraries are installed."""
    from importlib.util import find_spec  # import time

    def is_installed(library: str) -> bool:
        try:
            return find_spec(library) is not None
        except (ImportError, ValueError):
            return False

    return [name for name in _WHERE if name not in _NEEDS or any(map(is_installed, _NEEDS[name]))]
