"""How much the engine gives each executor: what an executor answers costs no other executor its turn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rota.engine.capacity import PASS, Capacity


class Answers:
    """An executor that answers as it is told; an exception is raised."""

    def __init__(self, capacity: Any = 1, functions: Any = None, worth: bool = True) -> None:
        self._capacity = capacity
        self._functions = functions
        self._worth = worth

    def capacity(self) -> Any:
        return told(self._capacity)

    def function_room(self) -> Any:
        return told(self._functions)

    def worth_a_pass(self) -> bool:
        return self._worth


def told(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def exception(self, message: str, *args: object) -> None:
        self.lines.append(message % args)


def capacity_of(crowded: set[str] | None = None, **executors: Answers) -> tuple[Capacity, Log, list[str]]:
    """Return the capacity of these executors, what is logged about it, and the wake-ups of the host."""
    log, woken = Log(), []
    outlet: Any = SimpleNamespace(executors=executors, logger=log, wake=lambda: woken.append("woken"))
    return Capacity(outlet, lambda: crowded or set()), log, woken


def test_an_executor_that_there_is_not_gets_nothing() -> None:
    capacity, _, _ = capacity_of()
    assert capacity.of("gone") == 0


def test_no_executor_gets_more_than_one_pass_takes() -> None:
    capacity, _, _ = capacity_of(wide=Answers(10 * PASS), narrow=Answers(3))
    assert (capacity.of("wide"), capacity.of("narrow")) == (PASS, 3)


def test_so_little_room_that_a_pass_does_not_pay_counts_only_where_any_room_is_asked_for() -> None:
    capacity, _, _ = capacity_of(busy=Answers(1, worth=False))
    assert (capacity.of("busy"), capacity.of("busy", any_room=True)) == (0, 1)


def test_an_executor_that_cannot_tell_its_room_is_logged_once_in_a_row() -> None:
    broken = Answers(RuntimeError("no"))
    capacity, log, _ = capacity_of(broken=broken, sound=Answers(2))
    assert [capacity.of("broken"), capacity.of("broken"), capacity.of("sound")] == [0, 0, 2]
    assert log.lines == ['Executor "broken" cannot tell its room; it gets no runs until it can']
    broken._capacity = 5
    assert capacity.of("broken") == 5
    broken._capacity = RuntimeError("again")
    assert capacity.of("broken") == 0
    assert len(log.lines) == 2


def test_room_for_plain_functions_is_told_of_those_that_count_them_apart() -> None:
    capacity, _, _ = capacity_of(
        plain=Answers(), loop=Answers(functions=4), broken=Answers(functions=SystemExit("no"))
    )
    assert capacity.for_functions() == {"loop": 4, "broken": 0}


@pytest.mark.parametrize(
    "ask", [lambda capacity: capacity.of("a"), lambda capacity: capacity.for_functions()]
)
def test_ctrl_c_while_an_executor_is_asked_is_kept_by_nobody(ask: Any) -> None:
    capacity, _, _ = capacity_of(a=Answers(KeyboardInterrupt(), KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        ask(capacity)


def test_the_host_is_woken_when_a_starved_executor_has_room_again_and_not_before() -> None:
    pool = Answers(0)
    capacity, _, woken = capacity_of(pool=pool, other=Answers(9))
    capacity.begin()
    capacity.note_full(["pool"])
    assert not capacity.settle()
    capacity.came_free()
    assert woken == []
    pool._capacity = 1
    capacity.came_free()
    assert woken == ["woken"]
    assert capacity.settle()  # it had come free before anybody waited
    capacity.begin()
    capacity.came_free()
    assert woken == ["woken"]


def test_where_plain_functions_are_held_back_the_room_for_these_counts() -> None:
    loop = Answers(1000, functions=0)
    capacity, _, woken = capacity_of({"loop"}, loop=loop)
    capacity.note_full(["loop"])
    assert not capacity.settle()
    loop._functions = 1
    capacity.came_free()
    assert woken == ["woken"]
