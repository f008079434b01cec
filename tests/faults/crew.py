"""A crew: scheduler processes on one store, jobs whose executions leave a trace, and the balance of the ledger.

Knows a store by its URL only.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rota import After, Retry
from rota.clock import instant
from rota.core.states import CLAIMED, WAITING
from rota.errors import JobValueError, StoreReplacedError
from rota.schedulers.background import BackgroundScheduler
from tests.faults import chained
from tests.faults.balance import Balance, Plan, PutBack, balance
from tests.faults.worker import LEASE
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable

    from rota.core.run import Run
    from tests.servers.process import Server

ROOT = Path(__file__).parents[2]
PATIENCE = 50
#: longer than any test
ALWAYS = 1_000_000
#: how often a run is tried: so often that a run that is given up would be remarkable
ATTEMPTS = 12
WORK = "tests.faults.worker:work"
#: in how many seconds jobs begin that start others: runs that are claimed before the others are there need not start them
AHEAD = 3


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until a condition holds; look often, and fail with what was waited for.

    Where looks take long, there is more time between them: a slow store is to do something else than to be looked at.
    """
    end = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        try:
            result, trouble = condition(), ""
        except (
            ConnectionError,
            StoreReplacedError,
        ) as exc:  # the store is away at the moment, or another one
            result, trouble = None, f" ({exc})"
        if result:
            return result
        now = time.monotonic()
        assert now < end, f"waited {seconds} s in vain for {what}{trouble}"
        time.sleep(min(max(0.02, 3 * (now - began)), 1))


