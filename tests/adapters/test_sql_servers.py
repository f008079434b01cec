"""The SQL store on servers: what PostgreSQL and MariaDB do differently from SQLite, and must not show."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, event

from rota.clock import MINUTE, SECOND, SYSTEM_CLOCK, Clock, moment
from rota.codec import register_type
from rota.core.queries import JobQuery, RunQuery
from rota.core.run import fail
from rota.core.states import ENDED, FAILED, SUCCEEDED, succeed
from rota.errors import ConflictingIdError, JobValueError, SerializationError, StoreUnavailableError
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing.contracts.store_jobs import (
    NODE,
    START,
    claim,
    decide,
    due_ids,
    finish,
    make_job,
    running,
    task,
)
from rota.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from rota.job import Job


@pytest.fixture(params=["postgresql_url", "mariadb_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, on each server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def open_store(url: str) -> Iterator[Callable[..., SQLAlchemyJobStore]]:
    """Return a function that opens a started store on the database."""
    stores: list[SQLAlchemyJobStore] = []

    def make(scheduler: Any = None, **options: Any) -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(url, **options)
        stores.append(store)
        store.start(scheduler, "default")
        return store

    yield make
    for store in stores:
        store.shutdown()


def cut_connections(store: SQLAlchemyJobStore) -> None:
    """End the server's side of all other connections to the store's database, as an administrator does."""
    with store.engine.connect() as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        else:
            rows = conn.exec_driver_sql(
                "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
            )
            for (id,) in rows.all():
                conn.exec_driver_sql(f"KILL {id}")


def test_ids_differ_in_case_blanks_and_accents(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store = open_store()
    ids = ["job", "Job", "job ", " job", "jób", "jo\u0301b", "straße", "strasse"]
    for id in ids:
        store.add_job(make_job(id))
    with pytest.raises(ConflictingIdError):
        store.add_job(make_job("Job"))
    store.remove_job("Job")
    assert sorted(job.id for job in store.get_all_jobs()) == sorted(set(ids) - {"Job"})
    assert store.lookup_job("JOB") is None


def test_texts_may_be_long_and_use_every_plane_of_unicode(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    text = "💡" * 100_000
    store.add_job(make_job(args=(text,), name="💡"))
    (run,) = claim(store)
    fail(run, ValueError(text), text, START)
    assert store.finish([run], START) == []
    found = store.lookup_job("job")
    assert found is not None
    assert tuple(found.args) == (text,)
    assert "💡" in (store.get_runs("job")[0].traceback or "")


def test_jobs_are_found_by_name_and_by_the_beginning_of_their_callable_through_an_index(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    long = "x" * 191
    names = sorted(
        ["b", "B", "b ", "bé", "💡", long, f"{long}y", f"{long}yz", f"{long}é", "y", *map(str, range(300))]
    )
    store.add_jobs([make_job(f"job{number:03}", name=name) for number, name in enumerate(names)])
    database, read = store._server.database, []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if (
            "rota_jobs.name_key" in statement
            or "CASE WHEN" in statement
            or "rota_jobs.func LIKE" in statement
        ) or "substr(rota_jobs.func" in statement:
            read.append((statement, parameters))

    event.listen(store._server.engine, "before_cursor_execute", note)
    found, cursor = [], None
    while len(found) < len(names):
        page = store.find_jobs(JobQuery(sort="name"), 25, cursor)
        found += [job.name for job in page.items]
        cursor = page.cursor
    assert found == names
    assert cursor is None
    pages = len(read)
    ref = f"{task.__module__}:{task.__qualname__}"
    for beginning in (ref, ref[:-1], f"{ref}x", "%", "_"):
        wanted = len(names) if ref.startswith(beginning) else 0
        assert store.count_jobs(JobQuery(func=beginning)) == wanted
    assert len(read) > pages > 12
    event.remove(store._server.engine, "before_cursor_execute", note)
    with store.engine.connect() as conn:
        if database.dialect.name == "postgresql":  # which reads so few jobs from the first to the last
            conn.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in read:
            plan = str(conn.exec_driver_sql(f"EXPLAIN {statement}", parameters).all())
            index = "ix_rota_jobs_name" if "ORDER BY" in statement else "ix_rota_jobs_func"
            assert index in plan, (statement, plan)


def test_the_newest_records_of_many_jobs_are_one_statement_on_postgresql_that_an_index_leads(
    postgresql_url: str,
) -> None:
    store = SQLAlchemyJobStore(postgresql_url)
    store.start(None, "default")
    store.add_jobs([make_job(f"job{number:03}", every=60) for number in range(120)])
    for minute in range(3):
        finish(store, claim(store, START + minute * MINUTE), START + minute * MINUTE)
    read: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        read.append((statement, parameters))

    event.listen(store._server.engine, "before_cursor_execute", note)
    ids = {f"job{number:03}" for number in range(120)}
    assert len(store.find_jobs(JobQuery(last_status=SUCCEEDED), 120).items) == 120
    assert len(store.find_runs(RunQuery(job_ids=ids, statuses=SUCCEEDED), 200).items) == 200
    assert {len(runs) for runs in store.last_runs(ids, 2).values()} == {2}
    asked = [pair for pair in read if "FROM rota_runs" in pair[0] or "JOIN rota_runs" in pair[0]]
    assert len(asked) < 12
    assert [statement for statement, _ in asked if "UNION" in statement] == []
    with store.engine.connect() as conn:
        conn.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in asked:
            plan = str(conn.exec_driver_sql(f"EXPLAIN {statement}", parameters).all())
            assert "pk_rota_runs" in plan, (statement, plan)
    store.shutdown()


def test_many_long_texts_are_recorded_together(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number}") for number in range(60)])
    runs = claim(store)
    for run in runs:
        fail(run, ValueError("💡" * 50_000), "'" * 50_000, START)
    assert store.finish(runs, START) == []
    found = store.get_runs(status=FAILED)
    assert {(len(run.error or ""), len(run.traceback or "")) for run in found} == {(50_000, 50_000)}
    assert len(found) == 60


def test_a_start_that_died_between_two_tables_is_completed(mariadb_url: str) -> None:
    first = SQLAlchemyJobStore(mariadb_url)
    first.start(None, "default")
    with first.engine.begin() as conn:
        conn.exec_driver_sql("DROP TABLE rota_meta")
        conn.exec_driver_sql("DROP TABLE rota_nodes")
    first.shutdown()
    second = SQLAlchemyJobStore(mariadb_url)
    second.start(None, "default")
    assert finish(second, claim(second)) == []
    second.shutdown()


def test_connections_that_were_cut_while_nobody_used_them_are_not_noticed(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store, other = open_store(), open_store()
    for number in range(3):
        cut_connections(other)
        store.add_job(make_job(f"job{number}"))
        cut_connections(other)
        assert len(store.get_all_jobs()) == number + 1


def test_a_connection_for_single_statements_is_kept_unless_the_pool_is_to_renew_it(url: str) -> None:
    for options, kept in (
        ({}, 1),
        ({"pool_pre_ping": True}, 0),
        ({"pool_recycle": 60}, 0),
        ({"pool_size": 2}, 0),
    ):
        store = SQLAlchemyJobStore(url, engine_options=options)
        store.start(None, "default")
        store.add_job(make_job(f"job with {options}"))
        pool: Any = store.engine.pool
        assert pool.checkedout() == kept, options
        store.shutdown()
        assert pool.checkedout() == 0


def test_a_connection_that_is_cut_inside_a_transaction_has_it_done_again(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store, other = open_store(), open_store()
    seen = []

    def work(conn: Any) -> None:
        conn.exec_driver_sql("DELETE FROM rota_runs")
        seen.append(conn)
        if len(seen) == 1:
            cut_connections(other)
        conn.exec_driver_sql("DELETE FROM rota_runs")

    store._server.write(work)
    assert len(seen) == 2


def test_a_connection_that_is_cut_at_the_commit_is_an_error_and_nothing_is_done_twice(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store, other = open_store(), open_store()
    seen = []

    def work(conn: Any) -> None:
        seen.append(conn)
        conn.exec_driver_sql("DELETE FROM rota_runs")
        cut_connections(other)

    with pytest.raises(StoreUnavailableError):
        store._server.write(work)
    assert len(seen) == 1
    assert store.get_all_jobs() == []


def test_a_transaction_that_loses_a_deadlock_is_repeated(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    for id in "ab":
        store.add_job(make_job(id))
    both_hold_one = threading.Barrier(2)
    tries: list[str] = []

    def change(order: str) -> None:
        mine: list[int] = []

        def work(conn: Any) -> None:
            tries.append(order)
            mine.append(0)
            conn.exec_driver_sql(f"UPDATE rota_jobs SET running = running + 1 WHERE id = '{order[0]}'")
            if len(mine) == 1:
                both_hold_one.wait(20)
            conn.exec_driver_sql(f"UPDATE rota_jobs SET running = running + 1 WHERE id = '{order[1]}'")

        store._server.write(work)

    threads = [threading.Thread(target=change, args=(order,)) for order in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(tries) >= 3  # the one that is repeated may meet the other again
    assert [running(store, id) for id in "ab"] == [2, 2]


class Marked:
    """An argument that calls a function when it is written."""

    def __init__(self, written: Callable[[], Any]) -> None:
        self.written = written


register_type(Marked, "marked", encode=lambda mark: mark.written() and None, decode=lambda _: None)


def test_of_many_jobs_all_are_stored_or_none(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store, other = open_store(), open_store()

    def thousand(**options: Any) -> list[Job]:
        jobs = [make_job(f"job {number:03}") for number in range(1000)]
        jobs[700] = make_job("job 700", **options)
        return jobs

    store.add_job(make_job("job 600"))
    with pytest.raises(ConflictingIdError, match="job 600"):
        store.add_jobs(thousand())
    assert [job.id for job in store.get_all_jobs()] == ["job 600"]
    store.remove_job("job 600")
    with pytest.raises(SerializationError):
        store.add_jobs(thousand(args=(object(),)))
    with pytest.raises(JobValueError):
        store.add_jobs(thousand(name="a\0b"))
    assert store.get_all_jobs() == []
    cuts = iter([cut_connections])
    store.add_jobs(thousand(args=(Marked(lambda: next(cuts, lambda _: None)(other)),)))
    assert next(cuts, None) is None
    found = store.get_all_jobs()
    assert len({job.id for job in found}) == 1000
    versions = {job.id: job.version for job in found}
    jobs = thousand()
    store.add_jobs(jobs, lambda job, stored: None)
    assert {job.id: versions[job.id] + 1 for job in jobs} == {job.id: job.version for job in jobs}


def test_a_batch_is_recorded_in_full(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store = open_store()
    for number in range(300):
        store.add_job(make_job(f"job{number}"))
    assert finish(store, claim(store)) == []
    assert [run.status for run in store.get_runs(limit=1000)] == [SUCCEEDED] * 300
    assert due_ids(store) == []


def test_texts_of_a_batch_come_back_as_they_were(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store = open_store()
    texts = [
        "NULL",
        "None",
        '"',
        "\\",
        '\\"',
        "{a,b}",
        "a,b",
        "'",
        "%s",
        "%(id)s",
        " ",
        "\n",
        "\x01",
        "việc 💡",
        "\\0",
    ]
    store.add_jobs([make_job(f"{number}{text}", name=text) for number, text in enumerate(texts)])
    assert finish(store, claim(store)) == []
    assert sorted(job.id for job in store.get_all_jobs()) == sorted(f"{n}{t}" for n, t in enumerate(texts))
    assert {job.name for job in store.get_all_jobs()} == set(texts)
    assert {run.job_id for run in store.get_runs()} == {job.id for job in store.get_all_jobs()}


def test_ends_with_and_without_errors_come_back_as_they_were(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number}") for number in range(4)])
    runs = {run.job_id: run for run in claim(store)}
    fail(runs["job1"], ValueError('None "quoted"'), "Traceback\n\\", START)
    fail(runs["job3"], ValueError("NULL"), "", START)
    for id in ("job0", "job2"):
        succeed(runs[id], "NULL", START)
    assert store.finish(list(runs.values()), START) == []
    found = {run.job_id: run for run in store.get_runs()}
    assert [found[f"job{n}"].error for n in range(4)] == [None, 'None "quoted"', None, "NULL"]
    assert (found["job1"].traceback, found["job0"].retval) == (
        "Traceback\n\\",
        "NULL",
    )


def test_a_job_that_is_stored_while_the_connection_is_cut_is_no_conflict_with_itself(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = SQLAlchemyJobStore(postgresql_url), SQLAlchemyJobStore(postgresql_url)
    for each in (store, other):
        each.start(None, "default")
    insert = store._jobs.insert
    tries: list[Any] = []

    def insert_and_lose_the_answer(conn: Any, row: Any) -> None:
        tries.append(row)
        insert(conn, row)
        if len(tries) == 1:
            cut_connections(other)
            conn.exec_driver_sql("SELECT 1")

    monkeypatch.setattr(store._jobs, "insert", insert_and_lose_the_answer)
    store.add_job(make_job("job"))
    assert len(tries) == 2
    assert [job.id for job in other.get_all_jobs()] == ["job"]
    with pytest.raises(ConflictingIdError):
        store.add_job(make_job("job"))
    for each in (store, other):
        each.shutdown()


class ShiftedClock(Clock):
    """The system's clock, set wrong."""

    __slots__ = ("shift",)

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def now(self) -> int:
        return super().now() + self.shift


