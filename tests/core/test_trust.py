"""What somebody can do who may write to the store: each line of the table of docs/security.md, done to an SQLite file.

The page says what is to come of it without any measure, with an allow-list, with a key and with both.
"""

from __future__ import annotations

import itertools
import json
import pickle
import sqlite3
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from rota.clock import LAST_SHOWN
from rota.core.backfill import Backfill
from rota.core.states import CLAIMED
from rota.errors import ConfigurationError, JobLookupError
from rota.executors.steps import current_run
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.signed import _ask
from rota.testing.contracts.store_jobs import make_job
from rota.triggers.base import BaseTrigger
from tests.needs import need

need("sqlalchemy", "sql")

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: E402

# Some hundred programs are started one after another on stores of their own, and no Python differs in what comes of it.
pytestmark = pytest.mark.slow

HERE = __name__
PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
TABLE = {
    cells[0]: cells[1:]
    for line in PAGE.split("## What somebody can do")[1].split("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| somebody")
    for cells in [[cell.strip() for cell in line.strip("| ").split(" | ")]]
}
KEY = "a key of sixteen bytes"
MEASURES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "list": {"allowed": [f"{HERE}:work"]},
    "key": {"key": KEY},
    "both": {"allowed": [f"{HERE}:work"], "key": KEY},
}
_numbers = itertools.count()
_done: set[str] = set()
#: the files of the program's store as they are in the beginning, by its measures: made once
_files: dict[tuple[object, ...], bytes] = {}

#: what the jobs were called with, and by which executor
CALLS: list[tuple[object, str]] = []
RESTORED: list[object] = []


def line(text):
    """Mark the test of a line of the table: it is called with each measure and with whether the page says that it is possible."""
    _done.add(text)
    return pytest.mark.parametrize(
        ("measure", "possible"),
        [(name, cell == "yes") for name, cell in zip(MEASURES, TABLE[text], strict=True)],
        ids=list(MEASURES),
    )


def work(*args):
    CALLS.append((args[0] if args else None, current_run().executor))


class Mine(BaseTrigger):
    """A trigger class of the program's own, which no list names."""

    def get_next_fire_time(self, previous_fire_time, now):
        return now

    def __setstate__(self, state):
        RESTORED.append(state)


class Bomb:
    def __reduce__(self):
        return explode, ()


def explode():
    RESTORED.append("unpickled")


class World:
    """A program with a job, its store, and somebody else who may write to that."""

    def __init__(self, path, allowed=None, key=None, serializer="json"):
        CALLS.clear()
        RESTORED.clear()
        self.path = path / "jobs.sqlite"
        self.clock = VirtualClock()
        self.allowed = allowed
        self.options = {"serializer": serializer} | ({"signing_key": key} if key else {})
        kind = (allowed is None, key, serializer)
        if kind not in _files:
            with self.program() as scheduler:
                for id in ("job", "other"):
                    scheduler.add_job(work, "interval", args=[id], minutes=5, id=id, max_instances=2)
            _files[kind] = self.path.read_bytes()
        self.path.write_bytes(_files[kind])

    def program(self):
        return _Program(self)

    def attacker(self):
        """Return a store without key and list."""
        store = SQLAlchemyJobStore(f"sqlite:///{self.path}")
        store.start(None, "default")
        return store

    def write(self, statement, *values):
        with sqlite3.connect(self.path) as db:
            db.execute(statement, values)
        db.close()

    def read(self, statement):
        with sqlite3.connect(self.path) as db:
            rows = db.execute(statement).fetchall()
        db.close()
        return rows

    def run(self, minutes=10):
        """Let the program run; return what its jobs were called with."""
        with self.program() as scheduler:
            scheduler.advance(minutes=minutes)
        return [given for given, _ in CALLS]


class _Program:
    def __init__(self, world):
        store = SQLAlchemyJobStore(f"sqlite:///{world.path}", **world.options)
        executors = {"default": {"type": "debug"}, "sandbox": {"type": "debug"}}
        self.scheduler = ManualScheduler(
            jobstores={"default": store},
            clock=world.clock,
            executors=executors,
            allowed_callables=world.allowed,
        )

    def __enter__(self):
        self.scheduler.start()
        return self.scheduler

    def __exit__(self, *exc_info):
        self.scheduler.shutdown()


@pytest.fixture
def world(tmp_path, measure):
    return World(tmp_path, **MEASURES[measure])


@pytest.fixture
def bait(tmp_path, monkeypatch):
    """Return the name of a module of which it is noticed that it was imported."""
    name = f"bait_of_the_table_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text("calls = []\ndef run(*args):\n    calls.append(args)\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_every_line_of_the_page_has_its_test():
    assert _done == set(TABLE)
    assert len(TABLE) > 15


# -- what is executed ------------------------------------------------------------------------------------------------


@line("have any importable function called, with any plain arguments")
def test_any_function(world, possible, bait):
    world.write("UPDATE rota_jobs SET func = ?, args = '[7]' WHERE id = 'job'", f"{bait}:run")
    world.run()
    assert (bait in sys.modules and (7,) in sys.modules[bait].calls) == possible


