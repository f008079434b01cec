"""Names that programs import from APScheduler's modules are here, or an error says what to use instead."""

from __future__ import annotations

import asyncio
from importlib import import_module
from unittest import mock

import pytest

from rota.compat import names
from rota.compat.absent import Absent
from rota.errors import UnknownAliasError
from rota.job import Job
from rota.jobstores.memory import MemoryJobStore
from rota.schedulers.asyncio import AsyncIOScheduler
from rota.schedulers.background import BackgroundScheduler
from rota.triggers.cron import CronTrigger
from rota.triggers.interval import IntervalTrigger
from tests.needs import need

_FIELDS = "BaseField DayOfMonthField DayOfWeekField MonthField WeekField DEFAULT_VALUES"
_STORE = "Job BaseJobStore datetime_to_utc_timestamp utc_timestamp_to_datetime"
_LOOP = "BaseScheduler SchedulerNotRunningError"
#: What programs are seen to import from modules of APScheduler that only use it.
IMPORTED = {
    "executors.asyncio": "BaseExecutor run_coroutine_job run_job iscoroutinefunction_partial sys",
    "executors.base": "EVENT_JOB_ERROR EVENT_JOB_EXECUTED EVENT_JOB_MISSED JobExecutionEvent logging run_job run_coroutine_job "
    "defaultdict",
    "executors.debug": "BaseExecutor run_job",
    "executors.gevent": "BaseExecutor run_job",
    "executors.pool": "BasePoolExecutor BaseExecutor run_job ProcessPoolExecutor",
    "executors.tornado": "BaseExecutor run_coroutine_job run_job iscoroutinefunction_partial",
    "executors.twisted": "BaseExecutor run_job",
    "job": "check_callable_args get_callable_name ref_to_obj",
    "jobstores.base": "logging ABCMeta",
    "jobstores.etcd": _STORE,
    "jobstores.memory": "datetime_to_utc_timestamp BaseJobStore",
    "jobstores.mongodb": _STORE,
    "jobstores.redis": _STORE,
    "jobstores.sqlalchemy": _STORE,
    "jobstores.zookeeper": _STORE,
    "schedulers.asyncio": f"{_LOOP} run_in_event_loop",
    "schedulers.base": "EVENT_ALL_JOBS_REMOVED EVENT_JOB_ADDED EVENT_JOB_MAX_INSTANCES EVENT_JOB_MODIFIED EVENT_JOB_REMOVED "
    "EVENT_JOB_SUBMITTED EVENT_SCHEDULER_SHUTDOWN JobEvent JobSubmissionEvent MaxInstancesReachedError ThreadPoolExecutor Job "
    "ConflictingIdError JobLookupError MemoryJobStore BaseTrigger asint obj_to_ref ref_to_obj undefined",
    "schedulers.blocking": "TIMEOUT_MAX Event",
    "schedulers.gevent": "BaseScheduler BlockingScheduler",
    "schedulers.qt": "BaseScheduler",
    "schedulers.tornado": _LOOP,
    "schedulers.twisted": _LOOP,
    "triggers.calendarinterval": "BaseTrigger",
    "triggers.combining": "obj_to_ref ref_to_obj",
    "triggers.cron": f"{_FIELDS} BaseTrigger convert_to_datetime datetime_ceil datetime_repr datetime_utc_add get_localzone "
    "timedelta",
    "triggers.cron.expressions": "asint",
    "triggers.date": "BaseTrigger convert_to_datetime",
    "triggers.interval": "BaseTrigger convert_to_datetime datetime_repr timedelta",
}
#: The libraries that some of them need, and the extras that bring these.
OPTIONAL = {
    "executors.gevent": ("gevent", "gevent"),
    "executors.tornado": ("tornado", "tornado"),
    "executors.twisted": ("twisted", "twisted"),
    "jobstores.etcd": ("etcd3gw", "etcd"),
    "jobstores.mongodb": ("pymongo", "mongodb"),
    "jobstores.redis": ("redis", "redis"),
    "jobstores.sqlalchemy": ("sqlalchemy", "sql"),
    "jobstores.zookeeper": ("kazoo", "zookeeper"),
    "schedulers.gevent": ("gevent", "gevent"),
    "schedulers.qt": ("PySide6", "qt"),
    "schedulers.tornado": ("tornado", "tornado"),
    "schedulers.twisted": ("twisted", "twisted"),
}


