"""What is stored may cost only so much to read: what is over the bounds is refused when it is written and when it is read."""

from __future__ import annotations

import json
import pickle
import pickletools
from base64 import b64encode
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.codec import bounds as codecbounds
from rota.codec import dumps, loads
from rota.codec import jobs as jobcodec
from rota.codec.bounds import MAX_ALIKE, MAX_KEYS, MAX_PARTS, MAX_TEXT, MAX_TRIGGERS
from rota.codec.jobs import JobFormat
from rota.codec.values import raw
from rota.core.states import QUARANTINED
from rota.errors import DeserializationError, SerializationError
from rota.importers.pickles import read_pickle
from rota.importers.values import NotTakenOver, Values
from rota.job import Job
from rota.triggers.interval import IntervalTrigger

#: Python's hash of integers is their remainder by this.
P = (1 << 61) - 1
FINE = json.dumps(IntervalTrigger(seconds=60, timezone="UTC", start_date="2026-01-01").spec())


def work(*args, **kwargs):
    """What the jobs call."""


def alike(make, count=MAX_ALIKE + 30):
    return [make(number * P) for number in range(1, count + 1)]


COLLIDING = {
    "a set of integers": set(alike(int)),
    "a frozenset of integers": frozenset(alike(int)),
    "a dictionary by integers": dict.fromkeys(alike(int), "a"),
    "decimals": set(alike(Decimal)),
    "UUIDs": set(alike(lambda number: UUID(int=number))),
    "tuples": set(alike(lambda number: (1, "a", number))),
    "frozensets": set(alike(lambda number: frozenset([1, number]))),
    "deep inside": [{"a": ({1: set(alike(int))},)}],
}


@pytest.mark.parametrize("value", COLLIDING.values(), ids=COLLIDING)
def test_keys_that_are_made_to_collide_are_refused(value):
    with pytest.raises(SerializationError, match=r"^args: more than 20 .* the same hash"):
        dumps(value, "args")


@pytest.mark.parametrize("tag", ["~set", "~frozenset", "~dict"])
def test_such_keys_are_refused_before_a_set_or_dictionary_is_made_of_them(tag):
    numbers = alike(int)
    text = json.dumps([{tag: [[number, 1] for number in numbers] if tag == "~dict" else numbers}])
    for found in (text, text.replace("~", "\\u007e")):
        with pytest.raises(DeserializationError, match="the same hash"):
            loads(found)


@pytest.mark.parametrize("value", [set(range(MAX_KEYS + 1)), dict.fromkeys(range(MAX_KEYS + 1))])
def test_more_keys_than_that_are_refused_and_so_many_are_not(value):
    with pytest.raises(SerializationError, match="pass a list, or texts as keys"):
        dumps(value)
    value.pop(0) if isinstance(value, dict) else value.remove(0)
    assert loads(dumps(value)) == value
    with pytest.raises(SerializationError, match="more than 10000 keys"):
        dumps([value, {-1}])


@pytest.mark.thorough
def test_texts_may_be_as_many_keys_as_they_like():
    value = {str(number): {str(number)} for number in range(MAX_KEYS + 1)}
    assert loads(dumps(value)) == value
    texts = {str(number) for number in range(MAX_KEYS + 1)}
    assert loads(dumps(texts)) == texts


BIG = {
    "characters": ("x" * (MAX_TEXT + 1), "characters long"),
    "bytes": (b"x" * MAX_TEXT, "characters long"),
    "parts": ([0] * (MAX_PARTS + 1), "parts"),
    "lists": ([[]] * (MAX_PARTS // 2 + 1), "parts"),
    "triggers": (
        [IntervalTrigger(seconds=60, timezone="UTC", start_date="2026-01-01")] * (MAX_TRIGGERS + 1),
        "triggers",
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize(("value", "why"), BIG.values(), ids=BIG)
def test_a_value_over_a_bound_is_refused_with_the_bound(value, why):
    with pytest.raises(SerializationError, match=rf"^args: it .*{why}"):
        dumps([value], "args")


@pytest.mark.thorough
def test_commas_and_brackets_inside_texts_are_no_parts():
    value = ["[,{" * (MAX_PARTS // 2)]
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f'["{"x" * MAX_TEXT}"]', "characters long"),
        (f"[{'0,' * MAX_PARTS}0]", "parts"),
        (f"[{'[],' * MAX_PARTS}0]", "parts"),
        ("[" * 400 + "]" * 400, "nested too deeply"),
        ("[" * 400 + '"' + "\\" * 2000, "nested too deeply"),
        (f"[{'9' * 5000}]", "digits"),
    ],
)
def test_a_text_over_a_bound_is_not_read(text, why):
    for read in (loads, raw):
        with pytest.raises(DeserializationError, match=why):
            read(text)


@pytest.mark.thorough
@pytest.mark.parametrize("end", ["", "\\", '\\"', "\\\n", "\n"])
def test_a_string_that_does_not_end_is_looked_through_once(end):
    text = "[" * 200 + '"' + '\\"' * 500_000 + end
    assert len(codecbounds._STRING.findall(text)) == 1
    with pytest.raises(DeserializationError):
        loads(text)


@given(st.text('[]{},"\\ab0~\n', max_size=3000))
@settings(deadline=None)
def test_no_text_makes_the_bounds_fail_in_another_way(text):
    try:
        codecbounds.check_text(text)
    except codecbounds.TooMuch:
        pass


@given(
    st.recursive(
        st.integers() | st.text() | st.none() | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["~set", "~dict", "~tuple", "~decimal", "~uuid", "~timedelta", "a"]),
                inner,
                max_size=2,
            )
        ),
    )
)
@settings(deadline=None)
def test_no_data_makes_them_fail_in_another_way(data):
    for tag in ("~set", "~dict", "~trigger"):
        text = json.dumps([{tag: data}, "x" * 2000])
        try:
            codecbounds.check_text(text)
        except codecbounds.TooMuch:
            pass


