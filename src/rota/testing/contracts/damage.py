"""What a durable store must do with damaged data: a damaged cell costs the job or run that it belongs to, and no other; for pytest.

Knows the port only, no store: the subclass gives a :class:`Hand` on the data. See :mod:`~.stores` for how to use it.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from ...clock import NO_TIME, SECOND, moment
from ...core.backfill import Backfill
from ...core.states import ACTIVE, CLAIMED, QUARANTINED, SUCCEEDED, WAITING, succeed
from ...errors import StoreReplacedError
from ...events import EVENT_SCHEDULER_DEGRADED
from ...executors.steps import current_run
from ...triggers.after import After
from ..clock import VirtualClock
from ..manual import ManualScheduler
from .damage_found import JOB, NODE, RECORD, RUN, Damage, Found, check_listings, check_neighbours
from .damage_made import LATER, LEASE, MAKE, claimed, make_records
from .store_jobs import START, make_job, task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from ...jobstores.base import BaseJobStore

#: What is written over the cells: each of these is wrong for some, and right for others.
DAMAGES: Mapping[str, Any] = {
    "nothing": None,
    "an empty text": "",
    "a text": "damaged",
    "a text of digits": "0x7f",
    "a long text": "x" * 5_000,
    "broken JSON": '{"~set": [1, ',
    "JSON of another kind": '[[{"type": 7}], null]',
    "deep JSON": "[" * 5_000,
    "a bare NUL": "\0",
    "bytes": b"\xff\xfe\x00damaged",
    "text as bytes": b"damaged",
    "a truth": True,
    "a negative number": -1,
    "a broken number": 1.5,
    "a large number": 2**31 + 7,
    "a number that all times are before": 2**62 - 1,
    "the mark of what waits for its runs": 2**62,
    "the largest number": 2**63 - 1,
    "the smallest number": -(2**63),
    "a number that is too large": 2**80,
    "not a number": float("nan"),
    "a list": [1, [2]],
    "an object": {"damaged": {"type": "cron"}},
}

#: How long it then works: housekeeping comes once a minute.
MINUTES = 3
#: The healthy jobs, and from one of their times to the next (seconds).
HEALTHY, EVERY = 3, 10


class Hand:
    """Access to the data of one empty place of a store, past the store.

    :ivar fields: for each kind (``job``, ``run``: one under way, ``waiting``: one that waits, ``record``: one that has ended,
        ``child``: such a one that the end of another job's run has started, ``node``) the names of all that is stored of it:
        columns, fields, keys
    """

    #: what is written over the fields, by names; a hand may know more
    damages: Mapping[str, Any] = DAMAGES
    fields: Mapping[str, Mapping[str, object]] | Mapping[str, tuple[str, ...]]
    #: the names of all that is stored of what is left of a backfill
    of_backfill: tuple[str, ...] = ()

    def damages_of(self, field: str) -> Sequence[str]:
        """Return the names of the damages that are done to a field; equally many for each."""
        return tuple(self.damages)

    def open(self) -> BaseJobStore:
        """Return a store on the place that has not been started."""
        raise NotImplementedError

    def write(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        """Overwrite one field of what is stored under a key; return False if the database refuses that.

        :param key: ``(id,)`` of a job or node; ``(job id, nominal)`` of a run or record
        :param field: one of :attr:`fields`
        """
        raise NotImplementedError

    def together(self) -> AbstractContextManager[object]:
        """Return the context of many damages; a hand may do them when that is left, in fewer steps."""
        return nullcontext()

    def forget_child(self, parent: str, child: str) -> bool:
        """Have a job not be found by the ends of the one that starts it; return False if this hand does not reach that."""
        return False

    def write_identity(self, value: Any) -> bool:
        """Overwrite the identity of the store; return False if the database refuses that, or if this hand does not reach it."""
        return False

    def write_backfill(self, job_id: str, field: str, value: Any) -> bool:
        """Overwrite one field, of :attr:`of_backfill`, of what is left of a job's backfill; return False if that is refused."""
        return False

    def close(self) -> None:
        """Close what was opened."""


class DamageContract:
    """What a store must do when cells of its data are not what it wrote.

    All damages of a store are done at once, each to a job, run or node of its own, among neighbours that are healthy. Then a
    scheduler works for some minutes of virtual time, and everything must be accounted for.
    """

    @pytest.fixture
    def hand(self) -> Any:
        """Give the :class:`Hand` on an empty place; the subclass does."""
        raise NotImplementedError("give the fixture hand in the subclass")

    # -- the test ------------------------------------------------------------------------------------------------

    @pytest.mark.timeout(900)
    def test_damaged_cells_cost_their_own_jobs_and_runs_and_no_others(self, hand: Hand) -> None:
        clock = VirtualClock(moment(START))
        done = spoil_all(hand, clock)
        assert {(damage.kind, damage.field) for damage in done} <= {
            (kind, field) for kind, fields in hand.fields.items() for field in fields
        }
        assert done
        clock.advance_to(LATER)
        troubles: list[Any] = []
        scheduler = _InTurns(clock=clock, jobstores={"default": hand.open()}, lease=LEASE // SECOND)
        scheduler.add_listener(troubles.append, EVENT_SCHEDULER_DEGRADED)
        scheduler.start()
        try:
            begin, healthy = clock.now(), [f"healthy{number}" for number in range(HEALTHY)]
            for id in healthy:
                scheduler.add_job(task, "interval", seconds=EVERY, id=id, start_date=moment(begin))
            scheduler.advance(minutes=MINUTES)
            assert troubles == []
            check_neighbours(scheduler, healthy, range(begin, clock.now() + 1, EVERY * SECOND))
            check_listings(scheduler)
            found = Found(scheduler, LATER)
            wrong = [damage for damage in done if not found.accounts_for(damage)]
            assert not wrong, "\n".join(map(repr, wrong))
            assert scheduler.get_runs(status=CLAIMED, limit=100_000) == []
            assert [run.id for run in scheduler.get_runs(status=WAITING, limit=100_000)] == []
        finally:
            scheduler.shutdown()
            hand.close()

    @pytest.mark.timeout(900)
    def test_a_damaged_job_can_be_replaced_and_removed(self, hand: Hand) -> None:
        clock = VirtualClock(moment(START))
        done = [damage for damage in spoil_all(hand, clock, JOB) if damage.field not in ("id", "_id")]
        clock.advance_to(LATER)
        scheduler = ManualScheduler(clock=clock, jobstores={"default": hand.open()}, lease=LEASE // SECOND)
        scheduler.start()
        try:
            for damage in done[::2]:
                scheduler.remove_job(damage.key[0])
                assert scheduler.get_job(damage.key[0]) is None
            for damage in done[1::2]:
                scheduler.add_job(task, "interval", seconds=90, id=damage.key[0], replace_existing=True)
            scheduler.advance(minutes=2)  # in which it runs once, and housekeeping comes
            states = {job.id: job.state for job in scheduler.get_jobs()}
            for damage in done[1::2]:
                assert states[damage.key[0]] == "active", damage
                assert any(run.status == SUCCEEDED for run in scheduler.get_runs(damage.key[0])), damage
        finally:
            scheduler.shutdown()
            hand.close()

    @pytest.mark.timeout(900)
    def test_a_job_whose_reason_for_quarantine_is_damaged_stops_nobody(self, hand: Hand) -> None:
        store, clock = _started(hand), VirtualClock(moment(START))
        names = list(hand.damages)
        jobs = [make_job(f"job{number}", every=3600) for number in range(len(names))]
        for job in jobs:
            job.state, job.error = QUARANTINED, "its module was not there"
        store.add_jobs(jobs)
        done = [
            hand.write(JOB, (job.id,), "error", hand.damages[name])
            for job, name in zip(jobs, names, strict=True)
        ]
        assert any(done)
        clock.advance_to(LATER)
        troubles: list[Any] = []
        scheduler = ManualScheduler(clock=clock, jobstores={"default": hand.open()}, lease=LEASE // SECOND)
        scheduler.add_listener(troubles.append, EVENT_SCHEDULER_DEGRADED)
        scheduler.start()
        try:
            scheduler.advance(minutes=MINUTES)
            assert troubles == []
            assert {job.state for job in scheduler.get_jobs()} <= {ACTIVE, QUARANTINED}
        finally:
            scheduler.shutdown()
            hand.close()

    @pytest.mark.timeout(900)
    def test_a_damaged_record_still_stands_for_its_own_time(self, hand: Hand) -> None:
        clock = VirtualClock(moment(START))
        done = spoil_all(hand, clock, RECORD, fields=("last", "status"))
        store = hand.open()
        store.start(_Holder(clock), "default")
        try:
            found = store.recorded({damage.key[0]: START for damage in done})
            wrong = [damage for damage in done if damage.key[1] not in _firsts(found, damage.key[0])]
            assert not wrong, "\n".join(map(repr, wrong))
        finally:
            store.shutdown()
            hand.close()

    def test_a_record_of_one_time_stands_for_no_later_one_whatever_its_last_time_says(
        self, hand: Hand
    ) -> None:
        clock = VirtualClock(moment(START))
        store = _started(hand)
        ((job_id, nominal),) = make_records(store, 1, 1)
        if not hand.write(RECORD, (job_id, nominal), "last", LATER):
            pytest.skip("the store keeps no last time of a record")
        assert store.recorded({job_id: START})[job_id][0][:2] == (nominal, nominal)
        store.shutdown()
        scheduler = ManualScheduler(clock=clock, jobstores={"default": hand.open()}, lease=LEASE // SECOND)
        scheduler.start()
        try:
            scheduler.pause_job(job_id)
            scheduler.resume_job(job_id)
            scheduler.advance(seconds=150)
            assert [run.nominal for run in scheduler.get_runs(job_id)] == [
                nominal + 150 * SECOND,
                nominal,
            ]
            scheduler.rerun(job_id, nominal)
            scheduler.advance(seconds=1)
            assert [run.attempt for run in scheduler.get_runs(job_id)] == [1, 2]
        finally:
            scheduler.shutdown()
            hand.close()

    def test_a_job_that_others_start_goes_on_whatever_is_damaged_of_its_place_in_the_chain(
        self, hand: Hand
    ) -> None:
        clock = VirtualClock(moment(START))
        scheduler = ManualScheduler(clock=clock, jobstores={"default": hand.open()}, lease=LEASE // SECOND)
        scheduler.start()
        damages = [
            (field, value)
            for field, value in (
                *((name, START - SECOND) for name in ("next_due", "due", "next_nominal", "next")),
                ("running", 1),
            )
            if field in hand.fields[JOB]
        ]
        try:
            scheduler.add_job(task, "interval", seconds=EVERY, id="parent", start_date=moment(START + SECOND))
            for id in ("lost", *(field for field, _ in damages)):
                scheduler.add_job(task, After("parent"), id=id)
            scheduler.advance(seconds=2)
            done = [hand.write(JOB, (field,), field, value) for field, value in damages]
            assert any([hand.forget_child("parent", "lost"), *done])
            scheduler.advance(minutes=2)
            before = clock.now()
            scheduler.advance(minutes=1)
            check_neighbours(scheduler, ["parent"], range(START + SECOND, clock.now() + 1, EVERY * SECOND))
            for id in ("lost", *(field for field, _ in damages)):
                job = scheduler._lookup_job(id, None)[0]
                assert (job.next_nominal, job.next_due, job.running) == (NO_TIME, NO_TIME, 0), id
                runs = [run for run in scheduler.get_runs(id) if run.nominal > before]
                assert [run.status for run in runs] == [SUCCEEDED] * (60 // EVERY), id
                assert "missed" not in {run.status for run in scheduler.get_runs(id)}
        finally:
            scheduler.shutdown()
            hand.close()

    @pytest.mark.timeout(900)
    def test_a_run_that_is_damaged_while_its_node_carries_it_out_gets_an_end(self, hand: Hand) -> None:
        """The node that has it lives on, and presents its end; whatever is damaged, the job goes on."""
        wanted = [
            Damage(RUN, field, name, ()) for field in hand.fields[RUN] for name in hand.damages_of(field)
        ]
        done: list[Damage] = []

        def spoil(number: int) -> None:
            damage = wanted[number]
            if not damage.key:  # the first run of its job
                run = current_run()
                damage.key = (run.job_id, run.nominal)
                if hand.write(RUN, damage.key, damage.field, hand.damages[damage.name]):
                    done.append(damage)

        _spoilers[id(hand)] = spoil
        clock = VirtualClock(moment(START))
        scheduler = ManualScheduler(clock=clock, jobstores={"default": hand.open()}, lease=LEASE // SECOND)
        troubles: list[Any] = []
        scheduler.add_listener(troubles.append, EVENT_SCHEDULER_DEGRADED)
        scheduler.start()
        try:
            scheduler.add_jobs(
                {
                    "func": spoil_own_run,
                    "trigger": "interval",
                    "seconds": 150,
                    "id": f"job{number}",
                    "args": (id(hand), number),
                }
                for number in range(len(wanted))
            )
            scheduler.advance(minutes=2 * MINUTES)
            assert troubles == []
            assert done
            found = Found(scheduler, LATER)
            wrong = [damage for damage in done if not found.goes_on(damage.key[0], START + 151 * SECOND)]
            assert not wrong, "\n".join(map(repr, wrong))
            assert scheduler.get_runs(status=CLAIMED, limit=100_000) == []
        finally:
            del _spoilers[id(hand)]
            scheduler.shutdown()
            hand.close()

    @pytest.mark.timeout(900)
    def test_a_damaged_lease_is_renewed_by_its_node_which_goes_on(self, hand: Hand) -> None:
        store = _started(hand)
        number = 0
        for field in hand.fields[NODE]:
            for name in hand.damages_of(field):
                number += 1
                node = f"living{number}"
                for _ in range(2):
                    store.renew(node, START, LEASE)
                if not hand.write(NODE, (node,), field, hand.damages[name]):
                    continue
                try:
                    store.renew(node, START, LEASE)
                except StoreReplacedError:
                    # A lease that is missing, or a count that is lower, cannot be told from those of a backup.
                    assert field != "renewals" or name not in NO_COUNTS, name
                    store.reopen()
                _goes_on(store, node, f"job{number}")
        assert number
        hand.close()

    @pytest.mark.timeout(900)
    def test_what_is_left_of_a_backfill_and_is_damaged_stands_in_the_way_of_no_other(
        self, hand: Hand
    ) -> None:
        store = _started(hand)
        wanted = [(field, name) for field in hand.of_backfill for name in hand.damages_of(field)]
        ids = [f"job{number}" for number in range(len(wanted))]
        for id in ids:
            assert store.keep_backfill(id, Backfill(START, START, START).text(), None)
        done = [
            hand.write_backfill(id, field, hand.damages[name])
            for id, (field, name) in zip(ids, wanted, strict=True)
        ]
        assert any(done)
        store.renew("node", START, LEASE)
        kept = store.backfills()
        assert kept == store.orders("node", START).backfills
        stuck = [
            damage
            for id, damage in zip(ids, wanted, strict=True)
            if not store.keep_backfill(id, "another", kept.get(id))
        ]
        assert not stuck
        assert store.backfills() == dict.fromkeys(ids, "another")
        hand.close()

    @pytest.mark.timeout(900)
    def test_a_damaged_identity_is_another_one_at_most(self, hand: Hand) -> None:
        store, other = _started(hand), _started(hand)
        for number, value in enumerate(hand.damages.values()):
            store.renew("one", START, LEASE)
            other.renew("two", START, LEASE)
            if not hand.write_identity(value):
                continue
            for node, opened in (("one", store), ("two", other)):
                try:
                    opened.renew(node, START, LEASE)
                except StoreReplacedError:
                    opened.reopen()
                _goes_on(opened, node, f"job{number} of {node}")
        hand.close()


#: damages of a count that leave none
NO_COUNTS = frozenset(
    ("a text", "a long text", "broken JSON", "bytes", "a list", "an object", "the largest number")
)


class _InTurns(ManualScheduler):
    """Records together what has ended in one turn, as schedulers on loops do: what is damaged is written among what is not."""

    def _open(self) -> None:
        super()._open()
        self._lifecycle.require_engine().set_offload(self._at_end_of_turn)

    def _at_end_of_turn(self, write: Callable[[], None]) -> None:
        self.loop.call_soon(write)


def _started(hand: Hand) -> BaseJobStore:
    store = hand.open()
    store.start(_Holder(VirtualClock(moment(START))), "default")
    return store


def _goes_on(store: BaseJobStore, node: str, job_id: str) -> None:
    """A node's lease is renewed without more ado, and it claims and ends runs."""
    store.renew(node, START, LEASE)
    (run,) = claimed(store, [job_id], node)
    run.started_at = START
    succeed(run, None, START)
    assert store.finish([run], START) == []


#: what the jobs of a test do, by the hand that they use
_spoilers: dict[int, Callable[[int], None]] = {}


def spoil_own_run(hand: int, number: int) -> None:
    """Be the callable of jobs that damage what is stored of their own run."""
    _spoilers[hand](number)


# ----------------------------------------------------------------------------------------------------------- damages


def spoil_all(hand: Hand, clock: VirtualClock, *kinds: str, fields: tuple[str, ...] = ()) -> list[Damage]:
    """Make a job, run, record or node for each damage to each of its fields, then do the damage; return what was done.

    The records that are damaged in the same field are those of one job.

    :param kinds: of what, if not of everything
    :param fields: which ones, if not all
    """
    store = hand.open()
    store.start(_Holder(clock), "default")
    try:
        wanted = [
            Damage(kind, field, name, ())
            for kind, names in hand.fields.items()
            if not kinds or kind in kinds
            for field in names
            if not fields or field in fields
            for name in hand.damages_of(field)
        ]
        for kind, make in MAKE.items():
            of_kind = [damage for damage in wanted if damage.kind == kind]
            each = len(hand.damages_of(""))
            for damage, key in zip(of_kind, make(store, len(of_kind), each), strict=True):
                damage.key = key
    finally:
        store.shutdown()
    with hand.together():
        return [
            damage
            for damage in wanted
            if hand.write(damage.kind, damage.key, damage.field, hand.damages[damage.name])
        ]


def _firsts(found: Mapping[str, Any], id: str) -> list[int]:
    """Return the nominal times of the records that were found of a job."""
    return [first for first, _, _ in found.get(id, ())]


class _Holder:
    """Stands for the scheduler of a store that is used alone, in virtual time."""

    timezone = None

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
