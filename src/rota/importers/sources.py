"""Where the jobs of APScheduler are: finds the reader for a source.

Opens nothing itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rows import Row


def read_source(source: str, name: str | None = None) -> Iterator[Row]:
    """Yield the rows of a source.

    :param source: URL of a database, or path of an export
    :param name: table, key, collection or path, if it is not APScheduler's default
    :raises StoreError: if there is nothing, or nothing of APScheduler's
    """
    scheme = source.partition("://")[0] if "://" in source else ""
    if len(scheme) == 1:  # a drive of Windows
        scheme = ""
    if scheme in ("redis", "rediss", "unix"):
        from .source_redis import read_redis  # import time

        return read_redis(source, name or "apscheduler.jobs")
    if scheme in ("mongodb", "mongodb+srv"):
        from .source_mongodb import read_mongodb  # import time

        return read_mongodb(source, name or "jobs")
    if scheme in ("etcd", "etcds"):
        from .source_etcd import read_etcd  # import time

        return read_etcd(source, name)
    if scheme in ("zookeeper", "zk"):
        from .source_zookeeper import read_zookeeper  # import time

        return read_zookeeper(source, name)
    if scheme:
        from .source_sql import read_sql  # import time

        return read_sql(source, name or "apscheduler_jobs")
    if not Path(source).is_file():
        raise StoreError(
            f"{masked(source)!r} is neither a file nor a URL; for an SQLite file write sqlite:///{masked(source)}"
        )
    from .source_export import read_export  # import time

    return read_export(Path(source))
