"""The scripts of the Redis store: what is in the files ``scripts/*.lua``, with the names of one store's keys in front.

The server carries out one script at a time, so each is one atomic step. ``_common.lua`` is put in front of every script; a line
``-- include NAME`` stands for the file ``NAME.lua``. Files whose names begin with an underscore are such pieces, and no scripts.
The files are read when the first store starts, all at once. This module knows no server.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: what is in front of every script
_COMMON = "_common"
_include = re.compile(r"^-- include (\w+)$", re.MULTILINE)


class Script:
    """A script with the names of a store's keys.

    :ivar text: the script
    :ivar sha: its name on the server
    """

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode()).hexdigest()


@cache
def sources() -> dict[str, str]:
    """Return the scripts by their names, whole but for the names of the keys."""
    from importlib.resources import files  # import time

    pieces = {
        file.name.removesuffix(".lua"): file.read_text("utf-8")
        for file in files(__package__).joinpath("scripts").iterdir()
        if file.name.endswith(".lua")
    }
    common = pieces[_COMMON]
    return {
        name: common + included(text, pieces) for name, text in pieces.items() if not name.startswith("_")
    }


def included(text: str, pieces: Mapping[str, str]) -> str:
    """Return a text with the pieces that it includes in their places; these may include others."""
    return _include.sub(lambda found: included(pieces[found[1]], pieces), text)


def quoted(value: str) -> str:
    """Return a text as a Lua literal."""
    return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
