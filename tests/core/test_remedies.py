"""What add_job() refuses, it refuses with what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rota.errors import (
    CallableLookupError,
    CallableReferenceError,
    JobTypeError,
    UnknownAliasError,
    UnknownOptionError,
)
from rota.testing import ManualScheduler
from rota.triggers.cron import CronTrigger
from rota.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def copy(name: str = "a") -> str:
    return f"copied {name}"


def nothing() -> None: ...


async def fetch() -> None: ...


def rows() -> Iterator[int]:
    yield 1


async def pages() -> AsyncIterator[int]:
    yield 1


class Source:
    def rows(self) -> Iterator[int]:
        yield 1

    def __call__(self) -> Iterator[int]:
        yield 1


class Nameless:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


@pytest.fixture
def scheduler() -> Iterator[ManualScheduler]:
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    assert scheduler.get_jobs() == []
    scheduler.shutdown()


@pytest.mark.parametrize(
    ("func", "error", "message"),
    [
        (nothing(), JobTypeError, r"got None; if a call returned it, .* add_job\(function, args="),
        (copy(), CallableReferenceError, r"'copied a': write it .* if a call returned it, pass the function"),
        (Nameless(), JobTypeError, r"got <Nameless whose __repr__\(\) raises RuntimeError>; if a call"),
        (rows(), JobTypeError, r"add_job\(rows, args=\[…\]\), without calling it"),
        (rows, JobTypeError, r"generator function rows, .*: for _ in rows\(…\): pass"),
        (pages, JobTypeError, "the generator function pages"),
        (Source().rows, JobTypeError, "the generator function Source.rows"),
        (Source(), JobTypeError, "the generator function Source"),
        (partial(partial(rows)), JobTypeError, "the generator function"),
        (f"{__name__}:rows", JobTypeError, "the generator function rows"),
        (f"{__name__}:copyy", CallableLookupError, rf"did you mean '{__name__}:copy'\?"),
        (f"{__name__}:Source.row", CallableLookupError, rf"did you mean '{__name__}:Source.rows'\?"),
        (f"{__name__}.copy", CallableReferenceError, rf"did you mean '{__name__}:copy'\?"),
        ("datetim:datetime", CallableLookupError, r"did you mean 'datetime'\?"),
    ],
)
def test_a_callable_that_is_none(scheduler: Any, func: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        scheduler.add_job(func)


def test_a_coroutine_object_is_refused_with_its_function(scheduler: Any) -> None:
    coroutine = fetch()
    with pytest.raises(JobTypeError, match=r"add_job\(fetch, args=\[…\]\), without calling it"):
        scheduler.add_job(coroutine)
    coroutine.close()


def test_what_is_no_generator_is_no_generator() -> None:
    scheduler = ManualScheduler()
    for func in (nothing, fetch, Source, iter, partial(copy, "b"), Source().__repr__):
        scheduler.add_job(func, args=[[]] if func is iter else [])


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (CronTrigger, r"got .* instead; write CronTrigger\(…\), with the arguments"),
        (timedelta(hours=1), 'write "interval", seconds=3600'),
        (60, 'write "interval", seconds=60'),
        (0.5, 'write "interval", seconds=0.5'),
        (datetime(2029, 1, 1, tzinfo=UTC), 'write "date", run_date=datetime'),
        (datetime(2029, 1, 1, tzinfo=UTC).date(), "write \"date\", run_date='2029-01-01'"),
        (time(9, 30), 'write "cron", hour=9, minute=30, second=0'),
        ([IntervalTrigger(hours=1)], r"OrTrigger\(\[…\]\)"),
        (Nameless(), "got Nameless instead; write a trigger such as"),
        (True, "write a trigger such as"),
    ],
)
def test_a_trigger_that_is_none(scheduler: Any, trigger: Any, message: str) -> None:
    with pytest.raises(JobTypeError, match=f"Expected a trigger instance or string, .*{message}"):
        scheduler.add_job(nothing, trigger)
    job = ManualScheduler().add_job(nothing, "interval", hours=1)
    with pytest.raises(JobTypeError, match="write "):
        job.modify(trigger=3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("0 3 * * *", """write "crontab", expr='0 3 \\* \\* \\*'"""),
        ("*/5 * * * mon-fri", 'write "crontab", expr='),
        ("@daily", "write \"crontab\", expr='@daily'"),
        ("FREQ=DAILY;COUNT=3", 'write "rrule", rule='),
        ("2029-01-01 10:00", "write \"date\", run_date='2029-01-01 10:00'"),
        (
            "every 5 minutes",
            "it is plain English; write \"crontab\", expr='\\*/5 \\* \\* \\* \\*', '@every 5m' or add_job",
        ),
        ("rate(2 hours)", "it looks like a schedule of AWS; write \"crontab\", expr='@every 2h' or add_job"),
        ("daily", "it looks like a calendar event of systemd; write \"crontab\", expr='@daily'"),
        ("five words that are none", "there are after, and, business_day"),
        ("crn", 'did you mean "cron"'),
        (
            "*/5 * * *",
            r"five fields, minute hour day month weekday; write \"crontab\", expr='\*/5 \* \* \* \*'",
        ),
    ],
)
def test_a_schedule_in_place_of_a_trigger_name(scheduler: Any, name: str, remedy: str) -> None:
    with pytest.raises(UnknownAliasError, match=remedy):
        scheduler.add_job(nothing, name)


def test_a_crontab_string_for_the_trigger_of_fields(scheduler: Any) -> None:
    with pytest.raises(UnknownOptionError, match='"cron" has no option \'expr\'; write "crontab", expr='):
        scheduler.add_job(nothing, "cron", expr="0 3 * * *")


def test_arguments_that_are_one_argument(scheduler: Any) -> None:
    with pytest.raises(
        JobTypeError, match=r"args must be a non-string iterable, got 'x'; write args=\['x'\]"
    ):
        scheduler.add_job(copy, args="x")
    with pytest.raises(
        JobTypeError, match=r"kwargs must be a dict-like object, got 5; write kwargs={'name': value}"
    ):
        scheduler.add_job(copy, kwargs=5)


@pytest.mark.parametrize(
    ("trigger", "schedule", "remedy"),
    [
        ("cron", "0 3 * * *", "write \"crontab\", expr='0 3 * * *'"),
        ("crontab", "@daily", "write \"crontab\", expr='@daily'"),
        ("date", "2030-01-01 08:00", "write \"date\", run_date='2030-01-01 08:00'"),
    ],
)
def test_a_schedule_in_place_of_the_arguments(
    scheduler: Any, trigger: str, schedule: str, remedy: str
) -> None:
    with pytest.raises(JobTypeError) as caught:
        scheduler.add_job(nothing, trigger, schedule)
    assert str(caught.value) == (
        f"args must be a non-string iterable, got {schedule!r}; they are what the function is called with; {remedy}"
    )


def test_a_text_after_the_name_of_a_trigger_that_is_no_schedule(scheduler: Any) -> None:
    with pytest.raises(JobTypeError, match=r"got 'photos'; write args=\['photos'\]"):
        scheduler.add_job(copy, "cron", "photos")


def test_an_option_of_add_job_is_not_said_to_be_the_triggers(scheduler: Any) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        scheduler.add_job(nothing, "interval", seconds=1, misfire_grace=5)
    assert str(caught.value) == (
        "Neither add_job() nor the trigger \"interval\" has an option 'misfire_grace'; did you mean "
        "'misfire_grace_time' of add_job()?"
    )
    with pytest.raises(UnknownOptionError, match="The trigger \"interval\" has no option 'second'"):
        scheduler.add_job(nothing, "interval", second=1)


class Odd:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no names today")

    def __dir__(self) -> list[str]:
        raise RuntimeError("none at all")


odd = Odd()


def test_an_object_that_tells_no_names_gives_no_suggestion(scheduler: Any) -> None:
    with pytest.raises(CallableLookupError, match=r"error looking up object \(no names today\)$"):
        scheduler.add_job(f"{__name__}:odd.task")


def test_the_decorator_without_its_parentheses_is_refused(scheduler: Any) -> None:
    with pytest.raises(
        JobTypeError, match=r'with its parentheses: @scheduler.scheduled_job\("interval", hours=1\)'
    ):

        @scheduler.scheduled_job
        def tick() -> None: ...
