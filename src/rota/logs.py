"""Loggers that are made when they are first used: logging, with all that it loads, is half of the time that importing takes.

Imports logging in functions only; logs nothing itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any

#: The levels of those names in logging.
DEBUG = 10
WARNING = 30


def get_logger(name: str) -> Logger:
    """Return the logger of that name."""
    from logging import getLogger

    return getLogger(name)


class ClassLogger:
    """The logger of objects that have not been given one of their own: ``_logger: Any = ClassLogger("rota.executors")``."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Logger:
        return get_logger(self._name)
