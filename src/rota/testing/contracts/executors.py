"""What every executor must do, one sentence for each invariant; for pytest.

Knows the port only, no scheduler. Derive from :class:`ExecutorContract` and give the fixture ``make``::

    class TestMyExecutor(ExecutorContract):
        @pytest.fixture
        def make(self):
            def make():
                executor = MyExecutor()
                executor.start(None, "default")
                return executor

            return make
"""

from __future__ import annotations

import threading
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import sleep

import pytest

from ...clock import SECOND, SYSTEM_CLOCK
from ...core.run import Run
from ...core.states import CANCELLED, FAILED, MISSED, SUCCEEDED
from ...errors import MaxInstancesReachedError, NoCurrentRunError
from ...executors.steps import chain, current_run
from .executor_jobs import (
    PATIENCE,
    Ended,
    add,
    add_async,
    fail_async,
    fail_with,
    look_and_set,
    look_and_set_async,
    make_job,
    nap_async,
    setting,
    stamp,
    wait_async,
    wait_for_file,
    who_am_i,
    who_am_i_async,
)
from .hostile import HostileJobsContract
from .middleware import MiddlewareContract
from .permission import PermissionContract
from .saying import SayingContract
from .timing import TimingContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ...executors.base import BaseExecutor


class ExecutorContract(
    HostileJobsContract, MiddlewareContract, PermissionContract, SayingContract, TimingContract
):
    """The invariants of :class:`~rota.executors.base.BaseExecutor`."""

    #: whether submit() carries the runs out before it returns
    inline = False
    #: whether runs are carried out in other processes
    pickles = False
    #: a function that blocks like :func:`wait_for_file`, in a way that suits the executor
    wait_for_file: Any = staticmethod(wait_for_file)
    #: a coroutine function that waits for long, in a way that suits the executor
    wait_async: Any = staticmethod(wait_async)
    #: a coroutine function that waits for a moment
    nap_async: Any = staticmethod(nap_async)

    @pytest.fixture
    def make(self) -> Callable[[], BaseExecutor]:
        """Return a function that makes a started executor."""
        raise NotImplementedError("give the fixture `make`")

    @pytest.fixture
    def executor(self, make: Callable[[], BaseExecutor]) -> Iterator[BaseExecutor]:
        """Make one executor for a test, and end it."""
        executor = make()
        yield executor
        executor.cancel()
        executor.shutdown()

    def restart(self, executor: BaseExecutor) -> None:
        """Start an executor again after its shutdown; override it if it needs a scheduler for that."""
        executor.start(None, "default")

    def wait(self, ended: Ended, count: int) -> list[Run]:
        """Wait until so many runs have ended; override it if the test's own thread drives the executor."""
        assert ended.wait(count, PATIENCE), f"only {ended.count()} of {count} runs have ended"
        return ended.runs

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        until = SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND
        while not condition():
            assert SYSTEM_CLOCK.monotonic() < until, f"waited in vain until {what}"
            self.pause(0.005)

    def pause(self, seconds: float) -> None:
        """Let time pass; override it if the test's own thread drives the executor."""
        sleep(seconds)

    # -- helpers -------------------------------------------------------------------------------------------------

    _number = 0

    def run_of(self, func: Callable[..., Any], *args: Any, **options: Any) -> Run:
        """Return a claimed run of a job that calls ``func`` with ``args``."""
        ExecutorContract._number += 1
        job = make_job(f"job-{self._number}", func, args, options)
        nominal = SYSTEM_CLOCK.now() - self._number
        run = Run(job.id, nominal, nominal, job, "default")
        run.owner = "node"
        return run

    def group_of(self, *funcs: Any) -> Run:
        """Return the head of a group; each member calls one of the functions."""
        runs = [self.run_of(func) for func in funcs]
        for run, following in pairwise(runs):
            run.then = following
        return runs[0]

    def carry_out(self, executor: BaseExecutor, *heads: Run) -> list[Run]:
        """Submit runs and wait until all have ended."""
        ended = Ended()
        count = sum(len(chain(head)) for head in heads)
        executor.submit(heads, ended)
        return self.wait(ended, count)

    # -- how a run ends ------------------------------------------------------------------------------------------

    def test_every_submitted_run_ends_exactly_once(self, executor: BaseExecutor) -> None:
        """No run is forgotten, none is reported twice."""
        runs = [self.run_of(add if number % 3 else fail_with, *_arguments(number)) for number in range(100)]
        runs += [self.run_of(add_async, number) for number in range(50)]
        ended = Ended()
        executor.submit(runs[:75], ended)
        executor.submit(runs[75:], ended)
        self.wait(ended, len(runs))
        executor.shutdown()
        assert sorted(run.id for run in ended.runs) == sorted(run.id for run in runs)
        assert all(run.ended for run in runs)

    def test_a_run_that_returns_has_succeeded_with_its_value(self, executor: BaseExecutor) -> None:
        """The record of a run tells what it returned and when it ran."""
        before = SYSTEM_CLOCK.now()
        (run,) = self.carry_out(executor, self.run_of(add, 2, 3))
        assert (run.status, run.retval, run.exception) == (SUCCEEDED, 5, None)
        assert run.started_at is not None and run.finished_at is not None
        assert before <= run.started_at <= run.finished_at <= SYSTEM_CLOCK.now()

    def test_an_exception_is_a_failed_run_with_its_traceback(self, executor: BaseExecutor) -> None:
        """A job's exception ends in its record."""
        (run,) = self.carry_out(executor, self.run_of(fail_with, ValueError, "no such thing"))
        assert (run.status, run.error_type, run.error) == (FAILED, "ValueError", "no such thing")
        assert isinstance(run.exception, ValueError)
        assert run.traceback is not None and "fail_with" in run.traceback

    @pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt, GeneratorExit])
    @pytest.mark.parametrize("func", [fail_with, fail_async])
    def test_not_even_a_base_exception_of_a_job_goes_further(
        self, executor: BaseExecutor, exception: type[BaseException], func: Any
    ) -> None:
        """A job that raises SystemExit has failed; the executor goes on."""
        (run,) = self.carry_out(executor, self.run_of(func, exception, "out"))
        assert (run.status, run.error_type) == (FAILED, exception.__name__)
        (run,) = self.carry_out(executor, self.run_of(add, 1))
        assert run.status == SUCCEEDED

    # -- coroutines ----------------------------------------------------------------------------------------------

    def test_an_async_function_is_awaited(self, executor: BaseExecutor) -> None:
        """``async def`` jobs run, whatever the executor."""
        (run,) = self.carry_out(executor, self.run_of(add_async, 2, 3))
        assert (run.status, run.retval) == (SUCCEEDED, 5)

    def test_an_exception_in_an_async_function_is_a_failed_run(self, executor: BaseExecutor) -> None:
        """A coroutine's exception ends in its record, too."""
        (run,) = self.carry_out(executor, self.run_of(fail_async, ValueError, "no such thing"))
        assert (run.status, run.error_type, run.error) == (FAILED, "ValueError", "no such thing")
        assert run.traceback is not None and "fail_async" in run.traceback

    def test_a_partial_of_an_async_function_is_awaited(self, executor: BaseExecutor) -> None:
        """What wraps a coroutine function counts as one."""
        (run,) = self.carry_out(executor, self.run_of(partial(add_async, 2), 3))
        assert (run.status, run.retval) == (SUCCEEDED, 5)

    def test_a_coroutine_from_a_plain_function_is_awaited(self, executor: BaseExecutor) -> None:
        """What only its call shows to be a coroutine is awaited as well."""
        (run,) = self.carry_out(executor, self.run_of(_return_coroutine, 2, 3))
        assert (run.status, run.retval) == (SUCCEEDED, 5)

    # -- groups --------------------------------------------------------------------------------------------------

    def test_a_group_runs_in_order_and_never_overlaps_itself(self, executor: BaseExecutor) -> None:
        """Missed times that are not coalesced are carried out one after another."""
        groups = [self.group_of(stamp, stamp, stamp, stamp) for _ in range(3)]
        self.carry_out(executor, *groups)
        for head in groups:
            times = [run.retval for run in chain(head)]
            assert all(earlier[1] <= later[0] for earlier, later in pairwise(times)), times

    @pytest.mark.parametrize("broken", [fail_with, fail_async])
    def test_a_failure_does_not_end_its_group(self, executor: BaseExecutor, broken: Any) -> None:
        """Each member of a group has an outcome of its own."""
        head = self.group_of(
            add, partial(broken, ValueError, "no"), partial(add_async, 1), partial(add, 1), add
        )
        for run in chain(head):
            if run.job is not None and run.job.func is add:
                run.job.args = (1,)
        expected = [SUCCEEDED, FAILED, SUCCEEDED, SUCCEEDED, SUCCEEDED]
        # The callback may take a run apart, so the order is told by what it was given.
        assert [run.status for run in self.carry_out(executor, head)] == expected
        assert [run.status for run in chain(head)] == expected

    # -- what a job sees -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("func", [who_am_i, who_am_i_async])
    def test_a_job_knows_its_own_run(self, executor: BaseExecutor, func: Any) -> None:
        """current_run() works in plain functions, coroutines and worker processes."""
        runs = [self.run_of(func) for _ in range(5)]
        for run in self.carry_out(executor, *runs):
            assert run.retval == (run.id, run.nominal, "default"), run.error
        with pytest.raises(NoCurrentRunError):
            current_run()

    @pytest.mark.parametrize("func", [look_and_set, look_and_set_async])
    def test_a_run_has_an_empty_context_of_its_own(self, make: Callable[[], BaseExecutor], func: Any) -> None:
        """A job sees no context variable of whoever started the executor or submits to it, and none of other runs."""
        token = setting.set("set by the program")
        try:
            executor = make()
            runs = self.carry_out(executor, self.run_of(func), self.run_of(func))
            runs += self.carry_out(executor, self.run_of(func))
            assert setting.get() == "set by the program"
        finally:
            setting.reset(token)
        executor.shutdown()
        assert [run.retval for run in runs] == ["unset"] * 3

    # -- what is not started -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("func", [add, add_async])
    def test_a_run_that_is_cancelled_before_it_starts_is_not_started(
        self, executor: BaseExecutor, func: Any
    ) -> None:
        """A cancelled run ends as that."""
        run = self.run_of(func, 1)
        run.cancel()
        self.carry_out(executor, run)
        assert (run.status, run.started_at, run.retval) == (CANCELLED, None, None)

    @pytest.mark.parametrize("kind", ["plain", "async"])
    def test_a_run_that_is_asked_to_stop_behind_others_of_its_group_is_never_called(
        self, executor: BaseExecutor, tmp_path: Path, kind: str
    ) -> None:
        """Its end may be recorded before its turn comes (``skips_cancelled``); the others of its group go on."""
        if self.inline or not executor.skips_cancelled:
            pytest.skip("nothing waits, or it is asked in vain")
        if kind == "plain":
            group = self.group_of(partial(self.wait_for_file, str(tmp_path / "go")), partial(add, 1), stamp)
        else:
            group = self.group_of(self.nap_async, partial(add_async, 1), self.nap_async)
        (first, asked, last), ended = chain(group), Ended()
        asked.cancelled = True
        executor.submit([group], ended)
        executor.cancel_run(asked)
        (tmp_path / "go").touch()
        self.wait(ended, 3)
        assert ended.runs == [first, asked, last]
        assert [run.status for run in ended.runs] == [SUCCEEDED, CANCELLED, SUCCEEDED]
        assert (asked.started_at, asked.retval) == (None, None)

    @pytest.mark.parametrize("func", [add, add_async])
    def test_a_run_that_has_waited_too_long_is_not_started(self, executor: BaseExecutor, func: Any) -> None:
        """``expires`` is looked at when the run would begin."""
        run = self.run_of(func, 1, expires=5)
        run.due -= 6 * SECOND
        self.carry_out(executor, run)
        assert (run.status, run.reason, run.started_at) == (MISSED, "expired", None)

    # -- cancelling, ending, beginning again ---------------------------------------------------------------------

    def test_cancel_ends_everything(self, executor: BaseExecutor, tmp_path: Path) -> None:
        """What runs is asked to stop, what waits does not start, and each run has its one end."""
        if self.inline:
            pytest.skip("nothing is under way when submit() has returned")
        ended = Ended()
        plain = [self.run_of(self.wait_for_file, str(tmp_path / "never")) for _ in range(15)]
        coroutines = [self.run_of(self.wait_async) for _ in range(3)]
        group = self.group_of(*[partial(self.wait_for_file, str(tmp_path / "never"))] * 3)
        runs = [*plain, *coroutines, *chain(group)]
        executor.submit([*plain, *coroutines, group], ended)
        self.wait_until(lambda: any(run.started_at for run in plain), "a run has started")
        executor.cancel()
        self.wait(ended, len(runs))
        executor.shutdown()
        assert sorted(run.id for run in ended.runs) == sorted(run.id for run in runs)
        for run in runs:
            # One that notices the flag by itself ends as it likes.
            assert run.status == CANCELLED or run.retval == "cancelled", (run, run.reason, run.error)

    def test_one_run_is_asked_to_stop_and_another_one_goes_on(
        self, executor: BaseExecutor, tmp_path: Path
    ) -> None:
        """A plain function sees the flag, wherever it runs."""
        if self.inline:
            pytest.skip("nothing is under way when submit() has returned")
        ended, gate = Ended(), tmp_path / "gate"
        asked, other = runs = [self.run_of(self.wait_for_file, str(gate)) for _ in range(2)]
        executor.submit(runs, ended)
        self.wait_until(lambda: asked.started_at and other.started_at, "both have started")
        asked.cancelled = True
        executor.cancel_run(asked)
        self.wait(ended, 1)
        assert (ended.runs, asked.status == CANCELLED or asked.retval == "cancelled") == ([asked], True)
        gate.touch()
        self.wait(ended, 2)
        assert other.retval == "found"

    def test_a_coroutine_that_is_asked_to_stop_is_cancelled(self, executor: BaseExecutor) -> None:
        """Wherever it runs."""
        if self.inline:
            pytest.skip("nothing is under way when submit() has returned")
        ended, run = Ended(), self.run_of(self.wait_async)
        executor.submit([run], ended)
        self.wait_until(lambda: run.started_at, "it has started")
        self.pause(0.05)
        run.cancelled = True
        executor.cancel_run(run)
        self.wait(ended, 1)
        assert (run.status, run.retval) == (CANCELLED, None)

    def test_cancel_ends_a_group_of_coroutines(self, executor: BaseExecutor) -> None:
        """What comes after the one under way does not start."""
        if self.inline:
            pytest.skip("nothing is under way when submit() has returned")
        ended = Ended()
        group = self.group_of(*[self.wait_async] * 3)
        executor.submit([group], ended)
        self.wait_until(lambda: group.started_at, "the first run has started")
        executor.cancel()
        self.wait(ended, 3)
        assert [run.status for run in ended.runs] == [CANCELLED] * 3

    def test_shutdown_waits_for_what_was_handed_over(self, executor: BaseExecutor) -> None:
        """No run is cut off by a shutdown that waits."""
        ended = Ended()
        runs = [self.run_of(stamp, 0.02) for _ in range(15)] + [
            self.run_of(self.nap_async) for _ in range(15)
        ]
        executor.submit(runs, ended)
        executor.shutdown(wait=True)
        assert [run.status for run in ended.runs] == [SUCCEEDED] * len(runs)

    def test_it_can_be_started_again_after_a_shutdown(self, executor: BaseExecutor) -> None:
        """Executors are restartable."""
        for _ in range(3):
            runs = self.carry_out(executor, self.run_of(add, 1), self.run_of(add_async, 1))
            assert [run.status for run in runs] == [SUCCEEDED, SUCCEEDED]
            executor.shutdown()
            self.restart(executor)

    def test_shutdown_of_an_executor_that_did_nothing(self, make: Callable[[], BaseExecutor]) -> None:
        """It needs no runs to end, and ending twice is nothing special."""
        executor = make()
        executor.shutdown()
        executor.shutdown(wait=False)

    def test_a_shutdown_that_does_not_wait_leaves_no_thread_behind(
        self, make: Callable[[], BaseExecutor]
    ) -> None:
        """What a scheduler has started ends with its last run, also where nobody waits for that."""
        before = set(threading.enumerate())
        executor, ended = make(), Ended()
        runs = [self.run_of(add, 1), self.run_of(self.nap_async)]
        executor.submit(runs, ended)
        executor.shutdown(wait=False)
        self.wait(ended, len(runs))
        self.wait_until(lambda: set(threading.enumerate()) <= before, "its threads have ended")

    # -- being asked ---------------------------------------------------------------------------------------------

    def test_submit_does_not_wait(self, executor: BaseExecutor, tmp_path: Path) -> None:
        """The engine goes on while jobs run."""
        if self.inline:
            pytest.skip("this executor is inline")
        ended = Ended()
        gate = tmp_path / "gate"
        runs = [self.run_of(self.wait_for_file, str(gate)) for _ in range(30)]
        executor.submit(runs, ended)
        assert not ended.runs
        gate.touch()
        assert {run.retval for run in self.wait(ended, 30)} == {"found"}

    def test_runs_may_be_submitted_from_several_threads(self, executor: BaseExecutor) -> None:
        """submit() is thread-safe."""
        ended = Ended()
        funcs = (add, add_async)
        batches = [[self.run_of(funcs[number % 2], number) for number in range(10)] for _ in range(5)]
        threads = [threading.Thread(target=executor.submit, args=(batch, ended)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.wait(ended, 50)
        assert sorted(run.id for run in ended.runs) == sorted(run.id for batch in batches for run in batch)

    @pytest.mark.parametrize("func", [add, add_async])
    def test_the_callback_may_submit_more_runs(self, executor: BaseExecutor, func: Any) -> None:
        """A completion that frees room may hand out the next run at once."""
        ended = Ended()
        more = [self.run_of(func, number) for number in range(20)]

        def done(run: Run) -> None:
            if more:
                executor.submit([more.pop()], done)
            executor.capacity()
            ended(run)

        executor.submit([self.run_of(func, 0)], done)
        assert len(self.wait(ended, 21)) == 21

    def test_an_idle_executor_has_room(self, executor: BaseExecutor) -> None:
        """capacity() is positive before, and after, the work."""
        assert executor.capacity() > 0
        self.carry_out(executor, *[self.run_of(add, 1) for _ in range(20)])
        self.wait_until(lambda: executor.capacity() > 0 and executor.worth_a_pass(), "there is room again")

    def test_a_group_leaves_room_for_the_runs_of_other_jobs(
        self, executor: BaseExecutor, tmp_path: Path
    ) -> None:
        """It keeps one worker busy, however many runs it has."""
        if self.inline:
            pytest.skip("nothing is under way when submit() has returned")
        ended = Ended()
        first = last = self.run_of(self.wait_for_file, str(tmp_path / "go"))
        for number in range(200):
            last.then = self.run_of(add, number)
            last = last.then
        executor.submit([first], ended)
        self.wait_until(lambda: executor.capacity() > 0 and executor.worth_a_pass(), "there is room")
        executor.submit([self.run_of(add, 1)], ended)
        assert len(self.wait(ended, 1)) == 1
        (tmp_path / "go").touch()
        self.wait(ended, 202)

    # -- APScheduler's interface ---------------------------------------------------------------------------------

    def test_submit_job_executes_a_job_without_a_ledger(self, make: Callable[[], BaseExecutor]) -> None:
        """Programs that call submit_job() get their events."""
        executor = make()
        events: list[Any] = []
        scheduler = executor._scheduler
        executor._scheduler = _Dispatcher(events)
        run = self.run_of(add, 2, 3)
        assert run.job is not None
        executor.submit_job(run.job, [run.scheduled_run_time])
        self.wait_until(lambda: events, "the event has come")
        executor._scheduler = scheduler
        executor.shutdown()
        assert [(event.job_id, event.retval) for event in events] == [(run.job_id, 5)]
        assert events[0].scheduled_run_time == run.scheduled_run_time

    def test_submit_job_holds_the_limit_of_instances(self, executor: BaseExecutor, tmp_path: Path) -> None:
        """submit_job() raises where APScheduler's does."""
        if self.inline:
            pytest.skip("nothing is under way when submit_job() has returned")
        executor._scheduler = _Dispatcher([])
        run = self.run_of(self.wait_for_file, str(tmp_path / "gate"))
        assert run.job is not None
        executor.submit_job(run.job, [run.scheduled_run_time])
        with pytest.raises(MaxInstancesReachedError):
            executor.submit_job(run.job, [run.scheduled_run_time])
        (tmp_path / "gate").touch()
        self.wait_until(lambda: not executor._instances, "the job has ended")


class _Dispatcher:
    def __init__(self, events: list[Any]) -> None:
        self._dispatch_event = events.append


def _return_coroutine(left: int, right: int) -> Any:
    return add_async(left, right)


def _arguments(number: int) -> tuple[Any, ...]:
    return (number,) if number % 3 else (ValueError, str(number))
