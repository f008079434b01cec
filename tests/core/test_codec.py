"""Typed JSON: what goes in comes out equal and of the same type; what does not fit is refused with its path."""

from __future__ import annotations

import json
import math
import socket
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.codec import dumps, loads, pack, register_type, unpack
from rota.codec import values as codec
from rota.codec.bounds import MAX_DEPTH
from rota.errors import ConfigurationError, DeserializationError, SerializationError
from rota.triggers.interval import IntervalTrigger


@register_type
class Colour(Enum):
    RED = 1
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


@register_type
class Access(Flag):
    READ = 1
    WRITE = 2


@register_type
@dataclass
class Address:
    host: str
    port: int = 80
    tags: set[str] = field(default_factory=set)


@register_type
@dataclass
class Holder:
    conn: Any


Point = register_type(namedtuple("Point", "x y"), name="point")


class Plain:
    def __init__(self, value: int) -> None:
        self.value = value


def same(left: Any, right: Any) -> bool:
    """Equal and of equal types, all the way down; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(map(repr, left)) == list(map(repr, right)) and all(
            map(same, left.values(), right.values())
        )
    if isinstance(left, datetime):
        return left.replace(tzinfo=None) == right.replace(tzinfo=None) and (left.tzinfo, left.fold) == (
            right.tzinfo,
            right.fold,
        )
    return bool(left == right)


zones = st.sampled_from(
    [
        None,
        UTC,
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("UTC"),
        timezone(timedelta(hours=-5, seconds=1)),
        timezone(timedelta(0), "Z"),
    ]
)
keys = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.binary(),
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from(Colour),
    st.decimals(allow_nan=False),
)
scalars = st.one_of(
    keys,
    st.floats(),
    st.datetimes(timezones=zones),
    st.builds(
        lambda value, fold: value.replace(fold=fold), st.datetimes(timezones=zones), st.sampled_from([0, 1])
    ),
    st.times(timezones=st.sampled_from([None, UTC, ZoneInfo("Europe/Berlin")])),
    st.sampled_from(Access),
    st.sampled_from([ZoneInfo("Asia/Ho_Chi_Minh"), UTC, timezone(timedelta(minutes=30))]),
    st.builds(Address, st.text(), st.integers(), st.sets(st.text())),
    st.builds(Point, st.integers(), st.text()),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(st.text(alphabet="~ab", max_size=3), inner, max_size=3),
    ),
    max_leaves=20,
)


@given(values)
def test_every_value_that_fits_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    text = dumps(value)
    assert same(loads(text), value)
    text.encode()  # any database can keep it


@given(values)
def test_packed_values_are_plain_json(value: Any) -> None:
    plain = pack(value)
    assert same(unpack(json.loads(json.dumps(plain))), value)


@given(values)
def test_equal_values_have_equal_texts(value: Any) -> None:
    assert dumps(loads(dumps(value))) == dumps(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "[]"),
        ({}, "{}"),
        (None, "null"),
        ([1, "Huế", None, True, 1.5], '[1,"Huế",null,true,1.5]'),
        ((1, 2), '{"~tuple":[1,2]}'),
        ({"a": {"b": 1}}, '{"a":{"b":1}}'),
        ({1: "x"}, '{"~dict":[[1,"x"]]}'),
        ({"~type": 1}, '{"~dict":[["~type",1]]}'),
        ({3, 1, 2}, '{"~set":[1,2,3]}'),
        (float("nan"), '{"~float":"nan"}'),
        (float("-inf"), '{"~float":"-inf"}'),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '{"~datetime":"2026-01-02T03:04:05+00:00"}'),
        (date(2026, 1, 2), '{"~date":"2026-01-02"}'),
        (timedelta(days=1, microseconds=2), '{"~timedelta":[1,0,2]}'),
        (Colour.RED, f'{{"~type":["{__name__}:Colour","RED"]}}'),
        (Decimal("1.10"), '{"~decimal":"1.10"}'),
    ],
)
def test_the_text_is_readable(value: Any, text: str) -> None:
    assert dumps(value) == text
    assert same(loads(text), value)


def test_a_datetime_with_a_zone_of_pytz_keeps_its_zone_and_instant() -> None:
    pytz = pytest.importorskip("pytz")
    zone = pytz.timezone("Europe/Berlin")
    for moment in (
        zone.localize(datetime(2026, 7, 1, 12)),
        zone.localize(datetime(2026, 10, 25, 2, 30), is_dst=False),
    ):
        found = loads(dumps(moment))
        assert found == moment
        assert (found.tzinfo.zone, found.utcoffset()) == ("Europe/Berlin", moment.utcoffset())
    assert loads(dumps(zone)) is zone
    assert loads(dumps(pytz.FixedOffset(90))).utcoffset(None) == timedelta(minutes=90)


def test_a_trigger_among_the_arguments_comes_back() -> None:
    trigger = IntervalTrigger(seconds=5, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    assert loads(dumps([trigger])) == [trigger]


def test_a_kind_of_value_that_is_not_known_is_refused_by_its_tag() -> None:
    with pytest.raises(
        DeserializationError, match="unknown kind of value, '~new'; a newer Rota may have written it"
    ):
        loads('[{"~new": 1}]')


def test_only_what_is_registered_has_a_state_to_be_stored() -> None:
    class Unknown:
        """Registered by nobody."""

    assert not codec.is_registered(Unknown)
    with pytest.raises(SerializationError, match="Unknown is not registered"):
        codec.state_of(Unknown())
    register_type(Unknown, "test:Known", lambda value: 5, lambda state: Unknown())
    try:
        assert codec.is_registered(Unknown)
        assert codec.state_of(Unknown()) == 5
    finally:
        del codec._by_name["test:Known"], codec._registered[Unknown]


@pytest.mark.parametrize("around", [lambda value: [value], lambda value: {"in": value}], ids=["list", "dict"])
def test_a_value_may_be_nested_as_deep_as_the_bound_and_no_deeper(around: Any) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = around(value)
    assert loads(dumps(value)) == value
    with pytest.raises(SerializationError, match=f"nested deeper than {MAX_DEPTH} levels"):
        dumps(around(value))


def test_a_lone_surrogate_comes_back() -> None:
    assert loads(dumps(["\ud800", "Huế"])) == ["\ud800", "Huế"]


def test_a_lone_surrogate_is_written_as_an_escape_that_every_database_keeps() -> None:
    assert dumps(["\ud800é"]).encode() == b'["\\ud800\\u00e9"]'
    assert dumps(["é"]) == '["é"]'


class Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1, 2, socket.socket), r"args\[2\]: type "),
        ([{"a": [Plain(1)]}], r"args\[0\]\['a'\]\[0\]: .*test_codec.Plain does not fit"),
        ([0, Holder(Plain(1))], r"args\[1\]\.conn: .*Plain"),
        ([{Plain(1): 1}], r"args\[0\]<key <.*Plain"),
        ([{1: Plain(1)}], r"args\[0\]\[1\]: .*Plain"),
        ([Level.LOW], r"args\[0\]: .*Level does not fit.*register_type\(Level\)"),
        ([Text("x")], r"args\[0\]: .*Text does not fit.*convert it to str"),
        ([OrderedDict(a=1)], r"args\[0\]: collections.OrderedDict does not fit.*convert it to dict"),
        ([1 << 100_000], r"args\[0\]: int of 100001 bits"),
        ([lambda: None], r"args\[0\]: function does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path_its_type_and_a_way_out(value: Any, message: str) -> None:
    with pytest.raises(SerializationError, match=message):
        dumps(value if isinstance(value, list) else list(value), "args")


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(SerializationError, match=r"deeper than 100"):
        dumps(endless)


def test_a_value_of_the_greatest_depth_comes_back() -> None:
    deep: Any = 1
    for number in range(MAX_DEPTH):
        deep = (deep,) if number % 2 else {1: deep}
    assert loads(dumps(deep)) == deep
    with pytest.raises(SerializationError, match="deeper"):
        dumps([deep])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nan",
        "[NaN]",
        '{"~unknown":1}',
        '{"~type":["os:system","x"]}',
        '{"~type":[["x"],1]}',
        '{"~type":"x"}',
        '{"~datetime":"yesterday"}',
        '{"~datetime":5}',
        '{"~set":[[1]]}',
        '{"~dict":[1]}',
        '{"~uuid":"x"}',
        '{"~zone":"No/Where"}',
        '{"~zone":"../../etc/passwd"}',
        '{"~bytes":"%"}',
        '{"~trigger":{"type":"custom","class":"os:system","state":null}}',
        '{"~trigger":{"type":"custom","class":"builtins:dict","state":null}}',
        '{"~pickle":"gASVAAAA"}',
        "[" * 100_000,
        "[" * 2_000 + "]" * 2_000,
    ],
)
def test_damaged_or_hostile_text_is_one_error(text: str) -> None:
    with pytest.raises(DeserializationError):
        loads(text)


@given(st.text(alphabet='[]{}",:~1a\\', max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        loads(text)
    except DeserializationError:
        pass


def test_a_class_that_is_not_registered_any_more_is_named() -> None:
    with pytest.raises(DeserializationError, match=r"'shop:Order' is not registered.*register_type"):
        loads('{"~type":["shop:Order",{}]}')


def test_a_class_with_its_own_functions_can_be_registered() -> None:
    register_type(Plain, "plain", encode=lambda plain: plain.value, decode=Plain)
    try:
        found = loads(dumps([Plain(7)]))
        assert (type(found[0]), found[0].value) == (Plain, 7)
    finally:
        del codec._registered[Plain], codec._by_name["plain"]


def test_an_encoder_that_fails_is_an_error_with_its_path() -> None:
    register_type(Plain, "plain", encode=lambda plain: plain.missing, decode=Plain)
    try:
        with pytest.raises(SerializationError, match=r"value\[0\]: encoding .*Plain failed: AttributeError"):
            dumps([Plain(7)])
    finally:
        del codec._registered[Plain], codec._by_name["plain"]


def test_registration_refuses_a_taken_name_and_a_class_it_knows_nothing_about() -> None:
    with pytest.raises(ConfigurationError, match="belongs to"):
        register_type(Address, name="point")
    with pytest.raises(ConfigurationError, match="encode"):
        register_type(Plain)


@pytest.mark.thorough
def test_a_pydantic_model_needs_only_to_be_registered() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Order(pydantic.BaseModel):  # type: ignore[name-defined]
        id: UUID
        at: time

    register_type(Order, name="order")
    try:
        order = Order(id=UUID(int=1), at=time(1, 2))
        assert loads(dumps(order)) == order
    finally:
        del codec._registered[Order], codec._by_name["order"]
