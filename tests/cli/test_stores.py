"""`rota jobs`, `runs`, `pause`, `resume`, `trigger`, `remove`: what they do to a store, and that they run nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from datetime import UTC, datetime, timedelta

import pytest

from rota.clock import SYSTEM_CLOCK, instant
from rota.commands import run_command
from rota.core.states import CLAIMED
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler
from tests.cli.processes import LIMIT, rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")
need("sqlalchemy", "sql")

from rota.cli.stores import make_private, make_store  # noqa: E402
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: E402

LATER = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'rota.sqlite'}"


def scheduler_on(url):
    return BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(url=url)}, timezone="UTC")


@pytest.fixture
def filled(url):
    """Jobs in a store, and nobody who runs them."""
    scheduler = scheduler_on(url)
    scheduler.start(paused=True)
    scheduler.add_job("builtins:len", "interval", args=[[1, 2]], hours=1, id="count", name="count things")
    scheduler.add_job("builtins:len", "cron", args=[[1]], hour=3, id="nightly")
    scheduler.add_job("builtins:len", "date", args=[[]], run_date=LATER, id="once")
    scheduler.shutdown()
    return url


def forget_code(url, job_id):
    """Let a job call what this process cannot import, as the jobs of other programs do."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
        db.execute("UPDATE rota_jobs SET func = 'elsewhere.tasks:work' WHERE id = ?", [job_id])
    db.close()


def rows(url):
    with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
        tables = ("rota_jobs", "rota_runs", "rota_nodes", "rota_meta")
        found = {table: sorted(db.execute(f"SELECT * FROM {table}")) for table in tables}
    db.close()
    return found


def jobs(capsys, url):
    code, out, err = rota(capsys, "-s", url, "jobs", "--json", "--tz", "UTC")
    assert (code, err) == (0, "")
    return {job["id"]: job for job in json.loads(out)}


# -- looking -----------------------------------------------------------------------------------------------------


def test_jobs_are_listed_as_a_table_and_as_json(capsys, filled):
    code, out, _ = rota(capsys, "jobs", "-s", filled)
    assert code == 0
    head, *lines = out.splitlines()
    assert head.split() == ["ID", "STATE", "NEXT", "RUN", "TRIGGER", "CALLS"]
    assert sorted(line.split()[0] for line in lines) == ["count", "nightly", "once"]
    assert lines[2].startswith("once ")  # which of the others comes first depends on the time of day
    assert any(line.startswith("nightly ") and "cron hour=3" in line for line in lines)
    found = jobs(capsys, filled)
    assert found["once"] == {
        "id": "once",
        "name": "len",
        "func": "builtins:len",
        "trigger": "date[2099-01-01 00:00:00 UTC]",
        "timezone": "UTC",
        "executor": "default",
        "state": "active",
        "next_run_time": "2099-01-01T00:00:00+00:00",
        "running": 0,
        "error": None,
    }


def test_the_zone_of_a_trigger_is_listed_and_the_command_of_a_crontab_job(capsys, filled):
    scheduler = scheduler_on(filled)
    scheduler.start(paused=True)
    scheduler.add_job("builtins:len", "cron", args=[[]], hour=3, timezone="Asia/Tokyo", id="abroad")
    scheduler.add_job(run_command, "cron", args=["backup  --all"], hour=3, id="backup-0")
    scheduler.shutdown()
    _, out, _ = rota(capsys, "-s", filled, "jobs", "--tz", "UTC")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "cron hour=3 Asia/Tokyo" in lines["abroad"]
    assert "Asia" not in lines["nightly"]
    assert lines["backup-0"].endswith("  $ backup --all")
    assert jobs(capsys, filled)["abroad"]["timezone"] == "Asia/Tokyo"


def test_a_damaged_command_stops_no_listing(capsys, filled):
    scheduler = scheduler_on(filled)
    scheduler.start(paused=True)
    scheduler.add_job(run_command, "cron", args=["backup"], hour=3, id="backup-0")
    scheduler.shutdown()
    for args in ("[]", "[5]", "{no json", ""):
        with sqlite3.connect(filled.removeprefix("sqlite:///")) as db:
            db.execute("UPDATE rota_jobs SET args = ? WHERE id = 'backup-0'", [args])
        db.close()
        code, out, _ = rota(capsys, "-s", filled, "jobs")
        assert code == 0
        (line,) = (line for line in out.splitlines() if line.startswith("backup-0"))
        assert line.endswith("rota.commands:run_command")


