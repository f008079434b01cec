"""What every job store must do, one sentence for each invariant; for pytest.

Knows the port only, no store. Derive from :class:`JobStoreContract`, or from
:class:`~rota.testing.contracts.shared.SharedJobStoreContract` if several processes may use the store's data at once, and
give the fixture ``make_store``::

    class TestMyStore(SharedJobStoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            stores = []

            def make():
                store = MyStore(tmp_path / "jobs")
                store.start(None, "default")
                stores.append(store)
                return store

            yield make
            for store in stores:
                store.shutdown()
"""

from __future__ import annotations

import pytest

from ...clock import HELD, SECOND, moment
from ...core.plan import quarantine
from ...core.run import fail
from ...core.states import (
    ACTIVE,
    CANCELLED,
    CLAIMED,
    FAILED,
    PAUSED,
    QUARANTINED,
    SKIPPED,
    SUCCEEDED,
    end,
    succeed,
)
from ...errors import ConflictingIdError, JobLookupError
from ...triggers.interval import IntervalTrigger
from .clocks import ClockContract
from .overridden import OverriddenContract
from .recorded import RecordedTimesContract
from .records import RecordContract
from .searching import SearchContract
from .store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    claim,
    decide,
    due_ids,
    finish,
    make_job,
    running,
    statuses,
    task,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...jobstores.base import BaseJobStore


