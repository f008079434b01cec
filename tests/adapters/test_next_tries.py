"""Tries on a durable store: after the death of a node, in worker processes, and what is sent for those who use none of it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from rota import Retry, RetryAfter, Snooze, current_run
from rota.clock import SECOND, moment
from rota.core.states import CANCELLED, CLAIMED, FAILED, LOST, SUCCEEDED, TIMED_OUT, WAITING
from rota.errors import ShutdownTimeoutError, TransientJobError
from rota.executors.pool import ThreadPoolExecutor
from rota.executors.processpool import ProcessPoolExecutor
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.store_jobs import START, claim, make_job, until_done
from tests.faults.crew import wait_until
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = Retry(wait_initial=60, wait_jitter=0)


def fail_first(*args: object) -> str:
    if current_run().attempt == 1:
        raise ConnectionError("first")
    return "done"


def fail() -> None:
    raise ConnectionError("always")


def after_a_tenth(exc: BaseException) -> float:
    return 0.1


def snooze_first() -> None:
    if current_run().attempt == 1:
        raise Snooze(0.1)


def retry_after_first() -> None:
    if current_run().attempt == 1:
        raise RetryAfter(0.1)


def die_first() -> str:
    if current_run().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.mark.parametrize(
    ("options", "status"), [({}, SUCCEEDED), ({"retry": PLAIN}, WAITING)], ids=["at once", "later"]
)
def test_after_the_death_of_its_node_a_run_is_tried_again_with_the_wait_of_a_retry(
    url: str, options: dict[str, Any], status: str
) -> None:
    dead = SQLAlchemyJobStore(url)
    dead.start(None, "default")
    dead.add_job(make_job(every=3600, func=fail_first, **options))
    clock = VirtualClock(moment(START))
    (run,) = claim(dead, START, "dead node")
    scheduler = ManualScheduler(clock=clock, jobstores={"default": url}, lease=15)
    scheduler.start()
    try:
        scheduler.advance(seconds=40)
        assert [record.status for record in scheduler.get_runs()] == [status]
        scheduler.advance(seconds=60)
        (record,) = scheduler.get_runs()
        assert (record.status, record.tries) == (SUCCEEDED, 1)
        known = scheduler.get_run("job", record.scheduled_run_time)
        assert known is not None
        expected = ["died", "given back", "succeeded"] if options else ["died", "succeeded"]
        assert [attempt.outcome for attempt in known.attempts] == expected
        assert known.attempts[0].node == "dead node"
        assert run.nominal == record.nominal
    finally:
        scheduler.shutdown(wait=False)
        dead.shutdown()


def test_a_retry_outlives_the_node_that_has_failed(url: str) -> None:
    clock = VirtualClock(moment(START))
    first = ManualScheduler(clock=clock, jobstores={"default": url})
    first.start()
    first.add_job(fail_first, "interval", hours=1, id="job", retry=PLAIN)
    first.advance(hours=1)
    assert [(run.status, run.waiting_for) for run in first.get_runs()] == [(WAITING, "retry")]
    first.shutdown()
    second = ManualScheduler(clock=clock, jobstores={"default": url})
    second.start()
    try:
        second.advance(seconds=61)
        (run,) = second.get_runs()
        assert (run.status, run.attempt, run.retval) == (SUCCEEDED, 2, "done")
        known = second.get_run("job", run.scheduled_run_time)
        assert known is not None
        assert [(each.outcome, each.error) for each in known.attempts] == [
            ("failed", "first"),
            ("succeeded", None),
        ]
        assert known.attempts[0].traceback
        assert len({each.node for each in known.attempts}) == 2
    finally:
        second.shutdown(wait=False)


class AskedMeanwhile(SQLAlchemyJobStore):
    """A store to which somebody's word to stop a run comes just before the run is given back."""

    def give_back(self, runs: Any, now: int) -> Any:
        for run in runs:
            super().cancel_run(run.job_id, run.nominal, "no more", now)
        return super().give_back(runs, now)


@pytest.mark.parametrize("outcome", ["failed", "died"])
def test_a_run_that_somebody_has_asked_to_stop_before_its_node_knew_is_not_tried_again(
    url: str, outcome: str
) -> None:
    store = AskedMeanwhile(url)
    clock = VirtualClock(moment(START))
    scheduler = ManualScheduler(clock=clock, jobstores={"default": store}, lease=15)
    scheduler.start()
    try:
        if outcome == "died":
            store.add_job(make_job(every=3600, func=fail_first, retry=PLAIN))
            claim(store, START, "dead node")
            scheduler.advance(seconds=40)
        else:
            scheduler.add_job(fail_first, "interval", hours=1, id="job", retry=PLAIN)
            scheduler.advance(hours=1)
        scheduler.advance(seconds=90)
        (record,) = scheduler.get_runs()
        assert (record.status, record.reason, record.waiting_for) == (CANCELLED, "no more", None)
        known = scheduler.get_run("job", record.scheduled_run_time)
        assert known is not None
        outcomes = [attempt.outcome for attempt in known.attempts]
        assert outcomes == (["cancelled"] if outcome == "failed" else ["died", "cancelled"])
        (job,) = scheduler.get_jobs()
        assert job.running == 0
    finally:
        scheduler.shutdown(wait=False)


