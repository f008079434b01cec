"""Reads the keys of APScheduler's EtcdJobStore; it only reads."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError, StoreError, StoreUnavailableError
from ..jobstores.earlier import PATH
from ..masking import masked, without_secrets
from .source_tree import META, check_not_rota, parts_of_url, row_of

try:
    from etcd3gw import Etcd3Client
    from etcd3gw.exceptions import Etcd3Exception
    from requests import RequestException
except ImportError as exc:
    raise MissingExtraError("Reading jobs from etcd", "etcd") from exc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rows import Row

#: How many keys are read at once.
_PAGE = 500
_TIMEOUT = 10


def read_etcd(url: str, name: str | None) -> Iterator[Row]:
    """Yield the jobs below a path.

    :param url: ``etcd://host:2379/path`` or ``etcds://…`` (TLS); the path is APScheduler's default, ``/apscheduler``, if it has
        none
    :param name: the path, if it is given separately, such as one without a leading slash
    :raises StoreError: if the URL cannot be used
    :raises StoreUnavailableError: if the server cannot be reached
    :raises SchemaError: if a store of Rota is at that path
    """
    address = masked(url)
    parts, path = parts_of_url(url, "etcd://host:2379/apscheduler")
    path = (name or path or PATH).rstrip("/")
    try:
        client = Etcd3Client(
            parts.hostname or "localhost",
            parts.port or 2379,
            protocol="https" if parts.scheme == "etcds" else "http",
            timeout=_TIMEOUT,
        )
    except ValueError as exc:
        raise StoreError(f"Cannot use the URL {address}: {without_secrets(str(exc), url)}") from None
    try:
        meta = f"{path}/{META}"
        check_not_rota(b"".join(data for _, data in _pages(client, meta, f"{meta}\0", path)), path, address)
        for id, data in _pages(client, f"{path}/", f"{path}0", path):
            yield row_of(id, data)
    except (Etcd3Exception, RequestException, OSError, ValueError) as exc:
        said = getattr(exc, "detail_text", None) or f"{type(exc).__name__}: {exc}"
        raise StoreUnavailableError(f"{address} cannot be read: {without_secrets(said, url)}") from None
    finally:
        client.session.close()


def _pages(client: Any, start: str, end: str, path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the names below a path and the values of the keys from one on and before another, as they were at one moment."""
    wanted: dict[str, Any] = {"key": _encoded(start), "range_end": _encoded(end), "limit": str(_PAGE)}
    while True:
        found = client.post(client.get_url("/kv/range"), json=wanted)
        for pair in found.get("kvs", ()):
            key = b64decode(pair["key"])
            yield key.decode("utf-8", "replace")[len(path) + 1 :], b64decode(pair.get("value", ""))
        if not found.get("more"):
            return
        wanted |= {"key": b64encode(key + b"\0").decode(), "revision": found["header"]["revision"]}


def _encoded(key: str) -> str:
    return b64encode(key.encode()).decode()
