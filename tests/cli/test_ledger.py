"""`rota runs`, `run-info`, `failures`, `explain --job`, `top`, `nodes`, `cancel`, `skip-next`, `hold`, `release`, `drain`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from rota import current_run
from rota.clock import moment
from rota.testing import ManualScheduler, VirtualClock
from tests.cli.processes import rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")
need("sqlalchemy", "sql")


def work(word):
    current_run().heartbeat(progress=0.5)
    if word == "broken":
        raise ValueError("no such file: broken")
    return word


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler in virtual time that has run three jobs for some minutes, on a store that others look into."""
    scheduler = ManualScheduler(
        jobstores={"default": f"sqlite:///{tmp_path / 'rota.sqlite'}"}, timezone="UTC"
    )
    scheduler.start()
    for id, tags in (("good", ["feeds"]), ("broken", ["feeds", "fragile"]), ("other", [])):
        scheduler.add_job(work, "interval", minutes=1, id=id, args=[id], tags=tags)
    scheduler.advance(minutes=3, seconds=1)
    yield scheduler
    scheduler.shutdown()


@pytest.fixture
def ask(capsys, tmp_path, scheduler):
    """Return a function that carries out a command on the store, and returns what it prints as JSON, or as text."""

    def ask(*words, code=0, text=False):
        extra = [] if text else ["--json"]
        found, out, err = rota(capsys, "-s", f"sqlite:///{tmp_path / 'rota.sqlite'}", *words, *extra)
        assert found == code, err
        return err if code else out if text else json.loads(out)

    return ask


def test_runs_are_searched(ask):
    assert len(ask("runs")) == 9
    assert {run["job_id"] for run in ask("runs", "--status", "failed")} == {"broken"}
    assert {run["job_id"] for run in ask("runs", "--tag", "feeds")} == {"good", "broken"}
    assert {run["job_id"] for run in ask("runs", "--tag", "feeds", "--tag", "fragile")} == {"broken"}
    assert len(ask("runs", "--job", "good", "--limit", "2")) == 2
    assert len(ask("runs", "--text", "NO SUCH file")) == 3
    assert ask("runs", "--until", "2029-01-01T00:00:00+00:00") == []
    first = ask("runs", "--job", "good")[-1]
    assert len(ask("runs", "--job", "good", "--since", first["scheduled"])) == 3
    assert "there is no job 'goo' in the store; did you mean" in ask("runs", "--job", "goo", code=1)
    assert "--since: 'yesterday' is no time" in ask("runs", "--since", "yesterday", code=2)
    assert "there is no status 'fail'" in ask("runs", "--status", "fail", code=2)


def test_jobs_with_all_of_some_tags_are_listed_the_next_one_first(ask, scheduler, monkeypatch):
    def listed(*options):
        return [job["id"] for job in ask("jobs", *options)]

    scheduler.add_job(work, "interval", seconds=1, id="soon", args=["soon"], tags={"feeds"})
    scheduler.add_job(
        work, "date", run_date=scheduler.clock.datetime(), id="once", args=["broken"], tags={"feeds"}
    )
    scheduler.advance(seconds=0)
    assert listed("--tag", "feeds") == ["soon", "broken", "good"]
    assert listed("--tag", "feeds", "--tag", "fragile") == ["broken"]
    assert listed("--tag", "nothing") == []
    assert listed("--tag", "feeds", "-n", "1", "--offset", "1") == ["broken"]
    assert listed("--tag", "feeds", "--state", "ended") == ["once"]
    both = ("--tag", "feeds", "--state", "active", "--state", "ended")
    assert listed(*both) == ["soon", "broken", "good", "once"]
    monkeypatch.setattr("rota.cli.stores._PAGE", 1)
    assert listed(*both) == ["soon", "broken", "good", "once"]
    assert listed(*both, "-n", "1", "--offset", "2") == ["good"]
    scheduler.pause_job("soon")
    assert listed("--tag", "feeds") == ["broken", "good", "soon"]
    assert listed("--tag", "feeds", "--state", "paused") == ["soon"]


def test_runs_of_more_jobs_with_a_tag_than_one_question_takes_are_found_in_their_order(ask, monkeypatch):
    everything = ask("runs", "--tag", "feeds")
    assert len(everything) == 6
    monkeypatch.setattr("rota.cli.ledger.MOST_VALUES", 1)
    assert ask("runs", "--tag", "feeds") == everything
    assert ask("runs", "--tag", "feeds", "--limit", "3", "--offset", "1") == everything[1:4]
    assert ask("runs", "--tag", "nothing") == []


