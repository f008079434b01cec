"""What a store must keep beside jobs and records: parts of runs, edits of jobs, and what nodes say; for pytest.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

import pytest

from ...clock import DAY, SECOND
from ...core.changes import KEPT, Change
from ...core.details import (
    DIED,
    Attempt,
    part_of_attempt,
)
from ...core.nodes import about
from ...core.run import fail
from ...core.states import CLAIMED, SUCCEEDED
from .store_jobs import LEASE, MARGIN, NODE, OTHER, START, WORST, claim, finish, make_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...jobstores.base import BaseJobStore

ABOUT = about("host-ü", 4711, "1.0", {"default": 7, "loop": None}, 1500)


class BesideContract:
    """What every store must keep beside jobs and records."""

    # -- parts of runs -------------------------------------------------------------------------------------------

    def test_parts_of_runs_are_kept_and_replaced_one_by_one(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("a"), make_job("b")])
        claim(store)
        store.write_parts(
            [("a", START, {"note": "begun", "log": "ü\n" * 100}), ("b", START, {"progress": "0.25"})]
        )
        store.write_parts([("a", START, {"note": "page 3 of 7", "progress": "0.5"})])
        assert store.parts_of([("a", START), ("b", START), ("b", START + 1)]) == {
            ("a", START): {"note": "page 3 of 7", "log": "ü\n" * 100, "progress": "0.5"},
            ("b", START): {"progress": "0.25"},
        }
        store.write_parts([("a", START, {"note": None, "beat": "5"}), ("b", START, {"progress": None})])
        assert store.parts_of([("a", START), ("b", START)]) == {
            ("a", START): {"log": "ü\n" * 100, "progress": "0.5", "beat": "5"}
        }
        assert store.parts_of([]) == {}
        store.write_parts([])

    def test_parts_of_a_node_are_kept_only_of_runs_that_it_has(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("a"), make_job("b")])
        runs = claim(store)
        store.write_parts([("a", START, {"note": "taken over"})])
        key = [("a", START), ("b", START)]
        if store.durable:
            store.write_parts([("a", START, {"note": "late"}), ("b", START, {"note": "late"})], OTHER)
            assert store.parts_of(key) == {("a", START): {"note": "taken over"}}
        store.write_parts([("a", START, {"note": "begun"}), ("b", START, {"progress": "0.5"})], NODE)
        assert store.parts_of(key) == {("a", START): {"note": "begun"}, ("b", START): {"progress": "0.5"}}
        assert finish(store, runs) == []
        if store.durable:
            store.write_parts([("a", START, {"note": "late"})], OTHER)
        store.write_parts([("b", START, {"log": "done\n"}), ("c", START, {"note": "no record"})], NODE)
        assert store.parts_of([*key, ("c", START)])["a", START] == {"note": "begun"}
        assert store.parts_of(key)["b", START] == {"progress": "0.5", "log": "done\n"}

    def test_parts_with_characters_that_no_file_takes_hurt_nobody(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        claim(store)
        store.write_parts([("job", START, {"note": "a\0b\ud800c", "log": "x\0\udfff\n" * 100})])
        kept = store.parts_of([("job", START)])["job", START]
        assert kept["note"][0] == "a" and kept["note"][-1] == "c"
        assert kept["log"].count("\n") == 100

    def test_a_record_comes_with_its_parts(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        runs = claim(store)
        died = Attempt(1, DIED, OTHER)
        died.started_at, died.error = START, "ü" * 2000
        store.write_parts(
            [
                (
                    "job",
                    START,
                    {"log": "line\n", "note": "half", "progress": "0.5", **dict([part_of_attempt(died)])},
                )
            ]
        )
        assert finish(store, runs) == []
        run = store.get_run("job", START)
        assert run is not None
        assert (run.status, run.log, run.note, run.progress) == (SUCCEEDED, "line\n", "half", 0.5)
        assert [(each.number, each.outcome, each.node) for each in run.attempts] == [(1, SUCCEEDED, NODE)]
        run.attempt = 2
        assert [(each.number, each.outcome, each.node) for each in run.attempts] == [
            (1, DIED, OTHER),
            (2, SUCCEEDED, NODE),
        ]

    @pytest.mark.parametrize("worst", WORST, ids=ascii)
    def test_long_parts_are_kept_whole_whatever_they_are_made_of(
        self, store: BaseJobStore, worst: str
    ) -> None:
        """So long as a log may be there; the characters that become longest in bytes, in JSON, in Lua and in SQL."""
        store.add_job(make_job())
        claim(store)
        log = worst * (store.longest_log // len(worst.encode()))
        store.write_parts([("job", START, {"log": log, "note": worst * 100})])
        kept = store.parts_of([("job", START)])["job", START]
        assert (kept["log"], kept["note"]) == (log, worst * 100)

    def test_long_parts_of_what_no_database_keeps_are_kept_in_other_words(self, store: BaseJobStore) -> None:
        """None of a NUL or a lone surrogate is left out, and nothing that comes after it."""
        store.add_job(make_job())
        claim(store)
        log = ("\0\ud800" * (store.longest_log // 4))[: store.longest_log // 6] + "end"
        store.write_parts([("job", START, {"log": log})])
        kept = store.parts_of([("job", START)])["job", START]["log"]
        assert len(kept) >= len(log)
        assert kept.endswith("end")

    def test_a_run_without_parts_has_none(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        claim(store)
        run = store.get_run("job", START)
        assert run is not None
        assert (run.status, run.log, run.note, run.progress) == (CLAIMED, None, None, None)
        assert [each.outcome for each in run.attempts] == [CLAIMED]

    # -- durations -----------------------------------------------------------------------------------------------

    def test_how_long_runs_took_is_counted_once_by_housekeeping(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("job"), make_job("other")])
        assert store.durations("job") is store.durations("none") is None
        later = START
        for number in range(4):
            later = START + number * 60 * SECOND
            runs = claim(store, later)
            if number == 2:
                for run in runs:
                    fail(run, ValueError("no"), "", later)
                assert store.finish(runs, later) == []
            else:
                finish(store, [run for run in runs if run.job_id == "job"], later)
        later += DAY
        for _ in range(3):
            store.prune(later)
            counted = store.durations("job")
            assert counted is not None
            assert (counted.count, counted.mean, sum(counted.buckets)) == (3, 1.0, 3)
        assert store.durations("other") is None
        store.remove_job("job")
        assert store.durations("job") is None

    # -- edits ---------------------------------------------------------------------------------------------------

    def test_the_last_edits_of_a_job_are_kept_newest_first(self, store: BaseJobStore) -> None:
        store.add_jobs([make_job("job"), make_job("other")])
        assert store.changes("job") == []
        edits = [
            Change(number, START + number, f"node-{number}", f"name: ü{number}")
            for number in range(1, KEPT + 6)
        ]
        for edit in edits:
            job = store.lookup_job("job")
            assert job is not None
            changed = job.copy()
            changed.revision = edit.revision
            assert store.save_job(changed, job.version)
            store.note_change("job", edit)
        assert store.changes("job") == edits[: -KEPT - 1 : -1]
        assert store.changes("other") == []
        store.remove_job("job")
        store.add_job(make_job("job"))
        assert store.changes("job") == store.changes("none") == []

    # -- nodes ---------------------------------------------------------------------------------------------------

    def test_what_a_node_says_of_itself_is_kept(self, store: BaseJobStore) -> None:
        assert store.nodes(START) == []
        store.add_job(make_job())
        claim(store)
        store.describe(NODE, ABOUT, START)
        (node,) = store.nodes(START)
        assert (node.id, node.alive, node.under_way, node.draining) == (NODE, True, 1, False)
        assert (node.host, node.pid, node.version, node.clock_offset) == ("host-ü", 4711, "1.0", 1500)
        assert node.executors == {"default": 7, "loop": None}


class SharedBesideContract:
    """The same where several nodes share a store, and records are forgotten."""

    def test_nodes_are_told_by_their_leases(self, store: BaseJobStore, other: BaseJobStore) -> None:
        store.renew(NODE, START, LEASE)
        other.renew(OTHER, START + LEASE // 2, LEASE)
        store.describe(NODE, ABOUT, START)
        store.describe("nobody", ABOUT, START)
        assert [(node.id, node.host, node.alive) for node in other.nodes(START)] == [
            (NODE, "host-ü", True),
            (OTHER, None, True),
        ]
        later = START + LEASE + MARGIN
        store.renew(OTHER, later, LEASE)
        assert [(node.id, node.alive) for node in store.nodes(later)] == [(NODE, False), (OTHER, True)]
        (first, _) = store.nodes(later)
        # A store that has a clock of its own counts the time since it was asked.
        assert abs(first.started - START) < SECOND
        assert abs(first.lease_until - START - LEASE) < SECOND
        store.renew(NODE, later, LEASE)
        assert store.nodes(later)[0].host == "host-ü"
        store.leave(NODE, [], later)
        assert [node.id for node in store.nodes(later)] == [OTHER]

    def test_parts_go_with_their_record(self, store: BaseJobStore) -> None:
        store.add_job(make_job(every=1))
        finish(store, claim(store))
        store.write_parts([("job", START, {"note": "old"}), ("job", START + SECOND, {"note": "nobody's"})])
        assert store.parts_of([("job", START), ("job", START + SECOND)]) == {("job", START): {"note": "old"}}
        later = START + 400 * DAY
        store.renew(NODE, later, LEASE)
        store.prune(later)
        assert store.get_run("job", START) is None
        assert store.parts_of([("job", START)]) == {}
