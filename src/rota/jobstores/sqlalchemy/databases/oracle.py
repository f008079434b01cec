"""What Oracle does differently.

Nobody has tried it with this store; only its columns are known. Opens no connection.
"""

from __future__ import annotations

from .base import Database


class Oracle(Database):
    """Oracle Database."""

    wide_integers = True
