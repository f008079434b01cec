"""What programs replace on job stores, and read of them, is obeyed, or refused at the start with the way out."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from rota.errors import ConfigurationError, DeserializationError
from rota.job import Job
from rota.jobstores.base import BaseJobStore
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from rota.util import datetime_to_utc_timestamp
from tests.needs import need
from tests.present import present


def answer():
    return 42


@pytest.fixture(params=["memory", "file"])
def made(request, tmp_path):
    """Return a function that makes a store of a class that derives from one of ours."""
    if request.param == "memory":
        return lambda *mixins: type("Store", (*mixins, MemoryJobStore), {})()
    return made_in_file(tmp_path)


@pytest.fixture
def durable(tmp_path):
    """The same for a store that restores its jobs."""
    return made_in_file(tmp_path)


def made_in_file(tmp_path):
    need("sqlalchemy", "sql")
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    url = f"sqlite:///{tmp_path}/jobs.sqlite"
    return lambda *mixins: type("Store", (*mixins, SQLAlchemyJobStore), {})(url)


class NothingDue:
    def get_due_jobs(self, now):
        return []

    def get_next_run_time(self):
        return None


def test_a_standby_store_that_has_nothing_due_runs_nothing(made):
    with ManualScheduler(jobstores={"default": made(NothingDue)}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=1, id="a")
        scheduler.advance(seconds=10)
        assert scheduler.get_runs() == []
        assert [job.id for job in scheduler.get_jobs()] == ["a"]


def test_methods_that_are_replaced_on_a_class_of_ours_are_called(made, monkeypatch):
    store = made()
    monkeypatch.setattr(type(store).__mro__[1], "get_due_jobs", NothingDue.get_due_jobs)
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, id="a")
        scheduler.advance(seconds=10)
        assert scheduler.get_runs() == []


class SoftDelete:
    """Keeps what it is to remove."""

    def remove_job(self, job_id):
        self.kept = job_id


def test_a_store_that_keeps_what_it_is_to_remove_keeps_a_job_whose_schedule_is_over(made):
    store = made(SoftDelete)
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, id="a")
        scheduler.advance(seconds=1)
        assert [run.status for run in scheduler.get_runs()] == ["succeeded"]
        assert store.kept == "a"
        assert present(scheduler.get_job("a")).next_run_time is None


class Mirror:
    """Copies each next run time to another place."""

    def __init__(self, *args):
        super().__init__(*args)
        self.mirror = {}

    def add_job(self, job):
        super().add_job(job)
        self.mirror[job.id] = job.next_run_time

    def update_job(self, job):
        super().update_job(job)
        self.mirror[job.id] = job.next_run_time

    def remove_job(self, job_id):
        super().remove_job(job_id)
        del self.mirror[job_id]


def test_a_store_that_mirrors_its_jobs_is_told_of_each_step(made):
    store = made(Mirror)
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_jobs(
            [{"func": answer, "trigger": "interval", "seconds": 5, "id": id} for id in ("a", "b")]
        )
        assert store.mirror.keys() == {"a", "b"}
        scheduler.advance(seconds=12)
        assert store.mirror["a"] == present(scheduler.get_job("a")).next_run_time
        scheduler.pause_job("a")
        assert store.mirror["a"] is None
        scheduler.remove_job("b")
        assert store.mirror.keys() == {"a"}
        assert len(scheduler.get_runs()) == 4


class Failing:
    def update_job(self, job):
        raise OSError("the mirror is away")


def test_an_error_of_a_replaced_method_costs_no_run(made):
    with ManualScheduler(jobstores={"default": made(Failing)}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=5, id="a")
        scheduler.advance(seconds=12)
        assert [run.status for run in scheduler.get_runs()] == ["succeeded", "succeeded"]
        with pytest.raises(OSError, match="away"):
            scheduler.modify_job("a", name="other")


class Listing:
    def get_all_jobs(self):
        return [job for job in super().get_all_jobs() if job.id != "hidden"]

    def lookup_job(self, job_id):
        return None if job_id == "hidden" else super().lookup_job(job_id)


def test_replaced_listings_and_lookups_are_what_the_scheduler_shows(made):
    with ManualScheduler(jobstores={"default": made(Listing)}) as scheduler:
        scheduler.add_job(answer, "interval", hours=1, id="shown")
        scheduler.add_job(answer, "interval", hours=1, id="hidden")
        assert [job.id for job in scheduler.get_jobs()] == ["shown"]
        assert scheduler.get_job("hidden") is None


@pytest.mark.parametrize("name", ["get_due_jobs", "get_all_jobs", "update_job"])
def test_a_method_that_is_replaced_on_a_running_store_is_called_at_once(made, name):
    store, called = made(), []
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=5, id="a")
        original = getattr(store, name)

        def noting(*args):
            called.append(name)
            return original(*args)

        setattr(store, name, noting)
        scheduler.advance(seconds=6)
        scheduler.modify_job("a", name="other")
        assert [job.name for job in scheduler.get_jobs()] == ["other"]
        assert called


class OtherJob(Job):
    """A job class of the program's own."""


