"""What a run says of itself, in memory: the newest of it, who is told, what a store keeps of it, and its log."""

from __future__ import annotations

import pytest

from rota.core import beats
from rota.core.beats import Log, Said, begun, checked_note, checked_progress
from rota.core.details import BEAT, LOG, LONGEST_NOTE, NOTE, PROGRESS
from rota.core.run import Run
from rota.core.timeouts import MARK
from rota.errors import HeartbeatError
from tests.present import present


class Listener:
    """Keeps who has said something new."""

    def __init__(self) -> None:
        self.now = 7
        self.told: list[Said] = []
        self.claims: dict[int, Run] = {}

    def monotonic(self) -> int:
        return self.now

    def add(self, said: Said) -> None:
        self.told.append(said)

    def claimed(self, run: Run) -> Run:
        return self.claims.get(id(run), run)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def said(listener: Listener) -> Said:
    return begun(Run("job", 5, 5), listener)


def later(monotonic: int) -> int:
    """Return the instant of a monotonic time."""
    return monotonic + 1000


def test_of_what_a_run_says_the_newest_is_known(said: Said) -> None:
    said.beat(0.25, "first")
    said.beat(None, "second")
    said.beat(0.5, None)
    assert (said.key, said.progress, said.note, said.beat_at) == (("job", 5), 0.5, "second", 7)


def test_a_run_that_says_nothing_but_that_it_is_alive_has_said_when(said: Said, listener: Listener) -> None:
    assert said.parts(later) == {}
    listener.now = 0
    said.beat(None, None)
    assert said.parts(later) == {BEAT: "1000"}


def test_what_is_new_is_told_once_until_it_is_taken(said: Said, listener: Listener) -> None:
    said.beat(0.25, None)
    said.beat(0.5, None)
    assert (listener.told, said.is_noted) == ([said], True)
    said.is_noted = False
    said.go_on("1 timeout")
    said.beat(0.75, None)
    assert listener.told == [said, said]


def test_a_run_to_which_nobody_listens_is_heard_by_its_own_process() -> None:
    run = Run("job", 5, 5)
    said = begun(run, None)
    said.beat(0.5, "half")
    said.go_on("1 timeout")
    said.pass_log_on(100)
    assert (said.progress, said.note, said.beat_at, said.log) == (0.5, "half", 0, None)
    assert run.said is said


def test_what_is_said_after_the_end_is_not_heard(said: Said, listener: Listener) -> None:
    said.beat(0.5, "half")
    assert said.last_words(later, 100) == {PROGRESS: "0.5", NOTE: "half", BEAT: "1007"}
    said.is_noted = False
    said.beat(1.0, "late")
    assert (said.progress, said.note, listener.told) == (0.5, "half", [said])


def test_that_a_run_goes_on_after_its_time_is_told_and_kept_until_it_ends(
    said: Said, listener: Listener
) -> None:
    said.go_on("3 timeout")
    assert listener.told == [said]
    assert said.parts(later) == {MARK: "3 timeout"}
    assert said.last_words(later, 100) == {}


def test_the_last_words_of_a_run_have_as_much_of_its_log_as_the_store_keeps(said: Said) -> None:
    said.log_kept(100).add("hello")
    assert said.parts(later) == {}
    assert said.last_words(later, 3) == {LOG: "llo"}


def test_a_long_note_is_cut_where_it_is_kept(said: Said) -> None:
    said.beat(None, "x" * (LONGEST_NOTE + 1))
    assert len(said.parts(later)[NOTE]) == LONGEST_NOTE


def test_a_run_has_one_log(said: Said) -> None:
    log = said.log_kept(100)
    assert said.log_kept(5) is log
    assert said.log is log


def test_a_log_that_is_passed_on_is_told_of_at_once(said: Said, listener: Listener) -> None:
    said.pass_log_on(100)
    present(said.log).add("hello")
    assert (listener.told, present(said.log).taken()) == ([said], "hello")


