"""Each option of add_job(): a test in which it acts, and one in which it does not. The table at the end knows them all."""

from __future__ import annotations

import inspect
import logging
from datetime import timedelta

import pytest

from rota.clock import SECOND
from rota.core.run import Run, is_expired
from rota.core.states import CLAIMED, LOST
from rota.errors import ConflictingIdError
from rota.jobstores.memory import MemoryJobStore
from rota.schedulers.base import BaseScheduler
from rota.testing import ManualScheduler
from tests.core.engine_kit import Gate, outcomes
from tests.core.test_orphans import sorted_out
from tests.needs import need

calls = []


def work(*args, **kwargs):
    calls.append((args, kwargs))


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


def minutely(scheduler, late, **options):
    """Return the outcomes of a job that should run each minute, when all is quiet for so many seconds first."""
    scheduler.add_job(work, "interval", minutes=1, id="j", **options)
    scheduler.clock.advance(late)
    scheduler.run_pending()
    return outcomes(scheduler, "j")


# ---------------------------------------------------------------------------------------------- what is called, and how


def test_the_callable_is_called(scheduler):
    scheduler.add_job(work)
    scheduler.run_pending()
    assert calls == [((), {})]


def test_the_callable_is_not_called_before_it_is_time(scheduler):
    scheduler.add_job(work, "interval", minutes=1)
    scheduler.advance(59)
    assert calls == []


def test_the_callable_gets_its_arguments(scheduler):
    scheduler.add_job(work, args=[1, 2])
    scheduler.run_pending()
    assert calls == [((1, 2), {})]


def test_without_arguments_the_callable_gets_none(scheduler):
    scheduler.add_job(work, args=None)
    scheduler.run_pending()
    assert calls == [((), {})]


def test_the_callable_gets_its_keyword_arguments(scheduler):
    scheduler.add_job(work, kwargs={"a": 1})
    scheduler.run_pending()
    assert calls == [((), {"a": 1})]


def test_without_keyword_arguments_the_callable_gets_none(scheduler):
    scheduler.add_job(work, args=[1], kwargs=None)
    scheduler.run_pending()
    assert calls == [((1,), {})]


# ------------------------------------------------------------------------------------------------------- names and places


def test_a_job_has_the_id_that_it_is_given(scheduler):
    assert scheduler.add_job(work, "interval", minutes=1, id="mine").id == "mine"
    assert scheduler.get_job("mine") is not None


def test_without_an_id_each_job_has_another(scheduler):
    assert len({scheduler.add_job(work, "interval", minutes=1).id for _ in range(3)}) == 3


def test_a_job_has_the_name_that_it_is_given(scheduler):
    assert scheduler.add_job(work, name="nightly").name == "nightly"


def test_without_a_name_a_job_has_that_of_its_callable(scheduler):
    assert scheduler.add_job(work).name == "work"


def two_stores():
    scheduler = ManualScheduler(jobstores={"default": MemoryJobStore(), "other": MemoryJobStore()})
    scheduler.start()
    return scheduler


def test_a_job_is_kept_by_the_store_that_it_is_given_to():
    scheduler = two_stores()
    scheduler.add_job(work, "interval", minutes=1, id="j", jobstore="other")
    assert scheduler.get_job("j", "other") is not None
    assert scheduler.get_job("j", "default") is None


def test_without_a_store_a_job_is_kept_by_the_usual_one():
    scheduler = two_stores()
    scheduler.add_job(work, "interval", minutes=1, id="j")
    assert scheduler.get_job("j", "other") is None
    assert scheduler.get_job("j", "default") is not None


def two_executors():
    gates = {"default": Gate(), "other": Gate()}
    scheduler = ManualScheduler(executors=gates)
    scheduler.start()
    return scheduler, gates


def test_a_job_is_run_by_the_executor_that_it_is_given_to():
    scheduler, gates = two_executors()
    scheduler.add_job(work, executor="other")
    scheduler.run_pending()
    assert (gates["default"].under_way, gates["other"].under_way) == (0, 1)


def test_without_an_executor_a_job_is_run_by_the_usual_one():
    scheduler, gates = two_executors()
    scheduler.add_job(work)
    scheduler.run_pending()
    assert (gates["default"].under_way, gates["other"].under_way) == (1, 0)


def test_a_job_replaces_another_of_its_id(scheduler):
    scheduler.add_job(work, "interval", minutes=1, id="j", name="first")
    scheduler.add_job(work, "interval", minutes=1, id="j", name="second", replace_existing=True)
    assert [job.name for job in scheduler.get_jobs()] == ["second"]