class Remade:
    def _reconstitute_job(self, job_state):
        state = pickle.loads(job_state)
        job = OtherJob.__new__(OtherJob)
        job.__setstate__(state)
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job


class Unable:
    def _reconstitute_job(self, job_state):
        raise LookupError("no such bot")


def test_a_program_restores_jobs_of_the_pickled_state_as_a_class_of_its_own(durable):
    store = durable(Remade)
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=5, id="a", max_instances=3)
        job = scheduler.get_job("a")
        assert type(job) is OtherJob
        assert (job.max_instances, job.pending) == (3, False)
        scheduler.advance(seconds=6)
        assert [run.status for run in scheduler.get_runs()] == ["succeeded"]
        job.pause()
        assert present(scheduler.get_job("a")).next_run_time is None


def test_a_job_that_the_program_cannot_restore_is_quarantined_with_its_error(durable):
    store = durable(Unable)
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=5, id="a")
        job = present(scheduler.get_job("a"))
        assert job.state == "quarantined"
        assert "_reconstitute_job() of Store failed: LookupError: no such bot" in present(job.error)
        assert [job.id for job in scheduler.get_jobs()] == ["a"]


class OwnRows:
    """Writes APScheduler's rows by itself."""

    def add_job(self, job):
        self.jobs_t.insert().values(id=job.id, job_state=pickle.dumps(job.__getstate__()))


class OwnRowsByHelper:
    """Does so in a function within a method that it calls."""

    def update_job(self, job):
        self._change(job)

    def _change(self, job):
        def values():
            return {"next_run_time": None, "job_state": pickle.dumps(job.__getstate__())}

        return self.jobs_t.update().values(values())


class OwnHash:
    def add_job(self, job):
        self._put(job)

    def _put(self, job):
        self.redis.hset(self.jobs_key, job.id, b"")


class OwnQuery:
    def _get_jobs(self, *conditions):
        return []


@pytest.mark.parametrize(
    ("mixin", "words"),
    [
        (OwnRows, r"Store must leave jobs_t alone in add_job\(\).*call super\(\).*BaseJobStore"),
        (OwnRowsByHelper, r"Store must leave jobs_t alone in update_job\(\)"),
        (OwnHash, r"Store must leave jobs_key alone in add_job\(\)"),
        (OwnQuery, r"Store must not override _get_jobs\(\), which rota\.jobstores\.\w+ never calls"),
    ],
)
def test_a_store_that_cannot_be_obeyed_is_refused_at_the_start_with_the_way_out(made, mixin, words):
    with pytest.raises(ConfigurationError, match=words):
        ManualScheduler(jobstores={"default": made(mixin)}).start()


class Counting:
    """Looks at the table in a method that it calls."""

    def add_job(self, job):
        super().add_job(job)
        self.count = self._counted()

    def _counted(self):
        from sqlalchemy import func, select

        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(self.jobs_t)).scalar()


def test_a_store_may_look_at_its_table_in_a_method_that_it_calls(durable):
    store = durable(Counting)
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=5, id="a")
        assert store.count == 1


