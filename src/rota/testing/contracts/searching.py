"""What searching must do in every store, one sentence for each invariant; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from functools import partial

import pytest

from ...clock import DAY, HOUR, SECOND, moment
from ...core.plan import plan
from ...core.queries import COUNTED, LOOKED_AT, JobQuery, RunQuery
from ...core.run import fail
from ...core.states import CLAIMED, FAILED, PAUSED, SKIPPED, SUCCEEDED, succeed
from ...errors import QueryError
from .backfills import BackfillContract
from .beside import BesideContract
from .chained_places import ChainedPlacesContract
from .chains import ChainsContract
from .crowds import CrowdContract
from .ended_jobs import EndedJobsContract
from .failures import FailuresContract
from .overlaps import OverlapsContract
from .pairs import PairsContract
from .pauses import PausesContract
from .retries import RetriesContract
from .store_jobs import LEASE, NODE, OTHER, START, claim, finish, make_job, other_task
from .waiting import WaitingContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.queries import Page
    from ...core.run import Run
    from ...jobstores.base import BaseJobStore


class SearchContract(
    BesideContract,
    BackfillContract,
    ChainedPlacesContract,
    ChainsContract,
    CrowdContract,
    EndedJobsContract,
    FailuresContract,
    OverlapsContract,
    PairsContract,
    PausesContract,
    RetriesContract,
    WaitingContract,
):
    """What can be found in a store, and in which order, while jobs and records come and go; what is kept beside them, and waits."""

    # -- records -------------------------------------------------------------------------------------------------

    def test_records_are_found_newest_first_page_by_page(self, store: BaseJobStore) -> None:
        _fill(store)
        found = _all(store.find_runs, RunQuery(), limit=3)
        assert [(run.nominal, run.job_id) for run in found] == sorted(
            ((run.nominal, run.job_id) for run in found), key=lambda key: (-key[0], key[1])
        )
        assert len(found) == len({(run.job_id, run.nominal) for run in found}) == 20

    def test_each_field_of_a_query_leaves_out_what_does_not_fit(self, store: BaseJobStore) -> None:
        _fill(store)
        every = _all(store.find_runs, RunQuery())
        for query, fits in (
            (RunQuery(job_ids={"a", "c"}), lambda run: run.job_id in ("a", "c")),
            (RunQuery(statuses={FAILED}), lambda run: run.status == FAILED),
            (RunQuery(statuses={CLAIMED, SKIPPED}), lambda run: run.status in (CLAIMED, SKIPPED)),
            (
                RunQuery(job_ids="a", statuses=SUCCEEDED),
                lambda run: (run.job_id, run.status) == ("a", SUCCEEDED),
            ),
            (RunQuery(nodes={OTHER}), lambda run: run.owner == OTHER),
            (RunQuery(executors={"second"}), lambda run: run.executor == "second"),
            (RunQuery(reasons={"max_instances"}), lambda run: run.reason == "max_instances"),
            (RunQuery(origins={"manual"}), lambda run: False),
            (RunQuery(origins={"schedule"}), lambda run: True),
            (RunQuery(error_types={"ValueError"}), lambda run: run.error_type == "ValueError"),
            (RunQuery(statuses=FAILED, error_types={"KeyError"}), lambda run: run.error_type == "KeyError"),
            (
                RunQuery(text="WRONG Number"),
                lambda run: run.error is not None and "wrong number" in run.error,
            ),
            (RunQuery(text="%"), lambda run: False),
            (RunQuery(text="MAX_instances"), lambda run: run.reason == "max_instances"),
            (RunQuery(since=moment(START + 120 * SECOND)), lambda run: run.nominal >= START + 120 * SECOND),
            (RunQuery(until=moment(START + 120 * SECOND)), lambda run: run.nominal < START + 120 * SECOND),
            (
                RunQuery(job_ids="b", since=moment(START + 60 * SECOND), until=moment(START + 180 * SECOND)),
                lambda run: run.job_id == "b" and START + 60 * SECOND <= run.nominal < START + 180 * SECOND,
            ),
        ):
            wanted = [(run.job_id, run.nominal) for run in every if fits(run)]
            for limit in (2, 100):
                assert [(run.job_id, run.nominal) for run in _all(store.find_runs, query, limit)] == wanted, (
                    query
                )
            assert store.count_runs(query) == len(wanted), query

    def test_a_page_of_records_stays_right_while_records_come(self, store: BaseJobStore) -> None:
        _fill(store)
        before = [(run.job_id, run.nominal) for run in _all(store.find_runs, RunQuery())]
        first = store.find_runs(RunQuery(), 5)
        finish(store, claim(store, START + 600 * SECOND), START + 600 * SECOND)
        rest = _all(store.find_runs, RunQuery(), 5, first.cursor)
        assert [(run.job_id, run.nominal) for run in [*first.items, *rest]] == before

    def test_a_full_page_of_the_last_records_says_that_there_is_nothing_more(
        self, store: BaseJobStore
    ) -> None:
        _fill(store)
        page = store.find_runs(RunQuery(job_ids={"a"}), 5)
        assert (len(page.items), page.cursor, page.searched_back_to) == (5, None, None)

    def test_nothing_is_found_in_an_empty_store(self, store: BaseJobStore) -> None:
        assert store.find_runs(RunQuery()).items == store.find_jobs(JobQuery()).items == []
        assert (store.count_runs(RunQuery()), store.count_jobs(JobQuery())) == (0, 0)
        assert store.find_runs(RunQuery(job_ids=())).items == []
        assert store.run_counts(START, START + DAY) == {}
        assert store.last_runs(["a"], 3) == store.last_runs([]) == {}

    def test_a_record_is_got_by_its_key(self, store: BaseJobStore) -> None:
        _fill(store)
        run = store.get_run("b", START)
        assert run is not None
        assert (run.job_id, run.nominal, run.status, run.error_type) == ("b", START, FAILED, "ValueError")
        assert (run.name, run.func) == ("task", "rota.testing.contracts.store_jobs:task")
        assert store.get_run("b", START + 1) is store.get_run("none", START) is None

    def test_the_last_records_of_jobs_are_found_together(self, store: BaseJobStore) -> None:
        _fill(store)
        last = store.last_runs({"a", "b", "none"}, 2)
        assert {id: [run.nominal for run in runs] for id, runs in last.items()} == {
            id: [START + 240 * SECOND, START + 180 * SECOND] for id in ("a", "b")
        }
        failed = store.last_runs(["a", "b"], 1, {FAILED})
        assert {id: [run.nominal for run in runs] for id, runs in failed.items()} == {
            "b": [START + 240 * SECOND]
        }

    def test_records_are_counted_by_hour_and_status(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("a", every=1800), make_job("b", every=1800)])
        for half in range(5):
            now = START + half * HOUR // 2
            runs = claim(store, now)
            for run in runs:
                if run.job_id == "b":
                    fail(run, ValueError("no"), "", now)
            store.finish([run for run in runs if run.status == FAILED], now)
            finish(store, [run for run in runs if run.status == CLAIMED], now)
        hours = {START: {SUCCEEDED: 2, FAILED: 2}, START + HOUR: {SUCCEEDED: 2, FAILED: 2}}
        assert store.run_counts(START, START + 2 * HOUR) == hours
        assert store.run_counts(START + HOUR + 1, START + 3 * HOUR) == {
            START + HOUR: {SUCCEEDED: 2, FAILED: 2},
            START + 2 * HOUR: {SUCCEEDED: 1, FAILED: 1},
        }
        assert store.run_counts(START, START + 2 * HOUR, RunQuery(job_ids="b", statuses=FAILED)) == {
            START: {FAILED: 2},
            START + HOUR: {FAILED: 2},
        }
        for statuses in ({FAILED}, {FAILED, SUCCEEDED}, {CLAIMED}):
            of_statuses = {
                hour: {status: counts[status] for status in counts.keys() & statuses}
                for hour, counts in hours.items()
                if counts.keys() & statuses
            }
            assert store.run_counts(START, START + 2 * HOUR, RunQuery(statuses=statuses)) == of_statuses

    def test_the_counts_by_hour_stay_the_same_when_housekeeping_has_counted(
        self, store: BaseJobStore
    ) -> None:
        store.add_jobs([make_job("a", every=1800)])
        for half in range(6):
            finish(store, claim(store, START + half * HOUR // 2), START + half * HOUR // 2)
        later = START + 10 * HOUR
        before = store.run_counts(START, later)
        assert before == {START + hour * HOUR: {SUCCEEDED: 2} for hour in range(3)}
        for _ in range(3):
            store.prune(later)
            assert store.run_counts(START, later) == before
            assert store.run_counts(START, later, RunQuery(statuses=SUCCEEDED)) == before
            assert store.run_counts(START, later, RunQuery(statuses=FAILED)) == {}
        finish(store, claim(store, later), later)
        assert store.run_counts(START, later + HOUR)[START] == {SUCCEEDED: 2}

    # -- jobs ----------------------------------------------------------------------------------------------------

    def test_jobs_are_found_in_each_order_page_by_page(self, store: BaseJobStore) -> None:
        names = {f"job{number:02}": f"Name {(number * 7) % 12:02}" for number in range(12)}
        due = {id: START + (number * 5) % 12 * SECOND for number, id in enumerate(sorted(names))}
        for id, name in names.items():
            store.add_job(make_job(id, due[id], name=name))
        for sort, key in (
            ("id", lambda id: id),
            ("name", lambda id: names[id]),
            ("due", lambda id: due[id]),
        ):
            for limit in (1, 5, 12, 100):
                found = _all(store.find_jobs, JobQuery(sort=sort), limit)
                assert [job.id for job in found] == sorted(names, key=key), sort

    def test_jobs_without_a_due_time_come_last(self, store: BaseJobStore) -> None:
        store.add_job(make_job("paused", None))
        store.add_job(make_job("late", START + SECOND))
        store.add_job(make_job("early", START))
        assert [job.id for job in _all(store.find_jobs, JobQuery(sort="due"), 1)] == [
            "early",
            "late",
            "paused",
        ]

    def test_each_field_of_a_query_leaves_out_the_jobs_that_do_not_fit(self, store: BaseJobStore) -> None:
        store.add_jobs(
            [
                make_job("a", START, tags=("red",), metadata={"owner": "Ann"}),
                make_job("b", START + SECOND, tags=("blue", "red"), executor="second", name="Böse"),
                make_job("c", None, tags=("blue",)),
                make_job("d%", START + 2 * SECOND, func=other_task, name="other"),
            ]
        )
        for query, ids in (
            (JobQuery(ids={"a", "c", "none"}), "a c"),
            (JobQuery(ids=()), ""),
            (JobQuery(tags={"red"}), "a b"),
            (JobQuery(tags={"red", "blue"}), "b"),
            (JobQuery(tags={"none"}), ""),
            (JobQuery(states=PAUSED), "c"),
            (JobQuery(states={"active", PAUSED}), "a b c d%"),
            (JobQuery(executors={"second"}), "b"),
            (JobQuery(func="rota.testing.contracts.store_jobs:other_task"), "d%"),
            (JobQuery(func="rota.testing"), "a b c d%"),
            (JobQuery(func="rota_testing"), ""),
            (JobQuery(text="BÖSE"), "b"),
            (JobQuery(text="store_JOBS:task"), "a b c"),
            (JobQuery(text="D%"), "d%"),
            (JobQuery(text="%"), "d%"),
            (JobQuery(text="_obs:"), ""),
            (JobQuery(due_before=moment(START + SECOND)), "a"),
            (JobQuery(due_after=moment(START + SECOND)), "b d%"),
            (JobQuery(due_after=moment(START + SECOND), due_before=moment(START + 2 * SECOND)), "b"),
            (JobQuery(tags={"blue"}, states=PAUSED), "c"),
        ):
            for limit in (1, 100):
                found = [job.id for job in _all(store.find_jobs, query, limit)]
                assert found == [id for id in ("a", "b", "c", "d%") if id in ids.split()], query
            assert store.count_jobs(query) == len(ids.split()), query

    def test_jobs_are_found_by_how_their_last_runs_have_ended(self, store: BaseJobStore) -> None:
        _fill(store)
        store.add_job(make_job("new", START + DAY))
        for query, ids in (
            (JobQuery(last_status={FAILED}), "b"),
            (JobQuery(last_status={SUCCEEDED}), "a d"),
            (JobQuery(failures=1), "b"),
            (JobQuery(failures=2), "b"),
            (JobQuery(failures=5), "b"),
            (JobQuery(failures=6), ""),
            (JobQuery(last_end_before=moment(START + 200 * SECOND)), "c new"),
            (JobQuery(last_end_before=moment(START + 200 * SECOND), last_status={FAILED}), ""),
        ):
            assert [job.id for job in _all(store.find_jobs, query, 2)] == ids.split(), query

    def test_pages_of_jobs_stay_right_while_jobs_come_and_go(self, store: BaseJobStore) -> None:
        for number in range(10):
            store.add_job(make_job(f"job{number}"))
        first = store.find_jobs(JobQuery(), 4)
        store.remove_job("job1")
        store.remove_job("job3")
        store.add_job(make_job("job0a"))
        store.add_job(make_job("job5a"))
        rest = _all(store.find_jobs, JobQuery(), 4, first.cursor)
        assert [job.id for job in rest] == ["job4", "job5", "job5a", *(f"job{n}" for n in range(6, 10))]

    def test_tags_metadata_and_revision_are_kept_and_changed(self, store: BaseJobStore) -> None:
        store.add_job(make_job(tags=("blue", "red"), metadata={"team": ["a", 1, None], "ü": {"x": 1.5}}))
        job = _job(store)
        assert (job.tags, job.metadata, job.revision) == (
            ("blue", "red"),
            {"team": ["a", 1, None], "ü": {"x": 1.5}},
            0,
        )
        changed = job.copy()
        changed.tags, changed.metadata, changed.revision = ("green",), {}, 1
        changed.paused = '{"note":"a ü note"}'
        assert store.save_job(changed, job.version)
        job = _job(store)
        assert (job.tags, dict(job.metadata), job.revision, job.paused) == (
            ("green",),
            {},
            1,
            '{"note":"a ü note"}',
        )
        assert [len(store.find_jobs(JobQuery(tags={tag})).items) for tag in ("blue", "green")] == [0, 1]
        finish(store, claim(store))
        assert (_job(store).revision, _job(store).tags) == (1, ("green",))
        store.remove_job("job")
        store.add_job(make_job())
        assert store.find_jobs(JobQuery(tags={"green"})).items == []
        assert (_job(store).revision, _job(store).paused) == (0, None)

    def test_tags_of_several_jobs_that_are_added_or_replaced_together_are_found(
        self, store: BaseJobStore
    ) -> None:
        store.add_jobs([make_job("a", tags=("old", "both")), make_job("b")])

        def replace(job: Any, existing: Any) -> None:
            job.version, job.running = existing.version, existing.running

        store.add_jobs([make_job("a", tags=("both", "new")), make_job("c", tags=("new",))], replace)
        found = {
            tag: [job.id for job in store.find_jobs(JobQuery(tags={tag})).items]
            for tag in ("old", "both", "new")
        }
        assert found == {"old": [], "both": ["a"], "new": ["a", "c"]}
        store.remove_all_jobs()
        assert store.find_jobs(JobQuery(tags={"new"})).items == []

    # -- bounds --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("limit", [0, -1, 1001, True, 1.5, "10", None])
    def test_a_limit_out_of_range_is_refused(self, store: BaseJobStore, limit: Any) -> None:
        for find in (partial(store.find_jobs, JobQuery()), partial(store.find_runs, RunQuery())):
            with pytest.raises(QueryError, match="limit must be an integer from 1 to 1000, got"):
                find(limit)

    def test_a_cursor_of_something_else_is_refused(self, store: BaseJobStore) -> None:
        _fill(store)
        runs, jobs = store.find_runs(RunQuery(), 2).cursor, store.find_jobs(JobQuery(), 2).cursor
        for cursor in ("", "nothing", "ä", jobs, store.find_runs(RunQuery(job_ids="a"), 2).cursor, 5):
            with pytest.raises(QueryError, match="cursor must be"):
                store.find_runs(RunQuery(), 2, cursor)  # type: ignore[arg-type]
        for cursor in ("bm90aGluZw", runs, store.find_jobs(JobQuery(sort="due"), 2).cursor):
            with pytest.raises(QueryError, match="cursor must be"):
                store.find_jobs(JobQuery(), 2, cursor)

    def test_a_cursor_of_another_store_is_refused(
        self, store: BaseJobStore, make_elsewhere: Callable[[], BaseJobStore]
    ) -> None:
        _fill(store)
        with pytest.raises(QueryError, match="cursor must be of the same query and store"):
            make_elsewhere().find_runs(RunQuery(), 2, store.find_runs(RunQuery(), 2).cursor)

    @pytest.fixture
    def make_elsewhere(self) -> Callable[[], BaseJobStore]:
        """Return a function that returns a started store on other data: one in memory, unless a subclass says otherwise."""
        from ...jobstores.memory import MemoryJobStore  # only here

        def make() -> BaseJobStore:
            store = MemoryJobStore()
            store.start(None, "default")
            return store

        return make

    def test_a_search_in_vain_ends_after_a_bounded_look_and_goes_on_from_there(
        self, store: BaseJobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ...jobstores import searching  # only here

        assert (LOOKED_AT, COUNTED) == (20_000, 10_000)
        _fill(store)
        query = RunQuery(text="what no record says")
        monkeypatch.setattr(searching, "LOOKED_AT", 6)
        monkeypatch.setattr(searching, "DURATION", 60 * SECOND)
        pages, cursor = [], None
        while True:
            page: Page[Run] = store.find_runs(query, 5, cursor)
            pages.append(page)
            assert page.items == []
            assert page.looked_at <= 6
            cursor = page.cursor
            if cursor is None:
                break
            assert page.searched_back_to is not None
        assert 20 // 6 <= len(pages) <= 20
        assert sum(page.looked_at for page in pages) <= 20 + len(pages)
        assert store.count_runs(query).exact == (len(pages) == 1)

    def test_a_count_is_exact_up_to_a_bound(
        self, store: BaseJobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ...jobstores import searching  # only here

        _fill(store)
        monkeypatch.setattr(searching, "COUNTED", 20)
        count = store.count_runs(RunQuery())
        assert (int(count), count.exact, str(count)) == (20, True, "20")
        monkeypatch.setattr(searching, "COUNTED", 19)
        count = store.count_runs(RunQuery())
        assert (int(count), count.exact, str(count)) == (19, False, "19+")


def _fill(store: BaseJobStore) -> None:
    """Write 20 records, of four jobs for five minutes: "b" fails, "c" stays under way and is left out then, "d" runs elsewhere."""
    store.add_jobs([make_job("a"), make_job("b"), make_job("c", executor="second"), make_job("d")])
    for minute in range(5):
        now = START + minute * 60 * SECOND
        jobs = store.due(now, {"default": 10, "second": 10})
        for node, mine in ((NODE, "abc"), (OTHER, "d")):
            store.renew(node, now, LEASE)
            won = store.claim([plan(job, now) for job in jobs if job.id in mine], node, now)
            runs = [run for decision in won for run in decision.runs if run.job_id != "c"]
            for run in runs:
                run.started_at = now
                if run.job_id == "b":
                    fail(
                        run,
                        KeyError("gone") if minute == 1 else ValueError("wrong number"),
                        "traceback",
                        now + SECOND,
                    )
                else:
                    succeed(run, None, now + SECOND)
            assert store.finish(runs, now + SECOND) == []


def _job(store: BaseJobStore) -> Any:
    job = store.lookup_job("job")
    assert job is not None
    return job


def _all(
    find: Callable[..., Page[Any]], query: Any, limit: int = 100, cursor: str | None = None
) -> list[Any]:
    """Return all that a query finds, page by page."""
    found: list[Any] = []
    while True:
        page = find(query, limit, cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found
