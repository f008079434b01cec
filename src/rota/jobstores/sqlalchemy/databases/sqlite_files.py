"""Which file of SQLite a connection has open, and whether its path still leads there.

Looks at paths; it knows no table. A connection keeps the old file open when the file is removed, renamed or replaced.
"""

from __future__ import annotations

import os
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection

#: The name under which a connection knows its file.
_FILE = "rota_file"
#: Connections to files that are not at their place any more. The last one that is closed would delete the log of the file that is
#: there now, by its name; as long as one is open, none is the last.
_left_open: list[Any] = []
#: The files that connections of this process have open.
_open: WeakSet[OpenFile] = WeakSet()


class OpenFile:
    """The file that one connection has open.

    :param connection: a connection of the driver
    :param path: where the URL says that the file is, None if it does not say so plainly
    """

    __slots__ = ("__weakref__", "_connection", "index", "log", "number", "path", "place")

    def __init__(self, connection: Any, path: str | None) -> None:
        self._connection = connection
        try:
            connection.cursor().execute("PRAGMA schema_version").fetchall()  # opens the log and its index
        except Exception:  # it is locked, for example: both are looked at with the first transaction
            pass
        rows = connection.cursor().execute("PRAGMA database_list").fetchall()
        found = next((row[2] for row in rows if row[1] == "main"), "")
        #: "" for a database in memory
        self.path: str = path if path and _number(path) == _number(found) else found
        self.number = _number(self.path)
        #: of a symbolic link its own
        self.place = _number(self.path, follows=False)
        #: None until the log is made, with the first transaction
        self.log = _number(f"{self.path}-wal")
        #: the index of the log, by which processes see what others have written, and its locks; None until that is made
        self.index = self._look_for_index()
        _open.add(self)

    def _look_for_index(self) -> tuple[int, int] | None:
        """Return the number of the index that SQLite uses: for each file one in a process, until its last connection is closed."""
        for other in list(_open):
            if other.number == self.number and other.index is not None and other.is_open:
                return other.index
        return _number(f"{self.path}-shm")

    @property
    def is_open(self) -> bool:
        """Whether the connection is open."""
        try:
            return bool(self._connection.total_changes >= 0)
        except Exception:  # it is closed
            return False

    def look_again(self) -> None:
        """Look for what was not there yet."""
        if self.log is None:
            self.log = _number(f"{self.path}-wal")
        if self.index is None:
            self.index = self._look_for_index()

    @property
    def is_at_its_place(self) -> bool:
        """Whether the path leads to the file, as directly as before: SQLite takes the log beside what a symbolic link leads to."""
        place = _number(self.path, follows=False)
        return place == self.place and (place == self.number or _number(self.path) == self.number)

    @property
    def has_its_index(self) -> bool:
        """Whether the index of the log is the one beside the file: else this process and others write without seeing each other."""
        return self.index is None or _number(f"{self.path}-shm") == self.index


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
        if file.log is None or file.index is None:
            file.look_again()
        if file.path and not (file.is_at_its_place and file.has_its_index):
            return False
        return not log or file.log is None or _number(f"{file.path}-wal") == file.log

    def leave(self, conn: Connection) -> None:
        """Take a connection to a file that is no longer at its place, or without the index of its log, out of its pool."""
        plain: Any = conn.connection.driver_connection
        file: OpenFile = conn.info.pop(_FILE)
        conn.detach()
        if _number(file.path) != file.number:
            leave_open(plain)
            return
        # It is the same file. As long as it is open, this process would go on with the index that it has.
        if file.has_its_index:
            _write_back(plain)
        if not file.is_at_its_place or not file.has_its_index:
            plain.close()
        else:
            _keep_open(plain)


def leave_open(connection: Any) -> None:
    """Keep a connection to a file that is no longer at its place open until the process ends.

    The content of its log is moved into the old file first: the log may be beside the new file by now.
    """
    _write_back(connection)
    _keep_open(connection)


def _write_back(connection: Any) -> None:
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except Exception:  # the disk is full, or another process uses the old file
        pass


def _keep_open(connection: Any) -> None:
    _left_open.append(connection)
    try:
        from ctypes import py_object, pythonapi  # import time

        # Else the interpreter would close it at its end.
        pythonapi.Py_IncRef(py_object(connection))
    except Exception:  # another interpreter, or a Python without ctypes
        pass


def _number(path: str, follows: bool = True) -> tuple[int, int] | None:
    """Return the number of the file at a path, None if there is none.

    :param follows: whether it is that of the file that a symbolic link leads to
    """
    try:
        found = os.stat(path, follow_symlinks=follows)
    except OSError:
        return None
    return found.st_dev, found.st_ino