def test_jobs_are_listed_by_state_and_in_pages(capsys, filled):
    rota(capsys, "-s", filled, "pause", "count")

    def listed(*options):
        code, out, _ = rota(capsys, "-s", filled, "jobs", "--json", *options)
        assert code == 0
        return [job["id"] for job in json.loads(out)]

    assert listed("--state", "paused") == ["count"]
    assert listed("--state", "active", "--state", "paused", "-n", "2") == ["nightly", "once"]
    assert listed("-n", "2", "--offset", "2") == ["count"]
    code, _, err = rota(capsys, "-s", filled, "jobs", "--state", "pased")
    assert code == 2
    assert err == (
        "error: --state: there is no state 'pased'; did you mean 'paused'?; there are active, paused, quarantined, ended\n"
    )


def failing():
    raise ValueError("wrong")


def test_a_job_whose_schedule_is_over_is_listed_where_it_is_asked_for(capsys, tmp_path):
    url = f"sqlite:///{tmp_path / 'ended.sqlite'}"
    scheduler = ManualScheduler(jobstores={"default": url})
    scheduler.start()
    scheduler.add_job(failing, id="once")
    scheduler.add_job(failing, "interval", hours=1, id="often")
    scheduler.advance(seconds=1)
    scheduler.shutdown()

    def listed(*options):
        code, out, _ = rota(capsys, "-s", url, "jobs", "--json", *options)
        assert code == 0
        return [(job["id"], job["state"]) for job in json.loads(out)]

    assert listed() == [("often", "active")]
    assert listed("--state", "ended") == [("once", "ended")]
    assert listed("--state", "ended", "--state", "active") == [("often", "active"), ("once", "ended")]
    assert listed("--state", "ended", "--state", "active", "-n", "1", "--offset", "1") == [("once", "ended")]
    code, out, _ = rota(capsys, "-s", url, "explain", "--job", "once")
    assert (code, "and failed: " in out) == (0, True)
    code, out, _ = rota(capsys, "-s", url, "remove", "once")
    assert (code, out) == (0, "once: removed\n")
    assert listed("--state", "ended") == []


def test_the_store_may_be_named_by_the_environment(capsys, filled, monkeypatch):
    monkeypatch.setenv("ROTA_JOBSTORE", filled)
    assert rota(capsys, "jobs")[0] == 0


def test_the_store_that_is_named_before_or_behind_the_command_outweighs_the_environment(
    capsys, filled, monkeypatch
):
    monkeypatch.setenv("ROTA_JOBSTORE", "sqlite:////no/such/folder/jobs.sqlite")
    assert rota(capsys, "jobs")[0] == 1
    assert rota(capsys, "-s", filled, "jobs")[0] == 0
    assert rota(capsys, "jobs", "-s", filled)[0] == 0


def test_looking_changes_nothing_even_where_code_cannot_be_imported(capsys, filled):
    forget_code(filled, "count")
    before = rows(filled)
    for arguments in (["jobs"], ["jobs", "--json"], ["runs"], ["runs", "--json"]):
        assert rota(capsys, "-s", filled, *arguments)[0] == 0
    assert rows(filled) == before


def test_a_job_whose_code_is_elsewhere_is_listed_as_its_store_has_it(capsys, filled):
    before = jobs(capsys, filled)["count"]
    forget_code(filled, "count")
    assert jobs(capsys, filled)["count"] == {**before, "func": "elsewhere.tasks:work"}


