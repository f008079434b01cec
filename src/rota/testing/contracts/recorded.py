"""Rule R4, for every job store: a nominal time is planned only if it has no record, however its job comes back; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

import pytest

from ...clock import HELD, SECOND
from ...core.plan import Decision, forgotten, once_more, record_of
from ...core.states import ACTIVE, CLAIMED, MANUAL, MISSED, PAUSED, QUARANTINED, SKIPPED, SUCCEEDED
from ...triggers.cron import CronTrigger
from .store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    BrokenTrigger,
    claim,
    decide,
    finish,
    make_job,
    running,
    statuses,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...core.run import Run
    from ...job.handle import Job
    from ...jobstores.base import BaseJobStore


class RecordedTimesContract:
    """What a claim does about nominal times that have a record."""

    def test_r4_a_date_that_ran_does_not_run_again_when_its_job_is_added_again(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=None))
        finish(store, claim(store))
        store.add_job(make_job(every=None))
        assert claim(store, START + SECOND) == []
        assert store.get_all_jobs() == []
        assert statuses(store) == [SUCCEEDED]

    def test_r4_a_time_that_is_under_way_does_not_run_beside_itself(self, store: BaseJobStore) -> None:
        store.add_job(make_job(max_instances=2))
        runs = claim(store)
        store.remove_job("job")
        store.add_job(make_job(max_instances=2))
        assert claim(store) == []
        assert running(store) == 1
        assert finish(store, runs) == []
        assert statuses(store) == [SUCCEEDED]

    def test_r4_a_job_that_is_set_back_moves_on_without_a_run_or_a_record(self, store: BaseJobStore) -> None:
        store.add_job(make_job("neighbour", START + SECOND))
        store.add_job(make_job())
        finish(store, claim(store))
        set_back(store, START)
        store.renew(NODE, START, LEASE)
        runs = claim(store, START + SECOND)
        assert [run.job_id for run in runs] == ["neighbour"]
        found = store.lookup_job("job")
        assert found is not None
        assert (found.next_nominal, found.next_due, found.running) == (
            START + 60 * SECOND,
            START + 60 * SECOND,
            0,
        )
        assert statuses(store) == [SUCCEEDED]
        later = START + 60 * SECOND
        assert [run.nominal for run in claim(store, later, OTHER) if run.job_id == "job"] == [later]

    def test_r4_a_claim_of_a_recorded_time_moves_the_job_so_that_an_older_decision_is_void(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        finish(store, claim(store))
        set_back(store, START)
        before = store.lookup_job("job")
        assert before is not None
        version = before.version
        assert claim(store) == []
        after = store.lookup_job("job")
        assert after is not None
        assert after.version > version

    def test_r4_of_several_runs_only_those_with_a_record_fall_out_and_the_rest_is_executed_in_turn(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=1, coalesce=False))
        for second in (0, 2):
            set_back(store, START + second * SECOND)
            finish(store, claim(store, START + second * SECOND))
        set_back(store, START)
        runs = claim(store, START + 3 * SECOND)
        assert [run.nominal for run in runs] == [START + SECOND, START + 3 * SECOND]
        assert [run.then for run in runs] == [runs[1], None]
        assert running(store) == 2
        assert finish(store, runs) == []
        assert statuses(store) == [SUCCEEDED] * 4

    def test_r4_a_trigger_that_raises_when_its_records_are_looked_at_costs_its_own_job_only(
        self, store: BaseJobStore
    ) -> None:
        now = START + 20 * SECOND
        store.add_job(make_job("neighbour", now))
        store.add_job(make_job(every=1))
        finish(store, claim(store, START + 10 * SECOND), START + 10 * SECOND)
        set_back(store, START)
        store.renew(NODE, now, LEASE)
        decisions = decide(store, now)
        for decision in decisions:
            if decision.job.id == "job":
                decision.job.trigger = BrokenTrigger()
        won = store.claim(decisions, NODE, now)
        assert [run.job_id for decision in won for run in decision.runs] == ["neighbour"]
        found = store.lookup_job("job")
        assert found is not None
        assert (found.state, found.running) == (QUARANTINED, 0)
        assert statuses(store) == [SKIPPED, SUCCEEDED]

    def test_r4_a_job_whose_whole_group_has_records_does_not_wait_for_its_end(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=1, coalesce=False))
        now = START + 105 * SECOND
        runs = claim(store, now)
        assert len(runs) == 100
        finish(store, runs, now)
        set_back(store, START)
        assert claim(store, now) == []
        found = store.lookup_job("job")
        assert found is not None
        assert (found.next_nominal, found.next_due) == (START + 100 * SECOND, START + 100 * SECOND)
        assert found.next_due != HELD
        assert len(claim(store, now)) == 6

    def test_r4_a_range_that_has_a_record_is_not_recorded_again(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        later = START + 600 * SECOND
        finish(store, claim(store, later))
        set_back(store, START)
        assert claim(store, later) == []
        assert statuses(store) == [SKIPPED, SUCCEEDED]

    def test_r4_of_a_range_that_begins_at_a_recorded_time_the_rest_is_recorded(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        finish(store, claim(store))
        set_back(store, START)
        runs = claim(store, START + 180 * SECOND, OTHER)
        assert [run.nominal for run in runs] == [START + 180 * SECOND]
        (record,) = store.get_runs("job", SKIPPED)
        assert (record.nominal, record.last, record.count) == (
            START + 60 * SECOND,
            START + 120 * SECOND,
            2,
        )

    @pytest.mark.parametrize("is_over", [True, False], ids=["ended", "under way"])
    def test_r4_a_merged_record_leaves_out_a_time_between_its_ends_that_has_a_record(
        self, store: BaseJobStore, is_over: bool
    ) -> None:
        now = START + 300 * SECOND
        store.add_job(make_job("neighbour", START + 240 * SECOND))
        store.add_job(make_job(max_instances=2))
        set_back(store, START + 120 * SECOND)
        runs = claim(store, START + 120 * SECOND)
        if is_over:
            assert finish(store, runs) == []
        set_back(store, START)
        runs = claim(store, now, OTHER)
        assert sorted((run.job_id, run.nominal) for run in runs) == [("job", now), ("neighbour", now)]
        (later, earlier) = store.get_runs("job", SKIPPED)
        assert (earlier.nominal, earlier.last, earlier.count) == (START, START + 60 * SECOND, 2)
        assert (later.nominal, later.last, later.count) == (START + 180 * SECOND, START + 240 * SECOND, 2)
        (beside,) = store.get_runs("neighbour", SKIPPED)
        assert (beside.nominal, beside.count) == (START + 240 * SECOND, 1)

    @pytest.mark.parametrize("added_again", [False, True], ids=["set back", "added again"])
    @pytest.mark.parametrize(("coalesce", "by_hand"), [(True, False), (False, True)])
    def test_r4_a_job_that_comes_back_between_two_times_of_a_record_has_none_of_them_recorded_again(
        self, store: BaseJobStore, added_again: bool, coalesce: bool, by_hand: bool
    ) -> None:
        minutes = [START + minute * 60 * SECOND for minute in range(6)]
        between = minutes[1] + 30 * SECOND

        def job(due: int) -> Job:
            trigger = CronTrigger(second=0, timezone="UTC")
            return make_job(due=due, trigger=trigger, coalesce=coalesce, max_instances=2)

        store.add_job(job(START))
        self._skip(store, START, minutes[4], minutes[4])
        if by_hand:
            finish(store, self._ask(store, minutes[1] + SECOND))
        set_back(store, minutes[5])
        if added_again:
            store.remove_job("job")
            store.add_job(job(between))
        else:
            set_back(store, between)
        runs = claim(store, minutes[5] - 1)
        assert [run.nominal for run in runs] == ([] if coalesce else [between])
        finish(store, runs, minutes[5] - 1)
        assert [run.nominal for run in claim(store, minutes[5])] == [minutes[5]]
        records = [run for run in store.get_runs("job") if run.origin != MANUAL]
        assert [(run.nominal, run.last, run.count) for run in records] == [
            (minutes[5], minutes[5], 1),
            (between, between, 1),
            (START, minutes[4], 5),
        ]

    def test_r4_records_are_told_of_the_times_that_they_stand_for(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.add_job(make_job("other", START + 600 * SECOND))
        later = START + 600 * SECOND
        finish(store, [run for run in claim(store, later) if run.job_id == "job"], later)
        skipped = (START, START + 540 * SECOND, SKIPPED)
        done = (later, later, SUCCEEDED)
        assert store.recorded({"job": START - 1}) == {"job": [skipped, done]}
        assert store.recorded({"job": START + 300 * SECOND}) == {"job": [skipped, done]}
        assert store.recorded({"job": START + 541 * SECOND, "other": later, "nobody": 0}) == {
            "job": [done],
            "other": [(later, later, CLAIMED)],
        }
        assert store.recorded({"job": later + 1}) == {}
        assert store.recorded({}) == {}

    def test_r4_a_time_that_was_forgotten_is_recorded_as_missed_and_does_not_run(
        self, store: BaseJobStore
    ) -> None:
        job = make_job(every=None)
        age = store.remembers or SECOND
        job.set_next(START, forgotten(START, age))
        store.add_job(job)
        later = START + 2 * age
        assert claim(store, later) == []
        (record,) = store.get_runs("job")
        assert (record.nominal, record.due, record.status) == (START, START, MISSED)
        assert store.get_all_jobs() == []

    @pytest.mark.parametrize("paused", [True, False])
    def test_r4_a_claim_that_lets_a_job_come_back_to_recorded_times_has_none_of_them_run_again(
        self, store: BaseJobStore, paused: bool
    ) -> None:
        minutes = [START + minute * 60 * SECOND for minute in range(4)]
        store.add_job(make_job())
        for now in minutes[:3]:
            finish(store, claim(store, now), now)
        if paused:
            set_back(store, None)
        found = store.lookup_job("job")
        assert found is not None
        decision = Decision(
            found
        )  # as of one whose pause is over, or that counts from now, after the clock was set back
        decision.next_nominal = decision.next_due = START
        store.renew(NODE, START, LEASE)
        assert store.claim([decision], NODE, START) == [decision]
        assert [run.nominal for now in minutes for run in claim(store, now)] == [minutes[3]]
        assert sorted(run.nominal for run in store.get_runs("job")) == minutes

    # -- runs by hand --------------------------------------------------------------------------------------------

    def test_r4_a_run_by_hand_whose_key_was_taken_is_told_so_and_claims_nothing(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(due=START + 60 * SECOND, max_instances=2))
        asked = [self._ask(store, START + 1) for _ in range(2)]
        assert [[run.nominal for run in runs] for runs in asked] == [[START + 1], []]
        assert [(run.nominal, run.origin) for run in store.get_runs("job")] == [(START + 1, MANUAL)]
        found = store.lookup_job("job")
        assert found is not None
        assert (found.next_nominal, found.running) == (START + 60 * SECOND, 1)

    def test_r4_a_run_by_hand_takes_no_nominal_time(self, store: BaseJobStore) -> None:
        store.add_job(make_job(max_instances=2))
        assert [run.nominal for run in self._ask(store, START)] == [START + 1]
        assert [run.nominal for run in claim(store)] == [START]

    @pytest.mark.parametrize("paused", [False, True])
    def test_r4_a_run_by_hand_makes_no_record_forgotten_that_stands_among_owed_times(
        self, store: BaseJobStore, paused: bool
    ) -> None:
        later, much_later = START + 60 * SECOND, START + 120 * SECOND
        store.add_job(make_job(max_instances=2))
        self._skip(store, later, later, START)
        if paused:
            found = store.lookup_job("job")
            assert found is not None
            changed = found.copy()
            changed.set_next(None)
            assert store.save_job(changed, found.version)
        self._ask(store, later + SECOND)
        self._skip(store, START, much_later, much_later)
        ended = [run for run in store.get_runs("job") if run.origin != MANUAL]
        assert sorted((run.nominal, run.count) for run in ended) == [(START, 1), (later, 1), (much_later, 1)]

    # -- what a paused job has left out --------------------------------------------------------------------------

    def test_r4_what_a_paused_job_has_left_out_is_recorded_once_though_the_edit_after_it_came_to_nothing(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        set_back(store, None)
        minutes = [START + minute * 60 * SECOND for minute in range(5)]
        self._skip(store, minutes[0], minutes[1], minutes[1] + 1)
        found = store.lookup_job("job")
        assert found is not None
        assert (found.state, found.next_nominal) == (PAUSED, None)
        self._skip(store, minutes[0], minutes[3], minutes[3] + 1)
        spans = [(run.nominal, run.last, run.count) for run in store.get_runs("job")]
        assert spans == [(minutes[2], minutes[3], 2), (minutes[0], minutes[1], 2)]
        set_back(store, minutes[4])
        assert [run.nominal for run in claim(store, minutes[4])] == [minutes[4]]

    def test_r4_what_waits_for_room_and_is_recorded_does_not_run_though_the_edit_after_it_came_to_nothing(
        self, store: BaseJobStore
    ) -> None:
        minutes = [START + minute * 60 * SECOND for minute in range(3)]
        store.add_job(make_job(overlap="buffer_all"))
        first = claim(store)
        assert claim(store, minutes[1]) == []
        found = store.lookup_job("job")
        assert found is not None
        assert (found.next_nominal, found.next_due) == (minutes[1], HELD)
        decision = _left_out(found, minutes[1], minutes[1], minutes[1])
        decision.next_due = minutes[1]  # a place may have come free
        assert store.claim([decision], NODE, minutes[1]) == [decision]
        assert claim(store, minutes[1] + 1) == []
        finish(store, first)
        assert [run.nominal for run in claim(store, minutes[2])] == [minutes[2]]
        assert [run.nominal for run in store.get_runs("job", SKIPPED)] == [minutes[1]]

    def test_r1_what_a_paused_job_has_left_out_is_not_recorded_after_somebody_has_edited_it(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        set_back(store, None)
        before = store.lookup_job("job")
        assert before is not None
        decision = _left_out(before, START, START, START + 1)
        set_back(store, START + 60 * SECOND)
        store.renew(NODE, START + 1, LEASE)
        assert store.claim([decision], NODE, START + 1) == []
        assert store.get_runs("job") == []
        found = store.lookup_job("job")
        assert found is not None
        assert (found.state, found.next_nominal) == (ACTIVE, START + 60 * SECOND)

    def test_jobs_are_not_replaced_together_if_one_of_them_is_refused_meanwhile(
        self, store: BaseJobStore
    ) -> None:
        """As what it replaces has left out times of which there is no record yet."""
        store.add_job(make_job("a"))
        store.add_job(make_job("b"))

        class Refused(Exception):
            """Nothing is to be stored."""

        def replace(job: Job, existing: Job) -> None:
            if existing.id == "b":
                raise Refused

        jobs = [make_job(id, START + 60 * SECOND) for id in "abc"]
        with pytest.raises(Refused):
            store.add_jobs(jobs, replace)
        assert {job.id: job.next_nominal for job in store.get_all_jobs()} == {"a": START, "b": START}

    def _skip(self, store: BaseJobStore, first: int, last: int, now: int) -> None:
        """Record times of the job as skipped, and leave its schedule alone."""
        job = store.lookup_job("job")
        assert job is not None
        version, decision = job.version, _left_out(job, first, last, now)
        store.renew(NODE, now, LEASE)
        assert store.claim([decision], NODE, now) == [decision]
        assert job.version == version + 1  # by which the next change knows that nobody else has changed it

    def _ask(self, store: BaseJobStore, now: int) -> list[Run]:
        """Claim a run by hand without reading the records before; return the decisions that were carried out."""
        job = store.lookup_job("job")
        assert job is not None
        store.renew(NODE, now, LEASE)
        asked = once_more(job, now)
        assert store.claim([asked], NODE, now) == [asked]
        return asked.runs


def _left_out(job: Job, first: int, last: int, now: int) -> Decision:
    """Return the decision that records times of a job as skipped, and leaves its schedule alone."""
    decision = Decision(job)
    decision.next_nominal, decision.next_due, decision.state = job.next_nominal, job.next_due, job.state
    count = (last - first) // (60 * SECOND) + 1
    decision.records.append(record_of(job, first, last, count, SKIPPED, "paused", now))
    return decision


def set_back(store: BaseJobStore, nominal: int | None) -> None:
    """Set a job's next time as a user does; None pauses it."""
    found = store.lookup_job("job")
    assert found is not None
    changed = found.copy()
    changed.set_next(nominal)
    assert store.save_job(changed, found.version)
