"""How text from stores, files and users reaches the terminal: whatever is not printable is written as an escape.

The only place where the command line decides that; it prints nothing.
"""

from __future__ import annotations

import re
from unicodedata import category

#: Colours and the like, as programs write them.
_STYLE = re.compile("\x1b\\[[0-9;:]*m")


def escaped(text: str) -> str:
    """Return a text on one line; control characters, bidirectional overrides and whatever else is invisible become escapes.

    They would clear the screen, change the title of the window, or let a name look like another one.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def escaped_lines(text: str, indent: str = "") -> str:
    """Return a text in which line breaks stay; all else as in :func:`escaped`.

    :param indent: what comes before each line after the first, so that none looks like a message of its own
    """
    return text if text.isprintable() else f"\n{indent}".join(map(escaped, text.split("\n")))


def escaped_json(text: str) -> str:
    """Return JSON text in which the strings have no character that a terminal would act on; it means the same."""
    return "\n".join(
        line if line.isprintable() else "".join(map(_shown_in_json, line)) for line in text.split("\n")
    )


def without_style(text: str) -> str:
    """Return a line that a program has printed, without its colours."""
    return _STYLE.sub("", text)


def _shown(char: str) -> str:
    if char.isprintable() or category(char) == "Zs":
        return char
    return ascii(char)[1:-1]


def _shown_in_json(char: str) -> str:
    if char.isprintable() or category(char) == "Zs":
        return char
    data = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{data[i : i + 4]}" for i in range(0, len(data), 4))
