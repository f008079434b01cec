"""Texts of objects that users made: results, errors, names. Making them cannot raise, whatever ``__str__`` and the like do.

Standard library only; it may not call anything of an object outside its guard.
"""

from __future__ import annotations

#: The longest text (characters) of an error or a result that anything keeps or logs.
TEXT_LIMIT = 50_000


def text_of(value: object) -> str:
    """Return ``str(value)`` as an exact str, or a text that says why there is none."""
    try:
        return _exact(str(value))
    except BaseException as exc:  # not even SystemExit in a __str__ may end the thread that asked
        return f"<{type_name(value)} whose __str__() raises {type_name(exc)}>"


def repr_of(value: object) -> str:
    """Return ``repr(value)`` as an exact str, or a text that says why there is none."""
    try:
        return _exact(repr(value))
    except BaseException as exc:
        return f"<{type_name(value)} whose __repr__() raises {type_name(exc)}>"


def type_name(value: object) -> str:
    """Return the qualified name of an object's class, without its module."""
    try:
        return _exact(type(value).__qualname__)
    except BaseException:  # a metaclass may do anything
        return "object"


def error_text(exc: BaseException) -> str:
    """Return an exception as one line: its class and its text, as the last line of a traceback has them."""
    name, text = type_name(exc), text_of(exc)
    return f"{name}: {text}" if text else name


def traceback_of(exc: BaseException) -> str:
    """Return the frames of an exception's traceback as Python prints them, or why they cannot be printed."""
    try:
        from traceback import format_tb  # import time

        return "".join(format_tb(exc.__traceback__))
    except BaseException as error:
        return f"<the traceback cannot be formatted: {error_text(error)}>\n"


def shortened(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return a text of at most ``limit`` characters; what is left out in its middle is marked by "…"."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]} … {text[len(text) - half :]}"


def storable(text: object) -> str | None:
    """Return a text as every database can keep it: exact, no lone surrogates, no NUL, not much longer than TEXT_LIMIT; None stays.

    What is no text is taken by its ``str()``.
    """
    if text is None:
        return None
    if type(text) is not str:
        text = text_of(text)
    if len(text) <= TEXT_LIMIT and text.isascii() and "\0" not in text:
        return text
    return shortened(text).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _exact(text: str) -> str:
    """Return an exact str: an instance of a subclass goes on calling users' code."""
    return text if type(text) is str else str.__str__(text)
