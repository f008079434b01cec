"""Which file of SQLite a connection has open, and whether its path still leads there.

Looks at paths; it knows no table. A connection keeps the old file open when the file is removed, renamed or replaced.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection

#: The name under which a connection knows its file.
_FILE = "rota_file"
#: Connections to files that are not at their place any more. The last one that is closed would delete the log of the file that is
#: there now, by its name; as long as one is open, none is the last.
_left_open: list[Any] = []


class OpenFile:
    """The file that one connection has open.

    :param connection: a connection of the driver
    :param path: where the URL says that the file is, None if it does not say so plainly
    """

    __slots__ = ("log", "number", "path")

    def __init__(self, connection: Any, path: str | None) -> None:
        rows = connection.cursor().execute("PRAGMA database_list").fetchall()
        found = next((row[2] for row in rows if row[1] == "main"), "")
        #: "" for a database in memory
        self.path: str = path if path and _number(path) == _number(found) else found
        self.number = _number(self.path)
        #: None until the log is made, with the first transaction
        self.log = _number(f"{self.path}-wal")


class OpenFiles:
    """Tells for the connections of one engine whether the file that each has open is still at its place.

    :param path: where the URL says that the file is
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def are_in_place(self, conn: Connection, log: bool = False) -> bool:
        """Whether the path leads to the file that a connection has open.

        :param log: whether its write-ahead log must be the one beside the file, too
        """
        info = conn.info
        file: OpenFile | None = info.get(_FILE)
        if file is None:  # the connection is new
            file = info[_FILE] = OpenFile(conn.connection.driver_connection, self._path)
        if file.log is None:
            file.log = _number(f"{file.path}-wal")
        if file.path and _number(file.path) != file.number:
            return False
        return not log or file.log is None or _number(f"{file.path}-wal") == file.log

    def leave(self, conn: Connection) -> None:
        """Take a connection to a file that is no longer at its place out of its pool."""
        plain = conn.connection.driver_connection
        conn.detach()
        leave_open(plain)


def leave_open(connection: Any) -> None:
    """Keep a connection to a file that is no longer at its place open until the process ends.

    The content of its log is moved into the old file first: the log may be beside the new file by now.
    """
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except Exception:  # the disk is full, or another process uses the old file
        pass
    _left_open.append(connection)
    try:
        from ctypes import py_object, pythonapi  # import time

        # Else the interpreter would close it at its end.
        pythonapi.Py_IncRef(py_object(connection))
    except Exception:  # another interpreter, or a Python without ctypes
        pass


def _number(path: str) -> tuple[int, int] | None:
    """Return the number of the file at a path, None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
