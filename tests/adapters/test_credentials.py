"""Passwords and keys are in no repr, no error, no log and no health report."""

from __future__ import annotations

import logging

import pytest

from rota.errors import ConfigurationError
from rota.masking import without_secrets
from rota.schedulers.background import BackgroundScheduler
from rota.schedulers.plugins import create_plugin
from tests.needs import need

SECRET = "s3cr3t-passw0rd"
KEY = "signing-key-of-many-bytes"
LIBRARIES = {
    "postgresql": ("psycopg", "postgresql"),
    "mysql": ("pymysql", "mysql"),
    "redis": ("redis", "redis"),
    "mongodb": ("pymongo", "mongodb"),
    "etcd": ("etcd3gw", "etcd"),
    "zk": ("kazoo", "zookeeper"),
    "rediss": ("redis", "redis"),
}
URLS = [
    f"postgresql://user:{SECRET}@127.0.0.1:1/db",
    f"postgresql://127.0.0.1:1/db?user=u&password={SECRET}",
    f"mysql://user:{SECRET}@127.0.0.1:1/db",
    f"redis://user:{SECRET}@127.0.0.1:1/0",
    f"redis://:{SECRET}@127.0.0.1:1/0",
]


def texts_of(error):
    """All that a program shows of an error that it logs with its cause."""
    found = []
    while error is not None:
        found += [str(error), repr(error)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def store_at(url):
    need("sqlalchemy", "sql")
    need(*LIBRARIES[url.partition(":")[0]])
    return create_plugin("jobstore", url, {"signing_key": KEY})


@pytest.mark.parametrize("url", URLS)
def test_a_store_shows_neither_its_password_nor_its_key(url, caplog):
    caplog.set_level(logging.DEBUG)
    store = store_at(url)
    shown = [repr(store), str(store)]
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC", jobstore_retry_interval=0.1)
    try:
        scheduler.start(paused=True)
    except Exception as error:
        shown += texts_of(error)[:2]
    else:
        shown.append(repr(scheduler.health()))
        scheduler.shutdown(wait=False)
    shown += [record.getMessage() for record in caplog.records if record.name.startswith("rota")]
    shown.append(repr(scheduler.health()))
    assert len(shown) > 3
    for text in shown:
        assert SECRET not in text
        assert KEY not in text


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://user:{SECRET}@127.0.0.1:1/db",
        f"etcd://user:{SECRET}@127.0.0.1:1/tree",
        f"zk://user:{SECRET}@127.0.0.1:1/tree",
    ],
)
def test_stores_whose_clients_wait_long_for_a_server_show_neither(url):
    try:
        store = store_at(url)
    except ConfigurationError as error:  # its URLs take no passwords
        shown = texts_of(error)
    else:
        shown = [repr(store), repr(vars(store)), str(store)]
        store.shutdown()
    for text in shown:
        assert SECRET not in text
        assert KEY not in text


@pytest.mark.parametrize(
    "jobstores",
    [
        {"default": f"nothing://user:{SECRET}@host/db"},
        {"default": {"url": f"nothing://user:{SECRET}@host/db"}},
        {"default": {"type": "sqlalchemy", "url": f"nothing://user:{SECRET}@host/db"}},
        {"default": {"type": "sqlalchemy", "url": f"postgresql://user:{SECRET}@host:port/db"}},
        {"default": {"type": "sqlalchemy", "urll": f"postgresql://user:{SECRET}@host/db"}},
        {"default": {"type": "sqlalchemy", "url": "sqlite://", "signing_key": KEY[:10]}},
        {"default": {"type": "sqlalchemy", "url": "sqlite://", "signing_keys": KEY}},
        {"default": f"mongodb://user:{SECRET}@host:port/db"},
        {"default": f"etcd://user:{SECRET}@host/db?nothing=1"},
        {"default": f"zk://user:{SECRET}@host/db?nothing=1"},
        {"default": [f"postgresql://user:{SECRET}@host/db"]},
    ],
)
def test_a_mistake_in_the_configuration_shows_neither(jobstores):
    need("sqlalchemy", "sql")
    for library in ("psycopg", "pymongo", "etcd3gw", "kazoo"):
        need(library, "all")
    with pytest.raises(Exception) as caught:
        BackgroundScheduler(jobstores=jobstores)
    for text in texts_of(caught.value):
        assert SECRET not in text
        assert KEY[:10] not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"redis://u:{SECRET}@h/0", "redis://***@h/0"),
        (
            f"cannot reach postgresql://u:{SECRET}@h:5432/db now",
            "cannot reach postgresql://***@h:5432/db now",
        ),
        (f"x://h/?password={SECRET}&a=1", "x://h/?password=***&a=1"),
        ("sqlite:///jobs.sqlite", "sqlite:///jobs.sqlite"),
    ],
)
def test_urls_are_shown_without_their_passwords(text, shown):
    assert without_secrets(text) == shown