class LeavesStartOut:
    """As programs do whose table somebody else makes."""

    def start(self, scheduler, alias):
        BaseJobStore.start(self, scheduler, alias)


class StartsLater:
    def start(self, scheduler, alias):
        self.calls = [*getattr(self, "calls", []), alias]
        super().start(scheduler, alias)


def test_a_start_that_leaves_ours_out_is_refused_with_the_way_out(durable):
    scheduler = ManualScheduler(jobstores={"default": durable(LeavesStartOut)})
    with pytest.raises(
        ConfigurationError, match=r"Store must call super\(\)\.start.*create_tables=False.*BaseJobStore"
    ):
        scheduler.start()


def test_a_start_that_calls_ours_is_called_once_at_each_start(made):
    store = made(StartsLater)
    scheduler = ManualScheduler(jobstores={"default": store})
    for _ in range(2):
        scheduler.start()
        scheduler.add_job(answer, "interval", seconds=5, id="a", replace_existing=True)
        scheduler.advance(seconds=6)
        scheduler.shutdown()
    assert store.calls == ["default", "default"]


def test_a_constructor_that_makes_a_table_of_its_own_is_refused_with_the_way_out(durable):
    class NoConstructor:
        def __init__(self, url):
            self.engine = object()

    class BaseOnly:
        def __init__(self, url):
            super(type(self).__mro__[2], self).__init__()

    class OwnTable:
        def __init__(self, url):
            super().__init__(url)
            self.jobs_t = object()

    with pytest.raises(
        AttributeError, match=r"engine of a Store cannot be assigned.*with engine=.*BaseJobStore"
    ):
        durable(NoConstructor)
    with pytest.raises(
        ConfigurationError, match=r"Store\.__init__\(\) must call that of the job store.*BaseJobStore"
    ):
        durable(BaseOnly)
    with pytest.raises(AttributeError, match=r"jobs_t of a Store cannot be assigned.*with tablename="):
        durable(OwnTable)


def test_the_protocol_of_pickles_can_be_set(durable):
    class Protocol:
        def __init__(self, url):
            super().__init__(url)
            self.pickle_protocol = 3

    assert durable(Protocol).pickle_protocol == 3


class OwnLayout(BaseJobStore):
    """What the errors propose: the program's rows as they were, below the base that is nobody's."""

    def __init__(self, url):
        from sqlalchemy import Column, Float, LargeBinary, MetaData, String, Table, create_engine

        self.engine = create_engine(url)
        columns = (Column("id", String(99), primary_key=True), Column("next_run_time", Float))
        self.jobs_t = Table(
            "own", MetaData(), *columns, Column("job_state", LargeBinary), Column("who", String(9))
        )

    def start(self, scheduler, alias):
        super().start(scheduler, alias)
        self.jobs_t.create(self.engine, True)

    def _values(self, job):
        state = pickle.dumps(job.__getstate__())
        return {
            "next_run_time": datetime_to_utc_timestamp(job.next_run_time),
            "job_state": state,
            "who": "me",
        }

    def _get_jobs(self, *conditions):
        with self.engine.begin() as connection:
            rows = connection.execute(
                self.jobs_t.select().where(*conditions).order_by(self.jobs_t.c.next_run_time)
            )
            return [self._reconstitute_job(row.job_state) for row in rows]

    def _reconstitute_job(self, job_state):
        job = Job.__new__(Job)
        job.__setstate__(pickle.loads(job_state))
        job._scheduler, job._jobstore_alias = self._scheduler, self._alias
        return job

    def lookup_job(self, job_id):
        return next(iter(self._get_jobs(self.jobs_t.c.id == job_id)), None)

    def get_due_jobs(self, now):
        return self._get_jobs(self.jobs_t.c.next_run_time <= datetime_to_utc_timestamp(now))

    def get_next_run_time(self):
        times = [job.next_run_time for job in self._get_jobs() if job.next_run_time is not None]
        return min(times, default=None)

    def get_all_jobs(self):
        jobs = self._get_jobs()
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job):
        with self.engine.begin() as connection:
            connection.execute(self.jobs_t.insert().values(id=job.id, **self._values(job)))

    def update_job(self, job):
        with self.engine.begin() as connection:
            connection.execute(
                self.jobs_t.update().values(self._values(job)).where(self.jobs_t.c.id == job.id)
            )

    def remove_job(self, job_id):
        with self.engine.begin() as connection:
            connection.execute(self.jobs_t.delete().where(self.jobs_t.c.id == job_id))

    def remove_all_jobs(self):
        with self.engine.begin() as connection:
            connection.execute(self.jobs_t.delete())

    def shutdown(self):
        self.engine.dispose()


