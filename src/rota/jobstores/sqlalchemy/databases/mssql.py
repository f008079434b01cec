"""What SQL Server does differently.

Nobody has tried it with this store; only its words for migrations are known. Opens no connection.
"""

from __future__ import annotations

from .base import Database


class MSSQL(Database):
    """Microsoft SQL Server."""

    def widened(self, declared: str, name: str, type_name: str) -> str:
        """Return the end of the ALTER TABLE statement that makes a column one of 64 bits."""
        return f"ALTER COLUMN {declared}"