def test_a_job_that_may_not_replace_another_is_refused(scheduler):
    scheduler.add_job(work, "interval", minutes=1, id="j", name="first")
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(work, "interval", minutes=1, id="j", name="second")
    assert [job.name for job in scheduler.get_jobs()] == ["first"]


@pytest.fixture
def database(tmp_path):
    sqlalchemy = need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path / 'jobs'}"
    scheduler = ManualScheduler(jobstores={"default": url})
    scheduler.start()
    engine = sqlalchemy.create_engine(url)
    yield scheduler, engine
    engine.dispose()
    scheduler.shutdown()


@pytest.mark.parametrize("commits", [True, False])
def test_a_job_in_a_transaction_is_there_exactly_if_that_is_committed(database, commits):
    scheduler, engine = database
    with engine.connect() as connection:
        scheduler.add_job("json:dumps", "interval", args=[1], hours=1, id="j", connection=connection)
        if commits:
            connection.commit()
        else:
            connection.rollback()
    assert (scheduler.get_job("j") is not None) is commits


def test_without_a_transaction_a_job_is_there_at_once(database):
    scheduler, _ = database
    scheduler.add_job("json:dumps", "interval", args=[1], hours=1, id="j")
    assert scheduler.get_job("j") is not None


# --------------------------------------------------------------------------------------------------------------- when


def test_a_job_runs_when_its_trigger_says_so(scheduler):
    scheduler.add_job(work, "interval", minutes=1)
    scheduler.advance(minutes=3)
    assert len(calls) == 3


def test_without_a_trigger_a_job_runs_once_and_now(scheduler):
    scheduler.add_job(work)
    scheduler.run_pending()
    scheduler.advance(minutes=3)
    assert len(calls) == 1


def test_the_trigger_has_the_arguments_that_it_is_given(scheduler):
    scheduler.add_job(work, "interval", seconds=20)
    scheduler.advance(minutes=1)
    assert len(calls) == 3


def test_without_arguments_the_trigger_has_its_own(scheduler):
    scheduler.add_job(work, "date")  # now
    scheduler.run_pending()
    scheduler.advance(minutes=1)
    assert len(calls) == 1


def test_the_first_run_is_when_it_is_set(scheduler):
    first = scheduler.clock.datetime() + timedelta(seconds=5)
    job = scheduler.add_job(work, "interval", minutes=1, next_run_time=first)
    assert job.next_run_time == first
    scheduler.advance(5)
    assert len(calls) == 1


def test_a_job_without_a_first_run_is_paused(scheduler):
    job = scheduler.add_job(work, "interval", minutes=1, next_run_time=None)
    assert (job.state, job.next_run_time) == ("paused", None)
    scheduler.advance(minutes=5)
    assert calls == []


def test_where_no_first_run_is_set_it_is_the_trigger_s(scheduler):
    job = scheduler.add_job(work, "interval", minutes=1)
    assert job.next_run_time == scheduler.clock.datetime() + timedelta(minutes=1)


# ------------------------------------------------------------------------------------------------------ late and often


def test_a_run_that_is_later_than_its_grace_time_is_missed(scheduler):
    assert minutely(scheduler, 66, misfire_grace_time=5) == [("missed", "too late", 1)]


@pytest.mark.parametrize("options", [{}, {"misfire_grace_time": None}, {"misfire_grace_time": 6}], ids=str)
def test_a_run_within_its_grace_time_runs(scheduler, options):
    assert minutely(scheduler, 66, **options) == [("succeeded", None, 1)]


@pytest.mark.parametrize("options", [{}, {"coalesce": True}], ids=str)
def test_of_several_owed_times_one_runs(scheduler, options):
    assert minutely(scheduler, 180, **options) == [("skipped", "coalesced", 2), ("succeeded", None, 1)]


def test_several_owed_times_run_each_where_they_are_not_to_be_one(scheduler):
    assert minutely(scheduler, 180, coalesce=False) == [("succeeded", None, 1)] * 3


def test_one_owed_time_runs_once_whether_several_would_be_one_or_not(scheduler):
    assert minutely(scheduler, 119, coalesce=True) == [("succeeded", None, 1)]


