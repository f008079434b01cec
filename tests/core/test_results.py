"""What the ledger keeps of a return value: bounded, a copy, made without asking more of the value than is kept, and readable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from rota.codec import values as codec
from rota.codec.results import LIMIT, kept_of, shown, text_of_result, value_of
from rota.core.run import Run, is_plain
from rota.core.states import SUCCEEDED, succeed
from rota.events import EVENT_JOB_EXECUTED
from rota.testing import ManualScheduler
from rota.triggers.interval import IntervalTrigger

kept: list[Any] = []


@dataclass
class Point:
    x: int
    y: Any = None


@pytest.fixture
def registered() -> Any:
    codec.register_type(Point, "test:Point")
    yield Point
    del codec._by_name["test:Point"], codec._registered[Point]


def give_back() -> Any:
    return kept[0]


def run_of(value: Any) -> Run:
    run = Run("job", 0, 0)
    succeed(run, value, 1)
    return run


@pytest.mark.parametrize("value", [None, True, 5, 1.5, float("nan"), "text", 2**63 - 1, -(2**63), "x" * 1000])
def test_plain_values_are_kept_as_they_are(value: Any) -> None:
    assert is_plain(value)
    text = text_of_result(run_of(value))
    assert repr(None if text is None else value_of(text)) == repr(value)


def test_of_a_large_collection_no_more_is_asked_than_is_kept() -> None:
    asked = []

    class Item:
        def __repr__(self) -> str:
            asked.append(self)
            return "an item"

    for large in ([Item()] * 100_000, dict.fromkeys(range(100_000), Item()), {"rows": (Item(),) * 100_000}):
        asked.clear()
        text, value = kept_of(large)
        assert len(asked) < 1_100
        assert len(value) == LIMIT
        assert value.endswith("…")
        assert len(text) < LIMIT + 10


@pytest.mark.thorough
def test_an_object_of_a_registered_class_is_cut_too(registered: Any) -> None:
    _, value = kept_of(Point(1, list(range(1_000_000))))
    assert value.startswith("Point(x=1, y=[0, 1,")
    assert len(value) == LIMIT


def test_a_registered_class_comes_back_and_else_its_text_is_there(registered: Any) -> None:
    text, value = kept_of({"at": Point(1, 2)})
    assert value == {"at": Point(1, 2)}
    del codec._by_name["test:Point"]
    try:
        assert value_of(text) == text == '{"at":{"~type":["test:Point",{"x":1,"y":2}]}}'
    finally:
        codec._by_name["test:Point"] = (Point, lambda data: Point(**data))


def test_the_limit_is_one_of_the_text_that_is_kept() -> None:
    fits = [1] * (LIMIT // 2 - 1)
    assert kept_of(fits)[1] == fits
    assert kept_of([*fits, 1])[1] == f"{repr([1] * LIMIT)[: LIMIT - 1]}…"
    assert kept_of("x" * LIMIT)[1] == "x" * LIMIT
    assert kept_of("x" * (LIMIT + 1))[1] == f"{'x' * (LIMIT - 1)}…"


@pytest.mark.parametrize("depth", [99, 1000])
def test_what_is_nested_too_deeply_is_shown(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    text, found = kept_of(value)
    assert found == value if depth < 100 else found.startswith("[[[[")
    assert len(text) < 1000


AROUND: dict[str, Any] = {
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "value": lambda value: {"in": value},
}


def nested(depth: int, around: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = around(value)
    return value


@pytest.mark.parametrize("kind", ["list", "tuple", "value"])
def test_a_result_is_kept_up_to_a_depth_and_shown_beyond_it(kind: str) -> None:
    around = AROUND[kind]
    value = nested(99, around)
    assert kept_of(value)[1] == value
    assert kept_of(nested(100, around))[1] == repr(nested(100, around))
    assert "…" in kept_of(nested(101, around))[1]


def test_the_keys_of_a_result_are_as_deep_as_its_values() -> None:
    def keyed(depth: int) -> Any:
        return {nested(depth - 1, AROUND["tuple"]): 1}

    assert kept_of(keyed(99))[1] == keyed(99)
    assert kept_of(keyed(100))[1] == repr(keyed(100))
    assert "…" in kept_of(keyed(101))[1]


@pytest.mark.parametrize(
    "value",
    [
        [],
        (),
        {},
        set(),
        frozenset(),
        [1],
        (1,),
        {1},
        frozenset({1}),
        (1, 2),
        [1, (), {"a": [b"x"], 2: None}, "text"],
    ],
    ids=repr,
)
def test_what_is_shown_is_what_its_repr_would_be(value: Any) -> None:
    assert shown(value) == repr(value)


def test_each_part_of_a_result_counts_and_texts_count_by_their_length() -> None:
    assert kept_of([None] * 1000)[1] == [None] * 1000
    assert type(kept_of([None] * LIMIT)[1]) is str
    assert type(kept_of(["x" * LIMIT])[1]) is str
    assert type(kept_of([b"x" * LIMIT])[1]) is str
    assert shown(["x" * (2 * LIMIT)]) == f"['{'x' * (LIMIT - 3)}…"
    assert shown([b"x" * (2 * LIMIT)]) == f"[b'{'x' * (LIMIT - 4)}…"
    assert shown([2**20_000]) == "[<int of 20001 bits>]"


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_class_whose_encoding_fails_costs_its_own_value_only(error: type[BaseException]) -> None:
    class Bad:
        def __repr__(self) -> str:
            raise error

    def encode(value: Any) -> Any:
        raise error

    codec.register_type(Bad, "test:Bad", encode, encode)
    try:
        assert "Bad" in kept_of(Bad())[1]
        assert value_of('{"~type":["test:Bad",1]}') if error is RuntimeError else True
    finally:
        del codec._by_name["test:Bad"], codec._registered[Bad]


@pytest.mark.parametrize("hidden", ["{}", '{{"~dict":[["a",{}]]}}', '{{"~tuple":[{}]}}'])
def test_reading_a_result_restores_no_trigger(hidden: str) -> None:
    for spec in (
        '{"~trigger":{"type":"custom","class":"tests.core.test_results:Point","state":null}}',
        '{"\\u007etrigger":{"type":"custom","class":"no.such.module:C","state":null}}',
    ):
        text = hidden.format(spec)
        assert value_of(text) == text
    trigger = IntervalTrigger(minutes=1)
    assert kept_of(trigger)[1] == repr(trigger)


@pytest.mark.parametrize("text", ["", "{", "[1", "nan", '{"~date":"x"}', '{"~dict":[[[],1]]}', "[" * 5000])
def test_a_damaged_result_is_there_as_its_text(text: str) -> None:
    assert value_of(text) == text


@pytest.mark.parametrize("value", [{"a": [1]}, [1, 2], {1, 2}])
def test_the_ledger_in_memory_keeps_a_copy_and_not_the_live_object(value: Any) -> None:
    seen = []
    kept[:] = [value]
    scheduler = ManualScheduler()
    scheduler.add_listener(lambda event: seen.append(event.retval), EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(give_back, "interval", minutes=1, id="job", name="give")
    scheduler.advance(minutes=1)
    (run,) = scheduler.get_runs("job")
    scheduler.shutdown()
    assert (run.status, run.retval, run.name, run.func) == (
        SUCCEEDED,
        value,
        "give",
        f"{__name__}:give_back",
    )
    assert run.retval is not value
    assert run.kept is None
    assert any(given is value for given in seen), "the event has the very object"


def test_a_run_as_data_shows_values_as_people_read_them() -> None:
    run = run_of({"a": (1, {2}), "b": b"x", None: object})
    assert json.loads(json.dumps(run.to_dict()))["result"] == {
        "a": [1, [2]],
        "b": "b'x'",
        "None": "<class 'object'>",
    }
