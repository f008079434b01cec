"""Texts of SQLite that cannot be decoded: it keeps any bytes as a text, and its driver cannot read the row then.

Such texts are made bytes, which can be read, and are seen to be damaged; nothing is lost.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sqlalchemy import Connection, Table

_FUNCTION = "rota_decodes"


def make_bytes(conn: Connection, tables: Iterable[Table]) -> None:
    """Make the undecodable texts of tables bytes, inside a transaction."""
    driver: Any = conn.connection.driver_connection
    driver.create_function(_FUNCTION, -1, _decodes, deterministic=True)
    quoted = conn.dialect.identifier_preparer
    for table in tables:
        texts = [quoted.format_column(column) for column in table.columns]  # those of numbers keep texts, too
        changes = ", ".join(
            f"{text} = CASE WHEN typeof({text}) = 'text' AND NOT {_FUNCTION}(CAST({text} AS BLOB)) "
            f"THEN CAST({text} AS BLOB) ELSE {text} END"
            for text in texts
        )
        all_of_it = ", ".join(f"CAST({text} AS BLOB)" for text in texts)
        schema = conn.schema_for_object(table)
        there = "" if schema is None else f"{quoted.quote_schema(schema)}."
        conn.exec_driver_sql(
            f"UPDATE {there}{quoted.quote(table.name)} SET {changes} WHERE NOT {_FUNCTION}({all_of_it})"
        )


def _decodes(*texts: bytes | None) -> bool:
    try:
        for text in texts:
            if text is not None:
                text.decode()
    except UnicodeDecodeError:
        return False
    return True
