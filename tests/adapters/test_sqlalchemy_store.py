"""The SQL store on SQLite: options, schema, errors, batches, and threads that share it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import MetaData, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool, StaticPool

from rota.clock import DAY, SECOND
from rota.core.queries import JobQuery
from rota.core.run import fail
from rota.core.states import CLAIMED, FAILED, SUCCEEDED, succeed
from rota.errors import (
    ConfigurationError,
    ConflictingIdError,
    JobValueError,
    SchemaError,
    StoreUnavailableError,
)
from rota.jobstores import retention
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore, pruning
from rota.jobstores.sqlalchemy import layout as schema
from rota.jobstores.sqlalchemy.databases import sqlite
from rota.jobstores.sqlalchemy.job_statements import JobStatements
from rota.jobstores.sqlalchemy.server import Server
from rota.logs import GuardedLogger
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contracts.store_jobs import (
    LEASE,
    NODE,
    START,
    claim,
    decide,
    finish,
    make_job,
    statuses,
    task,
    until_done,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: the names of the tables behind their prefix
TABLES = ("jobs", "runs", "nodes", "meta", "parts", "edits", "tags", "hours", "keys", "requests")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def open_store(path: Path) -> Iterator[Callable[..., SQLAlchemyJobStore]]:
    """Return a function that opens a started store on the file."""
    stores: list[SQLAlchemyJobStore] = []

    def make(url: str | None = f"sqlite:///{path}", **options: Any) -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(None if "engine" in options else url, **options)
        stores.append(store)
        store.start(None, "default")
        return store

    yield make
    for store in stores:
        store.shutdown()


def log_of(path: Path) -> Path:
    """The write-ahead log of a database file."""
    return path.with_name(f"{path.name}-wal")


# ------------------------------------------------------------------------------------------------------- construction


def test_the_constructor_takes_apschedulers_parameters_in_its_order() -> None:
    from inspect import Parameter, signature

    parameters = signature(SQLAlchemyJobStore).parameters.values()
    positional = [p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == [
        "url",
        "engine",
        "tablename",
        "metadata",
        "pickle_protocol",
        "tableschema",
        "engine_options",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "engine.*url"),
        ({"url": "no url"}, "URL"),
        ({"url": "nosuchdb://x"}, "nosuchdb"),
        ({"url": "sqlite://", "engine_options": {"no_such_option": 1}}, "no_such_option"),
        ({"url": "sqlite://", "tablename": ""}, "tablename"),
    ],
)
def test_a_wrong_option_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SQLAlchemyJobStore(**options)


def test_an_engine_that_was_passed_in_stays_open_and_unchanged(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool)
    with engine.connect() as conn:
        conn.exec_driver_sql("CREATE TEMP TABLE mine (x)")
        conn.commit()
    store = open_store(engine=engine)
    store.add_job(make_job())
    store.shutdown()
    with engine.begin() as conn:
        assert (
            conn.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0
        )  # the same connection, still open
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert conn.get_isolation_level() == "SERIALIZABLE"
        conn.exec_driver_sql("INSERT INTO mine VALUES (1)")
        conn.rollback()
    engine.dispose()


def test_an_engine_with_the_recipe_of_sqlalchemys_manual_works(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def leave_transactions_alone(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(conn: Any) -> None:
        conn.exec_driver_sql("BEGIN")

    store = open_store(engine=engine)
    store.add_job(make_job())
    assert finish(store, claim(store)) == []
    assert statuses(store) == [SUCCEEDED]
    engine.dispose()


def test_without_sqlalchemy_the_store_says_what_to_install() -> None:
    program = "import sys; sys.modules['sqlalchemy'] = None; import rota.jobstores.sqlalchemy"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'rota[sql]'" in result.stderr


# ----------------------------------------------------------------------------------------------------- schema and preset


def test_the_tables_take_their_prefix_from_the_table_name(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    other = open_store(tablename="billing")
    names = set(inspect(store.engine).get_table_names())
    assert names == {
        *(f"rota_{name}" for name in TABLES),
        "billing",
        *(f"billing_{name}" for name in TABLES if name != "jobs"),
    }
    store.add_job(make_job())
    assert other.get_all_jobs() == []


def test_the_tables_are_registered_in_the_metadata_that_was_passed_in(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    metadata = MetaData()
    open_store(metadata=metadata)
    open_store(metadata=metadata)
    assert set(metadata.tables) == {f"rota_{name}" for name in TABLES}


def test_a_file_database_is_opened_in_wal_mode_with_full_synchronization(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    with open_store().engine.connect() as conn:
        settings = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": sqlite.BUSY_TIMEOUT,
        "foreign_keys": 0,
    }


def test_the_log_of_a_file_has_its_full_length_from_the_start_and_the_file_does_not(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    store = open_store()
    length = log_of(path).stat().st_size
    assert length >= sqlite.LOG_LENGTH
    store.add_job(make_job("tick"))
    open_store()  # finds the log as it should be
    assert log_of(path).stat().st_size == length
    assert path.stat().st_size < sqlite.LOG_LENGTH / 10
    assert set(inspect(store.engine).get_table_names()) == {f"rota_{name}" for name in TABLES}


def test_a_store_that_only_looks_at_jobs_leaves_the_log_short(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    open_store(imports=False)
    assert log_of(path).stat().st_size < sqlite.LOG_LENGTH / 10


def test_where_there_is_no_room_for_a_long_log_a_short_one_does(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{path}")
    event.listen(store.engine, "connect", lambda conn, _: conn.execute("PRAGMA max_page_count = 40"))
    store.start(None, "default")
    try:
        assert log_of(path).stat().st_size < sqlite.LOG_LENGTH / 10
        store.add_job(make_job("tick"))
        assert store.lookup_job("tick") is not None
    finally:
        store.shutdown()


def test_one_connection_writes_and_a_shutdown_closes_it(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    store = open_store()
    opened: list[object] = []
    event.listen(store.engine, "connect", lambda conn, _: opened.append(conn))
    for number in range(3):
        store.add_job(make_job(f"job {number}"))
        store.lookup_job(f"job {number}")
    with pytest.raises(ConflictingIdError):
        store.add_job(make_job("job 0"))
    store.remove_job("job 0")
    assert len(opened) <= 1, "reading may need one more connection, writing may not"
    store.shutdown()
    assert not log_of(path).exists(), "SQLite removes the log with the last connection"


def test_an_id_that_is_taken_is_said_without_the_sql(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store = open_store()
    store.add_job(make_job("taken"))
    with pytest.raises(ConflictingIdError) as caught:
        store.add_job(make_job("taken"))
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_who_listens_to_the_statements_of_an_engine_hears_all_of_them(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    store.add_job(make_job("before"))
    heard: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: heard.append(args[2]))
    store.add_job(make_job("after"))
    store.add_jobs([make_job("one"), make_job("two")])
    assert [statement.split()[0] for statement in heard] == ["INSERT", "BEGIN", "INSERT", "COMMIT"]


def test_a_claim_of_plain_jobs_looks_for_no_records(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store = open_store()
    store.add_jobs([make_job("one"), make_job("two", every=None)])
    store.renew(NODE, START, LEASE)
    decisions = decide(store)
    heard: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: heard.append(args[2]))
    assert len(store.claim(decisions, NODE, START)) == 2
    assert [statement.split()[0] for statement in heard] == ["BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"]
    assert "rota_nodes" in heard[1]


def test_statements_are_logged_where_that_is_asked_for(
    open_store: Callable[..., SQLAlchemyJobStore], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "sqlalchemy.engine")
    store = open_store()
    store.add_job(make_job("tick"))
    assert any(message.startswith("INSERT INTO rota_jobs") for message in caplog.messages)


def test_a_pool_of_one_connection_is_enough(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    store = open_store(engine_options=options)
    store.add_job(make_job("tick"))
    assert store.lookup_job("tick") is not None


def test_due_jobs_are_found_by_an_index(open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    store = open_store()
    due = JobStatements(store._tables).due
    statement = str(due.compile(store.engine, compile_kwargs={"render_postcompile": True}))
    with store.engine.connect() as conn:
        steps = conn.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, ("active", 1, "default", 5, 0)).all()
    assert [str(step[3]) for step in steps] == [
        "SEARCH rota_jobs USING INDEX ix_rota_jobs_due (state=? AND executor=? AND next_due<?)"
    ]


def test_deleted_records_are_written_into_the_file_by_steps_of_their_own(
    open_store: Callable[..., SQLAlchemyJobStore], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "WRITTEN_BACK", 50)
    monkeypatch.setattr(retention, "LEAST", retention.FORGOTTEN)  # as large a step on every machine
    monkeypatch.setattr(retention, "MOST", retention.FORGOTTEN)
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    for options in ({}, {"engine": engine}):
        store = open_store(keep_runs=None, keep_days=1, **options)
        ids = [f"{len(options)}-{number}" for number in range(250)]
        store.add_jobs([make_job(id, every=7 * 86400) for id in ids])
        assert finish(store, claim(store)) == []
        heard: list[str] = []
        event.listen(
            store._server.engine, "before_cursor_execute", lambda *args, heard=heard: heard.append(args[2])
        )
        steps = []
        for _ in store.prune_in_steps(START + 2 * DAY):
            deletes = any(statement.startswith("DELETE FROM rota_runs") for statement in heard)
            steps.append((deletes, "PRAGMA wal_checkpoint(PASSIVE)" in heard))
            heard.clear()
        assert store.get_runs() == []
        assert (True, True) not in steps
        # An application says itself when its engine does that.
        written = steps.count((False, True))
        assert (steps.count((True, False)), written) == (3, 0 if options else 2)
        store.remove_all_jobs()


def test_jobs_are_found_by_name_and_by_the_beginning_of_their_callable_through_an_index(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    names = sorted(["b", "B", "bé", "💡", "x" * 500, "x" * 501, *map(str, range(60))])
    store.add_jobs([make_job(f"job{number:02}", name=name) for number, name in enumerate(names)])
    read: list[tuple[str, Any]] = []
    event.listen(
        store._server.engine,
        "before_cursor_execute",
        lambda conn, cursor, statement, parameters, *_: read.append((statement, parameters)),
    )
    found, cursor = [], None
    while len(found) < len(names):
        page = store.find_jobs(JobQuery(sort="name"), 25, cursor)
        found += [job.name for job in page.items]
        cursor = page.cursor
    assert (found, cursor) == (names, None)
    by_name = [pair for pair in read if "ORDER BY rota_jobs.name" in pair[0]]
    read.clear()
    assert store.count_jobs(JobQuery(func=f"{task.__module__}:")) == len(names)
    assert store.count_jobs(JobQuery(func=chr(sys.maxunicode))) == 0
    by_func = [pair for pair in read if "rota_jobs.func >=" in pair[0]]
    with store.engine.connect() as conn:
        for statement, parameters in (*by_name, *by_func):
            steps = [
                str(step[3]) for step in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            ]
            index = "ix_rota_jobs_name" if (statement, parameters) in by_name else "ix_rota_jobs_func"
            assert index in steps[0], steps
            # No name is NULL, as SQLite knows, so that it looks at none for that.
            assert steps[0].startswith("SEARCH") or "name IS NULL" in statement, steps
            assert len(steps) == 1 or "name IS NULL" in statement, steps
    assert len(by_name) > 6
    assert len(by_func) == 2


def test_stores_with_the_same_names_share_what_describes_their_tables_and_nothing_else(
    open_store: Callable[..., SQLAlchemyJobStore], tmp_path: Path
) -> None:
    one = open_store()
    two = open_store(f"sqlite:///{tmp_path / 'two.sqlite'}")
    assert two.jobs_t is one.jobs_t
    assert two._tables.once(JobStatements) is one._tables.once(JobStatements)
    one.add_job(make_job("one"))
    two.add_job(make_job("two"))
    assert [job.id for job in (*one.get_all_jobs(), *two.get_all_jobs())] == ["one", "two"]
    own = MetaData()
    others = [
        open_store(metadata=own),
        open_store(tablename="other_jobs"),
        open_store(tableschema="main"),
    ]
    assert others[0].jobs_t is own.tables["rota_jobs"]
    assert len({id(store.jobs_t) for store in (one, *others)}) == 4
    assert len({id(store._tables.once(JobStatements)) for store in (one, *others)}) == 4


def test_without_leave_to_create_tables_they_must_exist(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    with pytest.raises(SchemaError, match="create_tables"):
        open_store(create_tables=False)
    metadata = MetaData()
    engine = create_engine("sqlite://", poolclass=StaticPool)
    SQLAlchemyJobStore(engine=engine, metadata=metadata)
    metadata.create_all(engine)  # as the application's migrations do
    store = open_store(engine=engine, create_tables=False)
    store.add_job(make_job())
    assert [job.id for job in open_store(engine=engine).get_all_jobs()] == ["job"]
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///"]
)
def test_an_engine_whose_database_in_memory_is_another_one_in_each_thread_is_refused(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"for each thread; give url='sqlite://' or poolclass=StaticPool"
    ):
        SQLAlchemyJobStore(engine=create_engine(url))
    with pytest.raises(ConfigurationError, match="NullPool"):
        SQLAlchemyJobStore(url, engine_options={"poolclass": NullPool})


def test_a_database_in_memory_that_all_threads_share_is_taken(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    open_store(engine=engine).add_job(make_job())
    assert [job.id for job in open_store(engine=engine).get_all_jobs()] == ["job"]
    engine.dispose()


def test_an_old_schema_is_migrated_step_by_step(
    open_store: Callable[..., SQLAlchemyJobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store().add_job(make_job())
    steps: list[int] = []

    def migrate(conn: Any, tables: schema.Tables) -> None:
        steps.append(len(steps) + 1)
        conn.execute(text(f"ALTER TABLE rota_jobs ADD COLUMN extra{len(steps)} TEXT"))

    known = schema.SCHEMA_VERSION
    monkeypatch.setattr(schema, "SCHEMA_VERSION", known + 2)
    monkeypatch.setattr(schema, "MIGRATIONS", {known: migrate, known + 1: migrate})
    with pytest.raises(SchemaError, match="create_tables=True"):
        open_store(create_tables=False)
    store = open_store()
    open_store()
    assert steps == [1, 2]
    assert [job.id for job in store.get_all_jobs()] == ["job"]
    columns = {column["name"] for column in inspect(store.engine).get_columns("rota_jobs")}
    assert {"extra1", "extra2"} <= columns


def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    open_store: Callable[..., SQLAlchemyJobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()

    def migrate(conn: Any, tables: schema.Tables) -> None:
        conn.execute(text("ALTER TABLE rota_jobs ADD COLUMN extra TEXT"))
        raise RuntimeError("half way")

    with monkeypatch.context() as patch:
        known = schema.SCHEMA_VERSION
        patch.setattr(schema, "SCHEMA_VERSION", known + 1)
        patch.setattr(schema, "MIGRATIONS", {known: migrate})
        with pytest.raises(RuntimeError, match="half way"):
            open_store()
    assert "extra" not in {column["name"] for column in inspect(store.engine).get_columns("rota_jobs")}
    open_store()


@pytest.mark.parametrize(
    ("every", "expected"),
    [(60, {"status", "started", "finished", "result"}),
     (None, {"status", "started", "finished", "result", "name", "func"})],
)  # fmt: skip
def test_only_the_end_of_a_job_that_goes_with_it_writes_the_name(
    open_store: Callable[..., SQLAlchemyJobStore], path: Path, every: int | None, expected: set[str]
) -> None:
    sent: list[str] = []
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", lambda connection, record: connection.set_trace_callback(sent.append))
    store = open_store(engine=engine)
    store.add_job(make_job(every=every))
    runs = claim(store)
    sent.clear()
    assert finish(store, runs) == []
    (update,) = [statement for statement in sent if statement.startswith("UPDATE rota_runs")]
    columns = update.partition(" SET ")[2].partition(" WHERE ")[0]
    assert {assignment.partition("=")[0].strip() for assignment in columns.split(", ")} == expected
    engine.dispose()


# --------------------------------------------------------------------------------------------------------------- errors


def test_a_file_that_cannot_be_opened_is_a_store_that_is_unavailable(tmp_path: Path) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.sqlite'}")
    with pytest.raises(StoreUnavailableError, match=r"folder\.sqlite.*unable to open"):
        store.start(None, "default")


def test_a_password_is_not_shown() -> None:
    class Engine:
        url = make_url("nosql://user:secret@host/db")
        dialect = create_engine("sqlite://").dialect
        pool = None

    address = Server(engine=Engine()).address  # type: ignore[arg-type]
    assert "secret" not in address
    assert "***" in address


class Atomic:
    """A connection of Django inside atomic()."""

    vendor = "sqlite"
    in_atomic_block = True

    def __init__(self, name: str) -> None:
        self.settings_dict = {"NAME": name}


def test_a_transaction_of_django_in_this_thread_is_not_waited_for(
    path: Path,
    open_store: Callable[..., SQLAlchemyJobStore],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1)
    store = open_store()
    django = ModuleType("django.db")
    connections = [Atomic(":memory:"), Atomic(str(path))]
    django.connections = type("Connections", (), {"all": lambda self: connections})()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django.db", django)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(
        StoreUnavailableError, match=r"inside Django's atomic\(\) .* transaction\.on_commit\(\)"
    ):
        store.add_job(make_job())
    assert "waiting on" not in caplog.text
    connections[1].in_atomic_block = False
    with pytest.raises(StoreUnavailableError, match="If that is a transaction of this thread"):
        store.add_job(make_job())
    assert "waiting on" in caplog.text
    connection.execute("ROLLBACK")
    connection.close()
    store.add_job(make_job())


def test_a_lock_that_is_given_up_while_it_is_waited_for_costs_nothing(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1)
    store = open_store()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")

    def give_up(*args: object) -> None:
        connection.execute("ROLLBACK")

    monkeypatch.setattr(GuardedLogger, "warning", give_up)
    store.add_job(make_job())
    assert [job.id for job in store.get_all_jobs()] == ["job"]
    connection.close()


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'no' / 'jobs.sqlite'}")
    with pytest.raises(StoreUnavailableError, match=r"the folder .*/no does not exist: create it, or give"):
        store.start(None, "default")


def test_a_locked_file_is_a_store_that_is_unavailable(
    path: Path,
    open_store: Callable[..., SQLAlchemyJobStore],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1)
    store = open_store()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match=r"locked.*add the job after the commit .*connection="):
        store.add_job(make_job())
    assert caplog.text.count("has been locked by another writer") == 1
    assert store.get_all_jobs() == []  # reading goes on
    connection.execute("ROLLBACK")
    connection.close()
    store.add_job(make_job())


def test_a_transaction_that_fails_leaves_nothing_behind(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    store.add_job(make_job())
    store.renew(NODE, START, LEASE)
    decisions = decide(store)
    decisions[0].runs[0].executor = None  # type: ignore[assignment]  # the ledger refuses it after the job was moved
    with pytest.raises(Exception, match="NOT NULL"):
        store.claim(decisions, NODE, START)
    assert len(claim(store)) == 1


@pytest.mark.parametrize("attribute", ["id", "executor"])
def test_what_is_too_long_is_refused_when_it_is_added(
    open_store: Callable[..., SQLAlchemyJobStore], attribute: str
) -> None:
    too_long: dict[str, Any] = {attribute: "x" * 192}
    as_long_as_may_be: dict[str, Any] = {attribute: "x" * 191}
    store = open_store()
    with pytest.raises(JobValueError, match=f"{attribute} .*192 characters"):
        store.add_job(make_job(**too_long))
    store.add_job(make_job(**as_long_as_may_be))


# ---------------------------------------------------------------------------------------------------------- serializers


def test_jobs_are_readable_without_rota(path: Path, open_store: Callable[..., SQLAlchemyJobStore]) -> None:
    open_store().add_job(make_job(args=("a",), name="greeting"))
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT id, name, func, args, next_due, state FROM rota_jobs").fetchone()
    connection.close()
    assert row == ("job", "greeting", "rota.testing.contracts.store_jobs:task", '["a"]', START, "active")


# ---------------------------------------------------------------------------------- jobs that were added before the start


def test_jobs_that_wait_for_the_start_are_stored_in_one_transaction(path: Path) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{path}")
    scheduler = BackgroundScheduler(jobstores={"default": store})
    for number in range(20):
        scheduler.add_job(task, "interval", hours=1, id=f"job{number}")
    inserts = []
    event.listen(
        store.engine,
        "before_cursor_execute",
        lambda conn, cursor, statement, *rest: (
            inserts.append(statement) if "INTO rota_jobs" in statement else None
        ),
    )
    scheduler.start(paused=True)
    assert len(inserts) == 1
    assert len(scheduler.get_jobs()) == 20
    assert not any(job.pending for job in scheduler.get_jobs())
    scheduler.shutdown()


def test_of_jobs_that_wait_for_the_start_the_one_that_exists_already_stops_it_and_those_before_it_are_stored(
    path: Path, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    store = open_store()
    store.add_job(make_job("second"))
    scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{path}")})
    for name in ("first", "second", "third"):
        scheduler.add_job(task, "interval", hours=1, id=name)
    with pytest.raises(ConflictingIdError, match="second"):
        scheduler.start(paused=True)
    assert {job.id for job in store.get_all_jobs()} == {"first", "second"}
    assert [job.id for job in scheduler.get_jobs()] == ["second", "third"]


# ---------------------------------------------------------------------------------------------- many hands, one database


@pytest.mark.parametrize("url", ["file", "sqlite://", "sqlite:///:memory:"])
def test_threads_share_a_store(path: Path, open_store: Callable[..., SQLAlchemyJobStore], url: str) -> None:
    store = open_store(f"sqlite:///{path}" if url == "file" else url)
    for number in range(200):
        store.add_job(make_job(f"job{number}"))
    claimed: list[str] = []
    failures: list[BaseException] = []

    def work(node: str) -> None:
        try:
            until_done(lambda: store.renew(node, START, LEASE))
            while jobs := store.due(START, {"default": 7}):
                from rota.core.plan import plan

                decisions = [plan(job, START) for job in jobs]
                won = until_done(partial(store.claim, decisions, node, START))
                runs = [run for decision in won for run in decision.runs]
                claimed.extend(run.job_id for run in runs)
                assert finish(store, runs) == []
                store.get_runs(limit=3)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(f"node-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert sorted(claimed) == sorted(f"job{number}" for number in range(200))
    assert {job.running for job in store.get_all_jobs()} == {0}


def test_of_a_batch_of_several_statements_only_what_others_have_changed_is_left_out(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number:03}") for number in range(150)])
    store.add_jobs([make_job("waits", every=1, coalesce=False)])
    now = START + 150 * SECOND
    store.renew(NODE, now, LEASE)
    decisions = decide(store, now)
    (changed,) = [decision.job for decision in decisions if decision.job.id == "job077"]
    assert store.save_job(changed.copy(), changed.version)
    runs = [run for won in store.claim(decisions, NODE, now) for run in won.runs]
    assert {run.job_id for run in runs} == {decision.job.id for decision in decisions} - {"job077"}
    by_id = {run.job_id: run for run in runs}
    for run in runs:
        if run is not by_id["job100"]:
            succeed(run, None, now)
    by_id["job010"].attempt = 7
    fail(by_id["job100"], ValueError("no good"), "Traceback …", now)
    assert store.finish(runs, now) == [by_id["job010"]]
    assert [run.job_id for run in store.get_runs(status=FAILED)] == ["job100"]
    assert [run.job_id for run in store.get_runs(status=CLAIMED)] == ["job010"]
    assert len(store.get_runs(status=SUCCEEDED, limit=1000)) == 148 + 99
    assert {job.id for job in store.get_all_jobs() if job.running} == {"job010"}
    assert "waits" in [job.id for job in store.due(now, {"default": 1000})]


@pytest.mark.parametrize("size", [1, 63, 64, 65])
def test_a_batch_of_any_size_is_claimed_and_recorded_whole(
    size: int, open_store: Callable[..., SQLAlchemyJobStore]
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number}") for number in range(size)])
    runs = claim(store)
    assert {job.running for job in store.get_all_jobs()} == {1}
    assert len(store.get_runs(status=CLAIMED)) == len(runs) == size
    assert finish(store, runs) == []
    assert {job.running for job in store.get_all_jobs()} == {0}
    assert len(store.get_runs(status=SUCCEEDED)) == size


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:///jobs.sqlite", "postgresql+asyncpg://u:secret@h/db"])
def test_a_driver_for_asyncio_is_refused_before_it_is_needed(url):
    with pytest.raises(ConfigurationError, match="is a database driver for asyncio") as caught:
        SQLAlchemyJobStore(url)
    assert "secret" not in str(caught.value)


def test_jobs_that_are_stored_at_the_second_try_keep_nothing_of_the_first(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    store = open_store()
    store.add_job(make_job(due=START))
    seen: list[int | None] = []

    def keep_schedule(job: Any, existing: Any) -> None:
        seen.append(job.next_nominal)
        job.set_next(existing.next_nominal)
        if len(seen) == 1:
            raise IntegrityError("INSERT", None, Exception("somebody else was faster"))

    store.add_jobs([make_job(due=START + SECOND)], keep_schedule)
    assert seen == [START + SECOND, START + SECOND]
