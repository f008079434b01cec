"""Records that are split, and backfills, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from ...clock import SECOND, moment
from ...core.backfill import CANCELLED as BACKFILL_CANCELLED
from ...core.backfill import MOST, OPENED, WAIT_AT_ONCE, Backfill
from ...core.extras import BACKFILL
from ...core.openings import Cut, cut_of, opened_again
from ...core.plan import Decision, record_of
from ...core.queries import RunQuery
from ...core.states import CANCELLED, CLAIMED, FAILED, PAUSED, SKIPPED, SUCCEEDED, WAITING
from ...engine.backfills import TooLong, open_some, records_of, unfinished_of
from .orders import EARLY, asked_for
from .store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    at_once,
    claim,
    due_ids,
    finish,
    make_job,
    running,
    until_done,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...core.run import Run
    from ...job.handle import Job
    from ...jobstores.base import BaseJobStore

MINUTE = 60 * SECOND
#: after the range of times that the tests leave out
LATER = START + 1000 * MINUTE


def leave_out(store: BaseJobStore, count: int, job_id: str = "job", first: int = START) -> Run:
    """Record times of a job that is paused as left out, all in one record; return it."""
    job = _job(store, job_id)
    decision = Decision(job)
    decision.next_nominal, decision.next_due, decision.state = job.next_nominal, job.next_due, job.state
    last = first + (count - 1) * MINUTE
    decision.records.append(record_of(job, first, last, count, SKIPPED, "paused", LATER))
    until_done(lambda: store.renew(NODE, LATER, LEASE))
    assert until_done(lambda: store.claim([decision], NODE, LATER))
    (record,) = store.get_runs(job_id)
    assert (record.nominal, record.last, record.count) == (first, last, count)
    return record


def spans(store: BaseJobStore, job_id: str = "job") -> list[tuple[int, int, int, str]]:
    """Return first, last, count and status of the records of a job, oldest first; the times as minutes from the start."""
    return [
        ((run.nominal - START) // MINUTE, (run.last - START) // MINUTE, run.count, run.status)
        for run in reversed(store.get_runs(job_id, limit=1000))
    ]


def take_out(job: Job, record: Run, *minutes: int) -> tuple[list[Run], list[Cut]]:
    """Return the runs and the cut that take some times out of a record."""
    times = [START + minute * MINUTE for minute in minutes]
    runs = [opened_again(job, record, time, EARLY) for time in times]
    return runs, [cut_of(job, record, times)]


class BackfillContract:
    """What every store must do with records that are split, and with what is left of backfills."""

    # -- splitting -----------------------------------------------------------------------------------------------

    def test_r4_a_time_is_taken_out_of_a_record_of_several(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        record = leave_out(store, 10)
        runs, cuts = take_out(_job(store), record, 4)
        assert [run.nominal for run in store.open_runs(runs, EARLY, cuts)] == [START + 4 * MINUTE]
        assert spans(store) == [(0, 3, 4, SKIPPED), (4, 4, 1, WAITING), (5, 9, 5, SKIPPED)]
        for piece in store.get_runs(status=SKIPPED):
            assert (piece.reason, piece.finished_at, piece.name) == ("paused", LATER, record.name)
        (run,) = _take(store, EARLY)
        assert (run.nominal, run.attempt, run.tries, run.origin) == (START + 4 * MINUTE, 2, 0, "schedule")
        assert finish(store, [run], EARLY) == []
        assert spans(store) == [(0, 3, 4, SKIPPED), (4, 4, 1, SUCCEEDED), (5, 9, 5, SKIPPED)]
        assert running(store) == 0

    def test_the_first_and_the_last_time_are_taken_out(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        for minute in (0, 3, 1, 2):
            record = leave_out(store, 4) if minute == 0 else _standing(store, minute)
            assert store.open_runs(*_with_time(take_out(_job(store), record, minute)))
        assert spans(store) == [(minute, minute, 1, WAITING) for minute in range(4)]

    def test_several_times_that_follow_each_other_are_taken_out_at_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        record = leave_out(store, 40)
        assert len(store.open_runs(*_with_time(take_out(_job(store), record, *range(10, 30))))) == 20
        found = spans(store)
        assert (found[0], found[-1]) == ((0, 9, 10, SKIPPED), (30, 39, 10, SKIPPED))
        assert [each[3] for each in found[1:-1]] == [WAITING] * 20
        assert sum(each[2] for each in found) == 40

    def test_a_cut_of_a_record_that_has_changed_opens_nothing(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        record = leave_out(store, 10)
        first = take_out(_job(store), record, 2)
        second = take_out(_job(store), record, 7)
        assert store.open_runs(*_with_time(first))
        before = spans(store)
        assert store.open_runs(*_with_time(second)) == []
        assert store.open_runs(*_with_time(first)) == []
        assert spans(store) == before

    def test_a_record_that_was_executed_meanwhile_is_not_opened(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        record = leave_out(store, 1)
        stale = [opened_again(_job(store), record, START, EARLY)], EARLY, [Cut(record)]
        fresh = [opened_again(_job(store), record, START, EARLY)], EARLY, [Cut(record)]
        assert store.open_runs(*fresh)
        assert finish(store, _take(store, EARLY), EARLY) == []
        assert store.open_runs(*stale) == []
        assert spans(store) == [(0, 0, 1, SUCCEEDED)]

    def test_a_new_run_is_refused_where_there_is_a_record(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        finish(store, claim(store))
        assert store.open_runs([asked_for(nominal=START)], EARLY) == []
        assert [run.status for run in store.get_runs()] == [SUCCEEDED]

    def test_r1_runs_of_a_job_of_another_version_are_not_opened(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        record = leave_out(store, 3)
        job = _job(store)
        version = job.version
        copy = job.copy()
        assert store.save_job(copy, version)
        runs, cuts = take_out(_job(store), record, 1)
        if type(store).claim is not _without_versions():
            assert store.open_runs(runs, EARLY, cuts, version) == []
            assert store.open_runs([asked_for()], EARLY, (), version) == []
            assert spans(store) == [(0, 2, 3, SKIPPED)]
        assert len(store.open_runs(runs, EARLY, cuts, _job(store).version)) == 1

    def test_r1_a_job_of_which_a_record_was_split_has_another_version(self, store: BaseJobStore) -> None:
        """Who has looked at the records before may have missed a piece."""
        if type(store).claim is _without_versions():
            return
        store.add_job(make_job(due=None))
        record = leave_out(store, 9)
        version = _job(store).version
        runs, cuts = take_out(_job(store), record, 4)
        assert len(store.open_runs(runs, EARLY, cuts, version)) == 1
        assert _job(store).version > version
        stale = asked_for(nominal=START + 6 * MINUTE)
        assert store.open_runs([stale], EARLY, (), version) == []
        _resume(store)
        assert due_ids(store, START + 10_000_000 * MINUTE) == ["job"]

    def test_the_pieces_of_a_record_hold_their_times(self, store: BaseJobStore) -> None:
        """R4: a claim of the same times, as by a job that comes back, takes out what has a record."""
        store.add_job(make_job(due=None))
        record = leave_out(store, 6)
        assert store.open_runs(*_with_time(take_out(_job(store), record, 3)))
        job = _job(store)
        decision = Decision(job)
        decision.next_nominal, decision.next_due, decision.state = job.next_nominal, job.next_due, job.state
        last = START + 7 * MINUTE
        decision.records.append(record_of(job, START, last, 8, SKIPPED, "on hold", LATER))
        until_done(lambda: store.renew(NODE, LATER, LEASE))
        assert until_done(lambda: store.claim([decision], NODE, LATER))
        assert spans(store) == [
            (0, 2, 3, SKIPPED),
            (3, 3, 1, WAITING),
            (4, 5, 2, SKIPPED),
            (6, 7, 2, SKIPPED),
        ]

    # -- what is left of a backfill ------------------------------------------------------------------------------

    def test_what_is_left_of_a_backfill_is_kept_and_told(self, store: BaseJobStore) -> None:
        store.add_job(make_job("job ü"))
        assert store.keep_backfill("job ü", "first", None)
        assert not store.keep_backfill("job ü", "second", None)
        assert not store.keep_backfill("job ü", "second", "other")
        assert store.keep_backfill("job ü", "second", "first")
        assert store.keep_backfill("other", "third", None)
        kept = {"job ü": "second", "other": "third"}
        for node in (NODE, OTHER):
            store.renew(node, START, LEASE)
            orders = store.orders(node, START + 1000 * SECOND)
            assert (dict(orders.backfills), list(orders.requests)) == (kept, [])
        id = store.request(NODE, "stack", START)  # which forgets what is too old
        assert [request.id for request in store.orders(NODE, START).requests] == [id]
        assert store.backfills() == kept
        assert not store.keep_backfill("other", None, "second")
        assert store.keep_backfill("other", None, "third")
        assert store.backfills() == {"job ü": "second"}

    # -- carrying one on -----------------------------------------------------------------------------------------

    def test_missing_times_are_opened_some_at_a_time(self, store: BaseJobStore) -> None:
        count = WAIT_AT_ONCE + 30
        store.add_job(make_job(due=None, max_instances=1000))
        leave_out(store, 25, first=START + 10 * MINUTE)
        begin(store, 0, count - 1)
        assert len(_all_opened(store)) == WAIT_AT_ONCE
        assert open_some(store, "job") == ([], True)
        runs = _take(store, store.now())
        assert {(run.origin, run.tries) for run in runs} == {("schedule", 0), (BACKFILL, 0)}
        assert {run.origin for run in runs if not 10 <= (run.nominal - START) // MINUTE < 35} == {BACKFILL}
        finish(store, runs, store.now())
        _all_opened(store)
        finish(store, _take(store, store.now()), store.now())
        assert spans(store) == [(minute, minute, 1, SUCCEEDED) for minute in range(count)]
        assert open_some(store, "job") == ([], True)
        assert store.backfills() == {}

    def test_a_stored_backfill_goes_on_for_as_many_times_as_one_may_have(self, store: BaseJobStore) -> None:
        """Others may have written its range, or its job may have another trigger now."""
        store.add_job(make_job(due=None))
        far = begin(store, 0, 10_000_000)
        kept = store.backfills()["job"]
        assert store.keep_backfill("job", far.from_(START, MOST).text(), kept)
        with pytest.raises(TooLong, match="more than 1,000,000 times"):
            _all_opened(store)
        assert len(unfinished_of(store, "job", None, 1000)) == OPENED

    def test_what_has_run_or_is_under_way_is_not_missing(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None, max_instances=1000))
        leave_out(store, 3)
        begin(store, 0, 2)
        _all_opened(store)
        first, *others = sorted(_take(store, store.now()), key=lambda run: run.nominal)
        finish(store, [first], store.now())
        begin(store, 0, 3)
        assert [run.nominal for run in _all_opened(store)] == [START + 3 * MINUTE]
        assert finish(store, others, store.now()) == []
        assert [each[3] for each in spans(store)] == [SUCCEEDED] * 3 + [WAITING]

    def test_every_time_runs_again_once_if_that_is_wanted(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None, max_instances=1000))
        leave_out(store, 2)
        begin(store, 0, 2)
        _all_opened(store)
        finish(store, _take(store, store.now()), store.now())
        again = begin(store, 0, 2, only_missing=False)
        _all_opened(store)
        taken = _take(store, store.now())
        assert {run.extra.succeeded_at is not None for run in taken} == {True}
        finish(store, taken, store.now())
        # As if nobody had heard that it was done.
        assert store.keep_backfill("job", again.text(), store.backfills().get("job"))
        assert _all_opened(store) == []
        assert {run.attempt for run in store.get_runs()} == {2, 3}

    def test_the_waiting_runs_of_a_backfill_are_found_and_cancelled(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None, max_instances=2))
        store.open_runs([asked_for()], EARLY)
        begin(store, 0, 4)
        _all_opened(store)
        mine = unfinished_of(store, "job", None, 1000)
        assert sorted(run.nominal for run in mine) == [START + minute * MINUTE for minute in range(5)]
        store.add_job(make_job("other"))
        (under_way,) = claim_one(store)
        for run in mine:
            store.cancel_run("job", run.nominal, BACKFILL_CANCELLED, store.now(), True)
        record = store.cancel_run("other", under_way.nominal, BACKFILL_CANCELLED, store.now(), True)
        assert record is not None
        assert (record.status, list(store.orders(NODE, START).cancels)) == (CLAIMED, [])
        assert unfinished_of(store, "job", None, 1000) == []
        assert [(run.status, run.reason) for run in store.get_runs("job", CANCELLED)] == [
            (CANCELLED, BACKFILL_CANCELLED)
        ] * 5

    def test_a_paused_job_starts_none_of_them(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        assert _job(store).state == PAUSED
        begin(store, 0, 1)
        assert len(_all_opened(store)) == 2
        now = store.now()
        until_done(lambda: store.renew(NODE, now, LEASE))
        assert until_done(lambda: store.take_waiting(NODE, now, None)) == []

    def test_the_backfill_of_a_job_that_is_gone_is_forgotten(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        begin(store, 0, 1)
        store.remove_job("job")
        assert open_some(store, "job") == ([], True)
        assert store.backfills() == {}

    def test_records_that_reach_into_a_range_are_found(self, store: BaseJobStore) -> None:
        store.add_job(make_job(due=None))
        leave_out(store, 30)
        found = records_of(store, "job", START + 10 * MINUTE, START + 12 * MINUTE)
        assert [(run.nominal, run.count) for run in found] == [(START, 30)]


class SharedBackfillContract:
    """The same where several nodes share a store."""

    def test_r4_two_nodes_that_split_a_record_at_once_lose_and_double_nothing(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(due=None))
        leave_out(store, 60)
        opened: list[int] = []

        def work(number: int) -> None:
            mine = (store, other)[number]
            for minute in range(number, 60, 6):
                for _ in range(100):
                    record = _find(mine, minute)  # it may be split while it is looked for
                    if record is not None and mine.open_runs(
                        *_with_time(take_out(_job(mine), record, minute))
                    ):
                        opened.append(minute)
                        break

        at_once(2, work)
        found = spans(store)
        assert sorted(opened) == sorted([*range(0, 60, 6), *range(1, 60, 6)])
        assert sum(each[2] for each in found) == 60
        assert [each[0] for each in found if each[3] == WAITING] == sorted(opened)
        ends = [each[1] for each in found]
        assert [each[0] for each in found] == [0, *(end + 1 for end in ends[:-1])]

    def test_two_nodes_that_carry_on_a_backfill_open_each_time_once(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(due=None, max_instances=1000))
        leave_out(store, 45, first=START + 5 * MINUTE)
        begin(store, 0, 69)
        opened: list[int] = []

        def work(number: int) -> None:
            mine = (store, other)[number]
            for _ in range(40):
                opened.extend(run.nominal for run in open_some(mine, "job")[0])
                if not mine.backfills():
                    return

        at_once(2, work)
        assert sorted(opened) == [START + minute * MINUTE for minute in range(70)]
        finish(store, _take(store, store.now()), store.now())
        assert spans(store) == [(minute, minute, 1, SUCCEEDED) for minute in range(70)]

    def test_a_record_that_is_forgotten_while_it_is_split_is_in_no_piece_twice(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(due=None))
        leave_out(store, 40)

        def work(number: int) -> None:
            if number:
                other.prune(other.now())
                return
            for minute in range(0, 40, 4):
                record = _find(store, minute)
                if record is not None and record.ended:
                    store.open_runs(*_with_time(take_out(_job(store), record, minute)))

        at_once(2, work)
        found = spans(store)
        assert all(first[1] < second[0] for first, second in pairwise(found))

    def test_a_backfilled_run_of_a_dead_node_is_taken_over(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(due=None))
        _resume(store)
        begin(store, 0, 0)
        _all_opened(store)
        now = store.now()
        (run,) = _take(store, now)
        later = now + LEASE + 4 * SECOND
        other.renew(OTHER, later, LEASE)
        (again,) = other.rescue(OTHER, later)
        assert (again.nominal, again.attempt, again.origin) == (START, run.attempt + 1, BACKFILL)
        assert finish(other, [again], later) == []
        assert [run.status for run in store.get_runs(status=(SUCCEEDED, FAILED))] == [SUCCEEDED]


def begin(store: BaseJobStore, first: int, last: int, only_missing: bool = True) -> Backfill:
    """Keep a backfill of the times from one minute to another, as the scheduler does."""
    backfill = Backfill(START + first * MINUTE, START + last * MINUTE, store.now(), only_missing)
    assert store.keep_backfill("job", backfill.text(), store.backfills().get("job"))
    return backfill


def claim_one(store: BaseJobStore) -> list[Run]:
    """Claim the first time of another job."""
    return [run for run in claim(store) if run.job_id == "other"]


def _all_opened(store: BaseJobStore) -> list[Run]:
    """Carry the backfill on until enough runs wait; return those that were opened."""
    opened: list[Run] = []
    for _ in range(30):
        runs, enough = open_some(store, "job")
        opened += runs
        if enough:
            break
    return opened


def _take(store: BaseJobStore, now: int) -> list[Run]:
    """Take waiting runs of a job that is let go on for that."""
    _resume(store)
    taken: list[Run] = []
    while True:
        until_done(lambda: store.renew(NODE, now, LEASE))
        some: list[Run] = until_done(lambda: store.take_waiting(NODE, now, None))
        if not some:
            return taken
        taken += some


def _resume(store: BaseJobStore) -> None:
    """Let a paused job go on with a time that is far."""
    for job in store.get_all_jobs():
        if job.state == PAUSED:
            twin = job.copy()
            twin.set_next(START + 10_000_000 * MINUTE)
            assert store.save_job(twin, job.version)


def _job(store: BaseJobStore, job_id: str = "job") -> Job:
    job = store.lookup_job(job_id)
    assert job is not None
    return job


def _find(store: BaseJobStore, minute: int) -> Run | None:
    time = START + minute * MINUTE
    for run in store.find_runs(RunQuery(job_ids="job", until=moment(time + 1)), 20).items:
        if run.nominal <= time <= run.last:
            return run
    return None


def _standing(store: BaseJobStore, minute: int) -> Run:
    record = _find(store, minute)
    assert record is not None
    return record


def _with_time(opening: tuple[list[Run], list[Cut]]) -> tuple[list[Run], int, list[Cut]]:
    return opening[0], EARLY, opening[1]


def _without_versions() -> object:
    from ...jobstores.base import BaseJobStore  # only here

    return BaseJobStore.claim
