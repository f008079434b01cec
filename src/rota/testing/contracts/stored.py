"""What a durable store must do with jobs that it keeps as data: which it accepts, and what it does if one cannot be restored.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from ...clock import MINUTE, SECOND
from ...core.plan import plan, quarantine
from ...core.policy import with_options
from ...core.queries import SORTS, JobQuery
from ...core.run import fail
from ...core.states import ACTIVE, CLAIMED, QUARANTINED, SUCCEEDED, succeed
from ...errors import (
    CallableMismatchError,
    ConflictingIdError,
    JobValueError,
    RunNotInHandError,
    SerializationError,
    TransientJobError,
)
from .records import StoredRecordContract
from .store_jobs import (
    LEASE,
    NODE,
    START,
    BrokenTrigger,
    Worker,
    another,
    claim,
    due_ids,
    finish,
    make_job,
    running,
    task,
)
from .stores import JobStoreContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...jobstores.base import BaseJobStore

#: Ids that mean something to somebody on their way, and the longest that all stores keep.
ODD_IDS = [
    "việc 1/2 'quoted\" %s",
    "💡👨‍👩‍👧",
    "'; DROP TABLE rota_jobs; --",
    "%(id)s {id} $1 ? :id",
    "line\nbreak\r\ttab\x01\x7f",
    "../..",
    "/",
    "a//b/",
    ".",
    "zookeeper",
    " ",
    "trailing ",
    "*?[a-z]",
    "\\x00\\",
    "UPPER",
    "e\u0301",
    "-1",
    "null",
    "\ufeff\u202e",
    "x" * 191,
    "💡" * 191,
]


class StoredJobContract(StoredRecordContract, JobStoreContract):
    """What a store that keeps jobs as data must do."""

    @pytest.fixture
    def other(self, store: BaseJobStore, make_store: Callable[[], BaseJobStore]) -> BaseJobStore:
        """Return a second store object on the same data."""
        return make_store()

    # -- what cannot be restored ---------------------------------------------------------------------------------

    @pytest.fixture
    def volatile(self) -> Any:
        """Return a module whose functions can be removed."""
        module = ModuleType("rota_contract_volatile")
        module.task = task  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
        yield module
        del sys.modules[module.__name__]

    def test_a_job_whose_code_is_gone_is_quarantined_and_healed_when_it_is_back(
        self, store: BaseJobStore, other: BaseJobStore, volatile: Any
    ) -> None:
        store.add_job(make_job(func="rota_contract_volatile:task", args=("kept",)))
        del volatile.task
        (job,) = other.due(START, {"default": 10})
        assert job.state == QUARANTINED
        assert "rota_contract_volatile:task" in (job.error or "")
        (listed,) = other.get_all_jobs()
        assert (listed.state, listed.error, listed.name) == (QUARANTINED, job.error, "task")
        other.renew(NODE, START, LEASE)
        assert len(other.claim([quarantine(job, job.error or "")], NODE, START)) == 1
        assert due_ids(other) == []
        assert other.heal(START) == []
        volatile.task = task
        assert [healed.id for healed in other.heal(START)] == ["job"]
        (healed,) = store.due(START, {"default": 10})
        assert (healed.state, healed.error, healed.func, tuple(healed.args)) == (
            ACTIVE,
            None,
            task,
            ("kept",),
        )

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_pages_pass_over_no_job_beside_those_that_cannot_be_restored(
        self, store: BaseJobStore, volatile: Any, limit: int
    ) -> None:
        ids = [f"job{number}" for number in range(9)]
        broken = {"job0", "job3", "job4", "job8"}
        func = {id: "rota_contract_volatile:task" if id in broken else task for id in ids}
        store.add_jobs([make_job(id, START + n * SECOND, func=func[id]) for n, id in enumerate(ids)])
        del volatile.task
        for sort in SORTS:
            query, cursor, found = JobQuery(sort=sort), None, []
            while True:
                page = store.find_jobs(query, limit, cursor)
                found += [job.id for job in page.items]
                cursor = page.cursor
                if cursor is None:
                    break
            assert [id for id in found if id not in broken] == [id for id in ids if id not in broken], sort
            assert sorted(found) == ids, sort

    def test_a_job_whose_name_leads_to_another_callable_is_refused_and_not_healed(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        with pytest.raises(CallableMismatchError, match="func must be what its name leads to") as caught:
            store.add_job(make_job(func=another))
        assert store.get_all_jobs() == []
        job = make_job(func=another, due=None)
        job.state, job.error = QUARANTINED, str(caught.value)
        store.add_job(job)
        assert other.heal(START) == []
        (listed,) = other.get_all_jobs()
        assert (listed.state, listed.error) == (QUARANTINED, str(caught.value))

    def test_a_change_of_a_job_that_cannot_be_restored_keeps_its_data(
        self, store: BaseJobStore, volatile: Any
    ) -> None:
        store.add_job(make_job(func="rota_contract_volatile:task", args=("kept",)))
        del volatile.task
        broken = store.lookup_job("job")
        assert broken is not None
        broken.name = "renamed"
        assert store.save_job(broken, broken.version)
        volatile.task = task
        store.heal(START)
        (job,) = store.due(START, {"default": 10})
        assert (job.name, job.func, tuple(job.args)) == ("renamed", task, ("kept",))

    def test_a_job_that_cannot_be_planned_is_not_healed(self, store: BaseJobStore) -> None:
        store.add_job(make_job("good"))
        broken = make_job("broken", trigger=BrokenTrigger())
        store.add_job(broken)
        store.renew(NODE, START, LEASE)
        decisions = [quarantine(job, "planning failed") for job in store.due(START, {"default": 10})]
        store.claim(decisions, NODE, START)
        assert [job.id for job in store.heal(START)] == ["good"]
        (found,) = [job for job in store.get_all_jobs() if job.id == "broken"]
        assert (found.state, found.error) == (QUARANTINED, "planning failed")
        repaired = found.copy()
        repaired.trigger = make_job().trigger
        assert store.save_job(repaired, found.version)
        assert [job.id for job in store.heal(START)] == ["broken"]
        assert set(due_ids(store)) == {"good", "broken"}

    def test_a_job_that_does_not_fit_is_refused_before_anything_is_stored(self, store: BaseJobStore) -> None:
        with pytest.raises(SerializationError, match=r"args\[1\]\['conn'\].*Worker"):
            store.add_job(make_job(args=(1, {"conn": Worker()})))
        with pytest.raises(TransientJobError):
            store.add_job(make_job(func=lambda: None))
        assert store.get_all_jobs() == []

    def test_what_is_refused_when_it_is_added_is_refused_when_it_is_checked(
        self, store: BaseJobStore
    ) -> None:
        store.check_job(make_job())
        with pytest.raises(SerializationError, match=r"kwargs\['x'\]"):
            store.check_job(make_job(kwargs={"x": Worker()}))
        assert store.get_all_jobs() == []

    @pytest.mark.parametrize("attributes", [{"id": "\ud800"}, {"name": "a\0b"}, {"executor": "\udfff"}])
    def test_a_text_that_cannot_be_stored_is_refused(
        self, store: BaseJobStore, attributes: dict[str, Any]
    ) -> None:
        with pytest.raises(JobValueError):
            store.add_job(make_job(**attributes))
        assert store.get_all_jobs() == []

    @pytest.mark.parametrize("id", ODD_IDS, ids=lambda id: ascii(id[:12]))
    def test_an_id_may_be_any_other_text(self, store: BaseJobStore, other: BaseJobStore, id: str) -> None:
        store.add_job(make_job("neighbour"))
        store.add_job(make_job(id, name=f"{id}\n✓"))
        with pytest.raises(ConflictingIdError):
            other.add_job(make_job(id))
        assert set(due_ids(other)) == {id, "neighbour"}
        runs = claim(store)
        assert running(other, id) == 1
        assert finish(store, runs) == []
        assert [run.job_id for run in other.get_runs(id)] == [id]
        found = other.lookup_job(id)
        assert found is not None
        assert (found.id, found.name) == (id, f"{id}\n✓")
        found.set_next(None)
        assert other.save_job(found, found.version)
        other.remove_job(id)
        assert [job.id for job in store.get_all_jobs()] == ["neighbour"]

    def test_the_record_of_a_run_that_is_under_way_cannot_be_cancelled(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        runs = claim(store)
        (record,) = store.get_runs("job")
        with pytest.raises(RunNotInHandError):
            record.cancel()
        runs[0].cancel()
        assert runs[0].cancelled
        finish(store, runs)
        store.get_runs("job")[0].cancel()

    def test_no_error_text_keeps_a_run_from_being_recorded(self, store: BaseJobStore) -> None:
        for id in ("odd", "long", "good"):
            store.add_job(make_job(id))
        runs = {run.job_id: run for run in claim(store)}
        fail(runs["odd"], ValueError("caf\udce9 \0 ✓"), "Traceback \ud800", START + 1)
        fail(runs["long"], ValueError("x" * 1_000_000), "y" * 1_000_000, START + 1)
        succeed(runs["good"], "\ud800", START + 1)
        assert store.finish(list(runs.values()), START + 1) == []
        (odd,) = store.get_runs("odd")
        assert "caf" in (odd.error or "")
        assert "✓" in (odd.error or "")
        (long,) = store.get_runs("long")
        assert 1000 < len(long.error or "") < 200_000
        assert store.get_runs("good")[0].retval == "\ud800"

    @pytest.mark.parametrize("differ", [False, True])
    def test_a_large_batch_is_claimed_and_recorded_as_it_is(self, store: BaseJobStore, differ: bool) -> None:
        """Whether its runs have many fields in common or few."""
        places = ("default", "other") if differ else ("default",)
        jobs = [make_job(f"job{number}", executor=places[number % len(places)]) for number in range(130)]
        if differ:
            jobs[-1].policy = with_options(jobs[-1].policy, {"max_instances": 3})
        store.add_jobs(jobs)
        store.renew(NODE, START, LEASE)
        decisions = [plan(job, START) for job in store.due(START, dict.fromkeys(places, 130))]
        runs = [run for won in store.claim(decisions, NODE, START) for run in won.runs]
        claimed = store.get_runs(status=CLAIMED, limit=131)
        assert {(run.job_id, run.executor) for run in claimed} == {(job.id, job.executor) for job in jobs}
        assert {(job.running, job.next_nominal) for job in store.get_all_jobs()} == {(1, START + MINUTE)}
        for run in runs:
            run.started_at = START
            succeed(run, run.job_id if differ else None, START + SECOND)
        assert store.finish(runs, START + SECOND) == []
        recorded = store.get_runs(status=SUCCEEDED, limit=131)
        expected = {job.id: job.id if differ else None for job in jobs}
        assert {run.job_id: run.retval for run in recorded} == expected
        assert {job.running for job in store.get_all_jobs()} == {0}