@line("have a module imported that the list does not name")
def test_any_module(world, possible, bait):
    part = {"~dict": [["type", "custom"], ["class", f"{bait}:T."], ["state", {}]]}
    world.write("UPDATE rota_jobs SET args = ? WHERE id = 'job'", json.dumps([{"~trigger": part}]))
    world.run()
    assert (bait in sys.modules) == possible


@line("have a class of the program's own triggers made, with any state")
def test_any_trigger(world, possible):
    part = {"~dict": [["type", "custom"], ["class", f"{HERE}:Mine"], ["state", [7]]]}
    world.write("UPDATE rota_jobs SET args = ? WHERE id = 'job'", json.dumps([{"~trigger": part}]))
    world.run()
    assert ([7] in RESTORED) == possible


@line('have a pickle executed, if the store has `serializer="pickle"`')
def test_any_pickle(tmp_path, measure, possible):
    try:
        world = World(tmp_path, **MEASURES[measure], serializer="pickle")
    except ConfigurationError:
        assert measure == "list"
        assert not possible
        return
    text = f'{{"~pickle":"{b64encode(pickle.dumps([Bomb()])).decode()}"}}'
    world.write("UPDATE rota_jobs SET args = ? WHERE id = 'job'", text)
    world.run()
    assert ("unpickled" in RESTORED) == possible


@line("have an allowed function called, with other arguments")
def test_other_arguments(world, possible):
    world.write("""UPDATE rota_jobs SET args = '["forged"]' WHERE id = 'job'""")
    assert ("forged" in world.run()) == possible


@line("have a job run by another executor, or with other options")
def test_another_executor(world, possible):
    world.write("UPDATE rota_jobs SET executor = 'sandbox' WHERE id = 'job'")
    world.run()
    assert (("job", "sandbox") in CALLS) == possible
    CALLS.clear()
    world.write(
        """UPDATE rota_jobs SET executor = 'default', options = '{"coalesce":false}' WHERE id = 'job'"""
    )
    assert ("job" in world.run()) == possible


@line("have a job run under another id")
def test_another_id(world, possible):
    world.write("DELETE FROM rota_jobs WHERE id = 'other'")
    world.write("UPDATE rota_jobs SET id = 'other' WHERE id = 'job'")
    assert ("job" in world.run()) == possible


@line("have a job run that has no signature, or NULL or bytes in its place")
def test_no_signature(world, possible):
    store = world.attacker()
    store.add_job(make_job("unsigned", func=work, args=("unsigned",), due=world.clock.now()))
    (text,) = world.read("SELECT sql FROM sqlite_master WHERE name = 'rota_jobs'")[0]
    store.shutdown()
    assert ("unsigned" in world.run()) == possible
    # What has the place of a text is never taken for one, whatever else is made of it.
    world.write("ALTER TABLE rota_jobs RENAME TO before")
    world.write(text.replace("NOT NULL", ""))  # as a table that another tool has made
    world.write("INSERT INTO rota_jobs SELECT * FROM before WHERE id = 'job'")
    for value in (None, b"{}"):
        world.write("UPDATE rota_jobs SET options = ?", value)
        CALLS.clear()
        assert "job" not in world.run()


# -- runs ------------------------------------------------------------------------------------------------------------


@line("ask for a run of a job, as `run_job()` does")
def test_a_request(world, possible):
    store = world.attacker()
    _ask(store)
    store.shutdown()
    assert ("job" in world.run(minutes=0.5)) == possible


@line("ask for a backfill of a job, as `backfill()` does")
def test_a_backfill(world, possible):
    world.run(minutes=6)
    CALLS.clear()
    store = world.attacker()
    wanted = Backfill(0, LAST_SHOWN, 1, only_missing=False)
    assert store.keep_backfill("job", wanted.text(), None)
    store.shutdown()
    assert ("job" in world.run(minutes=0.5)) == possible


@line("have a run carried out by another executor than its job's")
def test_a_request_for_another_executor(world, possible):
    store = world.attacker()
    _ask(store, executor="sandbox")
    store.shutdown()
    world.run(minutes=0.5)
    assert (("job", "sandbox") in CALLS) == possible


def put_run(world, **changes):
    """Write the row of a run of a process that is gone."""
    now = world.clock.now()
    row = {"job_id": "job", "nominal": now - 1, "last": now - 1, "times": 1, "due": now - 1, "attempt": 1}
    row |= {"status": CLAIMED, "owner": "gone", "executor": "default", "claimed": now - 1} | changes
    marks = ", ".join("?" * len(row))
    world.write(f"INSERT OR REPLACE INTO rota_runs ({', '.join(row)}) VALUES ({marks})", *row.values())
    world.write("UPDATE rota_jobs SET running = 1 WHERE id = 'job'")


@line("have an invented run of a dead process carried out")
@pytest.mark.parametrize("owner", ["gone", None])
def test_an_orphan(world, possible, owner):
    put_run(world, owner=owner)
    assert ("job" in world.run(minutes=1.5)) == possible


