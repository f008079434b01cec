"""What is kept beside records and jobs: attempts, progress, the last sign of life, and edits; as texts, and back."""

from __future__ import annotations

import json

import pytest

from rota.clock import FIRST_SHOWN, LAST_SHOWN, moment
from rota.core.changes import KEPT, LONGEST, Change, change_of, newest_first, text_of
from rota.core.details import (
    LONGEST_ERROR,
    LONGEST_NAME,
    LONGEST_NOTE,
    LONGEST_PART,
    NEWEST,
    Attempt,
    attempts_of,
    beat_of,
    before_another,
    cut,
    forgotten_with,
    last_attempt,
    newest,
    part_of_attempt,
    progress_of,
)
from rota.core.run import Run
from rota.core.states import CLAIMED, FAILED, SKIPPED, SUCCEEDED, WAITING
from rota.texts import shortened
from tests.present import present


def run_of(attempt: int, status: str, owner: str | None = "node") -> Run:
    run = Run("job", 0, 0)
    run.attempt, run.status, run.owner = attempt, status, owner
    run.started_at, run.finished_at = 5, 9
    run.error_type, run.error, run.traceback = "ValueError", "wrong", "frames"
    return run


def kept(*numbers: int) -> dict[str, str]:
    """Return the parts of some attempts, each of which has snoozed."""
    return dict(part_of_attempt(Attempt(number, "snoozed")) for number in numbers)


def known(run: Run, *numbers: int) -> list[tuple[int, str]]:
    return [(attempt.number, attempt.outcome) for attempt in attempts_of(run, kept(*numbers))]


# ------------------------------------------------------------------------------------------------------------ attempts


def test_an_attempt_comes_back_from_its_part() -> None:
    attempt = Attempt(3, "failed", "node")
    attempt.started_at, attempt.finished_at = 0, 1_000_000
    attempt.error_type, attempt.error, attempt.traceback = "ValueError", "größer", "frames"
    name, text = part_of_attempt(attempt)
    assert name == "attempt:3"
    assert "größer" in text
    assert "number" not in json.loads(text)
    (found,) = attempts_of(run_of(4, WAITING), {name: text})
    assert found.to_dict() == {
        "attempt": 3,
        "outcome": "failed",
        "node": "node",
        "started": "1970-01-01T00:00:00+00:00",
        "finished": "1970-01-01T00:00:01+00:00",
        "error_type": "ValueError",
        "error": "größer",
        "traceback": "frames",
    }
    assert repr(found) == "<Attempt 3 failed>"


def test_what_an_attempt_does_not_have_is_not_kept() -> None:
    assert part_of_attempt(Attempt(1, "given back")) == ("attempt:1", '{"outcome":"given back"}')
    assert Attempt(1, "given back").to_dict()["started"] is None


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 5000, '{"outcome": 5, "started_at": "x"}'])
def test_a_damaged_attempt_is_there_and_has_died(text: str) -> None:
    (found,) = attempts_of(run_of(2, WAITING), {"attempt:1": text})
    assert (found.number, found.outcome, found.started_at) == (1, "died", None)


@pytest.mark.parametrize("name", ["attempt:", "attempt:x", "attempt:²", "attempt:-1", "1", "note"])
def test_other_parts_are_no_attempts(name: str) -> None:
    assert attempts_of(run_of(2, WAITING), {name: "{}"}) == []


def test_the_last_attempt_is_what_its_record_says() -> None:
    assert known(run_of(2, FAILED), 1, 2, 3) == [(1, "snoozed"), (2, "failed")]
    assert known(run_of(1, CLAIMED)) == [(1, "claimed")]
    assert known(run_of(0, SKIPPED)) == []


def test_of_a_run_that_waits_or_has_ended_meanwhile_all_attempts_are_kept() -> None:
    assert known(run_of(2, WAITING), 1, 2, 3) == [(1, "snoozed"), (2, "snoozed")]
    assert known(run_of(2, WAITING)) == []
    assert known(run_of(2, FAILED, owner=None), 1, 2) == [(1, "snoozed"), (2, "snoozed")]
    assert known(run_of(2, FAILED, owner=None), 1) == [(1, "snoozed"), (2, "failed")]