def test_one_run_is_shown_with_all_that_is_known_of_it(ask):
    failed = ask("runs", "--job", "broken")[0]
    run = ask("run-info", "broken", failed["scheduled"])
    assert (run["status"], run["error_type"], run["nominal"]) == ("failed", "ValueError", failed["nominal"])
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["failed"]
    shown = ask("run-info", "broken", str(failed["nominal"]), text=True)
    assert "status:    failed" in shown
    assert "traceback:\n" in shown
    assert "ValueError: no such file: broken" in shown
    assert run["last_heartbeat"].endswith("+00:00")
    assert f"heartbeat: {run['last_heartbeat']}" in shown
    assert "has no record of 2020" in ask("run-info", "broken", "2020-01-01T00:00", code=1)


def test_failures_are_grouped(ask, scheduler):
    (group,) = ask("failures")
    assert (group["job_id"], group["error_type"], group["count"], group["still_failing"]) == (
        "broken",
        "ValueError",
        3,
        True,
    )
    scheduler.modify_job("broken", args=["repaired"])
    scheduler.advance(minutes=1)
    (group,) = ask("failures")
    assert (group["count"], group["still_failing"]) == (3, False)
    assert "has succeeded since" in ask("failures", text=True)


def test_the_nodes_and_what_runs_are_listed(ask):
    (node,) = ask("nodes")
    assert (node["under_way"], node["draining"]) == (0, False)
    assert ask("top") == []
    assert "nothing runs" in ask("top", text=True)  # once, as this is no terminal


def test_a_time_is_left_out_and_the_next_one_runs(ask, scheduler):
    following = scheduler.get_job("good").next_run_time
    done = ask("skip-next", "good")
    assert (done["run"]["status"], done["run"]["reason"]) == ("cancelled", "skipped ahead")
    later = (following + timedelta(minutes=2)).isoformat()
    assert ask("cancel", "good", later, "--reason", "holiday")["run"]["status"] == "cancelled"
    scheduler.advance(minutes=4)
    statuses = [run.status for run in reversed(scheduler.get_runs("good"))]
    assert statuses[3:] == ["cancelled", "succeeded", "cancelled", "succeeded"]
    assert "must be a time to come" in ask("cancel", "good", "2020-01-01T00:00", code=1)


def test_a_run_is_executed_once_more(ask, scheduler):
    (run,) = scheduler.get_runs("broken", limit=1)
    done = ask("rerun", "broken", run.scheduled_run_time.isoformat())["run"]
    assert (done["job_id"], done["status"], done["attempt"]) == ("broken", "waiting", 1)
    assert "has not ended" in ask("rerun", "broken", run.scheduled_run_time.isoformat(), code=1)
    scheduler.run_job("other")  # in virtual time a node asks its store when somebody here has said something
    scheduler.advance(seconds=1)
    again = scheduler.get_run("broken", run.scheduled_run_time)
    assert [attempt.outcome for attempt in again.attempts] == ["failed", "failed"]
    assert "must be a time of job" in ask("rerun", "broken", "2020-01-01T00:00", code=1)


def test_times_are_taken_as_they_are_printed(ask, scheduler):
    scheduler.clock.advance(0.25)
    run = scheduler.run_job("other")
    scheduler.advance(seconds=1)
    assert scheduler.get_runs("other", limit=1)[0].nominal % 1_000_000
    printed = run.scheduled_run_time.replace(microsecond=0).isoformat(sep=" ")
    assert ask("run-info", "other", printed)["status"] == "succeeded"
    assert "succeeded" in ask("explain", "--job", "other", "--at", printed)["why"]
    assert ask("rerun", "other", printed)["run"]["status"] == "waiting"
    assert ask("cancel", "other", printed)["run"]["status"] == "cancelled"


def test_jobs_are_held_and_released(ask, scheduler):
    assert ask("hold", "--tag", "feeds", "--note", "migration") == {"did": "hold", "jobs": 2}
    assert "on hold" in ask("explain", "--job", "good")["why"]
    assert "migration" in ask("explain", "--job", "good")["why"]
    assert ask("release", "--all")["jobs"] == 2
    assert scheduler.get_job("good").state == "active"
    assert "give one of --tag TAG, --executor ALIAS and --all" in ask("hold", code=2)
    assert ask("hold", "--tag", "nosuch", code=1) == "error: there is no job with the tag 'nosuch'\n"
    assert "give one of --tag TAG" in ask("release", "--all", "--tag", "feeds", code=2)


def test_a_node_drains(ask, scheduler):
    (node,) = ask("nodes")
    assert ask("drain", node["id"])["draining"]
    scheduler.run_job("other")  # in virtual time a node asks its store when somebody here has said something
    scheduler.advance(seconds=1)
    before = len(scheduler.get_runs(limit=100))
    scheduler.advance(minutes=2)
    assert len(scheduler.get_runs(limit=100)) == before
    assert not ask("drain", node["id"], "--undo")["draining"]
    assert "there is no node 'nobody'" in ask("drain", "nobody", code=1)


