"""APScheduler's inner names under the alias: those that its modules had from each other lead where they live in Rota, and what
Rota does not have is refused by an error that names the public way. May not import anything of Rota before it is asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from opcode import opmap

from .names import WHERE, instead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any

#: The release whose interface the alias answers for.
VERSION = "3.11.3"
#: Modules of APScheduler that Rota does not have: what to use instead.
MODULES = {
    "apscheduler.jobstores.rethinkdb": "Rota has no store for RethinkDB; use SQL, Redis, MongoDB, etcd or ZooKeeper",
}

_FIELDS = "BaseField DayOfMonthField DayOfWeekField MonthField WeekField DEFAULT_VALUES"
#: Where in Rota the names live that are found under the alias only.
_HOMES = {
    **dict.fromkeys(_FIELDS.split(), "rota.triggers.cron.fields"),
    "MemoryJobStore": "rota.jobstores.memory",
    "ThreadPoolExecutor": "rota.executors.pool",
    "datetime_utc_add": "rota.util",
}
_STORE = "Job BaseJobStore datetime_to_utc_timestamp utc_timestamp_to_datetime"
_LOOP = "BaseScheduler SchedulerNotRunningError"
#: The names that each of APScheduler's modules has from others, and that programs are seen to import from there.
_FROM_OTHERS = {
    "executors.asyncio": "BaseExecutor run_coroutine_job run_job iscoroutinefunction_partial",
    "executors.base": "EVENT_JOB_ERROR EVENT_JOB_EXECUTED EVENT_JOB_MISSED JobExecutionEvent",
    "executors.debug": "BaseExecutor run_job",
    "executors.gevent": "BaseExecutor run_job",
    "executors.pool": "BaseExecutor run_job",
    "executors.tornado": "BaseExecutor run_coroutine_job run_job iscoroutinefunction_partial",
    "executors.twisted": "BaseExecutor run_job",
    "job": "check_callable_args get_callable_name ref_to_obj",
    "jobstores.etcd": _STORE,
    "jobstores.memory": "datetime_to_utc_timestamp",
    "jobstores.mongodb": _STORE,
    "jobstores.redis": _STORE,
    "jobstores.sqlalchemy": _STORE,
    "jobstores.zookeeper": _STORE,
    "schedulers.asyncio": _LOOP,
    "schedulers.base": "EVENT_ALL_JOBS_REMOVED EVENT_JOB_ADDED EVENT_JOB_MAX_INSTANCES EVENT_JOB_MODIFIED EVENT_JOB_REMOVED "
    "EVENT_JOB_SUBMITTED EVENT_SCHEDULER_SHUTDOWN JobEvent JobSubmissionEvent MaxInstancesReachedError ThreadPoolExecutor Job "
    "ConflictingIdError JobLookupError MemoryJobStore BaseTrigger asint obj_to_ref ref_to_obj undefined",
    "schedulers.qt": "BaseScheduler",
    "schedulers.tornado": _LOOP,
    "schedulers.twisted": _LOOP,
    "triggers.calendarinterval": "BaseTrigger",
    "triggers.combining": "obj_to_ref ref_to_obj",
    "triggers.cron": f"{_FIELDS} BaseTrigger convert_to_datetime datetime_ceil datetime_repr datetime_utc_add",
    "triggers.cron.expressions": "asint",
    "triggers.date": "BaseTrigger convert_to_datetime",
    "triggers.interval": "BaseTrigger convert_to_datetime datetime_repr",
}
#: The modules below the package; programs reach them as attributes when anything else has imported them.
_SUBMODULES = ("events", "executors", "job", "jobstores", "schedulers", "triggers", "util")


def no_such_module(name: str) -> ModuleNotFoundError:
    """Return the error for a module that Rota does not have under that name of APScheduler's."""
    instead = MODULES.get(name, "Rota has the modules of APScheduler 3.11; see docs/migration.md")
    return ModuleNotFoundError(
        f"No module named {name!r} in Rota (rota.as_apscheduler); {instead}", name=name
    )


def load_when_asked(package: ModuleType) -> None:
    """Have the package import its modules when they are asked for as attributes."""

    def getattr_(name: str) -> Any:
        if name in _SUBMODULES:
            return import_module(f"{package.__name__}.{name}")
        raise _no_such_name(package.__name__, name, vars(package), sys._getframe(1))

    vars(package)["__getattr__"] = getattr_


def explain_missing(module: ModuleType, alias: str) -> None:
    """Have a module of Rota's give the names that APScheduler's has from its other modules, and explain what is not there.

    :param alias: its name in APScheduler
    """
    own = vars(module).get("__getattr__")
    if getattr(own, "explains", False):
        return
    place = alias.partition(".")[2]
    from_others = frozenset(_FROM_OTHERS.get(place, "").split())

    def getattr_(name: str) -> Any:
        if own is not None and not name.startswith("__"):  # the import system asks while the spec is another
            try:
                return own(name)
            except AttributeError:
                pass
        if name in from_others:
            return getattr(import_module(_HOMES.get(name) or WHERE[name]), name)
        raise _no_such_name(alias, name, vars(module), sys._getframe(1))

    getattr_.explains = True  # type: ignore[attr-defined]
    vars(module)["__getattr__"] = getattr_


def _no_such_name(place: str, name: str, there: dict[str, Any], asking: FrameType) -> Exception:
    """Return the error for a name that a module does not have."""
    own = "rota" + place[len("apscheduler") :]
    if name.startswith("__"):  # asked for by tools
        return AttributeError(f"module {place!r} has no attribute {name!r}")
    remedy = instead(name)
    if not remedy:
        public = [known for known, value in there.items() if known[0] != "_" and _is_from(value, own)]
        remedy = "; see docs/migration.md"
        if public:
            remedy = f"; the public names there are {', '.join(sorted(public))}"
    message = f"module {place!r} stands for {own} (rota.as_apscheduler), which has no {name!r}{remedy}"
    # `from module import name` drops the text of an AttributeError, so it gets the error that it would raise itself.
    code = asking.f_code.co_code
    if asking.f_lasti >= 0 and code[asking.f_lasti] == opmap["IMPORT_FROM"]:
        return ImportError(f"cannot import name {name!r}: {message}", name=place)
    return AttributeError(message, name=name)


def _is_from(value: Any, module: str) -> bool:
    try:
        return bool(value.__module__ == module)
    except Exception:  # values of all kinds are looked at
        return False
