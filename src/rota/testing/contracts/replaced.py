"""What a job store must notice: that it was emptied, put back from a backup, or replaced while it is open; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it; it needs the fixture ``backup`` besides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from ...errors import StoreReplacedError
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
    statuses,
)
from .stored import StoredJobContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...jobstores.base import BaseJobStore


class Backup(ABC):
    """What an administrator does with the place of a store, while stores have it open."""

    @abstractmethod
    def save(self) -> object:
        """Return all that is there."""

    @abstractmethod
    def empty(self) -> None:
        """Remove all that is there, as if there had never been a store."""

    @abstractmethod
    def put_back(self, saved: object) -> None:
        """Put what was saved into the empty place."""


class ReplacedJobStoreContract(StoredJobContract):
    """What a store that several processes may use must do when it is not the one any more that was opened."""

    #: whether a claim looks at the lease in the store; where it does not, the next renewal notices
    claims_look = True

    @pytest.fixture
    def backup(self) -> Backup:
        """Return what an administrator can do with the store's place; the subclass defines it."""
        raise NotImplementedError("give the fixture backup in the subclass")

    def test_a_store_that_was_emptied_is_noticed_and_opened_anew(
        self, store: BaseJobStore, backup: Backup
    ) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        backup.empty()
        check_refuses(store, "emptied")
        store.reopen()
        assert store.get_all_jobs() == []
        check_works(store)

    def test_a_store_that_was_put_back_from_a_backup_is_noticed_by_a_lease_that_is_older_than_it_was_written(
        self, store: BaseJobStore, backup: Backup
    ) -> None:
        store.add_job(make_job("before"))
        store.renew(NODE, START, LEASE)
        saved = backup.save()
        store.add_job(make_job("after"))
        store.renew(NODE, START + 1, LEASE)
        put_back(backup, saved)
        check_refuses(store, "restored")
        store.reopen()
        assert due_ids(store) == ["before"]
        store.remove_job("before")
        check_works(store)

    def test_a_store_that_was_put_back_from_a_backup_is_noticed_by_a_lease_that_is_missing(
        self, store: BaseJobStore, backup: Backup
    ) -> None:
        saved = backup.save()
        store.renew(NODE, START, LEASE)
        put_back(backup, saved)
        check_refuses(store, "restored")
        store.reopen()
        check_works(store)

    def test_a_lease_that_is_missing_after_it_was_over_was_deleted_in_the_course_of_things(
        self, store: BaseJobStore, backup: Backup
    ) -> None:
        saved = backup.save()
        store.renew(NODE, START, LEASE)
        put_back(backup, saved)
        assert store.renew(NODE, START + LEASE + MARGIN, LEASE) is None

    @pytest.mark.parametrize("has_lease", [True, False], ids=["an older lease", "no lease"])
    def test_a_claim_in_a_store_that_was_put_back_from_a_backup_claims_nothing(
        self, store: BaseJobStore, other: BaseJobStore, backup: Backup, has_lease: bool
    ) -> None:
        store.add_job(make_job())
        if has_lease:
            store.renew(NODE, START, LEASE)
        saved = backup.save()
        store.renew(NODE, START, LEASE)
        decisions = decide(store)
        put_back(backup, saved)
        with pytest.raises(StoreReplacedError):
            if self.claims_look:
                store.claim(decisions, NODE, START)
            store.renew(NODE, START, LEASE)
        if self.claims_look:
            assert other.get_runs() == []

    def test_a_store_that_was_replaced_by_another_one_is_noticed(
        self, store: BaseJobStore, make_store: Callable[[], BaseJobStore], backup: Backup
    ) -> None:
        store.add_job(make_job("mine"))
        store.renew(NODE, START, LEASE)
        backup.empty()
        theirs = make_store()
        theirs.add_job(make_job("theirs"))
        check_refuses(store, "replaced")
        assert theirs.living_nodes(START) == 0, "a lease was written to a store that is not the same any more"
        store.reopen()
        assert due_ids(store) == ["theirs"]
        store.remove_job("theirs")
        check_works(store)

    def test_a_restored_store_may_be_restored_again(self, store: BaseJobStore, backup: Backup) -> None:
        for _ in range(3):
            store.renew(NODE, START, LEASE)
        saved = backup.save()
        for _ in range(2):
            assert store.renew(NODE, START, LEASE) is None
            put_back(backup, saved)
            check_refuses(store, "restored")
            store.reopen()
            assert store.renew(NODE, START, LEASE) is None

    def test_runs_in_hand_are_their_nodes_where_the_backup_has_them(
        self, store: BaseJobStore, other: BaseJobStore, backup: Backup
    ) -> None:
        store.add_job(make_job("in the backup"))
        kept = claim(store)
        saved = backup.save()
        store.add_job(make_job("later"))
        (gone,) = claim(store)
        put_back(backup, saved)
        check_refuses(store, "restored", kept)
        store.reopen()
        assert store.renew(NODE, START, LEASE, [*kept, gone], in_doubt=True) == [gone]
        assert finish(store, kept) == []
        assert [(run.job_id, run.status) for run in other.get_runs()] == [("in the backup", "succeeded")]

    def test_a_store_without_a_lease_opens_itself_anew_after_it_has_said_what_happened(
        self, store: BaseJobStore, other: BaseJobStore, backup: Backup
    ) -> None:
        store.renew(NODE, START, LEASE)
        other.get_all_jobs()
        backup.empty()
        try:
            other.add_job(make_job())
        except StoreReplacedError as exc:
            assert exc.change in ("emptied", "moved")
            other.add_job(make_job())
        assert [job.id for job in other.get_all_jobs()] == ["job"]
        with pytest.raises(StoreReplacedError):
            store.renew(NODE, START, LEASE)
        store.reopen()
        assert due_ids(store) == ["job"]

    def test_many_renewals_and_a_clock_that_is_set_tell_nothing_about_the_store(
        self, store: BaseJobStore, other: BaseJobStore
    ) -> None:
        for now in (START, START + LEASE, START - 100 * LEASE, START + 10 * LEASE, START):
            store.renew(NODE, now, LEASE)
            other.renew(OTHER, now, LEASE)
            other.rescue(OTHER, now)
            store.rescue(NODE, now)
        store.leave(NODE, [], START)
        assert store.renew(NODE, START, LEASE) is None


def put_back(backup: Backup, saved: object) -> None:
    """Put a backup back in place of what is there."""
    backup.empty()
    backup.put_back(saved)


def check_refuses(store: BaseJobStore, change: str, in_hand: object = ()) -> None:
    """Check that a renewal says what happened, and that nothing is done in the store until it is opened anew."""
    with pytest.raises(StoreReplacedError) as caught:
        store.renew(NODE, START + 2, LEASE, in_hand)  # type: ignore[arg-type]
    # Where the place itself is another one (a file), that is all that can be said.
    assert caught.value.change in (change, "moved")
    for call in (
        store.get_all_jobs,
        lambda: store.due(START, {"default": 1}),
        lambda: store.add_job(make_job()),
    ):
        with pytest.raises(StoreReplacedError):
            call()


def check_works(store: BaseJobStore) -> None:
    """Check that a store can be used by a node."""
    assert store.renew(NODE, START, LEASE) is None
    store.add_job(make_job("works"))
    assert finish(store, claim(store)) == []
    assert statuses(store, "works") == ["succeeded"]
