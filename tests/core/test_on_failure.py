"""What a job wants to be called with a run that has failed for good: refused, stored, called."""

from __future__ import annotations

import logging
import threading

import pytest

from rota import BackgroundScheduler, ProcessPoolExecutor
from rota.clock import SECOND
from rota.codec.jobs import JobFormat
from rota.core.plan import plan
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.errors import (
    CallableLookupError,
    CallableNotAllowedError,
    CallableReferenceError,
    JobTypeError,
    TransientJobError,
)
from rota.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_ON_FAILURE_ERROR,
    EVENT_JOB_STARTED,
    JobOnFailureErrorEvent,
)
from rota.executors.steps import current_run
from rota.testing.contracts import middleware_jobs
from rota.testing.manual import ManualScheduler
from tests.needs import need
from tests.present import present

told = []


@pytest.fixture(autouse=True)
def _nothing_told():
    told.clear()


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def tell(run):
    told.append(run)


async def tell_async(run):
    told.append(run)


def tell_by_file(run):
    with open(run.error, "a", encoding="utf-8") as file:
        file.write(f"{run.job_id} {run.status} {run.error_type}\n")


def broken(run):
    raise KeyError("nobody is there")


def no_argument(): ...


def fail(text="boom"):
    raise ValueError(text)


class Owner:
    def tell(self, run):
        told.append((self, run))


# --------------------------------------------------------------------------------------------------- what is refused


def generator(run):
    yield


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "on_failure must be a function of one argument, the run, or a textual reference to one, got 5"),
        ([tell], "on_failure must be a function of one argument"),
        (no_argument, "on_failure must take one argument, the run"),
        ("tests.core.test_on_failure:no_argument", "on_failure must take one argument, the run"),
        ("tests.core.test_on_failure:told", "on_failure must be a function of one argument"),
        (generator, "on_failure must do its work when it is called, got the generator function"),
    ],
    ids=["number", "list", "no argument", "reference to no argument", "reference to a list", "generator"],
)
def test_what_cannot_be_called_with_a_run_is_refused_at_the_door(scheduler, given, words):
    job = scheduler.add_job(fail, "interval", hours=1, id="j")
    for attempt in (
        lambda: scheduler.add_job(fail, id="k", on_failure=given),
        lambda: job.modify(on_failure=given),
    ):
        with pytest.raises(JobTypeError, match=r"^on_failure must ") as caught:
            attempt()
        assert words in str(caught.value)
    assert [job.id for job in scheduler.get_jobs()] == ["j"]
    assert scheduler.get_job("j").policy is DEFAULT_POLICY


@pytest.mark.parametrize(
    ("given", "error"), [("nowhere", CallableReferenceError), ("no.such.module:tell", CallableLookupError)]
)
def test_a_reference_that_leads_nowhere_is_refused_at_the_door(scheduler, given, error):
    with pytest.raises(error):
        scheduler.add_job(fail, on_failure=given)
    assert scheduler.get_jobs() == []


# --------------------------------------------------------------------------------------------------- what is stored


def test_a_job_that_does_not_use_it_is_stored_as_before(scheduler):
    job = scheduler.add_job(fail, "interval", hours=1)
    assert JobFormat().texts(job)[4] == "{}"
    assert JobFormat().texts(job.modify(max_instances=2))[4] == '{"max_instances":2}'


def test_what_is_called_is_stored_as_its_reference_and_looked_up_when_it_is_called(scheduler):
    job = scheduler.add_job(fail, "interval", hours=1, on_failure=tell)
    texts = JobFormat().texts(job)
    assert texts[4] == '{"on_failure":"tests.core.test_on_failure:tell"}'
    restored = job.copy()
    JobFormat().restore(restored, *texts[:4], '{"on_failure":"no.such.module:tell"}')
    assert (restored.state, restored.policy.on_failure) == ("active", "no.such.module:tell")


@pytest.mark.parametrize("options", ['{"on_failure":5}', '{"on_failure":["a:b"]}'])
def test_a_job_whose_stored_reference_is_no_text_is_quarantined(scheduler, options):
    job = scheduler.add_job(fail, "interval", hours=1)
    restored = job.copy()
    JobFormat().restore(restored, *JobFormat().texts(job)[:4], options)
    assert restored.state == "quarantined"
    assert "on_failure must be stored as a textual reference" in restored.error


