"""What the scheduler's interface refuses at the door, and with which words."""

from __future__ import annotations

import logging
import os
from unittest.mock import ANY

import pytest

from rota.errors import (
    ConfigurationError,
    JobLookupError,
    JobTypeError,
    OptionTypeError,
    RotaError,
    TriggerTypeError,
    UnknownAliasError,
    UnknownOptionError,
)
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler


def nothing() -> None:
    pass


class Hostile:
    """Equals everything, and ends the program when it is shown."""

    def __repr__(self):
        raise SystemExit("shown")

    __str__ = __repr__

    def __eq__(self, other):
        return True

    __hash__ = object.__hash__


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"trigger": "date", "replace_exisiting": True}, "replace_existing"),
        ({"trigger": "interval", "seconds": 1, "max_instance": 3}, "max_instances"),
        ({"trigger": "interval", "second": 1}, "seconds"),
        ({"trigger": "cron", "hours": 1}, "hour"),
    ],
)
def test_an_option_that_does_not_exist_is_refused_with_the_one_that_was_meant(scheduler, arguments, meant):
    with pytest.raises(UnknownOptionError, match=f"did you mean '{meant}'"):
        scheduler.add_job(nothing, **arguments)
    assert scheduler.get_jobs() == []


def test_an_option_of_an_executor_that_does_not_exist_is_refused():
    with pytest.raises(UnknownOptionError, match="did you mean 'max_workers'"):
        BackgroundScheduler(executors={"default": {"type": "threadpool", "workers": 3}})


@pytest.mark.parametrize("options", [{"misfire_grace_time": 900}, {"max_instances": 3, "timezone": "UTC"}])
def test_a_default_of_jobs_that_is_given_to_the_scheduler_is_told_its_place(options):
    name, value = next(iter(options.items()))
    with pytest.raises(UnknownOptionError, match=rf"write job_defaults=\{{'{name}': {value}\}}$"):
        BackgroundScheduler(**options)


def test_an_option_that_is_like_none_is_refused_with_those_that_there_are():
    with pytest.raises(UnknownOptionError, match=r"no option .blocking.; it takes logger, timezone, .*clock"):
        BackgroundScheduler(blocking=True)


@pytest.mark.parametrize("arguments", [{"args": 5}, {"args": "ab"}, {"kwargs": 5}])
def test_arguments_that_are_no_series_are_refused(scheduler, arguments):
    with pytest.raises(JobTypeError):
        scheduler.add_job(nothing, **arguments)


def test_a_plug_in_or_alias_that_does_not_exist_is_refused_with_a_suggestion(scheduler):
    with pytest.raises(UnknownAliasError, match='did you mean "cron"'):
        scheduler.add_job(nothing, "crn")
    with pytest.raises(UnknownAliasError, match='did you mean "default"'):
        scheduler.add_job(nothing, executor="defaul")
    with pytest.raises(UnknownAliasError, match='"postgress://…" was found; did you mean "postgres://…"'):
        scheduler.add_jobstore("postgress://user@host/db", "x")
    for method in (scheduler.get_runs, scheduler.get_jobs, scheduler.remove_all_jobs):
        with pytest.raises(UnknownAliasError, match="No such job store: x"):
            method(jobstore="x")


def test_a_store_or_executor_that_cannot_be_made_of_its_options_says_how_it_is_written():
    with pytest.raises(JobTypeError, match=r"jobstores\['default'\], got str instead; write a URL, or"):
        ManualScheduler({"rota.jobstores.default": "jobs.db"})
    with pytest.raises(ConfigurationError, match=r"executors\['slow'\] -- .*; write a dictionary such as"):
        ManualScheduler({"rota.executors.slow.max_workers": "3"})


def test_options_that_are_no_dictionaries_are_refused_with_an_example():
    for options in ({"jobstores": "sqlite:///jobs.db"}, {"executors": ["threadpool"]}):
        (name,) = options
        with pytest.raises(
            ConfigurationError, match=rf"{name} must be a dictionary by alias, such as .*default"
        ):
            ManualScheduler(**options)
    with pytest.raises(ConfigurationError, match="must be a dictionary, got str"):
        ManualScheduler("scheduler.ini")  # type: ignore[arg-type]


def test_an_argument_that_a_plug_in_needs_is_named(scheduler):
    with pytest.raises(TriggerTypeError, match='The trigger "crontab" needs expr'):
        scheduler.add_job(nothing, "crontab")
    with pytest.raises(TriggerTypeError, match='The trigger "or" needs triggers'):
        scheduler.add_job(nothing, "or")


def test_a_shutdown_with_a_timeout_that_is_none_stops_nothing(scheduler):
    for timeout in ("5", -1, float("nan")):
        with pytest.raises(OptionTypeError, match="timeout is a number of seconds"):
            scheduler.shutdown(timeout=timeout)
    assert scheduler.running


def test_a_status_that_runs_do_not_have_is_refused(scheduler):
    with pytest.raises(OptionTypeError, match="no status 'sucess'"):
        scheduler.get_runs(status="sucess")


