"""What the ledger keeps of a return value: typed JSON of a bounded length, or the beginning of a text that shows it.

Making it may call code of users, so it is made by the thread that ran the job; reading it imports nothing. Neither can fail.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from uuid import UUID

from ..core.run import is_plain
from ..errors import DeserializationError
from ..texts import repr_of, type_name
from .bounds import MAX_DEPTH
from .values import MAX_BITS, dumps, is_registered, loads, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..core.run import Run

#: How many characters the ledger keeps of a return value.
LIMIT = 8_192

#: How a text or number of a derived class becomes a plain one, past its own methods.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (bool, bool),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
#: What the codec writes by itself, apart from collections.
_LEAVES = frozenset(
    (type(None), bool, str, int, float, bytes, datetime, date, time, timedelta, UUID, Decimal)
)
#: Collections that show themselves as the built-in ones do: how that begins and ends.
_SHOWN: tuple[tuple[Any, str, str], ...] = ((list, "[", "]"), (tuple, "(", ")"), (dict, "{", "}"))


class _TooMuch(Exception):
    """A value is longer than what is kept, nested too deeply, or not of the kinds that come back."""


# ------------------------------------------------------------------------------------------------------------- writing


def kept_of(value: Any) -> tuple[str, Any]:
    """Return the text (typed JSON) that the ledger keeps of a return value, and the value of that text, a copy."""
    try:
        text = _text_of(value)
        return text, value_of(text)
    except BaseException as exc:  # classes of users may do anything, also here
        shown = f"<{type_name(value)} that cannot be kept: {type_name(exc)}>"[:LIMIT]
        return dumps(shown), shown


def text_of_result(run: Run) -> str | None:
    """Return the text that a store keeps of a run's return value, None for None. It cannot raise."""
    value = run.retval
    if value is None:
        return None
    if run.kept is not None:
        return run.kept[0]
    return dumps(value) if is_plain(value) else kept_of(value)[0]


def _text_of(value: Any) -> str:
    try:
        plain = _base(value)
        if type(plain) is str:
            return dumps(_cut(plain))
        text = dumps(_Copy().of(plain, 0), "result")
        if len(text) <= LIMIT:
            return text
    except Exception:
        pass  # what does not fit is shown
    return dumps(shown(value))


def _base(value: Any) -> Any:
    """Return the plain value of a text or number of a derived class (an IntEnum, a numpy float); others as they are."""
    kind = type(value)
    if is_registered(kind):
        return value
    for base, convert in _BASES:
        if issubclass(kind, base):
            return value if kind is base else convert(value)
    return value


class _Copy:
    """Copies a value, and stops where it is too long to be kept, so that no large value is written to find that out."""

    def __init__(self) -> None:
        self._left = LIMIT

    def of(self, value: Any, depth: int) -> Any:
        """Return the copy of a value.

        :raises _TooMuch: if it is too long, too deep, or of a kind that does not come back
        """
        value = _base(value)
        kind = type(value)
        self._spend(len(value) if kind is str or kind is bytes else 1)
        if depth >= MAX_DEPTH:
            raise _TooMuch
        if kind is list or kind is tuple or kind is set or kind is frozenset:
            return kind([self.of(item, depth + 1) for item in value])
        if kind is dict:
            return {self.of(key, depth + 1): self.of(item, depth + 1) for key, item in value.items()}
        if kind is int and value.bit_length() > MAX_BITS:
            raise _TooMuch
        if kind not in _LEAVES and not isinstance(value, tzinfo):
            self.of(state_of(value), depth + 1)  # only looked at: the codec asks for it again
        return value

    def _spend(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise _TooMuch


# ------------------------------------------------------------------------------------------------------------- showing


def shown(value: Any) -> str:
    """Return the ``repr()`` of a value, its beginning and "…" if it is long; what is in it is asked only as far as it is shown."""
    parts: list[str] = []
    left = LIMIT
    for part in _parts(value, 0):
        parts.append(part[: left + 1])
        left -= len(part)
        if left < 0:
            break
    return _cut("".join(parts))


def _parts(value: Any, depth: int) -> Iterator[str]:
    kind = type(value)
    if kind is str or kind is bytes:
        yield repr(value[: LIMIT + 1])
        return
    if kind is int and value.bit_length() > MAX_BITS:
        yield f"<int of {value.bit_length()} bits>"
        return
    form: tuple[Any, str, str] | None = next(
        (form for form in _SHOWN if kind.__repr__ is form[0].__repr__), None
    )
    if form is None and kind in (set, frozenset) and value:
        form = (kind, "{", "}") if kind is set else (kind, "frozenset({", "})")
    if form is None:
        yield repr_of(value)
    elif depth >= MAX_DEPTH:  # or it contains itself
        yield "…"
    else:
        base, before, after = form
        yield before
        items = dict.items(value) if base is dict else base.__iter__(value)
        number = 0
        for number, item in enumerate(items, 1):
            if number > 1:
                yield ", "
            if base is dict:
                yield from _parts(item[0], depth + 1)
                yield ": "
            yield from _parts(item[1] if base is dict else item, depth + 1)
        yield ",)" if base is tuple and number == 1 else after


def _cut(text: str) -> str:
    return text if len(text) <= LIMIT else f"{text[: LIMIT - 1]}…"


# ------------------------------------------------------------------------------------------------------------- reading


def value_of(text: str) -> Any:
    """Return the value of such a text; the text itself if it cannot be restored.

    That is so if it is damaged, or of a class that is not registered here. Triggers are not restored: that may import what somebody
    has written into a database.
    """
    try:
        return loads(text, triggers=False)
    except DeserializationError:
        return text