@pytest.mark.parametrize("handler", [lambda run: None, Owner().tell], ids=["lambda", "method"])
def test_what_has_no_name_of_its_own_is_kept_by_the_memory_store_only(scheduler, handler):
    job = scheduler.add_job(fail, "interval", hours=1, on_failure=handler)
    with pytest.raises(TransientJobError, match=r"a reference to .* could not be determined"):
        JobFormat().texts(job)


def test_it_is_an_option_like_the_others(scheduler, tmp_path):
    scheduler.add_job(fail, "interval", hours=1, id="j", on_failure=tell)
    scheduler.export_jobs(tmp_path / "jobs.json")
    scheduler.remove_all_jobs()
    scheduler.import_jobs(tmp_path / "jobs.json")
    assert scheduler.get_job("j").policy is with_options(DEFAULT_POLICY, {"on_failure": tell})
    assert scheduler.modify_job("j", on_failure=None).policy == DEFAULT_POLICY


@pytest.mark.parametrize(
    "given", [tell, "tests.core.test_on_failure:tell", " tests.core.test_on_failure:tell "]
)
def test_it_can_be_the_default_of_all_jobs(given):
    scheduler = ManualScheduler(job_defaults={"on_failure": given})
    scheduler.start()
    scheduler.add_job(fail, id="j")
    scheduler.add_job(fail, id="not", on_failure=None)
    scheduler.advance(seconds=1)
    assert [run.job_id for run in told] == ["j"]
    scheduler.shutdown()


# --------------------------------------------------------------------------------------------------- who is trusted


def test_what_the_list_does_not_allow_is_refused_before_it_is_imported(tmp_path):
    need("sqlalchemy", "sql")
    scheduler = ManualScheduler(
        jobstores={"default": f"sqlite:///{tmp_path}/jobs.db"},
        allowed_callables=["tests.core.test_on_failure:fail", "tests.core.test_on_failure:tell"],
    )
    scheduler.start()
    for handler in ("subprocess:run", broken, "no.such.module:tell"):
        with pytest.raises(CallableNotAllowedError):
            scheduler.add_job(fail, "interval", hours=1, on_failure=handler)
    job = scheduler.add_job(fail, "interval", hours=1, id="j", on_failure=tell)
    with pytest.raises(CallableNotAllowedError):
        job.modify(on_failure="subprocess:run")
    assert present(scheduler.get_job("j")).policy.on_failure == "tests.core.test_on_failure:tell"
    scheduler.shutdown()
    with ManualScheduler(
        jobstores={"default": f"sqlite:///{tmp_path}/jobs.db"},
        allowed_callables=["tests.core.test_on_failure:fail"],
    ) as stricter:
        assert present(stricter.get_job("j")).state == "quarantined"


def test_the_signature_of_a_job_covers_it(scheduler):
    signing = JobFormat(signing_key="0123456789abcdef")
    job = scheduler.add_job(fail, "interval", hours=1, on_failure=tell)
    reference, trigger, args, kwargs, options = signing.texts(job)
    restored = job.copy()
    signing.restore(restored, reference, trigger, args, kwargs, options)
    assert restored.state == "active"
    signing.restore(restored, reference, trigger, args, kwargs, options.replace(":tell", ":broken"))
    assert (restored.state, "not trusted" in restored.error) == ("quarantined", True)


# --------------------------------------------------------------------------------------------------- who is called


@pytest.mark.parametrize("handler", [tell, tell_async, told.append, "tests.core.test_on_failure:tell"])
def test_it_is_called_once_with_the_record_of_a_run_that_has_failed(scheduler, handler):
    job = scheduler.add_job(fail, "interval", hours=1, id="j", name="nightly", on_failure=handler)
    first = job.next_run_time
    scheduler.advance(hours=1, minutes=5)
    (run,) = told
    assert (run.job_id, run.name, run.status, run.error_type, run.error) == (
        "j",
        "nightly",
        "failed",
        "ValueError",
        "boom",
    )
    assert run.scheduled_run_time == first
    assert "in fail" in run.traceback
    assert run.func == "tests.core.test_on_failure:fail"
    assert [run.status for run in scheduler.get_runs()] == ["failed"]


def test_a_run_that_succeeds_is_missed_or_is_cancelled_is_no_failure(scheduler):
    scheduler.add_job(int, id="succeeds", on_failure=tell)
    scheduler.add_job(fail, "interval", minutes=1, id="missed", on_failure=tell, misfire_grace_time=1)
    scheduler.clock.advance(90)
    scheduler.run_pending()
    assert {run.status for run in scheduler.get_runs()} == {"succeeded", "missed"}
    assert told == []


