"""What a run tells of itself beyond its record: what it waits for, its limits of time, what it says, its results."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rota.clock import SECOND, moment
from rota.core import run as module
from rota.core.beats import Said
from rota.core.details import LONGEST_NOTE
from rota.core.extras import RETRY, extra_of
from rota.core.run import Run, outcome_of, said_by
from rota.core.states import CANCELLED, CLAIMED, FAILED, SUCCEEDED, TIMED_OUT, WAITING
from rota.errors import HeartbeatError, NoResultError, RunFailedError, RunNotInHandError
from rota.testing.contracts.store_jobs import START, make_job


def run_of(**values: Any) -> Any:
    run: Any = Run("job", START, START)
    for name, value in values.items():
        setattr(run, name, value)
    return run


def test_a_run_says_what_it_waits_for_and_until_when_while_it_waits() -> None:
    run = run_of()
    assert (run.waiting_for, run.not_before) == (None, None)
    extra = extra_of(run)
    assert (run.waiting_for, run.not_before) == (None, None)
    extra.waiting_for, extra.not_before = RETRY, START
    assert (run.waiting_for, run.not_before) == (None, moment(START))
    run.status = WAITING
    assert (run.waiting_for, run.not_before) == (RETRY, moment(START))


def test_what_is_kept_beside_a_run_is_read_from_its_parts() -> None:
    run = run_of()
    assert [attempt.outcome for attempt in run.attempts] == ["claimed"]
    assert (run.log, run.note, run.progress, run.last_heartbeat) == (None, None, None, None)
    run.attempt, run.owner = 2, "node"
    run.parts = {"log": "hello", "note": "half", "progress": "0.5", "beat": str(START), "attempt:1": "{}"}
    assert (run.log, run.note, run.progress, run.last_heartbeat) == ("hello", "half", 0.5, moment(START))
    assert [attempt.outcome for attempt in run.attempts] == ["died", "claimed"]


def test_the_time_of_an_attempt_is_over_when_its_job_says_so() -> None:
    assert run_of(started_at=START).timeout_at is None
    assert run_of(started_at=START, job=make_job()).timeout_at is None
    job = make_job(timeout=5)
    assert run_of(job=job).timeout_at is None
    assert run_of(job=job, started_at=START).timeout_at == moment(START + 5 * SECOND)


@pytest.mark.parametrize(
    ("status", "is_over", "past"),
    [
        (CLAIMED, None, False),
        (CLAIMED, False, False),
        (CLAIMED, True, True),
        (TIMED_OUT, None, True),
        (TIMED_OUT, False, True),
        (FAILED, None, False),
    ],
)
def test_a_run_knows_that_its_time_is_over(status: str, is_over: bool | None, past: bool) -> None:
    run = run_of(status=status)
    if is_over is not None:
        run.watch = SimpleNamespace(is_over=lambda run: is_over)
    assert run.past_timeout is past


# ---------------------------------------------------------------------------------------------------------------- words


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what runs have said."""
    found: list[Any] = []
    monkeypatch.setattr(Said, "beat", lambda said, progress, note: found.append((progress, note)))
    return found


def test_what_a_run_says_is_passed_on(said: list[Any]) -> None:
    run = run_of()
    run.heartbeat()
    run.heartbeat(0.5)
    run.heartbeat(1, "note")
    run.heartbeat(0.0)
    run.heartbeat(1.0, note="x" * LONGEST_NOTE)
    assert said == [(None, None), (0.5, None), (1.0, "note"), (0.0, None), (1.0, "x" * LONGEST_NOTE)]
    assert [type(progress) for progress, _ in said[1:]] == [float] * 4


def test_a_long_note_is_cut(said: list[Any]) -> None:
    run_of().heartbeat(note="é" * LONGEST_NOTE)
    assert said == [(None, "é" * (LONGEST_NOTE // 2))]


@pytest.mark.parametrize(
    "words", [{"progress": 1.5}, {"progress": -0.5}, {"progress": True}, {"progress": "1"}, {"note": 5}]
)
def test_what_a_run_cannot_say_is_refused(said: list[Any], words: dict[str, Any]) -> None:
    with pytest.raises(HeartbeatError):
        run_of().heartbeat(**words)
    assert said == []


def test_a_run_that_has_ended_says_nothing_more(said: list[Any]) -> None:
    run_of(status=SUCCEEDED).heartbeat(0.5)
    assert said == []


def test_what_a_run_has_said_is_kept_with_it_and_listened_to() -> None:
    run = run_of(owner="node")
    listened = []

    class Listeners:
        def listener_of(self, run: Any) -> None:
            listened.append(run)

    module.heard["node"] = listeners = Listeners()
    try:
        found = said_by(run)
    finally:
        del module.heard["node"]
    assert (said_by(run), listened, found.key) == (found, [run], ("job", START))
    module.heard[None] = listeners
    try:
        said_by(run_of(owner="other"))
    finally:
        del module.heard[None]
    assert len(listened) == 2
    assert said_by(run_of()).note is None


# -------------------------------------------------------------------------------------------------------------- results


def test_a_record_that_has_not_ended_cannot_be_waited_for() -> None:
    with pytest.raises(RunNotInHandError, match="waited for"):
        run_of().wait()
    with pytest.raises(RunNotInHandError):
        run_of(status=WAITING).result()
    assert run_of(status=SUCCEEDED).wait() is True
    assert run_of(status=SUCCEEDED, retval=7).result() == 7


def test_the_outcome_of_a_run_is_what_it_returned_or_raised() -> None:
    assert outcome_of(run_of(status=SUCCEEDED, retval=[1])) == [1]
    with pytest.raises(KeyError, match="own"):
        outcome_of(run_of(status=FAILED, exception=KeyError("own")))
    for status in (FAILED, TIMED_OUT):
        with pytest.raises(RunFailedError):
            outcome_of(run_of(status=status, error_type="ValueError", error="wrong"))
    with pytest.raises(NoResultError) as caught:
        outcome_of(run_of(status=CANCELLED))
    assert not isinstance(caught.value, RunFailedError)
