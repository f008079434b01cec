"""Once a store has taken a change, nothing that comes after it (log lines, events, waking) makes the call fail."""

from __future__ import annotations

from typing import Any

import pytest

from rota.testing import ManualScheduler


class FiveMethods:
    """A logger with the five usual methods only; each of them raises if it is to."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.lines: list[str] = []

    def _line(self, message: str, *args: object, **options: object) -> None:
        if self.fails:
            raise OSError("the log is full")
        self.lines.append(message % args)

    debug = info = warning = error = exception = _line


class LoudScheduler(ManualScheduler):
    """A scheduler whose event hook raises."""

    def _dispatch_event(self, event: Any) -> None:
        raise RuntimeError(f"no room for {event!r}")


def _change_everything(scheduler: Any) -> list[str]:
    scheduler.add_job(int, "interval", minutes=1, id="pending")
    scheduler.start()
    scheduler.add_job(int, "interval", minutes=1, id="one")
    scheduler.add_job(int, "interval", minutes=1, id="two", name="x")
    scheduler.add_jobs([{"func": int, "trigger": "interval", "minutes": 1, "id": "three"}])
    scheduler.modify_job("one", name="changed")
    scheduler.pause_job("two")
    scheduler.resume_job("two")
    scheduler.run_job("one")
    scheduler.remove_job("three")
    scheduler.pause()
    scheduler.resume()
    return [job.id for job in scheduler.get_jobs()]


@pytest.mark.parametrize("fails", [False, True])
def test_a_logger_may_have_the_five_usual_methods_only_and_may_raise(fails: bool) -> None:
    logger = FiveMethods(fails)
    scheduler = ManualScheduler(logger=logger)
    assert sorted(_change_everything(scheduler)) == ["one", "pending", "two"]
    assert scheduler._logger is logger
    assert fails or 'Added job "x" to job store "default"' in logger.lines
    scheduler.shutdown()


def test_a_logger_that_a_program_puts_in_later_is_the_one_that_is_used() -> None:
    scheduler = ManualScheduler()
    logger = scheduler._logger = FiveMethods(fails=False)
    scheduler.start()
    assert "Scheduler started" in logger.lines
    scheduler.shutdown()


def test_an_event_hook_that_raises_fails_no_call_whose_change_is_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = LoudScheduler()
    assert sorted(_change_everything(scheduler)) == ["one", "pending", "two"]
    scheduler.shutdown()
    assert "_dispatch_event() failed" in caplog.text


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_a_wake_up_that_fails_leaves_the_job_to_the_next_pass(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = ManualScheduler()
    scheduler.start()

    def fail() -> None:
        raise kind("the loop is closed")

    scheduler.wakeup = fail
    job = scheduler.add_job(int, "interval", minutes=1, id="one")
    assert scheduler.get_job("one") is job
    assert "wakeup() failed" in caplog.text
    scheduler.shutdown()
