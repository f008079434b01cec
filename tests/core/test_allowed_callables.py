"""The allow-list of callables: what a durable store may name, when it is added and when it is read."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from rota.codec import callables
from rota.codec.callables import callable_of
from rota.core.states import QUARANTINED
from rota.errors import CallableNotAllowedError, ConfigurationError
from rota.schedulers.background import BackgroundScheduler
from rota.triggers.base import BaseTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.interval import IntervalTrigger
from rota.trust.allowlist import AllowList, allow_list_of
from rota.trust.names import judged_by
from tests.needs import need
from tests.present import present

HERE = __name__


def work():
    """What the jobs call."""


class Tasks:
    def clean(self):
        """A method."""


class Runner(threading.Thread):
    """Inherits run() from another module."""


class EveryHour(BaseTrigger):
    def get_next_fire_time(self, previous_fire_time, now):
        return now


# -- one reference -----------------------------------------------------------------------------------------------


def test_a_callable_that_is_known_already_is_shown_to_the_list_again():
    assert callable_of("os.path:basename") is os.path.basename
    with judged_by(AllowList(["json:*"])), pytest.raises(CallableNotAllowedError):
        callable_of("os.path:basename")
    with judged_by(AllowList(["posixpath:*", "os.path:basename"])):
        assert callable_of("os.path:basename") is os.path.basename


def test_not_more_callables_are_remembered_than_the_bound(monkeypatch):
    monkeypatch.setattr(callables, "CACHE_SIZE", 3)
    monkeypatch.setattr(callables, "_callables", {})
    for name in ("join", "split", "exists", "isdir", "isfile"):
        assert callable_of(f"os.path:{name}") is getattr(os.path, name)
        assert len(callables._callables) <= 3


# -- patterns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "reference", "found", "fits"),
    [
        (f"{HERE}:work", f"{HERE}:work", work, True),
        (f"{HERE}:*", f"{HERE}:work", work, True),
        (f"{HERE.partition('.')[0]}.*", f"{HERE}:work", work, True),
        (f"{HERE}:*", f"{HERE}:Tasks.clean", Tasks.clean, True),
        (f"{HERE}:*", f"{HERE}:Tasks.clean", Tasks().clean, True),
        (f"{HERE}:work", f"{HERE}:Tasks.clean", Tasks.clean, False),
        ("test.*", "testing:work", work, False),
        ("os:*", "os.path:join", os.path.join, False),
        # What a module has imported is not its own.
        (f"{HERE}:*", f"{HERE}:os.system", os.system, False),
        (f"{HERE}:*", f"{HERE}:subprocess.Popen", subprocess.Popen, False),
        (f"{HERE}:*", f"{HERE}:Runner.run", Runner.run, False),
        (f"{HERE}:*", f"{HERE}:sys.modules.clear", sys.modules.clear, False),
        # … unless it is named.
        (f"{HERE}:os.system", f"{HERE}:os.system", os.system, True),
    ],
)
def test_a_pattern_covers_what_is_defined_where_it_says(pattern, reference, found, fits):
    allowed = AllowList([pattern])
    if fits:
        allowed.check(reference, found)
    else:
        with pytest.raises(CallableNotAllowedError, match="allowed_callables"):
            allowed.check(reference, found)


@pytest.mark.parametrize(
    "pattern", ["", "*", "myapp", "myapp.", "my app.*", "myapp.*.x", "myapp:", ":f", "a:b:c", 5]
)
def test_what_is_no_pattern_is_refused_with_the_forms_there_are(pattern):
    with pytest.raises(ConfigurationError, match="is no pattern"):
        AllowList([pattern])


def test_a_text_of_an_ini_file_is_a_list_of_patterns():
    assert present(allow_list_of("myapp.*, other.mod:run\n third:*")).patterns == (
        "myapp.*",
        "other.mod:run",
        "third:*",
    )
    assert allow_list_of(None) is None


def test_an_empty_list_allows_nothing():
    with pytest.raises(CallableNotAllowedError, match="none"):
        AllowList([]).check_reference("a:b")


# -- at a store --------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    need("sqlalchemy", "sql")
    return tmp_path / "jobs.sqlite"


def scheduler_on(path, *allowed, **options):
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    store = SQLAlchemyJobStore(f"sqlite:///{path}", **options)
    return BackgroundScheduler(
        jobstores={"default": store, "memory": {"type": "memory"}},
        timezone="UTC",
        allowed_callables=list(allowed) or None,
    )


def test_a_callable_that_is_not_allowed_is_refused_when_it_is_added(path):
    scheduler = scheduler_on(path, f"{HERE}:work")
    with pytest.raises(CallableNotAllowedError, match="shutil:rmtree"):
        scheduler.add_job("shutil:rmtree", "interval", hours=1, args=["x"])
    scheduler.start(paused=True)
    try:
        with pytest.raises(CallableNotAllowedError, match="getcwd"):
            scheduler.add_job(os.getcwd, "interval", hours=1)
        with pytest.raises(CallableNotAllowedError, match="getcwd"):
            scheduler.add_jobs([{"func": os.getcwd, "trigger": "interval", "hours": 1}])
        scheduler.add_job(work, "interval", hours=1, id="fine")
        with pytest.raises(CallableNotAllowedError, match="getcwd"):
            scheduler.modify_job("fine", func=os.getcwd)
        scheduler.add_job(os.getcwd, "interval", hours=1, id="live", jobstore="memory")
        assert {job.id for job in scheduler.get_jobs()} == {"fine", "live"}
        assert scheduler.get_job("fine").func is work
    finally:
        scheduler.shutdown()


def test_the_module_of_a_name_that_is_not_allowed_is_never_imported(path, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "never_imported_by_lists.py").write_text("raise SystemExit(1)")
    scheduler = scheduler_on(path, f"{HERE}:*")
    scheduler.start(paused=True)
    try:
        for add in (
            lambda: scheduler.add_job("never_imported_by_lists:run", "interval", hours=1),
            lambda: scheduler.add_jobs([{"func": "never_imported_by_lists:run"}]),
        ):
            with pytest.raises(CallableNotAllowedError):
                add()
        scheduler.add_job(work, "interval", hours=1, id="func")
        with pytest.raises(CallableNotAllowedError):
            scheduler.modify_job("func", func="never_imported_by_lists:run")
        for id in ("trigger", "member", "argument"):
            scheduler.add_job(Tasks, "interval", hours=1, id=id)
        evil = '{"type":"custom","class":"never_imported_by_lists:T","state":{}}'
        member = (
            '{"type":"custom","class":"rota.triggers.combining:OrTrigger","state":'
            '{"version":1,"jitter":null,"spread":null,"triggers":[{"~tuple":["never_imported_by_lists:T",{}]}]}}'
        )
        with sqlite3.connect(path) as db:
            db.execute("UPDATE rota_jobs SET func = 'never_imported_by_lists:run' WHERE id = 'func'")
            db.execute("UPDATE rota_jobs SET trigger_spec = ? WHERE id = 'trigger'", [evil])
            db.execute("UPDATE rota_jobs SET trigger_spec = ? WHERE id = 'member'", [member])
            db.execute("UPDATE rota_jobs SET args = ? WHERE id = 'argument'", [f'[{{"~trigger":{evil}}}]'])
        db.close()
        jobs = {job.id: job for job in scheduler.get_jobs()}
        assert {job.state for job in jobs.values()} == {QUARANTINED}
        assert all("never_imported_by_lists" in job.error for job in jobs.values()), jobs
        assert "never_imported_by_lists" not in sys.modules
    finally:
        scheduler.shutdown()


@pytest.mark.thorough
def test_a_row_that_reaches_through_an_allowed_module_is_quarantined(path):
    free = scheduler_on(path)
    free.start(paused=True)
    free.add_job(f"{HERE}:os.getcwd", "interval", hours=1, id="through")
    free.add_job(work, "interval", hours=1, id="fine")
    free.shutdown()
    bound = scheduler_on(path, f"{HERE}:*")
    bound.start(paused=True)
    try:
        assert bound.get_job("fine").error is None
        through = bound.get_job("through")
        assert through.state == QUARANTINED
        assert "which leads through what is defined in os" in through.error
        assert through.func is not os.getcwd
        bound.pause_job("through")  # what cannot be run can be kept, and taken away
        bound.remove_job("through")
    finally:
        bound.shutdown()


@pytest.mark.thorough
def test_a_quarantined_job_goes_on_when_the_list_allows_it(path):
    free = scheduler_on(path)
    free.start(paused=True)
    free.add_job(work, "interval", hours=1, id="job")
    free.shutdown()
    narrow = scheduler_on(path, "other.*")
    narrow.start(paused=True)
    assert narrow.get_job("job").state == QUARANTINED
    narrow.shutdown()
    wide = scheduler_on(path, "other.*", f"{HERE}:work")
    wide.start(paused=True)
    assert wide.get_job("job").func is work
    wide.shutdown()


def test_custom_triggers_need_to_be_allowed_and_those_of_rota_need_not(path):
    scheduler = scheduler_on(path, f"{HERE}:work")
    scheduler.start(paused=True)
    try:
        with pytest.raises(CallableNotAllowedError, match="EveryHour"):
            scheduler.add_job(work, EveryHour())
        with pytest.raises(CallableNotAllowedError, match="EveryHour"):
            scheduler.add_job(work, OrTrigger([EveryHour(), IntervalTrigger(hours=1)]))
        scheduler.add_job(work, OrTrigger([IntervalTrigger(hours=2), IntervalTrigger(hours=3)]), id="or")
        assert scheduler.get_job("or").error is None
    finally:
        scheduler.shutdown()


def test_a_list_that_protects_nothing_is_refused(path):
    with pytest.raises(ConfigurationError, match="protects nothing"):
        scheduler_on(path, "myapp.*", serializer="pickle")
    scheduler_on(path, "myapp.*", serializer="pickle", signing_key="a key of sixteen bytes")
