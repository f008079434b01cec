"""The importer's reader of pickles: it says what a pickle would do, and does nothing of it."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import tracemalloc
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import DeserializationError
from rota.importers.pickles import MAX_LENGTH, Made, Name, read_pickle
from rota.importers.values import NotTakenOver, Values
from tests.needs import need

EXECUTED: list[str] = []


def explode(*args):
    EXECUTED.append("called")


class Bomb:
    def __reduce__(self):
        return explode, ("x",)


class StateBomb:
    def __init__(self):
        self.a = 1

    def __setstate__(self, state):
        EXECUTED.append("state set")


class NewBomb:
    def __new__(cls, *args):
        EXECUTED.append("made")
        return object.__new__(cls)

    def __getnewargs__(self):
        return (1,)


class Colour(Enum):
    RED = 1


class MyList(list[object]):
    pass


class Call:
    """Pickles as the call of a function with arguments."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def value_of(data):
    return Values().value(read_pickle(data), "args")


@pytest.fixture(autouse=True)
def nothing_is_executed():
    EXECUTED.clear()
    yield
    assert EXECUTED == []


# -- what is taken over ------------------------------------------------------------------------------------------

VALUES = [
    *(
        None,
        True,
        False,
        0,
        -1,
        2**70,
        1.5,
        float("inf"),
        "",
        "text ü 😀",
        b"",
        b"\0\xff",
        [],
        (),
        {},
        set(),
        frozenset(),
    ),
    [1, [2, (3, {"a": {4}})]],
    {1: "a", "b": (1, 2), (1, 2): None, 2.5: b"x"},
    # One element: the order of several, and so the test's name, would differ from process to process.
    frozenset({"a"}),
    datetime(2026, 7, 1, 12, 30, 15, 123456),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2026, 7, 1, tzinfo=UTC),
    datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=7), "ICT")),
    date(2026, 7, 1),
    time(3, 4, 5, 6),
    time(3, tzinfo=UTC),
    timedelta(days=-3, microseconds=5),
    UTC,
    timezone(timedelta(minutes=-90)),
    ZoneInfo("Asia/Ho_Chi_Minh"),
    UUID(int=7),
    Decimal("1.50"),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_come_back_in_every_protocol(value, protocol):
    found = value_of(pickle.dumps(value, protocol))
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, datetime) and protocol >= 4:  # earlier ones drop the fold
        assert (found.fold, found.tzinfo, found.utcoffset()) == (value.fold, value.tzinfo, value.utcoffset())


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=15,
)


@pytest.mark.thorough
@given(value=plain, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_whatever_is_plain_comes_back(value, protocol):
    assert value_of(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_zones_of_pytz_become_those_of_zoneinfo_at_the_same_instant(protocol):
    pytz = need("pytz", "dev")
    berlin = pytz.timezone("Europe/Berlin")
    for value in (
        berlin.localize(datetime(2026, 7, 1, 12)),
        berlin.localize(datetime(2026, 10, 25, 2, 30), is_dst=True),
        berlin.localize(datetime(2026, 10, 25, 2, 30), is_dst=False),
        datetime(2026, 7, 1, 12, tzinfo=berlin),  # local mean time, as many a program has it by mistake
    ):
        found = value_of(pickle.dumps(value, protocol))
        assert found.astimezone(UTC) == value.astimezone(UTC)
        assert found.tzinfo == ZoneInfo("Europe/Berlin")
    assert value_of(pickle.dumps(berlin, protocol)) == ZoneInfo("Europe/Berlin")
    assert value_of(pickle.dumps(pytz.utc, protocol)) is UTC
    assert value_of(pickle.dumps(pytz.FixedOffset(90), protocol)) == timezone(timedelta(minutes=90))


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_zones_of_dateutil_become_those_of_zoneinfo(protocol):
    tz = need("dateutil.tz", "dev")
    assert value_of(pickle.dumps(tz.gettz("Europe/Berlin"), protocol)) == ZoneInfo("Europe/Berlin")
    assert value_of(pickle.dumps(tz.UTC, protocol)) is UTC
    assert value_of(pickle.dumps(tz.tzoffset("X", 3600), protocol)) == timezone(timedelta(hours=1), "X")
    values = Values()
    assert values.value(read_pickle(pickle.dumps(tz.tzlocal(), protocol)), "args") is not None
    assert any("this machine" in note for note in values.notes)


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Bomb(), "explode"),
        ([1, {"k": (Bomb(),)}], "explode"),
        (StateBomb(), "StateBomb"),
        (Call(os.system, "true"), "system"),
        (Call(eval, "1"), "eval"),
        (Call(exec, "1"), "exec"),
        (Call(getattr, Call(__import__, "os"), "system"), "getattr"),
        (Call(Call, Call(os.system, "true")), "Call"),
        (Call(timedelta, Call(os.system, "true")), "system"),
        (Call(datetime, Call(eval, "b'x'*10")), "eval"),
        (Call(set, [Call(eval, "1")]), "eval"),
        (Call(bytes, 10**12), "bytes"),
        (Call(bytearray, 10**12), "bytearray"),
        (Call(range, 10**12), "range"),
        (Call(Decimal, "9" * 5000), "Decimal"),
        (Call(ZoneInfo, "../../etc/passwd"), "ZoneInfo"),
        (Call(UUID, "no"), "UUID"),
        (Call(datetime, b"\xff" * 10), "datetime"),
        (Call(timedelta, 10**12), "timedelta"),
        (Call(partial, print), "partial"),
        (Colour.RED, "Colour"),
        (MyList([1]), "MyList"),
        (OrderedDict(a=1), "OrderedDict"),
        (int, "int|long"),
        (os.getcwd, "getcwd"),
        (1j, "complex"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_is_not_plain_is_refused_by_its_name_and_nothing_of_it_is_executed(value, named, protocol):
    data = pickle.dumps(value, protocol)
    with pytest.raises(NotTakenOver, match=named) as caught:
        value_of(data)
    assert caught.value.path.startswith("args")


def test_no_object_is_made_and_none_is_given_its_state():
    for data in (
        pickle.dumps(NewBomb.__new__, 5),
        b"\x80\x02c" + __name__.encode() + b"\nNewBomb\nK\x01\x85\x81K\x01b.",
    ):
        with pytest.raises(NotTakenOver, match="NewBomb"):
            value_of(data)


def test_a_refusal_has_the_path_of_what_is_refused():
    with pytest.raises(NotTakenOver) as caught:
        value_of(pickle.dumps([1, {"who": (2, [Colour.RED])}]))
    assert caught.value.path == "args[1]['who'][1][0]"


def test_nothing_is_imported():
    before = set(sys.modules)
    found = read_pickle(b"\x80\x04\x8c\x14not_there_at_all_xyz\x8c\x01f\x93)R.")
    assert isinstance(found, Made)
    assert repr(found.name) == "not_there_at_all_xyz.f"
    read_pickle(b"cantigravity\nfly\n.")
    assert "antigravity" not in sys.modules
    assert not {name for name in set(sys.modules) - before if "antigravity" in name or "not_there" in name}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"not a pickle",
        b"\x80\x04",
        b"\x80\x04N",
        b"N0.",
        b"t.",
        b"K\x01\x86.",
        b"\x80\x02K\x01K\x02s.",
        b"(K\x01o.",
        b"(ios\nsystem\n.",
        b"P1\n.",
        b"\x82\x01.",
        b"\x97.",
        b"h\x05.",
        b"K\x01b.",
        b"}]K\x01s.",  # a list as a key
        b"]K\x01e.",
        b"\x80\x02}(K\x01u.",
        pickle.dumps({"a": 1})[:-3],
    ],
)
def test_what_is_no_intact_pickle_is_one_error(data):
    with pytest.raises(DeserializationError):
        read_pickle(data)


