"""Many schedulers on one store, in virtual time, from seeds: the ledger adds up whatever happens.

``ROTA_SEEDS=5000`` simulates more seeds, ``ROTA_SEED=17`` one alone.
"""

from __future__ import annotations

import os

import pytest

from rota.core import orphans
from rota.core.states import CANCELLED, LOST
from rota.jobstores.memory import MemoryJobStore
from rota.jobstores.tree import TreeJobStore
from rota.jobstores.tree import runs as ledger
from rota.jobstores.tree.chains import Chains
from rota.testing.simulation import Violation, simulate, simulate_seeds
from rota.testing.simulation.__main__ import main
from rota.testing.simulation.arenas import memory, sql
from rota.testing.simulation.rules import MUTANTS
from tests.needs import need

# Minutes of computing on a busy machine.
pytestmark = pytest.mark.timeout(300)

SEEDS = int(os.environ.get("ROTA_SEEDS", "1000"))
#: How many of the seeds each store gets. A seed of SQLite takes four times as long as one of a tree or a model, and twelve
#: times as long as one of the memory store, in which there is one node only.
SHARES = {"sqlite": 0.1, "tree": 0.25, "memory": 0.25, "snapshots": 0.2, "server-clock": 0.1}
#: Seeds are simulated in parts, so that several processes can share them.
PARTS = 20


def seeds_of(store, part):
    """Return the seeds of one part, or the one seed that is asked for."""
    one = os.environ.get("ROTA_SEED")
    if one is not None:
        return [int(one)] if int(one) % PARTS == part else []
    return range(part, round(SEEDS * SHARES[store]), PARTS)


def check(store, seeds):
    failures, counts = simulate_seeds(store, seeds)
    if failures:
        numbers = ", ".join(str(failure).split(":", 1)[0] for failure in failures)
        pytest.fail(
            f"{failures[0]}\n\nAll that failed: {numbers}; ROTA_SEED=… simulates one alone", pytrace=False
        )
    return counts


@pytest.mark.seeds
@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_on_one_database_lose_nothing_and_double_nothing(part):
    need("sqlalchemy", "sql")
    check("sqlite", seeds_of("sqlite", part))


@pytest.mark.seeds
@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_on_one_tree_of_keys_lose_nothing_and_double_nothing(part):
    check("tree", seeds_of("tree", part))


@pytest.mark.seeds
@pytest.mark.parametrize("part", range(PARTS))
def test_one_node_in_memory_loses_nothing_and_doubles_nothing(part):
    check("memory", seeds_of("memory", part))


@pytest.mark.seeds
@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_whose_transactions_overlap_lose_nothing_and_double_nothing(part):
    check("snapshots", seeds_of("snapshots", part))


@pytest.mark.seeds
@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_on_a_server_with_a_clock_of_its_own_lose_nothing_and_double_nothing(part):
    check("server-clock", seeds_of("server-clock", part))


def test_a_database_file_serves_as_well_as_memory(tmp_path):
    need("sqlalchemy", "sql")
    check(f"sqlite:///{tmp_path}/simulation.sqlite", range(3))


def test_the_seeds_reach_everything_that_can_happen_to_a_run():
    # The node of a run that is tried again dies rarely, so those seeds are there in which it does.
    counts = check("tree", [*range(11_000, 11_300), *range(3_020, 3_040), 3_126, 3_313, 10_815])
    for what in (
        "succeeded",
        "failed",
        "missed",
        "skipped",
        LOST,
        "cancelled",
        "rescued",
        "given back",
        "retried",
        "attempts exhausted",
        "retry deadline",
        "superseded",
        "started by another job",
        "snoozed",
        "given back after a death",
        "given back in vain",
        "refused",
        "killed within a call",
        "backfilled",
        "split",
        "renewed late",
        "kept after a late renewal",
        "given up after a late renewal",
    ):
        assert counts.get(what, 0) > 0, f"no run was {what} in these seeds"
    assert counts["started by a zombie"] > 0


