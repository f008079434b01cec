"""The clock of a store's server: this node's monotonic clock plus an offset that is measured again and again.

It measures and remembers; it decides nothing.
"""

from __future__ import annotations

from ..clock import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..clock import Clock

    #: the least and the most that an offset can be, as one answer of a server tells (microseconds)
    Sample = tuple[int, int]


#: A lease that seems to have been renewed further in the future than this (microseconds) was renewed before a clock was set back.
AHEAD = 5 * SECOND
#: How often a server is asked if one answer is not enough; the answer with the shortest round trip counts.
SAMPLES = 5
#: An offset that is wrong by more than this (microseconds) has not drifted: a clock was set.
SET = SECOND


class Offset:
    """What has to be added to this node's monotonic clock to have the time of a server.

    :param resolution: the unit (microseconds) to which the server rounds its time down
    """

    __slots__ = ("_ahead", "_is_own", "_resolution")

    def __init__(self, resolution: int = 1) -> None:
        self._resolution = resolution
        #: by how many microseconds the server's clock is ahead of the monotonic one; None: it was not measured
        self._ahead: int | None = None
        #: whether this is the node's own time, which is precise enough if the server tells its time in seconds only
        self._is_own = False

    def now(self, clock: Clock) -> int:
        """Return the instant by the server's clock, or by this node's if nothing was measured yet.

        :param clock: the clock of this node
        """
        ahead = self._ahead
        return clock.now() if ahead is None else clock.monotonic() + ahead

    def against(self, clock: Clock) -> int | None:
        """Return by how many microseconds the server's clock is ahead of this node's wall clock; None if it was not measured."""
        ahead = self._ahead
        return None if ahead is None else clock.monotonic() + ahead - clock.now()

    def measure(self, ask: Callable[[], int | None], clock: Clock) -> int:
        """Ask the server for its time: once, or several times if the answer is not the expected one.

        :param ask: returns the server's time (instant), None if it cannot tell
        :param clock: the clock of this node
        :return: by how many microseconds :meth:`now` has moved
        """
        sample = self._sample(ask, clock)
        if sample is None:
            return 0
        if not self._agrees(sample):
            others = [self._sample(ask, clock) for _ in range(SAMPLES - 1)]
            sample = min((sample, *filter(None, others)), key=_width)
        own = clock.now() - clock.monotonic()
        before = own if self._ahead is None else self._ahead
        self._is_own = self._resolution >= SECOND and self._trusts(own, sample)
        self._ahead = own if self._is_own else settled(self._ahead, *sample)
        return self._ahead - before

    def _sample(self, ask: Callable[[], int | None], clock: Clock) -> Sample | None:
        before = clock.monotonic()
        there = ask()
        # The server read its clock in between, and has rounded its time down, never up.
        return None if there is None else (there - clock.monotonic(), there + self._resolution - 1 - before)

    def _agrees(self, sample: Sample) -> bool:
        return self._ahead is not None and sample[0] <= self._ahead <= sample[1]

    def _trusts(self, own: int, sample: Sample) -> bool:
        """Whether the node's own clock agrees with a server of whole seconds; with more tolerance if it did so before."""
        margin = self._resolution if self._is_own or self._ahead is None else 0
        return sample[0] - margin <= own <= sample[1] + margin


def settled(ahead: int | None, low: int, high: int) -> int:
    """Return the offset after a measurement. One that may be right stays, so that errors of measuring set no time back.

    :param ahead: the offset before, None if there is none
    :param low: the least that it can be
    :param high: the most that it can be
    """
    if ahead is None or not low - SET <= ahead <= high + SET:
        return (low + high) // 2
    return min(max(ahead, low), high)


def time_from(clock: Clock, now: int) -> Callable[[], int]:
    """Return a function that returns the instant ``now`` plus the time since this call, for steps that may be held up.

    :param clock: the clock of this node
    """
    began = clock.monotonic()
    return lambda: now + clock.monotonic() - began


def _width(sample: Sample) -> int:
    return sample[1] - sample[0]