@line("have a run carried out again, by putting its record back")
def test_a_record_put_back(world, possible):
    world.run()
    count = [given for given, _ in CALLS].count("job")
    world.write(
        "UPDATE rota_runs SET status = 'claimed', owner = NULL, finished = NULL WHERE job_id = 'job' "
        "AND nominal = (SELECT min(nominal) FROM rota_runs WHERE job_id = 'job')"
    )
    world.write("UPDATE rota_jobs SET running = 1 WHERE id = 'job'")
    assert (world.run(minutes=0.5).count("job") > count) == possible


# -- when, and whether -------------------------------------------------------------------------------------------------


@line("have a job run early, late, again or not at all, by its times and state")
def test_times(world, possible):
    now = world.clock.now()
    world.write("UPDATE rota_jobs SET next_nominal = ?, next_due = ? WHERE id = 'job'", now, now)
    world.write("UPDATE rota_jobs SET state = 'paused' WHERE id = 'other'")
    assert (world.run(minutes=2.5) == ["job"]) == possible


@line("put an older version of a job back, with the signature that it had")
def test_an_older_version(world, possible):
    ((args, options),) = world.read("SELECT args, options FROM rota_jobs WHERE id = 'job'")
    with world.program() as scheduler:
        scheduler.modify_job("job", args=["newer"])
    world.write("UPDATE rota_jobs SET args = ?, options = ? WHERE id = 'job'", args, options)
    assert ("job" in world.run()) == possible


@line("delete and pause jobs, and have them put into quarantine by changing them")
def test_deleting(world, possible):
    world.write("DELETE FROM rota_jobs WHERE id = 'job'")
    world.write("UPDATE rota_jobs SET args = '[' WHERE id = 'other'")
    assert (world.run() == []) == possible
    with world.program() as scheduler:
        assert scheduler.get_job("other").state == "quarantined"
        with pytest.raises(JobLookupError):
            scheduler.pause_job("job")


@line("falsify and delete records of runs, and the names of jobs")
def test_records(world, possible):
    put_run(world, status="failed", error="forged", finished=5)
    world.write("UPDATE rota_jobs SET running = 0, name = 'forged' WHERE id = 'job'")
    with world.program() as scheduler:
        assert ([run.error for run in scheduler.get_runs("job")] == ["forged"]) == possible
        assert (scheduler.get_job("job").name == "forged") == possible


# -- what nobody can do ------------------------------------------------------------------------------------------------


@line("have a process spend seconds, or all its memory, on reading one job")
@pytest.mark.parametrize(
    "value",
    [
        {"~set": [number * ((1 << 61) - 1) for number in range(1, 20_000)]},
        "x" * 9_000_000,
        [0] * 600_000,
    ],
    ids=["keys that collide", "text", "parts"],
)
def test_dear_values(world, possible, value):
    assert not possible
    world.write("UPDATE rota_jobs SET args = ? WHERE id = 'job'", json.dumps([value]))
    calls = world.run()
    assert "other" in calls
    assert "job" not in calls
    with world.program() as scheduler:
        error = scheduler.get_job("job").error
    assert "is not read" in error or "not trusted" in error


@line("stop the other jobs of the store, by what is in the columns of a job or of its runs")
def test_neighbours(world, possible):
    assert not possible
    names = ("func", "trigger_spec", "args", "kwargs", "options", "executor", "name")
    damages = list(itertools.product(names, ("", "[", "7", '{"~trigger":7}', '{"~dict":[["~set"]]}')))
    with world.program() as scheduler:
        for number in range(len(damages)):
            scheduler.add_job(work, "interval", args=[number], minutes=5, id=str(number))
    for number, (column, value) in enumerate(damages):
        world.write(f"UPDATE rota_jobs SET {column} = ? WHERE id = ?", value, str(number))
    assert "other" in world.run()
    for field, odd in itertools.product(("last", "times", "due", "attempt", "status"), (1.5, "x", 2**62)):
        world.write(f"UPDATE rota_runs SET {field} = ? WHERE job_id <> 'other'", odd)
        CALLS.clear()
        assert "other" in world.run(minutes=6)


@line("have the command line import code of jobs, or act on the terminal")
def test_the_command_line(world, possible, bait, capsys, monkeypatch):
    assert not possible
    need("typer", "cli")
    from tests.cli.processes import rota

    trigger = json.dumps({"type": "custom", "class": f"{bait}:T", "state": {}})
    world.write(
        "UPDATE rota_jobs SET func = ?, trigger_spec = ? WHERE id = 'job'", f"{bait}:run\x1b[2J", trigger
    )
    world.write("UPDATE rota_jobs SET id = 'evil\x1b[2J' WHERE id = 'other'")
    for key in (None, KEY):
        if key:
            monkeypatch.setenv("ROTA_SIGNING_KEY", key)
        for command in (["jobs"], ["runs"], ["pause", "job"], ["sign", "--yes"]):
            _, out, err = rota(capsys, "-s", f"sqlite:///{world.path}", *command)
            assert "\x1b" not in out + err
    assert bait not in sys.modules