@pytest.mark.parametrize(
    ("options", "most"), [({}, 1), ({"max_instances": 1}, 1), ({"max_instances": 3}, 3)], ids=str
)
def test_so_many_runs_are_under_way_and_what_comes_then_is_skipped(options, most):
    scheduler, gates = two_executors()
    scheduler.add_job(work, "interval", minutes=1, id="j", **options)
    scheduler.advance(minutes=most)
    assert [status for status, _, _ in outcomes(scheduler, "j")] == ["claimed"] * most
    scheduler.advance(minutes=1)
    assert gates["default"].under_way == most
    assert ("skipped", "max_instances", 1) in outcomes(scheduler, "j")


def test_what_comes_while_fewer_runs_are_under_way_runs():
    scheduler, gates = two_executors()
    scheduler.add_job(work, "interval", minutes=1, id="j", max_instances=3)
    scheduler.advance(minutes=2)
    assert gates["default"].under_way == 2
    assert {status for status, _, _ in outcomes(scheduler, "j")} == {"claimed"}


def waiting(scheduler, seconds, **options):
    """Return whether a run of a job with some options has expired when it has waited for so many seconds."""
    job = scheduler.add_job(work, "interval", minutes=1, **options)
    return is_expired(
        Run(job.id, job.next_nominal, job.next_due, job), job.next_due + round(seconds * SECOND)
    )


def test_a_run_that_has_waited_too_long_has_expired(scheduler):
    assert waiting(scheduler, 5.000001, expires=5)


@pytest.mark.parametrize("options", [{}, {"expires": None}, {"expires": 5}], ids=str)
def test_a_run_that_has_not_waited_too_long_has_not_expired(scheduler, options):
    assert not waiting(scheduler, 5, **options)


def test_the_executor_starts_no_run_that_has_expired_and_all_others(scheduler):
    async def slow():
        from asyncio import sleep

        await sleep(120)

    for name, expires in (("patient", 1000), ("impatient", 150)):
        scheduler.add_job(slow, "interval", minutes=1, coalesce=False, expires=expires, id=name)
    scheduler.clock.advance(minutes=3)
    scheduler.advance(minutes=6)
    assert ("missed", "expired", 1) in outcomes(scheduler, "impatient")
    assert ("missed", "expired", 1) not in outcomes(scheduler, "patient")


# -------------------------------------------------------------------------------------------------------- dead nodes


def after_the_death_of_its_node(scheduler, attempt=1, **options):
    """Return what becomes of a run that a dead node has claimed: status, reason and attempt."""
    job = scheduler.add_job(work, "interval", minutes=1, id="j", **options)
    run = Run("j", job.next_nominal, job.next_due, job)
    run.owner, run.attempt = "dead", attempt
    (run,) = sorted_out([run], job)
    return run.status, run.reason, run.attempt


def test_a_lost_run_is_recorded_as_lost_where_it_is_not_to_be_run_again(scheduler):
    assert after_the_death_of_its_node(scheduler, on_lost="lost") == (LOST, "node dead is gone", 1)


@pytest.mark.parametrize("options", [{}, {"on_lost": "rerun"}], ids=str)
def test_a_lost_run_is_run_again(scheduler, options):
    assert after_the_death_of_its_node(scheduler, **options) == (CLAIMED, None, 2)


@pytest.mark.parametrize(
    ("attempt", "options"), [(3, {}), (2, {"max_attempts": 2}), (1, {"max_attempts": 1})], ids=str
)
def test_a_lost_run_is_not_tried_more_often_than_it_may_be(scheduler, attempt, options):
    status, reason, tried = after_the_death_of_its_node(scheduler, attempt, **options)
    assert (status, tried) == (LOST, attempt)
    assert f"tried {attempt} times" in reason


@pytest.mark.parametrize(
    ("attempt", "options"), [(2, {}), (1, {"max_attempts": 2}), (8, {"max_attempts": 9})], ids=str
)
def test_a_lost_run_is_tried_as_often_as_it_may_be(scheduler, attempt, options):
    assert after_the_death_of_its_node(scheduler, attempt, **options) == (CLAIMED, None, attempt + 1)


# --------------------------------------------------------------------------------------------------- who is told


def fail():
    raise ValueError("boom")


def test_a_run_that_has_failed_is_told(scheduler):
    scheduler.add_job(fail, id="j", on_failure=work)
    scheduler.run_pending()
    [((run,), _)] = calls
    assert (run.job_id, run.status, run.error) == ("j", "failed", "boom")


def test_a_run_that_has_succeeded_is_not_told(scheduler):
    scheduler.add_job(int, id="j", on_failure=work)
    scheduler.run_pending()
    assert outcomes(scheduler, "j")
    assert calls == []


def log_something():
    logging.getLogger("tests.options").warning("hello")


