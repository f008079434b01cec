"""What a job store that signs must do, one sentence for each invariant; for pytest.

Knows the port only, no store. Derive from it beside :class:`~rota.testing.SharedJobStoreContract`; give the fixture
``with_key``.
"""

from __future__ import annotations

import pytest

from ...clock import SECOND
from ...core.extras import Extra
from ...core.plan import once_more
from ...core.states import CANCELLED, CLAIMED, LOST, QUARANTINED
from .orders import asked_for
from .store_jobs import LEASE, NODE, OTHER, START, claim, due_ids, make_job, running, statuses
from .waiting import take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.run import Run
    from ...jobstores.base import BaseJobStore

KEY, NEW = "the-first-of-two-keys", "the-second-of-two-keys"
#: later than every lease
MUCH_LATER = START + 100 * LEASE


class SignedJobStoreContract:
    """What a store that takes a ``signing_key`` must do, too."""

    @pytest.fixture
    def with_key(self) -> Callable[[Any], BaseJobStore]:
        """Return a function that returns a started store for a key or a list of keys (None: without), all on the same data."""
        raise NotImplementedError("Define a fixture `with_key` that returns a function")

    @pytest.fixture
    def signed(self, with_key: Callable[[Any], BaseJobStore]) -> BaseJobStore:
        """Return a store with a key."""
        return with_key(KEY)

    @pytest.fixture
    def keyless(self, signed: BaseJobStore, with_key: Callable[[Any], BaseJobStore]) -> BaseJobStore:
        """Return a store on the same data that has no key, for what anyone with access to the data can do."""
        return with_key(None)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def test_a_job_is_accepted_by_the_key_that_signed_it_and_by_no_other(
        self, signed: BaseJobStore, with_key: Callable[[Any], BaseJobStore]
    ) -> None:
        signed.add_job(make_job(args=([1],), max_instances=3))
        found = with_key([NEW, KEY]).lookup_job("job")
        assert found is not None
        assert (found.error, found.args, found.max_instances) == (None, ([1],), 3)
        refused = with_key(NEW).lookup_job("job")
        assert refused is not None
        assert (refused.state, refused.args) == (QUARANTINED, ())
        assert "not trusted" in (refused.error or "")

    def test_a_job_without_a_signature_is_not_decoded_and_not_run(
        self, signed: BaseJobStore, keyless: BaseJobStore
    ) -> None:
        keyless.add_job(make_job(args=(1,)))
        (job,) = signed.due(START, {"default": 10})
        assert (job.state, job.args) == (QUARANTINED, ())
        assert "not signed" in (job.error or "")

    def test_the_moving_state_of_a_signed_job_may_be_changed_without_the_key(
        self, signed: BaseJobStore, keyless: BaseJobStore
    ) -> None:
        signed.add_job(make_job(due=START + 5 * SECOND))
        job = keyless.lookup_job("job")
        assert job is not None
        job.set_next(START)
        assert keyless.save_job(job, job.version)
        assert due_ids(signed) == ["job"]
        assert [run.status for run in claim(signed)] == [CLAIMED]

    def test_what_is_changed_without_the_key_is_not_accepted_any_more(
        self, signed: BaseJobStore, keyless: BaseJobStore
    ) -> None:
        for attributes in (
            {"args": (2,)},
            {"kwargs": {"a": 1}},
            {"executor": "other"},
            {"max_instances": 7},
            {"trigger": make_job(every=1).trigger},
        ):
            signed.add_job(make_job())
            job = keyless.lookup_job("job")
            assert job is not None
            job._modify(**attributes)
            assert keyless.save_job(job, job.version)
            found = signed.lookup_job("job")
            assert found is not None
            assert found.state == QUARANTINED, attributes
            signed.remove_job("job")

    # -- runs ----------------------------------------------------------------------------------------------------

    def test_a_run_that_was_asked_for_is_taken_by_whoever_has_the_key(
        self, signed: BaseJobStore, with_key: Callable[[Any], BaseJobStore]
    ) -> None:
        signed.add_job(make_job(due=MUCH_LATER))
        _ask(signed)
        other = with_key([NEW, KEY])
        other.renew(OTHER, START, LEASE)
        (run,) = other.rescue(OTHER, START)
        assert (run.status, run.origin, run.executor) == (CLAIMED, "manual", "default")

    def test_a_waiting_run_is_taken_by_whoever_has_the_key_with_its_arguments(
        self, signed: BaseJobStore, with_key: Callable[[Any], BaseJobStore]
    ) -> None:
        signed.add_job(make_job(due=MUCH_LATER))
        signed.open_runs([asked_for(not_before=START, args=(2,))], START)
        (run,) = take(with_key([NEW, KEY]), START, OTHER)
        assert (run.status, run.owner) == (CLAIMED, OTHER)
        assert run.job is not None
        assert tuple(run.job.args) == (2,)

    def test_a_run_that_was_opened_without_the_key_is_cancelled(
        self, signed: BaseJobStore, keyless: BaseJobStore
    ) -> None:
        signed.add_job(make_job(due=MUCH_LATER))
        keyless.open_runs([asked_for(not_before=START, args=(2,))], START)
        (run,) = take(signed, START)
        assert (run.status, run.job) == (CANCELLED, None)
        assert "not trusted" in (run.reason or "")
        assert [record.status for record in signed.get_runs()] == [CANCELLED]

    def test_runs_of_a_dead_node_and_runs_given_back_are_taken_by_whoever_has_the_key(
        self, signed: BaseJobStore, with_key: Callable[[Any], BaseJobStore]
    ) -> None:
        other = with_key(KEY)
        signed.add_job(make_job("a"))
        signed.add_job(make_job("b"))
        runs = claim(signed)
        signed.leave(NODE, [run for run in runs if run.job_id == "b"], START)
        other.renew(OTHER, MUCH_LATER, LEASE)
        taken = {run.job_id: run for run in other.rescue(OTHER, MUCH_LATER)}
        assert {(id, run.status, run.owner) for id, run in taken.items()} == {
            ("a", CLAIMED, OTHER),
            ("b", CLAIMED, OTHER),
        }
        # … and by the next one, if that node dies too.
        last = with_key(KEY)
        last.renew("node-3", 2 * MUCH_LATER, LEASE)
        again = last.rescue("node-3", 2 * MUCH_LATER)
        assert sorted(run.job_id for run in again if run.status == CLAIMED) == ["a", "b"]

    def test_a_run_that_was_asked_for_without_the_key_is_not_carried_out(
        self, signed: BaseJobStore, keyless: BaseJobStore
    ) -> None:
        signed.add_job(make_job(due=MUCH_LATER))
        _ask(keyless)
        self._is_refused(signed, "not signed")

    def test_no_run_is_carried_out_by_another_executor_than_it_was_signed_for(
        self, signed: BaseJobStore, keyless: BaseJobStore
    ) -> None:
        signed.add_job(make_job(due=MUCH_LATER))
        _ask(keyless, executor="sandbox")
        signed.renew(NODE, START, LEASE)
        (run,) = signed.rescue(NODE, START, {"sandbox": 10})
        assert run.status == LOST
        assert "not signed" in (run.reason or "")

    @pytest.mark.parametrize(
        "forged",
        [
            {},
            {"executor": "sandbox"},
            {"nominal": START + 7},
            {"due": START + 7},
            {"extra": Extra()},
            {"id": "victim"},
        ],
        ids=lambda forged: next(iter(forged), "nothing"),
    )
    def test_the_signature_of_a_run_is_that_of_no_other_run(
        self, signed: BaseJobStore, keyless: BaseJobStore, forged: dict[str, Any]
    ) -> None:
        for id in ("job", "victim"):
            signed.add_job(make_job(id, due=MUCH_LATER))
        job = signed.lookup_job("job")
        assert job is not None
        authentic = once_more(job, START)
        signed._format.sign_runs([authentic])  # type: ignore[attr-defined]
        _ask(keyless, **{"signature": authentic.runs[0].signature, **forged})
        signed.renew(NODE, START, LEASE)
        (run,) = signed.rescue(NODE, START, {"default": 9, "sandbox": 9})
        if forged:
            assert run.status == LOST
            assert "its signature does not fit" in (run.reason or "")
        else:
            assert run.status == CLAIMED

    @pytest.mark.parametrize("signature", ["", "1:", "2:" + "0" * 64, "1:" + "0" * 63, "1:" + "G" * 64, " "])
    def test_a_damaged_signature_counts_as_none(
        self, signed: BaseJobStore, keyless: BaseJobStore, signature: str
    ) -> None:
        signed.add_job(make_job(due=MUCH_LATER))
        _ask(keyless, signature=signature)
        self._is_refused(signed, "not signed")

    def test_a_run_that_is_refused_makes_room_for_others(
        self, signed: BaseJobStore, keyless: BaseJobStore
    ) -> None:
        signed.add_job(make_job())
        _ask(keyless)
        assert running(signed) == 1
        self._is_refused(signed, "not signed")
        assert running(signed) == 0
        assert [run.status for run in claim(signed)] == [CLAIMED]

    def _is_refused(self, store: BaseJobStore, why: str) -> None:
        store.renew(NODE, START, LEASE)
        (run,) = store.rescue(NODE, START)
        assert run.status == LOST
        assert run.reason is not None
        assert run.reason.startswith("it is not trusted: ")
        assert why in run.reason
        assert statuses(store) == [LOST]
        assert store.rescue(NODE, START) == []


def _ask(store: BaseJobStore, id: str = "job", **attributes: Any) -> Run:
    """Ask for a run of a job as run_job() does, or as somebody does who knows no better; return it.

    :param attributes: what is forged of it
    """
    job = store.lookup_job(id)
    assert job is not None
    taken = {run.nominal for run in store.get_runs(id)}
    decision = once_more(job, START, taken)
    (run,) = decision.runs
    for name, value in attributes.items():
        setattr(run, name, value)
    run.last = run.nominal
    store.renew("asker", START, LEASE)
    assert store.claim([decision], "asker", START) == [decision]
    store.leave("asker", [run], START)
    return run
