"""Jobs: what is refused before anything is stored, and the handle that the user holds."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import pytest

from rota.core.states import ACTIVE, PAUSED, QUARANTINED
from rota.errors import (
    ArgumentMismatchError,
    CallableLookupError,
    InvalidJobError,
    JobTypeError,
    JobValueError,
    TransientJobError,
    UnknownAttributeError,
)
from rota.job import Job
from rota.testing import ManualScheduler
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger

NOON = datetime(2029, 6, 1, 12, tzinfo=UTC)


def work(first, second=2, *, third=3):
    return first, second, third


@pytest.fixture
def scheduler():
    return ManualScheduler()


def make(scheduler, **changes):
    attributes: dict[str, Any] = {
        "func": work,
        "args": (1,),
        "kwargs": {},
        "trigger": DateTrigger(NOON),
        "name": None,
    } | changes
    return Job(scheduler, attributes.pop("id", None), **attributes)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"id": 5}, JobTypeError, "id must be a nonempty string, got 5"),
        ({"func": 5}, JobTypeError, "callable or a textual reference"),
        ({"func": "no.such.module:name"}, CallableLookupError, "no.such.module"),
        ({"func": "json:no_such"}, CallableLookupError, "no_such"),
        ({"func": "os:sep"}, JobTypeError, "'os:sep' leads to '/'"),
        ({"args": "text"}, JobTypeError, "non-string iterable"),
        ({"args": 5}, JobTypeError, "non-string iterable"),
        ({"kwargs": [1]}, JobTypeError, "dict-like"),
        ({"kwargs": {"fourth": 4}}, ArgumentMismatchError, "fourth"),
        ({"args": ()}, ArgumentMismatchError, r"first; the callable is .*\(first, "),
        ({"args": (1, 2, 3)}, ArgumentMismatchError, "positional"),
        ({"kwargs": {"first": 1}}, ArgumentMismatchError, "first"),
        ({"name": 5}, JobTypeError, "name must be a nonempty string"),
        ({"trigger": "cron"}, JobTypeError, r"Expected a trigger instance, got 'cron'; reschedule_job\(\)"),
        ({"coalesce": "false"}, JobTypeError, "coalesce must be True or False, got 'false'"),
        ({"executor": 5}, JobTypeError, "executor must be a string"),
        ({"max_instances": 0}, JobTypeError, "max_instances"),
        ({"misfire_grace_time": "x"}, JobTypeError, "misfire_grace_time"),
        ({"next_run_time": 5}, TypeError, "next_run_time"),
        ({"colour": "red"}, UnknownAttributeError, "colour"),
        ({"maxinstances": 2}, UnknownAttributeError, "did you mean 'max_instances'"),
    ],
)
def test_a_job_that_cannot_run_is_refused_by_name_and_value(scheduler, changes, error, words):
    with pytest.raises(error, match=words):
        make(scheduler, **changes)


def test_the_errors_of_jobs_are_what_apscheduler_raises_there():
    assert issubclass(JobTypeError, TypeError)
    assert issubclass(JobValueError, ValueError)
    assert issubclass(ArgumentMismatchError, ValueError)
    assert issubclass(CallableLookupError, LookupError)
    assert issubclass(UnknownAttributeError, AttributeError)
    assert all(issubclass(error, InvalidJobError) for error in (JobTypeError, ArgumentMismatchError))


def test_a_refused_change_changes_nothing(scheduler):
    job = make(scheduler, max_instances=2)
    with pytest.raises(JobTypeError):
        job._modify(name="other", max_instances=5, args="text")
    with pytest.raises(UnknownAttributeError):
        job._modify(name="other", max_instances=5, colour="red")
    assert (job.name, job.max_instances, job.args) == ("work", 2, (1,))


def test_the_id_may_not_change(scheduler):
    job = make(scheduler, id="a")
    job._modify(id="a")
    with pytest.raises(JobValueError, match="may not be changed"):
        job._modify(id="b")


def test_id_and_name_have_defaults(scheduler):
    job = make(scheduler)
    assert len(job.id) == 32
    assert job.name == "work"
    assert make(scheduler).id != job.id


def test_arguments_are_checked_for_partials_and_objects_too(scheduler):
    class Callable:
        def __call__(self, one):
            return one

    assert make(scheduler, func=Callable(), args=(1,)).func_ref is None
    with pytest.raises(ArgumentMismatchError):
        make(scheduler, func=Callable(), args=())
    with pytest.raises(ArgumentMismatchError):
        make(scheduler, func=functools.partial(work, 1, 2), args=(3,))


def test_a_text_that_names_a_function_is_resolved(scheduler):
    job = make(scheduler, func="json:dumps", args=([1],))
    assert job.func([1]) == "[1]"
    assert job.require_reference() == "json:dumps"


def test_a_function_without_a_name_has_no_reference(scheduler):
    job = make(scheduler, func=lambda x: x)
    assert job.func_ref is None
    with pytest.raises(TransientJobError, match=r"<lambda>.*memory store"):
        job.require_reference()


def test_a_job_says_when_it_runs_next_in_its_trigger_s_zone(scheduler):
    from zoneinfo import ZoneInfo

    tokyo = ZoneInfo("Asia/Tokyo")
    job = make(scheduler, trigger=CronTrigger(hour=3, timezone=tokyo), next_run_time=NOON)
    assert job.next_run_time == NOON
    assert str(job.next_run_time.tzinfo) == "Asia/Tokyo"
    assert job.state == ACTIVE


def test_a_job_without_next_run_is_paused(scheduler):
    job = make(scheduler, next_run_time=None)
    assert (job.state, job.next_run_time) == (PAUSED, None)


def test_a_naive_next_run_time_is_meant_in_the_scheduler_s_zone():
    scheduler = ManualScheduler(timezone="Asia/Tokyo")
    job = make(scheduler, next_run_time=datetime(2029, 6, 1, 21))
    assert job.next_run_time == NOON
    job._modify(next_run_time=datetime(2029, 6, 1, 22))
    assert job.next_run_time == datetime(2029, 6, 1, 13, tzinfo=UTC)


def test_a_quarantined_job_stays_so_until_it_is_given_a_next_run(scheduler):
    job = make(scheduler)
    job.state, job.error = QUARANTINED, "broken"
    assert "quarantined: broken" in str(job)
    assert job.next_run_time is None
    job._modify(next_run_time=NOON)
    assert (job.state, job.error) == (ACTIVE, None)


def test_jobs_are_equal_by_id_and_have_the_known_text_forms(scheduler):
    job = make(scheduler, id="a", name="n")
    assert job == make(scheduler, id="a")
    assert job != make(scheduler, id="b")
    assert repr(job) == "<Job (id=a name=n)>"
    assert str(job) == "n (trigger: date[2029-06-01 12:00:00 UTC], pending)"
    job._jobstore_alias = "default"
    assert str(job).endswith(", paused)")
    job.next_run_time = NOON
    assert str(job).endswith(", next run at: 2029-06-01 12:00:00 UTC)")
    with pytest.raises(TypeError):
        hash(job)


def test_a_job_s_state_comes_back_whole(scheduler):
    job = make(scheduler, id="a", func=work, kwargs={"third": 5}, max_instances=4, next_run_time=NOON)
    twin = Job.__new__(Job)
    twin.__setstate__(job.__getstate__())
    for name in ("id", "func", "func_ref", "args", "kwargs", "name", "policy", "next_run_time", "executor"):
        assert getattr(twin, name) == getattr(job, name), name


def test_a_job_s_copy_can_be_changed_without_touching_it(scheduler):
    job = make(scheduler, next_run_time=NOON)
    twin = job.copy()
    twin._modify(name="other", next_run_time=None)
    assert (job.name, job.next_run_time) == ("work", NOON)
