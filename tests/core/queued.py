"""An executor for tests that keeps what it is given until it is told to carry out the next run."""

from __future__ import annotations

from contextvars import Context
from typing import Any

from rota.executors.base import NativeExecutor, chain
from rota.executors.steps import perform


class Queue(NativeExecutor):
    """Keeps groups of runs, and carries out the first one when it is told to."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.groups: list[tuple[list[Any], Any]] = []

    @property
    def under_way(self) -> int:
        return sum(len(runs) for runs, _ in self.groups)

    def capacity(self) -> int:
        return self.room - len(self.groups)

    def submit(self, runs: Any, done: Any) -> None:
        self.groups += [(list(chain(head)), done) for head in runs]

    def work(self) -> None:
        runs, done = self.groups[0]
        run = runs.pop(0)
        if not runs:
            del self.groups[0]
        perform(run, Context(), self._clock, self._log)
        self._report(run, done)

    def cancel(self) -> None:
        while self.groups:
            self.groups[0][0][0].cancelled = True
            self.work()
