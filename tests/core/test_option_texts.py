"""Options of jobs as people write them in one line."""

from __future__ import annotations

import pytest

from rota.core.option_texts import options_in, options_of_texts
from rota.core.policy import OPTION_NAMES
from rota.errors import JobTypeError, JobValueError, UnknownOptionError


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("timeout=300", {"timeout": 300}),
        (" timeout=1.5,  expires=none ", {"timeout": 1.5, "expires": None}),
        ("coalesce=No on_lost=lost", {"coalesce": False, "on_lost": "lost"}),
        ("retry=true", {"retry": True}),
        ("retry=off", {"retry": False}),
        ("retry=3", {"retry": True, "max_attempts": 4}),
        ("pause_on_failure=yes", {"pause_on_failure": True}),
        ("pause_on_failure=3", {"pause_on_failure": 3}),
    ],
)
def test_words_and_numbers_mean_what_add_job_takes(text, options):
    assert options_in(text) == options


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("colour=red", UnknownOptionError),
        ("timeout", JobValueError),
        ("=3", JobValueError),
        ("timeout=", JobValueError),
        ("timeout=1 timeout=1", JobValueError),
        ("timeout=-1", JobTypeError),
        ("on_lost=maybe", JobValueError),
        ("retry=-1", JobValueError),
        ("retry=0", JobValueError),
        ("retry=3 max_attempts=4", JobValueError),
        ("retry=1.5", JobTypeError),
    ],
)
def test_what_is_no_option_of_a_job_is_refused(text, error):
    with pytest.raises(error):
        options_in(text)


def test_one_more_try_is_two_attempts():
    assert options_in("retry=1") == {"retry": True, "max_attempts": 2}


def test_a_name_that_is_nearly_one_is_suggested_and_else_all_are():
    with pytest.raises(UnknownOptionError, match="A job has no option timeuot; did you mean timeout"):
        options_in("timeuot=3")
    with pytest.raises(
        UnknownOptionError, match="A job has no option colour; there are misfire_grace_time, coalesce, "
    ):
        options_in("colour=red")


def test_every_option_of_a_job_has_a_text():
    for name in OPTION_NAMES:
        text = {"on_failure": "builtins:print", "on_lost": "lost", "overlap": "skip"}.get(name, "1")
        assert name in options_of_texts({name: text})
