"""The long form of the faults, which ``make chaos`` runs: prints the balance of the ledger of each store.

Four processes share 2 000 jobs that run once and two that run again and again. For a minute a random process is killed every
second and replaced; beside that, now and then one is suspended past its lease.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.crew import LEASE, Crew
from tests.servers import Etcd, MariaDB, PostgreSQL, Redis, SecantusDB, ZooKeeper, private

if TYPE_CHECKING:
    import subprocess

    from tests.faults.balance import Balance

SERVERS = {
    "sqlite": None,
    "postgresql": PostgreSQL,
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


def chaos(store: str, jobs: int, seconds: int, seed: int) -> tuple[Balance, int]:
    """Let everything happen on a store of its own; return the balance, and how many processes were killed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-chaos-")))
        kind = SERVERS[store]
        url = (
            f"sqlite:///{folder / 'jobs.sqlite'}"
            if kind is None
            else stack.enter_context(private(kind)).url()
        )
        crew = stack.enter_context(Crew(url, folder, seed))
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
            crew.replace_one()
            while asleep and asleep[0][0] < time.monotonic():
                asleep.pop(0)[1].send_signal(signal.SIGCONT)
        for _, sleeper in asleep:
            sleeper.send_signal(signal.SIGCONT)
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
    options = parser.parse_args()
    for store in options.stores:
        if store not in SERVERS:
            parser.error(f"there is no store {store!r}; there are {', '.join(SERVERS)}")
    os.environ["ROTA_REQUIRE_SERVICES"] = "1"  # a store that is asked for is not left out
    failed = 0
    for store in options.stores or USUAL:
        try:
            found, killed = chaos(store, options.jobs, options.seconds, options.seed)
        except AssertionError as wrong:
            failed += 1
            sys.stdout.write(f"{store}: THE LEDGER DOES NOT ADD UP: {wrong}\n")
        else:
            sys.stdout.write(f"{store}: {killed} processes killed. {found}\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
