"""The connection of the etcd store, through the JSON gateway of etcd: ranges, transactions, the watch for wake-ups.

Knows no job. A client that the application passed in is used as it is, and only closed if that was asked for.
"""

from __future__ import annotations

from base64 import b64decode
from contextlib import contextmanager
from os import urandom

from etcd3gw import Etcd3Client
from etcd3gw.exceptions import (
    ApiVersionDiscoveryFailedError,
    ConnectionFailedError,
    ConnectionTimeoutError,
    Etcd3Exception,
)
from requests import RequestException
from requests.utils import get_netrc_auth

from ...clock import SECOND, instant
from ...errors import ConfigurationError, StoreError, StoreUnavailableError
from ...masking import without_secrets
from ..tree.keys import WAKE
from ..tree.port import KEEP, Entry, Tree
from .wakeups import ANSWER_TIMEOUT, Listener, encoded, value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from ..tree.port import Change

#: The most operations of one transaction (etcd's --max-txn-ops).
OPERATIONS = 128
#: How many entries are read at once.
PAGE = 500
#: How many values are read to see whether the others are short, and up to which length (of their base64) they are, on an average.
SAMPLE = 25
SHORT = 2_000
#: What etcd answers when it cannot work at the moment.
_TRANSIENT = (
    "no leader",
    "leader changed",
    "timed out",
    "unavailable",
    "too many requests",
    "space exceeded",
    "not capable",
)


