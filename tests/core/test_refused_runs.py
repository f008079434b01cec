"""Waiting and orphaned runs that a store refuses to give together: who is asked for how often, who is left out, who goes on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from rota.clock import SECOND
from rota.core.run import Run
from rota.core.states import SUCCEEDED, WAITING
from rota.engine.damage import MOST_REFUSED
from rota.engine.lease import Lease
from rota.engine.refused_runs import LONGEST_PAUSE, RefusedRuns
from rota.errors import JobValueError, StoreUnavailableError
from rota.jobstores.memory import MemoryJobStore
from rota.logs import GuardedLogger, get_logger
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.store_jobs import task

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
LOGGER = GuardedLogger(get_logger("test"))


class Database:
    """Gives the runs of all jobs that may be taken, or refuses all of them if some are among those."""

    def __init__(self, jobs, guilty=(), error=None):
        self.left = dict.fromkeys(jobs)
        self.guilty = set(guilty)
        self.error = error or JobValueError("no")
        self.asked = []

    def take(self, room, may_take):
        chosen = [job for job in self.left if may_take(job, None)]
        self.asked.append("".join(chosen))
        if self.guilty.intersection(chosen):
            raise self.error
        for job in chosen:
            del self.left[job]
        return [Run(job, 0, 0, None, "default") for job in chosen]


def taken(refused, database, room=100):
    return [run.job_id for run in refused.take(database.take, {"default": room})]


def refused_runs():
    return RefusedRuns(VirtualClock(BEGIN), LOGGER)


def test_what_is_refused_together_is_asked_for_in_halves_until_it_is_known_who_is_guilty():
    refused, database = refused_runs(), Database("abcdefgh", "f")
    assert taken(refused, database) == list("abcdegh")
    assert database.asked == ["abcdefgh", "abcd", "efgh", "ef", "e", "f", "gh", ""]
    assert not refused.is_sure


def test_a_store_that_refuses_one_before_it_has_asked_about_all_is_asked_for_the_rest():
    class Hasty(Database):
        def take(self, room, may_take):
            given = []
            for job in self.left:
                if may_take(job, None):
                    if job in self.guilty:
                        raise self.error
                    given.append(job)
            for job in given:
                del self.left[job]
            return [Run(job, 0, 0, None, "default") for job in given]

    assert taken(refused_runs(), Hasty("abcdef", "bd")) == list("acef")


def test_who_was_refused_is_tried_again_by_itself_after_pauses_that_double():
    clock = VirtualClock(BEGIN)
    refused, database = RefusedRuns(clock, LOGGER), Database("ab", "a")
    assert taken(refused, database) == ["b"]
    database.asked.clear()
    for _ in range(2 * LONGEST_PAUSE // SECOND * 10):
        clock.advance(0.1)
        assert taken(refused, database) == []
    tries = [asked for asked in database.asked if asked]
    assert set(tries) == {"a"}
    assert len(tries) <= 14
    database.guilty.clear()
    clock.advance(LONGEST_PAUSE // SECOND)
    assert refused.is_due
    assert taken(refused, database) == ["a"]
    assert not refused


def test_a_run_that_is_gone_when_it_is_tried_again_is_forgotten():
    clock = VirtualClock(BEGIN)
    refused, database = RefusedRuns(clock, LOGGER), Database("a", "a")
    assert taken(refused, database) == []
    database.left.clear()
    clock.advance(1)
    assert taken(refused, database) == []
    assert not refused


def test_a_store_that_refuses_everything_is_asked_a_few_times_and_goes_on_later():
    jobs = [chr(ord("a") + number) for number in range(26)]
    refused, database = refused_runs(), Database(jobs, jobs)
    assert taken(refused, database) == []
    assert len(database.asked) <= 12
    assert len(refused._pauses) == MOST_REFUSED


def test_a_store_that_goes_away_meanwhile_is_asked_no_further_and_what_it_gave_is_kept():
    class Going(Database):
        def take(self, room, may_take):
            if self.asked and self.asked[-1] == "ab":
                raise StoreUnavailableError("away")
            return super().take(room, may_take)

    refused, database = refused_runs(), Going("abcd", "d")
    assert taken(refused, database) == ["a", "b"]
    assert database.asked == ["abcd", "ab"]
    assert not refused.is_sure


@pytest.mark.parametrize(
    "error", [StoreUnavailableError("away"), JobValueError("of no run"), KeyboardInterrupt()]
)
def test_what_speaks_of_no_run_is_raised(error):
    def take(room, may_take):
        raise error

    refused = refused_runs()
    with pytest.raises(type(error)):
        refused.take(take, {"default": 1})
    assert not refused


def test_no_more_is_taken_in_parts_than_there_is_room_for():
    rooms = []

    class Roomy(Database):
        def take(self, room, may_take):
            rooms.append(dict(room))
            return super().take(room, may_take)

    taken(refused_runs(), Roomy("abcd", "d"), 5)
    assert [room["default"] for room in rooms] == [5, 5, 3, 3, 2, 2]


# -- waiting runs --------------------------------------------------------------------------------------------------


class Picky(MemoryJobStore):
    """A store that refuses to give the runs of some jobs, and whatever is taken with them."""

    def __init__(self):
        super().__init__()
        self.guilty = set()
        self.refusals = 0

    def take_waiting(self, node, now, room=None, may_take=None):
        def may(job_id, nominal):
            if may_take is not None and not may_take(job_id, nominal):
                return False
            if job_id in self.guilty:
                self.refusals += 1
                raise JobValueError("the database refused a value")
            return True

        return super().take_waiting(node, now, room, may)


@pytest.mark.thorough
def test_a_waiting_run_that_its_store_refuses_holds_up_no_other_and_is_taken_when_that_is_mended(caplog):
    store = Picky()
    scheduler = ManualScheduler(clock=VirtualClock(BEGIN), timezone="UTC", jobstores={"default": store})
    scheduler.start()
    scheduler.add_job(task, "interval", seconds=10, id="healthy")
    for id in "abc":
        scheduler.add_job(task, "date", run_date=BEGIN + timedelta(days=9), id=id)
        scheduler.run_job(id, not_before=BEGIN + timedelta(seconds=20))
    scheduler.run_job("c", key="later", not_before=BEGIN + timedelta(seconds=25))
    store.guilty = {"b"}
    with caplog.at_level(logging.ERROR):
        scheduler.advance(hours=1)
    (guilty,) = scheduler.get_runs("b")
    assert guilty.status == WAITING
    started = {
        (run.job_id, ((run.started_at or 0) - int(BEGIN.timestamp()) * SECOND) // SECOND)
        for id in "ac"
        for run in scheduler.get_runs(id)
        if run.status == SUCCEEDED
    }
    assert started == {("a", 20), ("c", 20), ("c", 25)}
    healthy = scheduler.get_runs("healthy", limit=1000)
    assert [run.status for run in healthy] == [SUCCEEDED] * 360
    assert scheduler.health()["stores"]["default"]["ok"]
    assert store.refusals <= 100
    (told,) = [record.getMessage() for record in caplog.records if "refuses to give" in record.getMessage()]
    assert 'Job "b"' in told
    store.guilty.clear()
    scheduler.advance(minutes=2)
    assert scheduler.get_runs("b")[0].status == SUCCEEDED
    scheduler.shutdown()


# -- runs of dead nodes --------------------------------------------------------------------------------------------


class Orphaned(MemoryJobStore):
    """A store with orphaned runs of some jobs, which it gives together or not at all."""

    durable = True

    def __init__(self, jobs, guilty):
        super().__init__()
        self.database = Database(jobs, guilty)
        self.asked = []

    def renew(self, node, now, lease, in_hand=(), in_doubt=False):
        return None

    def rescue(self, node, now, room=None, known=(), in_doubt=False, ownerless=False, may_take=None):
        self.asked.append((sorted(job for job, _ in known), in_doubt))
        return self.database.take(room or {}, may_take or (lambda job_id, nominal: True))


def test_orphans_that_their_store_refuses_are_left_out_and_the_others_are_rescued():
    clock = VirtualClock(BEGIN)
    store = Orphaned("abc", "b")
    lease = Lease(store, clock, LOGGER, 15 * SECOND)
    lease.keep({})
    assert [run.job_id for run in lease.rescue(0, {"default": 9}, ())] == ["a", "c"]
    assert store.database.asked == ["abc", "abc", "a", "bc", "b", "c", ""]
    assert lease.in_doubt  # what was refused may have been done all the same
    in_hand = [("a", 0), ("c", 0)]
    assert [run.job_id for run in lease.rescue(0, {"default": 9}, in_hand)] == []
    assert not lease.in_doubt
    assert not lease.wants_rescue(in_hand)
    clock.advance(0.05)
    store.database.guilty.clear()
    assert lease.wants_rescue(in_hand)
    assert [run.job_id for run in lease.rescue(0, {"default": 9}, in_hand)] == ["b"]
    # What it takes in one part it knows in the next one, as it may look for its own runs.
    assert store.asked[:7] == [*[([], False)] * 3, *[(["a"], False)] * 3, (["a", "c"], False)]
    assert {in_doubt for _, in_doubt in store.asked[7:]} == {True}