def test_a_store_with_rows_of_its_own_runs_its_jobs_when_it_derives_from_the_base(tmp_path):
    need("sqlalchemy", "sql")
    store = OwnLayout(f"sqlite:///{tmp_path / 'own.sqlite'}")
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=5, id="a")
        scheduler.add_job(answer, id="once")
        scheduler.advance(seconds=11)
        assert [run.job_id for run in scheduler.get_runs(status="succeeded")] == ["a", "a", "once"]
        with store.engine.connect() as connection:
            assert [(row.id, row.who) for row in connection.execute(store.jobs_t.select())] == [("a", "me")]


def test_bytes_that_the_store_has_not_stored_are_not_unpickled(durable):
    store = durable()
    with pytest.raises(DeserializationError, match="job_state must be what Store hands"):
        store._reconstitute_job(pickle.dumps({}))


class ThirdParty(BaseJobStore):
    """A store of the eight methods that counts its calls."""

    def __init__(self):
        self.jobs, self.calls = {}, []

    def lookup_job(self, job_id):
        return self.jobs.get(job_id)

    def get_due_jobs(self, now):
        self.calls.append("get_due_jobs")
        return [job for job in self.jobs.values() if job.next_run_time and job.next_run_time <= now]

    def get_next_run_time(self):
        return min((job.next_run_time for job in self.jobs.values() if job.next_run_time), default=None)

    def get_all_jobs(self):
        self.calls.append("get_all_jobs")
        return list(self.jobs.values())

    def add_job(self, job):
        self.jobs[job.id] = job

    def update_job(self, job):
        self.jobs[job.id] = job

    def remove_job(self, job_id):
        del self.jobs[job_id]

    def remove_all_jobs(self):
        self.jobs.clear()


def test_a_third_party_store_is_asked_only_for_what_is_due():
    store = ThirdParty()
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=30, id="a")
        scheduler.advance(minutes=10)
        scheduler.health()
        scheduler.advance(minutes=2)
        assert set(store.calls) == {"get_due_jobs"}
        scheduler.get_jobs()
        assert store.calls.count("get_all_jobs") == 1


def test_due_jobs_of_a_third_party_store_that_wait_for_an_unknown_executor_are_counted():
    store = ThirdParty()
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "interval", seconds=30, id="a")
        store.jobs["a"].executor = "elsewhere"
        scheduler.advance(minutes=1)
        assert store.overdue(scheduler.clock.now(), ()) == {"elsewhere": 1}


def test_the_sql_store_shows_its_table_and_its_pickle_protocol(tmp_path):
    need("sqlalchemy", "sql")
    from sqlalchemy import func, select

    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path}/jobs.sqlite", pickle_protocol=4)
    with ManualScheduler(jobstores={"default": store}) as scheduler:
        scheduler.add_job(answer, "date", run_date=datetime(2200, 1, 1, tzinfo=UTC), id="a")
        with store.engine.connect() as connection:
            assert connection.scalar(select(func.count()).select_from(store.jobs_t)) == 1
            assert connection.scalar(select(store.jobs_t.c.id)) == "a"
    assert store.pickle_protocol == 4


def test_the_redis_store_shows_its_keys():
    need("redis", "redis")
    from rota.jobstores.redis import RedisJobStore

    store = RedisJobStore(jobs_key="app.jobs", run_times_key="app.times")
    assert (store.jobs_key, store.run_times_key) == ("app.jobs", "app.times")
