"""What SQLite's errors mean and what to do about them: a file that somebody else has locked, a folder that is not there.

Looks at errors and files; it opens no connection and imports no framework.
"""

from __future__ import annotations

import os
import sys

from ....logs import GuardedLogger

#: How many times in a row SQLite may wait for the lock (BUSY_TIMEOUT) in vain: half a minute; and when that is logged.
WAITS = 120
TOLD = 20
_SQLITE_BUSY = 5
_WAY_OUT = (
    "If that is a transaction of this thread (a session, a connection of yours, Django's atomic()), the two wait for each other: "
    "add the job after the commit (in Django: transaction.on_commit()), or inside a SQLAlchemy transaction by connection="
)


def is_locked(exc: BaseException) -> bool:
    """Whether an error says that another connection has held the lock for writing for longer than this one waits."""
    code = getattr(getattr(exc, "orig", None), "sqlite_errorcode", None)
    return code is not None and code & 0xFF == _SQLITE_BUSY


def may_wait_again(path: str | None, waits: int, address: str, waited: float) -> bool:
    """Whether to wait for the lock of a file once more; after a while that is logged once.

    :param path: the file
    :param waits: how often it was waited for already
    :param address: the database, as the log names it
    :param waited: how many seconds each of them took
    """
    if waits >= WAITS or _is_in_own_transaction(path):
        return False
    if waits == TOLD:
        logger = GuardedLogger("rota.jobstores")
        logger.warning(
            "The database %s has been locked by another writer for %g s; waiting on. %s",
            address,
            waits * waited,
            _WAY_OUT,
        )
    return True


def explained(path: str | None, exc: BaseException) -> str:
    """Return what an error of SQLite means, as the end of its message; "" if there is no more to say.

    :param path: the file
    """
    if is_locked(exc):
        if _is_in_own_transaction(path):
            return (
                "; this thread is inside Django's atomic() on the same file, so the two wait for each other: add the job by "
                "transaction.on_commit(), or after the block"
            )
        return f". {_WAY_OUT}"
    folder = os.path.dirname(os.path.abspath(path or "."))
    if not os.path.isdir(folder):
        return f"; the folder {folder} does not exist: create it, or give the path of a file in one that does"
    return ""


def _is_in_own_transaction(database: str | None) -> bool:
    """Whether a Django connection of this thread has a transaction open on the file, which cannot end while we wait for it."""
    django = sys.modules.get("django.db")
    if django is None or not database:
        return False
    try:
        mine = [one.settings_dict["NAME"] for one in django.connections.all() if one.in_atomic_block]
    except Exception:  # not configured, or another version
        return False
    return any(os.path.realpath(str(name)) == os.path.realpath(database) for name in mine)
