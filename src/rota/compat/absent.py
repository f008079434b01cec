"""Attributes of APScheduler that Rota does not have, or that can only be read: they say what to use instead.

Descriptors on the classes: a ``__getattr__()`` there would make every attribute of their objects a third slower to read.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What a class does that keeps jobs in a form of its own.
OWN_STORE = "derive a store of your own from BaseJobStore and its eight methods"


class Absent:
    """An attribute that is not there: it raises an AttributeError that names the public way."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        from .names import missing  # rare

        raise missing(owner if instance is None else instance, self._name)


class Refused(Absent):
    """An attribute that is not there and cannot be assigned either: what a program keeps in it would never be read."""

    __slots__ = ()

    def __set__(self, instance: object, value: object) -> None:
        self.__get__(instance)


def refuse(cls: type, *names: str) -> None:
    """Let a class refuse to give names that it does not have, and to take values for them."""
    for name in names:
        setattr(cls, name, Refused(name))


def without(cls: type, *names: str) -> None:
    """Let a class say of names that it does not have what to use instead; its objects may have them all the same."""
    for name in names:
        setattr(cls, name, Absent(name))


def only_read(cls: type, **instead: str) -> None:
    """Let a class say what to do instead of assigning some of its properties.

    :param instead: for each property, the option by which its value is given
    """
    for name, option in instead.items():

        def refuse(self: object, value: object, name: str = name, option: str = option) -> None:
            raise AttributeError(
                f"{name} of a {type(self).__name__} cannot be assigned; call super().__init__() with {option}, or {OWN_STORE}"
            )

        setattr(cls, name, cls.__dict__[name].setter(refuse))
