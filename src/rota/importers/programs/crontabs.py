"""Crontab strings in a program that Rota reads otherwise than APScheduler 3: said, and left for its author to choose.

Reads a syntax tree; it changes nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ...triggers.readings import difference

if TYPE_CHECKING:
    from .edits import Source


def find_crontabs(tree: ast.Module, source: Source) -> None:
    """Say where ``from_crontab()`` is called without a dialect, with both readings if the string is there."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "from_crontab"):
            continue
        words = {word.arg: word.value for word in node.keywords}
        if "dialect" in words or None in words:
            continue
        given = node.args[0] if node.args else words.get("expr")
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            said = difference(given.value)
        else:
            said = (
                "a crontab string that is not written here: APScheduler 3 reads 0 as Monday and wants day and weekday to match, "
                "Rota reads it as crontab does. Pass dialect='apscheduler3' if the strings were written for APScheduler"
            )
        if said is not None:
            source.remark(node.lineno, "look", said)