# -- jobs ----------------------------------------------------------------------------------------------------------


def job_of(**attributes):
    return Job(None, "job", **{"func": work, "trigger": IntervalTrigger(hours=1), "args": (), **attributes})


def read(format, **texts):
    texts = {"trigger": FINE, "args": "[]", "kwargs": "{}", "options": "{}"} | texts
    job = Job.__new__(Job)
    job.id, job.executor, job.name = "job", "default", "a name"
    format.restore(
        job, f"{__name__}:work", texts["trigger"], texts["args"], texts["kwargs"], texts["options"]
    )
    return job


def test_a_job_over_the_bound_is_refused_though_each_of_its_values_is_under_its_own(monkeypatch):
    half = "x" * 9_000
    monkeypatch.setattr(jobcodec, "MAX_TEXT", 10_000)
    texts = {"args": f'["{half}"]', "kwargs": f'{{"a":"{half}"}}'}
    assert read(JobFormat(), **texts).args == (half,)
    monkeypatch.setattr(codecbounds, "MAX_JOB_TEXT", 15_000)
    with pytest.raises(SerializationError, match=r"the job is \d+ characters long as it is stored"):
        JobFormat().texts(job_of(args=[half], kwargs={"a": half}))
    job = read(JobFormat(), **texts)
    assert job.state == QUARANTINED
    assert "the job is" in job.error


@pytest.mark.parametrize("part", ["trigger", "args", "kwargs", "options"])
def test_a_stored_job_over_a_bound_is_quarantined_with_the_reason(part):
    numbers = json.dumps({"~set": alike(int)})
    text = {
        "trigger": f'{FINE[:-1]},"more":{numbers}}}',
        "args": f"[{numbers}]",
        "kwargs": f'{{"a":{numbers}}}',
        "options": f'{{"coalesce":{numbers}}}',
    }[part]
    job = read(JobFormat(), **{part: text})
    assert job.state == QUARANTINED
    assert "the same hash" in job.error


def test_a_pickle_over_the_bound_is_neither_written_nor_unpickled():
    format = JobFormat("pickle")
    with pytest.raises(SerializationError, match=r"^args: .* characters long"):
        format._pickle(b"x" * MAX_TEXT, "args")
    text = f'{{"~pickle":"{b64encode(pickle.dumps([b"x" * MAX_TEXT])).decode()}"}}'
    job = read(format, args=text)
    assert job.state == QUARANTINED
    assert "A pickle is not read" in job.error


# -- the importer --------------------------------------------------------------------------------------------------


def shared(levels: int, opcode: bytes = pickle.TUPLE2) -> bytes:
    """Return the pickle of a dictionary by a tuple of two, of which each is a tuple of two, … (each the very same)."""
    return (
        pickle.EMPTY_DICT
        + pickle.EMPTY_TUPLE
        + (pickle.DUP + opcode) * levels
        + pickle.NONE
        + pickle.SETITEM
        + b"."
    )


def test_what_is_shared_counts_as_often_as_it_is_met():
    assert len(shared(19)) < 170
    read_pickle(shared(10))
    with pytest.raises(DeserializationError, match="too many parts"):
        read_pickle(shared(19))
    with pytest.raises(DeserializationError, match="nested too deeply"):
        read_pickle(shared(30))


def test_every_key_of_a_pickle_counts():
    one = pickle.EMPTY_TUPLE + (pickle.DUP + pickle.TUPLE2) * 12 + pickle.NONE + pickle.SETITEM
    read_pickle(pickle.EMPTY_DICT + one * 2 + b".")
    with pytest.raises(DeserializationError, match="too many parts"):
        read_pickle(pickle.EMPTY_DICT + one * 10 + b".")


@pytest.mark.thorough
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", [set, frozenset, dict.fromkeys], ids=["set", "frozenset", "dict"])
def test_keys_of_a_pickle_that_are_made_to_collide_are_refused(make, protocol):
    data = pickle.dumps(make(alike(int)), protocol)
    with pytest.raises((DeserializationError, NotTakenOver), match="hash"):
        Values().value(read_pickle(data), "args")
    fine = make(range(MAX_KEYS))
    assert Values().value(read_pickle(pickle.dumps(fine, protocol)), "args") == fine


@pytest.mark.parametrize("make", [Decimal, lambda number: UUID(int=number)], ids=["decimals", "UUIDs"])
def test_keys_that_collide_only_when_they_are_values_are_refused(make):
    for value in (set(alike(make)), dict.fromkeys(alike(make))):
        with pytest.raises(NotTakenOver, match="the same hash"):
            Values().value(read_pickle(pickle.dumps(value)), "args")


@pytest.mark.thorough
@given(
    st.lists(st.sampled_from([op.code.encode("latin1") for op in pickletools.opcodes]), max_size=60),
    st.binary(max_size=40),
)
@settings(deadline=None, max_examples=300)
def test_no_bytes_make_the_importer_fail_in_another_way(opcodes, more):
    for data in (b"".join(opcodes) + b".", b"\x80\x04" + more + b"".join(opcodes) + b"."):
        try:
            Values().value(read_pickle(data), "args")
        except (DeserializationError, NotTakenOver):
            pass
