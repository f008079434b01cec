"""Which exceptions a guard lets through; it is asked about exceptions of any class."""

from __future__ import annotations

import pytest

from rota.interrupts import is_interrupt


class Nameless(type):
    @property
    def __name__(cls):  # type: ignore[override]
        raise RuntimeError("a class without a name")


class OfNamelessClass(Exception, metaclass=Nameless):
    pass


class WithoutClass(Exception):
    @property  # type: ignore[misc]
    def __class__(self):
        raise RuntimeError("an object without a class")


@pytest.mark.parametrize(
    "kind",
    [OfNamelessClass, WithoutClass, SystemExit, Exception],
    ids=["nameless class", "no class", "SystemExit", "Exception"],
)
def test_an_exception_that_code_raises_by_itself_is_no_interrupt_whatever_its_class_does(kind):
    assert not is_interrupt(kind())


def test_ctrl_c_is_an_interrupt():
    assert is_interrupt(KeyboardInterrupt())