def test_a_predicate_that_only_this_process_can_find_is_refused(url: str) -> None:
    scheduler = ManualScheduler(jobstores={"default": url})
    scheduler.start()
    try:
        with pytest.raises(TransientJobError):
            scheduler.add_job(fail, id="job", retry=Retry(lambda exc: True))
        assert scheduler.get_jobs() == []
        job = scheduler.add_job(fail, "interval", hours=1, id="job", retry=Retry(after_a_tenth))
        assert job.policy.retry == Retry(after_a_tenth)
    finally:
        scheduler.shutdown(wait=False)


def until_stopped() -> str:
    """Go on until somebody asks to stop; the second attempt needs no time."""
    run = current_run()
    while run.attempt == 1 and not run.cancelled:
        began.set()
        time.sleep(0.005)
    if run.cancelled:
        raise RuntimeError("stopped")
    return "done"


began = Event()


@pytest.mark.parametrize(
    ("options", "asked", "status", "reason"),
    [
        ({}, False, WAITING, None),
        ({"retry": True}, False, WAITING, None),
        ({"on_lost": "lost"}, False, LOST, "its scheduler was shut down while it was running"),
        ({}, True, CANCELLED, "not needed"),
    ],
)
def test_a_run_that_a_shutdown_stops_is_left_to_other_nodes(
    url: str, options: dict[str, Any], asked: bool, status: str, reason: str | None
) -> None:
    began.clear()
    first = BackgroundScheduler(jobstores={"default": url}, timezone="UTC")
    first.start()
    first.add_job(until_stopped, id="job", **options)
    assert began.wait(30)
    if asked:
        (run,) = first.get_runs()
        first.cancel_run("job", run.scheduled_run_time, "not needed")
    with suppress(ShutdownTimeoutError):
        first.shutdown(timeout=0.05)
    second = BackgroundScheduler(jobstores={"default": url}, timezone="UTC")
    second.start(paused=True)
    try:
        wait_until(lambda: second.get_runs()[0].status != CLAIMED, "the run has stopped")
        (run,) = second.get_runs()
        assert (run.status, run.reason, run.tries) == (status, reason, status == LOST)
        if status != WAITING:
            return
        second.resume()
        wait_until(lambda: second.get_runs()[0].ended, "the run has ended")
        known = second.get_run("job", run.scheduled_run_time)
        assert known is not None
        assert [each.outcome for each in known.attempts] == ["given back", "succeeded"]
        assert known.tries == 0
    finally:
        second.shutdown()


@pytest.mark.parametrize("jobstore", ["sqlite", "memory"])
def test_a_run_that_waits_for_a_worker_ends_when_it_is_cancelled(url: str, jobstore: str) -> None:
    """It would keep its place for ever, and its job would be skipped."""
    scheduler = BackgroundScheduler(
        jobstores={"default": url if jobstore == "sqlite" else {"type": "memory"}},
        executors={"default": ThreadPoolExecutor(1)},
        timezone="UTC",
    )
    scheduler.start()
    try:
        gate = scheduler.add_job(until_open, "interval", hours=1, id="busy")
        job = scheduler.add_job("builtins:int", "interval", hours=1, id="job")
        is_open.clear()
        began.clear()
        scheduler.run_job(gate.id)
        assert began.wait(30)
        run = scheduler.run_job(job.id)
        wait_until(lambda: scheduler.get_runs("job")[0].status == CLAIMED, "the run waits for a worker")
        scheduler.cancel_run(job.id, run.scheduled_run_time, "not needed")
        is_open.set()
        assert run.wait(30)
        (record,) = scheduler.get_runs("job")
        assert (record.status, record.reason) == (CANCELLED, "not needed")
        found = scheduler.get_job("job")
        assert found is not None
        assert found.running == 0
    finally:
        is_open.set()
        scheduler.shutdown()


is_open = Event()


def until_open() -> None:
    began.set()
    is_open.wait(30)


def late_first() -> None:
    """Go on after its time, until it is told to end."""
    began.set()
    is_open.wait(30)


