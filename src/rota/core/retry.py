"""``Retry``: which failures of a job are followed by another try, and after what wait.

A value; what follows a try is decided in :mod:`rota.core.tries`. Classes of exceptions are compared by their names, so that nothing
is imported for them; a predicate is called in the worker that has the exception.
"""

from __future__ import annotations

from datetime import timedelta

from ..clock import SECOND, microseconds
from ..errors import JobTypeError, JobValueError
from ..outcomes import LONGEST_WAIT
from ..texts import repr_of
from ..util import undefined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .handlers import Nameless

__all__ = ("Retry",)

#: What ends a waiting retry besides its own limits: the next scheduled time, or nothing.
UNTIL = ("next", None)
#: The defaults of the options that are numbers.
_NUMBERS: dict[str, float] = {"wait_initial": 15, "wait_exp_base": 2, "wait_max": 3600, "wait_jitter": 0.1}
_EXCEPTION = ("builtins:Exception",)
#: What an attempt that has timed out is, by the names of classes.
_OF_TIMEOUTS = {f"builtins:{name}" for name in ("BaseException", "Exception", "TimeoutError")} | {
    f"rota.errors:{name}" for name in ("RotaError", "RunFailedError", "RunTimedOutError")
}
#: Attributes of classes as they are, whatever a metaclass makes of them.
_bases_of = type.__dict__["__mro__"].__get__
_name_of = type.__dict__["__qualname__"].__get__
_module_of = type.__dict__["__module__"].__get__