class Crew:
    """Processes on one store, and a scheduler that runs nothing, through which jobs are added and the ledger is read.

    :param url: the store
    :param folder: where the trace and what the processes complain about are written
    :param seed: decides who is killed
    """

    def __init__(self, url: str, folder: Path, seed: int = 4) -> None:
        self.url = url
        self.trace = folder / "trace"
        self.trace.touch()
        self.complaints = folder / "complaints"
        #: says by how many seconds the clocks are wrong that are given it
        self.clock = folder / "clock"
        self.set_clock(0)
        self.workers: list[subprocess.Popen[str]] = []
        #: what is to happen
        self.plans: dict[str, Plan] = {}
        #: which runs were asked to stop, and in which attempt (None: that is not known)
        self.asked: dict[tuple[str, int], int | None] = {}
        #: when a backup was put in place of the store
        self.put_back: list[PutBack] = []
        #: the jobs that went with the store that was there before
        self.gone: set[str] = set()
        #: whether somebody has damaged what is stored of other jobs: of those nothing is expected here
        self.is_damaged = False
        #: those that were started in the place of others, and of which nobody knows yet whether they are ready
        self._starting: list[subprocess.Popen[str]] = []
        self._substitutes: set[int] = set()
        #: since when processes are dead, or suspended past their leases
        self.ceased: dict[int, float] | None = {}
        #: the processes that were killed or suspended, and when they were killed
        self.stopped: set[int] = set()
        self.killed: dict[int, float] = {}
        self._random = random.Random(seed)
        self.looker = BackgroundScheduler(
            jobstores={"default": url}, timezone="UTC", runs_jobs=False, jobstore_retry_interval=0.5
        )

    def __enter__(self) -> Crew:
        self.looker.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.looker.shutdown()
        for worker in self.workers:
            worker.send_signal(signal.SIGCONT)
            if worker.stdin is not None:
                worker.stdin.close()
        for worker in self.workers:
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()

    # -- processes -----------------------------------------------------------------------------------------------

    def hire(self, count: int = 1, **options: Any) -> list[subprocess.Popen[str]]:
        """Start workers, and wait until they are ready."""
        new = [self.start(**options) for _ in range(count)]
        for worker in new:
            self._wait_until_ready(worker)
        return new

    def wait_until_ready(self) -> None:
        """Wait until all workers that were started in the place of others are ready."""
        for worker in tuple(self._starting):
            self._wait_until_ready(worker)

    def _wait_until_ready(self, worker: subprocess.Popen[str]) -> None:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n", (
            f"a worker did not start:\n{self.complaints.read_text()}"
        )
        if worker in self._starting:
            self._starting.remove(worker)

    def start(self, path: Path | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start a worker.

        :param path: a folder in which it finds modules
        :param options: those of the command line
        """
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        before = os.environ.get("PYTHONPATH")
        paths = os.pathsep.join(str(each) for each in (path, before) if each)
        with self.complaints.open("a") as complaints:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker", self.url, str(self.trace), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": paths},
            )
        self.workers.append(worker)
        return worker

    @property
    def alive(self) -> list[subprocess.Popen[str]]:
        """Return the workers that have not ended."""
        return [worker for worker in self.workers if worker.poll() is None]

    def kill(self, worker: subprocess.Popen[str]) -> None:
        """Kill a worker as nothing can prevent."""
        worker.kill()
        worker.wait(10)
        self.killed[worker.pid] = time.monotonic()
        if worker in self._starting:
            self._starting.remove(worker)
        self._has_ceased(worker)

    def set_clock(self, seconds: float) -> None:
        """Set the clocks that follow the file, of processes or of the server as it shows itself to them."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.clock)

    def replace_one(self, **options: Any) -> None:
        """Kill a random worker, and start another one with these options in its place without waiting for it."""
        self.kill(self._random.choice(self.alive))
        new = self.start(**options)
        self._starting.append(new)
        self._substitutes.add(new.pid)

    def suspend(self, worker: subprocess.Popen[str]) -> None:
        """Stop a worker in its tracks, until it gets SIGCONT; for longer than its lease. It does nothing more when this returns."""
        worker.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._has_ceased(worker)

    def end(self, worker: subprocess.Popen[str]) -> None:
        """Ask a worker to finish what it is doing, and to end."""
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0, self.complaints.read_text()

    def _has_ceased(self, worker: subprocess.Popen[str]) -> None:
        self.stopped.add(worker.pid)
        if self.ceased is not None:
            self.ceased.setdefault(worker.pid, time.monotonic())

    def take_away(self, server: Server, seconds: float, kill: bool) -> None:
        """Stop or kill the server, and start it again after a while. Any worker may have lost its lease then."""
        self.ceased = None
        server.kill() if kill else server.stop()
        time.sleep(seconds)
        server.start()

    def replace_store(self, change: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Let somebody change what the store is, and wait until all workers know and go on."""
        self.ceased = None
        told, begun = len(self.lines("recovered")), {int(line.split()[4]) for line in self._lines("begin")}
        begun_at = time.monotonic()
        change()
        done = time.monotonic()
        # Who was started in the place of another and has done nothing yet may have had no lease there.
        workers = {worker.pid for worker in self.alive} - (self._substitutes - begun)

        def know() -> bool:
            return {int(line.split()[4]) for line in self._lines("recovered")[told:]} >= workers

        wait_until(know, "all workers to know, and to go on", seconds)
        self.put_back.append(PutBack(begun_at, time.monotonic(), done))
        wait_until(lambda: self.looker.get_jobs() is not None, "the store to be open")

    # -- jobs ----------------------------------------------------------------------------------------------------

    def add_once(self, count: int, seconds: float = 0, takes: float = 0.2, func: str = WORK) -> list[str]:
        """Add jobs that run once, spread over the next seconds; return their ids."""
        start, first = datetime.now(UTC), len(self.plans) + len(self.gone)
        times = {
            f"once{first + number}": start + timedelta(seconds=seconds * number / count)
            for number in range(count)
        }
        self.looker.add_jobs(
            {
                "func": func,
                "trigger": "date",
                "run_date": time,
                "id": id,
                "args": (str(self.trace), takes),
                "max_attempts": ATTEMPTS,
            }
            for id, time in times.items()
        )
        self.plans |= {id: Plan([instant(time)], 1, ATTEMPTS) for id, time in times.items()}
        return list(times)

    def add_series(
        self, id: str, every: float, seconds: float, takes: float = 0, ahead: float = 0, **options: Any
    ) -> None:
        """Add a job that runs every so many seconds, for a while.

        :param ahead: in how many seconds that begins
        """
        start = datetime.now(UTC) + timedelta(seconds=ahead)
        job = self.looker.add_job(
            trigger="interval",
            seconds=every,
            start_date=start,
            end_date=start + timedelta(seconds=seconds),
            id=id,
            **{"func": WORK, "args": (str(self.trace), takes), "max_attempts": ATTEMPTS, **options},
        )
        step = timedelta(seconds=every)
        every_time = [start + number * step for number in range(timedelta(seconds=seconds) // step + 1)]
        first = present(job.next_run_time)
        times = [instant(time) for time in every_time if time >= first]  # not what was over already
        self.plans[id] = Plan(times, options.get("max_instances", 1), ATTEMPTS)

    def add_mixture(self, count: int, seconds: float, merges: bool = True) -> None:
        """Add many jobs that run once, and some that run again and again, at most twice at once.

        :param merges: whether one of them merges the times that it cannot keep
        """
        every = max(0.25, seconds / 80)  # the ledger keeps a hundred records of a job
        self.add_series("each", every, seconds, 0.3, coalesce=False)
        if merges:
            self.add_series("twice", every, seconds, 1.5 * every, max_instances=2)
        self.add_once(count, seconds)

    def add_governed(self, id: str, func: str, args: tuple[Any, ...], **options: Any) -> None:
        """Add a job that runs once, now, and may fail, want another call or take too long, as its runs write down."""
        now = datetime.now(UTC)
        job = self.looker.add_job(
            f"tests.faults.erratic:{func}",
            "date",
            run_date=now,
            id=id,
            args=(str(self.trace), *args),
            **options,
        )
        timeout = options.get("timeout")
        self.plans[id] = Plan([instant(job.next_run_time or now)], 1, job.policy.max_attempts, True, timeout)

    def add_after(
        self, id: str, parent: str, on: str = "any", func: str = WORK, takes: float = 0, **options: Any
    ) -> None:
        """Add a job that the ends of another one start.

        :param on: which ends
        :param func: those that may fail say themselves how they end
        """
        args = options.pop("args", (str(self.trace), takes))
        options.setdefault("max_attempts", ATTEMPTS)
        self.looker.add_job(func, After(parent, on), id=id, args=args, **options)
        most, attempts = options.get("max_instances", 1), options["max_attempts"]
        timeout = options.get("timeout")
        self.plans[id] = Plan([], most, attempts, func != WORK, timeout, after=(parent, on))

    def add_erratic(self, count: int, seconds: float) -> None:
        """Add many jobs that run once and may fail, two that do so again and again, and three that their ends start."""
        timeout = 1.5
        options: dict[str, Any] = {
            "retry": Retry(wait_initial=0.3, wait_max=1),
            "timeout": timeout,
            "func": "tests.faults.erratic:erratic",
            "args": (str(self.trace), 0.1, timeout + 1),
        }
        start = datetime.now(UTC)
        times = {
            f"erratic{number}": start + timedelta(seconds=seconds * number / count) for number in range(count)
        }
        self.looker.add_jobs(
            {**options, "trigger": "date", "run_date": time, "id": id} for id, time in times.items()
        )
        self.plans |= {id: Plan([instant(time)], 1, 3, True, timeout) for id, time in times.items()}
        every = max(0.5, seconds / 80)  # the ledger keeps a hundred records of a job
        for id, until in (("superseded", "next"), ("keeps", None)):
            options["retry"] = Retry(wait_initial=0.3, wait_max=1, until=until)
            self.add_series(id, every, seconds, ahead=AHEAD, coalesce=False, max_attempts=3, **options)
            plan = self.plans[id]
            self.plans[id] = plan._replace(max_attempts=3, is_governed=True, timeout=timeout)
        options["retry"] = Retry(wait_initial=0.3, wait_max=1)
        self.add_after("then", "superseded", overlap="buffer_all", max_attempts=3, **options)
        self.add_after("alarm", "keeps", "failed", takes=0.1)
        self.add_after("last", "then", "succeeded", takes=0.1, overlap="buffer_one")

    def cancel_some(self, count: int) -> None:
        """Ask some of the runs that may fail, and that are under way or wait, to stop."""
        runs = [
            run
            for run in self.looker.get_runs(status=(CLAIMED, WAITING), limit=1000)
            if run.job_id in self.plans and self.plans[run.job_id].is_governed
        ]
        for run in self._random.sample(runs, min(count, len(runs))):
            self.cancel(run)

    def cancel(self, run: Run) -> None:
        """Ask a run to stop, and keep in which attempt that was."""
        key = (run.job_id, run.nominal)
        try:
            there = self.looker.cancel_run(run.job_id, run.scheduled_run_time, "no more")
        except JobValueError:  # it has ended
            return
        except ConnectionError:  # it may have been asked all the same
            self.asked.setdefault(key, None)
            return
        self.asked.setdefault(key, there.attempt)

    # -- what has become of them ---------------------------------------------------------------------------------

    def lines(self, kind: str, pid: int | None = None) -> list[tuple[str, int, int]]:
        """Return what jobs or listeners have written, as job ids, nominal times and attempts."""
        found = []
        for line in self._lines(kind):
            _, id, nominal, attempt, by, *_ = line.split()
            if pid in (None, int(by)):
                found.append((id, int(nominal), int(attempt)))
        return found

    def _lines(self, kind: str) -> list[str]:
        return [line for line in self.trace.read_text().splitlines() if line.startswith(f"{kind} ")]

    def lines_of(self, job_id: str) -> list[int]:
        """Return the nominal times at which a job has begun."""
        return [nominal for id, nominal, _ in self.lines("begin") if id == job_id]

    def give_up(self, *ids: str) -> None:
        """Expect nothing more of jobs that are not in what is the store now; of all, if none are named."""
        for id in ids or tuple(self.plans):
            del self.plans[id]
            self.gone.add(id)

    def wait_for_runs(self, job_id: str, count: int) -> None:
        """Wait until so many runs of a job have begun."""
        wait_until(lambda: len(self.lines_of(job_id)) >= count, f"{count} runs of {job_id}")

    def earliest(self) -> float:
        """Return by how many seconds of the true time a run began after its nominal time at least; below 0: before it."""
        now, elapsed = time.time(), time.monotonic()
        begun = [line.split() for line in self.trace.read_text().splitlines() if line.startswith("begin ")]
        return min(now - elapsed + float(words[5]) - int(words[2]) / 1_000_000 for words in begun)

    def runs(self, status: str | None = None) -> list[Run]:
        """Return the ledger's records."""
        return list(self.looker.get_runs(status=status, limit=ALWAYS))

    def claimed(self) -> set[tuple[str, int]]:
        """Return the job ids and nominal times of the runs that have been claimed and have not ended."""
        return {(run.job_id, run.nominal) for run in self.runs(CLAIMED)}

    def wait_for(self, kind: str, count: int) -> None:
        """Wait until there are so many lines of a kind."""
        wait_until(lambda: len(self.lines(kind)) >= count, f'{count} lines "{kind}"')

    def check_rhythm(self, *ids: str) -> None:
        """Check that no time of these jobs is in two records, that none is in no record, and that what ran did so once.

        They are of intervals or calendars that were never over; their executions take no time.
        """
        self.looker.remove_all_jobs()
        wait_until(lambda: not self.claimed(), "all runs to end")
        for id in ids:
            runs = self.looker.get_runs(id, limit=ALWAYS)
            assert len({run.nominal for run in runs}) == len(runs)
            assert {run.status for run in runs} <= {"succeeded", "skipped"}, [
                run for run in runs if run.ended
            ]
            begun = [(nominal, attempt) for job_id, nominal, attempt in self.lines("begin") if job_id == id]
            assert len(set(begun)) == len(begun), "a time ran twice"
            assert {nominal for nominal, _ in begun} == {
                run.nominal for run in runs if run.status == "succeeded"
            }
            assert {attempt for _, attempt in begun} == {1}, "a run was repeated though its process lived"

    def settle(self, seconds: float = PATIENCE) -> Balance:
        """Wait until all schedules are over and all runs have ended, and return the balance."""
        # Twice, as not every store looks at all lists of runs at one moment: what is given back goes from one to another.
        try:
            wait_until(
                lambda: not (self._left() or self._left()) and self._follows(), "all jobs to be over", seconds
            )
        except AssertionError:
            if self._left():
                raise  # else the balance says what is missing
        ceased = self.ceased
        if ceased is not None:
            # A process that the machine gave no time says that its lease is over; since when, nobody knows.
            lapsed = re.findall(r"Node (\d+)-\w+ did not renew its lease", self.complaints.read_text())
            ceased = {**dict.fromkeys(map(int, lapsed), 0.0), **ceased}
        # What had no place in the backup was told as lost.
        lost = {tuple(line.split()[1:5]) for line in self._lines("lost")} if self.put_back else set()
        trace = [
            line
            for line in self.trace.read_text().splitlines()
            if line.split()[1] not in self.gone and tuple(line.split()[1:5]) not in lost
        ]
        runs = [run for run in self.runs() if not self.is_damaged or run.job_id in self.plans]
        return balance(self.plans, runs, trace, ceased, self.put_back, self.stopped, self.killed, self.asked)

    def _follows(self) -> bool:
        """Whether each end has left what it must, and that has ended, too: all of it in one look."""
        if all(plan.after is None for plan in self.plans.values()):
            return True
        runs = self.runs()
        return all(run.ended for run in runs if run.job_id in self.plans) and not chained.are_missing(
            self.plans, runs
        )

    def _left(self) -> bool:
        """Whether jobs are not over, or runs have not ended."""
        left = {job.id for job in self.looker.get_jobs()}
        left -= {id for id, plan in self.plans.items() if plan.after is not None}  # they have no end
        unfinished = self.looker.get_runs(status=(CLAIMED, WAITING), limit=ALWAYS)
        left |= {run.job_id for run in unfinished}
        return bool(left & set(self.plans) if self.is_damaged else left)


__all__ = ("LEASE", "Crew", "wait_until")
