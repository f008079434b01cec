"""Reads the nodes of APScheduler's ZooKeeperJobStore; it only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError, SchemaError, StoreError, StoreUnavailableError
from ..jobstores.earlier import PATH
from ..masking import masked, without_secrets
from .source_tree import META, check_not_rota, parts_of_url, row_of

try:
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException, NoNodeError
    from kazoo.handlers.threading import KazooTimeoutError
except ImportError as exc:
    raise MissingExtraError("Reading jobs from ZooKeeper", "zookeeper") from exc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rows import Row

#: How many nodes are read at once.
_PAGE = 500
_TIMEOUT = 10


def read_zookeeper(url: str, name: str | None) -> Iterator[Row]:
    """Yield the jobs below a node.

    :param url: ``zookeeper://host:2181,host2:2181/path`` or ``zk://…``; the path is APScheduler's default, ``/apscheduler``, if it
        has none. What the ``hosts`` of the client had behind a slash (its chroot) is the beginning of the path
    :param name: the path, if it is given separately
    :raises StoreError: if the URL cannot be used
    :raises StoreUnavailableError: if the server cannot be reached, or does not allow reading
    :raises SchemaError: if there is no such node, or a store of Rota is there
    """
    address = masked(url)
    parts, path = parts_of_url(url, "zookeeper://host:2181,host2:2181/apscheduler")
    path = "/" + (name or path or PATH).strip("/")
    try:
        client = KazooClient(parts.netloc or "127.0.0.1:2181", timeout=_TIMEOUT)
    except (ValueError, KazooException) as exc:
        raise StoreError(f"Cannot use the URL {address}: {without_secrets(str(exc), url)}") from None
    try:
        client.start(timeout=_TIMEOUT)
        names = sorted(client.get_children(path))
        if META in names:
            check_not_rota(client.get(f"{path}/{META}")[0], path, address)
        for start in range(0, len(names), _PAGE):
            yield from _rows(client, path, names[start : start + _PAGE])
    except NoNodeError:
        raise SchemaError(f"The server {address} has no node {path}; give the path of the jobs") from None
    except (KazooException, KazooTimeoutError, OSError) as exc:
        said = without_secrets(f"{type(exc).__name__}: {exc}", url)
        raise StoreUnavailableError(f"{address} cannot be read: {said}") from None
    finally:
        client.stop()
        client.close()


def _rows(client: Any, path: str, names: list[str]) -> Iterator[Row]:
    """Yield the jobs in some nodes, which are asked for all at once; those that have gone meanwhile are left out."""
    answers = [client.get_async(f"{path}/{name}") for name in names]
    for name, answer in zip(names, answers, strict=True):
        try:
            data, _ = answer.get(timeout=_TIMEOUT)
        except NoNodeError:
            continue
        yield row_of(name, data)