def test_looking_and_changing_import_no_code_of_the_jobs(capsys, filled, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "tasks.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_code(filled, "count")
    for command in (["jobs"], ["runs"], ["pause", "count"], ["resume", "count"], ["trigger", "count"]):
        assert rota(capsys, "-s", filled, *command)[0] == 0
    assert "elsewhere" not in sys.modules


def test_a_quarantined_job_is_listed_with_the_reason(capsys, filled):
    forget_code(filled, "count")
    scheduler = scheduler_on(filled)
    scheduler.start(paused=True)
    scheduler.modify_job("count", next_run_time=datetime(2020, 1, 1, tzinfo=UTC))
    scheduler.resume()
    wait_until(lambda: jobs(capsys, filled)["count"]["state"] == "quarantined")
    scheduler.shutdown()
    code, out, err = rota(capsys, "-s", filled, "jobs")
    assert code == 0
    assert "quarantined" in out
    assert "count is quarantined: it could not be restored: " in err
    assert "elsewhere" in err


def wait_until(condition):
    import threading
    import time

    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        threading.Event().wait(0.05)


def test_an_empty_store_has_no_jobs_and_no_runs(capsys, url):
    scheduler = scheduler_on(url)
    scheduler.start(paused=True)
    scheduler.shutdown()
    assert rota(capsys, "-s", url, "jobs") == (0, "no jobs\n", "")
    assert rota(capsys, "-s", url, "runs") == (0, "no runs\n", "")
    assert rota(capsys, "-s", url, "jobs", "--json") == (0, "[]\n", "")


def test_runs_are_listed_newest_first_and_can_be_chosen(capsys, url):
    scheduler = scheduler_on(url)
    past = datetime.now(UTC) - timedelta(seconds=30)
    scheduler.add_job("builtins:len", "interval", args=[[1, 2]], seconds=10, next_run_time=past, id="count")
    scheduler.add_job("builtins:int", args=["x"], id="wrong")
    scheduler.start()
    wait_until(lambda: len(scheduler.get_runs()) == 3 and not scheduler.get_runs(status=CLAIMED))
    scheduler.shutdown()

    def runs(*arguments):
        code, out, err = rota(capsys, "-s", url, "runs", "--json", *arguments)
        assert (code, err) == (0, "")
        return json.loads(out)

    assert [run["scheduled"] for run in runs()] == sorted((run["scheduled"] for run in runs()), reverse=True)
    assert {run["job_id"] for run in runs()} == {"count", "wrong"}
    ran, skipped = runs("--job", "count")
    assert (ran["status"], ran["result"]) == ("succeeded", 2)
    assert (skipped["status"], skipped["reason"], skipped["count"]) == ("skipped", "coalesced", 3)
    (wrong,) = runs("--status", "failed")
    assert (wrong["job_id"], wrong["error_type"]) == ("wrong", "ValueError")
    assert len(runs("--status", "failed", "--status", "skipped")) == 2
    assert len(runs("-n", "1")) == 1
    _, out, _ = rota(capsys, "-s", url, "runs")
    assert "ValueError: invalid literal" in out
    assert "3 times up to " in out


# -- changing ----------------------------------------------------------------------------------------------------


def test_a_job_is_paused_resumed_and_removed(capsys, filled):
    assert rota(capsys, "-s", filled, "pause", "nightly") == (0, "nightly: paused\n", "")
    assert (jobs(capsys, filled)["nightly"]["state"], jobs(capsys, filled)["nightly"]["next_run_time"]) == (
        "paused",
        None,
    )
    code, out, _ = rota(capsys, "-s", filled, "resume", "nightly", "--tz", "UTC")
    assert code == 0
    assert out.startswith("nightly: active, next run ")
    assert out.endswith("T03:00:00+00:00\n")
    assert rota(capsys, "-s", filled, "remove", "nightly") == (0, "nightly: removed\n", "")
    assert set(jobs(capsys, filled)) == {"count", "once"}


def test_a_change_of_a_job_whose_code_is_elsewhere_leaves_the_rest_of_it_alone(capsys, filled):
    forget_code(filled, "count")
    before = {row[0]: row for row in rows(filled)["rota_jobs"]}["count"]
    assert rota(capsys, "-s", filled, "pause", "count")[0] == 0
    assert jobs(capsys, filled)["count"]["state"] == "paused"
    assert rota(capsys, "-s", filled, "resume", "count")[0] == 0
    assert jobs(capsys, filled)["count"]["state"] == "active"
    after = {row[0]: row for row in rows(filled)["rota_jobs"]}["count"]
    texts = slice(0, 8)  # id, name, func, trigger, args, kwargs, options, executor
    assert after[texts] == before[texts]


def test_a_job_whose_schedule_is_over_is_removed_by_resume(capsys, filled):
    scheduler = scheduler_on(filled)
    scheduler.start(paused=True)
    scheduler.add_job("builtins:len", "cron", args=[[]], year=2020, id="over", next_run_time=None)
    scheduler.shutdown()
    assert jobs(capsys, filled)["over"]["state"] == "paused"
    assert rota(capsys, "-s", filled, "resume", "over") == (0, "over: removed, its schedule is over\n", "")
    assert "over" not in jobs(capsys, filled)


def test_changes_answer_in_json_too(capsys, filled):
    code, out, _ = rota(capsys, "-s", filled, "pause", "nightly", "--json")
    assert code == 0
    answer = json.loads(out)
    assert (answer["id"], answer["did"], answer["job"]["state"]) == ("nightly", "pause", "paused")
    _, out, _ = rota(capsys, "-s", filled, "remove", "nightly", "--json")
    assert json.loads(out) == {"id": "nightly", "did": "remove", "job": None}


@pytest.mark.parametrize("job_id", ["count", "nightly"])
def test_a_triggered_job_runs_once_and_its_schedule_stays_as_it_is(capsys, filled, job_id):
    planned = jobs(capsys, filled)[job_id]["next_run_time"]
    asked = SYSTEM_CLOCK.now()
    code, out, _ = rota(capsys, "-s", filled, "trigger", job_id)
    assert code == 0
    assert out == (
        f"{job_id}: a run is asked for; no scheduler runs this store now, so it waits until one with an executor "
        "'default' is started\n"
    )
    assert jobs(capsys, filled)[job_id]["next_run_time"] == planned
    scheduler = scheduler_on(filled)
    scheduler.start()
    wait_until(lambda: any(run.status == "succeeded" for run in scheduler.get_runs(job_id)))
    (run,) = scheduler.get_runs(job_id)
    assert (run.attempt, run.count) == (1, 1)
    assert asked <= run.nominal <= SYSTEM_CLOCK.now()
    assert scheduler.get_job(job_id).next_run_time.isoformat(timespec="seconds") == planned
    following = scheduler.get_job(job_id)
    assert following.running == 0
    assert following.next_nominal == instant(following.next_run_time)
    scheduler.shutdown()
    assert rows(filled)["rota_nodes"] == []


def test_a_paused_job_runs_once_when_it_is_triggered_and_stays_paused(capsys, filled):
    rota(capsys, "-s", filled, "pause", "count")
    code, out, _ = rota(capsys, "-s", filled, "trigger", "count", "--json")
    assert code == 0
    assert json.loads(out)["run"]["status"] == "waiting"
    scheduler = scheduler_on(filled)
    scheduler.start()
    wait_until(lambda: any(run.status == "succeeded" for run in scheduler.get_runs("count")))
    assert scheduler.get_job("count").state == "paused"
    scheduler.shutdown()


def test_a_run_that_is_asked_for_is_promised_only_where_a_scheduler_is_alive(capsys, filled):
    rota(capsys, "-s", filled, "pause", "count")
    scheduler = scheduler_on(filled)
    scheduler.start()
    wait_until(lambda: rows(filled)["rota_nodes"])
    code, out, _ = rota(capsys, "-s", filled, "trigger", "count")
    assert (code, out) == (0, "count: a run is asked for; whoever runs this store takes it within seconds\n")
    wait_until(lambda: any(run.status == "succeeded" for run in scheduler.get_runs("count")))
    code, out, _ = rota(capsys, "-s", filled, "trigger", "nightly", "--json")
    assert (code, json.loads(out)["living_nodes"]) == (0, 1)
    scheduler.shutdown()
    _, out, _ = rota(capsys, "-s", filled, "trigger", "once", "--json")
    assert json.loads(out)["living_nodes"] == 0


def test_a_job_whose_code_is_elsewhere_can_be_triggered(capsys, filled):
    forget_code(filled, "count")
    assert rota(capsys, "-s", filled, "trigger", "count")[0] == 0
    (run,) = rows(filled)["rota_runs"]
    assert run[0] == "count"


def test_a_job_that_is_triggered_twice_runs_twice_when_it_may(capsys, filled):
    rota(capsys, "-s", filled, "pause", "count")
    assert rota(capsys, "-s", filled, "trigger", "count")[0] == 0
    assert rota(capsys, "-s", filled, "trigger", "count")[0] == 0
    assert rows(filled)["rota_nodes"] == []
    scheduler = scheduler_on(filled)
    scheduler.start()
    wait_until(lambda: [run.status for run in scheduler.get_runs("count")] == ["succeeded", "succeeded"])
    scheduler.shutdown()


# -- what is wrong -----------------------------------------------------------------------------------------------


def test_without_a_command_the_help_is_shown_and_nothing_else(capsys):
    for arguments in ((), ("import",)):
        code, out, err = rota(capsys, *arguments)
        assert (code, err) == (2, "")
        assert "Usage" in out


def test_an_unknown_job_is_an_error_with_a_suggestion(capsys, filled):
    for command in (("pause",), ("resume",), ("trigger",), ("remove",), ("runs", "--job")):
        code, out, err = rota(capsys, "-s", filled, *command, "nigthly")
        assert (code, out) == (1, "")
        assert err == "error: there is no job 'nigthly' in the store; did you mean 'nightly'?\n"


def test_a_wrong_store_is_an_error_and_is_not_made(capsys, tmp_path):
    code, _, err = rota(capsys, "jobs")
    assert code == 2
    assert err.startswith("error: which job store? Give its URL by --jobstore (-s)")
    code, _, err = rota(capsys, "-s", f"sqlite:///{tmp_path}/missing.sqlite", "jobs")
    assert (code, err) == (1, f"error: there is no file {tmp_path}/missing.sqlite\n")
    code, _, err = rota(capsys, "-s", "jobs.sqlite", "jobs")
    assert code == 2
    assert "write sqlite:///jobs.sqlite" in err
    sqlite3.connect(tmp_path / "other.sqlite").close()
    code, _, err = rota(capsys, "-s", f"sqlite:///{tmp_path}/other.sqlite", "jobs")
    assert code == 1
    assert err.startswith("error: no job store of Rota at ")
    assert err.endswith(" do not exist; a scheduler that is started on it makes what is missing\n")
    assert not (tmp_path / "missing.sqlite").exists()
    with sqlite3.connect(tmp_path / "other.sqlite") as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == []
    db.close()


def test_a_table_of_another_name_can_be_looked_into(capsys, url):
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=url, tablename="tasks")}, timezone="UTC"
    )
    scheduler.start(paused=True)
    scheduler.add_job("builtins:len", "date", args=[[]], run_date=LATER, id="there")
    scheduler.shutdown()
    _, out, _ = rota(capsys, "-s", url, "jobs", "--table", "tasks", "--json")
    assert [job["id"] for job in json.loads(out)] == ["there"]
    assert rota(capsys, "-s", url, "jobs")[0] == 1


