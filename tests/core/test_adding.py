"""Many jobs at once, store URLs, and schedulers that only add jobs for others to run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rota.errors import (
    ConfigurationError,
    ConflictingIdError,
    InvalidJobError,
    OptionTypeError,
    UnknownAliasError,
)
from rota.events import EVENT_JOB_ADDED
from rota.jobstores.memory import MemoryJobStore
from rota.masking import without_secrets
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler, VirtualClock
from tests.present import present

if TYPE_CHECKING:
    from pathlib import Path


def task(*args: Any) -> None:
    """Do nothing."""


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=pytest.mark.thorough)])
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    stores = {} if request.param == "memory" else {"default": f"sqlite:///{tmp_path / 'jobs'}"}
    scheduler = ManualScheduler(clock=VirtualClock(), jobstores=stores)
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def ids(scheduler: Any) -> list[str]:
    return sorted(job.id for job in scheduler.get_jobs())


# ------------------------------------------------------------------------------------------------------ many at once


def test_many_jobs_are_added_at_once_and_run(scheduler: ManualScheduler) -> None:
    seen: list[Any] = []
    scheduler.add_listener(seen.append, EVENT_JOB_ADDED)
    jobs = scheduler.add_jobs(
        {"func": task, "trigger": "interval", "seconds": number + 1, "id": f"job{number}", "args": (number,)}
        for number in range(20)
    )
    assert [job.id for job in jobs] == [f"job{number}" for number in range(20)]
    assert ids(scheduler) == sorted(f"job{number}" for number in range(20))
    assert [event.job_id for event in seen] == [f"job{number}" for number in range(20)]
    scheduler.advance(seconds=1)
    assert [run.job_id for run in scheduler.get_runs()] == ["job0"]
    jobs[3].remove()
    assert "job3" not in ids(scheduler)


def test_no_jobs_are_no_error(scheduler: ManualScheduler) -> None:
    assert scheduler.add_jobs([]) == []


def test_ids_that_exist_are_named_and_nothing_is_added(scheduler: ManualScheduler) -> None:
    for id in ("b", "d"):
        scheduler.add_job(task, "interval", hours=1, id=id)
    with pytest.raises(ConflictingIdError, match=r"\(b, d\)") as caught:
        scheduler.add_jobs({"func": task, "trigger": "interval", "hours": 1, "id": id} for id in "abcd")
    assert sorted(caught.value.job_ids) == ["b", "d"]
    assert ids(scheduler) == ["b", "d"]


def test_an_id_that_is_given_twice_is_refused(scheduler: ManualScheduler) -> None:
    with pytest.raises(ConflictingIdError, match=r"\(a\)"):
        scheduler.add_jobs({"func": task, "id": id} for id in "aba")
    assert ids(scheduler) == []


def test_one_job_that_is_wrong_keeps_all_of_them_out(scheduler: ManualScheduler) -> None:
    with pytest.raises(InvalidJobError):
        scheduler.add_jobs([{"func": task, "id": "good"}, {"func": task, "id": "bad", "max_instances": 0}])
    with pytest.raises(UnknownAliasError):
        scheduler.add_jobs([{"func": task, "id": "good"}, {"func": task, "executor": "nowhere"}])
    assert ids(scheduler) == []


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([task], r"jobs\[0\] must be a dictionary"),
        ([{"func": task}, {"id": "a"}], r"jobs\[1\] has no 'func'"),
        ([{"func": task, "jobstore": "default"}], r"'jobstore', which is the same for all"),
    ],
)
def test_what_is_no_job_is_refused(scheduler: ManualScheduler, jobs: list[Any], message: str) -> None:
    with pytest.raises(OptionTypeError, match=message):
        scheduler.add_jobs(jobs)


def test_jobs_are_replaced_and_keep_their_next_run_if_the_trigger_is_the_same(
    scheduler: ManualScheduler,
) -> None:
    for id in "ab":
        scheduler.add_job(task, "interval", minutes=10, id=id)
    first = {job.id: job.next_run_time for job in scheduler.get_jobs()}
    scheduler.advance(minutes=3)
    scheduler.add_jobs(
        [
            {"func": task, "trigger": "interval", "minutes": 10, "id": "a", "name": "new"},
            {"func": task, "trigger": "interval", "minutes": 20, "id": "b"},
            {"func": task, "trigger": "interval", "minutes": 10, "id": "c"},
        ],
        replace_existing=True,
    )
    found = {job.id: job for job in scheduler.get_jobs()}
    assert (found["a"].next_run_time, found["a"].name) == (first["a"], "new")
    assert present(found["b"].next_run_time) > present(first["b"])
    assert sorted(found) == ["a", "b", "c"]


def test_a_job_that_ends_while_it_is_replaced_does_not_get_its_past_back(
    scheduler: ManualScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = scheduler.clock.datetime()
    schedule: dict[str, Any] = {"seconds": 10, "start_date": now, "end_date": now + timedelta(seconds=25)}
    scheduler.add_job(task, "interval", id="job", **schedule)
    scheduler.clock.advance(100)
    store = scheduler._jobstores["default"]
    save = store.save_job

    def save_late(job: Any, version: int) -> bool:
        scheduler.run_pending()  # another node runs the last times
        return save(job, version)

    monkeypatch.setattr(store, "save_job", save_late)
    job = scheduler.add_job(task, "interval", id="job", replace_existing=True, **schedule)
    assert job.next_run_time is None
    scheduler.run_pending()
    assert sum(run.count for run in scheduler.get_runs("job")) == 3


def test_before_the_start_all_jobs_wait_or_none() -> None:
    scheduler = ManualScheduler(clock=VirtualClock())
    scheduler.add_jobs([{"func": task, "id": "a", "trigger": "interval", "hours": 1}])
    with pytest.raises(ConflictingIdError):
        scheduler.add_jobs([{"func": task, "id": "b"}, {"func": task, "id": "a"}])
    assert ids(scheduler) == ["a"]
    scheduler.start()
    assert ids(scheduler) == ["a"]
    scheduler.shutdown()


def test_a_store_without_transactions_says_so() -> None:
    scheduler = ManualScheduler(clock=VirtualClock())
    scheduler.start()
    with pytest.raises(ConfigurationError, match="MemoryJobStore cannot add a job inside a transaction"):
        scheduler.add_job(task, connection=object())
    scheduler.shutdown()


# -------------------------------------------------------------------------------------------------------------- URLs


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["string", "url", "dotted", "method"])
def test_a_store_url_works_wherever_a_store_is_configured(tmp_path: Path, form: str) -> None:
    url = f"sqlite:///{tmp_path / 'jobs'}"
    forms: dict[str, dict[str, Any]] = {
        "string": {"jobstores": {"default": url}},
        "url": {"jobstores": {"default": {"url": url, "tablename": "mine"}}},
        "dotted": {"gconfig": {"rota.jobstores.default": url}},
        "method": {},
    }
    scheduler = BackgroundScheduler(**forms[form])
    if form == "method":
        scheduler.add_jobstore(url, tablename="mine")
    scheduler.start(paused=True)
    scheduler.add_job(task, "interval", hours=1)
    assert type(scheduler._jobstores["default"]).__name__ == "SQLAlchemyJobStore"
    scheduler.shutdown()
    assert (tmp_path / "jobs").exists()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nosuch://user:topsecret@host/x", UnknownAliasError),
        ("postgresql://user:topsecret@host:port/x", ConfigurationError),
        ("sqlite+nosuch://user:topsecret@host/x", ConfigurationError),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        BackgroundScheduler(jobstores={"default": url})
    assert "topsecret" not in str(caught.value)


def test_passwords_in_texts_are_masked() -> None:
    text = "cannot reach redis://:pw@h:1/0 nor postgresql://u:p@ss@h/d?password=x&sslmode=on nor sqlite:///f"
    assert without_secrets(text) == (
        "cannot reach redis://***@h:1/0 nor postgresql://***@h/d?password=***&sslmode=on nor sqlite:///f"
    )


# ------------------------------------------------------------------------------------------- adding for others to run


@pytest.mark.thorough
def test_a_scheduler_that_only_adds_runs_nothing_and_others_do(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path / 'jobs'}", VirtualClock()
    web = ManualScheduler(clock=clock, jobstores={"default": url}, runs_jobs=False)
    web.start()
    web.add_job(task, "interval", seconds=10, id="a")
    web.add_jobs([{"func": task, "id": "elsewhere", "executor": "gpu", "trigger": "interval", "seconds": 10}])
    web.modify_job("a", executor="gpu")
    web.advance(minutes=1)
    assert web.get_runs() == []
    assert (web.health()["overdue"], web.health()["stores"]["default"]["age"]) == ({}, None)
    web.advance(seconds=1)
    health = web.health()
    assert (health["alive"], health["overdue"]) == (True, {"gpu": 2})
    assert health["stores"]["default"]["age"] == 1.0
    worker = ManualScheduler(clock=clock, jobstores={"default": url}, executors={"gpu": {"type": "debug"}})
    worker.start()
    worker.advance(seconds=1)
    assert {run.job_id for run in web.get_runs(status="succeeded")} == {"a", "elsewhere"}
    web.pause()
    web.resume()
    web.advance(minutes=1)
    assert len(web.get_runs(status="succeeded")) == 2
    worker.shutdown()
    web.shutdown()


@pytest.mark.parametrize("stores", [{}, {"default": MemoryJobStore()}])
def test_jobs_for_others_need_a_store_that_others_see(stores: dict[str, Any]) -> None:
    scheduler = BackgroundScheduler(jobstores=stores, runs_jobs=False)
    with pytest.raises(ConfigurationError, match="runs_jobs=False"):
        scheduler.start()
    assert not scheduler.running


# ------------------------------------------------------------------------------------------------------- dates that are past


@pytest.mark.parametrize(
    ("options", "what"), [({}, "it runs at once"), ({"misfire_grace_time": 60}, "it is recorded as missed")]
)
def test_a_date_that_is_past_is_told(
    scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture, options: dict[str, Any], what: str
) -> None:
    caplog.set_level("INFO", "rota.scheduler")
    past = scheduler.clock.datetime() - timedelta(hours=3)
    job = scheduler.add_job(task, "date", run_date=past, id="past", **options)
    (message,) = [record.message for record in caplog.records if "is past" in record.message]
    assert what in message
    assert "give timezone= if another zone was meant" in message
    scheduler.run_pending()
    assert [run.status for run in scheduler.get_runs(job.id)] == ["missed" if options else "succeeded"]


def test_what_is_to_run_now_is_not_told_of_its_past(
    scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rota.scheduler")
    now = scheduler.clock.datetime()
    scheduler.add_job(task)
    scheduler.add_job(task, "date", run_date=now - timedelta(seconds=30), id="just now")
    scheduler.add_job(task, "interval", hours=1, start_date=now - timedelta(days=1), id="phase")
    scheduler.add_job(task, "interval", hours=1, next_run_time=now - timedelta(days=1), id="owed")
    assert "is past" not in caplog.text
