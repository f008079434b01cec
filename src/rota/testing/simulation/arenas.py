"""Where simulations take place: the stores that come with Rota, made for many short lives.

Makes stores; it simulates nothing.
"""

from __future__ import annotations

from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...jobstores.base import BaseJobStore
    from .rules import Rules

    #: makes store objects on the same data, and the observer among them
    Arena = tuple[Callable[[], BaseJobStore], BaseJobStore]


def memory() -> Arena:
    """Return the memory store: one node."""
    from ...jobstores.memory import MemoryJobStore  # import time

    store = MemoryJobStore()
    return lambda: store, store


def sql(url: str = "sqlite://") -> Arena:
    """Return SQL stores that share one database, which must be empty at first.

    :param url: a database URL; without one it is SQLite in memory
    """
    from ...jobstores.sqlalchemy.store import SQLAlchemyJobStore  # import time

    def new(**where: Any) -> BaseJobStore:
        return SQLAlchemyJobStore(tablename="rota_simulation", keep_runs=None, keep_days=None, **where)

    observer = new(url=url)
    observer.start(None, "observer")
    observer.leases = partial(_leases, observer)  # type: ignore[attr-defined]
    engine = observer.engine  # type: ignore[attr-defined]  # SQLite in memory is one connection's own
    stores: list[BaseJobStore] = []

    def make() -> BaseJobStore:
        # Objects are used again, because a new one compiles its statements anew.
        for store in stores:
            if getattr(store, "_holder", None) is None:
                return store
        stores.append(new(engine=engine))
        return stores[-1]

    return make, observer


def _leases(store: Any) -> dict[str, int]:
    """Return until when the lease of each node of a SQL store lasts."""
    rows = store._server.read(lambda conn: conn.execute(store._tables.nodes.select()).all())
    return {row.id: row.lease_until for row in rows}


def tree() -> Arena:
    """Return stores that share one tree of keys in memory, by the protocol of the etcd and ZooKeeper stores."""
    from ...codec.jobs import JobFormat  # import time
    from ...jobstores.tree.store import TreeJobStore
    from .tree import MemoryTree

    data: dict[str, tuple[str, int]] = {}

    def make() -> BaseJobStore:
        return TreeJobStore(MemoryTree(data), "/simulation", JobFormat(), None, None)

    observer: Any = make()
    observer.start(None, "observer")
    observer.leases = lambda: {node: found[0] for node, found in observer._leases.all().items()}
    return make, observer


def snapshots(rules: Rules | None = None) -> Arena:
    """Return stores that share a database with read-committed snapshots, by the protocol of the SQL store on PostgreSQL.

    :param rules: the rules of the protocol that are kept; None: all
    """
    from .rules import ALL  # import time
    from .snapshots import SharedDatabase, SnapshotJobStore

    database = SharedDatabase()

    def make() -> BaseJobStore:
        return SnapshotJobStore(database, rules or ALL)

    observer = make()
    observer.start(None, "observer")
    return make, observer


def server_clock(rules: Rules | None = None) -> Arena:
    """Return stores like those of :func:`snapshots` whose server has a clock of its own.

    :param rules: the rules of the protocol that are kept; None: all
    """
    from ..clock import VirtualClock  # import time
    from .clocks import ServerClock
    from .rules import ALL
    from .server_clock import ClockedJobStore
    from .snapshots import SharedDatabase, SnapshotJobStore

    database, clock = SharedDatabase(), VirtualClock()
    server = ServerClock(clock.now() - clock.monotonic())
    observer = SnapshotJobStore(database)
    observer.server = server  # type: ignore[attr-defined]  # the simulation sets it wrong
    observer.start(None, "observer")
    return lambda: ClockedJobStore(database, server, rules or ALL), observer


#: the arenas that are models of the protocol, of which a rule can be taken out
MODELS = {"snapshots": snapshots, "server-clock": server_clock}
ARENAS: dict[str, Callable[[], Arena]] = {"memory": memory, "sqlite": sql, "tree": tree, **MODELS}