def test_the_attempt_of_a_record_has_its_times_and_its_error_unless_it_succeeded() -> None:
    attempt = last_attempt(run_of(1, FAILED))
    assert (attempt.node, attempt.started_at, attempt.finished_at) == ("node", 5, 9)
    assert (attempt.error_type, attempt.error, attempt.traceback) == ("ValueError", "wrong", "frames")
    for status in (SUCCEEDED, CLAIMED):
        attempt = last_attempt(run_of(1, status))
        assert (attempt.error_type, attempt.error, attempt.traceback) == (None, None, None)
    run = run_of(1, FAILED)
    run.error = None
    assert last_attempt(run).error is None
    run.error = "x" * 5000
    assert last_attempt(run).error == shortened("x" * 5000, 2048)


def test_the_first_attempt_and_the_nine_newest_are_kept() -> None:
    assert [forgotten_with(number) for number in (1, 9, 10)] == [{}, {}, {}]
    assert forgotten_with(11) == {"attempt:2": None}
    assert forgotten_with(20) == {"attempt:11": None}


def test_only_the_first_attempt_keeps_its_traceback_when_another_one_follows() -> None:
    for number, left in ((1, "frames"), (2, None)):
        attempt = Attempt(number, "failed")
        attempt.traceback = "frames"
        assert before_another(attempt) is attempt
        assert attempt.traceback == left
    attempt = Attempt(1, "failed")
    assert before_another(attempt).traceback is None
    attempt.traceback = "x" * LONGEST_PART
    assert before_another(attempt).traceback == shortened("x" * 65_536, 8 * 1024)


# ------------------------------------------------------------------------------------------------- what runs have said


@pytest.mark.parametrize(
    ("text", "progress"),
    [("0", 0), ("1", 1), ("0.5", 0.5), ("-0.1", None), ("1.1", None), ("nan", None), ("x", None), (None, None)],
)  # fmt: skip
def test_a_progress_is_from_0_to_1(text: str | None, progress: float | None) -> None:
    assert progress_of({"progress": text}) == progress  # type: ignore[dict-item]
    assert progress_of({}) is None


def test_the_last_sign_of_life_is_an_instant_that_can_be_shown() -> None:
    for at in (FIRST_SHOWN, 5, LAST_SHOWN):
        assert beat_of({"beat": str(at)}) == at
    for at in (FIRST_SHOWN - 1, LAST_SHOWN + 1):
        assert beat_of({"beat": str(at)}) is None
    assert beat_of({"beat": "x"}) is None
    assert beat_of({}) is None


def test_texts_are_cut_at_whole_characters() -> None:
    assert (cut("aé", 2), cut("aé", 3), cut("\ud800", 5)) == ("a", "aé", "?")
    assert (newest("éa", 2), newest("éa", 3), newest("éa", 1), newest("éa", 0)) == ("a", "éa", "a", "")
    assert newest("éa", -1) == ""


# --------------------------------------------------------------------------------------------------------------- edits


def test_an_edit_comes_back_from_its_text() -> None:
    change = Change(3, 1_000_000, "größer", "name")
    assert text_of(change) == '[3,1000000,"größer","name"]'
    found = present(change_of(text_of(change)))
    assert found == change
    assert found.to_dict() == {
        "revision": 3, "at": moment(1_000_000).isoformat(), "who": "größer", "what": "name",
    }  # fmt: skip
    assert repr(found) == "<Change 3 by größer: name>"
    assert found != Change(4, 1_000_000, "größer", "name")
    assert found != 3


@pytest.mark.parametrize("text", ["", "[]", "5", "{}", '[1, 2, "x"]', '["1", 2, "x", "y"]', "[" * 5000])
def test_a_damaged_edit_is_none(text: str) -> None:
    assert change_of(text) is None


def test_the_twenty_last_edits_are_told_newest_first() -> None:
    edits = [Change(number, 0, "me", "name") for number in range(30)]
    found = newest_first([None, *edits[15:], None, *edits[:15]])
    assert [change.revision for change in found] == list(range(29, 9, -1))


def test_the_texts_of_an_edit_are_short() -> None:
    change = Change(1, 0, "w" * 1000, "x" * 1000)
    assert (change.who, change.what) == (shortened("w" * 1000, 500), shortened("x" * 1000, 500))
    assert (KEPT, LONGEST) == (20, 500)


def test_what_is_kept_beside_a_run_is_bounded() -> None:
    assert (LONGEST_NAME, LONGEST_PART) == (32, 65_536)
    assert (LONGEST_NOTE, LONGEST_ERROR, NEWEST) == (1024, 2048, 9)
