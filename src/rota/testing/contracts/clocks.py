"""Which clock a store's jobs follow: its server's if it has one, else its scheduler's; never a wrong one of a node.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ...clock import HOUR, SECOND, SYSTEM_CLOCK, Clock
from ..clock import VirtualClock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...jobstores.base import BaseJobStore

#: Servers of the tests run on this machine; some tell whole seconds only.
CLOSE = 2 * SECOND


class WrongClock(Clock):
    """The system's clock, set wrong by some microseconds."""

    __slots__ = ("shift",)

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def now(self) -> int:
        return super().now() + self.shift


def _restart(store: BaseJobStore, clock: Clock) -> None:
    """Give a store to a scheduler that has this clock."""
    store.shutdown()
    store.start(SimpleNamespace(clock=clock), "default")


class ClockContract:
    """What holds for every store; :class:`~rota.testing.JobStoreContract` derives from it."""

    def test_a_store_tells_the_time(self, store: BaseJobStore) -> None:
        assert abs(store.now() - SYSTEM_CLOCK.now()) < CLOSE

    @pytest.mark.parametrize("shift", [HOUR, -HOUR, 30 * SECOND])
    def test_a_wrong_clock_of_a_scheduler_counts_only_where_the_store_has_none(
        self, store: BaseJobStore, shift: int
    ) -> None:
        clock = WrongClock(shift)
        _restart(store, clock)
        expected = 0 if store.has_clock else shift
        assert abs(store.now() - SYSTEM_CLOCK.now() - expected) < CLOSE
        clock.shift = -shift  # it jumps
        expected = 0 if store.has_clock else -shift
        for _ in range(2):
            assert abs(store.now() - SYSTEM_CLOCK.now() - expected) < CLOSE
            assert abs(store.measure_clock()) < CLOSE

    def test_a_store_tells_how_far_its_clock_is_ahead_of_its_schedulers(self, store: BaseJobStore) -> None:
        _restart(store, WrongClock(HOUR))
        if store.has_clock:
            assert store.clock_offset is not None
            assert abs(store.clock_offset + HOUR) < CLOSE
        else:
            assert store.clock_offset is None

    def test_renewing_a_lease_measures_the_clock_and_keeps_its_time(self, store: BaseJobStore) -> None:
        clock = WrongClock(HOUR)
        _restart(store, clock)
        for _ in range(2):
            store.renew("node", store.now(), 15 * SECOND)
            assert abs(store.now() - clock.now() + (HOUR if store.has_clock else 0)) < CLOSE
            assert store.living_nodes(store.now()) in (1, None)
            assert store.living_nodes(store.now() + 20 * SECOND) in (0, None)

    def test_a_virtual_clock_is_everybodys(self, store: BaseJobStore) -> None:
        clock = VirtualClock()
        _restart(store, clock)
        assert (store.now(), store.clock_offset, store.measure_clock()) == (clock.now(), None, 0)
        clock.advance(hours=1)
        assert store.now() == clock.now()
