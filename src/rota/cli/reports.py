"""What ``rota run`` tells where it cannot draw: a line for each outcome, or a JSON object for each event.

Listens and prints; it changes nothing.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from .. import events
from ..clock import SECOND, SYSTEM_CLOCK
from ..events import (
    EVENT_CLOCK_JUMPED,
    EVENT_JOB_CANCELLED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_LOST,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_QUARANTINED,
    EVENT_JOB_REFUSED,
    EVENT_JOB_RESTORED,
    EVENT_SCHEDULER_DEGRADED,
    EVENT_SCHEDULER_RECOVERED,
)
from .escaping import escaped
from .output import duration, iso, json_text, note, one_line, say
from .stores import label, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from ..core.run import Run
    from ..schedulers.base import BaseScheduler

#: The names of the event codes in JSON: EVENT_JOB_EXECUTED is "job_executed".
NAMES = {
    value: name.removeprefix("EVENT_").lower()
    for name, value in vars(events).items()
    if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_START")
}

#: The events of runs that have ended.
ENDS = (
    EVENT_JOB_EXECUTED
    | EVENT_JOB_ERROR
    | EVENT_JOB_MISSED
    | EVENT_JOB_CANCELLED
    | EVENT_JOB_LOST
    | EVENT_JOB_REFUSED
)
_TROUBLE = (
    EVENT_JOB_MAX_INSTANCES
    | EVENT_JOB_QUARANTINED
    | EVENT_JOB_RESTORED
    | EVENT_SCHEDULER_DEGRADED
    | EVENT_SCHEDULER_RECOVERED
    | EVENT_CLOCK_JUMPED
)


class Report:
    """Base class of what ``rota run`` shows; this one shows nothing.

    :param zone: the zone in which times are shown
    :param closed: called when nobody reads the output any more
    """

    mask = 0
    #: ids of jobs whose successful runs are not worth a line
    quiet: frozenset[str] = frozenset()

    def __init__(self, zone: tzinfo, closed: Callable[[], None]) -> None:
        self.zone = zone
        self._closed = closed
        self._lock = Lock()

    def attach(self, scheduler: BaseScheduler, title: str) -> None:
        """Listen to a scheduler, before it is started."""
        if self.mask:
            scheduler.add_listener(self.listen, self.mask)

    def begin(self) -> None:
        """Take note that the scheduler runs now."""

    def note(self, text: str) -> None:
        """Tell something about the program itself, such as that it drains."""
        note(text)

    def settle(self) -> None:
        """Take note that all runs have ended, and the scheduler is about to close."""

    def end(self) -> None:
        """Take note that nothing more will come."""

    def abandon(self) -> None:
        """Take note that the process ends at once; called in a signal handler."""

    def listen(self, event: Any) -> None:
        """Take an event of the scheduler."""

    def _write(self, line: str) -> None:
        with self._lock:
            try:
                say(line, flush=True)
            except (BrokenPipeError, ValueError):  # the reader is gone, or stdout is closed
                self._closed()


class PlainReport(Report):
    """A line for each outcome: when, how it ended, which job, how long it took, and what came of it."""

    mask = ENDS | _TROUBLE

    def listen(self, event: Any) -> None:
        """Print an event."""
        code, now = event.code, SYSTEM_CLOCK.now()
        if code == EVENT_JOB_EXECUTED and event.job_id in self.quiet:
            return
        took, text = "", ""
        if code & ENDS:
            word, run = NAMES[code].removeprefix("job_"), event.run
            if run is not None:
                now = run.finished_at or now
                word = "refused" if code == EVENT_JOB_REFUSED else run.status
                took = "" if run.duration is None else duration(run.duration * SECOND)
                text = outcome(run, self.zone, now)
        elif code == EVENT_JOB_MAX_INSTANCES:
            word, text = "skipped", "it runs as often as it may (max_instances)"
        elif code == EVENT_CLOCK_JUMPED:
            word, text = "clock", f"it jumped by {event.delta:+.1f} s"
        else:
            word = NAMES[code].rpartition("_")[2]
            text = getattr(event, "reason", None) or ""
        job = getattr(event, "job_id", None) or event.alias or "-"
        name = "" if code & ENDS == 0 or event.run is None else _label(event.run)
        job = escaped(f"{job} [{one_line(name, 60)}]" if name else job)
        self._write(
            f"{iso(now, self.zone)}  {escaped(word):<9}  {job}  {took:<6}  {one_line(text, 300)}".rstrip()
        )


def _label(run: Run) -> str:
    name, func = (run.name, run.func) if run.job is None else (run.job.name, run.job.func_ref)
    return label(run.job_id, name, func)


class JsonReport(Report):
    """A JSON object on a line for each event of the scheduler."""

    mask = events.EVENT_ALL

    def listen(self, event: Any) -> None:
        """Print an event."""
        data: dict[str, Any] = {"event": NAMES[event.code], "time": iso(SYSTEM_CLOCK.now(), self.zone)}
        for name in ("job_id", "jobstore", "alias", "reason", "delta"):
            value = getattr(event, name, None)
            if value is not None:
                data[name] = value
        times = getattr(event, "scheduled_run_times", None)
        if times is not None:
            data["scheduled"] = [time.isoformat() for time in times]
        run = getattr(event, "run", None)
        if run is not None:
            data["run"] = run.to_dict()
        self._write(json_text(data))
