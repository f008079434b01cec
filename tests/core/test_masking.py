"""URLs in messages: everything between // and @, and every parameter that sounds like a secret, is masked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.callables import maybe_ref
from rota.errors import RotaError
from rota.masking import masked, without_secrets
from rota.schedulers.plugins import create_plugin

SECRET = "s3cr3t"
SCHEMES = (
    "postgresql",
    "mysql+pymysql",
    "redis",
    "rediss",
    "mongodb",
    "mongodb+srv",
    "etcd",
    "zk",
    "nothing",
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:p@h/0", "redis://***@h/0"),
        ("etcd://secret@host:2379/path", "etcd://***@host:2379/path"),
        ("zk://secret@host", "zk://***@host"),
        ("redis://:p/a?s#s@h/0", "redis://***@h/0"),
        ("redis://u:p p@h/0", "redis://***@h/0"),
        ("redis://u:p@ss@h/0", "redis://***@h/0"),
        ("x://h/d?password=p&a=1", "x://h/d?password=***&a=1"),
        ("x://h/d?a=1;sslKey=p", "x://h/d?a=***"),
        ("x://h/d?p%61ssword=p", "x://h/d?p%61ssword=***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Da%3BPWD%3Dp", "mssql+pyodbc:///?odbc_connect=***"),
        ("mongodb://h/?authSource=admin&authMechanismProperties=AWS_SESSION_TOKEN:t", None),
        ("sqlite:////home/me@work/jobs.sqlite", "sqlite:////home/me@work/jobs.sqlite"),
        ("u:p@h/db", "***@h/db"),
        ("sqlite:///jobs.sqlite", "sqlite:///jobs.sqlite"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown):
    if shown is None:
        shown = "mongodb://h/?authSource=admin&authMechanismProperties=***"
    assert masked(url) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach redis://u:p@h/0 now, me@work", "cannot reach redis://***@h/0 now, me@work"),
        ("'etcd://p@h' is no URL", "'etcd://***@h' is no URL"),
        ("(redis://h/?token=p)", "(redis://h/?token=***)"),
        ("mail me@work or see http://h/a", "mail me@work or see http://h/a"),
    ],
)
def test_a_text_is_shown_without_the_secrets_of_the_urls_in_it(text, shown):
    assert without_secrets(text) == shown


def test_pieces_of_a_password_that_a_wrong_reading_has_made_are_masked():
    url = "redis://u:abc/def%20g@h/0"
    assert without_secrets("Port could not be cast to integer value as 'abc'", url) == (
        "Port could not be cast to integer value as '***'"
    )
    assert (
        without_secrets("'def g' is wrong", url) == "'*** g' is wrong"
        or without_secrets("'abc/def g'", url) == "'***'"
    )
    assert without_secrets(f"refused: {url}", url) == "refused: redis://***@h/0"
    assert without_secrets("nothing", None) == "nothing"


CHARACTERS = st.text(st.characters(codec="utf-8", exclude_characters="\n@&"), max_size=8)


@given(st.sampled_from(SCHEMES), CHARACTERS, CHARACTERS, st.sampled_from(["", "?a=b", "/d?x=1#f"]))
def test_no_user_and_no_password_is_shown_whatever_they_are_made_of(scheme, before, after, rest):
    if before.startswith("/"):
        before = f"u{before}"
    for user in (f"{before}{SECRET}{after}", f"u:{before}{SECRET}{after}"):
        url = f"{scheme}://{user}@host{rest}"
        assert SECRET not in masked(url)
        assert SECRET not in without_secrets(f"it said: {url}!", url)
        assert masked(url).endswith(f"@host{rest}") or "?" in user


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWD",
        "pwd",
        "client_secret",
        "auth",
        "access_token",
        "sslkey",
        "api-key",
        "credentials",
    ],
)
def test_every_parameter_that_sounds_like_a_secret_is_masked(name):
    assert SECRET not in without_secrets(f"at x://h/d?a=1&{name}={SECRET}&b=2 it failed")


@pytest.mark.parametrize(
    "show",
    [
        lambda url: create_plugin("jobstore", f"nothing{url}", {}),
        lambda url: create_plugin("jobstore", f"u:{SECRET}@{url}", {}),
        lambda url: create_plugin("jobstore", f"postgresql:/u:{SECRET}@h/d", {}),
        lambda url: maybe_ref(f"postgresql{url}"),
        lambda url: maybe_ref(f":{SECRET}@h"),
    ],
)
def test_a_url_in_the_place_of_something_else_is_refused_without_its_secret(show):
    with pytest.raises(RotaError) as caught:
        show(f"://u:{SECRET}@host/db")
    assert SECRET not in str(caught.value)
