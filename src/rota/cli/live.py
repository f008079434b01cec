"""The live view of ``rota run`` on a terminal: jobs with their next runs, running now, last outcomes, and a line on health.

Looks at the scheduler through its public methods, now and then; it changes nothing.
"""

from __future__ import annotations

import re
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ..clock import SECOND, SYSTEM_CLOCK, instant, moment
from ..core.plan import ACTIVE
from ..core.run import CLAIMED, END_STATES
from ..version import __version__
from .output import STYLES, duration, local_time, one_line, trigger_text, until
from .reports import Report
from .stores import outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from ..core.run import Run
    from ..job import Job
    from ..schedulers.base import BaseScheduler

#: How often the view is drawn (seconds), and how many times longer it rests than a look at the scheduler took.
_PERIOD = 0.5
_REST = 20
#: Most jobs of which the last outcome is remembered.
_REMEMBERED = 1000


#: The form of the ids that jobs get which were given none.
_RANDOM = re.compile("[0-9a-f]{32}")


class Snapshot:
    """What one look at the scheduler found."""

    def __init__(self, scheduler: BaseScheduler, rows: int) -> None:
        self.now = SYSTEM_CLOCK.now()
        self.jobs = scheduler.get_jobs()
        self.running = sorted(scheduler.get_runs(status=CLAIMED, limit=rows), key=lambda run: run.nominal)
        self.ended = scheduler.get_runs(status=END_STATES, limit=rows)
        self.health = scheduler.health()


class LiveReport(Report):
    """Draws the view until the end; notes and whatever else is printed appear above it."""

    def __init__(self, zone: tzinfo, closed: Callable[[], None], console: Console | None = None) -> None:
        super().__init__(zone, closed)
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._over = Event()
        self._thread: Thread | None = None
        self._last: dict[str, Run] = {}
        self._status = ""
        self._labels: dict[str, str] = {}

    def attach(self, scheduler: BaseScheduler, title: str) -> None:
        """Remember what to look at."""
        self._scheduler = scheduler
        self._title = title

    def begin(self) -> None:
        """Begin to draw."""
        self._live.start()
        self._thread = Thread(target=self._draw, name="rota-view", daemon=True)
        self._thread.start()

    def note(self, text: str) -> None:
        """Show a text in the last line; before the view begins, above it."""
        if self._thread is None:
            super().note(text)
        else:
            self._status = text

    def end(self) -> None:
        """Draw for the last time and give the terminal back."""
        self._over.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(2)
        try:
            self._live.stop()
        except OSError:  # the terminal is gone
            pass

    def settle(self) -> None:
        """Draw once more: the outcomes of the runs that were waited for are in."""
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
            try:
                self._live.update(self.render(found, *self._console.size), refresh=True)
            except OSError:  # the terminal is gone
                self._over.set()
                self._closed()

    # -- drawing -------------------------------------------------------------------------------------------------

    def render(self, found: Snapshot, width: int, height: int) -> Group:
        """Return the view of a snapshot, for a terminal of this size."""
        for run in reversed(found.ended):
            self._last[run.job_id] = run
        while len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        self._labels = {job.id: _label(job) for job in found.jobs if _RANDOM.fullmatch(job.id)}
        room = max(height - 8, 6)
        running = found.running[: max(room // 4, 1)]
        jobs = found.jobs[: max((room - len(running)) // 2, 3)]
        ended = found.ended[: max(room - len(running) - len(jobs) - 3, 2)]
        parts: list[Any] = [self._head(found), self._jobs(jobs, found)]
        if len(found.jobs) > len(jobs):
            parts.append(Text(f"… and {len(found.jobs) - len(jobs)} more jobs", style="dim"))
        if running:
            parts += [Rule("running now", align="left", style="dim"), self._running(running, found.now)]
        if ended:
            parts += [Rule("last outcomes", align="left", style="dim"), self._outcomes(ended, found.now)]
        parts.append(Rule(style="dim"))
        parts.append(self._health(found, width))
        return Group(*parts)

    def _head(self, found: Snapshot) -> Table:
        head = Table.grid(expand=True)
        head.add_column(no_wrap=True, overflow="ellipsis")
        head.add_column(justify="right", no_wrap=True)
        count = len(found.jobs)
        head.add_row(
            Text.assemble(
                (f"Rota {__version__}", "bold"), f"  {self._title}  {count} job{'s' if count != 1 else ''}"
            ),
            Text(f"{moment(found.now, self.zone):%Y-%m-%d %H:%M:%S %Z}", style="dim"),
        )
        return head

    def _jobs(self, jobs: list[Job], found: Snapshot) -> Table:
        table = _table("next run", "", "job", "trigger", "last")
        table.columns[2].ratio, table.columns[3].ratio = 3, 3
        for job in jobs:
            when = job.next_run_time
            if job.state == ACTIVE and when is not None:
                due = instant(when)
                at, left = Text(local_time(due, self.zone, found.now)), _left(due, found.now)
            else:
                at, left = Text(job.state, style=STYLES.get(job.state, "")), Text("")
            table.add_row(
                at,
                left,
                self._called(job.id),
                Text(trigger_text(job.trigger, self.zone), style="dim"),
                self._last_of(job, found.now),
            )
        return table

    def _called(self, job_id: str) -> Text:
        return Text(self._labels.get(job_id) or (job_id[:8] if _RANDOM.fullmatch(job_id) else job_id))

    def _last_of(self, job: Job, now: int) -> Text:
        run = self._last.get(job.id)
        if run is None:
            return Text("")
        return Text.assemble(
            (run.status, STYLES.get(run.status, "")),
            (f" {until(run.finished_at, now)}" if run.finished_at else "", "dim"),
        )

    def _running(self, runs: list[Run], now: int) -> Table:
        table = _table()
        for run in runs:
            since = run.started_at or run.claimed_at or now
            table.add_row(
                Text(local_time(since, self.zone, now)),
                Text(f"for {duration(max(now - since, 0))}"),
                self._called(run.job_id),
                "",
                "",
            )
        return table

    def _outcomes(self, runs: list[Run], now: int) -> Table:
        table = _table()
        table.columns[4].ratio = 1
        for run in runs:
            table.add_row(
                Text(local_time(run.finished_at or run.nominal, self.zone, now)),
                Text(run.status, style=STYLES.get(run.status, "")),
                self._called(run.job_id),
                Text("" if run.duration is None else duration(run.duration * SECOND), style="dim"),
                Text(outcome(run, self.zone, now)),
            )
        return table

    def _health(self, found: Snapshot, width: int) -> Text:
        health = found.health
        line = Text(no_wrap=True)
        line.append(*(("healthy", "green") if health["alive"] else ("in trouble", "bold red")))
        if health["lag"] > 1:
            line.append(f", {duration(health['lag'] * SECOND)} behind", style="yellow")
        for alias, entry in health["stores"].items():
            if not entry["ok"]:
                line.append(f"  {alias}: {one_line(entry['error'] or '')}", style="red")
        line.append(f"  {self._status or 'Ctrl-C drains and stops'}", style="" if self._status else "dim")
        line.truncate(width - 3, overflow="ellipsis")  # there is room for the terminal's ^C
        return line


def _table(*heads: str) -> Table:
    table = Table(
        box=None,
        expand=True,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=bool(heads),
        header_style="dim",
    )
    for head in heads or ("",) * 5:
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    return table


def _label(job: Job) -> str:
    return f"{job.name} {job.id[:6]}"


def _left(due: int, now: int) -> Text:
    return Text("now", style="cyan") if due <= now else Text(until(due, now), style="dim")