def test_it_is_a_call_like_others_within_middleware_and_with_a_current_run_but_no_run_of_the_ledger(
    scheduler,
):
    def handler(run):
        told.append((middleware_jobs.look(), present(current_run().job).name, current_run().reason))

    events = []
    scheduler.add_listener(
        lambda event: events.append(event.code), EVENT_JOB_STARTED | EVENT_JOB_EXECUTED | EVENT_JOB_ERROR
    )
    scheduler.add_middleware(middleware_jobs.outer)
    scheduler.add_job(fail, id="j", name="nightly", on_failure=handler)
    scheduler.advance(seconds=1)
    assert told == [("outer of j", "on_failure of nightly", "on_failure")]
    assert events == [EVENT_JOB_STARTED, EVENT_JOB_ERROR]
    assert len(scheduler.get_runs()) == 1


def test_each_of_several_runs_is_told(scheduler):
    scheduler.add_job(fail, "interval", minutes=1, id="j", on_failure=tell, coalesce=False)
    scheduler.clock.advance(185)
    scheduler.run_pending()
    assert len({run.nominal for run in told}) == len(told) == 3


@pytest.mark.thorough
def test_it_is_called_in_the_executor_of_the_job(tmp_path):
    path = tmp_path / "told.txt"
    ended = threading.Event()
    with BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)}) as scheduler:
        scheduler.add_listener(lambda event: ended.set(), EVENT_JOB_ERROR)
        scheduler.add_job(fail, args=[str(path)], id="j", on_failure=tell_by_file)
        assert ended.wait(20)
    assert path.read_text() == "j failed ValueError\n"  # the shutdown has waited for it


@pytest.mark.thorough
def test_the_node_that_records_the_run_of_a_dead_one_as_lost_calls_it(tmp_path):
    need("sqlalchemy", "sql")
    scheduler = ManualScheduler(jobstores={"default": f"sqlite:///{tmp_path}/jobs.db"}, lease=15)
    scheduler.start()
    job = scheduler.add_job(fail, "interval", minutes=1, id="j", on_lost="lost", on_failure=tell)
    store = scheduler._jobstores["default"]
    scheduler.clock.advance(61)
    store.renew("dead", store.now(), 5 * SECOND)
    assert store.claim([plan(present(scheduler.get_job("j")), store.now())], "dead", store.now())
    scheduler.advance(seconds=40)
    (run,) = told
    assert (run.job_id, run.status, run.name) == ("j", "lost", job.name)
    scheduler.shutdown()


# --------------------------------------------------------------------------------------------------- its own failures


def test_its_own_failure_is_logged_and_told_and_hurts_nothing(scheduler, caplog):
    events = []
    scheduler.add_listener(events.append, JobOnFailureErrorEvent)
    scheduler.add_job(fail, "interval", minutes=1, id="j", on_failure=broken)
    scheduler.advance(minutes=2)
    assert [run.status for run in scheduler.get_runs("j")] == ["failed", "failed"]
    assert [(event.code, event.job_id, event.jobstore) for event in events] == [
        (EVENT_JOB_ON_FAILURE_ERROR, "j", "default")
    ] * 2
    assert events[0].reason == "KeyError: 'nobody is there'"
    assert isinstance(events[0].exception, KeyError)
    assert events[0].run.error == "boom"
    assert 'The on_failure of job "fail" has failed: KeyError' in caplog.text
    assert any(record.levelno == logging.ERROR for record in caplog.records)


def test_what_cannot_be_found_any_more_is_told(scheduler):
    events = []
    scheduler.add_listener(events.append, JobOnFailureErrorEvent)
    job = scheduler.add_job(fail, "interval", minutes=1, id="j", on_failure=tell)
    restored = job.copy()
    JobFormat().restore(restored, *JobFormat().texts(job)[:4], '{"on_failure":"no.such.module:tell"}')
    job.policy = restored.policy
    scheduler.advance(minutes=1)
    assert [run.status for run in scheduler.get_runs("j")] == ["failed"]
    assert "no.such.module" in events[0].reason


def test_what_waits_for_an_executor_that_is_gone_is_told(scheduler):
    events = []

    def leave():
        scheduler._executors.pop("default")
        fail()

    scheduler.add_listener(events.append, JobOnFailureErrorEvent)
    scheduler.add_job(leave, id="j", on_failure=tell)
    executor = scheduler._executors["default"]
    scheduler.advance(seconds=1)
    scheduler._executors["default"] = executor
    assert told == []
    assert [event.reason for event in events] == ["KeyError: 'default'"]