class Retry:
    """How a job is tried again; for ``add_job(retry=…)``. Immutable; equal by value.

    The n-th retry waits ``wait_initial * wait_exp_base ** (n - 1)`` seconds, ``wait_max`` at most, and by a random part of
    ``wait_jitter`` of that longer. ``max_attempts`` of the job limits the tries. The names of the options are those of stamina.

    :param on: the class of exceptions that are followed by another try, or several of them; or a function that is called with the
        exception and returns True, False, or the seconds to wait
    :param not_on: classes of exceptions that are not, though ``on`` has them
    :param wait_initial: the wait before the first retry (seconds, or a timedelta)
    :param wait_exp_base: by what each further wait is longer
    :param wait_max: the longest wait (seconds, or a timedelta)
    :param wait_jitter: by what part of it a wait is longer at most: 0.1 is a tenth
    :param timeout: how long after its due time (of runs that somebody has asked for: after that) a run may be tried again
        (seconds, or a timedelta); None: any time
    :param until: "next": the claim of a later scheduled time ends a waiting retry, as "superseded"; None: it goes on. The default
        is "next", but None for a job with ``overlap="buffer_one"`` or ``"buffer_all"``
    :raises JobTypeError, JobValueError: if something is wrong with one of them
    """

    __slots__ = (
        "_names",
        "_not_names",
        "_predicate",
        "is_until_given",
        "timeout",
        "until",
        "wait_exp_base",
        "wait_initial",
        "wait_jitter",
        "wait_max",
    )

    _names: tuple[str, ...]
    _not_names: tuple[str, ...]
    _predicate: str | Nameless | None
    wait_initial: float
    wait_exp_base: float
    wait_max: float
    wait_jitter: float
    timeout: float | None
    until: str | None
    is_until_given: bool

    def __init__(
        self,
        on: type[BaseException]
        | tuple[type[BaseException], ...]
        | Callable[[BaseException], Any]
        | str = Exception,
        not_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        wait_initial: float | timedelta = 15,
        wait_exp_base: float = 2,
        wait_max: float | timedelta = 3600,
        wait_jitter: float = 0.1,
        timeout: float | timedelta | None = None,
        until: str | None = undefined,
    ) -> None:
        names, predicate = _checked_on(on)
        self._set(names, _names_of("not_on", not_on), predicate)
        self._set_numbers(wait_initial, wait_exp_base, wait_max, wait_jitter, timeout, until)

    def _set(
        self, names: tuple[str, ...], not_names: tuple[str, ...], predicate: str | Nameless | None
    ) -> None:
        put = object.__setattr__
        put(self, "_names", names)
        put(self, "_not_names", not_names)
        put(self, "_predicate", predicate)

    def _set_numbers(
        self, wait_initial: Any, wait_exp_base: Any, wait_max: Any, wait_jitter: Any, timeout: Any, until: Any
    ) -> None:
        put = object.__setattr__
        put(self, "wait_initial", _number("wait_initial", wait_initial, 0, LONGEST_WAIT / SECOND))
        put(self, "wait_exp_base", _number("wait_exp_base", wait_exp_base, 1, 1e6))
        put(self, "wait_max", _number("wait_max", wait_max, 0, LONGEST_WAIT / SECOND))
        put(self, "wait_jitter", _number("wait_jitter", wait_jitter, 0, 100))
        put(
            self,
            "timeout",
            None if timeout is None else _number("timeout", timeout, 1e-6, LONGEST_WAIT / SECOND),
        )
        is_given = until is not undefined
        if is_given and until is not None and until != "next":
            raise JobValueError(
                f'until must be "next" or None, got {repr_of(until)}; "next": the next scheduled time ends a waiting retry'
            )
        put(self, "until", until if is_given else "next")
        put(self, "is_until_given", is_given)

    def __setattr__(self, name: str, value: object) -> None:
        raise JobTypeError(f"{name} of a Retry cannot be changed; make another one")

    def __delattr__(self, name: str) -> None:
        raise JobTypeError(f"{name} of a Retry cannot be deleted; make another one")

    @property
    def on(self) -> tuple[str, ...] | str | Nameless:
        """The names of the classes of exceptions that are followed by another try; or the reference of the predicate."""
        return self._names if self._predicate is None else self._predicate

    @property
    def not_on(self) -> tuple[str, ...]:
        """The names of the classes of exceptions that are not."""
        return self._not_names

    @property
    def predicate(self) -> str | Nameless | None:
        """What is asked about an exception: a textual reference, or the function itself if it has none; None: nothing."""
        return self._predicate

    def wait(self, number: int, part: float) -> int:
        """Return the wait before a retry (microseconds).

        :param number: 1 for the first retry
        :param part: where in its jitter it is: from 0 to 1
        """
        try:
            seconds = min(self.wait_initial * self.wait_exp_base ** (number - 1), self.wait_max)
        except OverflowError:
            seconds = self.wait_max
        return int(seconds * (1 + self.wait_jitter * part) * SECOND)

    def is_wanted(self, exc: BaseException, predicate_named: Callable[[str], Any]) -> bool | int:
        """Return whether a try that has failed with an exception is followed by another one, or after what wait (microseconds).

        :param predicate_named: returns what a textual reference leads to
        :raises Exception: whatever the predicate raises
        :raises JobTypeError: if it returns something else than a bool or a positive number of seconds
        """
        names = [f"{_module_of(base)}:{_name_of(base)}" for base in _bases_of(type(exc))]
        if any(name in self._not_names for name in names):
            return False
        if self._predicate is None:
            return any(name in self._names for name in names)
        predicate = self._predicate
        found = (predicate_named(predicate) if isinstance(predicate, str) else predicate.func)(exc)
        if isinstance(found, bool) or found is None:
            return bool(found)
        if isinstance(found, (int, float, timedelta)):
            return round(
                _number("the wait that the predicate of retry= returns", found, 0, LONGEST_WAIT / SECOND)
                * SECOND
            )
        raise JobTypeError(
            f"the predicate of retry= must return True, False or a number of seconds, got {repr_of(found)}"
        )

    @property
    def is_for_timeouts(self) -> bool:
        """Whether an attempt that has timed out is followed by another one: no exception is there, and no predicate is asked."""
        if any(name in _OF_TIMEOUTS for name in self._not_names):
            return False
        return self._predicate is not None or any(name in _OF_TIMEOUTS for name in self._names)

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults as JSON-able data.

        :raises JobTypeError: if the predicate has no name that others could import
        """
        found: dict[str, Any] = {}
        if self._predicate is not None:
            if not isinstance(self._predicate, str):
                raise JobTypeError(
                    f"the predicate of retry= must be importable, got {repr_of(self._predicate)}"
                )
            found["predicate"] = self._predicate
        elif self._names != _EXCEPTION:
            found["on"] = list(self._names)
        if self._not_names:
            found["not_on"] = list(self._not_names)
        for name, default in _NUMBERS.items():
            if getattr(self, name) != default:
                found[name] = getattr(self, name)
        if self.timeout is not None:
            found["timeout"] = self.timeout
        if self.is_until_given:
            found["until"] = self.until
        return found

    def key(self) -> tuple[Any, ...]:
        """Return what two equal ones have in common."""
        numbers = (getattr(self, name) for name in _NUMBERS)
        until = self.until if self.is_until_given else undefined
        return (self._names, self._not_names, self._predicate, *numbers, self.timeout, until)

    def __eq__(self, other: object) -> bool:
        return self.key() == other.key() if isinstance(other, Retry) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key())

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, self.key()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._shown().items())
        return f"Retry({shown})"

    def _shown(self) -> dict[str, Any]:
        found = self.to_dict() if isinstance(self._predicate, (str, type(None))) else {"on": self._predicate}
        if "predicate" in found:
            found = {"on": found.pop("predicate"), **found}
        return found


def stored_retry(values: Any) -> Retry:
    """Return what :meth:`Retry.to_dict` has made of one; nothing is imported for it.

    :raises JobTypeError, JobValueError: if it is something else
    """
    if type(values) is not dict:
        raise JobTypeError(f"retry must be stored as an object, got {repr_of(values)}")
    found: Mapping[str, Any] = values
    names = {name: found.get(name, ()) for name in ("on", "not_on")}
    predicate = found.get("predicate")
    unknown = set(found) - {"on", "not_on", "predicate", "timeout", "until", *_NUMBERS}
    texts = [
        text for some in names.values() for text in (some if isinstance(some, (list, tuple)) else (None,))
    ]
    if unknown or not all(type(text) is str for text in texts) or type(predicate) not in (str, type(None)):
        raise JobValueError(f"retry must be stored as names and numbers, got {repr_of(values)}")
    numbers = {name: found.get(name, default) for name, default in _NUMBERS.items()}
    on = tuple(names["on"]) if "on" in found else () if predicate is not None else _EXCEPTION
    return _made(
        on,
        tuple(names["not_on"]),
        predicate,
        *numbers.values(),
        found.get("timeout"),
        found.get("until", undefined),
    )


def _made(
    names: tuple[str, ...], not_names: tuple[str, ...], predicate: str | Nameless | None, *numbers: Any
) -> Retry:
    retry: Retry = Retry.__new__(Retry)
    retry._set(names, not_names, predicate)
    retry._set_numbers(*numbers)
    return retry


def _checked_on(on: Any) -> tuple[tuple[str, ...], str | Nameless | None]:
    """Return the names of classes, and the predicate, of which one is empty."""
    if isinstance(on, str) or (callable(on) and not isinstance(on, type)):
        from .handlers import checked_predicate  # import time: most have classes

        found = checked_predicate(on)
        if isinstance(found, type):
            return _names_of("on", found), None
        return (), found
    names = _names_of("on", on)
    if not names:
        raise JobValueError(
            f"on must be a class of exceptions or several, got {repr_of(on)}; retry=None tries nothing again"
        )
    return names, None


def _names_of(option: str, classes: Any) -> tuple[str, ...]:
    given = classes if isinstance(classes, (tuple, list, set, frozenset)) else (classes,)
    for each in given:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise JobTypeError(
                f"{option} must be a class of exceptions, or a tuple of them, got {repr_of(each)}; write on=ConnectionError"
            )
    return tuple(sorted({f"{_module_of(each)}:{_name_of(each)}" for each in given}))


def _number(name: str, value: Any, least: float, most: float) -> float:
    """Return a number, which is given as one or as a timedelta."""
    is_number = isinstance(value, (int, float, timedelta)) and not isinstance(value, bool)
    if not is_number:
        raise JobTypeError(f"{name} must be a number from {least:g} to {most:g}, got {repr_of(value)}")
    found = microseconds(value) / SECOND if isinstance(value, timedelta) else value
    if not least <= found <= most:
        raise JobValueError(f"{name} must be a number from {least:g} to {most:g}, got {repr_of(value)}")
    return int(found) if found == int(found) else float(found)
