"""Inner names that APScheduler's modules and classes have and ours lack: where they are here, or what to use instead.

It is asked when a name is missing, and imports what the name leads to then.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Where names are that programs import from modules which only use them.
_SOURCES = {
    "rota.util": (
        "asint astimezone check_callable_args convert_to_datetime datetime_ceil datetime_repr datetime_to_utc_timestamp "
        "datetime_utc_add get_callable_name iscoroutinefunction_partial maybe_ref obj_to_ref ref_to_obj undefined "
        "utc_timestamp_to_datetime"
    ),
    "rota.events": (
        "EVENT_ALL_JOBS_REMOVED EVENT_JOB_ADDED EVENT_JOB_ERROR EVENT_JOB_EXECUTED EVENT_JOB_MAX_INSTANCES EVENT_JOB_MISSED "
        "EVENT_JOB_MODIFIED EVENT_JOB_REMOVED EVENT_JOB_SUBMITTED EVENT_SCHEDULER_SHUTDOWN JobEvent JobExecutionEvent "
        "JobSubmissionEvent"
    ),
    "rota.errors": (
        "ConflictingIdError JobLookupError MaxInstancesReachedError SchedulerAlreadyRunningError SchedulerNotRunningError"
    ),
    "rota.job": "Job",
    "rota.jobstores.base": "BaseJobStore",
    "rota.jobstores.memory": "MemoryJobStore",
    "rota.executors.base": "BaseExecutor run_coroutine_job run_job",
    "rota.executors.pool": "ThreadPoolExecutor",
    "rota.schedulers.base": "BaseScheduler",
    "rota.triggers.base": "BaseTrigger",
    "rota.triggers.cron.fields": "BaseField DayOfMonthField DayOfWeekField MonthField WeekField DEFAULT_VALUES",
    "rota.compat.loops": "run_in_event_loop",
    "tzlocal": "get_localzone",
    "threading": "TIMEOUT_MAX Event",
    "abc": "ABCMeta",
    "collections": "defaultdict",
    "datetime": "timedelta timezone",
    "functools": "partial wraps",
    "traceback": "format_tb",
}
#: Where a name is that programs import from modules which only use it.
WHERE = {name: module for module, names in _SOURCES.items() for name in names.split()}
_MODULES = (
    "asyncio",
    "concurrent",
    "logging",
    "multiprocessing",
    "pickle",
    "random",
    "re",
    "sys",
    "warnings",
)

_CLOCK = (
    "the time of a scheduler is that of its clock: give it clock=rota.testing.VirtualClock(…), or use rota.testing.ManualScheduler "
    "or freeze() in tests"
)
_JOBS = (
    "lookup_job(), get_all_jobs() and get_due_jobs() return jobs; a store that keeps them in a form of its own derives from "
    "BaseJobStore"
)
#: What to use instead of a name that is not here.
_INSTEAD = {
    "datetime": _CLOCK,
    "time": _CLOCK,
    "create_engine": "give the store engine=, or what create_engine() takes as engine_options=",
    "_get_jobs": _JOBS,
    "_jobs": _JOBS,
    "_jobs_index": _JOBS,
    "_get_job_index": _JOBS,
    "_reconstitute_jobs": "override _reconstitute_job(), which is called for each job",
    "_ensure_paths": "the store makes its paths at the start",
    "_ensured_path": "the store makes its paths at the start",
    "_timeout": "wakeup() makes the scheduler look at once, and health()['last_tick'] says when it did so last",
    "_shutdown": "shutdown() may be awaited, and takes a timeout",
    "_trigger_plugins": "register a class as _trigger_classes[name], or as an entry point of the group rota.triggers",
    "_executor_plugins": "register a class as _executor_classes[name], or as an entry point of the group rota.executors",
    "_jobstore_plugins": "register a class as _jobstore_classes[name], or as an entry point of the group rota.jobstores",
    "_increment_field_value": "derive from BaseTrigger and call get_next_fire_time() of a CronTrigger in yours",
    "_set_field_value": "derive from BaseTrigger and call get_next_fire_time() of a CronTrigger in yours",
    "_add_job": "add_job() adds a job",
    "_remove_job": "remove_job() removes a job",
    "_stopped": "state tells whether the scheduler is stopped, and running whether it is not",
    "_job_state": "scheduler.get_jobs(state=…) and job.state tell the state of jobs",
}


def of_module(module: str, name: str) -> Any:
    """Return what a name of APScheduler's module is that ours does not have by itself.

    :raises AttributeError: if there is no such thing here; it says what to use instead, if that is known
    """
    if name in WHERE and WHERE[name] != module:
        return getattr(import_module(WHERE[name]), name)
    if name in _MODULES:
        return import_module(name)
    raise AttributeError(f"module {module!r} has no attribute {name!r}{instead(name)}")


def missing(obj: object, name: str) -> AttributeError:
    """Return the error for an attribute that an object does not have; it says what to use instead, if that is known."""
    return AttributeError(f"{type(obj).__name__!r} object has no attribute {name!r}{instead(name)}")


def instead(name: str) -> str:
    """Return what to use instead of a name that is not here, as the end of a message; empty if nothing is known."""
    return f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
