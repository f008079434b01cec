"""What every executor must do about runs whose time is limited, for pytest: tell when they begin, and stop them when it is over.

Part of :class:`~rota.testing.contracts.executors.ExecutorContract`, whose fixtures it uses. That such a run ends as "timed_out" is
the engine's business.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import pytest

from ...clock import SYSTEM_CLOCK
from ...core.policy import with_options
from ...core.states import CANCELLED, SUCCEEDED
from ...executors.steps import chain
from . import timing_jobs as jobs
from .executor_jobs import Ended, add, add_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.run import Run
    from ...executors.base import BaseExecutor


class Watch:
    """Takes note of runs that begin, as the engine does, and says when their time is over."""

    def __init__(self) -> None:
        #: the runs that have begun, and when
        self.begun: list[Run] = []
        self.times: list[int] = []
        #: called with each that begins
        self.on_begin: Callable[[Run], object] = bool
        self._over: set[Run] = set()

    def limit(self, *heads: Run) -> None:
        """Have the time of runs watched, as the engine does with those that it hands out."""
        for head in heads:
            for run in chain(head):
                if run.job is not None and run.job.policy.time_limit is not None:
                    run.watch = self

    def begin(self, run: Run) -> None:
        """Take note that a run begins."""
        self.times.append(SYSTEM_CLOCK.monotonic())
        self.begun.append(run)
        self.on_begin(run)

    def forget(self, run: Run) -> None:
        """Take note that a run has not begun after all."""
        self.begun = [each for each in self.begun if each is not run]

    def is_over(self, run: Run) -> bool:
        """Whether the time of a run is over."""
        return run in self._over

    def of_copy(self, run: Run) -> Watch:
        """Return this."""
        return self

    def pass_over(self, executor: BaseExecutor, run: Run) -> None:
        """Let the time of a run be over."""
        self._over.add(run)
        run.cancelled = True
        executor.terminate_run(run)


class TimingContract:
    """A run tells when it begins, and stops or is asked to when its time is over; others go on."""

    if TYPE_CHECKING:
        inline: bool
        pickles: bool
        wait_for_file: Any
        wait_async: Any
        run_of: Callable[..., Run]
        wait: Callable[[Ended, int], list[Run]]
        wait_until: Callable[[Callable[[], object], str], None]
        carry_out: Callable[..., list[Run]]

    @pytest.fixture
    def watch(self) -> Watch:
        """Return what watches the runs of the test."""
        return Watch()

    def begun(self, executor: BaseExecutor, watch: Watch, *heads: Run) -> Ended:
        """Submit runs, and stop the first of them as soon as it has begun; return what takes their ends."""
        ended = Ended()
        watch.limit(*heads)
        if self.inline:  # somebody else looks at the time meanwhile

            def look(run: Run) -> None:
                watch.on_begin = bool
                threading.Thread(target=watch.pass_over, args=(executor, run)).start()

            watch.on_begin = look
            executor.submit(heads, ended)
            return ended
        executor.submit(heads, ended)
        self.wait_until(lambda: watch.begun, "the first run has begun")
        watch.pass_over(executor, watch.begun[0])
        return ended

    @pytest.mark.parametrize("func", [add, add_async])
    @pytest.mark.parametrize("option", ["timeout", "heartbeat_timeout"])
    def test_a_run_with_a_limit_tells_that_it_begins(
        self, executor: BaseExecutor, watch: Watch, func: Any, option: str
    ) -> None:
        """Once, in its own time, with what the ledger knows of it."""
        before = SYSTEM_CLOCK.monotonic()
        runs = [self.run_of(func, number, **{option: 60}) for number in range(3)]
        watch.limit(*runs)
        self.carry_out(executor, *runs)
        assert sorted(run.id for run in watch.begun) == sorted(run.id for run in runs)
        assert all(run.started_at is not None for run in watch.begun)
        assert all(before <= time <= SYSTEM_CLOCK.monotonic() for time in watch.times)

    def test_a_run_without_a_limit_is_not_watched(self, executor: BaseExecutor, watch: Watch) -> None:
        """Although others have one."""
        runs = [self.run_of(add, 1), self.run_of(add_async, 1)]
        limited = self.run_of(add, 2, timeout=60)
        watch.limit(limited, *runs)
        self.carry_out(executor, *runs, limited)
        assert watch.begun == [limited]
        assert not any(hasattr(run, "watch") for run in runs)

    def test_a_job_knows_its_time(self, executor: BaseExecutor, watch: Watch) -> None:
        """As an estimate by the clock."""
        limited, free = self.run_of(jobs.about_time, timeout=60), self.run_of(jobs.about_time)
        self.carry_out(executor, limited, free)
        assert limited.retval[:2] == free.retval[:2] == (False, False)
        assert limited.retval[2] == pytest.approx(60, abs=0.001)
        assert free.retval[2] is None

    def test_a_coroutine_ends_when_its_time_is_over(self, executor: BaseExecutor, watch: Watch) -> None:
        """It is cancelled; where it is carried out inline, it is asked."""
        func = jobs.until_asked_async if self.inline else self.wait_async
        run = self.run_of(func, timeout=60)
        self.wait(self.begun(executor, watch, run), 1)
        assert (run.status, run.cancelled, run.past_timeout) == (
            SUCCEEDED if self.inline else CANCELLED,
            True,
            True,
        )
        (following,) = self.carry_out(executor, self.run_of(add_async, 1))
        assert following.status == SUCCEEDED

    def test_a_function_ends_when_its_time_is_over_or_is_asked(
        self, executor: BaseExecutor, watch: Watch, tmp_path: Path
    ) -> None:
        """A worker process is ended, a greenlet killed; a thread returns when it sees that it is asked."""
        run = self.run_of(self.wait_for_file, str(tmp_path / "never"), timeout=60)
        self.wait(self.begun(executor, watch, run), 1)
        assert run.cancelled and run.past_timeout
        if self.pickles:
            assert run.status == CANCELLED
            assert run.reason is not None and "SIGKILL" in run.reason
        else:
            assert (run.status, run.retval) in ((SUCCEEDED, "cancelled"), (CANCELLED, None))
        (following,) = self.carry_out(executor, self.run_of(add, 1))
        assert following.status == SUCCEEDED

    def test_the_others_of_its_group_go_on(
        self, executor: BaseExecutor, watch: Watch, tmp_path: Path
    ) -> None:
        """Each with a time of its own; in a worker process, with another worker."""
        runs = [self.run_of(self.wait_for_file, str(tmp_path / "never"), timeout=60)]
        runs += [self.run_of(add, 1, number, timeout=60) for number in (1, 2)]
        for run, following in pairwise(runs):
            run.then = following
        self.wait(self.begun(executor, watch, runs[0]), 3)
        assert [(run.status, run.retval) for run in chain(runs[1])] == [(SUCCEEDED, 2), (SUCCEEDED, 3)]
        assert watch.begun == runs
        assert not any(run.past_timeout or run.cancelled for run in runs[1:])

    def test_other_runs_go_on(self, executor: BaseExecutor, watch: Watch, tmp_path: Path) -> None:
        """Only the run whose time is over is stopped."""
        if self.inline:
            return  # there is no other one
        gate = tmp_path / "gate"
        runs = [self.run_of(self.wait_for_file, str(gate), timeout=60) for _ in range(2)]
        ended = Ended()
        watch.limit(*runs)
        executor.submit(runs, ended)
        self.wait_until(lambda: len(watch.begun) == 2, "both have begun")
        first, second = watch.begun
        watch.pass_over(executor, first)
        self.wait(ended, 1)
        assert not second.ended and not second.cancelled
        gate.touch()
        self.wait(ended, 2)
        assert (second.status, second.retval) == (SUCCEEDED, "found")

    def test_a_worker_is_ended_whose_run_is_to_make_room(
        self, executor: BaseExecutor, tmp_path: Path
    ) -> None:
        """Without a limit of time, too; the next run gets another worker."""
        if not self.pickles:
            return  # only worker processes can be ended
        run = self.run_of(jobs.begin_and_wait, str(tmp_path / "begun"))
        assert run.job is not None
        run.job.policy = with_options(run.job.policy, {"overlap": "terminate_other"})
        ended = Ended()
        executor.submit([run], ended)
        self.wait_until((tmp_path / "begun").exists, "it has begun")
        run.cancelled = True
        executor.terminate_run(run)
        self.wait(ended, 1)
        assert run.status == CANCELLED
        (other,) = self.carry_out(executor, self.run_of(add, 1))
        assert other.status == SUCCEEDED

    def test_a_run_that_has_ended_is_left_alone(self, executor: BaseExecutor, watch: Watch) -> None:
        """Its time may be over while it is reported; whoever has its place now goes on."""
        run = self.run_of(add, 1, timeout=60)
        watch.limit(run)
        self.carry_out(executor, run)
        executor.terminate_run(run)
        others = self.carry_out(executor, *(self.run_of(add, number) for number in range(4)))
        assert [each.status for each in others] == [SUCCEEDED] * 4
