"""What changes in a file, in the form of a unified diff. Pure."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

from .edits import LINE_END
from .paths import name_in_diff

if TYPE_CHECKING:
    from pathlib import PurePath

    from .edits import Migrated

_NO_END = "\n\\ No newline at end of file"


def diff(path: PurePath, result: Migrated) -> str:
    """Return the changes of a file, without the ends of its lines.

    :param path: the path of the file, of whatever system
    """
    old, new = _lines(result.before), _lines(result.after)
    name = name_in_diff(path)
    return "\n".join(unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm=""))


def _lines(text: str) -> list[str]:
    *lines, last = LINE_END.split(text)
    return [*lines, last + _NO_END] if last else lines
