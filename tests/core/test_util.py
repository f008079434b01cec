"""The helpers that programs import from ``util``: values, zones, dates, references, argument checks."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import re
import subprocess
import sys
import weakref
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import dateutil.tz
import pytest
import pytz

from rota import callables, util
from rota.errors import (
    ArgumentMismatchError,
    CallableLookupError,
    CallableReferenceError,
    ConfigurationError,
    JobTypeError,
    UnknownTimezoneError,
)
from rota.util import astimezone
from rota.zonehints import _ABBREVIATIONS
from tests.present import present

BERLIN = ZoneInfo("Europe/Berlin")


class Service:
    """A class to refer to."""

    class Inner:
        @classmethod
        def make(cls):
            return cls

    def run(self, a, b=1):
        return a, b

    @classmethod
    def build(cls):
        return cls

    @staticmethod
    def still():
        return None

    def __call__(self):
        return self

    async def arun(self):
        return self


class Child(Service):
    pass


class AsyncCallable:
    async def __call__(self):
        return self


def function(a, b, /, c=1, *args, d, e=2, **kwargs):
    return a, b, c, args, d, e, kwargs


async def coroutine_function(a=1):
    return a


# ------------------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("value", [True, " YES ", "on", "y", "t", "1", 1])
def test_words_for_true(value):
    assert util.asbool(value) is True


@pytest.mark.parametrize("value", [False, " No ", "off", "n", "f", "0", 0, None])
def test_words_for_false(value):
    assert util.asbool(value) is False


def test_other_words_are_no_booleans():
    with pytest.raises(ConfigurationError, match='Unable to interpret value "yep" as boolean'):
        util.asbool("yep")


def test_integers_from_text():
    assert (util.asint("5"), util.asint(None), util.asint(3)) == (5, None, 3)
    with pytest.raises(ValueError, match="'x'"):
        util.asint("x")


def test_undefined_is_false_and_one():
    assert not util.undefined
    assert repr(util.undefined) == "<undefined>"
    assert copy.deepcopy(util.undefined) is util.undefined
    assert pickle.loads(pickle.dumps(util.undefined)) is util.undefined


def test_every_helper_of_apscheduler_is_there_with_its_parameters():
    parameters = {
        "asint": ["text"],
        "asbool": ["obj"],
        "astimezone": ["obj"],
        "asdate": ["obj"],
        "convert_to_datetime": ["input", "tz", "arg_name"],
        "datetime_to_utc_timestamp": ["timeval"],
        "utc_timestamp_to_datetime": ["timestamp"],
        "timedelta_seconds": ["delta"],
        "datetime_ceil": ["dateval"],
        "datetime_repr": ["dateval"],
        "get_callable_name": ["func"],
        "obj_to_ref": ["obj"],
        "ref_to_obj": ["ref"],
        "maybe_ref": ["ref"],
        "check_callable_args": ["func", "args", "kwargs"],
        "iscoroutinefunction_partial": ["f"],
        "normalize": ["dt"],
        "localize": ["dt", "tzinfo"],
    }
    assert {
        name: list(inspect.signature(getattr(util, name)).parameters) for name in parameters
    } == parameters


# ------------------------------------------------------------------------------------------------------------- zones


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        ("UTC", UTC),
        (UTC, UTC),
        ("Europe/Berlin", BERLIN),
        (BERLIN, BERLIN),
        (pytz.timezone("Europe/Berlin"), BERLIN),
        (pytz.timezone("Europe/Berlin").localize(datetime(2026, 7, 1)).tzinfo, BERLIN),
        (pytz.utc, UTC),
        (pytz.FixedOffset(90), timezone(timedelta(minutes=90))),
        (timezone(timedelta(hours=-3)), timezone(timedelta(hours=-3))),
        ("-03:00", timezone(timedelta(hours=-3))),
        (dateutil.tz.tzutc(), dateutil.tz.tzutc()),
    ],
)
def test_zones_of_all_makers_are_accepted(given, wanted):
    assert util.astimezone(given) == wanted


def test_a_wrong_zone_name_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownTimezoneError, match="'europe/berln'; did you mean 'Europe/Berlin'") as caught:
        util.astimezone("europe/berln")
    assert isinstance(caught.value, KeyError)
    for name in ("", "../etc/passwd", "+25:00", "+1", "Europe", "a\0b"):
        with pytest.raises(UnknownTimezoneError):
            util.astimezone(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PST", "; PST is an abbreviation: write the zone's own name, America/Los_Angeles or Asia/Manila"),
        ("cest", "; cest is an abbreviation: write the zone's own name, Europe/Paris (or CET)"),
        ("UTC+2", "; write the offset alone, +02:00, or the name of a zone"),
        ("GMT-5:30", "; write the offset alone, -05:30, or the name of a zone"),
        ("+2", "; write the offset alone, +02:00, or the name of a zone"),
        ("+25:00", "; write a fixed offset as +HH:MM or -HH:MM"),
        ("Berlin", "; did you mean 'Europe/Berlin'?"),
    ],
)
def test_an_abbreviation_or_an_offset_that_is_no_zone_says_what_to_write(name, hint):
    with pytest.raises(UnknownTimezoneError) as caught:
        astimezone(name)
    assert f"{name!r}{hint}" in str(caught.value)


def test_each_abbreviation_that_is_explained_is_no_zone_and_each_zone_in_the_explanation_is_one():
    known = available_timezones()
    for abbreviation, text in _ABBREVIATIONS.items():
        assert abbreviation not in known
        for zone in re.findall(r"[A-Za-z_/]+", text):
            assert zone in known | {"or"}, (abbreviation, zone)


class NamelessLocal(tzinfo):
    def tzname(self, dt):
        return "local"

    def utcoffset(self, dt):
        return timedelta(0)


def test_what_is_no_zone_is_refused():
    with pytest.raises(TypeError, match="Expected tzinfo, got int instead"):
        util.astimezone(5)
    with pytest.raises(ValueError, match="Unable to determine the name of the local timezone"):
        util.astimezone(NamelessLocal())  # type: ignore[abstract]


def test_a_machine_without_a_known_zone_is_in_utc_with_a_warning(monkeypatch):
    def broken():
        raise ValueError("no zone file")

    monkeypatch.setattr("tzlocal.get_localzone", broken)
    with pytest.warns(RuntimeWarning, match="UTC is used"):
        assert util.local_timezone() is UTC


# ------------------------------------------------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        ("2026-7-1", "2026-07-01T00:00:00+02:00"),
        ("2026-07-01 1:2:3", "2026-07-01T01:02:03+02:00"),
        ("2026-07-01T01:02:03.25", "2026-07-01T01:02:03.250000+02:00"),
        ("2026-07-01 01:02:03Z", "2026-07-01T01:02:03+00:00"),
        ("2026-07-01 01:02:03-05:30", "2026-07-01T01:02:03-05:30"),
        ("2026-07-01T01:02", "2026-07-01T01:02:00+02:00"),
        (date(2026, 7, 1), "2026-07-01T00:00:00+02:00"),
        (datetime(2026, 7, 1, 1), "2026-07-01T01:00:00+02:00"),
        (datetime(2026, 7, 1, 1, tzinfo=UTC), "2026-07-01T01:00:00+00:00"),
    ],
)
def test_dates_in_all_forms_become_aware_datetimes(given, wanted):
    for tz in (BERLIN, "Europe/Berlin", pytz.timezone("Europe/Berlin")):
        found = util.convert_to_datetime(given, tz, "run_date")
        assert (found and found.isoformat()) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "19700-12-1",
        "2026-13-01",
        "2026-02-30",
        "2026-01-01 25:00:00",
        "2026-01-01 00:00:00+99:00",
    ],
)
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ValueError, match=f"^Invalid date string {text!r} for run_date".replace("+", r"\+")):
        util.convert_to_datetime(text, UTC, "run_date")


def test_a_date_of_a_wrong_type_or_without_a_zone_is_refused():
    with pytest.raises(TypeError, match="Unsupported type for run_date: int"):
        util.convert_to_datetime(5, UTC, "run_date")
    with pytest.raises(ValueError, match='"tz" argument must be specified if run_date has no timezone'):
        util.convert_to_datetime("2026-01-01", None, "run_date")
    with pytest.raises(ValueError, match="2026-02-30"):
        util.asdate("2026-02-30")
    assert util.asdate("2026-02-28") == date(2026, 2, 28)
    assert util.asdate(None) is None


def test_timestamps_and_datetimes_convert_both_ways():
    at = datetime(2026, 7, 1, 1, 2, 3, 250_000, tzinfo=BERLIN)
    assert util.datetime_to_utc_timestamp(at) == at.timestamp()
    assert util.datetime_to_utc_timestamp(at.astimezone(UTC).replace(tzinfo=None)) == at.timestamp()
    assert util.utc_timestamp_to_datetime(at.timestamp()) == at
    assert util.datetime_to_utc_timestamp(None) is None
    assert util.utc_timestamp_to_datetime(None) is None
    assert util.timedelta_seconds(timedelta(days=1, microseconds=500_000)) == 86400.5


def test_rounding_up_adds_real_time():
    assert util.datetime_ceil(datetime(2026, 1, 1, 0, 0, 0)) == datetime(2026, 1, 1)
    assert util.datetime_ceil(datetime(2026, 1, 1, 0, 0, 0, 1)) == datetime(2026, 1, 1, 0, 0, 1)
    before = datetime(2026, 3, 29, 1, 59, 59, 5, tzinfo=BERLIN)
    assert util.datetime_ceil(before).isoformat() == "2026-03-29T03:00:00+02:00"


def test_wall_times_are_localized_and_normalized():
    gap = util.localize(datetime(2026, 3, 29, 2, 30), BERLIN)
    assert gap.isoformat() == "2026-03-29T03:30:00+02:00"
    assert util.normalize(datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN)).isoformat() == gap.isoformat()
    assert (
        util.localize(datetime(2026, 7, 1), pytz.timezone("Europe/Berlin")).isoformat()
        == "2026-07-01T00:00:00+02:00"
    )
    assert util.datetime_repr(gap) == "2026-03-29 03:30:00 CEST"
    assert util.datetime_repr(None) == "None"


# -------------------------------------------------------------------------------------------------------- references

REFERENCES = [
    (function, "function"),
    (Service, "Service"),
    (Service.run, "Service.run"),
    (Service().run, "Service.run"),
    (Service.build, "Service.build"),
    (Child.build, "Child.build"),
    (Service.still, "Service.still"),
    (Service.Inner.make, "Service.Inner.make"),
]


@pytest.mark.parametrize(("obj", "name"), REFERENCES)
def test_callables_have_names_and_references(obj, name):
    assert util.get_callable_name(obj) == name
    assert util.obj_to_ref(obj) == f"{__name__}:{name}"


def test_references_lead_to_what_they_name():
    assert util.ref_to_obj("datetime:timedelta.total_seconds") is timedelta.total_seconds
    assert util.ref_to_obj("os.path:join").__name__ == "join"
    assert util.obj_to_ref(len) == "builtins:len"
    assert util.maybe_ref("datetime:timedelta") is timedelta
    assert util.maybe_ref(5) == 5


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (lambda: None, "to a lambda"),
        (functools.partial(function, 1), r"to a partial\(\)"),
        (Service(), "__call__"),
    ],
)
def test_what_no_other_process_could_import_has_no_reference(obj, message):
    with pytest.raises(CallableReferenceError, match=message) as caught:
        util.obj_to_ref(obj)
    assert isinstance(caught.value, ValueError)


def test_a_nested_function_has_no_reference():
    def nested():
        return None

    with pytest.raises(CallableReferenceError, match="nested function"):
        util.obj_to_ref(nested)


def test_what_cannot_be_called_has_no_name():
    assert util.get_callable_name(Service()) == "Service"
    with pytest.raises(JobTypeError, match="Unable to determine a name for 5"):
        util.get_callable_name(5)
    with pytest.raises(TypeError):
        util.obj_to_ref(object())


@pytest.mark.parametrize(
    ("ref", "error"),
    [
        (5, TypeError),
        ("module", CallableReferenceError),
        (":name", CallableReferenceError),
        ("module:", CallableReferenceError),
        ("no.such.module:x", CallableLookupError),
        ("datetime:nothing", CallableLookupError),
        ("datetime:timedelta.nothing", CallableLookupError),
    ],
)
def test_references_that_lead_nowhere_are_refused(ref, error):
    with pytest.raises(error):
        util.ref_to_obj(ref)
    assert issubclass(error, (TypeError, ValueError, LookupError))


def test_coroutine_functions_are_known_through_their_wrappers():
    for f in (
        coroutine_function,
        functools.partial(functools.partial(coroutine_function), 1),
        Service().arun,
        AsyncCallable(),
    ):
        assert util.iscoroutinefunction_partial(f)
    functions: tuple[Any, ...]
    functions = (function, functools.partial(function), Service().run, Service(), Service, len, AsyncCallable)
    assert not any(map(util.iscoroutinefunction_partial, functions))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is new in Python 3.12")
def test_a_marked_function_is_a_coroutine_function():
    assert util.iscoroutinefunction_partial(inspect.markcoroutinefunction(lambda: None))  # type: ignore[attr-defined]


# --------------------------------------------------------------------------------------------------- argument checks


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (function, (1, 2), {"d": 3}),
        (function, (1, 2, 3, 4, 5), {"d": 3, "x": 4}),
        (function, [1, 2], {"c": 3, "d": 4}),
        (Service().run, (1,), {}),
        (Service().run, (), {"a": 1, "b": 2}),
        (Service, (), {}),
        (Service.build, (), {}),
        (Service(), (), {}),
        (functools.partial(function, 1, d=3), (2,), {}),
        (lambda *args: None, range(50), {}),
        (lambda *, d=1: None, (), {}),
        (len, ([],), {}),
        (print, (1, 2, 3), {"sep": ""}),
        (dict, (1, 2, 3), {}),
    ],
)
def test_arguments_that_fit_are_accepted(func, args, kwargs):
    util.check_callable_args(func, args, kwargs)


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "message"),
    [
        (
            lambda x, y, z=1: None,
            (1, 2),
            {"x": 1, "y": 2},
            "The following arguments are supplied in both args and kwargs: x, y",
        ),
        (lambda x, y, z=1: None, (), {}, "The following arguments have not been supplied: x, y"),
        (lambda x, y: None, (1,), {}, "The following arguments have not been supplied: y"),
        (
            lambda x: None,
            (1, 2),
            {},
            "The list of positional arguments is longer than the target callable can handle (allowed: 1, given in args: 2)",
        ),
        (
            lambda x: None,
            (),
            {"x": 1, "y": 2, "z": 3},
            "The target callable does not accept the following keyword arguments: y, z",
        ),
        (
            lambda x, *, y, z: None,
            (1,),
            {},
            "The following keyword-only arguments have not been supplied in kwargs: y, z",
        ),
        (
            lambda x, y, /: None,
            (),
            {"x": 1, "y": 2},
            "The following arguments cannot be given as keyword arguments: x, y",
        ),
        (
            lambda: None,
            (1,),
            {},
            "The list of positional arguments is longer than the target callable can handle (allowed: 0, given in args: 1)",
        ),
        (Service().run, (), {}, "The following arguments have not been supplied: a"),
        (Service().run, (1, 2, 3), {}, "(allowed: 2, given in args: 3)"),
    ],
)
def test_all_arguments_that_do_not_fit_are_named(func, args, kwargs, message):
    with pytest.raises(ArgumentMismatchError) as caught:
        util.check_callable_args(func, args, kwargs)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_signature_that_a_decorator_declares_counts():
    def wrapper(*args):
        return args

    wrapper.__signature__ = inspect.signature(lambda a: None)  # type: ignore[attr-defined]
    util.check_callable_args(wrapper, (1,), {})
    with pytest.raises(ArgumentMismatchError):
        util.check_callable_args(wrapper, (1, 2), {})


@pytest.mark.thorough
def test_the_memory_of_signatures_keeps_no_function_alive():
    def short_lived(a, *, b):
        return a, b

    util.check_callable_args(short_lived, (1,), {"b": 2})
    gone = weakref.ref(short_lived)
    assert short_lived in present(callables._signatures)
    del short_lived
    gc.collect()
    assert gone() is None


def test_importing_util_stays_light():
    heavy = ["zoneinfo", "inspect", "asyncio", "re", "tzlocal", "difflib", "typing", "dataclasses"]
    code = f"import sys; import rota.util; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(util.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("word", "possible", "wanted"),
    [
        ("intervall", ["interval", "cron"], "interval"),
        ("mintues", ["minutes", "hours"], "minutes"),
        ("Misfire_Grace", ["misfire_grace_time", "max_instances"], "misfire_grace_time"),
        ("Berlin", ["Europe/Berlin", "Europe/Dublin"], "Europe/Berlin"),
        ("crn", ["cron", "date"], "cron"),
        # these are like each other in letters, and not in what was meant
        ("blocking", ["clock", "lease", "logger"], None),
        ("standalone", ["timezone", "clock"], None),
        ("processes", ["process_name"], None),
        ("x", [], None),
    ],
)
def test_a_word_is_proposed_only_if_it_is_near(word, possible, wanted):
    assert util.nearest(word, possible) == wanted
    assert util.suggestion(word, possible) == (f"; did you mean {wanted!r}?" if wanted else "")
