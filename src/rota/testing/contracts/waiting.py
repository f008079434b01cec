"""Runs that wait for a time of their own, and cancelling, in every store; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from ...clock import SECOND
from ...core.extras import RETRY, Extra
from ...core.retry import Retry
from ...core.run import Run
from ...core.states import CANCELLED, CLAIMED, ENDED, FAILED, MANUAL, SKIPPED, SNOOZED, SUCCEEDED, WAITING
from ...core.waiting import KEY_HOLDS
from .orders import EARLY, KEY, OrdersContract, asked_for
from .store_jobs import (
    LEASE,
    MARGIN,
    NODE,
    OTHER,
    START,
    claim,
    decide,
    due_ids,
    finish,
    make_job,
    running,
    until_done,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...jobstores.base import BaseJobStore


def take(
    store: BaseJobStore, now: int = EARLY, node: str = NODE, room: dict[str, int] | None = None
) -> list[Run]:
    """Take waiting runs for a node that has a lease."""
    until_done(lambda: store.renew(node, now, LEASE))
    taken: list[Run] = until_done(lambda: store.take_waiting(node, now, room))
    return taken


class WaitingContract(OrdersContract):
    """What every store must do with runs that wait."""

    # -- opening and taking --------------------------------------------------------------------------------------

    def test_a_run_waits_until_its_time_and_is_carried_out_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        assert store.next_waiting() is None
        (opened,) = store.open_runs([asked_for(not_before=EARLY + 60 * SECOND)], EARLY)
        assert (opened.job_id, opened.nominal, opened.status) == ("job", KEY, WAITING)
        assert store.next_waiting() == EARLY + 60 * SECOND
        (record,) = store.get_runs()
        assert (record.status, record.origin, record.waiting_for, record.attempt) == (
            WAITING,
            MANUAL,
            MANUAL,
            0,
        )
        assert (record.owner, record.ended, record.not_before is None) == (None, False, False)
        assert take(store, EARLY + 59 * SECOND) == []
        (run,) = take(store, EARLY + 60 * SECOND)
        assert (run.id, run.status, run.owner, run.origin) == (f"job@{KEY}#1", CLAIMED, NODE, MANUAL)
        assert run.job is not None
        assert run.executor == "default"
        assert (take(store, EARLY + 60 * SECOND), store.next_waiting(), running(store)) == ([], None, 1)
        assert finish(store, [run], EARLY + 60 * SECOND) == []
        (record,) = store.get_runs()
        assert (record.status, record.origin, record.reason, record.attempt) == (SUCCEEDED, MANUAL, None, 1)
        assert (record.not_before, running(store)) == (None, 0)
        assert due_ids(store) == ["job"]

    def test_waiting_runs_are_found_by_their_status_and_origin(self, store: BaseJobStore) -> None:
        from ...core.queries import RunQuery  # only here

        store.add_job(make_job())
        store.open_runs([asked_for()], EARLY)
        for query in (RunQuery(statuses=WAITING), RunQuery(origins=MANUAL), RunQuery(job_ids="job")):
            assert [run.nominal for run in store.find_runs(query).items] == [KEY]
        assert store.find_runs(RunQuery(statuses=CLAIMED)).items == []
        assert store.find_runs(RunQuery(origins="schedule")).items == []
        assert [run.nominal for run in store.get_runs(status=WAITING)] == [KEY]
        found = store.get_run("job", KEY)
        assert found is not None
        assert (found.status, found.attempts) == (WAITING, [])

    def test_the_earliest_are_taken_first_as_far_as_there_is_room(self, store: BaseJobStore) -> None:
        store.add_jobs(
            [make_job(f"job{number}", executor="second" if number == 3 else "default") for number in range(4)]
        )
        store.open_runs([asked_for(f"job{number}", EARLY + 10 - number) for number in range(4)], EARLY)
        taken = take(store, EARLY + 60, room={"default": 2})
        assert [run.job_id for run in taken] == ["job2", "job1"]
        assert [run.job_id for run in take(store, EARLY + 60, room={"default": 0, "second": 5})] == ["job3"]
        assert [run.job_id for run in take(store, EARLY + 60)] == ["job0"]

    def test_r2_a_waiting_run_starts_when_a_place_is_free(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        runs = claim(store)
        store.open_runs(
            [asked_for(not_before=START), asked_for(not_before=START + 1, nominal=KEY + 1)], START
        )
        assert take(store, START + SECOND) == []
        finish(store, runs)
        (run,) = take(store, START + SECOND)
        assert (run.nominal, running(store)) == (KEY, 1)
        assert take(store, START + SECOND) == []
        finish(store, [run], START + SECOND)
        assert [run.nominal for run in take(store, START + SECOND)] == [KEY + 1]

    def test_many_waiting_runs_of_a_busy_job_hide_none_of_another(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("busy"), make_job("free", START + 1000 * SECOND)])
        claim(store)
        store.open_runs([asked_for("busy", START + n, nominal=KEY + n) for n in range(300)], START)
        store.open_runs([asked_for("free", START + 1000)], START)
        assert [run.job_id for run in take(store, START + SECOND)] == ["free"]

    def test_a_time_of_the_schedule_goes_before_a_waiting_run(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.open_runs([asked_for(not_before=START - SECOND)], EARLY)
        assert take(store, START) == []
        finish(store, claim(store))
        assert [run.nominal for run in take(store, START)] == [KEY]

    def test_while_its_job_is_paused_only_what_was_asked_for_starts(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("a", None), make_job("b", None)])
        store.open_runs([asked_for("a"), asked_for("b", waiting_for=RETRY)], EARLY)
        assert [run.job_id for run in take(store)] == ["a"]

    def test_nobody_is_told_to_look_at_what_only_a_change_of_its_job_lets_start(
        self, store: BaseJobStore
    ) -> None:
        """But for the deadline of a retry, which goes on, and for what was asked for."""
        retry = Retry(timeout=60)
        store.add_jobs([make_job("a", None), make_job("b", None, retry=retry), make_job("c", None)])
        store.open_runs([asked_for("a", waiting_for=SNOOZED)], EARLY)
        assert (store.next_waiting(), store.orders(NODE, EARLY).next_waiting) == (None, None)
        # Its due time counts: it is the one that it is opened with.
        store.open_runs([asked_for("b", waiting_for=RETRY)], EARLY)
        end = EARLY + 60 * SECOND + 1
        assert (store.next_waiting(), store.orders(NODE, EARLY).next_waiting) == (end, end)
        store.open_runs([asked_for("c", EARLY + 9 * SECOND)], EARLY)
        assert store.next_waiting() == EARLY + 9 * SECOND
        assert [run.job_id for run in take(store, EARLY + 9 * SECOND)] == ["c"]
        found = store.lookup_job("a")
        assert found is not None
        edited = found.copy()
        edited.set_next(START)
        assert store.save_job(edited, found.version)
        assert store.next_waiting() == EARLY
        assert [(run.job_id, run.status) for run in take(store, end)] == [("a", CLAIMED), ("b", FAILED)]

    def test_what_waits_by_itself_starts_when_its_job_goes_on_and_as_that_was_edited(
        self, store: BaseJobStore
    ) -> None:
        store.add_jobs([make_job("a", None), make_job("b", None)])
        store.open_runs([asked_for("a", waiting_for=RETRY), asked_for("b", waiting_for=SNOOZED)], EARLY)
        assert take(store) == []
        for id in ("a", "b"):
            found = store.lookup_job(id)
            assert found is not None
            edited = found.copy()
            edited.args = (2,)
            edited.set_next(START)
            assert store.save_job(edited, found.version)
        assert [(run.job_id, run.job and run.job.args) for run in take(store)] == [("a", (2,)), ("b", (2,))]

    def test_r4_a_run_is_opened_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        assert len(store.open_runs([asked_for()], EARLY)) == 1
        assert store.open_runs([asked_for()], EARLY) == []
        runs = take(store)
        assert store.open_runs([asked_for()], EARLY) == []
        finish(store, runs, EARLY)
        assert store.open_runs([asked_for("none")], EARLY) == []
        assert len(store.get_runs()) == 1

    def test_an_ended_run_is_opened_again(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        ended = claim(store)
        finish(store, ended)
        again = asked_for(nominal=START, not_before=START + SECOND, succeeded_at=START)
        again.attempt = 1
        assert len(store.open_runs([again], START + SECOND)) == 1
        assert [run.status for run in ended] == [SUCCEEDED]  # as listeners were told
        (record,) = store.get_runs()
        assert (record.status, record.attempt, record.finished_at, record.retval) == (WAITING, 1, None, None)
        (run,) = take(store, START + SECOND)
        assert (run.nominal, run.attempt, run.extra.succeeded_at) == (START, 2, START)
        assert finish(store, [run], START + SECOND) == []
        assert [(record.status, record.attempt) for record in store.get_runs()] == [(SUCCEEDED, 2)]

    def test_the_same_key_returns_the_same_run_for_a_day(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job(), make_job("other")])
        (first,) = store.open_runs([asked_for(key="once")], EARLY)
        (second,) = store.open_runs([asked_for(nominal=KEY + 1, key="once")], EARLY + SECOND)
        assert (first.nominal, second.nominal) == (KEY, KEY)
        (other,) = store.open_runs([asked_for("other", nominal=KEY + 1, key="once")], EARLY + SECOND)
        assert other.nominal == KEY + 1
        finish(store, take(store, EARLY + SECOND), EARLY + SECOND)
        (third,) = store.open_runs([asked_for(nominal=KEY + 2, key="once")], EARLY + KEY_HOLDS - 1)
        assert (third.nominal, third.status) == (KEY, SUCCEEDED)
        (fourth,) = store.open_runs([asked_for(nominal=KEY + 3, key="once")], EARLY + KEY_HOLDS)
        assert (fourth.nominal, fourth.status) == (KEY + 3, WAITING)

    def test_the_key_of_a_run_that_went_with_its_job_is_free_for_the_next_one(
        self, store: BaseJobStore
    ) -> None:
        """A run that was executed stands for its key all the same."""
        store.add_job(make_job())
        store.open_runs([asked_for(key="done")], EARLY)
        finish(store, take(store), EARLY)
        store.open_runs([asked_for(nominal=KEY + 1, key="gone")], EARLY + SECOND)
        store.remove_job("job")
        store.add_job(make_job())
        for nominal, key, found in ((2, "gone", 2), (3, "gone", 2), (4, "done", 0)):
            (run,) = store.open_runs([asked_for(nominal=KEY + nominal, key=key)], EARLY + 2 * SECOND)
            assert run.nominal == KEY + found

    def test_a_run_has_arguments_of_its_own(self, store: BaseJobStore) -> None:
        store.add_job(make_job(args=(1,), kwargs={"x": 1}))
        store.open_runs([asked_for(args=(2, "ü"), kwargs={"y": [1.5, None]})], EARLY)
        store.open_runs([asked_for(nominal=KEY + 1, not_before=EARLY + 1)], EARLY)
        (run,) = take(store)
        assert run.job is not None
        assert (tuple(run.job.args), dict(run.job.kwargs)) == ((2, "ü"), {"y": [1.5, None]})
        finish(store, [run], EARLY)
        (run,) = take(store, EARLY + SECOND)
        assert run.job is not None
        assert (tuple(run.job.args), dict(run.job.kwargs)) == ((1,), {"x": 1})
        job = store.lookup_job("job")
        assert job is not None
        assert tuple(job.args) == (1,)

    # -- giving back ---------------------------------------------------------------------------------------------

    def test_r5_a_run_that_was_given_back_is_taken_with_a_higher_attempt(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        wait_for(run, SNOOZED, START + 60 * SECOND)
        assert store.give_back([run], START) == []
        (record,) = store.get_runs()
        assert (record.status, record.waiting_for, record.attempt, record.owner) == (
            WAITING,
            SNOOZED,
            1,
            None,
        )
        assert take(store, START + 59 * SECOND) == []
        (again,) = take(store, START + 60 * SECOND, OTHER)
        assert (again.nominal, again.attempt, again.owner, again.origin) == (START, 2, OTHER, "schedule")
        assert finish(store, [again], START + 60 * SECOND) == []
        assert [(record.status, record.attempt) for record in store.get_runs()] == [(SUCCEEDED, 2)]
        assert running(store) == 0

    def test_a_waiting_retry_keeps_its_place_and_others_do_not(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("retry"), make_job("later")])
        first, second = sorted(claim(store), key=lambda run: run.job_id, reverse=True)
        wait_for(first, RETRY, START + 90 * SECOND, tries=1)
        wait_for(second, MANUAL, START + 90 * SECOND)
        assert store.give_back([first, second], START) == []
        assert (running(store, "retry"), running(store, "later")) == (1, 0)
        until_done(lambda: store.renew(NODE, START + 60 * SECOND, LEASE))
        decisions = {decision.job.id: decision for decision in decide(store, START + 60 * SECOND)}
        assert [record.status for record in decisions["retry"].records] == [SKIPPED]
        assert len(decisions["later"].runs) == 1
        until_done(lambda: store.renew(NODE, START + 60 * SECOND, LEASE))
        until_done(lambda: store.claim(list(decisions.values()), NODE, START + 60 * SECOND))
        taken = take(store, START + 90 * SECOND)
        assert [(run.job_id, run.nominal, run.tries) for run in taken] == [("retry", START, 1)]
        assert (running(store, "retry"), running(store, "later")) == (1, 1)
        assert finish(store, taken, START + 90 * SECOND) == []
        assert running(store, "retry") == 0

    # -- cancelling ----------------------------------------------------------------------------------------------

    def test_a_waiting_run_is_cancelled_at_once(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.open_runs([asked_for()], EARLY)
        run = store.cancel_run("job", KEY, "not needed: ü", EARLY + SECOND)
        assert run is not None
        assert (run.status, run.reason, run.finished_at) == (CANCELLED, "not needed: ü", EARLY + SECOND)
        assert (take(store, EARLY + SECOND), store.next_waiting()) == ([], None)
        assert [(record.status, record.reason) for record in store.get_runs()] == [
            (CANCELLED, "not needed: ü")
        ]

    def test_a_cancelled_retry_gives_up_its_place(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        wait_for(run, RETRY, START + 90 * SECOND)
        store.give_back([run], START)
        assert running(store) == 1
        store.cancel_run("job", START, "no", START)
        assert running(store) == 0

    def test_the_node_of_a_run_is_told_that_it_is_cancelled(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job(), make_job("other")])
        runs = claim(store)
        assert list(store.orders(NODE, START).cancels) == []
        run = store.cancel_run("job", START, "stop", START)
        assert run is not None
        assert run.status == CLAIMED
        store.cancel_run("job", START, "stop again", START)
        assert list(store.orders(NODE, START).cancels) == [("job", START, "stop")]
        assert list(store.orders(OTHER, START).cancels) == []
        assert finish(store, runs) == []
        assert list(store.orders(NODE, START).cancels) == []

    def test_what_has_ended_or_never_was_is_not_cancelled(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        finish(store, claim(store))
        run = store.cancel_run("job", START, "no", START + SECOND)
        assert run is not None
        assert run.status == SUCCEEDED
        assert store.cancel_run("job", START + 1, "no", START) is None
        assert [record.status for record in store.get_runs()] == [SUCCEEDED]

    # -- jobs ----------------------------------------------------------------------------------------------------

    def test_the_waiting_runs_of_a_removed_job_are_cancelled_with_it(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job(), make_job("other", START + 1000 * SECOND)])
        store.open_runs([asked_for(), asked_for("other")], EARLY)
        (told,) = store.remove_job("job") or ()
        (run,) = store.get_runs("job")
        for one in (run, told):
            assert (one.job_id, one.nominal, one.status, one.reason) == ("job", KEY, CANCELLED, "job removed")
            assert (one.name, one.origin, one.finished_at) == (run.name, MANUAL, run.finished_at)
        store.add_job(make_job())
        assert [run.job_id for run in take(store)] == ["other"]
        store.open_runs([asked_for(nominal=KEY + 1)], EARLY)
        (told,) = store.remove_all_jobs() or ()
        assert (told.job_id, told.nominal, told.status) == ("job", KEY + 1, CANCELLED)
        assert {(run.job_id, run.status) for run in store.get_runs() if run.nominal > KEY} == {
            ("job", CANCELLED)
        }
        assert (take(store), store.next_waiting()) == ([], None)

    def test_a_job_without_waiting_runs_is_removed_without_a_word(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job(), make_job("other")])
        claim(store)
        assert not store.remove_job("job")
        assert not store.remove_all_jobs()

    def test_a_job_whose_schedule_is_over_stays_for_its_waiting_run(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=None))
        store.open_runs([asked_for(not_before=START + 60 * SECOND)], EARLY)
        finish(store, claim(store))
        job = store.lookup_job("job")
        assert job is not None
        assert (job.state, store.get_all_jobs()) == (ENDED, [])
        (run,) = take(store, START + 60 * SECOND)
        assert run.job is not None
        assert finish(store, [run], START + 60 * SECOND) == []
        assert store.lookup_job("job") is None


class SharedWaitingContract:
    """The same where several nodes share a store."""

    def test_r4_a_waiting_run_is_taken_by_one_of_several_nodes(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        from .store_jobs import at_once  # only here

        store.add_jobs([make_job(f"job{number}") for number in range(20)])
        store.open_runs([asked_for(f"job{number}") for number in range(20)], EARLY)
        taken: list[str] = []

        def work(number: int) -> None:
            taken.extend(run.job_id for run in take((store, other)[number], EARLY, f"node-{number}"))

        at_once(2, work)
        taken.extend(run.job_id for run in take(store, EARLY, "node-0"))
        assert sorted(taken) == sorted(f"job{number}" for number in range(20))
        assert {run.attempt for run in store.get_runs(status=CLAIMED)} == {1}

    def test_the_same_key_at_the_same_time_opens_one_run(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        from .store_jobs import at_once  # only here

        store.add_job(make_job())
        for round in range(5):
            found: list[int] = []

            def work(number: int, round: int = round, found: list[int] = found) -> None:
                run = asked_for(nominal=KEY + 10 * round + number, key=f"once-{round}")
                found.extend(run.nominal for run in (store, other)[number].open_runs([run], EARLY))

            at_once(2, work)
            assert len(found) == 2
            assert len(set(found)) == 1
        assert len(store.get_runs()) == 5

    def test_r5_what_another_node_has_taken_over_cannot_be_given_back(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        (run,) = claim(store)
        later = START + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        (rescued,) = other.rescue(OTHER, later)
        wait_for(run, SNOOZED, later)
        assert store.give_back([run], later) == [run]
        assert [(record.status, record.owner) for record in store.get_runs()] == [(CLAIMED, OTHER)]
        assert finish(other, [rescued], later) == []

    def test_a_waiting_run_is_no_claim_that_is_rescued(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job())
        store.open_runs([asked_for()], EARLY)
        other.renew(OTHER, EARLY, LEASE)
        assert other.rescue(OTHER, EARLY, in_doubt=True) == []
        assert list(store.mend_in_steps(EARLY)) in ([], [([], [])]) or all(
            not jobs and not runs for jobs, runs in store.mend_in_steps(EARLY)
        )
        assert [run.status for run in store.get_runs()] == [WAITING]
        assert running(store) == 0

    def test_what_was_taken_is_rescued_when_its_node_dies(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        store.add_job(make_job(args=(1,)))
        store.open_runs([asked_for(args=(2,))], EARLY)
        take(store)
        later = EARLY + LEASE + MARGIN
        other.renew(OTHER, later, LEASE)
        (run,) = other.rescue(OTHER, later)
        assert (run.nominal, run.attempt, run.origin) == (KEY, 2, MANUAL)
        assert run.job is not None
        assert tuple(run.job.args) == (2,)
        assert finish(other, [run], later) == []
        assert running(store) == 0

    def test_waiting_runs_are_not_forgotten(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.open_runs([asked_for(not_before=START + 1_000_000 * SECOND)], EARLY)
        later = START + 500_000_000 * SECOND
        store.renew(NODE, later, LEASE)
        store.prune(later)
        assert [run.status for run in store.get_runs()] == [WAITING]


def wait_for(run: Run, what: str, not_before: int, tries: int = 0) -> None:
    """Have a claimed run say what it is to wait for, before it is given back."""
    extra = run.extra = Extra(run.origin)
    extra.waiting_for, extra.not_before, extra.uncounted = what, not_before, run.attempt - tries
