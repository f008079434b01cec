"""Signed jobs: what a store gives back is run only if somebody with the key has written it."""

from __future__ import annotations

import sqlite3

import pytest

from rota.codec.files import decode_job, encode_job
from rota.codec.jobs import JobFormat
from rota.core.extras import Extra
from rota.core.run import Run
from rota.core.states import QUARANTINED
from rota.errors import ConfigurationError, JobValueError
from rota.job import Job
from rota.schedulers.background import BackgroundScheduler
from rota.triggers.interval import IntervalTrigger
from rota.trust.signing import Signer, joined, separated, signer_of
from tests.needs import need
from tests.present import present

KEY, OTHER = "a key of sixteen bytes", b"another one of sixteen bytes"
PARTS = ("id", "func", "trigger", "args", "kwargs", "options", "executor")


def work(*args, **kwargs):
    """What the jobs call."""


def job_of(**attributes):
    scheduler = BackgroundScheduler(timezone="UTC")
    usual = {"func": work, "trigger": IntervalTrigger(hours=1, timezone="UTC"), "args": (1, "two")}
    return Job(scheduler, "job", **{**usual, **attributes})


def texts_of(format, job):
    return dict(zip(PARTS, (job.id, *format.texts(job), job.executor), strict=True))


def read(format, texts):
    job = Job.__new__(Job)
    job.id, job.executor, job.name = texts["id"], texts["executor"], "a name"
    format.restore(job, texts["func"], texts["trigger"], texts["args"], texts["kwargs"], texts["options"])
    return job


class Bomb:
    """Unpickling it is noticed."""

    exploded: list[int] = []

    def __reduce__(self):
        return explode, (1,)


def explode(number):
    Bomb.exploded.append(number)


# -- what is signed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"misfire_grace_time": 5}, {"max_instances": 3, "expires": 60}])
def test_a_signed_job_comes_back_as_it_was(options):
    format = JobFormat(signing_key=KEY)
    job = job_of(**options)
    found = read(format, texts_of(format, job))
    assert (found.func, found.args, found.trigger, found.policy) == (work, job.args, job.trigger, job.policy)
    assert found.error is None
    assert format.texts(found) == format.texts(job)


@pytest.mark.parametrize("part", PARTS)
def test_a_change_of_any_part_that_decides_what_is_executed_puts_the_job_in_quarantine(part):
    format = JobFormat(signing_key=KEY)
    texts = texts_of(format, job_of(kwargs={"a": 1}, misfire_grace_time=10))
    changed = {
        "id": "other",
        "func": "os:getcwd",
        "trigger": texts["trigger"].replace("3600", "1"),
        "args": "[2]",
        "kwargs": "{}",
        "options": texts["options"].replace("10", "11"),
        "executor": "processes",
    }[part]
    assert changed != texts[part]
    found = read(format, texts | {part: changed})
    assert found.state == QUARANTINED
    assert "signature does not fit" in found.error


def test_what_moves_from_one_part_to_the_next_does_not_have_the_same_signature():
    signer = Signer([KEY])
    one = signer.signed(("a", "b", "", "", "", "{}", ""))
    assert one != signer.signed(("ab", "", "", "", "", "{}", ""))
    assert one != signer.signed(("", "ab", "", "", "", "{}", ""))


def test_a_job_without_a_signature_is_not_accepted():
    texts = texts_of(JobFormat(), job_of())
    found = read(JobFormat(signing_key=KEY), texts)
    assert found.state == QUARANTINED
    assert "not signed" in found.error


@pytest.mark.parametrize(
    "options",
    [
        '{"signature":"1:zz"}',
        '{"signature":"2:' + "0" * 64 + '"}',
        '{"signature":1}',
        "{",
        "",
        '{"signature":"',
    ],
)
def test_a_damaged_signature_counts_as_none(options):
    texts = texts_of(JobFormat(), job_of()) | {"options": options}
    found = read(JobFormat(signing_key=KEY), texts)
    assert found.state == QUARANTINED


@pytest.mark.parametrize("part", PARTS[1:-1])
@pytest.mark.parametrize("value", [None, b"x", 7, ["x"]])
def test_what_is_no_text_in_the_place_of_a_signed_one_is_never_accepted(part, value):
    format = JobFormat(signing_key=KEY)
    try:
        found = read(format, texts_of(format, job_of()) | {part: value})
    except (TypeError, AttributeError):  # the store makes a damaged job of it
        return
    assert found.state == QUARANTINED


