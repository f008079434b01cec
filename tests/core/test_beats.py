"""What runs say of themselves, from the job to the store: how often it is written, by whom, and what happens when that fails."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from rota.clock import SECOND, moment
from rota.core.beats import Log
from rota.core.details import BEAT, NOTE, PROGRESS
from rota.core.policy import LONGEST_LOG
from rota.core.run import GONE, Run, said_by
from rota.engine import beats as beats_module
from rota.errors import JobTypeError, JobValueError, NoCurrentRunError
from rota.executors import kept_logs, worker_beats
from rota.executors.base import BaseExecutor, current_run, run_job
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from tests.core.engine_kit import Gate
from tests.needs import need
from tests.present import present


class Store(MemoryJobStore):
    """Notes what parts it is given, and fails on demand."""

    broken = False

    def __init__(self):
        super().__init__()
        self.written = []

    def write_parts(self, parts, owner=None):
        self.written.append([(job_id, dict(texts)) for job_id, _, texts in parts])
        if self.broken:
            raise ConnectionError("no parts today")
        super().write_parts(parts, owner)


def started(store, **options):
    gate = Gate()
    scheduler = ManualScheduler(jobstores={"default": store}, executors={"default": gate}, **options)
    scheduler.start()
    return scheduler, gate


def under_way(scheduler, gate, *ids, **options):
    """Return runs of jobs that run until the gate is opened."""
    for id in ids:
        scheduler.add_job(work, id=id, **options)
    scheduler.run_pending()
    return [run for run, _ in gate.held[-len(ids) :]]


def work():
    pass


def parts(scheduler, run):
    return scheduler.get_run(run.job_id, run.scheduled_run_time).parts


def test_a_heartbeat_outside_of_a_run_has_no_run():
    with pytest.raises(NoCurrentRunError):
        current_run().heartbeat(0.5)


@pytest.mark.thorough
def test_a_tight_loop_is_written_once_a_second():
    store = Store()
    scheduler, gate = started(store)
    (run,) = under_way(scheduler, gate, "j")
    for second in range(60):
        for tenth in range(10):
            for number in range(500):
                run.heartbeat((second * 10 + tenth) / 600, f"{second}.{tenth}.{number}")
            scheduler.advance(0.1)
    assert 55 <= len(store.written) <= 61
    assert parts(scheduler, run)[NOTE].startswith(("58.", "59."))
    gate.release()
    assert parts(scheduler, run)[NOTE] == "59.9.499"
    scheduler.shutdown()


def test_what_many_runs_say_is_one_batch():
    store = Store()
    scheduler, gate = started(store)
    runs = under_way(scheduler, gate, *(f"j{number}" for number in range(200)))
    for run in runs:
        run.heartbeat(note=run.job_id)
    scheduler.advance(1)
    assert [len(batch) for batch in store.written] == [200]
    assert all(parts(scheduler, run)[NOTE] == run.job_id for run in runs)
    scheduler.shutdown(wait=False)


def test_a_batch_is_bounded_and_the_rest_comes_with_the_next(monkeypatch):
    monkeypatch.setattr(beats_module, "BATCH", 10)
    store = Store()
    scheduler, gate = started(store)
    runs = under_way(scheduler, gate, *(f"j{number}" for number in range(25)))
    for run in runs:
        run.heartbeat(0.5)
    scheduler.advance(5)
    assert [len(batch) for batch in store.written] == [10, 10, 5]
    scheduler.shutdown(wait=False)


def test_nothing_is_written_when_nothing_was_said():
    store = Store()
    scheduler, gate = started(store)
    first, second = under_way(scheduler, gate, "a", "b")
    scheduler.advance(60)
    assert store.written == []
    first.heartbeat(0.1)
    scheduler.advance(600)
    assert [[job_id for job_id, _ in batch] for batch in store.written] == [["a"]]
    gate.release()
    assert len(store.written) == 2  # of the end
    assert not hasattr(second, "parts")
    scheduler.shutdown()


def test_a_run_that_says_nothing_ends_without_a_word():
    store = Store()
    scheduler, gate = started(store)
    (run,) = under_way(scheduler, gate, "j")
    gate.release()
    assert store.written == []
    assert parts(scheduler, run) == {}
    scheduler.shutdown()


def test_the_first_word_is_written_at_once_and_the_last_with_the_end():
    store = Store()
    scheduler, gate = started(store)
    (run,) = under_way(scheduler, gate, "j")
    scheduler.advance(100)
    run.heartbeat(0.25, "begun")
    scheduler.run_pending()
    kept = parts(scheduler, run)
    assert (kept[PROGRESS], kept[NOTE]) == ("0.25", "begun")
    assert int(kept[BEAT]) == scheduler.clock.now()
    run.heartbeat(1.0)
    run.heartbeat(note="done")
    gate.release()
    assert (parts(scheduler, run)[PROGRESS], parts(scheduler, run)[NOTE]) == ("1.0", "done")
    scheduler.shutdown()


def test_a_heartbeat_after_the_end_is_not_heard():
    store = Store()
    scheduler, gate = started(store)
    (run,) = under_way(scheduler, gate, "j")
    run.heartbeat(0.5)
    said = run.said
    gate.release()
    written = len(store.written)
    run.heartbeat(0.9, "late")
    said.beat(0.9, "late")
    scheduler.advance(60)
    assert len(store.written) == written
    assert parts(scheduler, run)[PROGRESS] == "0.5"
    with pytest.raises(ValueError, match="progress must be"):
        run.heartbeat(7)
    scheduler.shutdown()


def test_a_store_that_takes_no_words_costs_no_run_anything():
    store = Store()
    scheduler, gate = started(store)
    store.broken = True
    run, other = under_way(scheduler, gate, "a", "b")
    for _ in range(300):
        run.heartbeat(0.5, "under way")
        scheduler.advance(1)
    assert 15 < len(store.written) < 30  # with pauses that double
    run.heartbeat(1.0, "done")
    gate.release()
    assert sorted((each.job_id, each.status) for each in scheduler.get_runs()) == [
        ("a", "succeeded"),
        ("b", "succeeded"),
    ]
    assert scheduler.health()["stores"]["default"].get("error") is None
    store.broken = False
    scheduler.advance(60)
    assert parts(scheduler, run)[NOTE] == "done"
    assert parts(scheduler, other) == {}
    scheduler.shutdown()


def test_what_a_store_does_not_take_is_bounded(monkeypatch):
    monkeypatch.setattr(beats_module, "MOST_LEFT", 20)
    store = Store()
    scheduler, gate = started(store)
    store.broken = True
    for number in range(50):
        (run,) = under_way(scheduler, gate, f"j{number}")
        run.heartbeat(note=f"j{number}")
        gate.release()
    store.broken = False
    scheduler.advance(60)
    assert [len(batch) for batch in store.written][-1] == 20
    assert parts(scheduler, run)[NOTE] == "j49"
    scheduler.shutdown()


class Shared(Store):
    """A store that several nodes could share."""

    durable = True
    lost = None

    def renew(self, node, now, lease, in_hand=(), in_doubt=False):
        return self.lost

    def rescue(self, node, now, room=None, known=(), in_doubt=False, ownerless=False, may_take=None):
        return []

    def leave(self, node, unstarted, now):
        pass


class Rare(Shared):
    """Where it is written rarely."""

    writes_beats_rarely = True


def test_where_writes_are_dear_it_is_written_with_the_lease():
    store = Rare()
    scheduler, gate = started(store, lease=15)
    (run,) = under_way(scheduler, gate, "j")
    for second in range(60):
        run.heartbeat(second / 60)
        scheduler.advance(1)
    assert 11 <= len(store.written) <= 13  # each five seconds
    gate.release()
    assert parts(scheduler, run)[PROGRESS] == repr(59 / 60)
    scheduler.shutdown()


def test_what_another_node_has_taken_over_is_left_to_it():
    store = Shared()
    scheduler, gate = started(store, lease=15)
    taken, kept = under_way(scheduler, gate, "taken", "kept")
    taken.permission = GONE
    for run in (taken, kept):
        run.heartbeat(0.5, "mine")
    scheduler.advance(2)
    assert [[job_id for job_id, _ in batch] for batch in store.written] == [["kept"]]
    scheduler.shutdown(wait=False)


def test_nothing_is_written_while_the_lease_is_over():
    store = Shared()
    scheduler, gate = started(store, lease=15)
    (run,) = under_way(scheduler, gate, "j")
    run.heartbeat(0.25)
    state = scheduler._engine.stores["default"]
    state.lease.permission.until = 0
    state.completions.beats.write()
    assert store.written == []
    scheduler.advance(20)  # it is renewed
    assert store.written[0][0][0] == "j"
    scheduler.shutdown(wait=False)


def test_the_records_of_an_end_that_is_refused_get_no_words():
    class Refusing(Shared):
        def finish(self, runs, now):
            return list(runs)

    store = Refusing()
    scheduler, gate = started(store, lease=15)
    (run,) = under_way(scheduler, gate, "j")
    run.heartbeat(0.25)
    gate.release()
    assert store.written == []
    scheduler.shutdown(wait=False)


def test_a_host_that_cannot_be_woken_costs_no_run_anything():
    class Asleep(ManualScheduler):
        def wakeup(self):
            if self.get_running():
                raise RuntimeError("asleep")
            super().wakeup()

    store, gate = Store(), Gate()
    scheduler = Asleep(jobstores={"default": store}, executors={"default": gate})
    scheduler.start()
    (run,) = under_way(scheduler, gate, "j")
    run.heartbeat(0.5)
    store.broken = True
    scheduler.advance(2)
    store.broken = False
    scheduler.advance(60)
    assert parts(scheduler, run)[PROGRESS] == "0.5"
    scheduler.shutdown(wait=False)


def test_it_is_known_when_each_run_beat_last():
    scheduler, gate = started(Store())
    (run,) = under_way(scheduler, gate, "j")
    run.heartbeat()
    first = run.said.beat_at
    scheduler.advance(5)
    run.heartbeat()
    assert run.said.beat_at - first == 5 * SECOND
    assert (run.said.progress, run.said.note) == (None, None)
    scheduler.advance(1)
    assert list(parts(scheduler, run)) == [BEAT]
    scheduler.shutdown(wait=False)


def test_a_record_that_was_read_says_nothing():
    store = Store()
    scheduler, gate = started(store)
    (run,) = under_way(scheduler, gate, "j")
    gate.release()
    record = scheduler.get_run(run.job_id, run.scheduled_run_time)
    record.heartbeat(0.5)
    scheduler.advance(5)
    assert store.written == []
    scheduler.shutdown()


def test_several_stores_hear_their_own_runs():
    first, second = Store(), Store()
    gate = Gate()
    scheduler = ManualScheduler(jobstores={"default": first, "other": second}, executors={"default": gate})
    scheduler.start()
    scheduler.add_job(work, id="a")
    scheduler.add_job(work, id="b", jobstore="other")
    scheduler.run_pending()
    for run, _ in gate.held:
        run.heartbeat(note=run.job_id)
    scheduler.advance(1)
    assert [[job_id for job_id, _ in batch] for batch in first.written] == [["a"]]
    assert [[job_id for job_id, _ in batch] for batch in second.written] == [["b"]]
    scheduler.shutdown(wait=False)


# ------------------------------------------------------------------------------------------------------------- logs


logger = logging.getLogger("tests.beats")
logger.setLevel(logging.INFO)


def talk():
    logger.info("hello")
    current_run().heartbeat(0.5, "half")


def talk_and_fail():
    logger.warning("about to fail")
    raise ValueError("boom")


def test_the_log_is_kept_with_the_run():
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.add_job(talk, id="kept", keep_log=100)
    scheduler.add_job(talk_and_fail, id="failed", keep_log=100)
    scheduler.add_job(talk, id="not", keep_log=0)
    scheduler.run_pending()
    kept, failed, other = (scheduler.get_runs(id)[0] for id in ("kept", "failed", "not"))
    run = present(scheduler.get_run("kept", kept.scheduled_run_time))
    assert present(run.log).endswith(" INFO tests.beats: hello\n")
    assert run.last_heartbeat is not None
    assert (run.progress, run.note) == (0.5, "half")
    failed = present(scheduler.get_run("failed", failed.scheduled_run_time))
    assert failed.status == "failed"
    assert present(failed.log).endswith(" WARNING tests.beats: about to fail\n")
    assert present(scheduler.get_run("not", other.scheduled_run_time)).log is None
    scheduler.shutdown()


@pytest.mark.thorough
def test_the_log_survives_a_store(tmp_path):
    need("sqlalchemy", "sqlalchemy")
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    scheduler = ManualScheduler(jobstores={"default": url})
    scheduler.start()
    scheduler.add_job(talk, "interval", minutes=1, id="j", keep_log=2000)
    scheduler.shutdown()
    scheduler = ManualScheduler(jobstores={"default": url}, clock=scheduler.clock)
    scheduler.start()
    scheduler.advance(minutes=1)
    (run,) = scheduler.get_runs("j")
    run = present(scheduler.get_run("j", run.scheduled_run_time))
    assert present(run.log).endswith("hello\n")
    assert (run.progress, run.note) == (0.5, "half")
    scheduler.shutdown()


def test_who_is_told_of_a_failure_has_the_log_of_the_run():
    told = []
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.add_job(talk_and_fail, id="j", keep_log=100, on_failure=lambda run: told.append(run.log))
    scheduler.run_pending()
    assert [present(log).endswith("about to fail\n") for log in told] == [True]
    scheduler.shutdown()


@pytest.mark.parametrize("value", [True, "1000", 1.5, None, b"1"])
def test_what_is_no_number_of_bytes_is_refused(value):
    scheduler = ManualScheduler()
    with pytest.raises(JobTypeError, match="keep_log must be a number of bytes, got"):
        scheduler.add_job(work, keep_log=value)


@pytest.mark.parametrize("value", [-1, LONGEST_LOG + 1, 10**30])
def test_a_log_that_is_too_long_is_refused(value):
    scheduler = ManualScheduler()
    with pytest.raises(JobValueError, match="keep_log must be a number of bytes from 0 to 65536, got"):
        scheduler.add_job(work, keep_log=value)
    with pytest.raises(JobValueError, match="job_defaults: keep_log must be"):
        ManualScheduler(job_defaults={"keep_log": value})


def test_a_log_that_its_store_cannot_keep_is_refused():
    class Small(MemoryJobStore):
        longest_log = 100

    scheduler = ManualScheduler(jobstores={"default": Small()})
    message = "keep_log must be a number of bytes from 0 to 100 in this job store, got 101; "
    with pytest.raises(JobValueError, match=message):
        scheduler.add_job(work, keep_log=101)
    scheduler.start()
    with pytest.raises(JobValueError, match=message):
        scheduler.add_job(work, keep_log=101)
    with pytest.raises(JobValueError, match=message):
        scheduler.add_jobs([{"func": work, "keep_log": 101}])
    job = scheduler.add_job(work, "interval", minutes=1, id="j", keep_log=100)
    with pytest.raises(JobValueError, match=message):
        job.modify(keep_log=101)
    job.modify(keep_log=50)
    assert present(scheduler.get_job("j")).policy.keep_log == 50
    scheduler.shutdown()


def test_the_default_of_jobs_may_come_from_a_file():
    scheduler = ManualScheduler({"rota.job_defaults.keep_log": "4096"})
    assert scheduler.add_job(work).policy.keep_log == 4096
    assert scheduler.add_job(work, keep_log=0).policy.keep_log == 0


def test_it_goes_along_with_exports_and_decorators(tmp_path):
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.scheduled_job("interval", minutes=1, id="j", keep_log=1234)(work)
    scheduler.export_jobs(tmp_path / "jobs.json")
    exported = json.loads((tmp_path / "jobs.json").read_text(encoding="utf-8"))
    assert '"keep_log":1234' in json.dumps(exported, separators=(",", ":")).replace("\\", "")
    other = ManualScheduler()
    other.start()
    other.import_jobs(tmp_path / "jobs.json")
    assert present(other.get_job("j")).policy.keep_log == 1234
    scheduler.shutdown()
    other.shutdown()


def test_a_log_keeps_its_end_and_whole_characters():
    log = Log(10)
    for _ in range(10_000):
        log.add("ü\n")
        assert log.size <= 50
    assert log.text() == "\nü\nü\nü\n"
    log.add("x" * 1000)
    assert log.text() == "x" * 10
    assert log.text(3) == "xxx"
    assert log.text(0) == ""


@pytest.fixture
def factory():
    """Put back the factory of log records that there was."""
    before = logging.getLogRecordFactory()
    yield before
    logging.setLogRecordFactory(before)
    kept_logs._checked = None


def logged_by(factory, run):
    """Return what is kept of one record."""
    from rota.executors.steps import _current

    token = _current.set(run)
    try:
        logger.info("once")
    finally:
        _current.reset(token)
    return run.said.log.text()


def run_with_log():
    scheduler = ManualScheduler()
    scheduler.start()
    job = scheduler.add_job(work, "interval", minutes=1, keep_log=1000)
    return Run(job.id, 0, 0, job)


def test_a_program_may_put_its_own_factory_of_records_around_ours(factory):
    kept_logs.keep_logs()
    ours = logging.getLogRecordFactory()

    def theirs(*args, **kwargs):
        return ours(*args, **kwargs)

    logging.setLogRecordFactory(theirs)
    kept_logs.keep_logs()
    assert logging.getLogRecordFactory() is theirs
    assert logged_by(theirs, run_with_log()).count("once") == 1


def test_a_program_may_replace_our_factory_of_records(factory):
    kept_logs.keep_logs()
    logging.setLogRecordFactory(logging.LogRecord)
    kept_logs.keep_logs()
    assert logging.getLogRecordFactory() is not logging.LogRecord
    assert logged_by(None, run_with_log()).count("once") == 1


def test_a_factory_that_raises_is_the_programs(factory):
    def wrong(*args, **kwargs):
        raise RuntimeError("no records")

    logging.setLogRecordFactory(wrong)
    kept_logs.keep_logs()
    with pytest.raises(RuntimeError, match="no records"):
        logger.info("hello")


def test_no_handler_is_added(factory):
    before = list(logging.getLogger().handlers)
    kept_logs.keep_logs()
    assert logging.getLogger().handlers == before


def test_records_have_nothing_more_than_before(factory, caplog):
    plain = set(vars(logging.makeLogRecord({"name": "x"})))
    kept_logs.keep_logs()
    run = run_with_log()
    with caplog.at_level(logging.INFO, "tests.beats"):
        logged_by(None, run)
    (record,) = (each for each in caplog.records if each.name == "tests.beats")
    assert set(vars(record)) - plain <= {"message", "asctime"}  # of the handler of pytest


class Foreign(BaseExecutor):
    """An executor that was written for APScheduler 3, which calls jobs by run_job()."""

    def _do_submit_job(self, job, run_times):
        events = run_job(job, job._jobstore_alias, run_times, "tests.foreign")
        self._run_job_success(job.id, events)


@pytest.mark.parametrize("make_store", [Store, Shared])
def test_what_jobs_of_executors_of_others_say_is_heard(make_store):
    store = make_store()
    scheduler = ManualScheduler(jobstores={"default": store}, executors={"default": Foreign()})
    scheduler.start()
    scheduler.add_job(talk, id="j", keep_log=100)
    scheduler.run_pending()
    (run,) = scheduler.get_runs("j")
    run = present(scheduler.get_run("j", run.scheduled_run_time))
    assert (run.status, run.progress, run.note) == ("succeeded", 0.5, "half")
    assert present(run.log).endswith("hello\n")
    scheduler.shutdown()


# ------------------------------------------------------------------------------------------------- worker processes


@pytest.mark.thorough
def test_a_worker_sends_no_more_than_once_a_pause():
    """A million beats, and as many pauses as the test allows."""
    sent, pauses, go = [], [], threading.Semaphore(0)

    def pause(seconds):
        pauses.append(seconds)
        go.acquire(timeout=20)

    arrived = threading.Event()

    def send(message):
        sent.append(message)
        arrived.set()

    speaker = worker_beats.Speaker(send, pause)
    run = Run("j", 0, 0)
    run.heartbeat()
    del run.said
    from rota.core import run as run_module

    class Listeners:
        def listener_of(self, run):
            return speaker

    listeners = run_module.heard[None] = Listeners()
    try:
        for number in range(1_000_000):
            run.heartbeat(number / 1_000_000)
        assert arrived.wait(20)
        assert len(sent) <= 1 + len(pauses) <= 2
        run.heartbeat(1.0, "done")
        speaker.finish()
        assert json.loads(sent[-1][1:]) == [1.0, "done"]
        assert len(sent) <= 3
        count = len(sent)
        run.heartbeat(0.1, "late")
        go.release(5)
        speaker.finish()
        assert len(sent) == count
    finally:
        del run_module.heard[None]
        del listeners
        go.release(100)


def test_what_a_worker_logs_is_sent_once_while_it_runs():
    sent, pauses, go = [], threading.Semaphore(0), threading.Semaphore(0)

    def pause(seconds):
        pauses.release()
        go.acquire(timeout=20)

    speaker = worker_beats.Speaker(sent.append, pause)
    from rota.core import run as run_module

    class Listeners:
        def listener_of(self, run):
            return speaker

    run, there = run_with_log(), run_with_log()
    listeners = run_module.heard[None] = Listeners()
    try:
        said = said_by(run)
        said.pass_log_on(1000)
        assert pauses.acquire(timeout=20)
        present(said.log).add("one\n")
        present(said.log).add("two\n")
        go.release()
        assert pauses.acquire(timeout=20)
        assert sent == [b"lone\ntwo\n"]
        go.release()
        assert pauses.acquire(timeout=20)
        present(said.log).add("three\n")
        speaker.finish()
        assert sent[1:] == [b"lthree\n"]
    finally:
        del run_module.heard[None]
        del listeners
        go.release(100)
    for message in sent:
        worker_beats.hear(there, message)
    assert present(said_by(there).log).text() == "one\ntwo\nthree\n"


def test_of_a_log_that_nobody_takes_the_newest_is_kept():
    log = Log(100)
    log.pass_on()
    for number in range(10_000):
        log.add(f"{number:09}\n")
    assert log.taken() == "".join(f"{number:09}\n" for number in range(9990, 10_000))
    assert log.taken() == ""
    log.add("é" * 200)
    assert log.taken() == "é" * 50


def test_what_a_worker_writes_wrongly_is_not_heard():
    run = run_with_log()
    for message in (
        b"h",
        b"hnull",
        b"h[7]",
        b'h[7, "x"]',
        b"h\xff",
        b"x",
        b"",
        b'h["a", 1]',
        b"h{}",
        b"h[1,2,3]",
    ):
        worker_beats.hear(run, message)
    assert not hasattr(run, "said")
    worker_beats.hear(run, b"l\xff\x00ok")
    assert present(said_by(run).log).text().endswith("ok")


@pytest.mark.parametrize("text", ["", "x", "-1" + 20 * "0", "9" * 30, None])
def test_a_damaged_time_of_a_heartbeat_says_nothing(text):
    run = Run("job", 0, 0)
    assert run.last_heartbeat is None
    run.parts = {"beat": text}
    assert run.last_heartbeat is None
    run.parts = {"beat": "1000000"}
    assert run.last_heartbeat == moment(1_000_000)