def test_the_log_of_a_run_is_kept(scheduler):
    scheduler.add_job(log_something, id="j", keep_log=100)
    scheduler.run_pending()
    (run,) = scheduler.get_runs("j")
    assert scheduler.get_run("j", run.scheduled_run_time).log.endswith("hello\n")


def test_no_log_is_kept(scheduler):
    scheduler.add_job(log_something, id="j")
    scheduler.run_pending()
    (run,) = scheduler.get_runs("j")
    assert scheduler.get_run("j", run.scheduled_run_time).log is None


def test_a_job_is_found_by_its_tags_and_carries_its_metadata(scheduler):
    scheduler.add_job(int, "interval", hours=1, id="j", tags=["red"], metadata={"owner": "Ann"})
    assert [job.id for job in scheduler.find_jobs(tags="red").items] == ["j"]
    assert scheduler.get_job("j").metadata == {"owner": "Ann"}


def test_a_job_without_tags_is_found_by_none_and_carries_nothing(scheduler):
    scheduler.add_job(int, "interval", hours=1, id="j")
    assert scheduler.find_jobs(tags="red").items == []
    assert (scheduler.get_job("j").tags, scheduler.get_job("j").metadata) == ((), {})


# ------------------------------------------------------------------------------------------------------ limits of time


async def sleep_long():
    from asyncio import sleep

    await sleep(3600)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"timeout": 60}, "timeout"), ({"heartbeat_timeout": timedelta(minutes=1)}, "no heartbeat")],
    ids=str,
)
def test_a_run_ends_when_its_time_is_over(scheduler, options, reason):
    scheduler.add_job(sleep_long, id="j", **options)
    scheduler.advance(59)
    assert outcomes(scheduler, "j") == [("claimed", None, 1)]
    scheduler.advance(1)
    assert outcomes(scheduler, "j") == [("timed_out", reason, 1)]


@pytest.mark.parametrize(
    "options", [{}, {"timeout": None, "heartbeat_timeout": None}, {"timeout": 3601}], ids=str
)
def test_a_run_whose_time_is_not_over_goes_on(scheduler, options):
    scheduler.add_job(sleep_long, id="j", **options)
    scheduler.advance(3600)
    assert outcomes(scheduler, "j") == [("succeeded", None, 1)]


# --------------------------------------------------------------------------------------------------------- the table


#: for each option the test in which it acts, and the one in which it does not
def fail_first():
    calls.append(())
    if len(calls) == 1:
        raise ConnectionError


def test_a_run_that_has_failed_is_tried_again_where_it_is_to_be(scheduler):
    scheduler.add_job(fail_first, id="j", retry=True)
    scheduler.advance(minutes=1)
    assert (outcomes(scheduler, "j"), len(calls)) == ([("succeeded", None, 1)], 2)


def test_a_run_that_has_failed_is_not_tried_again_where_it_is_not_to_be(scheduler):
    scheduler.add_job(fail_first, id="j")
    scheduler.advance(minutes=1)
    assert (outcomes(scheduler, "j"), len(calls)) == ([("failed", None, 1)], 1)


def test_a_time_that_finds_no_place_waits_for_one_where_it_is_to():
    scheduler, gates = two_executors()
    scheduler.add_job(work, "interval", minutes=1, id="j", overlap="buffer_one")
    scheduler.advance(minutes=2)
    assert outcomes(scheduler, "j") == [("claimed", None, 1)]
    gates["default"].release()
    scheduler.run_pending()
    assert sorted(status for status, _, _ in outcomes(scheduler, "j")) == ["claimed", "succeeded"]


def test_a_time_that_finds_no_place_is_skipped_where_nothing_is_said():
    scheduler, _ = two_executors()
    scheduler.add_job(work, "interval", minutes=1, id="j")
    scheduler.advance(minutes=2)
    assert ("skipped", "max_instances", 1) in outcomes(scheduler, "j")


def test_a_job_is_paused_after_as_many_failures_as_it_may_have(scheduler):
    scheduler.add_job(fail, "interval", minutes=1, id="j", pause_on_failure=2)
    scheduler.advance(minutes=5)
    assert [status for status, *_ in outcomes(scheduler, "j")] == ["failed", "failed"]
    assert scheduler.get_job("j").state == "paused"


def test_a_job_goes_on_after_its_failures_where_it_is_not_to_be_paused(scheduler):
    scheduler.add_job(fail, "interval", minutes=1, id="j")
    scheduler.advance(minutes=5)
    assert [status for status, *_ in outcomes(scheduler, "j")] == ["failed"] * 5


