"""What programs read, change and override of schedulers by APScheduler's inner names."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, timedelta, timezone
from types import SimpleNamespace

import pytest

from rota.errors import JobTypeError, OptionTypeError
from rota.events import EVENT_ALL, EVENT_JOB_ADDED, EVENT_JOB_EXECUTED
from rota.schedulers.asyncio import AsyncIOScheduler
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler
from tests.needs import need


def answer():
    return 42


def test_the_job_defaults_are_a_dictionary_that_tells_and_takes_them():
    scheduler = BackgroundScheduler(job_defaults={"misfire_grace_time": 60, "coalesce": False})
    defaults = scheduler._job_defaults
    assert defaults == {"misfire_grace_time": 60, "coalesce": False, "max_instances": 1}
    assert defaults.get("max_instances") == 1
    defaults["max_instances"] = 3
    defaults.update(coalesce=True)
    job = scheduler.add_job(answer, "interval", hours=1)
    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (60, True, 3)
    assert BackgroundScheduler(job_defaults=scheduler._job_defaults)._job_defaults == scheduler._job_defaults
    scheduler._job_defaults = {"misfire_grace_time": 5}
    assert scheduler._job_defaults["misfire_grace_time"] == 5
    with pytest.raises(JobTypeError, match="max_instances must be a positive integer"):
        scheduler._job_defaults["max_instances"] = 0
    with pytest.raises(OptionTypeError, match="configure"):
        del scheduler._job_defaults["coalesce"]


def test_the_listeners_are_a_list_of_pairs_that_can_be_changed():
    scheduler = ManualScheduler()
    first, second = [], []
    scheduler.add_listener(first.append, EVENT_JOB_EXECUTED)
    assert scheduler._listeners == [(first.append, EVENT_JOB_EXECUTED)]
    assert len(scheduler._listeners) == 1
    scheduler._listeners.append((second.append, EVENT_ALL))
    assert [mask for _, mask in scheduler._listeners] == [EVENT_JOB_EXECUTED, EVENT_ALL]
    scheduler.start()
    scheduler.add_job(answer, id="a")
    scheduler.advance(seconds=1)
    assert [event.code for event in first] == [EVENT_JOB_EXECUTED]
    assert EVENT_JOB_ADDED in [event.code for event in second]
    scheduler._listeners = []
    assert not scheduler._listeners
    del first[:]
    scheduler.add_job(answer, id="b")
    scheduler.advance(seconds=1)
    assert first == []
    with pytest.raises(OptionTypeError, match="must be callable"):
        scheduler._listeners.append((None, EVENT_ALL))  # type: ignore[arg-type]
    scheduler.shutdown()


def test_a_listener_that_is_none_is_told_and_left_out(caplog):
    scheduler = BackgroundScheduler()
    with caplog.at_level(logging.WARNING):
        scheduler.add_listener(None)  # type: ignore[call-overload]
    assert "add_listener() must be given a function, got None" in caplog.text
    assert len(scheduler._listeners) == 0


def test_the_zone_that_a_program_puts_in_the_place_of_get_localzone_is_the_schedulers(monkeypatch):
    zone = timezone(timedelta(hours=5))
    monkeypatch.setattr("rota.schedulers.base.get_localzone", lambda: zone)
    assert BackgroundScheduler().timezone == zone


@pytest.mark.parametrize(
    ("module", "make"),
    [
        ("cron", lambda triggers: triggers.CronTrigger(hour=3)),
        ("interval", lambda triggers: triggers.IntervalTrigger(hours=3)),
        ("date", lambda triggers: triggers.DateTrigger("2030-01-01")),
        ("calendarinterval", lambda triggers: triggers.CalendarIntervalTrigger(days=3)),
    ],
)
def test_the_zone_that_a_program_puts_in_the_place_of_get_localzone_is_that_triggers(
    module, make, monkeypatch
):
    from importlib import import_module

    zone = timezone(timedelta(hours=5))
    triggers = import_module(f"rota.triggers.{module}")
    monkeypatch.setattr(f"rota.triggers.{module}.get_localzone", lambda: zone)
    assert make(triggers).timezone == zone
    monkeypatch.undo()
    assert make(triggers).timezone != zone


class Follower(ManualScheduler):
    """Runs nothing while another process is the leader."""

    leads = False

    def _lookup_executor(self, alias):
        if self.leads:
            return super()._lookup_executor(alias)
        return SimpleNamespace(submit_job=lambda job, run_times: None)


def test_a_scheduler_whose_lookup_of_executors_gives_none_claims_nothing():
    with Follower(timezone=UTC) as scheduler:
        scheduler.add_job(answer, "interval", seconds=5, id="a")
        scheduler.advance(seconds=12)
        assert scheduler.get_runs() == []
        scheduler.leads = True
        scheduler.wakeup()
        scheduler.advance(seconds=10)
        assert {run.status for run in scheduler.get_runs()} >= {"succeeded"}


def test_an_overridden_lookup_of_jobs_is_asked_by_all_who_look_for_one():
    class Renaming(ManualScheduler):
        def _lookup_job(self, job_id, jobstore_alias):
            return super()._lookup_job(job_id.removeprefix("old-"), jobstore_alias)

    with Renaming() as scheduler:
        job = scheduler.add_job(answer, "interval", hours=1, id="a")
        assert scheduler.get_job("old-a") == job
        assert scheduler.get_job("old-b") is None
        assert scheduler.modify_job("old-a", name="other").name == "other"


def test_an_overridden_real_add_job_is_called_for_each_pending_job(tmp_path):
    need("sqlalchemy", "sql")
    added = []

    class Noting(BackgroundScheduler):
        def _real_add_job(self, job, jobstore_alias, replace_existing):
            added.append(job.id)
            super()._real_add_job(job, jobstore_alias, replace_existing)

    scheduler = Noting(jobstores={"default": f"sqlite:///{tmp_path}/jobs.sqlite"})
    for id in ("a", "b", "c"):
        scheduler.add_job(answer, "interval", hours=1, id=id)
    scheduler.start(paused=True)
    scheduler.shutdown()
    assert added == ["a", "b", "c"]


HOOKS = {
    "_real_add_job": lambda scheduler: scheduler.add_job(answer, "interval", hours=1),
    "_create_trigger": lambda scheduler: scheduler.add_job(answer, "interval", hours=1),
    "_create_plugin_instance": lambda scheduler: scheduler.add_job(answer, "interval", hours=1),
    "_dispatch_event": lambda scheduler: scheduler.pause(),
    "_lookup_job": lambda scheduler: scheduler.modify_job("there", name="other"),
    "_lookup_jobstore": lambda scheduler: scheduler.get_jobs("default"),
    "_lookup_executor": lambda scheduler: scheduler.remove_executor("second"),
    "_process_jobs": lambda scheduler: scheduler.run_pending(),
    "wakeup": lambda scheduler: scheduler.add_executor("debug", "third"),
    "_create_default_executor": lambda scheduler: ManualScheduler().start(),
    "_create_default_jobstore": lambda scheduler: ManualScheduler().start(),
    "_create_lock": lambda scheduler: ManualScheduler(),
}
MADE_ANEW = ("_create_default_executor", "_create_default_jobstore", "_create_lock")


#: What is called when a scheduler is made or started cannot be replaced on the object before.
WAYS = [
    (name, where)
    for name in HOOKS
    for where in ("class", "object")
    if where == "class" or name not in MADE_ANEW
]


@pytest.mark.parametrize(("name", "where"), WAYS)
def test_an_inner_method_that_is_replaced_while_the_scheduler_runs_is_called(name, where, monkeypatch):
    with ManualScheduler(executors={"second": {"type": "debug"}}) as scheduler:
        scheduler.add_job(answer, "interval", hours=1, id="there")
        original, calls = getattr(ManualScheduler, name), []

        def noting(self, *args, **kwargs):
            calls.append(args)
            return original(self, *args, **kwargs)

        if where == "class":
            monkeypatch.setattr(ManualScheduler, name, noting)
        else:
            monkeypatch.setattr(scheduler, name, noting.__get__(scheduler))
        HOOKS[name](scheduler)
        monkeypatch.undo()
    assert calls


def test_a_loop_that_a_program_assigns_before_the_start_is_the_one_that_jobs_run_on():
    loop, ran = asyncio.new_event_loop(), threading.Event()
    scheduler = AsyncIOScheduler()
    scheduler._eventloop = loop
    scheduler.add_job(ran.set)
    scheduler.start()  # in a thread in which no loop runs
    assert scheduler._eventloop is loop
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert ran.wait(10)
    scheduler.shutdown()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_loop_that_a_program_assigns_to_a_scheduler_of_tornado_is_used():
    need("tornado", "tornado")
    from tornado.ioloop import IOLoop

    from rota.schedulers.tornado import TornadoScheduler

    loop, ran = IOLoop(make_current=False), []
    scheduler = TornadoScheduler()
    scheduler._ioloop = loop

    def work():
        ran.append(threading.current_thread())
        loop.add_callback(loop.stop)

    scheduler.add_job(work)
    scheduler.start()
    loop.call_later(20, loop.stop)
    loop.start()
    assert len(ran) == 1
    scheduler.shutdown()
    loop.close()


def test_a_reactor_that_a_program_assigns_to_a_scheduler_of_twisted_is_used():
    need("twisted", "twisted")
    from twisted.internet.testing import MemoryReactorClock

    from rota.schedulers.twisted import TwistedScheduler

    class Reactor(MemoryReactorClock):
        def callFromThread(self, call, *args):
            self.callLater(0, call, *args)

    reactor = Reactor()
    scheduler = TwistedScheduler()
    scheduler._reactor = reactor
    scheduler.add_executor("debug")
    ran = []
    scheduler.add_job(lambda: ran.append(1))
    scheduler.start()
    reactor.advance(1)
    assert ran == [1]
    scheduler.shutdown(wait=False)
