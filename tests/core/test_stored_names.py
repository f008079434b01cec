"""Whatever encoding leads to a name in stored data, the allow-list is asked before anything is imported for it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.codec import values as codec
from rota.codec.jobs import JobFormat
from rota.codec.triggers import trigger_spec
from rota.core.states import QUARANTINED
from rota.errors import CallableNotAllowedError, RotaError
from rota.job import Job
from rota.triggers.base import BaseTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.interval import IntervalTrigger
from rota.trust.allowlist import NO_NAMES, AllowList
from rota.trust.names import callable_named, class_named, judged_by
from tests.present import present

HERE = __name__
#: a package that no module may be imported from
FORBIDDEN = "never_to_be_imported"
INTERVAL = IntervalTrigger(seconds=60, timezone="UTC", start_date="2026-01-01").spec() or {}
FINE = json.dumps(INTERVAL)


def work(*args, **kwargs):
    """What the jobs call."""


@dataclass
class Registered:
    inner: Any


class Mine(BaseTrigger):
    """A trigger of a program, which notes what it is restored from."""

    restored: list[Any] = []

    def get_next_fire_time(self, previous_fire_time, now):
        return now

    def __getstate__(self):
        return {}

    def __setstate__(self, state):
        Mine.restored.append(state)


class Watcher:
    """Notes every attempt to import something that is forbidden."""

    def __init__(self):
        self.asked = []

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == FORBIDDEN:
            self.asked.append(name)


@pytest.fixture(scope="module", autouse=True)
def registered():
    codec.register_type(Registered)
    yield
    name, _ = codec._registered.pop(Registered)
    del codec._by_name[name]


@pytest.fixture(scope="module")
def watcher():
    watcher = Watcher()
    sys.meta_path.insert(0, watcher)
    yield watcher
    sys.meta_path.remove(watcher)


# -- encodings that lead to a name ---------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        f"{FORBIDDEN}:T",
        f"{FORBIDDEN}:T.",
        f"{FORBIDDEN}:T..x",
        f"{FORBIDDEN}:T.x.y",
        f"{FORBIDDEN}:.T",
        f"{FORBIDDEN}: ",
        f"{FORBIDDEN}:T:U",
        f"{FORBIDDEN}.sub.module:T",
        f"{FORBIDDEN}:<lambda>",
        f"{FORBIDDEN}:T\u0000",
    ]
)


def escaped(text: str) -> str:
    """Return a JSON text in which every character of its strings that may be is written as an escape."""
    out, inside, i = [], False, 0
    while i < len(text):
        char = text[i]
        if char == '"':
            inside = not inside
            out.append(char)
        elif inside and char == "\\":
            length = 6 if text[i + 1] == "u" else 2
            out.append(text[i : i + length])
            i += length - 1
        else:
            out.append(f"\\u{ord(char):04x}" if inside else char)
        i += 1
    return "".join(out)


def pairs(data: dict[str, Any]) -> dict[str, Any]:
    return {"~dict": [[key, value] for key, value in data.items()]}


def custom(name: Any, state: Any) -> dict[str, Any]:
    return {"type": "custom", "class": name, "state": state}


def combined(name: Any, state: Any) -> dict[str, Any]:
    members = [{"~tuple": [name, state]}]
    return custom(
        "rota.triggers.combining:OrTrigger",
        {"version": 1, "jitter": None, "spread": None, "triggers": members},
    )


def derived(name: Any, state: Any) -> dict[str, Any]:
    return custom(
        "rota.triggers.algebra.streams:LimitTrigger",
        {"version": 1, "trigger": {"~tuple": [name, state]}, "parameters": {"n": 3}},
    )


SPECS = st.builds(
    lambda made, name, state, form: form(made(name, state)),
    st.sampled_from([custom, combined, derived]),
    NAMES,
    st.sampled_from([None, {}, {"a": 1}, [1]]),
    st.sampled_from([lambda spec: spec, pairs]),
)
#: the same as a part of a value
PARTS = st.recursive(
    SPECS.map(lambda spec: {"~trigger": spec}),
    lambda inner: st.one_of(
        inner.map(lambda part: [part]),
        inner.map(lambda part: {"a": part}),
        inner.map(lambda part: {"~tuple": [1, part]}),
        inner.map(lambda part: {"~dict": [[1, part]]}),
        inner.map(lambda part: {"~dict": [[part, 1]]}),
        inner.map(lambda part: {"~set": [part]}),
        inner.map(lambda part: {"~type": [f"{HERE}:Registered", {"inner": part}]}),
        inner.map(lambda part: {"~trigger": custom(f"{HERE}:Mine", part)}),
        inner.map(lambda part: {"~trigger": combined(f"{HERE}:Mine", part)}),
        inner.map(lambda part: {"~trigger": {**INTERVAL, "more": part}}),
    ),
    max_leaves=3,
)
TRIGGERS = st.one_of(
    SPECS,
    PARTS.map(lambda part: custom(f"{HERE}:Mine", part)),
    PARTS.map(lambda part: {**INTERVAL, "more": part}),
    PARTS.map(lambda part: {"type": "or", "triggers": [{"type": "cron", "hour": part}]}),
)
JOBS = st.one_of(
    NAMES.map(lambda name: {"func": name}),
    TRIGGERS.map(lambda spec: {"trigger": json.dumps(spec)}),
    PARTS.map(lambda part: {"args": json.dumps([part])}),
    PARTS.map(lambda part: {"kwargs": json.dumps({"a": part})}),
    PARTS.map(lambda part: {"kwargs": json.dumps({"~dict": [["a", part]]})}),
    PARTS.map(lambda part: {"options": json.dumps({"coalesce": part})}),
)


def read(format: JobFormat, **texts: str) -> Job:
    texts = {"func": f"{HERE}:work", "trigger": FINE, "args": "[]", "kwargs": "{}", "options": "{}"} | texts
    job = Job.__new__(Job)
    job.id, job.executor, job.name = "job", "default", "a name"
    format.restore(job, texts["func"], texts["trigger"], texts["args"], texts["kwargs"], texts["options"])
    return job


def format_with(*patterns: str) -> JobFormat:
    format = JobFormat()
    format.restrict(AllowList(patterns))
    return format


@pytest.mark.thorough
@given(JOBS, st.booleans())
@settings(deadline=None, max_examples=300)
def test_no_encoding_leads_to_a_name_that_the_list_does_not_allow(watcher, texts, hide):
    if hide:
        texts = {part: text if part == "func" else escaped(text) for part, text in texts.items()}
    watcher.asked.clear()
    job = read(format_with(f"{HERE}:*"), **texts)
    assert (job.state, watcher.asked) == (QUARANTINED, [])
    assert present(job.error).startswith("it could not be restored")
    # … and nobody who only looks at the store imports anything, list or no list.
    read(JobFormat(imports=False), **texts)
    assert watcher.asked == []


@given(JOBS)
@settings(deadline=None, max_examples=50)
def test_what_the_list_does_not_allow_is_refused_by_its_name_and_not_only_because_it_is_not_there(
    watcher, texts
):
    watcher.asked.clear()
    read(JobFormat(), **texts)  # without a list
    if watcher.asked:
        error = present(read(format_with(f"{HERE}:*"), **texts).error)
        assert FORBIDDEN in error or "Invalid reference" in error
        assert "allowed_callables" in error or "Invalid reference" in error


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ({"trigger": json.dumps(custom(f"{FORBIDDEN}:T", {}))}, FORBIDDEN),
        ({"trigger": json.dumps(pairs(custom(f"{FORBIDDEN}:T", {})))}, FORBIDDEN),
        ({"trigger": json.dumps(custom(f"{FORBIDDEN}:T.", {}))}, FORBIDDEN),
        ({"args": json.dumps([{"~trigger": pairs(custom(f"{FORBIDDEN}.a:T", {}))}])}, f"{FORBIDDEN}"),
        ({"func": f"{FORBIDDEN}:x"}, FORBIDDEN),
    ],
)
def test_without_a_list_these_do_lead_to_an_import(watcher, text, name):
    watcher.asked.clear()
    read(JobFormat(), **text)
    assert set(watcher.asked) == {name}


@pytest.mark.parametrize("name", [None, 5, [f"{FORBIDDEN}:T"], {"a": 1}, True, "", ":", "a", "a:", ":b"])
def test_a_name_of_the_wrong_kind_is_refused(watcher, name):
    watcher.asked.clear()
    for format in (format_with(f"{HERE}:*"), JobFormat()):
        job = read(format, trigger=json.dumps(custom(name, {})))
        assert (job.state, watcher.asked) == (QUARANTINED, [])


def test_a_trigger_that_the_list_does_not_allow_is_given_no_state():
    Mine.restored.clear()
    for texts in (
        {"trigger": json.dumps(pairs(custom(f"{HERE}:Mine", {"a": 1})))},
        {"args": json.dumps([{"~trigger": custom(f"{HERE}:Mine", {"a": 1})}])},
        {"trigger": json.dumps(combined(f"{HERE}:Mine", {"a": 1}))},
    ):
        assert read(format_with(f"{HERE}:work"), **texts).state == QUARANTINED
        assert Mine.restored == []
        assert read(format_with(f"{HERE}:*"), **texts).error is None
        assert Mine.restored.pop() == {"a": 1}


# -- where an object becomes a name --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {"trigger": Mine()},
        {"trigger": OrTrigger([Mine(), IntervalTrigger(hours=1)])},
        {"args": [[{1: Mine()}]]},
        {"kwargs": {"a": (Mine(),)}},
        {"args": [Registered(Mine())]},
        {"args": [Registered(OrTrigger([Mine(), IntervalTrigger(hours=1)]))]},
    ],
)
def test_no_class_that_the_list_does_not_allow_is_written(attributes):
    attributes = {"func": work, "trigger": IntervalTrigger(hours=1), "args": ()} | attributes
    job = Job(None, "job", **attributes)
    with pytest.raises(CallableNotAllowedError, match=r"the trigger class .*Mine"):
        format_with(f"{HERE}:work").texts(job)
    format_with(f"{HERE}:*").texts(job)


# -- the way to the object -----------------------------------------------------------------------------------------


def test_a_name_that_would_import_a_module_beside_the_list_imports_none(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "allowed_package_of_names"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nclass Holder:\n    path = os\n")
    (package / "hidden.py").write_text("raise SystemExit('imported')\n")
    for reference in (f"{package.name}:hidden", f"{package.name}:hidden.run"):
        with judged_by(AllowList([f"{package.name}:*"])), pytest.raises(RotaError):
            callable_named(reference)
        assert f"{package.name}.hidden" not in sys.modules
    with judged_by(AllowList([f"{package.name}.*"])), pytest.raises(SystemExit):
        callable_named(f"{package.name}:hidden")


def test_nothing_is_looked_up_in_a_module_that_an_allowed_one_has_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lazy_module_of_names.py").write_text(
        # Import hooks of other libraries may ask a new module for a name of this kind.
        "def __getattr__(name):\n"
        "    raise (AttributeError if name == '__wrapped__' else SystemExit)(f'looked up {name}')\n"
    )
    (tmp_path / "allowed_module_of_names.py").write_text("import lazy_module_of_names as lazy\n")
    for path in ("lazy.load", "lazy.load.more"):
        with (
            judged_by(AllowList(["allowed_module_of_names:*"])),
            pytest.raises(CallableNotAllowedError, match="leads through"),
        ):
            callable_named(f"allowed_module_of_names:{path}")


def test_modules_are_imported_without_the_list_of_the_store_that_names_them(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "reader_of_names.py").write_text(
        "from rota.trust.names import judge\nseen = judge()\ndef run(): pass\n"
    )
    with judged_by(AllowList(["reader_of_names:*"])):
        run = callable_named("reader_of_names:run")
    assert sys.modules["reader_of_names"].seen is None
    assert run.__module__ == "reader_of_names"


@pytest.mark.parametrize(
    "reference",
    [
        "rota.triggers.algebra.derived:class_named",
        "rota.triggers.base:BaseTrigger.__init__",
        "rota.triggers.:OrTrigger",
        "rota.triggers.combining:datetime",
        "rota.triggers..combining:OrTrigger",
    ],
)
def test_only_the_classes_of_own_triggers_are_always_allowed(reference):
    with judged_by(NO_NAMES), pytest.raises(RotaError):
        class_named(reference)


def test_every_own_trigger_is_allowed_without_being_named():
    from rota.triggers import BUILTIN_TRIGGERS, trigger_class

    with judged_by(NO_NAMES):
        for alias in BUILTIN_TRIGGERS:
            cls = trigger_class(alias)
            assert class_named(f"{cls.__module__}:{cls.__qualname__}") is cls
        spec = trigger_spec(OrTrigger([IntervalTrigger(hours=1), IntervalTrigger(hours=2)]))
    assert spec["type"] == "or"


def test_a_job_that_lacks_its_module_does_not_have_its_other_names_looked_up(watcher):
    watcher.asked.clear()
    job = read(
        format_with("missing_module_of_names:*"),
        func="missing_module_of_names:run",
        trigger=json.dumps(pairs(custom(f"{FORBIDDEN}:T", {}))),
        args=json.dumps([{"~trigger": custom(f"{FORBIDDEN}:T", {})}]),
    )
    assert (job.state, watcher.asked) == (QUARANTINED, [])
