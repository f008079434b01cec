"""The model of the SQL store on a database with snapshots: it does what every store must do, and sends what that store sends."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from rota import Retry
from rota.clock import SECOND, moment
from rota.core.run import fail
from rota.core.states import succeed
from rota.core.tries import next_try
from rota.testing.contracts.beside import BesideContract, SharedBesideContract
from rota.testing.contracts.retries import NEXT, decide_next, fail_and_give_back
from rota.testing.contracts.searching import SearchContract
from rota.testing.contracts.shared import SharedJobStoreContract
from rota.testing.contracts.store_jobs import LEASE, NODE, OTHER, START, decide, make_job
from rota.testing.simulation import Violation, simulate
from rota.testing.simulation.arenas import snapshots
from rota.testing.simulation.attempts import presented
from rota.testing.simulation.audit import Audit
from rota.testing.simulation.database import COMMIT, Change, Database, Deadlock, Insert, Waits
from rota.testing.simulation.rows import NodeRow
from rota.testing.simulation.rules import MUTANTS
from rota.testing.simulation.snapshots import SharedDatabase, SnapshotJobStore
from rota.triggers.interval import IntervalTrigger
from tests.needs import need

# Minutes of computing on a busy machine.
pytestmark = pytest.mark.timeout(300)


class TestTheModel(SharedJobStoreContract):
    # It models who claims and writes what, is not searched, and keeps nothing beside its records.
    for _contract in (*(SearchContract, BesideContract, SharedBesideContract),):
        locals().update({name: None for name in vars(_contract) if name.startswith("test_")})
    for _name in (
        "test_it_goes_with_its_last_record",
        "test_waiting_runs_are_found_by_their_status_and_origin",
        "test_a_run_whose_attempt_is_over_is_under_way_until_that_is_recorded",
        "test_a_run_whose_time_was_over_when_its_node_died_has_timed_out",
        "test_records_that_are_forgotten_before_their_hour_is_counted_are_in_the_counts_all_the_same",
        # It keeps objects, which need no restoring, so nothing is ever quarantined by what it reads, or healed.
        "test_a_job_whose_code_is_gone_is_quarantined_and_healed_when_it_is_back",
        "test_a_job_that_cannot_be_planned_is_not_healed",
    ):
        locals()[_name] = None

    @pytest.fixture
    def make_store(self):
        database = SharedDatabase()

        def make():
            store = SnapshotJobStore(database)
            store.start(None, "default")
            return store

        return make


# ------------------------------------------------------------------------------------------- what it sends, and what happens


def ends_of_a_schedule(store):
    """Let a store do what it does in a life of jobs: claims, ends, a rescue, and the end of a schedule."""
    twice = IntervalTrigger(seconds=1, start_date=moment(START), end_date=moment(START + SECOND))
    store.add_jobs([make_job("job"), make_job("ends", trigger=twice), make_job("once", every=None)])
    yield "renew", lambda: store.renew(NODE, START, LEASE)
    decisions = decide(store)
    yield "claim", lambda: store.claim(decisions, NODE, START)
    runs = {run.job_id: run for decision in decisions for run in decision.runs}
    for run in runs.values():
        run.started_at = START
        succeed(run, None, START)
    yield "finish", lambda: store.finish([runs["job"]], START)
    last = decide(store, START + SECOND)
    yield "claim what is skipped, and ends", lambda: store.claim(last, NODE, START + SECOND)
    yield "finish the last run before", lambda: store.finish([runs["ends"]], START)
    later = START + 61 * SECOND
    yield "begin another lease", lambda: store.renew(OTHER, later, LEASE)
    yield "rescue", lambda: store.rescue(OTHER, later)
    yield "finish what is not mine", lambda: store.finish([runs["once"]], later)
    yield "remove", lambda: store.remove_job("job")
    yield "leave", lambda: store.leave(OTHER, [], later)


def retries(store):
    """Let a store do what it does in a life of retries: given back, ended by a later time, taken, left to it."""
    store.add_job(make_job("tried", max_instances=2, retry=Retry(wait_initial=30, wait_jitter=0)))
    store.renew(NODE, START, LEASE)
    decisions = decide(store)
    store.claim(decisions, NODE, START)
    (run,) = decisions[0].runs
    yield "give back", lambda: fail_and_give_back(store, run)
    first = decide_next(store)
    yield "claim what ends a retry", lambda: store.claim(first, NODE, NEXT)
    (run,) = first[0].runs
    fail_and_give_back(store, run, now=NEXT)
    later = NEXT + 60 * SECOND
    late = decide_next(store, later)
    yield "take", lambda: store.take_waiting(NODE, later)
    yield "claim what would end a retry that is under way", lambda: store.claim(late, NODE, later)


def of_the_model(life):
    """Return what the model writes and locks at each of these."""
    sent = []

    class Heard(SharedDatabase):
        def execute(self, transaction, statement):
            found = super().execute(transaction, statement)
            if isinstance(statement, Insert):
                sent.append(f"INSERT {statement.table}")
            elif isinstance(statement, Change):
                rows = [] if statement.to is None else list(map(statement.to, found))
                verb = "LOCK" if statement.to is None else "DELETE" if rows and rows[0] is None else "UPDATE"
                sent.append(f"{verb} {statement.table}" + ("" if found else " in vain"))
            return found

    store = SnapshotJobStore(Heard())
    store.start(None, "default")
    return heard(life(store), sent)


def of_the_store(url, life):
    """Return what the SQL store writes and locks at each of these."""
    from sqlalchemy import event

    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    store, sent = SQLAlchemyJobStore(url), []
    store.start(None, "default")

    def listen(conn, cursor, statement, *rest):
        words = statement.split()
        table = re.search(r"\brota_(jobs|runs|nodes)\b", statement)
        if table is not None and "FOR UPDATE" in statement and words[0] == "SELECT":
            sent.append(f"LOCK {table[1]}" + ("" if cursor.rowcount else " in vain"))
        elif table is not None and words[0] in ("INSERT", "UPDATE", "DELETE"):
            sent.append(f"{words[0]} {table[1]}" + ("" if cursor.rowcount else " in vain"))

    event.listen(store.engine, "after_cursor_execute", listen)
    try:
        return heard(life(store), sent)
    finally:
        store.shutdown()


def heard(steps, sent):
    found = {}
    for what, act in steps:
        sent.clear()
        act()
        found[what] = list(sent)
    return found


@pytest.mark.parametrize("life", [ends_of_a_schedule, retries])
def test_the_model_writes_and_locks_what_the_store_does_on_postgresql_and_in_that_order(postgresql_url, life):
    need("sqlalchemy", "sql")
    sent = of_the_model(life)
    assert sum(map(len, sent.values())) > 7
    assert sent == of_the_store(postgresql_url, life)


def test_a_store_that_ends_retries_without_a_look_at_them_is_missed_by_the_contract():
    """R4: seeds reach that too rarely."""
    store = SnapshotJobStore(SharedDatabase(), MUTANTS["retries"])
    store.start(None, "default")
    with pytest.raises(AssertionError):
        TestTheModel().test_a_claim_fails_that_would_end_a_retry_which_has_been_taken_meanwhile(store)


def test_the_end_of_a_retry_that_has_been_taken_is_a_violation():
    store = SnapshotJobStore(SharedDatabase(), MUTANTS["retries"])
    store.start(None, "default")
    audit = Audit(store)
    store.add_job(make_job(max_instances=2, retry=Retry(wait_initial=30, wait_jitter=0)))
    audit.changed("job", None, audit.look("job"), "add_job")

    def claim(decisions, now):
        before = {"job": audit.look("job")}
        audit.claim(before, store.claim(decisions, NODE, now), NODE, now, True)

    store.renew(NODE, START, LEASE)
    decisions = decide(store)
    claim(decisions, START)
    (run,) = decisions[0].runs
    run.started_at, run.wish = START, ("retry", None, None)
    fail(run, ValueError("wrong"), "", START)
    assert next_try(run, START) == START + 30 * SECOND
    given = presented([run])
    audit.given_back(given, store.give_back([run], START))
    late = decide_next(store)
    before = {"job": audit.look("job")}
    audit.taken(before, store.take_waiting(NODE, NEXT), NODE, NEXT)
    with pytest.raises(Violation, match="superseded though it did not wait"):
        claim(late, NEXT)


def test_a_renewal_that_is_held_up_while_the_clock_is_set_back_looks_whose_its_runs_are():
    """The seed in which another node took the lease for one of the future in the middle of its renewal."""
    make_store, observer = snapshots()
    simulate(30705, make_store, observer)


def test_transactions_wait_for_each_other_and_lose_against_each_other():
    counts = Counter()
    observer: Any
    for seed in range(150):
        make_store, observer = snapshots()
        simulate(seed, make_store, observer)
        counts.update(observer._db.counts)
    assert counts["waits for a lock"] > 0


def test_a_statement_that_waited_looks_once_more_at_what_it_waited_for():
    database = Database()
    database.committed = database.committed._replace(nodes={"n": NodeRow("n", 1, 0)})
    first, second = database.begin(), database.begin()
    longer = Change("nodes", ["n"], lambda row: row.until < 5, lambda row: row._replace(until=row.until + 5))
    assert len(database.execute(first, longer)) == 1
    with pytest.raises(Waits):
        database.execute(second, longer)
    database.execute(first, COMMIT)
    assert database.execute(second, longer) == [], "what it saw when it began is not so any more"


def test_a_statement_that_waited_does_not_see_what_came_meanwhile():
    database = Database()
    database.committed = database.committed._replace(nodes={"n": NodeRow("n", 1, 0)})
    first, second = database.begin(), database.begin()
    database.execute(first, Change("nodes", ["n"], lambda row: True, lambda row: None))
    everything = Change("nodes", None, lambda row: True, lambda row: None)
    with pytest.raises(Waits):
        database.execute(second, everything)
    database.execute(first, Insert("nodes", lambda view: {"m": NodeRow("m", 1, 0)}))
    database.execute(first, COMMIT)
    assert database.execute(second, everything) == []
    database.execute(second, COMMIT)
    assert list(database.committed.nodes) == ["m"]


def test_of_two_transactions_that_wait_for_each_other_one_is_rolled_back():
    database = Database()
    rows = {name: NodeRow(name, 1, 0) for name in "ab"}
    database.committed = database.committed._replace(nodes=rows)
    first, second = database.begin(), database.begin()
    for transaction, name in ((first, "a"), (second, "b")):
        database.execute(transaction, Change("nodes", [name], lambda row: True))
    with pytest.raises(Waits):
        database.execute(first, Change("nodes", ["b"], lambda row: True))
    with pytest.raises(Deadlock):
        database.execute(second, Change("nodes", ["a"], lambda row: True))
    assert len(database.execute(first, Change("nodes", ["b"], lambda row: True))) == 1