def test_an_unknown_status_is_a_usage_error_with_a_suggestion(capsys, filled):
    code, _, err = rota(capsys, "-s", filled, "runs", "--status", "suceeded")
    assert code == 2
    assert "did you mean 'succeeded'?" in err


def test_unknown_commands_and_options_are_usage_errors(capsys):
    for arguments in (["jbos"], ["jobs", "--jsn"], ["pause"], ["run"]):
        code, _, err = rota(capsys, *arguments)
        assert code == 2
        assert err.startswith("error: ")
        assert "--help" in err


def test_help_and_version_are_no_errors(capsys):
    code, out, err = rota(capsys, "--version")
    assert (code, err) == (0, "")
    assert out.startswith("rota 0.")
    for arguments in (["--help"], ["run", "-h"], ["runs", "--help"]):
        code, out, err = rota(capsys, *arguments)
        assert (code, err) == (0, "")
        assert "Usage: rota" in out


# -- what the command line makes -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("query", ["", "?timeout=5"])
def test_a_file_that_the_command_line_makes_can_be_read_by_nobody_else(tmp_path, query):
    path = tmp_path / "made.sqlite"
    before = os.umask(0)
    try:
        store = make_store(f"sqlite:///{path}{query}")
        make_private(f"sqlite:///{path}{query}")
        scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC")
        scheduler.start(paused=True)
        scheduler.add_job("builtins:len", "interval", args=[[1, 2]], hours=1)
        made = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
        scheduler.shutdown()
    finally:
        os.umask(before)
    assert "made.sqlite-wal" in made
    assert set(made.values()) == {0o600}, made


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_a_file_that_is_there_keeps_its_mode(tmp_path):
    path = tmp_path / "there.sqlite"
    path.touch(0o640)
    path.chmod(0o640)
    make_private(f"sqlite:///{path}")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:some?mode=memory&uri=true"]
)
def test_no_file_is_made_for_a_store_in_memory(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    make_private(url)
    assert list(tmp_path.iterdir()) == []


# -- what the command line shows of URLs ---------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize(
    "rest", ["s3cr3t@host/d", "u:s3cr3t@host:port/d", "u:x/s3cr3t@host/d", "host/d?password=s3cr3t&x=1"]
)
@pytest.mark.parametrize("scheme", ["nothing", "postgresql", "redis", "mongodb", "etcd", "zk", ""])
def test_no_url_that_is_refused_is_shown_with_its_secret(capsys, scheme, rest, debug):
    url = f"{scheme}://{rest}" if scheme else rest.replace("/d?password=s3cr3t&x=1", "")
    commands = [["-s", url, "jobs"], ["import", "apscheduler", url], ["jobs", "--nothing", url]]
    if not scheme:  # nobody can know that it was meant as a URL
        commands.pop()
    if scheme in ("mongodb", "redis", "zk", "postgresql") and "port" not in rest:
        commands = commands[2:]  # they would look for the host
    for command in commands:
        code, out, err = rota(capsys, *debug, *command)
        assert code in (1, 2)
        assert "s3cr3t" not in out + err
        assert err
