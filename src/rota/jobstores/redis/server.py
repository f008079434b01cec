"""The connection of the Redis store: scripts sent by their digest, the server's clock, and errors in Rota's words.

Knows no job. What the application passed in is used as it is, and never closed.
"""

from __future__ import annotations

from os import urandom

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterError,
    ConnectionError,
    NoScriptError,
    RedisError,
    TimeoutError,
)
from redis.retry import Retry

from ...errors import ConfigurationError, StoreError, StoreUnavailableError
from ...masking import without_secrets
from .wakeups import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from .lua import Script

#: How long a connection may take to come about, and how long an answer may take, in seconds.
CONNECT_TIMEOUT = 10
ANSWER_TIMEOUT = 30
#: How often an idle connection is tried, in seconds: a server that has vanished without a word is noticed then.
CHECK = 15
#: What a server answers that cannot work at the moment: full, a replica, loading, a changing cluster, busy with a long script …
#: redis-py has classes for some of them, which leave the first word out.
_TRANSIENT_TYPES = ("OutOfMemoryError", "ReadOnlyError", "TryAgainError")
_TRANSIENT_WORDS = ("OOM", "READONLY", "LOADING", "MASTERDOWN", "TRYAGAIN", "MISCONF", "NOREPLICAS", "BUSY")


class Server:
    """A Redis server, or a client that the application made.

    :param client: used instead of the following, if it is not None
    :param url: ``redis://``, ``rediss://`` (TLS) or ``unix://`` URL
    :param db: number of the database, unless the URL has one
    :param options: more keyword arguments for ``redis.Redis()``
    """

    def __init__(self, client: Any, url: str | None, db: int, options: Mapping[str, Any]) -> None:
        self._own = client is None
        self.client: Any = _make_client(url, db, options) if client is None else client
        #: names this object among those that use the same keys
        self.origin = urandom(8).hex()
        self._listener: Listener | None = None

    @property
    def address(self) -> str:
        """Where the server is, without user and password."""
        pool = getattr(self.client, "connection_pool", None)
        if pool is None:
            return type(self.client).__name__
        options = pool.connection_kwargs
        if "path" in options:
            return f"unix://{options['path']}?db={options.get('db', 0)}"
        scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
        host = options.get("host") or getattr(pool, "service_name", "localhost")
        return f"{scheme}://{host}:{options.get('port', 6379)}/{options.get('db') or 0}"

    @property
    def db(self) -> int:
        """The number of the database."""
        pool = getattr(self.client, "connection_pool", None)
        return int(pool.connection_kwargs.get("db") or 0) if pool is not None else 0

    def check_slots(self, keys: Iterable[str]) -> None:
        """Refuse keys that a cluster would keep on different nodes."""
        if self.is_cluster and len({self.client.keyslot(key) for key in keys}) > 1:
            raise ConfigurationError(
                "On a Redis cluster all keys of a store must have one hash tag: "
                'jobs_key="{rota}.jobs", run_times_key="{rota}.run_times"'
            )

    @property
    def is_cluster(self) -> bool:
        """Whether the keys of the server are spread over nodes."""
        return hasattr(self.client, "keyslot")

    def run(self, script: Script, key: str, payload: str | bytes = "", *beside: str | bytes) -> Any:
        """Carry out a script.

        A client that repeats what was not answered may carry it out twice; the scripts are made for that.

        :param key: one of the keys that the script uses; it leads to the node of a cluster
        :param beside: what few requests have besides
        :raises StoreUnavailableError, StoreError: what the server said
        """
        try:
            try:
                return self.client.evalsha(script.sha, 1, key, payload, self.origin, *beside)
            except NoScriptError:
                return self.client.eval(script.text, 1, key, payload, self.origin, *beside)
        except RedisError as exc:
            raise self._translated(exc) from exc

    def time(self) -> int | None:
        """Return the server's time as an instant."""
        if self.is_cluster:
            return None  # each node has its own
        try:
            seconds, micros = self.client.time()
        except RedisError as exc:
            raise self._translated(exc) from exc
        return int(seconds) * 1_000_000 + int(micros)

    def listen(self, channel: str, wake: Callable[[], None], listening: Callable[[bool], None]) -> None:
        """Call ``wake`` soon after others have published something, from a thread of its own.

        :param listening: called with True when that begins, and with False when the connection is lost
        """
        self.stop_listening()
        self._listener = Listener(self.client, channel, self.origin, wake, listening)

    def forked(self) -> None:
        """Forget the parent's thread, and its name."""
        self._listener = None
        self.origin = urandom(8).hex()

    def stop_listening(self) -> None:
        """End that thread."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def close(self) -> None:
        """Stop listening, and close the connections unless the client was passed in."""
        self.stop_listening()
        if self._own:
            self.client.close()

    def _translated(self, exc: RedisError) -> StoreError:
        said = without_secrets(str(exc))
        if isinstance(exc, (ConnectionError, TimeoutError, ClusterError)) or _is_transient(exc, said):
            return StoreUnavailableError(f"The Redis server {self.address} is not available: {said}")
        return StoreError(f"The Redis server {self.address} said: {type(exc).__name__}: {said}")


def _is_transient(exc: RedisError, said: str) -> bool:
    if type(exc).__name__ in _TRANSIENT_TYPES:
        return True
    # Errors inside a script are quoted in the middle of the answer.
    return said.startswith(_TRANSIENT_WORDS) or any(f"-{word} " in said for word in _TRANSIENT_WORDS)


def texts(values: Iterable[Any]) -> list[str]:
    """Return what the server answered as texts, whatever the client decodes."""
    return [
        value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value) for value in values
    ]


def _make_client(url: str | None, db: int, options: Mapping[str, Any]) -> Redis:
    merged: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": ANSWER_TIMEOUT,
        "socket_keepalive": True,
        "health_check_interval": CHECK,
        # A connection may have been cut while nobody used it. More patience is the business of the scheduler's back-off.
        "retry": Retry(NoBackoff(), 1),
        **options,
    }
    try:
        if url is None:
            return Redis(db=int(db), **merged)
        client: Redis = Redis.from_url(url, db=int(db), **merged)
        pool = client.connection_pool
        # Wrong options would be refused only when it connects.
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(
            f"Cannot use this Redis URL or these connection options: {without_secrets(str(exc), url)}"
        ) from None
    return client