OPTIONS = {
    "overlap": (
        test_a_time_that_finds_no_place_waits_for_one_where_it_is_to,
        test_a_time_that_finds_no_place_is_skipped_where_nothing_is_said,
    ),
    "tags": (
        test_a_job_is_found_by_its_tags_and_carries_its_metadata,
        test_a_job_without_tags_is_found_by_none_and_carries_nothing,
    ),
    "metadata": (
        test_a_job_is_found_by_its_tags_and_carries_its_metadata,
        test_a_job_without_tags_is_found_by_none_and_carries_nothing,
    ),
    "func": (test_the_callable_is_called, test_the_callable_is_not_called_before_it_is_time),
    "trigger": (test_a_job_runs_when_its_trigger_says_so, test_without_a_trigger_a_job_runs_once_and_now),
    "args": (test_the_callable_gets_its_arguments, test_without_arguments_the_callable_gets_none),
    "kwargs": (
        test_the_callable_gets_its_keyword_arguments,
        test_without_keyword_arguments_the_callable_gets_none,
    ),
    "id": (test_a_job_has_the_id_that_it_is_given, test_without_an_id_each_job_has_another),
    "name": (test_a_job_has_the_name_that_it_is_given, test_without_a_name_a_job_has_that_of_its_callable),
    "misfire_grace_time": (
        test_a_run_that_is_later_than_its_grace_time_is_missed,
        test_a_run_within_its_grace_time_runs,
    ),
    "coalesce": (
        test_of_several_owed_times_one_runs,
        test_several_owed_times_run_each_where_they_are_not_to_be_one,
    ),
    "max_instances": (
        test_so_many_runs_are_under_way_and_what_comes_then_is_skipped,
        test_what_comes_while_fewer_runs_are_under_way_runs,
    ),
    "next_run_time": (
        test_the_first_run_is_when_it_is_set,
        test_where_no_first_run_is_set_it_is_the_trigger_s,
    ),
    "jobstore": (
        test_a_job_is_kept_by_the_store_that_it_is_given_to,
        test_without_a_store_a_job_is_kept_by_the_usual_one,
    ),
    "executor": (
        test_a_job_is_run_by_the_executor_that_it_is_given_to,
        test_without_an_executor_a_job_is_run_by_the_usual_one,
    ),
    "replace_existing": (
        test_a_job_replaces_another_of_its_id,
        test_a_job_that_may_not_replace_another_is_refused,
    ),
    "expires": (
        test_a_run_that_has_waited_too_long_has_expired,
        test_a_run_that_has_not_waited_too_long_has_not_expired,
    ),
    "on_lost": (
        test_a_lost_run_is_recorded_as_lost_where_it_is_not_to_be_run_again,
        test_a_lost_run_is_run_again,
    ),
    "max_attempts": (
        test_a_lost_run_is_not_tried_more_often_than_it_may_be,
        test_a_lost_run_is_tried_as_often_as_it_may_be,
    ),
    "retry": (
        test_a_run_that_has_failed_is_tried_again_where_it_is_to_be,
        test_a_run_that_has_failed_is_not_tried_again_where_it_is_not_to_be,
    ),
    "pause_on_failure": (
        test_a_job_is_paused_after_as_many_failures_as_it_may_have,
        test_a_job_goes_on_after_its_failures_where_it_is_not_to_be_paused,
    ),
    "on_failure": (
        test_a_run_that_has_failed_is_told,
        test_a_run_that_has_succeeded_is_not_told,
    ),
    "timeout": (test_a_run_ends_when_its_time_is_over, test_a_run_whose_time_is_not_over_goes_on),
    "heartbeat_timeout": (
        test_a_run_ends_when_its_time_is_over,
        test_a_run_whose_time_is_not_over_goes_on,
    ),
    "keep_log": (test_the_log_of_a_run_is_kept, test_no_log_is_kept),
    "connection": (
        test_a_job_in_a_transaction_is_there_exactly_if_that_is_committed,
        test_without_a_transaction_a_job_is_there_at_once,
    ),
    "trigger_args": (
        test_the_trigger_has_the_arguments_that_it_is_given,
        test_without_arguments_the_trigger_has_its_own,
    ),
}


def test_each_option_has_a_test_in_which_it_acts_and_one_in_which_it_does_not():
    assert set(OPTIONS) == set(inspect.signature(BaseScheduler.add_job).parameters) - {"self"}
    here = [value for name, value in globals().items() if name.startswith("test_")]
    assert all(acts in here and rests in here and acts is not rests for acts, rests in OPTIONS.values())
