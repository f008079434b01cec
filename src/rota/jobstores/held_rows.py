"""Steps of a store that write what somebody else's transaction holds: a user's call waits for that, a pass never does.

It asks the store again after pauses; it knows no database.
"""

from __future__ import annotations

from time import sleep

from ..clock import SECOND, SYSTEM_CLOCK
from ..errors import HeldRowsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    Asked = ParamSpec("Asked")
    Answer = TypeVar("Answer")

#: After so many things in a row of which somebody holds rows, a step tries no other one: each takes as long as the server waits.
MOST_HELD = 3
#: How long a user's call waits for rows that somebody holds (microseconds), and its pauses (seconds).
PATIENCE = 60 * SECOND
PAUSES = (0.02, 0.1, 0.5)


def as_soon_as_free(step: Callable[Asked, Answer], *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
    """Return what a step of a store returns, as soon as nobody holds the rows that it writes.

    :raises HeldRowsError: if somebody holds them for a minute
    """
    until, pauses = SYSTEM_CLOCK.monotonic() + PATIENCE, iter(PAUSES)
    pause = 0.0
    while True:
        try:
            return step(*args, **kwargs)
        except HeldRowsError:
            if SYSTEM_CLOCK.monotonic() >= until:
                raise
            pause = next(pauses, pause)
            sleep(pause)
