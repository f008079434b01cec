"""Where simulations take place: the stores that come with Rota, made for many short lives.

Makes stores; it simulates nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...jobstores.base import BaseJobStore

    #: makes store objects on the same data, and the observer among them
    Arena = tuple[Callable[[], BaseJobStore], BaseJobStore]


def memory() -> Arena:
    """Return the memory store: one node."""
    from ...jobstores.memory import MemoryJobStore

    store = MemoryJobStore()
    return lambda: store, store


def sql(url: str = "sqlite://") -> Arena:
    """Return SQL stores that share one database, emptied for each seed.

    :param url: a database URL; without one it is SQLite in memory
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    from ...jobstores.sqlalchemy import SQLAlchemyJobStore

    if url == "sqlite://":
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url)

    def new() -> BaseJobStore:
        return SQLAlchemyJobStore(engine=engine, tablename="rota_simulation", keep_runs=None, keep_days=None)

    stores: list[BaseJobStore] = []

    def make() -> BaseJobStore:
        # Objects are used again, because a new one compiles its statements anew.
        for store in stores:
            if getattr(store, "_holder", None) is None:
                return store
        stores.append(new())
        return stores[-1]

    observer = new()
    observer.start(None, "observer")
    return make, observer


ARENAS = {"memory": memory, "sqlite": sql}
