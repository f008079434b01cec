"""Loggers: made when they are first used, and guarded, so that a filter or a handler that raises costs its line only.

Imports logging in functions only: with all that it loads, it is half of the time that importing takes. Logs nothing itself.
"""

from __future__ import annotations

import sys

from .interrupts import is_interrupt
from .texts import repr_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from typing import Any

#: The levels of those names in logging.
DEBUG = 10
INFO = 20
WARNING = 30
#: The levels of the methods of loggers.
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": 40}

#: What formats as it is and runs no code of users.
_PLAIN: tuple[type, ...] = (str, int, float, bool, type(None))


#: What Rota's logger names begin with, and what they are to begin with instead (:mod:`rota.compat.loggers`).
_renamed: tuple[str, str] | None = None


def get_logger(name: str) -> Logger:
    """Return the logger of that name."""
    from logging import getLogger  # import time

    if _renamed is not None and name.startswith(_renamed[0]):
        name = _renamed[1] + name[len(_renamed[0]) :]
    return getLogger(name)


def rename_loggers(old: str, new: str) -> None:
    """Have loggers whose names begin with ``old`` go by names that begin with ``new`` from now on."""
    global _renamed
    _renamed = (old, new)


class LoggerAttribute:
    """The attribute ``_logger`` of schedulers, stores and executors, as programs read and replace it.

    What is set may be a logger or the name of one of logging's. Whatever is set, the object's ``_log`` is a guarded logger over it.

    :param name: the logger of objects to which none was given
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        given = self._name if instance is None else given_logger(instance) or self._name
        return get_logger(given) if type(given) is str else given

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__["_given_logger"] = value
        instance._log = GuardedLogger(value)


def given_logger(instance: Any) -> Any:
    """Return what the :class:`LoggerAttribute` of an object was set to: a logger, a name, or None."""
    return instance.__dict__.get("_given_logger")


class GuardedLogger:
    """A logger whose methods never raise, whatever its filters, its handlers and the texts of its arguments do.

    :param logger: a logger, or anything with the methods ``debug``, ``info``, ``warning``, ``error`` and ``exception``; or the
        name of one of logging's, which is not loaded before there is a line that somebody could see
    """

    __slots__ = ("_is_of_logging", "_logger", "enabled")

    def __init__(self, logger: Any) -> None:
        #: whether a message of a level goes anywhere; it is asked for each job, so logging's own loggers answer by themselves
        self.enabled: Callable[[int], bool] = self._is_enabled_by_default
        self._logger = logger
        self._is_of_logging = False
        if type(logger) is not str:
            self._take(logger)

    def _take(self, logger: Any) -> None:
        self._logger = logger
        self._is_of_logging = _is_of_logging(logger)
        is_plain = type(logger).__module__ == "logging"
        self.enabled = logger.isEnabledFor if is_plain else self._is_enabled

    def over(self, logger: Any) -> GuardedLogger:
        """Return a logger like this one that writes by another."""
        return GuardedLogger(logger)

    def finish(self, patience: float) -> None:
        """Write what waits to be written, as long as no single line takes longer than ``patience`` seconds."""

    def debug(self, message: str, *args: object, exc_info: Any = None) -> None:
        """Log a message for developers."""
        if self.enabled(DEBUG):
            self._log("debug", message, args, exc_info)

    def info(self, message: str, *args: object, exc_info: Any = None) -> None:
        """Log a message about ordinary work."""
        if self.enabled(INFO):
            self._log("info", message, args, exc_info)

    def warning(self, message: str, *args: object, exc_info: Any = None) -> None:
        """Log what somebody should look at."""
        self._log("warning", message, args, exc_info)

    def error(self, message: str, *args: object, exc_info: Any = None) -> None:
        """Log a failure."""
        self._log("error", message, args, exc_info)

    def exception(self, message: str, *args: object) -> None:
        """Log a failure with the exception that is being handled."""
        self._log("error", message, args, True)

    def _is_enabled_by_default(self, level: int) -> bool:
        """Whether a message goes anywhere; where nobody has loaded logging, nobody has asked for more than warnings."""
        if level < WARNING and "logging" not in sys.modules:
            return False
        self._load()
        return self.enabled(level)

    def _load(self) -> None:
        """Look up the logger of which only the name is known."""
        if type(self._logger) is str:
            self._take(get_logger(self._logger))

    def _is_enabled(self, level: int) -> bool:
        """Whether a message of that level goes anywhere; True where the logger cannot tell."""
        try:
            return bool(self._logger.isEnabledFor(level))
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            return True

    def _log(self, method: str, message: str, args: tuple[object, ...], exc_info: Any) -> None:
        try:
            self._load()
            if self._is_of_logging and not self._logger.isEnabledFor(LEVELS[method]):
                return  # most lines; the rest costs ten times as much
            # So that a line names the caller's file, not this one; loggers of other libraries do not know this option.
            options: dict[str, Any] = {"stacklevel": 3} if self._is_of_logging else {}
            if exc_info:
                options["exc_info"] = exc_info
            getattr(self._logger, method)(message, *shown(args), **options)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            if exc_info:  # a traceback that cannot be formatted may not cost the line
                self._log(method, f"{message} (its traceback cannot be logged)", args, None)


def shown(args: tuple[object, ...]) -> tuple[object, ...]:
    """Return the arguments of a message in such a form that formatting them cannot raise."""
    return tuple(arg if type(arg) in _PLAIN else _Shown(arg) for arg in args)


class _Shown:
    """An argument of a message: its text is made when somebody formats it, and that cannot raise."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        return text_of(self.value)

    def __repr__(self) -> str:
        return repr_of(self.value)


def _is_of_logging(logger: object) -> bool:
    try:
        from logging import Logger  # import time

        return isinstance(logger, Logger)
    except BaseException:  # a __class__ that raises
        return False
