"""What every executor must do about middleware, kind and hostile; for pytest.

Part of :class:`~rota.testing.contracts.executors.ExecutorContract`, whose fixtures it uses.
"""

from __future__ import annotations

import pytest

from ...core.states import CANCELLED, FAILED, SUCCEEDED
from ...executors.around import Calls, named_middleware
from ...schedulers.resources import Resources
from . import middleware_jobs as jobs
from .executor_jobs import Ended, add, add_async, fail_async, fail_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.run import Run
    from ...executors.base import BaseExecutor


def inside(*middleware: Any) -> Calls:
    """Return calls inside middleware, outermost first."""
    return Calls([named_middleware(around) for around in middleware])


class MiddlewareContract:
    """Each call is inside its middleware, and what that does wrong is the outcome of its own run, in words."""

    if TYPE_CHECKING:
        inline: bool
        wait_async: Any
        run_of: Callable[..., Run]
        wait: Callable[[Ended, int], list[Run]]
        wait_until: Callable[[Callable[[], object], str], None]
        carry_out: Callable[..., list[Run]]
        carry_out_among_others: Callable[..., None]

    @pytest.mark.parametrize("func", [jobs.look, jobs.look_async, jobs.look_later])
    def test_a_call_is_inside_the_middleware_outermost_first(self, executor: BaseExecutor, func: Any) -> None:
        """In the thread, task, greenlet or process that calls the job, and in its context."""
        executor.use_calls(inside(jobs.outer, jobs.inner))
        runs = self.carry_out(executor, *[self.run_of(func) for _ in range(3)])
        assert [run.error for run in runs] == [None] * 3
        assert [run.retval for run in runs] == [f"outer of {run.job_id} > inner" for run in runs]

    @pytest.mark.parametrize(
        ("func", "expected"), [(jobs.look, "plain"), (jobs.look_async, "awaited"), (jobs.look_later, "plain")]
    )
    def test_a_manager_of_both_kinds_is_awaited_for_coroutine_functions(
        self, executor: BaseExecutor, func: Any, expected: str
    ) -> None:
        """A session may be opened in the way that suits the job."""
        executor.use_calls(inside(jobs.Both))
        (run,) = self.carry_out(executor, self.run_of(func))
        assert (run.status, run.retval) == (SUCCEEDED, expected)

    def test_what_only_coroutines_can_enter_is_refused_for_plain_functions(
        self, executor: BaseExecutor
    ) -> None:
        """The record says what to do."""
        executor.use_calls(inside(jobs.only_async))
        awaited, plain = self.run_of(add_async, 1), self.run_of(add, 1)
        self.carry_out(executor, awaited, plain)
        assert (awaited.status, awaited.retval) == (SUCCEEDED, 1)
        assert (plain.status, plain.error_type) == (FAILED, "MiddlewareError")
        assert "which only a coroutine can enter" in (plain.error or "")

    @pytest.mark.parametrize("func", [fail_with, fail_async])
    def test_middleware_sees_the_error_of_the_job(self, executor: BaseExecutor, func: Any) -> None:
        """And the record has both, if it raises another."""
        executor.use_calls(inside(jobs.outer, jobs.telling))
        run, other = self.run_of(func, ValueError, "no"), self.run_of(func, KeyError, "no")
        self.carry_out(executor, run, other)
        assert (run.status, run.error_type) == (FAILED, "MiddlewareError")
        assert run.error is not None and run.error.endswith(
            "telling raised on the way out: Seen: saw no. Before that there was ValueError: no"
        )
        assert (other.status, other.error_type) == (FAILED, "KeyError")
        assert f"in {func.__name__}" in (other.traceback or "").splitlines()[0]

    @pytest.mark.parametrize("func", [add, add_async])
    def test_middleware_stops_a_call_by_raising(self, executor: BaseExecutor, func: Any) -> None:
        """The job is not called, and the record says why."""
        executor.use_calls(inside(jobs.outer, jobs.refusing))
        (run,) = self.carry_out(executor, self.run_of(func, 1))
        assert (run.status, run.error_type, run.retval) == (FAILED, "MiddlewareError", None)
        assert (run.error or "").endswith(
            "on the way in, so the job was not called: PermissionError: not today"
        )

    @pytest.mark.parametrize("func", [jobs.asked, jobs.asked_async])
    def test_hostile_middleware_costs_its_own_runs(self, executor: BaseExecutor, func: Any) -> None:
        """It raises anything anywhere, or returns what cannot be entered; the record says so in words."""
        executor.use_calls(inside(jobs.outer, jobs.hostile))
        runs = [self.run_of(func, kind) for kind in jobs.WRONGS]
        self.carry_out_among_others(executor, runs)
        for run, (kind, (_, words)) in zip(runs, jobs.WRONGS.items(), strict=True):
            assert (run.status, run.error_type) == (FAILED, "MiddlewareError"), (kind, run.error)
            assert run.error is not None and words in run.error, kind
            assert "middleware_jobs:hostile" in run.error

    @pytest.mark.parametrize("func", [jobs.fail_as_asked, jobs.fail_as_asked_async])
    def test_middleware_that_hides_the_error_of_a_job_does_not_make_it_a_success(
        self, executor: BaseExecutor, func: Any
    ) -> None:
        """A run that raised has failed."""
        executor.use_calls(inside(jobs.hostile))
        runs = [self.run_of(func, kind) for kind in jobs.WRONG_ABOUT_ERRORS]
        self.carry_out_among_others(executor, runs)
        for run, (kind, (_, words)) in zip(runs, jobs.WRONG_ABOUT_ERRORS.items(), strict=True):
            assert (run.status, run.error_type) == (FAILED, "MiddlewareError"), (kind, run.error)
            assert words in (run.error or ""), kind

    def test_a_coroutine_that_is_cancelled_inside_middleware_is_cancelled(
        self, executor: BaseExecutor
    ) -> None:
        """Also where the middleware would hide that."""
        if self.inline:
            pytest.skip("nothing is under way when submit() has returned")
        executor.use_calls(inside(jobs.outer, jobs.suppressing))
        ended = Ended()
        run = self.run_of(self.wait_async)
        executor.submit([run], ended)
        self.wait_until(lambda: run.started_at, "the run has started")
        executor.cancel()
        self.wait(ended, 1)
        assert run.status == CANCELLED, run.error

    @pytest.mark.parametrize("func", [jobs.ask, jobs.ask_async])
    def test_parameters_are_filled_with_resources(self, executor: BaseExecutor, func: Any) -> None:
        """In worker processes with their own; what has a default need not be there, and what is given is not filled."""
        resources = Resources(bool)
        resources["bot"] = "bot"
        resources.in_workers["bot"] = jobs.make_bot
        executor.use_calls(Calls(resources=resources))
        runs = [self.run_of(func, 1), self.run_of(func, 2, "given")]
        self.carry_out(executor, *runs)
        assert [run.retval for run in runs] == ["1 bot default", "2 given default"], [
            run.error for run in runs
        ]

    def test_a_resource_that_is_gone_fails_the_run_in_words(self, executor: BaseExecutor) -> None:
        """And no other run."""
        executor.use_calls(Calls([named_middleware(jobs.outer)]))
        runs = [self.run_of(jobs.ask, 1), self.run_of(jobs.ask_async, 2)]
        self.carry_out_among_others(executor, runs)
        for run in runs:
            assert (run.status, run.error_type) == (FAILED, "ResourceMissingError")
            assert (run.error or "").startswith("There is no resource 'bot' here; ")

    def test_each_start_is_told_once_before_the_run_ends_and_only_of_what_is_called(
        self, executor: BaseExecutor
    ) -> None:
        """What was cancelled before it began has not started."""
        told: list[tuple[str, bool]] = []
        executor.use_calls(Calls(started=lambda run: told.append((run.id, run.ended))))
        runs = [self.run_of((add, add_async)[number % 2], number) for number in range(6)]
        runs += [self.run_of(fail_with, ValueError, "no"), self.run_of(fail_async, ValueError, "no")]
        cancelled = self.run_of(add, 1)
        cancelled.cancel()
        self.carry_out(executor, *runs, cancelled)
        assert sorted(told) == sorted((run.id, False) for run in runs)
        assert [run.status for run in runs] == [SUCCEEDED] * 6 + [FAILED] * 2

    def test_without_middleware_a_call_is_plain_again(self, executor: BaseExecutor) -> None:
        """An executor may be given to a scheduler that has none."""
        executor.use_calls(inside(jobs.refusing))
        executor.use_calls(None)
        (run,) = self.carry_out(executor, self.run_of(jobs.look))
        assert (run.status, run.retval) == (SUCCEEDED, "unset")
