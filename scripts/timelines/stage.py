"""Where the runs happen that are drawn: schedulers in virtual time whose records are looked at whenever anything has happened.

It draws nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any

from rota.clock import NO_TIME, SECOND
from rota.core.run import Run
from rota.core.states import WAITING
from rota.events import EVENT_JOB_CANCEL_REQUESTED, EVENT_JOB_TIMED_OUT, JobTimedOutEvent
from rota.executors.base import current_run
from rota.testing import ManualScheduler, VirtualClock, VirtualExecutor

BEGIN = datetime(2030, 1, 7, tzinfo=UTC)

#: the longest reason that is shown as it is (characters)
LONGEST = 24

#: a run: its job and its nominal time (seconds after the beginning)
Key = tuple[str, float]


@dataclass(frozen=True)
class Bar:
    """An attempt: when it ran, and how it ended. ``over``: when it was told that its time was over."""

    start: float
    end: float
    number: int
    outcome: str
    over: float | None = None
    node: int | None = None


@dataclass(frozen=True)
class Wait:
    """A time in which a run waited, and for what (empty: to be started at all)."""

    start: float
    end: float
    what: str


@dataclass(frozen=True)
class End:
    """An end of a record: it has another one if it is opened again."""

    at: float
    status: str
    words: str


@dataclass
class Line:
    """What is known of one record: its times, and what happened to it."""

    nominal: float
    times: list[float]
    bars: list[Bar] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    parent: Key | None = None
    beats: list[float] = field(default_factory=list)
    #: whether its time was in the record of several times at first
    was_left_out: bool = False


class Workers(VirtualExecutor):
    """Stands for worker processes, in virtual time: what is ended there does not clean up."""

    in_workers = True

    def terminate_run(self, run: Run) -> None:
        """End a run, whatever it does about that."""
        self.cancel_run(run)
        self._loop.call_soon(lambda: self._loop.call_soon(lambda: self.cancel_run(run)))


class Stage:
    """Some jobs, and what became of them.

    :param lease: several nodes share a database, and have leases of so many seconds; None: one scheduler, in memory
    """

    def __init__(self, lease: float | None = None) -> None:
        logging.getLogger("rota").setLevel(logging.CRITICAL)
        self.clock = VirtualClock(BEGIN)
        self.folder = TemporaryDirectory()
        url = f"sqlite:///{self.folder.name}/jobs.db"
        self.options: dict[str, Any] = (
            {} if lease is None else {"lease": lease, "jobstores": {"default": url}}
        )
        self.alive: list[ManualScheduler] = []
        #: by job, what was done to it, and when
        self.notes: dict[str, list[tuple[float, str]]] = {}
        #: by job, when it was paused or on hold, and what for
        self.spans: dict[str, list[tuple[float, float, str]]] = {}
        self._triggers: dict[str, Any] = {}
        self._frames: list[tuple[float, dict[Key, Any]]] = []
        self._shown: list[Any] = []
        self._over: dict[tuple[str, int, int], float] = {}
        self._beats: dict[tuple[str, int], list[float]] = {}
        self._nodes: list[str] = []
        self._died: dict[str, float] = {}
        self.join()

    # -- what scenes do ------------------------------------------------------------------------------------------

    def join(self) -> None:
        """Start a scheduler (another one, if there is one already)."""
        scheduler = ManualScheduler(clock=self.clock, timezone="UTC", **self.options)
        scheduler.add_listener(self._note_over, EVENT_JOB_TIMED_OUT | EVENT_JOB_CANCEL_REQUESTED)
        scheduler.start()
        scheduler.add_executor(Workers(scheduler.loop), "workers")
        self.alive.append(scheduler)
        self._nodes += [node.id for node in scheduler.get_nodes() if node.id not in self._nodes]

    @property
    def scheduler(self) -> ManualScheduler:
        """The scheduler that is asked: the first one that lives."""
        return self.alive[0]

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self._since(self.clock.now())

    def at(self, seconds: float) -> datetime:
        """Return the time so many seconds after the beginning."""
        return datetime.fromtimestamp(BEGIN.timestamp() + seconds, UTC)

    def add(self, id: str, func: Callable[..., Any], trigger: Any, **options: Any) -> None:
        """Add a job."""
        job = self.scheduler.add_job(func, trigger, id=id, **options)
        self._triggers[id] = job.trigger

    def until(self, seconds: float) -> None:
        """Let everything happen up to that many seconds after the beginning, and look whenever something has."""
        target = self.at(seconds)
        self._look()
        while True:
            following = [time for node in self.alive if (time := node.next_wakeup) is not None]
            time = min([*following, target])
            for node in self.alive:
                node.advance_to(max(time, self.clock.datetime(UTC)))
            self._look()
            if time >= target:
                return

    def note(self, job_id: str, text: str) -> None:
        """Write down what is done to a job now."""
        self.notes.setdefault(job_id, []).append((self.now, text))
        self._look()

    def span(self, job_id: str, start: float, text: str) -> None:
        """Write down that from then to now a job was paused or on hold."""
        self.spans.setdefault(job_id, []).append((start, self.now, text))

    def changed(self, job_id: str, what: str) -> tuple[float, str]:
        """Return when a job was changed in that way last, and what is said of it."""
        changes = self.scheduler.get_changes(job_id)
        return next((self._since(each.at), each.what) for each in changes if each.what.startswith(what))

    def die(self) -> None:
        """Have the first node die: it does nothing any more, and nobody is told."""
        self.alive.pop(0)
        self._died[self._nodes[len(self._died)]] = self.now

    def heartbeat(self) -> None:
        """Do what a job does to say that it gets on."""
        run = current_run()
        run.heartbeat()
        self._beats.setdefault((run.job_id, run.nominal), []).append(self.now)

    # -- what is drawn -------------------------------------------------------------------------------------------

    def due(self, job_id: str) -> list[float]:
        """Return the times of a job's schedule up to now."""
        return self._times(job_id, self.clock.now())

    def lines(self, job_id: str) -> list[Line]:
        """Return what has become of the runs of a job, in the order of their times."""
        keys = sorted({key for _, frame in self._frames for key in frame if key[0] == job_id})
        return [self._line(key) for key in keys]

    # -- inside --------------------------------------------------------------------------------------------------

    def _since(self, instant: int) -> float:
        return instant / SECOND - BEGIN.timestamp()

    def _times(self, job_id: str, last: int) -> list[float]:
        trigger, found = self._triggers[job_id], []
        nominal = trigger.first(int(BEGIN.timestamp() * SECOND))
        while nominal is not None and nominal != NO_TIME and nominal <= last:
            found.append(self._since(nominal))
            nominal = trigger.after(nominal, nominal)
        return found

    def _note_over(self, event: Any) -> None:
        if isinstance(event, JobTimedOutEvent):
            run = event.run
            self._over[run.job_id, run.nominal, run.attempt] = self.now

    def _look(self) -> None:
        runs = self.scheduler.get_runs(limit=1000)
        shown = [(run.id, run.status, run.waiting_for, run.count) for run in runs]
        if shown == self._shown:
            return
        self._shown, frame = shown, {}
        for run in runs:
            known = self.scheduler.get_run(run.job_id, run.scheduled_run_time)
            if known is not None:
                frame[known.job_id, self._since(known.nominal)] = _copy(known)
        self._frames.append((self.now, frame))

    def _line(self, key: Key) -> Line:
        seen = [(at, frame.get(key)) for at, frame in self._frames]
        first = next(run for _, run in seen if run is not None)
        line = Line(key[1], [key[1]])
        line.was_left_out = first.status == WAITING and first.waiting_for in ("backfill", "rerun")
        if first.count > 1:
            line.times = [time for time in self._times(key[0], first.last) if time >= key[1]]
        previous: Any = None
        for number, (at, run) in enumerate(seen):
            following = seen[number + 1][0] if number + 1 < len(seen) else self.now
            if run is None:
                continue
            if run.status == WAITING and following > at:
                self._waited(line, at, following, str(run.waiting_for))
            if run.ended and (previous is None or not previous.ended or previous.attempt != run.attempt):
                line.ends.append(End(self._ended(run, at), run.status, self._words(run)))
            previous = run
        self._add_bars(line, previous)
        return line

    def _add_bars(self, line: Line, run: Any) -> None:
        attempts = run.attempts
        if (
            not run.ended and run.status != WAITING and attempts[0].started_at is None
        ):  # its turn comes in its group
            self._waited(line, self._since(run.due), self.now, "")
        for number, attempt in enumerate(attempts):
            if attempt.started_at is None and attempt.outcome not in ("died", "lost"):
                continue
            start = self._start_of(run, attempt)
            end = self.now if attempt.finished_at is None else self._since(attempt.finished_at)
            if attempt.node in self._died and attempt.outcome in ("died", "lost"):
                end = self._died[attempt.node]
            over = self._over.get((run.job_id, run.nominal, attempt.number))
            node = self._nodes.index(attempt.node) + 1 if attempt.node in self._nodes else None
            line.bars.append(Bar(start, end, attempt.number, attempt.outcome, over, node))
            waited = number == 0 and run.origin == "schedule" and not line.was_left_out and not line.ends[1:]
            if waited and start > self._since(run.due):
                self._waited(line, self._since(run.due), start, "")
        for number, bar in enumerate(line.bars):
            if bar.end in self._died.values() and bar.outcome in ("died", "lost"):
                after = [wait.start for wait in line.waits if wait.start >= bar.end] + [
                    each.at for each in line.ends
                ]
                self._waited(
                    line, bar.end, min([*after, *(each.start for each in line.bars[number + 1 :])]), "lease"
                )
        if run.parent is not None:
            job, _, rest = run.parent.partition("@")
            line.parent = (job, self._since(int(rest.partition("#")[0])))
        line.beats = self._beats.get((run.job_id, run.nominal), [])

    def _start_of(self, run: Any, attempt: Any) -> float:
        if attempt.started_at is not None:
            return self._since(attempt.started_at)
        for at, frame in self._frames:
            seen = frame.get((run.job_id, self._since(run.nominal)))
            if seen is not None and seen.attempt == attempt.number and seen.status == "claimed":
                return at
        return self.now

    def _ended(self, run: Any, at: float) -> float:
        return at if run.finished_at is None else self._since(run.finished_at)

    @staticmethod
    def _waited(line: Line, start: float, end: float, what: str) -> None:
        if line.waits and line.waits[-1].end == start and line.waits[-1].what == what:
            line.waits[-1] = Wait(line.waits[-1].start, end, what)
        else:
            line.waits.append(Wait(start, end, what))

    def _words(self, run: Any) -> str:
        reason = str(run.reason or "")
        for number, node in enumerate(self._nodes, 1):
            reason = reason.replace(node, str(number))
        if len(reason) > LONGEST:
            reason = f"{reason.partition(',')[0]} …"
        words = str(run.status) + (f' "{reason}"' if reason else "")
        return words if run.count == 1 else f"{words} ×{run.count}"

    def close(self) -> None:
        """Stop."""
        for scheduler in self.alive:
            with suppress(Exception):
                scheduler.shutdown(wait=False)
        self.folder.cleanup()


class _Seen:
    """A record as it was at one moment."""


def _copy(run: Run) -> Any:
    seen = _Seen()
    names = "job_id nominal last count due status reason attempt tries waiting_for finished_at origin parent ended"
    for name in [*names.split(), "attempts"]:
        setattr(seen, name, getattr(run, name))
    return seen
