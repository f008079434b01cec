"""Steps of a pass that are about one job, run or question: a store that refuses one of them stops no other."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota.clock import SECOND
from rota.core.extras import RETRY
from rota.core.retry import Retry
from rota.core.states import CLAIMED, FAILED
from rota.engine.damage import MOST_REFUSED, each_by_itself, note_refusal
from rota.errors import JobValueError, StoreUnavailableError
from rota.jobstores.memory import MemoryJobStore
from rota.logs import GuardedLogger, get_logger
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.store_jobs import NODE, START, claim, make_job, task
from rota.testing.contracts.waiting import wait_for
from tests.core.engine_kit import Gate
from tests.core.test_eight_methods import EightMethods

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
LOGGER = GuardedLogger(get_logger("test"))
REFUSED = JobValueError("the database refused a value")


def refusing(name: str, guilty: str) -> Any:
    """Return a class of stores in which a method raises for one job."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        jobs = args[0] if isinstance(args[0], list) else [args[0]]
        if self.refuses and any(getattr(job, "job_id", getattr(job, "id", job)) == guilty for job in jobs):
            self.asked += 1
            raise REFUSED
        return getattr(MemoryJobStore, name)(self, *args, **options)

    return type("Refusing", (MemoryJobStore,), {name: method, "refuses": True, "asked": 0})


def started(store: MemoryJobStore, **options: Any) -> Any:
    scheduler = ManualScheduler(
        clock=VirtualClock(BEGIN), timezone="UTC", jobstores={"default": store}, **options
    )
    scheduler.start()
    scheduler.add_job(task, "interval", seconds=1, id="healthy")
    return scheduler


def goes_on(scheduler: Any) -> None:
    """Check that the healthy job runs each second for half a minute, and that nobody waits for the store."""
    before = len(scheduler.get_runs("healthy", limit=1000))
    scheduler.advance(seconds=30)
    assert len(scheduler.get_runs("healthy", limit=1000)) == before + 30
    assert scheduler.health()["stores"]["default"]["ok"]


# -- one by one ----------------------------------------------------------------------------------------------------


def test_what_is_refused_together_is_done_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    done = []

    def step(things: Any) -> None:
        if "b" in things:
            raise REFUSED
        done.extend(things)

    with caplog.at_level(logging.ERROR):
        each_by_itself(step, ["a", "b", "c"], REFUSED, LOGGER, "%s is not done: %s")
    assert done == ["a", "c"]
    (record,) = caplog.records
    assert record.getMessage().startswith("b is not done: JobValueError: the database refused")


def test_a_store_that_refuses_each_of_them_is_asked_no_further() -> None:
    asked: list[Any] = []

    def step(things: Any) -> None:
        asked.extend(things)
        raise REFUSED

    each_by_itself(step, list(range(50)), REFUSED, LOGGER, "%s: %s")
    assert len(asked) == MOST_REFUSED
    each_by_itself(step, [0], REFUSED, LOGGER, "%s: %s")
    assert len(asked) == MOST_REFUSED  # what it has said of one alone is known


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), KeyboardInterrupt()])
def test_a_store_that_is_away_and_ctrl_c_are_no_refusals(error: BaseException) -> None:
    with pytest.raises(type(error)):
        note_refusal(error, LOGGER, "%s")
    with pytest.raises(type(error)):
        each_by_itself(list, [1, 2], error, LOGGER, "%s: %s")


# -- steps of passes -----------------------------------------------------------------------------------------------


def test_a_job_that_cannot_be_moved_after_the_clock_was_set_back_keeps_no_other_from_it() -> None:
    store = refusing("save_job", "guilty")()
    store.refuses = False
    scheduler = started(store)
    for id in ("a", "guilty", "z"):
        scheduler.add_job(task, "interval", minutes=1, id=id)
    scheduler.advance(minutes=3)
    store.refuses = True
    scheduler.clock.set(scheduler.clock.now() - 9 * 3600 * SECOND)
    scheduler.advance(minutes=3)
    assert store.asked == 1
    assert {id: len(scheduler.get_runs(id)) for id in ("a", "guilty", "z")} == {"a": 6, "guilty": 3, "z": 6}
    goes_on(scheduler)
    scheduler.shutdown()


def test_a_run_that_cannot_be_asked_to_make_room_holds_up_no_other_job() -> None:
    store = refusing("cancel_run", "guilty")()
    gate = Gate()
    scheduler = started(store)
    scheduler.add_executor(gate, "gate")
    scheduler.add_job(task, "interval", seconds=2, id="guilty", overlap="cancel_other", executor="gate")
    scheduler.advance(seconds=5)
    goes_on(scheduler)
    assert store.asked
    gate.release()
    scheduler.shutdown()


@pytest.mark.thorough
def test_a_backfill_that_cannot_be_carried_on_holds_up_no_other_job() -> None:
    store = refusing("open_runs", "guilty")()
    store.refuses = False
    scheduler = started(store)
    begin = BEGIN - timedelta(days=9)
    scheduler.add_job(task, "interval", minutes=1, start_date=begin, id="guilty")
    scheduler.backfill("guilty", BEGIN - timedelta(days=3), BEGIN - timedelta(days=1), only_missing=False)
    store.refuses = True
    goes_on(scheduler)
    assert 0 < store.asked < 20
    store.refuses = False
    scheduler.advance(minutes=5)
    assert not store.backfills()
    scheduler.shutdown()


class Leased(MemoryJobStore):
    """A store that needs a lease, and takes nothing that is said of nodes."""

    durable = True

    def renew(self, node: Any, now: Any, lease: Any, in_hand: Any = (), in_doubt: bool = False) -> Any:
        return None

    def describe(self, node: str, about: Any, now: int) -> None:
        raise REFUSED

    def answer(self, id: str, text: str, now: int) -> None:
        raise REFUSED


def test_a_node_of_which_nothing_can_be_written_and_that_cannot_answer_goes_on() -> None:
    store = Leased()
    scheduler = started(store)
    goes_on(scheduler)
    store.describe = lambda *args: None
    node = scheduler._engine.states[0].lease.node
    store.request(node, "stack", store.now(), ("healthy", 0))
    goes_on(scheduler)
    scheduler.shutdown()


# -- ledgers in memory ---------------------------------------------------------------------------------------------


def test_what_the_end_of_a_waiting_run_leaves_undone_costs_no_run_that_is_taken_with_it() -> None:
    class Holding(MemoryJobStore):
        def _release_run(self, run: Any) -> None:
            raise REFUSED

    store = Holding()
    store.add_jobs([make_job("a"), make_job("guilty", retry=Retry(timeout=30, until=None)), make_job("z")])
    runs = claim(store)
    for run in runs:
        wait_for(run, RETRY, START + SECOND, tries=1)
    assert store.give_back(runs, START) == []
    taken = store.take_waiting(NODE, START + 40 * SECOND)
    assert {run.job_id: run.status for run in taken} == {"a": CLAIMED, "guilty": FAILED, "z": CLAIMED}


def test_a_store_of_eight_methods_that_does_not_let_a_job_go_on_is_asked_again() -> None:
    store = EightMethods()
    store.start(ManualScheduler(), "default")
    store.add_job(make_job("job"))
    ledger = store._ledger
    ledger.held["job"] = START, 0
    store.broken_job = "job"
    with pytest.raises(ConnectionError):
        ledger.mend(store)
    assert "job" in ledger.held
    store.broken_job = None
    ledger.mend(store)
    assert "job" not in ledger.held