@pytest.mark.parametrize("module", IMPORTED)
def test_the_names_that_programs_import_from_a_module_are_there(module):
    if module in OPTIONAL:
        need(*OPTIONAL[module])
    found = import_module(f"rota.{module}")
    for name in IMPORTED[module].split():
        assert getattr(found, name) is not None, name


@pytest.mark.parametrize("module", [name for name in IMPORTED if name not in OPTIONAL])
def test_only_packages_say_that_they_are_some(module):
    found = import_module(f"rota.{module}")
    spec = found.__spec__
    assert spec is not None
    assert hasattr(found, "__path__") is (spec.submodule_search_locations is not None)


def test_such_names_are_those_of_the_modules_in_which_they_live():
    from rota.jobstores.memory import BaseJobStore, Job  # type: ignore[attr-defined]

    assert (BaseJobStore.__module__, Job.__module__) == ("rota.jobstores.base", "rota.job")


@pytest.mark.parametrize("name", ["MemoryJobStore", "ThreadPoolExecutor"])
def test_a_default_part_that_a_program_puts_into_the_module_is_what_a_scheduler_gets(name, monkeypatch):
    base = import_module("rota.schedulers.base")
    made = type("Made", (getattr(base, name),), {})
    monkeypatch.setattr(base, name, made)
    scheduler = BackgroundScheduler()
    scheduler.start()
    parts = scheduler._jobstores if name == "MemoryJobStore" else scheduler._executors
    assert type(parts["default"]) is made
    scheduler.shutdown()


def test_a_clock_cannot_be_put_in_the_place_of_datetime_and_the_error_says_what_can():
    base = import_module("rota.schedulers.base")
    with pytest.raises(
        AttributeError, match=r"'datetime'; the time of a scheduler is that of its clock.*ManualScheduler"
    ):
        assert base.datetime
    with pytest.raises(AttributeError, match="datetime"):
        mock.patch("rota.schedulers.base.datetime").start()


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (
            BackgroundScheduler,
            "_trigger_plugins",
            r"'BackgroundScheduler' object has no attribute '_trigger_plugins'; register",
        ),
        (BackgroundScheduler, "_timeout", r"wakeup\(\)"),
        (MemoryJobStore, "_jobs_index", r"lookup_job\(\), get_all_jobs\(\)"),
        (MemoryJobStore, "_jobs", r"derives from BaseJobStore"),
        (lambda: BackgroundScheduler().add_job(print), "_job_state", r"state=…"),
        (
            BackgroundScheduler,
            "nothing_at_all",
            r"'BackgroundScheduler' object has no attribute 'nothing_at_all'$",
        ),
    ],
)
def test_a_name_that_is_not_there_is_an_error_that_names_the_public_way(make, name, words):
    obj = make()
    assert not hasattr(obj, name)
    with pytest.raises(AttributeError, match=words):
        getattr(obj, name)


@pytest.mark.parametrize("name", ["_jobs", "_jobs_index"])
def test_a_store_in_memory_takes_no_jobs_in_the_attributes_that_apscheduler_keeps_them_in(name):
    with pytest.raises(AttributeError, match="derives from BaseJobStore"):
        setattr(MemoryJobStore(), name, [])


def test_a_plug_in_class_that_a_program_registers_at_the_scheduler_is_used():
    class Often(IntervalTrigger):
        pass

    BackgroundScheduler._trigger_classes["often"] = Often
    try:
        job = BackgroundScheduler().add_job(print, "often", seconds=3)
        assert type(job.trigger) is Often
    finally:
        del BackgroundScheduler._trigger_classes["often"]
    with pytest.raises(UnknownAliasError, match="often"):
        BackgroundScheduler().add_job(print, "often", seconds=3)


def test_a_method_is_called_on_the_loop_of_its_object():
    from rota.schedulers.asyncio import run_in_event_loop  # type: ignore[attr-defined]

    class Noting(AsyncIOScheduler):
        noted = None

        @run_in_event_loop
        def note(self, value):
            self.noted = value

    async def main():
        scheduler = Noting()
        scheduler.start()
        await asyncio.to_thread(scheduler.note, 3)
        await asyncio.sleep(0)
        assert scheduler.noted == 3
        await scheduler.shutdown()

    asyncio.run(main())


def test_each_inner_name_with_a_remedy_is_known_to_the_class_that_lacks_it():
    classes = (BackgroundScheduler, MemoryJobStore, Job, CronTrigger)
    known = {
        name
        for cls in classes
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, Absent)
    }
    assert known == {name for name in names._INSTEAD if name.startswith("_")}
