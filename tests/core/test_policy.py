"""Policies: what is accepted, what is refused, and that equal ones are one object."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rota.core.policy import DEFAULT_POLICY, seconds_of, with_options
from rota.errors import JobTypeError, JobValueError


def test_nothing_is_ever_too_late_by_default():
    assert DEFAULT_POLICY.misfire_grace is None
    assert (DEFAULT_POLICY.coalesce, DEFAULT_POLICY.max_instances) == (True, 1)
    assert (DEFAULT_POLICY.on_lost, DEFAULT_POLICY.max_attempts) == ("rerun", 3)


@pytest.mark.parametrize(
    ("value", "microseconds", "seconds"),
    [(3, 3_000_000, 3), (0.5, 500_000, 0.5), (timedelta(minutes=1), 60_000_000, 60), (None, None, None)],
)
def test_durations_are_seconds_or_timedeltas(value, microseconds, seconds):
    policy = with_options(DEFAULT_POLICY, {"misfire_grace_time": value, "expires": value})
    assert (policy.misfire_grace, policy.expires) == (microseconds, microseconds)
    assert seconds_of(policy.misfire_grace) == seconds
    assert type(seconds_of(policy.misfire_grace)) is type(seconds)


@pytest.mark.parametrize("name", ["misfire_grace_time", "expires"])
@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), float("inf"), timedelta(0), 1e-9])
def test_a_duration_that_is_not_positive_is_refused_by_name_and_value(name, value):
    with pytest.raises(JobTypeError, match=name) as caught:
        with_options(DEFAULT_POLICY, {name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["max_instances", "max_attempts"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_a_count_that_is_not_a_positive_integer_is_refused(name, value):
    with pytest.raises(JobTypeError, match=f"{name} must be a positive integer"):
        with_options(DEFAULT_POLICY, {name: value})


def test_an_unknown_way_to_treat_lost_runs_is_refused():
    with pytest.raises(JobValueError, match="'retry'"):
        with_options(DEFAULT_POLICY, {"on_lost": "retry"})


def test_jobs_with_equal_policies_share_one_object():
    first = with_options(DEFAULT_POLICY, {"max_instances": 17, "expires": 3})
    assert with_options(DEFAULT_POLICY, {"expires": 3.0, "max_instances": 17}) is first
    assert with_options(first, {}) is first


def test_the_table_of_shared_policies_is_bounded():
    from rota.core import policy

    for number in range(1, 3000):
        with_options(DEFAULT_POLICY, {"misfire_grace_time": number})
    assert len(policy._shared) <= 1001


def test_a_policy_that_is_derived_leaves_its_base_alone():
    with_options(DEFAULT_POLICY, {"coalesce": False})
    assert DEFAULT_POLICY.coalesce is True
