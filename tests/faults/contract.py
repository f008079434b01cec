"""What must hold for every durable store whatever happens to its processes, its server and the way to it: the ledger adds up.

Derive from :class:`FaultContract`, or from :class:`ServerFaultContract` for a store on a server, and give ``kind`` and the fixture
``url``.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import pytest

from rota.core.states import SUCCEEDED
from tests.faults.crew import LEASE, WORK, Crew, wait_until
from tests.faults.proxy import Proxy
from tests.faults.worker import BLOCKED
from tests.servers import private

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.process import Server


@pytest.mark.timeout(120)
class FaultContract:
    """What may happen to the processes."""

    #: how many jobs that run once a store is given
    many = 200
    #: how long leases last where clocks are wrong by ten seconds; longer than that if no server's clock keeps them
    lease_of_wrong_clocks = 8

    #: the option of processes by which the clock is set that counts for the store's jobs
    clock_that_counts: ClassVar[str] = "clock"

    @pytest.fixture
    def url(self) -> str:
        """Give the URL of an empty place of the store; the subclass does."""
        raise NotImplementedError("give the fixture url in the subclass")

    def test_processes_that_are_killed_at_random_cost_no_run(self, url: str, tmp_path: Path) -> None:
        with Crew(url, tmp_path) as crew:
            crew.hire(4)
            crew.add_mixture(self.many, 5)
            for _ in range(4):
                time.sleep(1)
                crew.replace_one()
            print(crew.settle())

    def test_a_process_that_sleeps_longer_than_its_lease_changes_nothing_any_more(
        self, url: str, tmp_path: Path
    ) -> None:
        with Crew(url, tmp_path) as crew:
            sleeper, _ = crew.hire(2)
            crew.add_mixture(self.many // 2, 3)
            wait_until(lambda: crew.lines("begin", sleeper.pid), "the first to do something")
            crew.suspend(sleeper)
            time.sleep(LEASE + 1)
            sleeper.send_signal(signal.SIGCONT)
            print(crew.settle())

    def test_a_process_that_sleeps_longer_than_its_lease_alone_goes_on_with_its_runs(
        self, url: str, tmp_path: Path
    ) -> None:
        with Crew(url, tmp_path) as crew:
            crew.add_once(2, takes=LEASE + 5)
            (sleeper,) = crew.hire()
            crew.wait_for("begin", 2)
            crew.suspend(sleeper)
            time.sleep(LEASE + 1)
            sleeper.send_signal(signal.SIGCONT)
            found = crew.settle()
            assert (found.succeeded, found.repeated) == (2, 0)
            assert {run.attempt for run in crew.runs()} == {1}

    def test_a_process_that_sleeps_longer_than_its_lease_in_a_burst_starts_nothing_that_others_have_taken_over(
        self, url: str, tmp_path: Path
    ) -> None:
        with Crew(url, tmp_path) as crew:
            crew.add_once(40, takes=1.5)
            (sleeper,) = crew.hire(workers=10)
            # The first of them may have ended before the last look: that they are claimed at once may never be seen.
            wait_until(lambda: len(crew.runs()) == 40, "all of them to be claimed")
            crew.wait_for("begin", 10)
            crew.suspend(sleeper)
            begun = set(crew.lines("begin", sleeper.pid))
            assert len(begun) < 40
            crew.hire(workers=20)
            wait_until(lambda: not crew.claimed(), "the other process to take over and end everything")
            sleeper.send_signal(signal.SIGCONT)
            wait_until(lambda: crew.lines("refused", sleeper.pid), "its outcomes to be refused")
            crew.end(sleeper)
            assert set(crew.lines("begin", sleeper.pid)) == begun
            assert set(crew.lines("refused", sleeper.pid)) <= begun, "what has not begun has no end here"
            assert crew.settle().records == 40

    def test_a_process_whose_loop_is_blocked_for_longer_than_its_lease_keeps_its_runs(
        self, url: str, tmp_path: Path
    ) -> None:
        with Crew(url, tmp_path) as crew:
            crew.add_once(3, takes=BLOCKED + 2)
            (blocked,) = crew.hire(host="asyncio")
            crew.wait_for("begin", 3)
            crew.hire()
            assert blocked.stdin is not None
            blocked.stdin.write("b")
            blocked.stdin.flush()
            found = crew.settle()
            assert (found.succeeded, found.repeated) == (3, 0)

    def test_a_backfill_whose_processes_are_killed_runs_each_missing_time_and_ends(
        self, url: str, tmp_path: Path
    ) -> None:
        with Crew(url, tmp_path) as crew:
            # Of an hour, to be far from all that is planned; the ledger keeps a hundred records of a job.
            now = datetime.now(UTC).replace(microsecond=0)
            begin = now - timedelta(hours=1)
            crew.looker.add_job(
                WORK,
                "interval",
                seconds=30,
                start_date=begin,
                args=(str(tmp_path / "backfill"), 0.02),
                id="backfill",
                max_instances=4,
                max_attempts=50,
                next_run_time=now + timedelta(hours=1),
            )
            (tmp_path / "backfill").touch()
            end = begin + timedelta(seconds=30 * 89)
            assert crew.looker.backfill("backfill", begin, end) == 90
            first, *_ = crew.hire(2)
            ended = partial(crew.looker.get_runs, "backfill", status=SUCCEEDED, limit=1000)
            wait_until(lambda: len(ended()) >= 20, "some of them to run")
            crew.kill(first)
            crew.hire()
            wait_until(lambda: len(ended()) >= 50, "half of them to run")
            crew.replace_one()
            wait_until(lambda: len(ended()) == 90, "all of them to run")
            records = crew.looker.get_runs("backfill", limit=1000)
            times = [begin + timedelta(seconds=30 * number) for number in range(90)]
            assert sorted(run.scheduled_run_time for run in records) == times
            assert {(run.status, run.origin, run.count) for run in records} == {(SUCCEEDED, "backfill", 1)}
            assert crew.looker.backfill("backfill", begin, end) == 0
            # Nothing is executed once more but what was under way when its process died.
            lines = (tmp_path / "backfill").read_text().splitlines()
            begun = [line.split() for line in lines if line.startswith("begin ")]
            tries = Counter(int(words[2]) for words in begun)
            assert len({tuple(words[1:4]) for words in begun}) == len(begun)
            assert sum(count - 1 for count in tries.values()) <= 4 * 2
            crew.looker.remove_job("backfill")

    def test_a_process_whose_clock_is_wrong_harms_nobody(self, url: str, tmp_path: Path) -> None:
        with Crew(url, tmp_path) as crew:
            for shift in (0, 10, -10):
                crew.hire(shift=shift, lease=self.lease_of_wrong_clocks)
            crew.add_mixture(self.many // 2, 4)
            assert crew.settle().repeated == 0

    @pytest.mark.parametrize(
        ("jump", "processes"),
        [
            (7, 1),
            (3600, 4),
            pytest.param(7, 4, marks=pytest.mark.slow),
            pytest.param(3600, 1, marks=pytest.mark.slow),
        ],
    )
    def test_after_the_clock_that_counts_was_set_no_time_runs_twice_and_intervals_go_on(
        self, url: str, tmp_path: Path, jump: int, processes: int
    ) -> None:
        with Crew(url, tmp_path) as crew:
            crew.hire(processes, **{self.clock_that_counts: crew.clock}, workers=2)
            for trigger, fields in (("interval", {"seconds": 0.5}), ("cron", {"second": "*"})):
                crew.looker.add_job(WORK, trigger, id=trigger, args=(str(crew.trace), 0), **fields)
            for shift in (0, -jump, -2 * jump, jump, -jump / 2):
                crew.set_clock(shift)
                begun = len(crew.lines_of("interval"))
                crew.wait_for_runs("interval", begun + 5)
            crew.check_rhythm("interval", "cron")

    def test_a_process_that_forks_has_no_double(self, url: str, tmp_path: Path) -> None:
        with Crew(url, tmp_path) as crew:
            (worker,) = crew.hire(lease=30)
            crew.add_mixture(self.many // 4, 2)
            assert worker.stdin is not None
            for count in (1, 3, 5):
                crew.wait_for("begin", count)
                worker.stdin.write("f")
                worker.stdin.flush()
            assert crew.settle().repeated == 0

    def test_a_process_without_the_function_leaves_its_jobs_to_those_that_have_it(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for version, text in (("old", ""), ("new", "from tests.faults.worker import work\n")):
            folder = tmp_path / version
            folder.mkdir()
            (folder / "fault_application.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path / "new"))
        with Crew(url, tmp_path) as crew:
            (old,) = crew.hire(path=tmp_path / "old")
            crew.add_once(10, takes=0, func="fault_application:work")
            crew.add_once(10, takes=0)
            wait_until(lambda: len(crew.lines("end")) == 10, "the old version to do what it can")
            wait_until(
                lambda: [job.state for job in crew.looker.get_jobs()] == ["quarantined"] * 10,
                "the old version to put the rest into quarantine",
            )
            crew.end(old)
            crew.hire(path=tmp_path / "new")
            assert crew.settle().succeeded == 20


class ServerFaultContract(FaultContract):
    """What may happen to the server, and to the connections to it, besides."""

    kind: ClassVar[type[Server]]
    clock_that_counts = "server_clock"

    @pytest.fixture
    def server(self) -> Server:
        """Give the server of ``url``."""
        raise NotImplementedError("give the fixture server in the subclass")

    def test_processes_whose_clocks_are_wrong_and_set_again_and_again_start_nothing_before_its_time(
        self, url: str, tmp_path: Path
    ) -> None:
        with Crew(url, tmp_path) as crew:
            for shift in (0, 3600, -3600):
                crew.hire(shift=shift)
            crew.hire(clock=crew.clock)
            crew.add_mixture(self.many // 2, 4)
            for shift in (7200, -3, 3, -7200):
                time.sleep(1)
                crew.set_clock(shift)
            assert crew.settle().repeated == 0
            # That of etcd is told in seconds.
            assert crew.earliest() > -1.5

    @pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill"])
    def test_a_server_that_goes_away_and_comes_back_costs_no_run(self, tmp_path: Path, kill: bool) -> None:
        with private(self.kind) as server, Crew(server.url(), tmp_path) as crew:
            crew.hire(2)
            crew.add_mixture(self.many // 2, 3)
            crew.wait_for("begin", 10)
            crew.take_away(server, 1, kill)
            print(crew.settle())

    @pytest.mark.slow
    def test_a_server_that_is_away_for_longer_than_a_lease_makes_nobody_repeat_what_the_living_do(
        self, tmp_path: Path
    ) -> None:
        with private(self.kind) as server, Crew(server.url(), tmp_path) as crew:
            crew.add_once(6, takes=16)
            crew.hire(2, lease=8, workers=3)
            crew.wait_for("begin", 6)
            crew.take_away(server, 10, kill=False)
            crew.hire(lease=8, workers=3)  # one that begins, and knows of no outage
            found = crew.settle()
            assert (found.succeeded, found.repeated) == (6, 0)

    def test_connections_that_are_cut_again_and_again_cost_no_run(
        self, url: str, server: Server, tmp_path: Path
    ) -> None:
        with (
            Proxy(server.port) as proxy,
            Crew(url.replace(f":{server.port}", f":{proxy.port}"), tmp_path) as crew,
        ):
            crew.hire(2)
            crew.add_mixture(self.many // 2, 3)
            crew.ceased = None  # a lease that cannot be renewed in time is over
            until = time.monotonic() + 3
            while time.monotonic() < until:
                proxy.cut()
                time.sleep(0.1)
            print(crew.settle())
