"""Where the jobs of APScheduler are: finds the reader for a source, and the form in which all readers give rows.

Opens nothing itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The next run of a row whose source does not keep it beside the job.
UNKNOWN: Any = object()


class Row:
    """One job of a source: its id, its state (a pickle, or what an export says), and the next run that is kept beside it.

    :ivar float | None next_run: seconds since the epoch, None for a paused job, :data:`UNKNOWN`
    """

    __slots__ = ("id", "next_run", "state")

    def __init__(self, id: str, state: Any, next_run: Any = UNKNOWN) -> None:
        self.id = id
        self.state = state
        self.next_run = next_run if next_run is None or type(next_run) in (int, float) else UNKNOWN


def read_source(source: str, name: str | None = None) -> Iterator[Row]:
    """Yield the rows of a source.

    :param source: URL of a database, or path of an export
    :param name: table, key or collection, if it is not APScheduler's default
    :raises StoreError: if there is nothing, or nothing of APScheduler's
    """
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in ("redis", "rediss", "unix"):
        from .source_redis import read_redis

        return read_redis(source, name or "apscheduler.jobs")
    if scheme in ("mongodb", "mongodb+srv"):
        from .source_mongodb import read_mongodb

        return read_mongodb(source, name or "jobs")
    if scheme:
        from .source_sql import read_sql

        return read_sql(source, name or "apscheduler_jobs")
    if not Path(source).is_file():
        raise StoreError(
            f"{masked(source)!r} is neither a file nor a URL; for an SQLite file write sqlite:///{masked(source)}"
        )
    from .source_export import read_export

    return read_export(Path(source))
