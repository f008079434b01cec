"""Inner names of APScheduler that Rota does not have, as attributes that say what to use instead.

Descriptors on the classes: a ``__getattr__()`` there would make each look at any attribute of their objects a third slower.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Absent:
    """An attribute that is not there: it raises AttributeError, with the public way."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        from .names import missing  # rare

        raise missing(owner if instance is None else instance, self._name)


def without(cls: type, *names: str) -> None:
    """Let a class say of names that it does not have what to use instead; its objects may have them all the same."""
    for name in names:
        setattr(cls, name, Absent(name))
