"""The long form of the faults, which ``make chaos`` runs: prints the balance of the ledger of each store.

Four processes share 2 000 jobs that run once and two that run again and again. For a minute a random process is killed every
second and replaced; beside that, now and then one is suspended past its lease. With ``--clocks`` every other new
process has a clock that is wrong and set again and again; with ``--backlog`` there are old records to forget meanwhile (SQLite).
``pgbouncer`` is PostgreSQL behind PgBouncer.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.crew import LEASE, Crew, wait_until
from tests.servers import Etcd, MariaDB, PgBouncer, PostgreSQL, Redis, SecantusDB, ZooKeeper, private

if TYPE_CHECKING:
    import subprocess

    from tests.faults.balance import Balance

SERVERS = {
    "sqlite": None,
    "postgresql": PostgreSQL,
    "pgbouncer": PgBouncer,
    "redis": Redis,
    "mariadb": MariaDB,
    "mongodb": SecantusDB,
    "etcd": Etcd,
    "zookeeper": ZooKeeper,
}
USUAL = ("sqlite", "postgresql", "redis")
PROCESSES = 4
#: every so many seconds a process is suspended
SUSPEND = 15
#: by how many seconds clocks are wrong, one after another
SHIFTS = (0, 3600, -7, -86400, 7, 0.5)
#: how many records there are to forget
BACKLOG = 20_000
COLUMNS = "job_id, nominal, last, times, due, attempt, status, executor, claimed, started, finished"


def opened(store: str, folder: Path, stack: ExitStack) -> str:
    """Start what a store needs, and return its URL."""
    kind = SERVERS[store]
    if kind is None:
        return f"sqlite:///{folder / 'jobs.sqlite'}"
    if kind is PgBouncer:
        upstream = stack.enter_context(private(PostgreSQL))
        kind = type("PgBouncerHere", (PgBouncer,), {"upstream": upstream.port})
    return str(stack.enter_context(private(kind)).url())


def add_backlog(path: Path) -> None:
    """Write records of long ago."""
    first = int((time.time() - 400 * 86400) * 1_000_000)
    row = "'old', ?, ?, 1, ?, 1, 'succeeded', 'default', ?, ?, ?"
    with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
        connection.executemany(
            f"INSERT INTO rota_runs ({COLUMNS}) VALUES ({row})",
            ([first + number] * 6 for number in range(BACKLOG)),
        )


def chaos(
    store: str, jobs: int, seconds: int, seed: int, clocks: bool = False, backlog: bool = False
) -> tuple[Balance, int]:
    """Let everything happen on a store of its own; return the balance, and how many processes were killed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-chaos-")))
        url = opened(store, folder, stack)
        crew = stack.enter_context(Crew(url, folder, seed))
        if backlog:
            add_backlog(folder / "jobs.sqlite")
        crew.hire(PROCESSES)
        crew.add_mixture(jobs, seconds)
        asleep: list[tuple[float, subprocess.Popen[str]]] = []
        begin = time.monotonic()
        for second in range(1, seconds + 1):
            time.sleep(max(0.0, begin + second - time.monotonic()))
            if second % SUSPEND == 5:
                sleeper = crew.alive[0]
                crew.suspend(sleeper)
                asleep.append((time.monotonic() + LEASE + 1, sleeper))
            if clocks:
                crew.set_clock(SHIFTS[second % len(SHIFTS)])
            crew.replace_one(**({"clock": crew.clock} if clocks and second % 2 else {}))
            while asleep and asleep[0][0] < time.monotonic():
                asleep.pop(0)[1].send_signal(signal.SIGCONT)
        for _, sleeper in asleep:
            sleeper.send_signal(signal.SIGCONT)
        if backlog:
            wait_until(
                lambda: not crew.looker.get_runs("old", limit=1), "the old records to be forgotten", 300
            )
        return crew.settle(), len(crew.workers) - PROCESSES


def main() -> int:
    """Run the command; return its exit code: 0 if every ledger adds up."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "stores", nargs="*", metavar="STORE", help=f"{', '.join(SERVERS)} (usually {', '.join(USUAL)})"
    )
    parser.add_argument("--jobs", type=int, default=2000, metavar="N", help="how many jobs run once (2000)")
    parser.add_argument(
        "--seconds", type=int, default=60, metavar="N", help="how long processes are killed (60)"
    )
    parser.add_argument("--seed", type=int, default=4, metavar="N", help="decides who is killed (4)")
    parser.add_argument("--clocks", action="store_true", help="clocks are wrong, and set (not with sqlite)")
    parser.add_argument(
        "--backlog", action="store_true", help="there are old records to forget (sqlite only)"
    )
    options = parser.parse_args()
    stores = options.stores or USUAL
    for store in stores:
        if store not in SERVERS:
            parser.error(f"there is no store {store!r}; there are {', '.join(SERVERS)}")
        if (store == "sqlite" and options.clocks) or (store != "sqlite" and options.backlog):
            parser.error(f"{store} has no such trouble; see --help")
    os.environ["ROTA_REQUIRE_SERVICES"] = "1"  # a store that is asked for is not left out
    failed = 0
    for store in stores:
        try:
            found, killed = chaos(
                store, options.jobs, options.seconds, options.seed, options.clocks, options.backlog
            )
        except AssertionError as wrong:
            failed += 1
            sys.stdout.write(f"{store}: THE LEDGER DOES NOT ADD UP: {wrong}\n")
        else:
            sys.stdout.write(f"{store}: {killed} processes killed. {found}\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