class Server(Tree):
    """An etcd cluster, or a client that the application made.

    :param path: prefix of all keys
    :param client: used instead of an own one, if it is not None
    :param close: whether a client that was passed in is closed
    :param options: keyword arguments for ``Etcd3Client()``
    """

    max_changes = OPERATIONS - 4
    clock_unit = SECOND
    max_bytes = 1_000_000

    def __init__(self, path: str, client: Any, close: bool, options: Mapping[str, Any]) -> None:
        self._path = path
        self._own = client is None
        self._close = close or client is None
        self._options = {"timeout": ANSWER_TIMEOUT, **options}
        self.client: Any = self._make_client() if client is None else client
        #: names this object among those that use the same path
        self._origin = urandom(8).hex()
        self._listener: Listener | None = None

    def _make_client(self) -> Etcd3Client:
        try:
            client = Etcd3Client(**self._options)
        except TypeError as exc:
            raise ConfigurationError(f"Cannot use these connection options for etcd: {exc}") from None
        if "session" not in self._options:
            _ask_environment(client)
        return client

    @property
    def address(self) -> str:  # type: ignore[override]
        """Where the server is."""
        client = self._make_client() if self.client is None else self.client
        return without_secrets(str(getattr(client, "base_url", type(client).__name__)))

    # -- connection ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        if self.client is None:
            self.client = self._make_client()

    def close(self) -> None:
        self._stop_listening()
        if self._close and self.client is not None:
            self.client.session.close()

    def forked(self) -> None:
        self._listener = None
        if self._own:
            self.client = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the client's errors into Rota's."""
        try:
            yield
        except (ConnectionFailedError, ConnectionTimeoutError, ApiVersionDiscoveryFailedError) as exc:
            raise self._unavailable(exc) from exc
        except Etcd3Exception as exc:
            if any(word in f"{exc} {exc.detail_text}".lower() for word in _TRANSIENT):
                raise self._unavailable(exc) from exc
            raise StoreError(f"etcd at {self.address} said: {_said(exc)}") from exc
        except (
            RequestException,
            OSError,
            ValueError,
        ) as exc:  # a connection that broke in the middle of an answer
            raise self._unavailable(exc) from exc

    def _unavailable(self, exc: Exception) -> StoreUnavailableError:
        return StoreUnavailableError(f"etcd at {self.address} is not available: {_said(exc)}")

    def _transact(self, success: list[Any], compare: Sequence[Any] = ()) -> Any:
        if self.client is None:
            raise StoreUnavailableError(
                "The connection to etcd was left to the parent process; start the store again"
            )
        with self._translated():
            return self.client.transaction({"compare": list(compare), "success": success, "failure": []})

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, keys: Sequence[str]) -> list[Entry]:
        ranges = [{"key": self._key(key)} for key in keys]
        return [_entry(found[0]) if found else Entry(None, 0) for found in self._ranges(ranges)]

    def entries(self, folder: str, prefix: str = "") -> dict[str, Entry]:
        return {name: _entry(pair) for name, pair in self._scan(folder, prefix, False)}

    def names(self, folder: str) -> list[str]:
        return [name for name, _ in self._scan(folder, "", True)]

    def names_at(self, path: str) -> list[str]:
        return Server(path, self.client, False, {}).names("")

    def url_at(self, path: str) -> str | None:
        if not self._own or not self._options.keys() <= {"host", "port", "protocol", "timeout"}:
            return None
        protocol, _, host = self.client.base_url.partition("://")
        return f"{'etcds' if protocol == 'https' else 'etcd'}://{host}{path}"

    def below(self, folder: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for tail, _ in self._scan(folder, "", True):
            part, _, name = tail.partition("/")
            found.setdefault(part, []).append(name)
        return found

    def some_below(self, folder: str, limit: int) -> tuple[dict[str, list[str]], bool]:
        found: dict[str, list[str]] = {}
        for number, (tail, _) in enumerate(self._scan(folder, "", True, limit + 1)):
            if number == limit:
                return found, False
            part, _, name = tail.partition("/")
            found.setdefault(part, []).append(name)
        return found, True

    def sizes(self, folders: Sequence[str]) -> list[int]:
        asked = []
        for start, end in map(_bounds, folders):
            counted = {"key": self._key(start), "range_end": self._key(end), "count_only": True}
            asked.append({"request_range": counted})
        answers = self._transact(asked)["responses"] if asked else ()
        return [int(answer["response_range"].get("count", 0)) for answer in answers]

    def after(self, folder: str, name: str, limit: int) -> list[str]:
        return [self._tail(pair, folder) for pair in self._after(folder, name, limit, True)]

    def _after(self, folder: str, name: str, limit: int, keys_only: bool) -> list[Any]:
        """Return the first pairs in a folder that come after a name, at most so many."""
        _, end = _bounds(folder)
        start = f"{folder}/{name}\0" if name else f"{folder}/"
        bounds = {"key": self._key(start), "range_end": self._key(end)}
        (pairs,) = self._ranges([{**bounds, "limit": str(limit), "keys_only": keys_only}])
        return pairs

    def some_values(self, folder: str, limit: int) -> dict[str, str | None]:
        # A pair with a short value costs the gateway half as much again as one without, and a range of its own six times as much.
        found: dict[str, str | None] = {}
        size, last = SAMPLE, ""
        while len(found) < limit:
            size = min(size, limit - len(found))
            pairs = self._after(folder, last, size, False)
            found |= {self._tail(pair, folder): value_of(pair) for pair in pairs}
            if len(pairs) < size or len(found) == limit:
                break
            last = next(reversed(found))
            if sum(len(pair.get("value", "")) for pair in pairs) > SHORT * len(pairs):
                return found | dict.fromkeys(self.after(folder, last, limit - len(found)))
            size = 2 * PAGE
        return found

    def pages(self, folder: str) -> Iterator[list[tuple[str, str]]]:
        last = ""
        while True:
            tails = self.after(folder, last, PAGE)
            yield [(part, name) for part, _, name in (tail.partition("/") for tail in tails)]
            if len(tails) < PAGE:
                return
            last = tails[-1]

    def folders(self, folder: str) -> list[str]:
        # From the first key of one folder to the first key after it.
        start, end = _bounds(folder)
        found: list[str] = []
        while True:
            wanted = {"key": self._key(start), "range_end": self._key(end), "limit": "1", "keys_only": True}
            (pairs,) = self._ranges([wanted])
            if not pairs:
                return found
            part, slash, _ = self._tail(pairs[0], folder).partition("/")
            if slash:
                found.append(part)
            parent = f"{folder}/" if folder else ""
            start = f"{parent}{part}0" if slash else f"{parent}{part}\0"

    def first(
        self, folders: Sequence[str], below: str | None, limits: Sequence[int | None], since: str = ""
    ) -> list[list[str]]:
        ranges = []
        for folder, limit in zip(folders, limits, strict=True):
            start, end = _bounds(folder)
            wanted = {
                "key": self._key(start + since),
                "range_end": self._key(end if below is None else start + below),
                "keys_only": True,
            }
            if limit is not None:
                wanted["limit"] = str(limit)
            ranges.append(wanted)
        return [
            [self._tail(pair, folder) for pair in pairs]
            for folder, pairs in zip(folders, self._ranges(ranges), strict=True)
        ]

    def last(self, folders: Sequence[str]) -> list[str | None]:
        ranges = []
        for start, end in map(_bounds, folders):
            bounds = {"key": self._key(start), "range_end": self._key(end)}
            ranges.append(
                {**bounds, "keys_only": True, "limit": "1", "sort_order": "DESCEND", "sort_target": "KEY"}
            )
        found = self._ranges(ranges)
        return [
            self._tail(pairs[0], folder) if pairs else None
            for folder, pairs in zip(folders, found, strict=True)
        ]

    def newest(
        self, folders: Sequence[str], limit: int, since: str, before: Sequence[str]
    ) -> list[list[str]]:
        backwards = {"keys_only": True, "limit": str(limit), "sort_order": "DESCEND"}
        ranges = [
            {"key": self._key(f"{folder}/{since}"), "range_end": self._key(f"{folder}/{end}"), **backwards}
            for folder, end in zip(folders, before, strict=True)
        ]
        return [
            [self._tail(pair, folder) for pair in pairs]
            for folder, pairs in zip(folders, self._ranges(ranges), strict=True)
        ]

    def _ranges(self, ranges: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        """Return the pairs in each of these ranges; a hundred ranges are one request."""
        found: list[list[Any]] = []
        for start in range(0, len(ranges), OPERATIONS):
            some = [{"request_range": wanted} for wanted in ranges[start : start + OPERATIONS]]
            answers = self._transact(some)["responses"]
            found.extend(answer["response_range"].get("kvs", []) for answer in answers)
        return found

    def _scan(
        self, folder: str, prefix: str, keys_only: bool, page: int = 10 * PAGE
    ) -> Iterator[tuple[str, Any]]:
        start, end = _bounds(folder)
        if prefix:
            start, end = start + prefix, start + _after(prefix)
        while True:
            wanted = {
                "key": self._key(start),
                "range_end": self._key(end),
                "limit": str(page if keys_only else PAGE),
                "keys_only": keys_only,
            }
            (answer,) = self._transact([{"request_range": wanted}])["responses"]
            pairs = answer["response_range"].get("kvs", [])
            for pair in pairs:
                yield self._tail(pair, folder), pair
            if not answer["response_range"].get("more"):
                return
            start = f"{folder}/{self._tail(pairs[-1], folder)}\0"

    # -- writing -------------------------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change], tell: bool = False) -> bool:
        compare, operations = [], []
        for change in changes:
            key = self._key(change.key)
            if change.rev is not None:
                condition = {"target": "MOD", "result": "EQUAL", "mod_revision": str(change.rev)}
                compare.append({"key": key, **condition})
            if change.value is None:
                operations.append({"request_delete_range": {"key": key}})
            elif change.value != KEEP:
                operations.append({"request_put": {"key": key, "value": encoded(change.value)}})
        if tell:
            put = {"key": self._key(WAKE), "value": encoded(self._origin)}
            operations.append({"request_put": put})
        return bool(self._transact(operations, compare).get("succeeded"))

    # -- time and wake-ups -------------------------------------------------------------------------------------

    def time(self) -> int | None:
        from email.utils import parsedate_to_datetime  # import time

        with self._translated():
            url = f"{self.client.base_url}/version"
            answer = self.client.session.get(url, timeout=self.client.timeout)
        date = answer.headers.get("Date")
        return None if date is None else instant(parsedate_to_datetime(date))

    def listen(self, wake: Callable[[], None], listening: Callable[[bool], None]) -> None:
        self._stop_listening()
        self._listener = Listener(self.client, self._key(WAKE), self._origin, wake, listening)

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    # -- keys ----------------------------------------------------------------------------------------------------

    def _key(self, key: str) -> str:
        return encoded(f"{self._path}/{key}")

    def _tail(self, pair: Any, folder: str) -> str:
        """Return the name of a pair's key in a folder."""
        key = b64decode(pair["key"]).decode(errors="backslashreplace")
        return key[len(self._path) + 1 + (len(folder) + 1 if folder else 0) :]


def _ask_environment(client: Etcd3Client) -> None:
    """Ask once for the proxies, certificates and passwords that the environment names; requests asks for each request (1 ms)."""
    session, url = client.session, client.base_url
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = found["proxies"], found["verify"]
    session.auth = session.auth or get_netrc_auth(url)
    session.trust_env = False


def _bounds(folder: str) -> tuple[str, str]:
    """Return the first key of a folder, and the first one after it."""
    return (f"{folder}/", f"{folder}0") if folder else ("", "\x7f")


def _after(prefix: str) -> str:
    """Return the first text after all those that begin with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _entry(pair: Mapping[str, str]) -> Entry:
    return Entry(value_of(pair), int(pair["mod_revision"]))


def _said(exc: Exception) -> str:
    detail = getattr(exc, "detail_text", None) or str(exc)
    return without_secrets(f"{type(exc).__name__}: {detail}")
