"""Functions among the options of a job: what is taken, and by what name; what is refused, and with what words."""

from __future__ import annotations

from functools import partial
from types import FunctionType

import pytest

from rota.core.handlers import Nameless, checked_handler, checked_predicate
from rota.errors import JobTypeError


def tell(run):
    """Be told of a run."""


def nothing():
    """Take nothing."""


def generator(run):
    yield run


class Owner:
    def tell(self, run):
        """Be told of a run."""


HERE = __name__


@pytest.mark.parametrize("given", [tell, f"{HERE}:tell", f"{HERE}:Owner.tell"])
def test_a_function_is_known_by_its_name(given):
    if given == f"{HERE}:Owner.tell":
        with pytest.raises(JobTypeError, match="on_failure must take one argument, the run: "):
            checked_handler(given)
        return
    assert checked_handler(given) == f"{HERE}:tell"


def test_a_function_that_others_cannot_find_is_kept_as_it_is():
    def local(run):
        """Be told of a run."""

    hidden = partial(tell)
    renamed = FunctionType(tell.__code__, {}, "tell")
    renamed.__module__ = HERE
    for func in (local, lambda run: None, hidden, Owner().tell, renamed):
        found = checked_handler(func)
        assert isinstance(found, Nameless)
        assert found.func == func
        assert repr(found) == repr(func)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (5, "on_failure must be a function of one argument, the run, or a textual reference to one, got 5; write "),
        ([tell], "on_failure must be a function of one argument, the run, or a textual reference to one, got ["),
        (f"{HERE}:HERE", "on_failure must be a function of one argument, the run, or a textual reference to one, got '"),
        (nothing, "on_failure must take one argument, the run: "),
        (generator, "on_failure must do its work when it is called, got the generator function <function generator"),
    ],
    ids=["number", "list", "reference to a text", "no argument", "generator"],
)  # fmt: skip
def test_what_cannot_be_called_with_a_run_is_refused(given, said):
    with pytest.raises(JobTypeError) as caught:
        checked_handler(given)
    assert str(caught.value).startswith(said)


def test_a_predicate_may_be_named_by_a_class_of_exceptions():
    assert checked_predicate("builtins:KeyError") is KeyError
    assert checked_predicate(tell) == f"{HERE}:tell"
    assert checked_predicate("builtins:len") == "builtins:len"
    with pytest.raises(JobTypeError, match="on must take one argument, the exception: "):
        checked_predicate(nothing)
    with pytest.raises(JobTypeError, match="on must be a function of one argument, the exception, or a"):
        checked_predicate(5)
