"""What the tests of the engine share: an executor that holds runs until told, a store that fails, and a log of events."""

from __future__ import annotations

from rota.core.states import succeed
from rota.events import EVENT_ALL
from rota.executors.base import NativeExecutor
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler


class Gate(NativeExecutor):
    """Takes so many runs and ends them when the test says so."""

    def __init__(self, room=1000):
        self.room = room
        self.held = []

    @property
    def under_way(self):
        return len(self.held)

    def capacity(self):
        return max(0, self.room - len(self.held))

    def submit(self, runs, done):
        for head in runs:
            run = head
            while run is not None:
                self.held.append((run, done))
                run = run.then

    def release(self, count=None):
        for _ in range(len(self.held) if count is None else count):
            run, done = self.held.pop(0)
            succeed(run, None, self._clock.now())
            done(run)


class FlakyStore(MemoryJobStore):
    """Fails in the methods that the test names."""

    def __init__(self):
        super().__init__()
        self.broken = set()
        self.tries = 0

    def _fail(self, name):
        if name in self.broken:
            self.tries += 1
            raise ConnectionError(f"{name} failed")

    def due(self, now, room):
        self._fail("due")
        return super().due(now, room)

    def claim(self, decisions, node, now):
        self._fail("claim")
        return super().claim(decisions, node, now)

    def finish(self, runs, now):
        self._fail("finish")
        return super().finish(runs, now)


def started(**options):
    """Return a started scheduler and the list of (event name, event) that it fills."""
    from rota import events

    names = {
        value: name.removeprefix("EVENT_")
        for name, value in vars(events).items()
        if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_START")
    }
    scheduler = ManualScheduler(**options)
    log = []
    scheduler.add_listener(lambda event: log.append((names[event.code], event)), EVENT_ALL)
    scheduler.start()
    log.clear()
    return scheduler, log


def names(log, *wanted):
    """Return the names of the events in a log, or of those that are wanted."""
    return [name for name, _ in log if not wanted or name in wanted]


def outcomes(scheduler, job_id=None):
    """Return (status, reason, count) of the ledger's records, oldest first."""
    return [(run.status, run.reason, run.count) for run in reversed(scheduler.get_runs(job_id))]
