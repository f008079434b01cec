"""Where the nodes of a syntax tree are in the text of a program, as offsets. It reads and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .edits import Source


class Places:
    """Where the nodes of a syntax tree are in the text."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def start(self, node: Any) -> int:
        """Return the offset at which a node begins."""
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: Any) -> int:
        """Return the offset at which a node ends."""
        return self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, number: int, column: int) -> int:
        start = self._source.starts[number - 1]
        line = self._source.line(number)
        # Columns are counted in bytes of UTF-8.
        return start + (column if line.isascii() else len(line.encode()[:column].decode(errors="replace")))
