"""Callables by their stored references.

A name becomes an object by :mod:`rota.trust.names` only; nothing is called.
"""

from __future__ import annotations

import sys

from ..callables import needs_of
from ..errors import CallableLookupError
from ..trust.names import callable_named, check_known, judge
from .bounds import CACHE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: reference: (module name, first name in the module, what it was then, the callable)
_callables: dict[str, tuple[str, str, Any, Callable[..., Any]]] = {}


def callable_of(reference: str) -> Callable[..., Any]:
    """Return the callable of a reference; a reloaded module gives its new one.

    :raises CallableNotAllowedError: if there is a list of allowed callables, and this is not on it
    :raises CallableLookupError: if the reference leads to no callable
    """
    known = _callables.get(reference)
    if known is not None:
        module = sys.modules.get(known[0])
        if module is not None and module.__dict__.get(known[1]) is known[2]:
            if judge() is not None:
                check_known(reference, known[3])
            return known[3]
    found = callable_named(reference)
    if not callable(found):
        raise CallableLookupError(
            f"The reference {reference} leads to a {type(found).__name__}, which cannot be called"
        )
    needs_of(found)
    name, _, path = reference.partition(":")
    first = path.partition(".")[0]
    if len(_callables) >= CACHE_SIZE:
        _callables.clear()
    _callables[reference] = (name, first, getattr(sys.modules.get(name), first, None), found)
    return found  # type: ignore[no-any-return]