def test_the_seeds_reach_times_that_are_over_and_requests_to_stop_beside_deaths_and_failures():
    # Of these many things have to meet, so that few seeds do.
    counts = check("tree", [12_646, *range(11_000, 11_030)])
    for what in ("went on after its time", "timed out with its node", "asked to stop"):
        assert counts.get(what, 0) > 0, f"no run {what} in these seeds"
    assert check("snapshots", [89])["cancelled instead of another try"] == 1


def test_a_seed_gives_the_same_events_every_time():
    need("sqlalchemy", "sql")
    assert simulate(5, *sql()) == simulate(5, *sql())
    assert simulate(5, *memory()) == simulate(5, *memory())


# ------------------------------------------------------------------- the simulation finds what it is meant to find


def first_failure(monkeypatch, store_class, method, broken, first=0):
    """Return the message of the first seed that fails with a method of a store replaced by a broken one.

    :param first: where to begin: some faults show in one of some hundred seeds only
    """
    seeds = range(first, first + 1500)
    monkeypatch.setattr(store_class, method, broken)
    arena = "memory" if store_class is MemoryJobStore else "tree"
    for seed in seeds:
        failures, _ = simulate_seeds(arena, [seed])
        if failures:
            return str(failures[0])
    pytest.fail(f"{len(seeds)} seeds did not find that {method} is broken")


def test_a_store_that_forgets_records_is_found_out(monkeypatch):
    original = MemoryJobStore.claim

    def claim(self, decisions, node, now):
        for decision in decisions:
            decision.records.clear()
        return original(self, decisions, node, now)

    assert "is in no record" in first_failure(monkeypatch, MemoryJobStore, "claim", claim)


def test_a_store_that_forgets_what_is_left_of_a_record_is_found_out(monkeypatch):
    original = TreeJobStore.open_runs

    def open_runs(self, runs, now, cuts=(), version=None):
        for cut in cuts:
            cut.left.clear()
        return original(self, runs, now, cuts, version)

    assert "is in no record" in first_failure(monkeypatch, TreeJobStore, "open_runs", open_runs)


def test_an_edit_that_forgets_what_a_paused_job_has_left_out_is_found_out(monkeypatch):
    def settle(scheduler, store, before, after, now, log):
        return before.version

    monkeypatch.setattr("rota.schedulers.beside.settle_edit", settle)
    failures, _ = simulate_seeds("memory", [87, 133, 269])
    assert [str(failure) for failure in failures if "is in no record" in str(failure)]


def test_a_store_that_does_not_look_at_versions_is_found_out(monkeypatch):
    original = ledger._is_open

    def lenient(decision, doc):
        if doc is not None:
            decision.version = doc.version
        return original(decision, doc)

    monkeypatch.setattr(ledger, "_is_open", lenient)
    assert first_failure(monkeypatch, TreeJobStore, "claim", TreeJobStore.claim, first=430)


def test_a_store_without_a_fence_is_found_out(monkeypatch):
    store = TreeJobStore
    original = store.finish

    def finish(self, runs, now):
        original(self, runs, now)
        return []

    assert "was not refused" in first_failure(monkeypatch, store, "finish", finish, first=300)


def test_a_store_that_rescues_the_living_is_found_out(monkeypatch):
    store = TreeJobStore
    original = store.rescue

    def rescue(self, node, now, *args):
        return original(self, node, now + 12_000_000, *args)

    assert "which is alive" in first_failure(monkeypatch, store, "rescue", rescue)


def test_a_store_that_gives_a_node_what_it_has_in_hand_is_found_out(monkeypatch):
    store = TreeJobStore
    original = store.rescue

    def rescue(self, node, now, room=None, known=(), in_doubt=False, ownerless=False):
        return original(self, node, now, room, (), True, ownerless)

    assert "which had it in hand" in first_failure(monkeypatch, store, "rescue", rescue)


def test_a_store_that_takes_from_those_who_may_be_alive_is_found_out(monkeypatch):
    store = TreeJobStore
    original = store.rescue

    def rescue(self, node, now, room=None, known=(), in_doubt=False, ownerless=False):
        return original(self, node, now, room, known, in_doubt)

    assert "which may be alive" in first_failure(monkeypatch, store, "rescue", rescue)


