"""The live view of ``rota run`` on a terminal: jobs with their next runs, running now, last outcomes, and a line on health.

Looks at the scheduler through its public methods, now and then; it changes nothing.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ..clock import SECOND, SYSTEM_CLOCK, instant, moment
from ..core.states import ACTIVE, CLAIMED, END_STATES, FAILED, LOST, TIMED_OUT
from ..version import __version__
from .escaping import escaped, without_style
from .fitting import Way, table
from .output import STYLES, duration, local_time, one_line, trigger_text, until
from .printed import Printed
from .reports import ENDS, Report
from .stores import RANDOM_ID, label, outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from ..core.run import Run
    from ..job.handle import Job
    from ..schedulers.base import BaseScheduler

#: How often the view is drawn (seconds), and how many times longer it rests than a look at the scheduler took.
_PERIOD = 0.5
_REST = 20
#: Of how many jobs, at most, the last outcome is remembered.
_REMEMBERED = 1000
#: How many of the last printed lines are shown.
_LINES = 4
#: The outcomes of runs that went wrong.
_BAD = (FAILED, TIMED_OUT, LOST)
#: Columns of the tables.
AT, JOB, TRIGGER, LAST = 1, 2, 3, 4
#: What a terminal is told to leave the view's screen and to show the cursor.
_ORDINARY_SCREEN = b"\x1b[?1049l\x1b[?25h"


class Snapshot:
    """What one look at the scheduler found."""

    def __init__(self, scheduler: BaseScheduler, rows: int) -> None:
        self.now = SYSTEM_CLOCK.now()
        self.jobs = scheduler.get_jobs()
        self.running = sorted(scheduler.get_runs(status=CLAIMED, limit=rows), key=lambda run: run.nominal)
        self.ended = scheduler.get_runs(status=END_STATES, limit=rows)
        self.health = scheduler.health()


class LiveReport(Report):
    """Draws the view on a screen of its own until the end; what is printed meanwhile is kept and printed then."""

    mask = ENDS

    def __init__(self, zone: tzinfo, closed: Callable[[], None], console: Console | None = None) -> None:
        super().__init__(zone, closed)
        self._console = console or Console(file=sys.stdout)
        # What a resize leaves of a view in the ordinary screen cannot be taken back; a screen of its own is drawn anew.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            screen=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._printed = Printed()
        self._over = Event()
        self._thread: Thread | None = None
        self._last: dict[str, Run] = {}
        self._ends: Counter[str] = Counter()
        self._began = SYSTEM_CLOCK.now()
        self._found: Snapshot | None = None
        self._status = ""
        self._labels: dict[str, str] = {}

    def attach(self, scheduler: BaseScheduler, title: str) -> None:
        """Remember what to look at."""
        super().attach(scheduler, title)
        self._scheduler = scheduler
        self._title = title

    def listen(self, event: Any) -> None:
        """Count how runs end."""
        run = getattr(event, "run", None)
        if run is not None:
            self._ends[run.status] += 1

    def begin(self) -> None:
        """Begin to draw."""
        self._printed.begin()
        self._live.start()
        self._thread = Thread(target=self._draw, name="rota-view", daemon=True)
        self._thread.start()

    def note(self, text: str) -> None:
        """Show a text in the last line; before the view begins, print it, and show it among what was printed."""
        if self._thread is None:
            super().note(text)
            self._printed.add(None, text)
        else:
            self._status = text

    def end(self) -> None:
        """Give the terminal back, and leave a summary on it: what was printed, the last view, and how many runs ended how."""
        self._over.set()
        if self._thread is None:
            return
        if self._thread.is_alive():
            self._thread.join(2)
        self._thread = None
        try:
            self._live.stop()
            self._printed.end()
            self._summarise()
        except OSError:  # the terminal is gone
            pass

    def abandon(self) -> None:
        """Give the terminal back at once."""
        if self._thread is not None:
            try:
                os.write(self._console.file.fileno(), _ORDINARY_SCREEN)
            except (OSError, ValueError):
                pass

    def settle(self) -> None:
        """Draw once more, with the outcomes of the runs that the drain has waited for."""
        self._look()

    def _draw(self) -> None:
        while True:
            began = SYSTEM_CLOCK.monotonic()
            self._look()
            took = (SYSTEM_CLOCK.monotonic() - began) / SECOND
            if self._over.wait(max(_PERIOD, _REST * took)):
                return

    def _look(self) -> None:
        with self._lock:
            try:
                found = Snapshot(self._scheduler, 100)
            except Exception as exc:  # a store in trouble; the view goes on
                self._status = one_line(f"{type(exc).__name__}: {exc}", 200)
                return
            if not self._scheduler.running:
                return
            self._found = found
            try:
                self._live.update(self.render(found, *self._console.size), refresh=True)
            except OSError:  # the terminal is gone
                self._over.set()
                self._closed()

    def _summarise(self) -> None:
        width, height = self._console.size
        if self._found is not None:
            self._console.print(Group(*self._tables(self._found, width, height)), crop=True)
        ends = (
            ", ".join(f"{count} {escaped(status)}" for status, count in self._ends.most_common())
            or "no run has ended"
        )
        self._console.print(Text(f"{duration(SYSTEM_CLOCK.now() - self._began)}: {ends}"), crop=True)

    # -- drawing -------------------------------------------------------------------------------------------------

    def render(self, found: Snapshot, width: int, height: int) -> Group:
        """Return the view of a snapshot, for a terminal of this size."""
        for run in reversed(found.ended):
            self._last[run.job_id] = run
        while len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        self._labels = {run.job_id: _label(run.job_id, run.name, run.func) for run in found.ended}
        self._labels |= {job.id: _label(job.id, job.name, job.func_ref) for job in found.jobs}
        lines = self._printed.last(max(min(_LINES, height // 6), 0))
        parts = self._tables(found, width, height - len(lines) - bool(lines))
        if lines:
            parts.append(Rule("printed", align="left", style="dim"))
            parts += [
                Text(one_line(without_style(line)) or " ", no_wrap=True, overflow="ellipsis")
                for line in lines
            ]
        parts.append(Rule(style="dim"))
        parts.append(self._health(found, width))
        return Group(*parts)

    def _tables(self, found: Snapshot, width: int, height: int) -> list[Any]:
        """Return the parts of the view that stay when it is over."""
        room = max(height - 8, 6)
        running = found.running[: max(room // 4, 1)]
        jobs = found.jobs[: max((room - len(running)) // 2, 3)]
        ended = found.ended[: max(room - len(running) - len(jobs) - 3, 2)]
        parts: list[Any] = [self._head(found), self._jobs(jobs, found, width)]
        if len(found.jobs) > len(jobs):
            parts.append(Text(f"… and {len(found.jobs) - len(jobs)} more jobs", style="dim"))
        if running:
            parts += [
                Rule("running now", align="left", style="dim"),
                self._running(running, found.now, width),
            ]
        if ended:
            parts += [
                Rule("last outcomes", align="left", style="dim"),
                self._outcomes(ended, found.now, width),
            ]
        return parts

    def _head(self, found: Snapshot) -> Table:
        head = Table.grid(expand=True)
        head.add_column(no_wrap=True, overflow="ellipsis")
        head.add_column(justify="right", no_wrap=True)
        count = len(found.jobs)
        head.add_row(
            Text.assemble(
                (f"Rota {__version__}", "bold"),
                f"  {escaped(self._title)}  {count} job{'s' if count != 1 else ''}",
            ),
            Text(f"{moment(found.now, self.zone):%Y-%m-%d %H:%M:%S %Z}", style="dim"),
        )
        return head

    def _jobs(self, jobs: list[Job], found: Snapshot, width: int) -> Table:
        rows = []
        for job in jobs:
            when = job.next_run_time
            if job.state == ACTIVE and when is not None:
                due = instant(when)
                at, left = Text(local_time(due, self.zone, found.now)), _left(due, found.now)
            else:
                at, left = Text(""), Text(escaped(job.state), style=STYLES.get(job.state, ""))
            trigger = Text(trigger_text(job.trigger, self.zone), style="dim")
            rows.append((left, at, self._called(job.id), trigger, self._last_of(job, found.now)))
        ways = (Way(TRIGGER, 10), Way(AT), Way(LAST, 9), Way(JOB, 8, goes=False))
        return table(("next run", "", "job", "trigger", "last"), rows, ways, width)

    def _called(self, job_id: str) -> Text:
        shown = self._labels.get(job_id) or (job_id[:8] if RANDOM_ID.fullmatch(job_id) else job_id)
        return Text(escaped(shown))

    def _last_of(self, job: Job, now: int) -> Text:
        run = self._last.get(job.id)
        if run is None:
            return Text("")
        return Text.assemble(
            (escaped(run.status), STYLES.get(run.status, "")),
            (f" {until(run.finished_at, now)}" if run.finished_at else "", "dim"),
        )

    def _running(self, runs: list[Run], now: int, width: int) -> Table:
        rows = []
        for run in runs:
            since = run.started_at or run.claimed_at or now
            length = Text(f"for {duration(max(now - since, 0))}")
            rows.append((length, Text(local_time(since, self.zone, now)), self._called(run.job_id)))
        return table(("", "", ""), rows, (Way(AT), Way(JOB, 8, goes=False)), width)

    def _outcomes(self, runs: list[Run], now: int, width: int) -> Table:
        rows = [
            (
                Text(escaped(run.status), style=STYLES.get(run.status, "")),
                Text(local_time(run.finished_at or run.nominal, self.zone, now)),
                self._called(run.job_id),
                Text("" if run.duration is None else duration(run.duration * SECOND), style="dim"),
                Text(outcome(run, self.zone, now)),
            )
            for run in runs
        ]
        ways = (Way(LAST, 20, goes=False), Way(3), Way(AT), Way(LAST, 8), Way(JOB, 8, goes=False))
        return table(("",) * 5, rows, ways, width)

    def _failing(self, found: Snapshot) -> int:
        """Return how many jobs failed in their last run: those that are there, and those that ended in this view's time."""
        there = {job.id for job in found.jobs}
        return sum(
            run.status in _BAD and (run.job_id in there or (run.finished_at or 0) >= self._began)
            for run in self._last.values()
        )

    def _health(self, found: Snapshot, width: int) -> Text:
        health = found.health
        line = Text(no_wrap=True)
        failing = self._failing(found)
        if not health["alive"] or not all(entry["ok"] for entry in health["stores"].values()):
            line.append("in trouble", "bold red")
        elif failing:
            line.append(f"the last run of {failing} job{'s' if failing > 1 else ''} failed", "bold red")
        else:
            line.append("healthy", "green")
        if health["lag"] > 1:
            line.append(f", {duration(health['lag'] * SECOND)} behind", style="yellow")
        for alias, entry in health["stores"].items():
            if not entry["ok"]:
                line.append(f"  {escaped(alias)}: {one_line(entry['error'] or '')}", style="red")
        line.append(f"  {self._status or 'Ctrl-C drains and stops'}", style="" if self._status else "dim")
        line.truncate(width - 3, overflow="ellipsis")  # there is room for the terminal's ^C
        return line


def _label(job_id: str, name: str | None, func: str | None) -> str:
    found = label(job_id, name, func)
    return f"{found} {job_id[:6]}" if found and RANDOM_ID.fullmatch(job_id) else found


def _left(due: int, now: int) -> Text:
    return Text("now", style="cyan") if due <= now else Text(until(due, now), style="dim")
