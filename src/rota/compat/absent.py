"""Attributes of APScheduler that Rota does not have, or that can only be read: they say what to use instead.

Whoever runs a scheduler has loaded it; the names themselves are in ``names``, which is loaded when one is missing. Attributes are
descriptors on the classes: a ``__getattr__()`` there would make every attribute of their objects a third slower to read.
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


def inner_name(module: str, name: str) -> Any:
    """Return what a name of APScheduler's module is that ours does not have by itself: what each of ours says for such names.

    :raises AttributeError: if there is no such thing here; it says what to use instead, if that is known
    """
    if name == "__path__":  # what "from … import" asks of each module
        raise AttributeError(name)
    from .names import of_module  # rare

    return of_module(module, name)


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
