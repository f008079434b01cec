"""APScheduler's decorator for methods of programs that are to be called on the loop of their scheduler or store.

It knows only the attribute ``_eventloop`` of the object whose method it is.
"""

from __future__ import annotations

from functools import partial, wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def run_in_event_loop(func: Callable[..., Any]) -> Callable[..., None]:
    """Return a method that has ``func`` called soon on the loop of its object, from whatever thread it is called."""

    @wraps(func)
    def call_soon(self: Any, *args: Any, **kwargs: Any) -> None:
        self._eventloop.call_soon_threadsafe(partial(func, self, *args, **kwargs))

    return call_soon
