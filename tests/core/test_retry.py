"""What a Retry accepts, which failures it is for, how long it waits, and how it is stored."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from rota import Retry
from rota.clock import SECOND
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.retry import stored_retry
from rota.errors import JobTypeError, JobValueError
from rota.outcomes import LONGEST_WAIT
from rota.trust.names import callable_named


class Busy(Exception):
    """A failure of the tests' own."""


class VeryBusy(Busy):
    pass


def is_busy(exc):
    return isinstance(exc, Busy)


def after_its_number(exc):
    return exc.args[0]


def wanted(retry, exc):
    return retry.is_wanted(exc, callable_named)


def test_by_default_every_exception_is_tried_again_and_what_ends_programs_is_not():
    retry = Retry()
    assert wanted(retry, ValueError()) is True
    assert wanted(retry, VeryBusy()) is True
    for exc in (KeyboardInterrupt(), SystemExit(), GeneratorExit()):
        assert wanted(retry, exc) is False


def test_classes_stand_for_those_that_derive_from_them():
    retry = Retry(Busy)
    assert (wanted(retry, Busy()), wanted(retry, VeryBusy()), wanted(retry, ValueError())) == (
        True,
        True,
        False,
    )
    assert retry.on == ("tests.core.test_retry:Busy",)


def test_what_is_left_out_is_left_out_whatever_else_it_is():
    retry = Retry((OSError, Busy), not_on=(VeryBusy, PermissionError))
    assert [wanted(retry, exc()) for exc in (Busy, VeryBusy, OSError, PermissionError)] == [
        True,
        False,
        True,
        False,
    ]
    assert wanted(Retry(is_busy, not_on=VeryBusy), VeryBusy()) is False


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (True, True),
        (False, False),
        (None, False),
        (5, 5 * SECOND),
        (0.5, SECOND // 2),
        (timedelta(minutes=1), 60 * SECOND),
    ],
)
def test_a_predicate_says_whether_or_after_how_many_seconds(answer, found):
    result = wanted(Retry(after_its_number), Busy(answer))
    assert (result, type(result)) == (found, type(found))


@pytest.mark.parametrize("answer", ["soon", [], -1, float("nan"), float("inf")])
def test_a_predicate_that_says_something_else_is_told_so(answer):
    with pytest.raises((JobTypeError, JobValueError), match="predicate of retry="):
        wanted(Retry(after_its_number), Busy(answer))


def test_a_predicate_may_be_named_and_so_may_a_class():
    assert wanted(Retry("tests.core.test_retry:is_busy"), Busy()) is True
    assert Retry("tests.core.test_retry:Busy") == Retry(Busy)


def test_each_wait_is_longer_than_the_one_before_up_to_the_longest():
    retry = Retry(wait_initial=10, wait_exp_base=3, wait_max=100, wait_jitter=0.5)
    assert [retry.wait(number, 0) // SECOND for number in (1, 2, 3, 4, 5)] == [10, 30, 90, 100, 100]
    assert retry.wait(2, 1) == 45 * SECOND
    assert retry.wait(2, 0.5) == 37.5 * SECOND
    assert retry.wait(10_000, 0) == 100 * SECOND  # no number is too large


def test_the_defaults_are_a_quarter_of_a_minute_doubled_up_to_an_hour():
    retry = Retry()
    assert [retry.wait(number, 0) // SECOND for number in (1, 2, 3, 8, 9)] == [15, 30, 60, 1920, 3600]
    assert (retry.wait_jitter, retry.timeout, retry.until) == (0.1, None, "next")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on": 5}, "on must be a class of exceptions, or a tuple of them, got 5"),
        ({"on": int}, "on must be a class of exceptions, or a tuple of them, got <class 'int'>"),
        ({"on": ()}, "on must be a class of exceptions or several, got ()"),
        ({"on": lambda: True}, "on must take one argument, the exception"),
        ({"not_on": is_busy}, "not_on must be a class of exceptions"),
        ({"wait_initial": -1}, "wait_initial must be a number from 0"),
        ({"wait_initial": "5"}, "wait_initial must be a number from 0"),
        ({"wait_initial": True}, "wait_initial must be a number from 0"),
        ({"wait_exp_base": 0.5}, "wait_exp_base must be a number from 1"),
        ({"wait_max": float("nan")}, "wait_max must be a number from 0"),
        ({"wait_max": float("inf")}, "wait_max must be a number from 0"),
        ({"wait_jitter": -0.1}, "wait_jitter must be a number from 0"),
        ({"timeout": 0}, "timeout must be a number from"),
        ({"until": "later"}, 'until must be "next" or None'),
    ],
)
def test_what_makes_no_sense_is_refused(options, text):
    with pytest.raises((JobTypeError, JobValueError)) as caught:
        Retry(**options)
    assert text in str(caught.value)


