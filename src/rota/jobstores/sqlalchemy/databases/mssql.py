"""What SQL Server does differently.

Nobody has tried it with this store; only its words for migrations are known. Opens no connection.
"""

from __future__ import annotations

from sqlalchemy import text

from .base import Database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MSSQL(Database):
    """Microsoft SQL Server."""

    def only_where(self, condition: str) -> dict[str, Any]:
        """Return the options of an index over the rows of which a condition is true."""
        return {"mssql_where": text(condition)}

    def widened(self, declared: str, name: str, type_name: str) -> str:
        """Return the end of the ALTER TABLE statement that makes a column one of 64 bits."""
        return f"ALTER COLUMN {declared}"
