"""An application's engine with a ``schema_translate_map``: the tables are where the application has put them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, event, inspect

from rota.clock import SECOND
from rota.core.run import fail
from rota.core.states import FAILED, SUCCEEDED
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing.contracts.store_jobs import START, claim, due_ids, finish, make_job, running, statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

#: two tenants of one application
SCHEMAS = ("one", "two")


@pytest.fixture(params=["sqlite", "postgresql_url", "mariadb_url"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine on a database with both schemas."""
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path / 'main.sqlite'}")

        @event.listens_for(engine, "connect")
        def attach(connection: Any, record: Any) -> None:
            for schema in SCHEMAS:
                connection.execute(f"ATTACH '{tmp_path / schema}.sqlite' AS {schema}")

        yield engine
        engine.dispose()
        return
    engine = SQLAlchemyJobStore(request.getfixturevalue(request.param)).engine
    kind = "SCHEMA" if engine.dialect.name == "postgresql" else "DATABASE"
    with engine.begin() as connection:
        for schema in SCHEMAS:
            connection.exec_driver_sql(f"CREATE {kind} {schema}")
    yield engine
    with engine.begin() as connection:
        for schema in SCHEMAS:
            connection.exec_driver_sql(f"DROP {kind} {schema}" + " CASCADE" * (kind == "SCHEMA"))
    engine.dispose()


@pytest.fixture
def open_store(engine: Engine) -> Iterator[Callable[[str], SQLAlchemyJobStore]]:
    """Return a function that opens a store in a schema."""
    stores = []

    def make(schema: str) -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(engine=engine.execution_options(schema_translate_map={None: schema}))
        store.start(None, "default")
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.shutdown()


def test_the_tables_are_in_the_schema_of_each_and_are_found_again(
    engine: Engine, open_store: Callable[[str], SQLAlchemyJobStore]
) -> None:
    one, two = map(open_store, SCHEMAS)
    one.add_job(make_job("job"))
    assert two.get_all_jobs() == []
    two.add_job(make_job("job", name="of the other"))
    found = [open_store(schema).lookup_job("job") for schema in SCHEMAS]
    assert [job and job.name for job in found] == ["task", "of the other"]
    inspector = inspect(engine)
    assert not [name for name in inspector.get_table_names() if name.startswith("rota")]
    for schema in SCHEMAS:
        assert {"rota_jobs", "rota_runs"} <= set(inspector.get_table_names(schema=schema))


@pytest.mark.parametrize("count", [1, 3], ids=["one", "several"])
def test_runs_are_claimed_and_end_and_their_jobs_go_on(
    open_store: Callable[[str], SQLAlchemyJobStore], count: int
) -> None:
    store = open_store("one")
    ids = [f"job{number}" for number in range(count)]
    store.add_jobs([make_job(id, every=10) for id in ids])
    runs = claim(store)
    assert sorted(run.job_id for run in runs) == ids
    assert (due_ids(store), running(store, "job0")) == ([], 1)
    fail(runs[0], ValueError("no"), "", START)
    first = runs[0].job_id
    assert finish(store, runs[1:]) == []
    assert store.finish(runs[:1], START) == []
    assert {id: statuses(store, id) for id in ids} == {
        id: [FAILED if id == first else SUCCEEDED] for id in ids
    }
    assert running(store, "job0") == 0
    late = claim(store, START + 10 * SECOND)
    # The node dies, and another one takes its runs over: the ends of the first are refused.
    now = START + 100 * SECOND
    store.renew("other", now, 10 * SECOND)
    assert len(store.rescue("other", now)) == count
    assert len(finish(store, late, now)) == count


def test_a_job_whose_schedule_is_over_goes_with_its_last_run(
    open_store: Callable[[str], SQLAlchemyJobStore],
) -> None:
    store = open_store("one")
    store.add_jobs([make_job(id, every=None) for id in ("a", "b")])
    runs = claim(store)
    assert finish(store, runs) == []
    assert store.get_all_jobs() == []
    assert {run.status for run in store.get_runs()} == {SUCCEEDED}
