"""Tables of the live view: which columns give way on a narrow terminal, in which order.

Pure, apart from Rich's tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Blanks between columns.
GAP = 2


class Way:
    """How a column gives way.

    :param column: its number
    :param least: the width to which it may shrink; None: it does not shrink
    :param goes: whether it is left out where that is not enough
    """

    __slots__ = ("column", "goes", "least")

    def __init__(self, column: int, least: int | None = None, goes: bool = True) -> None:
        self.column = column
        self.least = least
        self.goes = goes


def fitted(widths: Sequence[int], ways: Sequence[Way], total: int) -> list[int]:
    """Return the widths of columns in a total width; 0: the column is left out.

    :param widths: the widths that their contents need
    :param ways: what gives way, the first one first
    """
    found = list(widths)
    for way in ways:
        shown = sum(width > 0 for width in found)
        over = sum(found) + GAP * max(shown - 1, 0) - total
        width = found[way.column]
        if over <= 0:
            break
        if way.least is not None and width - over >= way.least:
            found[way.column] = width - over
        elif way.goes:
            found[way.column] = 0
        elif way.least is not None:
            found[way.column] = min(width, max(way.least, 1))
    return found


def table(heads: Sequence[str], rows: Sequence[Sequence[Text]], ways: Sequence[Way], total: int) -> Table:
    """Return a table of a total width; empty columns are left out."""
    wanted = [
        max([0, *(row[i].cell_len for row in rows)], default=0)
        and max(len(head), *(row[i].cell_len for row in rows))
        for i, head in enumerate(heads)
    ]
    widths = fitted(wanted, ways, total)
    shown = [i for i, width in enumerate(widths) if width]
    result = Table(
        box=None,
        pad_edge=False,
        padding=(0, GAP, 0, 0),
        show_header=any(heads),
        header_style="dim",
    )
    for i in shown:
        result.add_column(heads[i], width=widths[i], no_wrap=True, overflow="ellipsis")
    for row in rows:
        result.add_row(*(row[i] for i in shown))
    return result