# -- runs ----------------------------------------------------------------------------------------------------------


def run_of():
    run = Run("job", 1_000_000, 1_000_007, executor="default")
    run.extra = Extra("manual")
    return run


def signed_run(*keys):
    run = run_of()
    Signer(keys).sign_run(run)
    return run


def test_a_signed_run_is_accepted_by_each_key_that_is_known():
    assert Signer([KEY]).run_refusal(signed_run(KEY)) is None
    assert Signer([OTHER, KEY]).run_refusal(signed_run(KEY, OTHER)) is None
    assert "does not fit" in present(Signer([OTHER]).run_refusal(signed_run(KEY)))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        *(("job_id", value) for value in ("other", "", None, b"job")),
        *(("nominal", value) for value in (1_000_001, None, "x")),
        *(("due", value) for value in (1_000_008, None)),
        *(("executor", value) for value in ("sandbox", None, 5)),
        *(("origin", value) for value in ("schedule", "other", 5)),
        *(("args", value) for value in ("[1]", "", 5)),
        ("kwargs", "{}"),
    ],
)
def test_a_run_that_was_changed_is_refused(part, value):
    run = signed_run(KEY)
    setattr(run.extra if hasattr(run.extra, part) else run, part, value)
    assert "does not fit" in present(Signer([KEY]).run_refusal(run))


@pytest.mark.parametrize(
    "signature", [None, "", "1:", b"1:" + b"0" * 64, 5, "1:" + "0" * 64 + "\n", "1:" + "F" * 64]
)
def test_an_absent_or_damaged_signature_of_a_run_is_a_bad_one(signature):
    run = run_of()
    run.signature = signature
    assert "it is not signed" in present(Signer([KEY]).run_refusal(run))


def test_the_moving_state_of_a_run_is_not_signed():
    run = signed_run(KEY)
    run.owner, run.attempt, run.claimed_at, run.started_at, run.name = "somebody", 7, 5, 6, "other"
    assert Signer([KEY]).run_refusal(run) is None


def test_the_signature_of_a_job_is_none_of_a_run():
    run = run_of()
    text = Signer([KEY]).signed((run.job_id, "1000000", "1000007", "default", "manual", "{}", ""))
    run.signature = f"1:{separated(text)[0]}"
    assert "does not fit" in present(Signer([KEY]).run_refusal(run))


@pytest.mark.thorough
def test_who_has_no_key_cannot_ask_for_a_run_of_a_signed_job(tmp_path):
    need("sqlalchemy", "sql")
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    def scheduler(**options):
        store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}", **options)
        return BackgroundScheduler(jobstores={"default": store}, timezone="UTC")

    signed = scheduler(signing_key=KEY)
    signed.start(paused=True)
    signed.add_job(work, "interval", hours=1, id="job")
    signed.run_job("job")
    signed.shutdown()
    keyless = scheduler()
    keyless.start(paused=True)
    with pytest.raises(JobValueError, match="is signed, and nobody would accept"):
        keyless.run_job("job")
    keyless.shutdown()


@pytest.mark.parametrize("options", ["{}", '{"coalesce":false}', '{"a":{"b":[1,2]},"c":"}"}'])
def test_a_signature_is_taken_out_of_the_options_as_it_was_put_in(options):
    assert separated(joined("0" * 64, options)) == ("0" * 64, options)
    assert separated(options) == (None, options)


# -- nothing is decoded before ------------------------------------------------------------------------------------


def test_a_tampered_pickle_is_not_unpickled():
    Bomb.exploded.clear()
    signed, unsigned = JobFormat("pickle", signing_key=KEY), JobFormat("pickle")
    bomb = unsigned._pickle([Bomb()], "args")
    found = read(signed, texts_of(signed, job_of()) | {"args": bomb})
    assert found.state == QUARANTINED
    assert Bomb.exploded == []
    read(unsigned, texts_of(unsigned, job_of()) | {"args": bomb})
    assert Bomb.exploded == [1], "the bomb would have been noticed"


def test_the_module_of_a_tampered_reference_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "never_imported_by_signing.py").write_text("raise SystemExit('imported')")
    format = JobFormat(signing_key=KEY)
    found = read(format, texts_of(format, job_of()) | {"func": "never_imported_by_signing:run"})
    assert "signature does not fit" in found.error
    with pytest.raises(Exception, match="see the job's `error`"):
        found.func()