def test_a_store_that_does_not_say_what_others_have_taken_is_found_out(monkeypatch):
    store = TreeJobStore
    original = store.renew

    def renew(self, *args):
        return None if original(self, *args) is None else []

    assert "was told that" in first_failure(monkeypatch, store, "renew", renew, first=340)


def test_a_rescue_that_does_not_know_that_the_time_of_a_run_was_over_is_found_out(monkeypatch):
    monkeypatch.setattr(orphans, "marked", lambda *args: {})
    message = first_failure(monkeypatch, TreeJobStore, "rescue", TreeJobStore.rescue, first=12_646)
    assert "its time was over" in message


def test_a_rescue_that_forgets_a_request_to_stop_is_found_out(monkeypatch):
    monkeypatch.setattr(orphans, "_why_cancelled", lambda run: None)
    message = first_failure(monkeypatch, TreeJobStore, "rescue", TreeJobStore.rescue)
    assert "was rescued; somebody had asked it to stop" in message


def test_a_store_that_forgets_a_request_to_stop_as_a_run_is_given_back_is_found_out():
    (failure,), _ = simulate_seeds("snapshots", [89], rules=MUTANTS["cancels"])
    assert "was given back; somebody had asked it to stop" in str(failure)


def test_a_store_that_never_rescues_is_found_out(monkeypatch):
    store = TreeJobStore
    assert "never ended" in first_failure(monkeypatch, store, "rescue", lambda *args: [])


def test_a_store_whose_cancelled_runs_start_nothing_is_found_out(monkeypatch):
    original = Chains.left_by

    def forgetful(self, ended, now):
        return original(self, [run for run in ended if run.status != CANCELLED], now)

    assert "has left [] at" in first_failure(monkeypatch, Chains, "left_by", forgetful)


def test_a_store_that_starts_jobs_twice_is_found_out(monkeypatch):
    original = MemoryJobStore._follow

    def generous(self, runs, now):
        original(self, runs, now)
        original(self, runs, now)

    assert "has left [<Run" in first_failure(monkeypatch, MemoryJobStore, "_follow", generous)


@pytest.mark.parametrize(
    ("rule", "arena", "seed", "message"),
    [
        ("chained", "snapshots", 120, "has left [] at 120.after"),
        ("chained", "server-clock", 3, "has left [] at 3.after"),
        ("once", "snapshots", 6126, "6126.after has runs of"),
        ("once", "server-clock", 2016, "was taken though it did not wait"),
    ],
)
def test_an_end_that_does_not_start_its_job_in_the_same_step_or_does_so_twice_is_found_out(
    rule, arena, seed, message
):
    (failure,), _ = simulate_seeds(arena, [seed], rules=MUTANTS[rule])
    assert message in str(failure)
    assert simulate_seeds(arena, [seed])[0] == []


def test_seeds_of_the_models_have_chains_that_meet_crashes_and_find_no_place():
    counts = check("snapshots", [*range(0, 90, 3), 408])
    for what in ("started by another job", "killed within a call", "left out of a chain: max_instances"):
        assert counts.get(what, 0) > 0, f"no run was {what} in these seeds"


def test_a_failing_seed_says_which_it_was_and_what_happened(monkeypatch):
    message = first_failure(monkeypatch, TreeJobStore, "rescue", lambda *args: [])
    assert message.startswith("seed ")
    assert "ticks" in message
    with pytest.raises(Violation):
        raise Violation(message)


# ------------------------------------------------------------------------------------------------- the command


def test_the_command_tells_how_it_went(capsys):
    assert main(["--seeds", "3", "--start", "7", "--store", "memory"]) == 0
    assert "3 seeds on memory: 0 failed" in capsys.readouterr().out


def test_the_command_fails_with_a_failing_seed(capsys, monkeypatch):
    monkeypatch.setattr(MemoryJobStore, "get_runs", lambda *args, **kwargs: [])
    assert main(["--seeds", "3", "--store", "memory"]) == 1
    assert "seed 1:" in capsys.readouterr().out