def test_a_state_that_jobs_do_not_have_and_a_page_that_cannot_be_are_refused(scheduler):
    with pytest.raises(OptionTypeError, match="no state 'running'; they have active, paused, quarantined"):
        scheduler.get_jobs(state=["active", "running"])
    with pytest.raises(OptionTypeError, match="offset must be a whole number of 0 or more, got -1"):
        scheduler.get_jobs(offset=-1)
    with pytest.raises(OptionTypeError, match="limit must be a whole number of 0 or more, got '10'"):
        scheduler.get_runs(limit="10")


def test_a_trigger_in_place_of_the_store_is_refused_with_what_to_write(scheduler):
    scheduler.add_job(print, "interval", hours=1, id="a")
    with pytest.raises(
        OptionTypeError, match=r"got 'cron'; name the parameter: reschedule_job\(id, trigger='cron', …\)"
    ):
        scheduler.reschedule_job("a", "cron", hour=3)
    with pytest.raises(JobLookupError):
        scheduler.reschedule_job("a", "elsewhere", run_date="2030-01-01")


def test_a_listener_with_a_mask_that_is_none_is_refused_and_harms_nobody(scheduler):
    with pytest.raises(
        OptionTypeError, match=r"OR of event codes of rota\.events, or one of its classes, not 'EVENT_ALL'"
    ):
        scheduler.add_listener(print, "EVENT_ALL")
    scheduler.add_job(nothing)
    scheduler.run_pending()


def test_a_listener_that_would_do_nothing_is_refused(scheduler):
    async def listener(event):
        pass

    with pytest.raises(OptionTypeError, match="cannot be async"):
        scheduler.add_listener(listener)
    with pytest.raises(OptionTypeError, match=r"one argument, the event: .* longer than"):
        scheduler.add_listener(lambda: None)


def test_a_listener_that_cannot_be_called_is_refused(scheduler):
    with pytest.raises(OptionTypeError, match="got 3"):
        scheduler.add_listener(3)


def test_a_trigger_whose_times_are_over_leaves_the_job_paused_and_says_so(scheduler, caplog):
    with caplog.at_level(logging.WARNING, "rota.scheduler"):
        job = scheduler.add_job(nothing, "cron", year=2001)
    assert job.next_run_time is None
    assert "has no time to come" in caplog.text


def test_a_job_whose_schedule_is_over_says_so(scheduler):
    job = scheduler.add_job(nothing)
    scheduler.run_pending()
    assert str(job).endswith("schedule over)")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_store_forgets_the_runs_of_its_parent():
    scheduler = ManualScheduler()
    scheduler.start(paused=True)
    job = scheduler.add_job(nothing, "interval", minutes=1, id="j")
    job.running = scheduler._jobstores["default"]._ledger.running["j"] = 1
    scheduler._stop_in_child()
    scheduler.start()
    scheduler.advance(minutes=1)
    assert [run.status for run in scheduler.get_runs("j")] == ["succeeded"]


OPTIONS = (
    *("func", "trigger", "args", "kwargs", "id", "name", "next_run_time", "jobstore", "executor"),
    *("misfire_grace_time", "max_instances", "expires", "on_lost", "max_attempts"),
)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("value", [Hostile(), ANY], ids=["hostile", "any"])
def test_an_object_that_equals_everything_or_cannot_be_shown_is_refused_in_words(scheduler, option, value):
    with pytest.raises(RotaError, match=r"Hostile|ANY|None|strings|callable|trigger|args|kwargs|date"):
        scheduler.add_job(**{"func": nothing, option: value})
    assert scheduler.get_jobs() == []
    scheduler.add_job(nothing, "interval", hours=1, id="kept")
    if option != "jobstore":
        with pytest.raises(RotaError):
            scheduler.modify_job("kept", **{option: value})
    (kept,) = scheduler.get_jobs()
    assert (kept.id, kept.name) == ("kept", "nothing")


@pytest.mark.parametrize(
    "arguments",
    [
        {"trigger": "interval", "seconds": Hostile()},
        {"trigger": "interval", "hours": 1, "jitter": Hostile()},
        {"trigger": "interval", "hours": 1, "start_date": Hostile()},
        {"trigger": "cron", "hour": Hostile()},
        {"trigger": "date", "run_date": Hostile()},
        {"trigger": "calendarinterval", "days": Hostile()},
    ],
    ids=lambda arguments: "-".join(map(str, arguments)),
)
def test_an_argument_of_a_trigger_that_cannot_be_shown_is_refused_in_words(scheduler, arguments):
    with pytest.raises(RotaError):
        scheduler.add_job(nothing, **arguments)
    assert scheduler.get_jobs() == []


@pytest.mark.parametrize("name", ["jobstore_retry_interval", "lease", "job_defaults"])
def test_an_option_of_a_scheduler_that_cannot_be_shown_is_refused_in_words(name):
    with pytest.raises(ConfigurationError, match="Hostile"):
        ManualScheduler({}, **{name: Hostile()})