def test_a_copy_of_a_run_says_what_the_run_says(listener: Listener) -> None:
    run, copy = Run("job", 5, 5), Run("job", 5, 5)
    listener.claims[id(copy)] = run
    Run.some_say = False
    said = begun(copy, listener)
    assert run.said is copy.said is said
    assert begun(run, listener) is said
    assert Run.some_say


# ----------------------------------------------------------------------------------------------------------------- log


def test_a_log_keeps_its_end() -> None:
    log = Log(10)
    log.add("0123456789")
    log.add("abc")
    assert (log.text(), log.text(1), log.text(0), log.text(-1)) == ("3456789abc", "c", "", "")
    assert log.text(1000) == "3456789abc"


def test_of_a_long_text_only_the_end_is_looked_at() -> None:
    log = Log(3)
    log.add("abcdef")
    assert (log.text(), log.size) == ("def", 3)


def test_a_log_that_is_full_is_moved_when_four_times_as_much_is_there() -> None:
    log = Log(10)
    for _ in range(4):
        log.add("0123456789")
    assert log.size == 40
    log.add("a")
    assert (log.size, log.text()) == (10, "123456789a")


def test_a_log_has_no_nul_and_no_half_of_a_character() -> None:
    log = Log(20)
    log.add("\0é\ud800")
    assert log.text() == "\\0é\\ud800"
    assert log.text(7) == "\\ud800"


def test_what_is_added_before_it_is_passed_on_is_not_taken() -> None:
    log = Log(10)
    log.add("before")
    assert log.taken() == ""
    log.pass_on()
    log.add("after")
    assert (log.taken(), log.taken()) == ("after", "")


def test_of_what_nobody_takes_four_times_as_much_as_is_kept_waits() -> None:
    log = Log(10)
    log.pass_on()
    for _ in range(4):
        log.add("0123456789")
    assert len(present(log._new)) == 4
    log.add("a")
    assert len(present(log._new)) == 4
    log.add("b")
    log.add("c" * 9)
    assert len(present(log._new)) == 5
    assert log.taken() == "b" + "c" * 9
    for _ in range(4):
        log.add("0123456789")
    assert len(present(log._new)) == 4
    log.add("a")
    assert len(present(log._new)) == 4


def test_the_newest_text_waits_however_long_it_is_in_bytes() -> None:
    log = Log(4)
    log.pass_on()
    log.add("𝄞" * 4)
    log.add("𝄞" * 4)
    assert len(present(log._new)) == 1
    assert log.taken() == "𝄞"
    log.add("\ud800" * 4)
    assert log.taken() == "d800"


# ------------------------------------------------------------------------------------------------- what may be said


@pytest.mark.parametrize("value", [0, 1, 0.5, 0.0, 1.0])
def test_a_progress_is_a_number_from_0_to_1(value: float) -> None:
    found = checked_progress(value)
    assert (found, type(found)) == (value, float)


@pytest.mark.parametrize("value", [-0.1, 1.1, True, False, "0.5", None, float("nan"), 1 + 0j])
def test_anything_else_is_no_progress(value: object) -> None:
    with pytest.raises(HeartbeatError, match="progress must be a number from 0 to 1, got"):
        checked_progress(value)


def test_a_number_of_a_program_s_own_that_raises_is_no_progress() -> None:
    class Broken:
        def __float__(self) -> float:
            raise ArithmeticError

    with pytest.raises(HeartbeatError):
        checked_progress(Broken())


def test_a_note_is_the_beginning_of_a_text() -> None:
    class Text(str):
        def __str__(self) -> str:
            return "another"

    assert checked_note(Text("a note")) == "a note"
    assert type(checked_note(Text("a note"))) is str
    assert checked_note("x" * (LONGEST_NOTE + 1)) == "x" * LONGEST_NOTE
    assert len(checked_note("é" * LONGEST_NOTE).encode()) == LONGEST_NOTE
    with pytest.raises(HeartbeatError, match=r"note must be a text, got 5; write note=str\(…\) for int"):
        checked_note(5)


def test_the_words_for_a_request_to_stop_are_those_of_the_documentation() -> None:
    assert beats.CANCEL_REQUESTED == "cancel was requested"
