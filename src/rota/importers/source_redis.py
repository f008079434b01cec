"""Reads the hash and the sorted set of APScheduler's RedisJobStore; it only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MissingExtraError, SchemaError, StoreError, StoreUnavailableError
from ..masking import masked, without_secrets
from .rows import UNKNOWN, Row

try:
    from redis import Redis
    from redis.exceptions import RedisError, ResponseError
except ImportError as exc:
    raise MissingExtraError("Reading jobs from Redis", "redis") from exc

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_redis(url: str, jobs_key: str) -> Iterator[Row]:
    """Yield the jobs of a hash, with their times in the sorted set beside it.

    :param url: ``redis://…/number``
    :param jobs_key: key of the hash; the sorted set has ``run_times`` where this has ``jobs``
    :raises StoreUnavailableError: if the server cannot be reached
    :raises SchemaError: if the key holds something else
    """
    address = masked(url)
    head, _, _ = jobs_key.rpartition("jobs")
    times_key = f"{head}run_times"
    try:
        client = Redis.from_url(url, decode_responses=False, socket_connect_timeout=10)
    except ValueError as exc:
        raise StoreError(f"Cannot use the URL {address}: {without_secrets(str(exc), url)}") from None
    try:
        has_times = client.type(times_key) == b"zset"
        for id, state in client.hscan_iter(jobs_key, count=500):
            following = client.zscore(times_key, id) if has_times else UNKNOWN
            yield Row(id.decode("utf-8", "replace"), state, following)
    except ResponseError as exc:
        raise SchemaError(f"{jobs_key!r} of {address} is not a hash of APScheduler 3: {exc}") from None
    except RedisError as exc:
        raise StoreUnavailableError(f"{address} cannot be read: {without_secrets(str(exc), url)}") from None
    finally:
        client.close()
