"""What an administrator does with a store while processes have it open: empties it, and puts a backup in its place.

Knows SQLite's files and Redis; it waits for nobody.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.needs import need

#: All keys with what they hold, at one moment.
SAVE = """
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = {key, redis.call('DUMP', key)} end
return all
"""


class File:
    """The place of a store that is an SQLite file.

    :param folder: where the backup is kept
    :param in_place: whether the backup is written into the open file, instead of replacing it by renaming
    """

    def __init__(self, url: str, folder: Path, in_place: bool = False) -> None:
        self._path = Path(url.removeprefix("sqlite:///"))
        self._backup = folder / "backup"
        self._in_place = in_place

    def save(self) -> None:
        """Make a backup."""
        _copy(self._path, self._backup)

    def empty(self) -> None:
        """Remove all that is there."""
        for ending in ("-wal", "-shm", ""):
            Path(f"{self._path}{ending}").unlink(missing_ok=True)

    def put_back(self) -> None:
        """Put the backup in the place of what is there."""
        if self._in_place:
            _copy(self._backup, self._path)
        else:
            self.empty()
            os.replace(self._backup, self._path)


class Keys:
    """The place of a store that is a database of Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._saved: list[tuple[bytes, bytes]] = []

    def save(self) -> None:
        """Make a backup."""
        with self._client() as client:
            self._saved = client.eval(SAVE, 0)

    def empty(self) -> None:
        """Remove all that is there."""
        with self._client() as client:
            client.flushdb()

    def put_back(self) -> None:
        """Put the backup in the place of what is there."""
        with self._client() as client, client.pipeline(transaction=True) as pipe:
            pipe.flushdb()
            for key, value in self._saved:
                pipe.restore(key, 0, value)
            pipe.execute()

    def _client(self) -> Any:
        return need("redis", "redis").Redis.from_url(self._url)


def _copy(one: Path, other: Path) -> None:
    """Copy a database by the interface that SQLite has for it, whoever has it open."""
    with (
        closing(sqlite3.connect(one, timeout=20)) as source,
        closing(sqlite3.connect(other, timeout=20)) as target,
    ):
        source.backup(target)
