"""`rota sign`: jobs from before there was a key, and keys that are changed."""

from __future__ import annotations

import json
import sqlite3

import pytest

from rota.core.states import QUARANTINED
from rota.schedulers.background import BackgroundScheduler
from tests.cli.processes import rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")
need("sqlalchemy", "sql")

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: E402

OLD, NEW = "the-first-of-two-keys", "the-second-of-two-keys"


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    fill(url, "one", "two")
    return url


def fill(url, *ids, **options):
    scheduler = BackgroundScheduler(jobstores={"default": {"url": url, **options}}, timezone="UTC")
    scheduler.start(paused=True)
    for id in ids:
        scheduler.add_job("builtins:len", "interval", args=[[id]], hours=1, id=id, max_instances=2)
    scheduler.shutdown()


def states(url, *keys):
    store = SQLAlchemyJobStore(url, signing_key=list(keys) or None)
    store.start(None, "default")
    found = {job.id: job.state for job in store.get_all_jobs()}
    store.shutdown()
    return found


def test_jobs_are_shown_before_they_are_signed(capsys, url, monkeypatch):
    monkeypatch.setenv("ROTA_SIGNING_KEY", OLD)
    code, out, err = rota(capsys, "-s", url, "sign")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["one", "sign", "builtins:len"],
        ["two", "sign", "builtins:len"],
    ]
    assert "nothing was written" in err
    assert set(states(url, OLD).values()) == {QUARANTINED}
    assert rota(capsys, "-s", url, "sign", "--yes")[0] == 0
    assert set(states(url, OLD).values()) == {"active"}


def test_a_new_key_takes_over_from_the_old_one(capsys, url, monkeypatch):
    monkeypatch.setenv("ROTA_SIGNING_KEY", OLD)
    rota(capsys, "-s", url, "sign", "--yes")
    monkeypatch.setenv("ROTA_SIGNING_KEY", f"{NEW} {OLD}")
    code, out, _ = rota(capsys, "-s", url, "sign", "--yes")
    assert (code, out.count("renew")) == (0, 2)
    assert set(states(url, NEW).values()) == {"active"}


def test_a_job_that_was_changed_is_not_signed(capsys, url, tmp_path, monkeypatch):
    monkeypatch.setenv("ROTA_SIGNING_KEY", OLD)
    rota(capsys, "-s", url, "sign", "--yes")
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        db.execute("UPDATE rota_jobs SET func = 'os:getcwd' WHERE id = 'one'")
    db.close()
    code, out, err = rota(capsys, "-s", url, "sign", "--yes")
    assert code == 1
    assert out.splitlines()[1].split()[:3] == ["one", "refused", "os:getcwd"]
    assert "left as it is" in err
    assert states(url, OLD) == {"one": QUARANTINED, "two": "active"}


def test_without_a_key_nothing_is_signed(capsys, url, monkeypatch):
    monkeypatch.delenv("ROTA_SIGNING_KEY", raising=False)
    code, _, err = rota(capsys, "-s", url, "sign")
    assert (code, "ROTA_SIGNING_KEY" in err) == (2, True)
    monkeypatch.setenv("ROTA_SIGNING_KEY", "short")
    code, _, err = rota(capsys, "-s", url, "sign")
    assert code == 1
    assert "short" not in err.replace("shorter", "")


def test_the_plan_and_what_was_signed_are_told_in_json_too(capsys, url, monkeypatch):
    monkeypatch.setenv("ROTA_SIGNING_KEY", OLD)
    code, out, _ = rota(capsys, "-s", url, "sign", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["written"] is False
    assert [(job["id"], job["action"], job["func"]) for job in told["jobs"]] == [
        ("one", "sign", "builtins:len"),
        ("two", "sign", "builtins:len"),
    ]
    assert "one" in told["jobs"][0]["arguments"]
    code, out, _ = rota(capsys, "-s", url, "sign", "--json", "--yes")
    assert (code, json.loads(out)["written"]) == (0, True)
    assert set(states(url, OLD).values()) == {"active"}
