"""Policies: what is accepted, what is refused, and that equal ones are one object."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rota.core.overlaps import NO_LIMIT
from rota.core.policy import (
    DEFAULT_POLICY,
    LONGEST_LOG,
    MOST_FAILURES,
    OPTION_NAMES,
    Policy,
    check_log,
    seconds_of,
    telling,
    with_options,
)
from rota.core.retry import Retry
from rota.errors import JobTypeError, JobValueError


def test_nothing_is_ever_too_late_by_default():
    assert DEFAULT_POLICY.misfire_grace is None
    assert (DEFAULT_POLICY.coalesce, DEFAULT_POLICY.max_instances) == (True, 1)
    assert (DEFAULT_POLICY.on_lost, DEFAULT_POLICY.max_attempts) == ("rerun", 3)
    assert Policy() == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("value", "microseconds", "seconds"),
    [(3, 3_000_000, 3), (0.5, 500_000, 0.5), (timedelta(minutes=1), 60_000_000, 60), (None, None, None)],
)
def test_durations_are_seconds_or_timedeltas(value, microseconds, seconds):
    policy = with_options(DEFAULT_POLICY, {"misfire_grace_time": value, "expires": value})
    assert (policy.misfire_grace, policy.expires) == (microseconds, microseconds)
    assert seconds_of(policy.misfire_grace) == seconds
    assert type(seconds_of(policy.misfire_grace)) is type(seconds)


@pytest.mark.parametrize("name", ["misfire_grace_time", "expires", "timeout", "heartbeat_timeout"])
@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), float("inf"), timedelta(0), 1e-9])
def test_a_duration_that_is_not_positive_is_refused_by_name_and_value(name, value):
    with pytest.raises(JobTypeError, match=name) as caught:
        with_options(DEFAULT_POLICY, {name: value})
    assert repr(value) in str(caught.value)


def test_more_runs_at_once_than_any_store_counts_are_refused():
    assert with_options(DEFAULT_POLICY, {"max_instances": NO_LIMIT}).limit == NO_LIMIT
    with pytest.raises(
        JobValueError, match=f"^max_instances must be {NO_LIMIT} at most, got 1{'0' * 30}; overlap"
    ):
        with_options(DEFAULT_POLICY, {"max_instances": 10**30})


@pytest.mark.parametrize("name", ["max_instances", "max_attempts"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_a_count_that_is_not_a_positive_integer_is_refused(name, value):
    with pytest.raises(JobTypeError, match=f"{name} must be a positive integer"):
        with_options(DEFAULT_POLICY, {name: value})


@pytest.mark.parametrize("name", ["max_instances", "max_attempts"])
def test_a_count_of_one_is_accepted(name):
    policy = with_options(DEFAULT_POLICY, {name: 1})
    assert getattr(policy, name) == 1


def test_a_duration_of_a_microsecond_is_accepted():
    assert with_options(DEFAULT_POLICY, {"expires": 0.000001}).expires == 1


@pytest.mark.parametrize(
    ("value", "known"), [(True, True), (1, True), (False, False), (0, False), (None, False)]
)
def test_whether_times_are_coalesced_is_a_truth_value(value, known):
    assert with_options(DEFAULT_POLICY, {"coalesce": value}).coalesce is known


@pytest.mark.parametrize("value", ["false", "true", ""])
def test_a_truth_value_in_words_is_refused(value):
    with pytest.raises(JobTypeError, match=f"coalesce must be True or False, got '{value}'"):
        with_options(DEFAULT_POLICY, {"coalesce": value})


@pytest.mark.parametrize("value", ["rerun", "lost"])
def test_a_lost_run_may_be_run_again_or_be_lost(value):
    assert with_options(DEFAULT_POLICY, {"on_lost": value}).on_lost == value


@pytest.mark.parametrize("value", ["retry", None, 5, ["lost"], ()])
def test_an_unknown_way_to_treat_lost_runs_is_refused(value):
    with pytest.raises(JobValueError, match='on_lost must be "rerun" or "lost"') as caught:
        with_options(DEFAULT_POLICY, {"on_lost": value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("value", "failures"), [(False, 0), (True, 1), (1, 1), (3, 3), (100, 100)])
def test_a_job_may_be_paused_after_some_failures(value, failures):
    assert with_options(DEFAULT_POLICY, {"pause_on_failure": value}).pause_on_failure == failures


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, JobValueError),
        (-1, JobValueError),
        (101, JobValueError),
        (None, JobTypeError),
        ("3", JobTypeError),
        (1.5, JobTypeError),
    ],
)
def test_what_is_no_number_of_failures_is_refused(value, error):
    with pytest.raises(error, match="pause_on_failure must be False, True or a number") as caught:
        with_options(DEFAULT_POLICY, {"pause_on_failure": value})
    assert repr(value) in str(caught.value)


EACH_OPTION = {
    "misfire_grace_time": 3,
    "coalesce": False,
    "max_instances": 2,
    "expires": 4,
    "on_lost": "lost",
    "max_attempts": 7,
    "keep_log": 1000,
    "timeout": 5,
    "heartbeat_timeout": 6,
    "on_failure": "builtins:print",
    "retry": Retry(wait_initial=3),
    "overlap": "buffer_one",
    "pause_on_failure": 4,
}


@pytest.mark.parametrize("name", OPTION_NAMES)
def test_an_option_changes_its_part_of_a_policy_and_no_other(name):
    assert set(OPTION_NAMES) == set(EACH_OPTION)
    policy = with_options(DEFAULT_POLICY, {name: EACH_OPTION[name]})
    differing = [mine != usual for mine, usual in zip(policy.key(), DEFAULT_POLICY.key(), strict=True)]
    assert differing.count(True) == 1
    assert policy != DEFAULT_POLICY
    every = with_options(DEFAULT_POLICY, EACH_OPTION)
    assert every.key() == (
        *(3_000_000, False, 2, 4_000_000, "lost", 7, 1000),
        *(5_000_000, 6_000_000, "builtins:print", Retry(wait_initial=3), "buffer_one", 4),
    )
    assert with_options(every, {name: EACH_OPTION[name]}) is every


def test_policies_are_compared_and_hashed_by_value():
    mine, same, another = Policy(5, max_attempts=2), Policy(5, max_attempts=2), Policy(5)
    assert mine == same
    assert hash(mine) == hash(same)
    assert mine != another
    assert mine != mine.key()
    assert repr(mine) == "Policy(5, True, 1, None, 'rerun', 2, 0, None, None, None, None, 'skip', 0)"


@pytest.mark.parametrize(
    ("duration", "seconds"), [(None, None), (0, 0), (1_000_000, 1), (1_500_000, 1.5), (1, 0.000001)]
)
def test_a_duration_is_shown_in_whole_seconds_where_it_can_be(duration, seconds):
    assert seconds_of(duration) == seconds
    assert type(seconds_of(duration)) is type(seconds)


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


# ---------------------------------------------------------------------------------------- options that meet each other

#: which policies of a process are told of by flags, so that nobody else pays for them: the flag, and an option that sets it
FLAGS: dict[str, dict[str, object]] = {
    "some_tell": {"on_failure": "builtins:print"},
    "some_keep_log": {"keep_log": 1},
    "some_pause": {"pause_on_failure": 1},
    "some_retry": {"retry": True},
    "some_time_out": {"timeout": 1},
    "some_wait": {"overlap": "buffer_one"},
}


@pytest.mark.parametrize("flag", FLAGS)
def test_a_process_knows_that_one_of_its_policies_needs_more(flag, monkeypatch):
    for name in FLAGS:
        monkeypatch.setattr(Policy, name, False)
    nothing = {"keep_log": 0, "retry": False, "pause_on_failure": False, "on_failure": None}
    with_options(DEFAULT_POLICY, {"coalesce": False, "overlap": "allow_all", **nothing})
    assert not any(getattr(Policy, name) for name in FLAGS)
    with_options(DEFAULT_POLICY, FLAGS[flag])
    assert [name for name in FLAGS if getattr(Policy, name)] == [flag]
    with_options(DEFAULT_POLICY, {"overlap": "allow_all", "keep_log": 0})
    assert getattr(Policy, flag)


def test_a_silence_that_is_limited_is_a_limit_of_time(monkeypatch):
    monkeypatch.setattr(Policy, "some_time_out", False)
    with_options(DEFAULT_POLICY, {"timeout": None, "heartbeat_timeout": None})
    assert not Policy.some_time_out
    with_options(DEFAULT_POLICY, {"heartbeat_timeout": 1})
    assert Policy.some_time_out


@pytest.mark.parametrize(
    ("options", "supersedes"),
    [
        ({}, False),
        ({"retry": True}, True),
        ({"retry": Retry(until=None)}, False),
        ({"retry": True, "overlap": "cancel_other"}, True),
        ({"retry": True, "overlap": "buffer_one"}, False),
        ({"retry": True, "overlap": "buffer_all"}, False),
        ({"retry": Retry(until="next"), "overlap": "buffer_one"}, True),
        ({"retry": Retry(until=None), "overlap": "buffer_one"}, False),
    ],
)
def test_the_claim_of_a_later_time_ends_waiting_retries_unless_times_are_buffered(options, supersedes):
    assert with_options(DEFAULT_POLICY, options).supersedes is supersedes


@pytest.mark.parametrize(
    ("overlap", "limit", "waits", "merges", "spare"),
    [
        ("skip", 3, False, True, 0),
        ("buffer_one", 3, True, True, 2),
        ("buffer_all", 3, True, False, 2),
        ("cancel_other", 3, True, True, 2),
        ("allow_all", 10**9, False, True, 0),
    ],
)
def test_what_follows_from_overlap(overlap, limit, waits, merges, spare):
    options = {"overlap": overlap} if overlap == "allow_all" else {"overlap": overlap, "max_instances": 3}
    policy = with_options(DEFAULT_POLICY, options)
    assert (policy.limit, policy.waits_for_room, policy.merges, policy.spare) == (limit, waits, merges, spare)


def test_options_that_overlap_leaves_no_meaning_are_refused_and_defaults_are_left_out():
    with pytest.raises(
        JobValueError, match=r'^max_instances must be left out beside overlap="allow_all", got 3; there'
    ):
        with_options(DEFAULT_POLICY, {"overlap": "allow_all", "max_instances": 3})
    with pytest.raises(
        JobValueError, match=r'^coalesce must be left out beside overlap="buffer_all", got False; every'
    ):
        with_options(DEFAULT_POLICY, {"overlap": "buffer_all", "coalesce": False})
    defaults = with_options(DEFAULT_POLICY, {"max_instances": 3, "coalesce": False})
    free = with_options(defaults, {"overlap": "allow_all"})
    assert (free.max_instances, free.coalesce) == (1, False)
    all_of_them = with_options(defaults, {"overlap": "buffer_all"})
    assert (all_of_them.max_instances, all_of_them.coalesce) == (3, True)


def test_a_stored_reference_is_told_of_and_looked_up_later(monkeypatch):
    monkeypatch.setattr(Policy, "some_tell", False)
    policy = telling(with_options(DEFAULT_POLICY, {"timeout": 3}), "no.such.module:tell")
    assert (policy.on_failure, policy.timeout, Policy.some_tell) == ("no.such.module:tell", 3_000_000, True)
    assert telling(with_options(DEFAULT_POLICY, {"timeout": 3}), "no.such.module:tell") is policy
    with pytest.raises(JobTypeError, match="on_failure must be stored as a textual reference, got 5"):
        telling(DEFAULT_POLICY, 5)


def test_worker_processes_are_not_told_whom_to_tell():
    policy = with_options(DEFAULT_POLICY, {"on_failure": "builtins:print", "timeout": 3})
    assert policy.for_workers() == with_options(DEFAULT_POLICY, {"timeout": 3})
    assert policy.on_failure == "builtins:print"
    assert DEFAULT_POLICY.for_workers() is DEFAULT_POLICY


def test_the_functions_of_a_policy_are_those_that_its_options_name():
    assert DEFAULT_POLICY.functions() == []
    options = {"on_failure": "builtins:print", "retry": Retry("builtins:bool")}
    assert with_options(DEFAULT_POLICY, options).functions() == ["builtins:print", "builtins:bool"]
    assert with_options(DEFAULT_POLICY, {"retry": True}).functions() == []


def test_the_defaults_are_one_object_also_when_the_shared_ones_were_forgotten():
    for number in range(1, 1010):
        with_options(DEFAULT_POLICY, {"expires": number})
        assert with_options(with_options(DEFAULT_POLICY, {"expires": 1}), {"expires": None}) is DEFAULT_POLICY


def test_bounds_of_options():
    assert (LONGEST_LOG, MOST_FAILURES) == (65_536, 100)
    assert with_options(DEFAULT_POLICY, {"keep_log": LONGEST_LOG}).keep_log == LONGEST_LOG
    for value in (-1, LONGEST_LOG + 1):
        with pytest.raises(JobValueError, match="keep_log must be a number of bytes from 0 to 65536, got"):
            with_options(DEFAULT_POLICY, {"keep_log": value})


@pytest.mark.parametrize("value", [True, "5", 1.5, None])
def test_a_log_is_kept_by_bytes(value):
    with pytest.raises(JobTypeError, match="keep_log must be a number of bytes, got"):
        with_options(DEFAULT_POLICY, {"keep_log": value})


def test_a_store_may_keep_less_of_a_log():
    policy = with_options(DEFAULT_POLICY, {"keep_log": 100})
    check_log(policy, 100)
    with pytest.raises(
        JobValueError, match="keep_log must be a number of bytes from 0 to 99 in this job store, got 100"
    ):
        check_log(policy, 99)


def test_options_are_taken_back():
    policy = with_options(DEFAULT_POLICY, {"on_failure": "builtins:print", "retry": True})
    for value in (None, False):
        assert with_options(policy, {"on_failure": None, "retry": value}) is DEFAULT_POLICY


@pytest.mark.parametrize("value", ["wait", 5, None])
def test_an_unknown_overlap_is_refused(value):
    with pytest.raises(JobValueError, match=r'^overlap must be one of "skip", "buffer_one", '):
        with_options(DEFAULT_POLICY, {"overlap": value})