class JobStoreContract(
    RecordContract, RecordedTimesContract, SearchContract, ClockContract, OverriddenContract
):
    """What every job store with a ledger of its own must do."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseJobStore]:
        """Return a function that returns a started store, each time another one on the same data; the subclass defines it."""
        raise NotImplementedError("give the fixture make_store in the subclass")

    @pytest.fixture
    def store(self, make_store: Callable[[], BaseJobStore]) -> BaseJobStore:
        return make_store()

    # -- the eight methods ---------------------------------------------------------------------------------------

    def test_a_job_comes_back_as_it_was_added(self, store: BaseJobStore) -> None:
        job = make_job(
            name="greeting",
            args=(1, "two"),
            kwargs={"three": [3.0]},
            executor="pool",
            max_instances=3,
            coalesce=False,
        )
        job.set_next(START, START + 7)
        store.add_job(job)
        found = store.lookup_job("job")
        assert found is not None
        assert (found.id, found.name, found.func, found.executor) == ("job", "greeting", task, "pool")
        assert (tuple(found.args), dict(found.kwargs)) == ((1, "two"), {"three": [3.0]})
        assert str(found.trigger) == str(job.trigger)
        assert found.trigger.after(START, START) == job.trigger.after(START, START)
        assert found.policy == job.policy
        assert (found.next_nominal, found.next_due, found.state) == (START, START + 7, ACTIVE)

    def test_an_unknown_job_is_none(self, store: BaseJobStore) -> None:
        assert store.lookup_job("nobody") is None

    def test_a_second_job_of_the_same_id_is_refused_and_the_first_one_stays(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(name="first"))
        with pytest.raises(ConflictingIdError):
            store.add_job(make_job(name="second"))
        assert [job.name for job in store.get_all_jobs()] == ["first"]

    def test_an_updated_job_replaces_the_stored_one(self, store: BaseJobStore) -> None:
        store.add_job(make_job(name="before"))
        store.update_job(make_job(name="after", due=START + SECOND, args=(1,)))
        found = store.lookup_job("job")
        assert found is not None
        assert (found.name, found.next_nominal, tuple(found.args)) == ("after", START + SECOND, (1,))

    def test_an_unknown_job_can_neither_be_updated_nor_saved_nor_removed(self, store: BaseJobStore) -> None:
        with pytest.raises(JobLookupError):
            store.update_job(make_job("nobody"))
        with pytest.raises(JobLookupError):
            store.save_job(make_job("nobody"), 1)
        with pytest.raises(JobLookupError):
            store.remove_job("nobody")

    def test_a_removed_job_is_gone_and_its_neighbour_stays(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one"))
        store.add_job(make_job("two"))
        store.remove_job("one")
        assert store.lookup_job("one") is None
        assert due_ids(store) == ["two"]

    def test_all_jobs_can_be_removed_at_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one"))
        store.add_job(make_job("two", due=None))
        store.remove_all_jobs()
        assert store.get_all_jobs() == []
        assert store.next_due(["default"]) is None

    def test_all_jobs_come_sorted_by_time_and_paused_ones_last(self, store: BaseJobStore) -> None:
        for id, due in (("late", START + 2), ("paused", None), ("early", START), ("middle", START + 1)):
            store.add_job(make_job(id, due))
        assert [job.id for job in store.get_all_jobs()] == ["early", "middle", "late", "paused"]

    def test_due_jobs_are_those_up_to_now_earliest_first(self, store: BaseJobStore) -> None:
        for id, due in (("later", START + 1), ("now", START), ("paused", None), ("before", START - 1)):
            store.add_job(make_job(id, due))
        assert [job.id for job in store.get_due_jobs(moment(START))] == ["before", "now"]

    def test_the_next_run_time_is_the_earliest_of_the_jobs_that_are_not_paused(
        self, store: BaseJobStore
    ) -> None:
        assert store.get_next_run_time() is None
        store.add_job(make_job("paused", None))
        assert store.get_next_run_time() is None
        store.add_job(make_job("late", START + 5))
        store.add_job(make_job("early", START))
        assert store.get_next_run_time() == moment(START)

    # -- due -----------------------------------------------------------------------------------------------------

    def test_no_more_jobs_are_due_than_their_executor_has_room_for(self, store: BaseJobStore) -> None:
        for number in range(4):
            store.add_job(make_job(f"a{number}", START - number))
            store.add_job(make_job(f"b{number}", START - 10 - number, executor="b"))
        found = [job.id for job in store.due(START, {"default": 2, "b": 1})]
        assert found == ["b3", "a3", "a2"]

    def test_jobs_of_executors_that_were_not_asked_for_are_not_due(self, store: BaseJobStore) -> None:
        store.add_job(make_job(executor="elsewhere"))
        assert due_ids(store) == []
        assert store.next_due(["default"]) is None
        assert store.next_due(["default", "elsewhere"]) == START

    def test_due_jobs_of_unknown_executors_are_counted(self, store: BaseJobStore) -> None:
        store.add_job(make_job("one", executor="elsewhere"))
        store.add_job(make_job("two", executor="elsewhere"))
        store.add_job(make_job("later", START + 1, executor="elsewhere"))
        store.add_job(make_job("known"))
        assert store.overdue(START, ["default"]) == {"elsewhere": 2}

    def test_a_job_is_due_at_its_due_time_and_not_at_its_nominal_time(self, store: BaseJobStore) -> None:
        job = make_job()
        job.set_next(START, START + 5)
        store.add_job(job)
        assert due_ids(store, START + 4) == []
        assert store.next_due(["default"]) == START + 5
        assert due_ids(store, START + 5) == ["job"]

    def test_reading_what_is_due_takes_nothing_away(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        assert due_ids(store) == due_ids(store) == ["job"]

    # -- claim and finish ----------------------------------------------------------------------------------------

    def test_r3_a_claim_moves_the_job_counts_its_run_and_records_it(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store, START + 1)
        found = store.lookup_job("job")
        assert found is not None
        assert (found.next_nominal, found.next_due, found.running) == (
            START + 60 * SECOND,
            START + 60 * SECOND,
            1,
        )
        assert (run.owner, run.claimed_at, run.attempt) == (NODE, START + 1, 1)
        (record,) = store.get_runs("job")
        assert (record.nominal, record.status, record.owner, record.attempt) == (START, CLAIMED, NODE, 1)
        assert due_ids(store, START + 1) == []

    def test_r1_of_two_claims_of_the_same_due_time_one_wins(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        first, second = decide(store), decide(store)
        assert len(store.claim(first, NODE, START)) == 1
        assert store.claim(second, NODE, START) == []
        assert statuses(store) == [CLAIMED]

    def test_r1_a_claim_of_a_job_that_was_changed_or_removed_leaves_it_alone(
        self, store: BaseJobStore
    ) -> None:
        for id in ("changed", "paused", "removed", "untouched"):
            store.add_job(make_job(id))
        store.renew(NODE, START, LEASE)
        decisions = decide(store)
        store.update_job(make_job("changed", START + 1))
        store.update_job(make_job("paused", None))
        store.remove_job("removed")
        won = store.claim(decisions, NODE, START)
        assert [decision.job.id for decision in won] == ["untouched"]
        assert [run.job_id for run in store.get_runs()] == ["untouched"]
        paused = store.lookup_job("paused")
        assert paused is not None
        assert paused.state == PAUSED

    def test_r1_a_decision_about_a_removed_job_does_not_hit_a_new_job_of_its_id(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        decisions = decide(store)
        store.remove_job("job")
        store.add_job(make_job(name="another"))
        assert store.claim(decisions, NODE, START) == []

    def test_r5_an_ended_run_is_recorded_and_counted_down(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        run.started_at = START + 1
        succeed(run, "result", START + 2)
        assert store.finish([run], START + 3) == []
        (record,) = store.get_runs("job")
        assert (record.status, record.retval) == (SUCCEEDED, "result")
        assert (record.started_at, record.finished_at) == (START + 1, START + 2)
        assert running(store) == 0

    def test_a_failed_run_keeps_its_error(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        fail(run, ValueError("no good"), "Traceback …", START + 2)
        store.finish([run], START + 3)
        (record,) = store.get_runs(status=FAILED)
        assert (record.error_type, record.error, record.traceback) == ("ValueError", "no good", "Traceback …")

    def test_times_that_did_not_run_are_recorded_with_their_range(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store, START + 600 * SECOND)
        assert run.nominal == START + 600 * SECOND
        (record,) = store.get_runs(status=SKIPPED)
        assert (record.nominal, record.last, record.count) == (START, START + 540 * SECOND, 10)
        assert record.reason == "coalesced"
        assert running(store) == 1

    def test_r6_a_job_that_waits_for_its_runs_becomes_due_when_the_last_has_ended(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=1, coalesce=False))
        now = START + 150 * SECOND
        runs = claim(store, now)
        assert len(runs) == 100
        held = store.lookup_job("job")
        assert held is not None
        assert held.next_due == HELD
        assert store.next_due(["default"]) is None
        finish(store, runs[1:], now)
        assert due_ids(store, now) == []
        finish(store, runs[:1], now)
        assert store.next_due(["default"]) == START + 100 * SECOND
        assert due_ids(store, now) == ["job"]

    def test_r6_a_job_that_counts_from_the_end_of_its_run_is_planned_when_that_has_ended(
        self, store: BaseJobStore
    ) -> None:
        trigger = IntervalTrigger(seconds=60, start_date=moment(START), timezone="UTC", mode="delay")
        store.add_job(make_job(trigger=trigger))
        runs = claim(store)
        assert len(runs) == 1
        assert due_ids(store, START + 1000 * SECOND) == []
        finish(store, runs, START + 4 * SECOND)
        planned = START + 6 * SECOND
        assert claim(store, planned) == []
        assert store.next_due(["default"]) == planned + 60 * SECOND
        again = claim(store, planned + 60 * SECOND, OTHER)
        assert [run.nominal for run in again] == [planned + 60 * SECOND]
        finish(store, again, planned + 61 * SECOND)
        assert statuses(store) == [SUCCEEDED, SUCCEEDED]

    def test_r6_a_job_whose_schedule_is_over_disappears_and_its_last_run_can_end(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=None))
        runs = claim(store)
        assert store.lookup_job("job") is None
        assert store.get_all_jobs() == []
        assert due_ids(store, START + 10**9) == []
        assert finish(store, runs) == []
        assert statuses(store) == [SUCCEEDED]

    def test_the_id_of_an_ended_job_can_be_used_again_and_its_last_run_still_counts(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job(every=None))
        runs = claim(store)
        store.add_job(make_job(name="again", due=START + SECOND))
        assert running(store) == 1
        finish(store, runs)
        assert running(store) == 0
        assert [job.name for job in store.get_all_jobs()] == ["again"]
        with pytest.raises(ConflictingIdError):
            store.add_job(make_job())

    def test_a_recount_tells_how_many_runs_are_under_way(self, store: BaseJobStore) -> None:
        store.add_job(make_job(max_instances=2))
        runs = claim(store)
        job = store.lookup_job("job")
        assert job is not None
        job.running = 7
        store.recount([job])
        assert (job.running, running(store)) == (1, 1)
        finish(store, runs)
        job.running = 7
        store.recount([job])
        assert (job.running, running(store)) == (0, 0)

    def test_a_run_of_a_removed_job_can_end_and_counts_for_a_new_job_of_its_id(
        self, store: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        runs = claim(store)
        store.remove_job("job")
        store.add_job(make_job(due=START + SECOND))
        assert running(store) == 1
        assert finish(store, runs) == []
        assert running(store) == 0
        assert statuses(store) == [SUCCEEDED]

    def test_a_quarantined_job_is_visible_with_its_reason_and_never_due(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        (job,) = store.due(START, {"default": 10})
        assert len(store.claim([quarantine(job, "it is broken")], NODE, START)) == 1
        assert due_ids(store) == []
        assert store.next_due(["default"]) is None
        (found,) = store.get_all_jobs()
        assert (found.state, found.error, found.next_nominal) == (QUARANTINED, "it is broken", START)
        store.remove_job("job")
        assert store.get_all_jobs() == []

    # -- changes by the user -------------------------------------------------------------------------------------

    def test_r1_saving_a_copy_of_an_old_version_changes_nothing(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        found = store.lookup_job("job")
        assert found is not None
        first, second, version = found.copy(), found.copy(), found.version
        first.name, second.name = "first", "second"
        assert store.save_job(first, version)
        assert not store.save_job(second, version)
        assert [job.name for job in store.get_all_jobs()] == ["first"]

    def test_a_saved_job_can_be_saved_again_with_its_new_version(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        for name in ("first", "second"):
            found = store.lookup_job("job")
            assert found is not None
            changed = found.copy()
            changed.name = name
            assert store.save_job(changed, found.version)
        assert [job.name for job in store.get_all_jobs()] == ["second"]

    def test_counting_the_runs_of_jobs_anew_leaves_a_right_count_as_it_is(self, store: BaseJobStore) -> None:
        store.add_job(make_job(max_instances=2))
        store.add_job(make_job("idle", START + 60 * SECOND))
        runs = claim(store)
        jobs = [store.lookup_job(id) for id in ("job", "idle")]
        store.recount([job for job in jobs if job is not None])
        assert (
            [job.running for job in jobs if job is not None]
            == [1, 0]
            == [running(store), running(store, "idle")]
        )
        assert store.mend(START) == ([], [])
        finish(store, runs)
        assert running(store) == 0

    def test_pausing_a_job_does_not_forget_its_running_runs(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        runs = claim(store)
        found = store.lookup_job("job")
        assert found is not None
        paused = found.copy()
        paused.set_next(None)
        assert store.save_job(paused, found.version)
        assert running(store) == 1
        finish(store, runs)
        assert running(store) == 0
        assert due_ids(store, START + 10**9) == []

    @pytest.mark.parametrize(
        "state", [None, (ACTIVE,), (PAUSED,), (QUARANTINED,), (PAUSED, QUARANTINED), (PAUSED, ACTIVE)]
    )
    def test_jobs_come_in_pages_that_make_up_the_whole_list(
        self, store: BaseJobStore, state: tuple[str, ...] | None
    ) -> None:
        odd = ("ä~", "a b", "a-b", "Z", "%")
        for number, id in enumerate(odd):  # equal times, of two executors
            store.add_job(make_job(id, executor=("default", "other")[number % 2]))
        for number in range(4):
            store.add_job(make_job(f"later{number}", START + number + 1))
        store.add_job(make_job("broken"))
        for id in ("paused2", "paused1"):
            store.add_job(make_job(id, None))
        store.renew(NODE, START, LEASE)
        broken = [job for job in store.due(START, {"default": 100}) if job.id == "broken"]
        store.claim([quarantine(job, "broken") for job in broken], NODE, START)
        everything = [job.id for job in store.get_all_jobs() if state is None or job.state in state]
        assert everything
        assert [job.id for job in store.select_jobs(state)] == everything
        for size in (1, 2, 5, 20):
            pages = [
                store.select_jobs(state, size, start) for start in range(0, len(everything) + size, size)
            ]
            assert all(len(jobs) <= size for jobs in pages)
            assert [job.id for jobs in pages for job in jobs] == everything
        assert store.select_jobs(state, 0, 3) == []
        assert [job.id for job in store.select_jobs(state, None, 2)] == everything[2:]

    # -- records -------------------------------------------------------------------------------------------------

    def test_records_come_newest_first_and_can_be_filtered(self, store: BaseJobStore) -> None:
        store.add_job(make_job("a", every=5))
        store.add_job(make_job("b", START + 1, every=5))
        finish(store, claim(store, START + 1))
        (last, _) = claim(store, START + 5 * SECOND + 1)
        end(last, CANCELLED, "stopped", START + 6 * SECOND)
        store.finish([last], START + 6 * SECOND)
        assert len(store.get_runs()) == 4
        assert len(store.get_runs(limit=3)) == 3
        keys = [(run.job_id, run.nominal) for run in store.get_runs()]
        paged = [run for start in range(5) for run in store.get_runs(limit=1, offset=start)]
        assert [(run.job_id, run.nominal) for run in paged] == keys
        times = [run.nominal for run in store.get_runs("a")]
        assert times == sorted(times, reverse=True)
        assert {run.job_id for run in store.get_runs("b")} == {"b"}
        assert [run.reason for run in store.get_runs(status=CANCELLED)] == ["stopped"]
        assert len(store.get_runs(status=(CANCELLED, CLAIMED))) == 2
        assert len(store.get_runs("a", status=SUCCEEDED)) == 1
