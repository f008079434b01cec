"""What every scheduler must do about its leases while its thread or loop is busy; for pytest.

Part of :class:`~rota.testing.contracts.hosts.HostContract`; it knows nothing of a store but its port.
"""

from __future__ import annotations

import threading
from time import sleep

from ...clock import SECOND, SYSTEM_CLOCK
from ...events import EVENT_JOB_EXECUTED
from ...jobstores.memory import MemoryJobStore
from .host_access import MOMENT, PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...job.handle import Job
    from .host_access import Host

#: How long the leases last (seconds); they are renewed three times in that time.
LEASE = 0.6


class LeasedStore(MemoryJobStore):
    """A memory store that has leases, and counts how often they are renewed.

    :ivar blocks: whether the next pass is to stand still until the lease was renewed several times
    """

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.renewals = 0
        self.blocks = False
        self.renewed_meanwhile = False
        self.fails = False

    def renew(self, *args: Any, **options: Any) -> None:
        """Count, or raise what no store should raise."""
        if self.fails:
            self.fails = False
            raise SystemExit("as the test wants it")
        self.renewals += 1

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Stand still, if the test wants it: a loop that makes its passes itself is blocked."""
        if self.blocks:
            self.blocks = False
            enough, until = self.renewals + 3, SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND
            while self.renewals < enough and SYSTEM_CLOCK.monotonic() < until:
                sleep(0.005)
            self.renewed_meanwhile = self.renewals >= enough
        return super().due(now, room)


class RenewalContract:
    """A node whose thread or loop is busy is not dead."""

    def test_a_lease_is_renewed_while_the_loop_or_a_pass_stands_still(self, host: Host) -> None:
        """A loop that is blocked, a pass that takes long: others must not take the node's runs over."""
        store = LeasedStore()
        scheduler = host.make(jobstores={"default": store}, lease=LEASE)
        host.start(scheduler)
        host.wait_until(lambda: store.renewals, "the lease begins")
        store.blocks = True
        host.call(scheduler.wakeup)
        host.wait_until(lambda: store.renewed_meanwhile, "the lease is renewed beside the pass")
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    def test_a_renewal_that_fails_is_tried_again_whatever_was_raised(self, host: Host) -> None:
        """The thread that renews leases ends with its scheduler only."""
        store = LeasedStore()
        scheduler = host.make(jobstores={"default": store}, lease=LEASE)
        host.start(scheduler)
        host.wait_until(lambda: store.renewals, "the lease begins")
        store.fails = True
        host.wait_until(lambda: not store.fails, "a renewal fails")
        store.blocks = True
        host.call(scheduler.wakeup)
        host.wait_until(lambda: store.renewed_meanwhile, "the lease is renewed beside the pass")
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    def test_a_shutdown_renews_the_lease_until_the_last_run_has_ended_and_then_no_more(
        self, host: Host
    ) -> None:
        """A deploy that waits for a long run must not make others execute it a second time."""
        store, gate, ended = LeasedStore(), threading.Event(), threading.Event()
        scheduler = host.make(jobstores={"default": store}, lease=LEASE)
        scheduler.add_listener(lambda event: ended.set(), EVENT_JOB_EXECUTED)
        host.start(scheduler)
        begun = threading.Event()

        def work() -> None:
            begun.set()
            host.block(gate)

        host.call(scheduler.add_job, work)
        host.wait_until(begun.is_set, "the job has begun")
        thread = threading.Thread(target=scheduler.shutdown)
        thread.start()
        host.wait_until(lambda: not scheduler.running, "the shutdown begins")
        enough = store.renewals + 3
        host.wait_until(lambda: store.renewals >= enough, "the lease is renewed meanwhile")
        gate.set()
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        host.wait_until(lambda: not thread.is_alive(), "shutdown() returns")
        assert ended.is_set()
        renewals = store.renewals
        host.pause(LEASE / 2 + MOMENT)
        assert store.renewals == renewals
        assert "rota-renewals" not in [thread.name for thread in threading.enumerate()]
