"""What every executor must do with what runs say of themselves, and log, kind and hostile; for pytest.

Part of :class:`~rota.testing.contracts.executors.ExecutorContract`, whose fixtures it uses.
"""

from __future__ import annotations

import pytest

from ...clock import SYSTEM_CLOCK
from ...core.details import LONGEST_NOTE
from ...core.run import heard
from ...core.states import FAILED, SUCCEEDED
from ...executors.kept_logs import keep_logs
from . import saying_jobs as jobs
from .executor_jobs import add, add_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ...core.beats import Log, Said
    from ...core.run import Run
    from ...executors.base import BaseExecutor


class Listener:
    """Takes what runs say, as the engine does."""

    monotonic = SYSTEM_CLOCK.monotonic

    def __init__(self) -> None:
        self.told: list[Said] = []

    def listener_of(self, run: Run) -> Listener:
        """Return who listens to a run."""
        return self

    def claimed(self, run: Run) -> Run:
        """Return the run that was claimed."""
        return run

    def add(self, said: Said) -> None:
        """Take note that a run has said something new."""
        self.told.append(said)


class SayingContract:
    """What a job says and logs comes to its run, whole or cut, and nothing else suffers."""

    if TYPE_CHECKING:
        pickles: bool
        run_of: Callable[..., Run]
        carry_out: Callable[..., list[Run]]

    @pytest.fixture
    def listener(self) -> Iterator[Listener]:
        """Listen to the runs of the tests."""
        listener = heard["node"] = Listener()
        yield listener
        del heard["node"]

    def log_of(self, executor: BaseExecutor, func: Any, *args: Any, keep_log: int = 1000) -> tuple[Run, str]:
        """Carry a run out whose log is kept; return it and its log."""
        keep_logs()
        run = self.run_of(func, *args, keep_log=keep_log)
        self.carry_out(executor, run)
        said = getattr(run, "said", None)
        return run, "" if said is None or said.log is None else said.log.text()

    @pytest.mark.parametrize("func", [jobs.advance, jobs.advance_async])
    def test_a_run_has_what_its_job_said_last(
        self, executor: BaseExecutor, listener: Listener, func: Any
    ) -> None:
        """From a function or a coroutine, wherever it is called."""
        runs = [self.run_of(func, "first", f"page {number}") for number in range(3)]
        self.carry_out(executor, *runs)
        assert [run.status for run in runs] == [SUCCEEDED] * 3
        assert [(run.said.progress, run.said.note) for run in runs] == [
            (1.0, f"page {number}") for number in range(3)
        ]
        assert all(run.said.beat_at is not None for run in runs)
        assert {said.key for said in listener.told} == {(run.job_id, run.nominal) for run in runs}

    def test_what_is_not_said_again_stays(self, executor: BaseExecutor, listener: Listener) -> None:
        """A note leaves the progress, and a beat both."""
        (run,) = self.carry_out(executor, self.run_of(jobs.say_twice))
        assert (run.said.progress, run.said.note) == (1.0, "nearly done")

    def test_threads_of_a_job_may_say_something(self, executor: BaseExecutor, listener: Listener) -> None:
        """With the run in their hands, or in their context."""
        (run,) = self.carry_out(executor, self.run_of(jobs.say_from_threads))
        assert (run.status, run.said.progress, run.said.note) == (SUCCEEDED, 0.5, "from a thread")

    def test_a_run_that_says_nothing_costs_nothing(self, executor: BaseExecutor, listener: Listener) -> None:
        """Nothing is made for it, and nobody is told."""
        runs = [self.run_of(add, 1), self.run_of(add_async, 1), self.run_of(jobs.log_some, "a")]
        self.carry_out(executor, *runs)
        assert not any(hasattr(run, "said") for run in runs)
        assert listener.told == []

    def test_wrong_values_are_refused_in_the_job(self, executor: BaseExecutor, listener: Listener) -> None:
        """With what is wrong and what is right; what came before stays."""
        (run,) = self.carry_out(executor, self.run_of(jobs.say_wrong))
        assert run.status == SUCCEEDED, run.error
        assert len(run.retval) == len(jobs.NO_PROGRESS) + len(jobs.NO_NOTE) + 2
        assert run.retval[0] == (
            "progress must be a number from 0 to 1, got 7; divide what is done by what there is to do"
        )
        assert "note must be a text, got 3; write note=str(…) for int" in run.retval
        assert max(map(len, run.retval)) < 250
        assert (run.said.progress, run.said.note) == (0.25, "right")

    def test_a_tight_loop_tells_its_listener_once(self, executor: BaseExecutor, listener: Listener) -> None:
        """Until that has taken what is new."""
        (run,) = self.carry_out(executor, self.run_of(jobs.say_much, 100_000))
        assert (run.said.progress, run.said.note) == (1.0, "done")
        assert len(listener.told) == 1

    def test_a_note_of_a_megabyte_is_cut(self, executor: BaseExecutor, listener: Listener) -> None:
        """At a character."""
        (run,) = self.carry_out(executor, self.run_of(jobs.say_long))
        assert run.said.parts(lambda _: 0)["note"] == "ü" * (LONGEST_NOTE // 2)

    def test_what_no_file_takes_can_be_said_and_logged(
        self, executor: BaseExecutor, listener: Listener
    ) -> None:
        """It is shown in another way."""
        run, log = self.log_of(executor, jobs.say_strange)
        assert run.status == SUCCEEDED
        note = run.said.parts(lambda _: 0)["note"]
        assert (note[0], note[-1]) == ("a", "c") and note.isascii()
        assert log.endswith("a\\0b\\ud800c\n")

    @pytest.mark.parametrize("func", [jobs.log_some, jobs.log_async])
    def test_what_a_job_logs_is_kept(self, executor: BaseExecutor, listener: Listener, func: Any) -> None:
        """With time, level and logger, from the levels that are logged; each run has its own."""
        other = self.run_of(func, "other", keep_log=100)
        keep_logs()
        run = self.run_of(func, "first", "second", keep_log=1000)
        self.carry_out(executor, run, other)
        lines = _log_of(run).text().splitlines()
        assert [line.split(" ", 2)[2] for line in lines] == [
            "INFO tests.saying: got first",
            "INFO tests.saying: got second",
        ]
        assert _log_of(other).text().endswith("got other\n")
        assert listener.told == []

    def test_a_run_that_fails_keeps_its_log(self, executor: BaseExecutor, listener: Listener) -> None:
        """With the tracebacks that it logged itself, and without what others log about it."""
        run, log = self.log_of(executor, jobs.log_and_fail, keep_log=10_000)
        assert (run.status, run.error) == (FAILED, "outer")
        assert "ERROR tests.saying: caught\nTraceback (most recent call last):\n" in log
        assert log.endswith("KeyError: 'inner'\n")

    def test_what_cannot_be_shown_does_not_end_a_log(
        self, executor: BaseExecutor, listener: Listener
    ) -> None:
        """The handlers of the program have trouble of their own with it."""
        run, log = self.log_of(executor, jobs.log_wrong, keep_log=10_000)
        assert run.status == SUCCEEDED, run.error
        lines = [line.split(": ", 1)[1] for line in log.splitlines()]
        assert lines[0] == "wrong: %s <its arguments cannot be shown: RuntimeError>"
        assert lines[1] == "%d of %d <its arguments cannot be shown: TypeError>"
        assert lines[2:] == ["talks: talkative", "after that"]

    def test_of_a_long_log_the_end_is_kept(self, executor: BaseExecutor, listener: Listener) -> None:
        """In as much memory as is kept, about."""
        run, log = self.log_of(executor, jobs.log_much, 1_000_000, 200, keep_log=5000)
        assert run.status == SUCCEEDED
        assert len(log) == 5000
        assert log.startswith("x") and log.endswith("the last word\n")
        assert _log_of(run).size <= 25_000

    def test_threads_log_to_a_run_with_its_context(self, executor: BaseExecutor, listener: Listener) -> None:
        """What has another context belongs to no run."""
        _, log = self.log_of(executor, jobs.log_from_threads)
        assert [line.rsplit(" ", 1)[1] for line in log.splitlines()] == ["with"]

    def test_what_is_printed_is_kept_where_the_output_is_its_own(
        self, executor: BaseExecutor, listener: Listener
    ) -> None:
        """In a worker process; elsewhere nobody knows who has printed it."""
        _, log = self.log_of(executor, jobs.print_some, "one", "two")
        assert log == ("one\ntwo\nof lines\n" if self.pickles else "")
        if self.pickles:
            _, log = self.log_of(executor, jobs.replace_output)
            assert log == "kept\n"


def _log_of(run: Run) -> Log:
    assert run.said.log is not None
    return run.said.log