def test_seconds_may_be_given_as_timedeltas():
    assert Retry(wait_initial=timedelta(minutes=1), timeout=timedelta(hours=1)) == Retry(
        wait_initial=60, timeout=3600
    )


def test_one_cannot_be_changed():
    retry = Retry()
    with pytest.raises(JobTypeError, match="make another one"):
        retry.wait_max = 5
    with pytest.raises(JobTypeError, match="make another one"):
        del retry.wait_max


SOME = [
    Retry(),
    Retry(Busy),
    Retry((OSError, KeyError), ConnectionError, 1, 3, 60, 0.5, 120.5, None),
    Retry(is_busy, wait_initial=0),
]


@pytest.mark.parametrize("retry", SOME, ids=repr)
def test_one_is_stored_by_names_and_numbers_and_equal_by_value(retry):
    stored = stored_retry(retry.to_dict())
    assert (stored, hash(stored), repr(stored)) == (retry, hash(retry), repr(retry))
    assert pickle.loads(pickle.dumps(retry)) == retry
    assert [other for other in SOME if other == retry] == [retry]
    assert retry != retry.to_dict()


def test_only_what_differs_from_the_defaults_is_stored():
    assert Retry().to_dict() == {}
    assert Retry(Busy, wait_max=5).to_dict() == {"on": ["tests.core.test_retry:Busy"], "wait_max": 5}


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "x",
        {"on": "builtins:ValueError"},
        {"on": [5]},
        {"predicate": 5},
        {"wait": 5},
        {"wait_max": "x"},
        {"until": 5},
    ],
)
def test_what_is_stored_and_is_none_is_refused(values):
    with pytest.raises((JobTypeError, JobValueError)):
        stored_retry(values)


def test_a_predicate_without_a_name_cannot_be_stored():
    retry = Retry(lambda exc: True)
    assert wanted(retry, Busy()) is True
    with pytest.raises(JobTypeError, match="importable"):
        retry.to_dict()
    assert "lambda" in repr(retry)


@pytest.mark.parametrize(
    ("value", "retry"), [(None, None), (False, None), (True, Retry()), (Retry(Busy), Retry(Busy))]
)
def test_the_option_takes_a_truth_value_or_a_retry(value, retry):
    assert with_options(DEFAULT_POLICY, {"retry": value}).retry == retry


@pytest.mark.parametrize("value", ["true", 3, 0, Retry, {"wait_max": 5}])
def test_the_option_takes_nothing_else(value):
    with pytest.raises(JobTypeError, match="retry must be None, True or a Retry"):
        with_options(DEFAULT_POLICY, {"retry": value})


# ------------------------------------------------------------------------------------------------------ what is too much


@pytest.mark.parametrize(
    ("name", "least", "most", "too_much"),
    [
        ("wait_initial", 0, LONGEST_WAIT / SECOND, LONGEST_WAIT / SECOND + 1),
        ("wait_max", 0, LONGEST_WAIT / SECOND, LONGEST_WAIT / SECOND + 1),
        ("timeout", 1e-6, LONGEST_WAIT / SECOND, LONGEST_WAIT / SECOND + 1),
        ("wait_exp_base", 1, 1e6, 1e6 + 0.5),
        ("wait_jitter", 0, 100, 100.5),
    ],
)
def test_numbers_are_from_the_least_to_the_most(name, least, most, too_much):
    for value in (least, most):
        assert getattr(Retry(**{name: value}), name) == value
    for value in (too_much, least - 1e-7):
        with pytest.raises(JobValueError, match=f"^{name} must be a number from "):
            Retry(**{name: value})


def test_what_a_retry_was_made_of_can_be_read():
    retry = Retry((ValueError, KeyError), not_on=UnicodeError)
    assert (retry.on, retry.not_on) == (
        ("builtins:KeyError", "builtins:ValueError"),
        ("builtins:UnicodeError",),
    )
    assert retry.predicate is None
    asked = Retry(is_busy)
    assert asked.on == asked.predicate == "tests.core.test_retry:is_busy"
    assert repr(asked) == "Retry(on='tests.core.test_retry:is_busy')"
    assert repr(Retry(lambda exc: True)).startswith("Retry(on=")


def test_a_wait_that_is_too_large_for_a_number_is_the_longest():
    retry = Retry(wait_exp_base=999_999.5, wait_jitter=0, wait_max=60)
    assert retry.wait(1000, 0) == 60 * SECOND


def test_a_predicate_may_not_ask_for_a_wait_without_end():
    longest = LONGEST_WAIT / SECOND
    assert wanted(Retry(after_its_number), Busy(longest)) == LONGEST_WAIT
    with pytest.raises(
        JobValueError, match="the wait that the predicate of retry= returns must be a number from 0 to"
    ):
        wanted(Retry(after_its_number), Busy(longest + 1))
