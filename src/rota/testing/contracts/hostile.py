"""What every executor must do about jobs, callbacks and loggers that do what they should not; for pytest.

Part of :class:`~rota.testing.contracts.executors.ExecutorContract`, whose fixtures it uses.
"""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from ...clock import SECOND
from ...core.policy import with_options
from ...core.retry import Retry
from ...core.states import CANCELLED, FAILED, SKIPPED, SNOOZED, SUCCEEDED
from ...executors.steps import chain
from . import hostile_jobs
from .executor_jobs import Ended, add, add_async, fail_async, fail_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from typing import Any

    from ...core.run import Run
    from ...executors.base import BaseExecutor


class HostileJobsContract:
    """No run hurts its neighbours: whatever a job does, each run has its one end, and the executor goes on."""

    #: a coroutine function that waits for something which was cancelled, in a way that suits the executor
    inner_cancellation: Any = staticmethod(hostile_jobs.inner_cancellation)

    if TYPE_CHECKING:
        inline: bool
        pickles: bool
        run_of: Callable[..., Run]
        group_of: Callable[..., Run]
        wait: Callable[[Ended, int], list[Run]]
        wait_until: Callable[[Callable[[], object], str], None]
        carry_out: Callable[..., list[Run]]

    def carry_out_among_others(self, executor: BaseExecutor, hostile: list[Run]) -> None:
        """Carry runs out among ordinary ones; each ends exactly once, and the others as if they were alone."""
        others = [self.run_of((add, add_async)[number % 2], number) for number in range(len(hostile) + 1)]
        runs = [others[0]]
        for run, other in zip(hostile, others[1:], strict=True):
            runs += [run, other]
        ended = Ended()
        executor.submit(runs, ended)
        self.wait(ended, len(runs))
        assert sorted(run.id for run in ended.runs) == sorted(run.id for run in runs)
        assert [run.status for run in others] == [SUCCEEDED] * len(others)
        assert [run.retval for run in others] == list(range(len(others)))
        for run in hostile:
            assert run.finished_at is not None, run
            assert {type(text) for text in (run.error_type, run.error, run.traceback)} <= {str, type(None)}
        (again,) = self.carry_out(executor, self.run_of(add, 1))
        assert again.status == SUCCEEDED
        self.wait_until(lambda: executor.capacity() > 0 and executor.worth_a_pass(), "there is room again")

    @pytest.mark.parametrize("func", [hostile_jobs.give, hostile_jobs.give_async])
    def test_no_result_of_a_job_hurts_another_run(self, executor: BaseExecutor, func: Any) -> None:
        """Results that lie about their class, cannot be printed, compared, hashed, pickled or unpickled."""
        runs = [self.run_of(func, kind) for kind in hostile_jobs.RESULTS]
        self.carry_out_among_others(executor, runs)
        if not self.pickles:
            for run, kind in zip(runs, hostile_jobs.RESULTS, strict=True):
                assert run.status == SUCCEEDED or kind == "coroutine", (kind, run.error)

    @pytest.mark.parametrize("func", [hostile_jobs.fail, hostile_jobs.fail_async, hostile_jobs.fail_deep])
    def test_no_error_of_a_job_hurts_another_run(self, executor: BaseExecutor, func: Any) -> None:
        """Exceptions of every kind, and those that cannot be printed, are the outcome of their runs."""
        runs = [self.run_of(func, kind) for kind in hostile_jobs.ERRORS]
        self.carry_out_among_others(executor, runs)
        assert {run.status for run in runs} == {FAILED}

    @pytest.mark.parametrize("func", [hostile_jobs.fail, hostile_jobs.fail_async])
    def test_no_error_of_a_job_that_is_tried_again_hurts_another_run(
        self, executor: BaseExecutor, func: Any
    ) -> None:
        """They are looked at for that, whatever they are."""
        runs = [self.run_of(func, kind) for kind in hostile_jobs.ERRORS]
        for run in runs:
            assert run.job is not None
            run.job.policy = with_options(run.job.policy, {"retry": Retry(BaseException)})
        self.carry_out_among_others(executor, runs)
        assert {run.status for run in runs} == {FAILED}

    @pytest.mark.parametrize("func", [hostile_jobs.raise_own_outcome, hostile_jobs.raise_own_outcome_async])
    def test_outcomes_of_the_user_s_own_do_as_those_that_they_are_derived_from(
        self, executor: BaseExecutor, func: Any
    ) -> None:
        """Also where they cannot be pickled."""
        snoozed, skipped = runs = [self.run_of(func, kind) for kind in hostile_jobs.OWN_OUTCOMES]
        self.carry_out(executor, *runs)
        assert (snoozed.status, snoozed.wish) == (SNOOZED, (SNOOZED, 30 * SECOND, None))
        assert (skipped.status, skipped.reason) == (SKIPPED, "nothing to do")

    def test_no_argument_of_a_job_hurts_another_run(self, executor: BaseExecutor) -> None:
        """Arguments that cannot be printed or compared, nor pickled where that is needed."""
        runs = [self.run_of(hostile_jobs.use_up, make()) for make in hostile_jobs.RESULTS.values()]
        self.carry_out_among_others(executor, runs)

    @pytest.mark.parametrize("place", [0, 4, 8], ids=["first", "middle", "last"])
    def test_a_callable_that_cannot_be_read_costs_its_own_run(
        self, executor: BaseExecutor, place: int
    ) -> None:
        """submit() is all or nothing: one bad run of a batch is that run's outcome, wherever it stands."""
        runs = [self.run_of((add, add_async)[number % 2], number) for number in range(9)]
        runs[place] = self.run_of(hostile_jobs.Lie())
        ended = Ended()
        executor.submit(runs, ended)
        self.wait(ended, 9)
        assert sorted(run.id for run in ended.runs) == sorted(run.id for run in runs)
        assert [run.status for run in runs] == [FAILED if run is runs[place] else SUCCEEDED for run in runs]
        self.wait_until(lambda: executor.capacity() > 0 and executor.worth_a_pass(), "there is room again")

    def test_a_coroutine_that_fails_by_an_inner_cancellation_has_failed(self, executor: BaseExecutor) -> None:
        """Cancelled is only what somebody asked to stop."""
        (run,) = self.carry_out(executor, self.run_of(self.inner_cancellation))
        assert (run.status, run.error_type) == (FAILED, "CancelledError")

    def test_a_callback_that_raises_costs_no_other_run(self, executor: BaseExecutor) -> None:
        """Whatever recording an end raises, the other runs begin, end and are reported."""
        ended = Ended()

        def done(run: Run) -> None:
            ended(run)
            if len(ended.runs) % 2:
                raise SystemExit("recording")

        runs = [self.run_of((add, add_async)[number % 2], number) for number in range(20)]
        group = self.group_of(add, add_async, add)
        for run in chain(group):
            assert run.job is not None
            run.job.args = (1,)
        executor.submit([*runs, group], done)
        self.wait(ended, 23)
        assert {run.status for run in ended.runs} == {SUCCEEDED}

    def test_a_logging_filter_that_raises_costs_only_its_lines(self, executor: BaseExecutor) -> None:
        """The outcome is written, and the worker goes on."""

        def broken(record: logging.LogRecord) -> bool:
            raise SystemExit("filter")

        executor._logger.addFilter(broken)
        try:
            runs = [
                self.run_of((fail_with, fail_async)[number % 2], ValueError, "no") for number in range(20)
            ]
            self.carry_out(executor, *runs)
        finally:
            executor._logger.removeFilter(broken)
        assert {(run.status, run.error) for run in runs} == {(FAILED, "no")}

    @pytest.mark.parametrize("func", [fail_with, fail_async])
    def test_a_traceback_begins_in_the_job_s_own_code(self, executor: BaseExecutor, func: Any) -> None:
        """Nobody has to read the executor's frames."""
        (run,) = self.carry_out(executor, self.run_of(func, ValueError, "no"))
        assert run.traceback is not None
        assert f"in {func.__name__}" in run.traceback.splitlines()[0]

    def test_a_long_group_is_carried_out_to_its_end(self, executor: BaseExecutor) -> None:
        """After a long time away a job may have to make up for more times than calls fit on a stack."""
        head = self.group_of(*[(add, add_async)[number % 2] for number in range(600)])
        runs = chain(head)
        for run in runs:
            assert run.job is not None
            run.job.args = (1,)
        assert [run.status for run in self.carry_out(executor, head)] == [SUCCEEDED] * 600
        for earlier, later in pairwise(runs):
            assert (earlier.finished_at or 0) <= (later.started_at or 0)

    def test_cancel_ends_the_rest_of_a_group_that_is_under_way(
        self, executor: BaseExecutor, tmp_path: Any
    ) -> None:
        """What has not begun when the executor is asked to stop does not begin."""
        if self.inline:
            pytest.skip("nothing is under way when submit() has returned")
        wait_for_file: Any = self.wait_for_file  # type: ignore[attr-defined]
        head = self.group_of(add, wait_for_file, wait_for_file, wait_for_file)
        runs = chain(head)
        for run in runs:
            assert run.job is not None
            run.job.args = (str(tmp_path / "never"),)
        assert head.job is not None
        head.job.args = (1,)
        ended = Ended()

        def done(run: Run) -> None:
            run.then = None  # as those who record it do
            ended(run)

        executor.submit([head], done)
        self.wait_until(lambda: runs[1].started_at, "the second run has begun")
        executor.cancel()
        self.wait(ended, 4)
        assert [run.status for run in runs[2:]] == [CANCELLED, CANCELLED]
        assert runs[2].started_at is None

    def test_a_worker_process_that_kills_itself_costs_its_own_run(self, executor: BaseExecutor) -> None:
        """Where runs are carried out in other processes, those may go."""
        if not self.pickles:
            pytest.skip("jobs share the program's process")
        runs = [self.run_of(hostile_jobs.kill_worker, os.getpid()) for _ in range(2)]
        runs.append(self.run_of(hostile_jobs.close_everything, os.getpid()))
        self.carry_out_among_others(executor, runs)