# -- bombs -------------------------------------------------------------------------------------------------------

LAUGHS = (
    b"\x80\x02]q\x00X\x02\x00\x00\x00haa"
    + b"".join(
        b"]q" + bytes([i]) + b"(h" + bytes([i - 1]) + b"h" + bytes([i - 1]) + b"e" for i in range(1, 60)
    )
    + b"."
)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x04B" + struct.pack("<I", 2**31) + b"x.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b"\x01.",
        b"Nr\xff\xff\xff\x7f0j\xff\xff\xff\x7f.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"]q\x00h\x00a.",
    ],
    ids=lambda data: f"{data[:12]!r}",
)
def test_what_says_that_it_is_large_takes_no_memory(data):
    tracemalloc.start()
    try:
        try:
            value_of(data)
        except (DeserializationError, NotTakenOver):
            pass  # a harmless one may come through
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        b"]" * 20_000 + b"a" * 19_999 + b".",
        b")" + b"\x85" * 20_000 + b".",
        # Hashing what is nested this deeply would overflow the stack of C.
        b"}(" + b")" + b"\x85" * 200_000 + b"Nu.",
        b"\x8f(" + b")" + b"\x85" * 200_000 + b"\x90.",
        b"(" * 100_000 + b".",
    ],
    ids=lambda data: f"{data[:12]!r}",
)
def test_what_is_nested_too_deeply_is_refused_and_the_process_lives(data):
    with pytest.raises((DeserializationError, NotTakenOver)):
        value_of(data)


@pytest.mark.thorough
def test_billions_of_values_from_a_few_bytes_are_refused():
    assert len(LAUGHS) < 1000
    with pytest.raises(NotTakenOver, match="too much"):
        value_of(LAUGHS)


def test_a_row_that_is_too_long_is_not_read():
    with pytest.raises(DeserializationError, match="bytes long"):
        read_pickle(b"\0" * (MAX_LENGTH + 1))


SAMPLE = pickle.dumps(
    {"a": [Call(os.getcwd), datetime(2026, 1, 1, tzinfo=UTC)], "b": ZoneInfo("UTC"), "c": {1, 2}}, 4
)


@given(
    data=st.binary(max_size=200)
    | st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=5)
)
def test_garbage_is_never_more_than_an_error(data):
    if isinstance(data, list):
        changed = bytearray(SAMPLE)
        for at, byte in data:
            changed[at] = byte
        data = bytes(changed)
    try:
        value_of(data)
    except (DeserializationError, NotTakenOver):
        pass


def test_a_name_in_the_data_is_only_a_name():
    found = read_pickle(pickle.dumps(os.system))
    assert isinstance(found, Name)
    assert found.path == "system"
