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

IMPORTED = {
    "schedulers.base": "ConflictingIdError EVENT_JOB_ADDED Job JobLookupError JobSubmissionEvent undefined",
    "schedulers.asyncio": "BaseScheduler run_in_event_loop SchedulerNotRunningError",
    "schedulers.blocking": "TIMEOUT_MAX Event",
    "jobstores.memory": "datetime_to_utc_timestamp BaseJobStore",
    "jobstores.base": "logging ABCMeta",
    "executors.base": "EVENT_JOB_ERROR JobExecutionEvent logging run_job run_coroutine_job defaultdict",
    "executors.pool": "BasePoolExecutor BaseExecutor run_job ProcessPoolExecutor",
    "executors.asyncio": "BaseExecutor iscoroutinefunction_partial run_coroutine_job run_job sys",
    "executors.debug": "BaseExecutor run_job",
    "job": "ref_to_obj get_callable_name",
    "triggers.cron": "BaseTrigger convert_to_datetime get_localzone timedelta",
    "triggers.interval": "BaseTrigger convert_to_datetime timedelta",
}


@pytest.mark.parametrize(("module", "name"), [(m, n) for m, names in IMPORTED.items() for n in names.split()])
def test_a_name_that_programs_import_from_a_module_is_there(module, name):
    assert getattr(import_module(f"rota.{module}"), name) is not None


def test_the_names_of_the_modules_of_stores_are_there():
    need("sqlalchemy", "sql")
    from rota.jobstores.sqlalchemy import BaseJobStore, Job, datetime_to_utc_timestamp

    assert (BaseJobStore.__module__, Job.__module__) == ("rota.jobstores.base", "rota.job")
    assert datetime_to_utc_timestamp(None) is None


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
    from rota.schedulers.asyncio import run_in_event_loop

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
