"""The long form of the faults, which ``make chaos`` runs: prints the balance of the ledger of each store.

Four processes share 2 000 jobs that run once and some that run again and again. A random process is killed every second and
replaced; now and then one is suspended past its lease. Beside that there are troubles, in three rounds on each store: clocks
that are wrong and set again and again (not with SQLite), old records to forget, jobs in quarantine to heal and data that is
damaged time and again, all at once; a backup that is put in the place of the store, with such damages; a store that is emptied.
In a fourth round there are jobs beside that fail at random, want to be called later or take longer than they may, are tried again,
and start others by their ends; and runs of these are asked to stop, some each second.
``pgbouncer`` is PostgreSQL behind PgBouncer. The server that stands in for MongoDB answers 40 to 60 requests a second, and looks at
all documents of a collection where MongoDB has an index: it has 400 jobs that run once and 300 old records.
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
from typing import TYPE_CHECKING, NamedTuple

from tests.faults import troubles
from tests.faults.crew import LEASE, Crew, wait_until
from tests.servers import Etcd, MariaDB, PgBouncer, PostgreSQL, Redis, SecantusDB, ZooKeeper, private

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection

    from tests.faults.balance import Balance
    from tests.servers.process import Server

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
USUAL = ("sqlite", "postgresql", "pgbouncer", "redis")
CLOCKS, BACKLOG, QUARANTINE, DAMAGE, RESTORED, EMPTIED, ERRATIC = (
    "clocks",
    "backlog",
    "quarantine",
    "damage",
    "restored",
    "emptied",
    "erratic",
)
TROUBLES = (CLOCKS, BACKLOG, QUARANTINE, DAMAGE, RESTORED, EMPTIED, ERRATIC)
#: what is tried on a store, one after another
ROUNDS = ((CLOCKS, BACKLOG, QUARANTINE, DAMAGE), (RESTORED, DAMAGE), (EMPTIED,), (ERRATIC,))
PROCESSES = 4
#: How many jobs run once, and which part of the usual backlog there is: usually, and where a server bears no more in this time.
USUAL_LOAD, LOADS = (2000, 1.0), {"mongodb": (400, 0.3)}
#: every so many seconds a process is suspended
SUSPEND = 15
#: how many jobs that run once may fail for each one that does not, and how many runs are asked to stop each second
PART, CANCELS = 0.2, 3
#: by how many seconds clocks are wrong, one after another
SHIFTS = (0, 3600, -7, -86400, 7, 0.5)
#: how long housekeeping may take until nothing is left, and all jobs until they are over, in seconds
PATIENCE = 300


class Report(NamedTuple):
    """What happened to a store, and the balance of its ledger afterwards."""

    killed: int
    suspended: int
    #: what else, in words
    happened: list[str]
    balance: Balance

    def __str__(self) -> str:
        others = "".join(f", {each}" for each in self.happened)
        return f"{self.killed} processes killed, {self.suspended} suspended{others}. {self.balance}"


def opened(store: str, folder: Path, stack: ExitStack) -> tuple[str, Server | None]:
    """Start what a store needs; return its URL, and the server that has the data."""
    kind = SERVERS[store]
    if kind is None:
        return f"sqlite:///{folder / 'jobs.sqlite'}", None
    server = stack.enter_context(private(PostgreSQL if kind is PgBouncer else kind))
    if kind is not PgBouncer:
        return str(server.url()), server
    bouncer = stack.enter_context(private(type("PgBouncerHere", (PgBouncer,), {"upstream": server.port})))
    return str(bouncer.url()), server


class Chaos:
    """One round on a store of its own.

    :param jobs: how many jobs run once
    :param seconds: how long processes are killed
    :param seed: decides who is killed, and what is damaged
    :param kinds: the troubles, some of :data:`TROUBLES`
    :param scale: which part of the usual backlog there is
    """

    def __init__(
        self, store: str, jobs: int, seconds: int, seed: int, kinds: Collection[str], scale: float = 1
    ) -> None:
        self.store, self.jobs, self.seconds, self.seed, self.scale = store, jobs, seconds, seed, scale
        self.kinds = frozenset(kinds) - ({CLOCKS} if store == "sqlite" else set())
        self.happened: list[str] = []
        self._asleep: list[tuple[float, subprocess.Popen[str]]] = []
        self._suspended = 0

    def run(self) -> Report:
        """Let everything happen, and see whether the ledger adds up.

        :raises AssertionError: if it does not, or if something is not over in time
        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rota-chaos-")))
            url, server = opened(self.store, folder, stack)
            self.crew = stack.enter_context(Crew(url, folder, self.seed))
            self._place = troubles.place_of(url, server, folder)
            self._begin(url)
            damager = troubles.Damager(self.crew, self.store, self.seed) if DAMAGE in self.kinds else None
            if damager is not None:
                damager.start()
            self._spend()
            self._wake()
            if damager is not None:
                damager.stop()
                self.happened.append(f"{damager.done} values damaged")
            if BACKLOG in self.kinds:
                wait_until(
                    lambda: troubles.are_forgotten(self.crew, self.store), "the old records to go", PATIENCE
                )
            balance = self.crew.settle(PATIENCE)
            if ERRATIC in self.kinds:
                self.happened.append(f"{len(self.crew.asked)} runs asked to stop")
            return Report(len(self.crew.workers) - PROCESSES, self._suspended, self.happened, balance)

    def _begin(self, url: str) -> None:
        if BACKLOG in self.kinds:
            count = troubles.add_records(self.store, url, self.scale)
            self.happened.append(f"{count} old records forgotten")
        self.crew.hire(PROCESSES)
        self.crew.add_mixture(self.jobs, self.seconds, merges=not {RESTORED, EMPTIED} & self.kinds)
        if QUARANTINE in self.kinds:
            count = troubles.add_broken(self.crew, self.store, self.seconds, self.scale)
            self.happened.append(f"{count} jobs healed")
        if ERRATIC in self.kinds:
            self.crew.add_erratic(max(20, int(self.jobs * PART)), self.seconds)

    def _spend(self) -> None:
        """Kill a process each second, and do at their time what is done once."""
        is_clock = CLOCKS in self.kinds
        begin = time.monotonic()
        for second in range(1, self.seconds + 1):
            time.sleep(max(0.0, begin + second - time.monotonic()))
            if second % SUSPEND == 5:
                sleeper = self.crew.alive[0]
                self.crew.suspend(sleeper)
                self._suspended += 1
                self._asleep.append((time.monotonic() + LEASE + 1, sleeper))
            if is_clock:
                self.crew.set_clock(SHIFTS[second % len(SHIFTS)])
            self.crew.replace_one(**({"clock": self.crew.clock} if is_clock and second % 2 else {}))
            self._wake(time.monotonic())
            # One that is suspended may hold locks, and only this thread lets it go on.
            if ERRATIC in self.kinds and not self._asleep:
                self.crew.cancel_some(CANCELS)
            if second == max(1, self.seconds // 3) and RESTORED in self.kinds:
                self.crew.ceased = None
                self._place.save()
            if second == max(2, self.seconds * 2 // 3):
                self._replace()
        if is_clock:
            self.happened.append(f"clocks set {self.seconds} times")

    def _replace(self) -> None:
        """Put the backup in the place of the store, or empty it."""
        if not {RESTORED, EMPTIED} & self.kinds:
            return
        self._wake()
        self.crew.wait_until_ready()
        if RESTORED in self.kinds:
            self.crew.replace_store(self._place.put_back)
            self.happened.append("a backup put back")
        if EMPTIED in self.kinds:
            self.crew.replace_store(self._place.empty)
            self.crew.give_up()
            left = self.seconds / 3
            self.crew.add_once(self.jobs, left)
            self.crew.add_series("anew", max(0.25, left / 80), left, 0.1, coalesce=False)
            self.happened.append("the store emptied")

    def _wake(self, until: float = float("inf")) -> None:
        """Let those go on who have been suspended long enough."""
        while self._asleep and self._asleep[0][0] < until:
            self._asleep.pop(0)[1].send_signal(signal.SIGCONT)


def main() -> int:
    """Run the command; return its exit code: 0 if every ledger adds up."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "stores", nargs="*", metavar="STORE", help=f"{', '.join(SERVERS)} (usually {', '.join(USUAL)})"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many jobs run once (2000; of mongodb 400, and a smaller backlog)",
    )
    parser.add_argument(
        "--seconds", type=int, default=60, metavar="N", help="how long processes are killed in a round (60)"
    )
    parser.add_argument("--seed", type=int, default=4, metavar="N", help="decides who is killed (4)")
    parser.add_argument(
        "--only",
        metavar="TROUBLES",
        help=f"one round, with these: {', '.join(TROUBLES)}, separated by commas; or none",
    )
    options = parser.parse_args()
    stores = options.stores or USUAL
    rounds = ROUNDS if options.only is None else (tuple(filter(None, options.only.split(","))),)
    if rounds == (("none",),):
        rounds = ((),)
    for word, known in [(store, SERVERS) for store in stores] + [
        (kind, TROUBLES) for each in rounds for kind in each
    ]:
        if word not in known:
            parser.error(f"there is no {word!r}; there are {', '.join(known)}")
    os.environ["ROTA_REQUIRE_SERVICES"] = "1"  # a store that is asked for is not left out
    failed = 0
    for store in stores:
        jobs, scale = LOADS.get(store, USUAL_LOAD)
        for kinds in rounds:
            try:
                found = Chaos(store, options.jobs or jobs, options.seconds, options.seed, kinds, scale).run()
            except AssertionError as wrong:
                failed += 1
                sys.stdout.write(f"{store} ({', '.join(kinds)}): THE LEDGER DOES NOT ADD UP: {wrong}\n")
            else:
                sys.stdout.write(f"{store}: {found}\n")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