def test_it_is_said_why_something_did_not_run(ask, scheduler):
    failed = ask("runs", "--job", "broken")[0]
    assert (
        "failed: ValueError: no such file: broken"
        in ask("explain", "--job", "broken", "--at", failed["scheduled"])["why"]
    )
    assert "Its time has not come" in ask("explain", "--job", "good")["why"]
    scheduler.pause_job("good", note="the disk is full")
    assert "paused" in ask("explain", "--job", "good")["why"]
    assert "the disk is full" in ask("explain", "--job", "good", text=True)
    odd = moment(scheduler.clock.now()) + timedelta(seconds=7)
    assert "is no time of its schedule" in ask("explain", "--job", "other", "--at", odd.isoformat())["why"]
    assert "there is no job 'none'" in ask("explain", "--job", "none", code=1)


@pytest.fixture
def late(tmp_path):
    """A scheduler whose job has been paused for five minutes; the command line knows the real time only."""
    clock = VirtualClock(datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=8))
    scheduler = ManualScheduler(
        jobstores={"default": f"sqlite:///{tmp_path / 'rota.sqlite'}"}, timezone="UTC", clock=clock, lease=60
    )
    scheduler.start()
    scheduler.add_job(work, "interval", minutes=1, id="late", args=["late"])
    scheduler.advance(minutes=2, seconds=1)
    scheduler.pause_job("late")
    scheduler.advance(minutes=5)
    yield scheduler
    scheduler.shutdown()


def test_missing_times_are_shown_and_run(ask, late):
    late.resume_job("late")
    first, last = (moment(late.clock.now()) + timedelta(minutes=each) for each in (-8, 0))
    words = "backfill", "late", first.isoformat(), last.isoformat()
    shown = ask(*words, "--dry-run")
    assert (shown["times"], shown["dry_run"]) == (5, True)
    assert shown["first"] < shown["last"]
    told = ask(*words, "--dry-run", text=True)
    assert f"late: 5 times missing, {shown['first']} to {shown['last']}: would run" in told
    assert ask("runs", "--job", "late", "--status", "waiting") == []
    assert ask(*words)["times"] == 5
    assert len(ask("runs", "--job", "late", "--status", "waiting")) == 5
    late.advance(minutes=4)
    assert {run["status"] for run in ask("runs", "--job", "late", "--limit", "1000")} == {"succeeded"}
    assert "late: no times missing" in ask(*words, text=True)
    assert "7 times in all" in ask(*words, "--all", "--dry-run", text=True)


def test_a_backfill_is_cancelled(ask, late):
    first, last = (moment(late.clock.now()) + timedelta(minutes=each) for each in (-2.5, 0))
    words = "backfill", "late", first.isoformat(), last.isoformat()
    assert ask(*words)["times"] == 3
    assert "has a backfill already" in ask(*words[:2], "2h", "--all", code=1)
    assert ask("backfill", "late", "--cancel") == {"job_id": "late", "cancelled": 3}
    assert "late: 0 waiting runs were cancelled" in ask("backfill", "late", "--cancel", text=True)


def test_a_backfill_without_a_range_or_a_job_says_so(ask):
    assert "START is missing" in ask("backfill", "good", code=2)
    assert "START: 'monday' is no time" in ask("backfill", "good", "monday", code=2)
    assert "did you mean" in ask("backfill", "goo", "3d", code=1)
    assert "did you mean" in ask("backfill", "goo", "--cancel", code=1)


def test_failures_say_since_when_a_job_fails(ask, scheduler):
    scheduler.modify_job("good", args=["broken"])
    scheduler.advance(minutes=2)
    found = {each["job_id"]: each for each in ask("failures")}
    assert found["good"]["failing_since"] == found["good"]["first"]
    scheduler.modify_job("good", args=["good"])
    scheduler.advance(minutes=1)
    scheduler.modify_job("good", args=["broken"])
    scheduler.advance(minutes=2)
    (good,) = [each for each in ask("failures") if each["job_id"] == "good"]
    since = datetime.fromisoformat(good["failing_since"]) - datetime.fromisoformat(good["first"])
    assert (good["count"], since) == (4, timedelta(minutes=3))
    assert "fails since" in ask("failures", text=True)


def test_errors_speak_of_commands_and_not_of_calls(ask, scheduler):
    """See tests/cli/test_wording.py for all of them."""
    begin = moment(scheduler.get_runs("good")[0].nominal)
    waiting = ask("rerun", "good", begin.isoformat())["run"]["nominal"]
    assert "rota cancel stops it" in ask("rerun", "good", str(waiting), code=1)
    ask("hold", "--tag", "fragile")
    assert "rota release jobs among which it is now" in ask("resume", "broken", code=1)
    assert "; rota runs --job good shows them, and rota trigger runs it" in ask(
        "rerun", "good", "2020-01-01T00:00:00", code=1
    )
