"""The life of a scheduler: pending jobs, start, shutdown, restart, health, export and import, configuration."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import (
    AliasInUseError,
    ConfigurationError,
    ConflictingIdError,
    DeserializationError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
    StoreInUseError,
    TransientJobError,
    UnknownAliasError,
    UnknownOptionError,
)
from rota.executors.debug import DebugExecutor
from rota.executors.pool import ThreadPoolExecutor
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from tests.core.engine_kit import Gate, names, outcomes, started
from tests.present import present

MIDNIGHT = datetime(2029, 1, 1, tzinfo=UTC)


# ------------------------------------------------------------------------------------------------- before the start


def test_jobs_that_are_added_before_the_start_get_the_defaults_of_the_start():
    scheduler = ManualScheduler(job_defaults={"max_instances": 2})
    scheduler.add_job(int, "interval", minutes=1, id="plain")
    scheduler.add_job(int, "interval", minutes=1, id="own", max_instances=5)
    assert [job.pending for job in scheduler.get_jobs()] == [True, True]
    scheduler.configure(job_defaults={"max_instances": 3, "coalesce": False})
    scheduler.start()
    plain, own = present(scheduler.get_job("plain")), present(scheduler.get_job("own"))
    assert (plain.max_instances, plain.coalesce) == (3, False)
    assert (own.max_instances, own.coalesce) == (5, False)
    assert not plain.pending


def test_pending_jobs_can_be_changed_and_removed():
    scheduler = ManualScheduler()
    scheduler.add_job(int, "interval", minutes=1, id="a")
    scheduler.add_job(int, "interval", minutes=1, id="b")
    scheduler.modify_job("a", name="changed")
    scheduler.remove_job("b")
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(int, id="a")
    scheduler.start()
    assert [(job.id, job.name) for job in scheduler.get_jobs()] == [("a", "changed")]


def test_a_job_that_is_added_while_the_start_stores_the_others_is_not_lost_if_one_of_them_is_removed():
    class Busy(MemoryJobStore):
        """While it stores a job, the rest of the program goes on."""

        def add_job(self, job):
            super().add_job(job)
            if job.id == "first":
                scheduler.remove_job("second")
                scheduler.add_job(int, "interval", minutes=1, id="third")

    scheduler = ManualScheduler(jobstores={"default": Busy()})
    for job_id in ("first", "second"):
        scheduler.add_job(int, "interval", minutes=1, id=job_id)
    scheduler.start()
    assert {job.id for job in scheduler.get_jobs()} >= {"first", "third"}


def test_a_store_that_does_not_start_is_closed_again():
    class Foreign(MemoryJobStore):
        closed = False

        def start(self, scheduler, alias):
            raise ConfigurationError("foreign tables")

        def shutdown(self):
            self.closed = True
            raise ConnectionError("not connected")

    store = Foreign()
    scheduler = ManualScheduler(jobstores={"default": store})
    with pytest.raises(ConfigurationError, match="foreign tables"):
        scheduler.start()
    assert store.closed


def test_a_start_that_fails_leaves_the_scheduler_stopped_and_its_jobs_pending():
    class Broken(MemoryJobStore):
        fails = True

        def start(self, scheduler, alias):
            if self.fails:
                raise ConnectionError("nobody there")
            super().start(scheduler, alias)

    store = Broken()
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.add_job(int, id="j")
    with pytest.raises(ConnectionError):
        scheduler.start()
    assert not scheduler.running
    store.fails = False
    scheduler.start()
    scheduler.run_pending()
    assert outcomes(scheduler, "j") == [("succeeded", None, 1)]


def test_a_job_for_a_store_that_does_not_exist_fails_the_start():
    scheduler = ManualScheduler()
    scheduler.add_job(int, jobstore="nowhere")
    with pytest.raises(UnknownAliasError, match="nowhere"):
        scheduler.start()
    assert not scheduler.running


def test_a_store_object_serves_one_scheduler_at_a_time():
    store = MemoryJobStore()
    first = ManualScheduler(jobstores={"default": store})
    first.start()
    second = ManualScheduler(jobstores={"default": store})
    with pytest.raises(StoreInUseError):
        second.start()
    first.shutdown()
    second.start()
    assert second.running


def test_what_needs_a_running_scheduler_says_so():
    scheduler = ManualScheduler()
    for call in (scheduler.pause, scheduler.resume, scheduler.shutdown):
        with pytest.raises(SchedulerNotRunningError, match=r"start\(\)"):
            call()
    scheduler.start()
    for call in (scheduler.start, scheduler.configure):
        with pytest.raises(SchedulerAlreadyRunningError):
            call()


# ------------------------------------------------------------------------------------------------------ shutdown


def test_after_the_shutdown_nothing_is_claimed_and_a_second_one_says_so():
    scheduler, log = started()
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.shutdown()
    scheduler.advance(minutes=5)
    assert scheduler.get_runs() == []
    assert names(log)[-1] == "SCHEDULER_SHUTDOWN"
    with pytest.raises(SchedulerNotRunningError):
        scheduler.shutdown()


def test_a_shutdown_that_does_not_wait_asks_what_is_under_way_to_stop():
    cancelled = []

    class Asked(Gate):
        def cancel(self):
            cancelled.append(len(self.held))
            self.release()

    scheduler, log = started(executors={"default": Asked()})
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.advance(minutes=1)
    scheduler.shutdown(wait=False)
    assert cancelled == [1]
    assert not scheduler.running
    assert names(log).count("SCHEDULER_SHUTDOWN") == 1


def test_a_scheduler_can_be_started_again_and_keeps_executors_and_stores():
    scheduler, _ = started(executors={"default": DebugExecutor()})
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.advance(minutes=1)
    scheduler.shutdown()
    scheduler.start()
    assert scheduler.get_jobs() == []  # the memory store forgets its jobs, as APScheduler's does
    assert len(scheduler.get_runs()) == 1
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.advance(minutes=2)
    assert len(scheduler.get_runs()) == 3


def test_a_listener_may_shut_the_scheduler_down():
    scheduler, log = started()
    scheduler.add_listener(lambda event: scheduler.running and scheduler.shutdown(), 2**12)
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.advance(minutes=3)
    assert not scheduler.running
    assert names(log).count("JOB_EXECUTED") == 1
    assert names(log).count("SCHEDULER_SHUTDOWN") == 1


# --------------------------------------------------------------------------------------------------------- health


def test_health_tells_what_is_going_on():
    gate = Gate(room=1)
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int, "interval", minutes=1, id="a")
    scheduler.add_job(int, "interval", minutes=1, id="b")
    scheduler.advance(minutes=1, seconds=30)
    health = scheduler.health()
    json.dumps(health)
    assert (health["alive"], health["state"]) == (True, "running")
    assert (health["in_flight"], health["overdue"], health["lag"]) == (1, {"default": 1}, 30.0)
    assert health["executors"] == {"default": {"room": 0}}
    assert health["stores"]["default"]["ok"]
    scheduler.shutdown(timeout=0)
    assert scheduler.health()["state"] == "stopped"
    assert not scheduler.health()["alive"]


# ----------------------------------------------------------------------------------------------- export and import


def describe(job):
    return (
        job.id,
        job.name,
        job.func,
        list(job.args),
        dict(job.kwargs),
        str(job.trigger),
        job.next_run_time,
        job.policy,
    )


def test_exported_jobs_come_back_whole_in_another_scheduler(tmp_path):
    first, _ = started()
    first.add_job("json:dumps", "interval", minutes=5, args=[{"a": 1}], id="a", max_instances=3, expires=9)
    first.add_job("json:dumps", "cron", hour=3, kwargs={"obj": MIDNIGHT}, id="b", misfire_grace_time=60)
    first.pause_job(first.add_job("json:dumps", "date", run_date=MIDNIGHT, args=[1], id="c").id)
    first.advance(minutes=1)
    path = tmp_path / "jobs.json"
    first.export_jobs(str(path))
    assert json.loads(path.read_text())["format"] == "rota.jobs"
    second, _ = started()
    second.import_jobs(str(path))
    assert [describe(job) for job in second.get_jobs()] == [describe(job) for job in first.get_jobs()]
    assert second.get_job("c").state == "paused"


def test_an_import_adds_all_jobs_or_none():
    first, _ = started()
    for name in "abc":
        first.add_job("json:dumps", "interval", minutes=5, args=[1], id=name)
    text = io.StringIO()
    first.export_jobs(text)
    second, _ = started()
    second.add_job(int, "interval", minutes=1, id="c")
    with pytest.raises(ConflictingIdError):
        second.import_jobs(io.StringIO(text.getvalue()))
    assert [job.id for job in second.get_jobs()] == ["c"]


@pytest.mark.parametrize("fault", ["an id twice", "an executor that is not there"])
def test_an_import_that_cannot_be_added_whole_adds_nothing(fault):
    first, _ = started()
    for id in ("a", "b"):
        first.add_job(abs, "interval", hours=1, args=[1], id=id)
    out = io.StringIO()
    first.export_jobs(out)
    content = json.loads(out.getvalue())
    last = content["jobs"][-1]
    last.update({"id": "a"} if fault == "an id twice" else {"executor": "elsewhere"})
    second, _ = started()
    with pytest.raises((ConflictingIdError, UnknownAliasError)):
        second.import_jobs(io.StringIO(json.dumps(content)))
    assert second.get_jobs() == []


def test_a_job_that_cannot_be_written_down_fails_the_export_and_leaves_the_file_alone(tmp_path):
    scheduler, _ = started()
    scheduler.add_job(lambda: None, "interval", minutes=1, id="lambda")
    path = tmp_path / "jobs.json"
    path.write_text("precious")
    with pytest.raises(TransientJobError, match="lambda"):
        scheduler.export_jobs(str(path))
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "rota.jobs", "version": 99, "jobs": []}',
        '{"format": "rota.jobs", "version": 1}',
        '{"format": "rota.jobs", "version": 1, "jobs": null}',
        "[" * 100_000,
    ],
    ids=["empty", "a list", "nothing", "a later version", "no jobs", "jobs that are none", "deep"],
)
def test_what_is_no_export_is_refused(text):
    scheduler, _ = started()
    with pytest.raises(DeserializationError):
        scheduler.import_jobs(io.StringIO(text))


def test_a_file_that_is_not_in_utf8_is_refused_as_no_export(tmp_path):
    scheduler, _ = started()
    path = tmp_path / "jobs.json"
    path.write_bytes('{"format": "rota.jobs"}'.encode("utf-16"))
    with pytest.raises(DeserializationError, match="UTF-8"):
        scheduler.import_jobs(path)


# --------------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"job_defualts": {}}, "did you mean 'job_defaults'"),
        ({"job_defaults": {"misfire_grace": 3}}, "did you mean 'misfire_grace_time'"),
        ({"job_defaults": {"id": "x"}}, "add_job"),
    ],
)
def test_an_unknown_option_is_refused_with_a_suggestion(options, words):
    with pytest.raises(UnknownOptionError, match=words):
        ManualScheduler(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lease": 0}, "lease"),
        ({"lease": "soon"}, "soon"),
        ({"jobstore_retry_interval": -1}, "-1"),
        ({"executors": {"default": {"max_workers": 5}}}, "type"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ],
)
def test_a_wrong_value_is_refused_and_named(options, words):
    with pytest.raises(ConfigurationError, match=words):
        ManualScheduler(**options)


@pytest.mark.parametrize("prefix", ["rota", "apscheduler"])
def test_dotted_and_nested_options_say_the_same(prefix):
    dotted = ManualScheduler(
        {
            f"{prefix}.jobstores.second.type": "memory",
            f"{prefix}.executors.slow.type": "threadpool",
            f"{prefix}.executors.slow.max_workers": "3",
            f"{prefix}.job_defaults.coalesce": "false",
            f"{prefix}.job_defaults.max_instances": "4",
            f"{prefix}.job_defaults.misfire_grace_time": "none",
            f"{prefix}.timezone": "Asia/Tokyo",
            "somebody.else": "ignored",
        }
    )
    nested = ManualScheduler(
        {
            prefix: {
                "jobstores": {"second": {"type": "memory"}},
                "executors": {"slow": {"type": "threadpool", "max_workers": 3}},
                "job_defaults": {"coalesce": False, "max_instances": 4},
                "timezone": "Asia/Tokyo",
            }
        }
    )
    for scheduler in (dotted, nested):
        assert list(scheduler._jobstores) == ["second"]
        slow = scheduler._executors["slow"]
        assert isinstance(slow, ThreadPoolExecutor)
        assert slow.max_workers == 3
        assert scheduler._new_jobs.default_policy == nested._new_jobs.default_policy
        assert scheduler._new_jobs.default_policy.coalesce is False
        assert str(scheduler.timezone) == "Asia/Tokyo"


def test_keyword_arguments_win_over_the_configuration():
    scheduler = ManualScheduler({"rota.lease": 10}, lease=20)
    assert scheduler._lifecycle.lease == 20


def test_a_configuration_is_not_changed_by_reading_it():
    executors = {"slow": {"type": "threadpool", "max_workers": 3}}
    ManualScheduler(executors=executors, job_defaults={"coalesce": "yes"})
    assert executors == {"slow": {"type": "threadpool", "max_workers": 3}}


@pytest.mark.parametrize("logger", ["my.logger", logging.getLogger("my.logger")])
def test_a_logger_may_be_given_by_name(logger, caplog):
    scheduler = ManualScheduler(logger=logger)
    with caplog.at_level(logging.INFO):
        scheduler.start()
    assert [record.name for record in caplog.records if "started" in record.message] == ["my.logger"]


def test_an_alias_can_be_taken_once():
    scheduler, log = started()
    with pytest.raises(AliasInUseError):
        scheduler.add_executor("debug")
    with pytest.raises(AliasInUseError):
        scheduler.add_jobstore("memory")
    scheduler.add_executor("debug", "other")
    scheduler.remove_executor("other")
    scheduler.add_jobstore("memory", "other")
    scheduler.remove_jobstore("other")
    assert names(log) == ["EXECUTOR_ADDED", "EXECUTOR_REMOVED", "JOBSTORE_ADDED", "JOBSTORE_REMOVED"]
    with pytest.raises(UnknownAliasError, match="did you mean"):
        scheduler.remove_executor("defualt")


def test_a_job_for_an_unknown_executor_is_refused_at_once():
    scheduler, _ = started()
    with pytest.raises(UnknownAliasError, match="did you mean"):
        scheduler.add_job(int, executor="defualt")
    job = scheduler.add_job(int, "interval", minutes=1)
    with pytest.raises(UnknownAliasError):
        job.modify(executor="nowhere")
    assert job.executor == "default"


def test_the_job_that_add_job_returns_is_live():
    scheduler, _ = started()
    job = scheduler.add_job(int, "interval", minutes=1)
    assert job.next_run_time == MIDNIGHT + timedelta(minutes=1)
    scheduler.advance(minutes=2)
    assert job.next_run_time == MIDNIGHT + timedelta(minutes=3)
    assert job.pause() is job
    assert job.next_run_time is None
    assert job.resume().reschedule("interval", hours=1).next_run_time == MIDNIGHT + timedelta(minutes=62)
    job.remove()
    assert scheduler.get_jobs() == []


def test_a_run_shows_its_times_in_the_zone_of_its_job_and_a_record_in_that_of_the_scheduler():
    from rota.executors.base import current_run

    scheduler, log = started(timezone="Asia/Tokyo")
    seen = []
    scheduler.add_job(
        lambda: seen.append(current_run().scheduled_run_time),
        "cron",
        hour=3,
        timezone="Europe/Berlin",
        id="j",
    )
    scheduler.advance(days=1)
    (event,) = [event for name, event in log if name == "JOB_EXECUTED"]
    (run,) = scheduler.get_runs("j")
    shown = [seen[0], event.scheduled_run_time, event.run.scheduled_run_time, run.scheduled_run_time]
    assert [str(time)[10:] for time in shown[:2]] == [" 03:00:00+01:00"] * 2
    assert str(run.scheduled_run_time)[10:] == " 11:00:00+09:00"
    assert len(set(shown)) == 1


def test_policies_that_are_changed_before_the_start_are_kept():
    scheduler = ManualScheduler(job_defaults={"max_instances": 2})
    job = scheduler.add_job(int, "interval", minutes=1, id="j", coalesce=False)
    job.modify(max_instances=5, name="changed")
    scheduler.modify_job("j", misfire_grace_time=30)
    (batch,) = scheduler.add_jobs([{"func": int, "trigger": "interval", "minutes": 1, "id": "k"}])
    batch.modify(max_instances=2)  # what the default happens to be now
    scheduler.configure(job_defaults={"max_instances": 3})
    job.pause()
    scheduler.start()
    kept = present(scheduler.get_job("j"))
    assert (kept.max_instances, kept.coalesce, kept.misfire_grace_time) == (5, False, 30)
    assert (kept.name, kept.state) == ("changed", "paused")
    assert present(scheduler.get_job("k")).max_instances == 2


def test_pending_jobs_of_one_id_in_two_stores_are_two_jobs():
    scheduler = ManualScheduler(jobstores={"default": MemoryJobStore(), "second": MemoryJobStore()})
    first = scheduler.add_job(int, "interval", minutes=1, id="j", max_instances=2)
    second = scheduler.add_job(int, "interval", minutes=1, id="j", max_instances=3, jobstore="second")
    second.modify(coalesce=False)
    scheduler.modify_job("j", "second", name="second")
    first.modify(name="first")
    with pytest.raises(ConflictingIdError):
        scheduler.add_job(int, id="j", jobstore="second")
    scheduler.start()
    stored = [present(scheduler.get_job("j", alias)) for alias in ("default", "second")]
    assert [(job.name, job.max_instances, job.coalesce) for job in stored] == [
        ("first", 2, True),
        ("second", 3, False),
    ]


def test_a_pending_job_that_is_removed_takes_its_policies_with_it():
    scheduler = ManualScheduler()
    scheduler.add_job(int, "interval", minutes=1, id="j", max_instances=2, jobstore="second")
    scheduler.add_job(int, "interval", minutes=1, id="j", max_instances=3).remove()
    scheduler.add_job(int, "interval", minutes=1, id="j")
    assert [job.max_instances for job in scheduler.get_jobs()] == [2, 1]
    scheduler.remove_all_jobs("second")
    scheduler.start()
    assert [job.max_instances for job in scheduler.get_jobs()] == [1]


def test_a_job_that_comes_while_the_scheduler_is_started_is_stored():
    class Store(MemoryJobStore):
        def check_job(self, job):
            if not scheduler.running:
                scheduler.start()  # as another thread may, between two lines

    scheduler = ManualScheduler(jobstores={"default": Store()})
    job = scheduler.add_job(int, "interval", minutes=1, id="late")
    assert not job.pending
    assert [job.id for job in scheduler.get_jobs()] == ["late"]
    assert not scheduler._pending_jobs


def test_jobs_that_listeners_add_during_the_start_are_stored():
    added = []

    def follow(event):
        if len(added) < 3:
            added.append(event.job_id)
            scheduler.add_job(int, "interval", minutes=1, id=f"follower {len(added)}")

    scheduler = ManualScheduler()
    scheduler.add_listener(follow, 512)
    scheduler.add_job(int, "interval", minutes=1, id="first")
    scheduler.start()
    assert len(added) == 3
    assert len(scheduler.get_jobs()) == 4
    assert not scheduler._pending_jobs


def test_an_executor_that_cannot_be_shut_down_keeps_no_store_open():
    closed = []

    class Stubborn(Gate):
        def cancel(self):
            raise RuntimeError("cannot cancel")

        def shutdown(self, wait=True):
            raise RuntimeError("cannot shut down")

    class Store(MemoryJobStore):
        def shutdown(self):
            closed.append([run.status for run in self.get_runs()])

    gate = Stubborn()
    scheduler, _ = started(executors={"default": gate}, jobstores={"default": Store()})
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.advance(minutes=1)
    gate.release()
    scheduler.shutdown(wait=False)
    assert closed == [["succeeded"]]
    scheduler.start()