def test_a_run_that_is_cancelled_after_its_time_is_not_tried_again(url: str) -> None:
    scheduler = BackgroundScheduler(jobstores={"default": url}, timezone="UTC")
    scheduler.start()
    is_open.clear()
    began.clear()
    try:
        scheduler.add_job(
            late_first, "interval", hours=1, id="job", timeout=0.05, retry=Retry(wait_initial=0.05)
        )
        run = scheduler.run_job("job")
        assert began.wait(30)
        wait_until(
            lambda: any(
                one.past_timeout
                for one in present(present(scheduler._engine).stores["default"].completions.in_hand).values()
            ),
            "its time is over",
        )
        scheduler.cancel_run("job", run.scheduled_run_time, "enough")
        is_open.set()
        assert run.wait(30)
        (record,) = scheduler.get_runs()
        assert (record.status, record.attempt) == (TIMED_OUT, 1)
    finally:
        is_open.set()
        scheduler.shutdown()


@pytest.fixture
def pool(url: str) -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(
        jobstores={"default": url}, executors={"default": ProcessPoolExecutor(1)}, timezone="UTC"
    )
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


@pytest.mark.parametrize(
    ("func", "options", "outcomes"),
    [
        (fail_first, {"retry": Retry(ConnectionError, wait_initial=0.1)}, ["failed", "succeeded"]),
        (fail_first, {"retry": Retry(after_a_tenth)}, ["failed", "succeeded"]),
        (fail_first, {"retry": Retry(KeyError)}, ["failed"]),
        (snooze_first, {}, ["snoozed", "succeeded"]),
        (retry_after_first, {}, ["failed", "succeeded"]),
        (die_first, {}, ["died", "succeeded"]),
        (die_first, {"on_lost": "lost"}, ["lost"]),
        (die, {"max_attempts": 2}, ["died", "lost"]),
    ],
)
def test_in_a_worker_process_it_is_the_same(
    pool: BackgroundScheduler, func: Any, options: dict[str, Any], outcomes: list[str]
) -> None:
    pool.add_job(func, id="job", **options)
    wait_until(lambda: any(run.ended for run in pool.get_runs()), "the run has ended")
    (run,) = pool.get_runs()
    known = pool.get_run("job", run.scheduled_run_time)
    assert known is not None
    assert [attempt.outcome for attempt in known.attempts] == outcomes
    if outcomes == ["died", "lost"]:
        assert (run.status, "tried 2 times" in (run.reason or "")) == (LOST, True)
    elif outcomes == ["failed"]:
        assert (run.status, run.reason) == (FAILED, "not retryable")


def test_a_run_that_its_store_does_not_take_back_has_failed_and_others_wait(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = ManualScheduler(clock=VirtualClock(moment(START)), jobstores={"default": url})
    scheduler.start()
    store = scheduler._lookup_jobstore("default")
    give_back = store.give_back

    def refuse(runs: Any, now: int) -> Any:
        if any(run.job_id == "guilty" for run in runs):
            raise ValueError("cannot be written")
        return until_done(lambda: give_back(runs, now))

    monkeypatch.setattr(store, "give_back", refuse)
    try:
        for id in ("innocent", "guilty"):
            scheduler.add_job(fail, "interval", hours=1, id=id, retry=Retry(wait_initial=600))
        scheduler.advance(hours=1)
        found = {run.job_id: (run.status, run.reason) for run in scheduler.get_runs()}
        assert found["innocent"] == (WAITING, None)
        assert found["guilty"] == (
            FAILED,
            "it could not be given back for another try: ValueError: cannot be written",
        )
    finally:
        scheduler.shutdown(wait=False)


def test_while_its_store_is_away_nothing_that_has_failed_is_lost(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock(moment(START))
    scheduler = ManualScheduler(clock=clock, jobstores={"default": url})
    scheduler.start()
    store = scheduler._lookup_jobstore("default")
    give_back, away = store.give_back, [True]

    def fail_for_a_while(runs: Any, now: int) -> Any:
        if away:
            raise OSError("the store is away")
        return give_back(runs, now)

    monkeypatch.setattr(store, "give_back", fail_for_a_while)
    try:
        scheduler.add_job(fail_first, "interval", hours=1, id="job", retry=PLAIN)
        scheduler.advance(hours=1)
        scheduler.advance(seconds=20)
        assert [run.status for run in scheduler.get_runs()] == ["claimed"]
        away.clear()
        scheduler.advance(seconds=90)
        (run,) = scheduler.get_runs()
        assert (run.status, run.attempt, run.tries) == (SUCCEEDED, 2, 1)
        assert run.nominal == START + 3600 * SECOND
    finally:
        scheduler.shutdown(wait=False)


def test_a_node_tells_since_when_it_is_there_and_not_when_it_has_renewed_its_lease(url: str) -> None:
    scheduler = ManualScheduler(clock=VirtualClock(moment(START)), jobstores={"default": url}, lease=15)
    scheduler.start()
    try:
        scheduler.advance(seconds=1)
        (first,) = scheduler.get_nodes()
        scheduler.advance(minutes=5)
        (later,) = scheduler.get_nodes()
        assert START <= first.started == later.started <= START + SECOND
        assert later.lease_until > START + 300 * SECOND
    finally:
        scheduler.shutdown(wait=False)
