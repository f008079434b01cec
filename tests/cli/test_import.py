"""`rota import apscheduler`: the plan first, then the writing; nothing twice, nothing guessed."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from pathlib import Path

import pytest

from rota.importers.apscheduler import plan_import
from tests.cli.processes import LIMIT, environment, rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")
need("sqlalchemy", "sql")

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: E402

DATA = Path(__file__).parents[1] / "data" / "apscheduler3"
KEY = "a key of sixteen bytes".replace(" ", "-")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript((DATA / "sqlite-3.11.3.sql").read_text())
        db.execute("DELETE FROM apscheduler_jobs WHERE id = 'foreign'")
    db.close()
    return f"sqlite:///{path}"


@pytest.fixture
def target(tmp_path):
    return f"sqlite:///{tmp_path / 'new.sqlite'}"


def run(capsys, *arguments):
    return rota(capsys, "import", "apscheduler", *arguments)


def test_without_a_store_there_is_only_the_plan(capsys, source):
    code, out, err = run(capsys, source, "--tz", "UTC")
    assert code == 0
    head, first, *_ = out.splitlines()
    assert head.split() == ["ID", "ACTION", "NEXT", "RUN", "CALLS", "WHEN"]
    assert first.startswith("bounded")
    assert "2031-05-05 12:00:00 +0000" in first
    assert "late run is not dropped" in out
    assert "add: 9" in out
    assert "nothing was written" in err


def test_the_plan_makes_no_store(capsys, source, target, tmp_path):
    for flags in ([], ["--dry-run"], ["--json"]):
        code, _, err = run(capsys, source, "--to", target, *flags)
        assert code == 0
        assert "nothing to compare with yet" in err
    assert not (tmp_path / "new.sqlite").exists()


def test_yes_writes_and_a_second_time_changes_nothing(capsys, source, target):
    code, out, err = run(capsys, source, "--to", target, "--yes", "--json")
    assert (code, err) == (0, "")
    first = json.loads(out)
    assert first["written"] is True
    assert first["counts"] == {"add": 9, "replace": 0, "same": 0, "differs, kept": 0, "not taken over": 0}
    code, out, _ = run(capsys, source, "--to", target, "--yes", "--json")
    assert code == 0
    assert json.loads(out)["counts"]["same"] == 9
    code, out, _ = rota(capsys, "-s", target, "jobs", "--json", "--tz", "UTC")
    jobs = {job["id"]: job for job in json.loads(out)}
    assert jobs["interval"]["func"] == "shop:bill"
    assert jobs["interval"]["next_run_time"] == "2031-05-05T12:00:00+00:00"
    assert (jobs["paused"]["state"], jobs["paused"]["executor"]) == ("paused", "processes")


def test_what_differs_is_shown_and_replaced_if_asked_for(capsys, source, target):
    run(capsys, source, "--to", target, "--yes")
    code, out, _ = run(capsys, source, "--to", target, "--keep-grace")
    assert code == 0
    assert "interval differs from the job in the store in: options" in out
    assert "differs, kept: 8, " not in out
    code, out, _ = run(capsys, source, "--to", target, "--keep-grace", "--replace", "--yes", "--json")
    assert json.loads(out)["counts"]["replace"] == 8
    code, out, _ = run(capsys, source, "--to", target, "--keep-grace", "--yes", "--json")
    assert json.loads(out)["counts"]["same"] == 9


def test_a_job_that_cannot_be_taken_over_is_named_and_the_exit_code_says_so(capsys, target):
    code, out, _ = run(capsys, str(DATA / "export-3.11.3.json"), "--to", target, "--yes")
    assert code == 1
    assert "args[1]['who'][0]: shop.Customer is not taken over" in out
    assert "add: 9, not taken over: 1" in out


def test_the_store_of_the_environment_is_written_to(capsys, source, target, monkeypatch):
    monkeypatch.setenv("ROTA_JOBSTORE", target)
    assert run(capsys, source, "--yes")[0] == 0
    assert "interval" in rota(capsys, "jobs")[1]


@pytest.fixture
def many(tmp_path):
    """A source with 1,000 jobs that can be taken over and 30 that cannot."""
    path = tmp_path / "many.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript((DATA / "sqlite-3.11.3.sql").read_text())
        ((next_run, state),) = db.execute(
            "SELECT next_run_time, job_state FROM apscheduler_jobs WHERE id = 'interval'"
        )
        db.execute("DELETE FROM apscheduler_jobs")
        state = pickle.loads(state)
        for number in range(1000):
            state["id"] = f"job-{number:04}"
            db.execute(
                "INSERT INTO apscheduler_jobs VALUES (?, ?, ?)", (state["id"], next_run, pickle.dumps(state))
            )
        for number in range(30):
            db.execute(
                "INSERT INTO apscheduler_jobs VALUES (?, ?, ?)", (f"bad-{number}", next_run, b"no pickle")
            )
    db.close()
    return f"sqlite:///{path}"


def test_a_long_plan_is_a_summary_unless_all_jobs_are_asked_for(capsys, many, target):
    code, out, _ = run(capsys, many)
    assert code == 1
    head, *lines = out.splitlines()
    assert head.split() == ["JOBS", "ACTION", "CALLS", "FOR", "EXAMPLE"]
    assert lines[0].split() == ["1000", "add", "shop:bill", "job-0000"]
    assert len(lines) < 100
    assert out.count(" is not taken over:\n") == 20
    assert "and 10 more that differ or are not taken over; --all shows them" in out
    assert "add: 1000, not taken over: 30" in out
    code, everything, _ = run(capsys, many, "--all")
    assert all(f"\njob-{number:04} " in everything for number in range(1000))
    assert everything.count(" is not taken over:\n") == 30
    code, out, _ = run(capsys, many, "--json")
    assert len(json.loads(out)["jobs"]) == 1030


def test_many_jobs_are_written_and_one_that_came_in_between_is_left_alone(capsys, many, target):
    code, out, err = run(capsys, many, "--to", target, "--yes")
    assert (code, err) == (1, "")
    assert "add: 1000, not taken over: 30" in out
    store = SQLAlchemyJobStore(target, imports=False)
    store.start(None, "default")
    assert len(store.get_all_jobs()) == 1000
    store.remove_job("job-0007")
    plan = plan_import(many, store)
    store.remove_job("job-0300")
    planned = {job.id: job for job in plan}
    planned["job-0300"].action = planned["job-0008"].action = "add"  # what another process did meanwhile
    seen = []
    plan.carry_out(store, seen.append)
    assert (planned["job-0007"].action, planned["job-0300"].action) == ("add", "add")
    assert (planned["job-0008"].action, planned["job-0008"].differences) == (
        "differs, kept",
        ["added meanwhile"],
    )
    assert len(store.get_all_jobs()) == 1000
    assert seen == [250, 500, 750, 1000, 1030]
    store.shutdown()


@pytest.mark.skipif(os.name != "posix", reason="a pseudo terminal is needed")
def test_on_a_terminal_the_progress_is_shown(many, target):
    import pty
    import subprocess
    import sys

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "rota", "import", "apscheduler", many, "--to", target, "--yes"],
        env=environment(TERM="xterm", COLUMNS="80", LINES="24"),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                drawn += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
        assert process.wait(LIMIT) == 1
    os.close(ours)
    assert b"reading jobs" in drawn
    assert b"writing jobs" in drawn
    assert b"/1030" in drawn


def test_mistakes_are_said(capsys, source, target, tmp_path):
    assert run(capsys, source, "--yes", "--dry-run")[0] == 2
    code, _, err = run(capsys, source, "--yes")
    assert (code, "into which job store" in err) == (2, True)
    code, _, err = run(capsys, str(tmp_path / "nothing.json"))
    assert (code, "neither a file nor a URL" in err) == (1, True)
    code, _, err = run(capsys, f"sqlite:///{tmp_path / 'old.sqlite'}", "--name", "nothing")
    assert (code, "there are: apscheduler_jobs" in err) == (1, True)


def test_what_is_written_is_signed_if_there_is_a_key(capsys, source, target, monkeypatch):
    monkeypatch.setenv("ROTA_SIGNING_KEY", KEY)
    assert run(capsys, source, "--to", target, "--yes")[0] == 0
    store = SQLAlchemyJobStore(target, imports=False, signing_key=KEY)
    store.start(None, "default")
    assert all(job.error is None for job in store.get_all_jobs())
    store.shutdown()
    code, out, _ = run(capsys, source, "--to", target, "--yes", "--json")
    assert json.loads(out)["counts"]["same"] == 9
    monkeypatch.delenv("ROTA_SIGNING_KEY")
    code, _, err = run(capsys, source, "--to", target, "--yes")
    assert code == 1
    assert "ROTA_SIGNING_KEY" in err


def test_guests_without_the_key_pause_and_resume_signed_jobs_without_harm(
    capsys, source, target, monkeypatch
):
    monkeypatch.setenv("ROTA_SIGNING_KEY", KEY)
    run(capsys, source, "--to", target, "--yes")
    monkeypatch.delenv("ROTA_SIGNING_KEY")
    assert rota(capsys, "-s", target, "pause", "interval")[0] == 0
    assert rota(capsys, "-s", target, "resume", "interval")[0] == 0
    monkeypatch.setenv("ROTA_SIGNING_KEY", KEY)
    _, out, _ = rota(capsys, "-s", target, "jobs", "--json")
    assert {job["state"] for job in json.loads(out)} == {"active", "paused"}


def test_no_password_is_shown(capsys, source, monkeypatch):
    need("psycopg", "postgresql")
    for arguments in (
        ("import", "apscheduler", "postgresql://user:secret@127.0.0.1:1/db"),
        ("import", "apscheduler", source, "--to", "postgresql://user:secret@127.0.0.1:1/db", "--yes"),
        ("import", "apscheduler", source, "--to", "postgresql://user:secret@127.0.0.1:1/db"),
        ("-s", "postgresql://user:secret@127.0.0.1:1/db", "jobs"),
        ("-s", "sqlite+nothing://user:secret@host/x", "jobs"),
        ("-s", "postgresql://user:secret@host:port/x", "jobs"),
        ("-s", "nothing://user:secret@host/x", "jobs"),
        ("-s", "redis://user:secret@127.0.0.1:1/0", "jobs"),
    ):
        code, out, err = rota(capsys, *arguments)
        assert code == 1, arguments
        assert "secret" not in out + err
