"""How much each executor takes, and whom a pass could not serve for want of room.

It asks the executors; it hands out nothing.
"""

from __future__ import annotations

from ..interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .outlet import Outlet

#: The most jobs that one pass takes from a store for one executor.
PASS = 1000


class Capacity:
    """The room of a scheduler's executors.

    :param crowded: returns the executors for which stores hold plain functions back
    """

    def __init__(self, outlet: Outlet, crowded: Callable[[], set[str]]) -> None:
        self._outlet = outlet
        self._crowded = crowded
        #: executors that a pass under way found without room
        self._full: set[str] = set()
        #: executors that raise when they are asked for their room; that is logged once in a row
        self._broken: set[str] = set()
        #: the full ones of the last passes: when they have room again, the host is woken up
        self._starved: tuple[str, ...] = ()

    def begin(self) -> None:
        """Forget what the passes before have found."""
        self._starved = ()  # runs that end meanwhile wake nobody; the room that they leave is looked at by settle()
        self._full.clear()

    def note_full(self, aliases: Iterable[str]) -> None:
        """Take note of executors for which due jobs may wait."""
        self._full.update(aliases)

    def settle(self) -> bool:
        """Wait for room from now on; return whether there is some already."""
        # In this order: a run that ends later finds its executor here, and one that ended earlier has left room.
        self._starved = tuple(self._full)
        return bool(self._starved) and self._are_worth_a_pass()

    def came_free(self) -> None:
        """Wake the host if due jobs wait for an executor that has room again. Thread-safe."""
        if self._starved and self._are_worth_a_pass():
            self._outlet.wake()

    def _are_worth_a_pass(self) -> bool:
        """Whether so much room has come free in a starved executor that another pass pays."""
        crowded = self._crowded()
        rooms = self.for_functions() if crowded else {}
        return any(
            self.of(alias) and (alias not in crowded or rooms.get(alias, 1)) for alias in self._starved
        )

    def for_functions(self) -> dict[str, int]:
        """Return the room for plain functions of those executors that count them apart."""
        rooms = {}
        for alias, executor in list(self._outlet.executors.items()):
            try:
                room = executor.function_room()
            except BaseException as exc:  # it costs its own functions their turn, and no others
                if is_interrupt(exc):
                    raise
                room = 0
            if room is not None:
                rooms[alias] = room
        return rooms

    def of(self, alias: str, any_room: bool = False) -> int:
        """Return how many jobs to take for an executor.

        :param any_room: whether so little room counts that a pass for it alone would not pay
        """
        executor = self._outlet.executors.get(alias)
        if executor is None:
            return 0
        try:
            room = min(PASS, executor.capacity()) if any_room or executor.worth_a_pass() else 0
        except BaseException as exc:  # it costs its own jobs their turn, and no others
            if is_interrupt(exc):
                raise
            if alias not in self._broken:
                self._broken.add(alias)
                self._outlet.logger.exception(
                    'Executor "%s" cannot tell its room; it gets no runs until it can', alias
                )
            return 0
        if self._broken:
            self._broken.discard(alias)
        return room