def test_a_refused_job_is_written_back_as_it_was_and_never_signed_on_its_way():
    format = JobFormat(signing_key=KEY)
    for texts in (
        texts_of(JobFormat(), job_of(misfire_grace_time=7)),
        texts_of(format, job_of(misfire_grace_time=7)) | {"args": "[666]"},
        texts_of(JobFormat(signing_key=OTHER), job_of()),
    ):
        found = read(format, texts)
        assert texts_of(format, found) == texts
        assert texts_of(format, found.copy()) == texts
        found.next_run_time = None  # paused, and saved by it
        assert read(format, texts_of(format, found)).state == QUARANTINED


def test_an_export_of_a_refused_job_does_not_launder_it():
    format = JobFormat(signing_key=KEY)
    found = read(format, texts_of(format, job_of()) | {"args": "[666]"})
    again = decode_job(encode_job(found))
    assert read(format, texts_of(format, again)).state == QUARANTINED


# -- keys --------------------------------------------------------------------------------------------------------


def test_the_first_key_signs_and_all_verify():
    old = JobFormat(signing_key=OTHER)
    both, new = JobFormat(signing_key=[KEY, OTHER]), JobFormat(signing_key=[KEY])
    job = job_of()
    found = read(both, texts_of(old, job))
    assert found.error is None
    renewed = texts_of(both, found)
    assert renewed == texts_of(new, job)
    assert read(new, renewed).error is None
    assert read(old, renewed).state == QUARANTINED


def test_who_has_no_key_keeps_the_signature_of_what_he_does_not_change():
    signed, plain = JobFormat(signing_key=KEY), JobFormat(imports=False)
    for options in ({}, {"misfire_grace_time": 5}):
        texts = texts_of(signed, job_of(**options))
        guest = read(plain, texts)
        guest.next_run_time = None
        assert texts_of(plain, guest) == texts
        guest._modify(max_instances=9)
        assert read(signed, texts_of(plain, guest)).state == QUARANTINED


@pytest.mark.parametrize("key", ["", b"", "short", [], ["long enough for anything", "short"], [1], 5])
def test_a_key_that_protects_nothing_is_refused_without_being_shown(key):
    with pytest.raises(ConfigurationError) as caught:
        signer_of(key)
    assert "short" not in str(caught.value).replace("shorter", "")


def test_no_key_is_shown(tmp_path):
    need("sqlalchemy", "sql")
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'db'}", signing_key=[KEY, OTHER])
    format = JobFormat(signing_key=KEY)
    tampered = read(format, texts_of(format, job_of()) | {"args": "[3]"})
    shown = [
        repr(store),
        repr(format),
        repr(format._signer),
        str(tampered),
        tampered.error,
        repr(vars(store)),
    ]
    assert not any(KEY in text or OTHER.decode() in text for text in shown)


@pytest.mark.thorough
def test_schedulers_and_stores_run_signed_jobs_and_leave_a_tampered_row_alone(tmp_path):
    need("sqlalchemy", "sql")
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    path = tmp_path / "jobs.sqlite"

    def scheduler():
        store = SQLAlchemyJobStore(f"sqlite:///{path}", signing_key=KEY, serializer="pickle")
        return BackgroundScheduler(jobstores={"default": store}, timezone="UTC")

    first = scheduler()
    first.start(paused=True)
    for id in ("good", "bad"):
        first.add_job(work, "interval", hours=1, id=id, args=[1])
    first.shutdown()
    Bomb.exploded.clear()
    bomb = JobFormat("pickle")._pickle([Bomb()], "args")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE rota_jobs SET args = ?, next_due = 0, next_nominal = 0 WHERE id = 'bad'", [bomb])
    db.close()
    second = scheduler()
    second.start(paused=True)
    jobs = {job.id: job for job in second.get_jobs()}
    assert jobs["good"].args == (1,)
    assert jobs["bad"].state == QUARANTINED
    assert "not trusted" in jobs["bad"].error
    second.pause_job("bad")
    assert second.get_job("bad").state == QUARANTINED
    assert second._lookup_jobstore("default").heal(0) == []
    second.modify_job("good", args=[2])
    assert second.get_job("good").args == (2,)
    second.add_job(work, "interval", hours=1, id="bad", args=[3], replace_existing=True)
    assert second.get_job("bad").error is None
    second.shutdown()
    assert Bomb.exploded == []
