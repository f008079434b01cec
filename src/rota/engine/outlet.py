"""What the rooms of the engine need of the scheduler around them: handed down, so that nothing calls up.

Holds; it decides nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..clock import Clock
    from ..executors.base import BaseExecutor
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger


class Outlet:
    """The scheduler, as its engine sees it.

    :param clock: the clock
    :param logger: the scheduler's logger
    :param executors: the scheduler's executors by alias (a live mapping)
    :param dispatch: queues an event for the listeners; it waits for none of them
    :param wanted: returns the mask of events that somebody listens to
    :param wake: makes the host make a pass soon; thread-safe
    :param retry_interval: the longest wait (seconds) between two tries with a store that fails
    :param runs_jobs: False: this is no node; nothing is claimed, and no lease is taken
    """

    __slots__ = (
        "clock",
        "dispatch",
        "executors",
        "exiting",
        "logger",
        "passing",
        "polls",
        "retry_interval",
        "room_came_free",
        "runs_jobs",
        "wake",
        "wanted",
    )

    def __init__(
        self,
        clock: Clock,
        logger: GuardedLogger,
        executors: Mapping[str, BaseExecutor],
        dispatch: Callable[[Any], None],
        wanted: Callable[[], int],
        wake: Callable[[], None],
        retry_interval: float,
        runs_jobs: bool,
    ) -> None:
        self.clock = clock
        self.logger = logger
        self.executors = executors
        self.dispatch = dispatch
        self.wanted = wanted
        self.wake = wake
        self.retry_interval = retry_interval
        self.runs_jobs = runs_jobs
        #: called by executors in which a run has ended
        self.room_came_free: Callable[[], None] = wake
        #: whether passes look for what others have changed. In virtual time nothing changes behind the engine's back.
        self.polls = True
        #: identity of the thread that makes a pass now
        self.passing: int | None = None
        #: True while the interpreter exits
        self.exiting = False

    def awake(self) -> int:
        """Return the monotonic microseconds without those in which the machine slept, and no host could make a pass."""
        return self.clock.monotonic() - self.clock.slept()

    def listen_to(self, store: BaseJobStore, told: Callable[[], None]) -> None:
        """Have a store wake the host when others have changed something that is due soon.

        :param told: called before: what is asked of this node has to be looked at
        """
        if self.runs_jobs:

            def wake() -> None:
                told()
                self.wake()

            store.on_wake(wake)
