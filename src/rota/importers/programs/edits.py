"""What becomes of one file: the spans that change, and what a person has to look at.

Everything outside the spans stays as it is, byte for byte.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The ends of lines as Python counts them; ``str.splitlines()`` knows more.
LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, order=True)
class Edit:
    """A span of a text and what stands there instead."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, order=True)
class Remark:
    """What is said of a line.

    :ivar kind: "look": it has to be looked at by a person; "left": the word stands there and was left; "library": the library of
        this name imports APScheduler itself; "stored": a job store is made there, and this is how its jobs are taken over
    """

    line: int
    kind: str
    text: str


@dataclass
class Migrated:
    """A file after its migration.

    :ivar data: its content; the very same as before if nothing is to be changed
    :ivar before, after: its text, if something is
    """

    data: bytes
    edits: list[Edit] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    before: str = ""
    after: str = ""


class Source:
    """A text with its lines, and what is to be changed and said of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(found.end() for found in LINE_END.finditer(text))]
        self.edits: set[Edit] = set()
        self.remarks: set[Remark] = set()

    def line_of(self, offset: int) -> int:
        """Return the number of the line in which an offset is, the first is 1."""
        return bisect_right(self.starts, offset)

    def line(self, number: int) -> str:
        """Return a line without its end."""
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[self.starts[number - 1] : end].rstrip("\r\n")

    def lines(self) -> Iterable[tuple[int, int, str]]:
        """Yield the number, the offset and the text of each line."""
        for number, start in enumerate(self.starts, 1):
            yield number, start, self.line(number)

    def replace(self, start: int, old: str, new: str) -> bool:
        """Replace a text at an offset; tell whether it stands there."""
        if not self.text.startswith(old, start):
            return False
        self.edits.add(Edit(start, start + len(old), new))
        return True

    def remark(self, line: int, kind: str, text: str) -> None:
        """Say something of a line."""
        self.remarks.add(Remark(line, kind, text))

    def said(self) -> list[Remark]:
        """Return what is said, without what was left in lines that are changed all the same."""
        changed = {self.line_of(edit.start) for edit in self.edits}
        return sorted(
            remark for remark in self.remarks if remark.kind != "left" or remark.line not in changed
        )

    def changed(self) -> str:
        """Return the text with the changes."""
        parts, at = [], 0
        for edit in sorted(self.edits):
            parts += [self.text[at : edit.start], edit.text]
            at = edit.end
        return "".join((*parts, self.text[at:]))