class Node:
    """As much of a scheduler as a store asks for."""

    timezone = None

    def __init__(self, clock: Clock) -> None:
        self.clock = clock


def test_a_job_whose_schedule_is_over_leaves_no_row_when_an_earlier_run_is_its_last(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    twice = IntervalTrigger(seconds=1, start_date=moment(START), end_date=moment(START + SECOND))
    store.add_job(make_job(trigger=twice))
    runs = claim(store)
    (decision,) = decide(store, START + SECOND)
    assert store.claim([decision], NODE, START + SECOND) == [decision]
    assert (decision.runs, decision.state) == ([], ENDED)
    finish(store, runs)
    with store.engine.connect() as conn:
        assert conn.exec_driver_sql("SELECT id, state FROM rota_jobs").all() == []


@pytest.mark.parametrize("mode", [None, "AUTOCOMMIT"])
@pytest.mark.parametrize("whose", ["the application's", "the store's"])
def test_a_step_that_fails_leaves_nothing_behind_whatever_mode_the_engine_is_in(
    url: str, whose: str, mode: str | None
) -> None:
    options = {} if mode is None else {"isolation_level": mode}
    store = SQLAlchemyJobStore(url, engine_options=options)
    engine = create_engine(store.engine.url, **options)
    if whose == "the application's":
        store = SQLAlchemyJobStore(engine=engine)
    store.start(None, "default")
    store.add_job(make_job())

    def fails(conn: Connection) -> None:
        conn.execute(store._tables.jobs.delete())
        raise LookupError

    for write in (store._write, store._step):
        with pytest.raises(LookupError):
            write(fails)
    assert [job.id for job in store.get_all_jobs()] == ["job"]
    store.shutdown()
    engine.dispose()


def test_the_engine_of_a_store_has_transactions_for_others(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    store.add_job(make_job())
    with pytest.raises(LookupError), store.engine.begin() as conn:
        conn.execute(store._tables.jobs.delete())
        raise LookupError
    assert [job.id for job in store.get_all_jobs()] == ["job"]


@pytest.mark.parametrize("shift", [-600 * SECOND, 600 * SECOND])
def test_leases_are_kept_by_the_servers_clock(
    open_store: Callable[..., SQLAlchemyJobStore], shift: int
) -> None:
    lease = MINUTE
    right, wrong = open_store(Node(SYSTEM_CLOCK)), open_store(Node(ShiftedClock(shift)))
    now = SYSTEM_CLOCK.now()
    right.add_job(make_job("right", now))
    wrong.add_job(make_job("wrong", now - abs(shift)))
    assert right.renew("right", now, lease) is None
    assert abs(wrong.now() - now) < 5 * SECOND
    assert wrong.renew("wrong", wrong.now(), lease) is None
    assert right.claim(decide(right, now), "right", now)
    # The node whose clock is wrong takes nothing from one that lives, and nobody takes anything from it.
    assert wrong.rescue("wrong", wrong.now()) == []
    assert right.rescue("right", now) == []
    assert wrong.renew("wrong", wrong.now() + lease // 2, lease) is None
    assert abs((wrong.clock_offset or 0) + shift) < 5 * SECOND
    assert abs(right.clock_offset or 0) < 5 * SECOND


def test_a_server_that_is_not_there_is_named_without_its_password(url: str) -> None:
    from sqlalchemy.engine import make_url

    gone = make_url(url).set(port=9, username="rota", password="topsecret")
    store = SQLAlchemyJobStore(gone.render_as_string(hide_password=False))
    with pytest.raises(StoreUnavailableError, match=r"//\*\*\*@127\.0\.0\.1:9") as caught:
        store.start(None, "default")
    assert "topsecret" not in str(caught.value) + repr(store)


def test_a_password_that_is_refused_is_not_shown(postgresql_url: str) -> None:
    store = SQLAlchemyJobStore(postgresql_url.replace("secret", "topsecret"))
    with pytest.raises(StoreUnavailableError, match="password authentication failed") as caught:
        store.start(None, "default")
    assert "topsecret" not in str(caught.value) + repr(store)


def test_forgetting_does_not_wait_for_the_disk_of_postgresql_and_claims_do(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLAlchemyJobStore(postgresql_url, keep_runs=1, keep_days=None)
    store.start(None, "default")
    told: list[tuple[str, str]] = []

    def telling(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def tell(conn: Connection, *args: Any, **kwargs: Any) -> Any:
            told.append((name, str(conn.exec_driver_sql("SHOW synchronous_commit").scalar())))
            return call(conn, *args, **kwargs)

        return tell

    monkeypatch.setattr(store._history, "forget", telling("forget", store._history.forget))
    monkeypatch.setattr(store._runs, "finish", telling("finish", store._runs.finish))
    store.add_job(make_job())
    for number in range(3):
        assert finish(store, claim(store, START + number * MINUTE), START + number * MINUTE) == []
    store.prune(store.now())

    assert len(store.get_runs("job")) == 1
    store.shutdown()
    assert set(told) == {("forget", "off"), ("finish", "on")}


def test_the_end_of_a_run_leaves_the_indexes_of_jobs_alone_on_postgresql(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLAlchemyJobStore(postgresql_url)
    store.start(None, "default")
    store.add_jobs([make_job(f"job{number:02}", every=60) for number in range(30)])
    finish(store, claim(store))  # each row has a second version now, and its page room for more
    statement = (
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'rota_jobs' "
        "AND schemaname = current_schema()"
    )
    counted: list[tuple[int, int]] = []
    call = store._runs.finish

    def count(conn: Connection, *args: Any, **kwargs: Any) -> Any:
        before = conn.exec_driver_sql(statement).one()
        result = call(conn, *args, **kwargs)
        after = conn.exec_driver_sql(statement).one()
        counted.append((after[0] - before[0], after[1] - before[1]))
        return result

    monkeypatch.setattr(store._runs, "finish", count)
    for minute in range(1, 4):
        assert finish(store, claim(store, START + minute * MINUTE), START + minute * MINUTE) == []
    store.shutdown()
    assert sum(updated for updated, _ in counted) == 90
    assert [hot for _, hot in counted] == [updated for updated, _ in counted]
