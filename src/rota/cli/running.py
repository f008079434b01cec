"""``rota run`` from its arguments to its exit code: the target's scheduler, logging, and what is shown.

Puts the parts together: targets, crontab, foreground, reports.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from ..errors import AliasInUseError, CommandError, RotaError
from ..executors.pool import ThreadPoolExecutor
from ..schedulers.background import BackgroundScheduler
from ..util import astimezone
from .crontab import Crontab, add_jobs
from .escaping import escaped_lines
from .foreground import Foreground, host_of
from .output import CliError, log_level_of, zone_of
from .reports import JsonReport, PlainReport, Report
from .stores import make_private, make_store
from .targets import crontab_path, find_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo
    from pathlib import Path

    from ..schedulers.base import BaseScheduler

#: How many commands of a crontab may run at once.
_COMMANDS = 64


def run_target(
    target: str,
    jobstore: str | None,
    tablename: str,
    timezone: str | None,
    *,
    plain: bool,
    as_json: bool,
    log_level: str | None,
    seconds: float | None,
    system: bool = False,
    options: Mapping[str, str | None] | None = None,
) -> int:
    """Run a target in the foreground and return the exit code.

    :param options: options of the jobs of a crontab, as they were written
    """
    level = None if log_level is None else log_level_of(log_level)
    zone = zone_of(timezone)
    path = crontab_path(target)
    given = {name: text for name, text in (options or {}).items() if text is not None}
    if path is not None:
        scheduler, prepare = _of_crontab(
            path, system, jobstore, tablename, astimezone(timezone), _options_of(given)
        )
    elif system:
        raise CliError(f"--system is for crontab files; {target} is Python", 2)
    elif given:
        named = f"--{next(iter(given))}"
        raise CliError(
            f"{named} is for crontab files; {target} is Python: give it to add_job() or job_defaults", 2
        )
    else:
        scheduler, prepare = _of_python(target, jobstore, tablename), None
    host_of(scheduler)  # refused before anything is shown
    _set_up_logging(level)
    foreground: Foreground | None = None

    def closed() -> None:
        if foreground is not None:
            foreground.stop()

    report = _report(zone, closed, plain, as_json)
    report.attach(scheduler, target)
    foreground = Foreground(scheduler, report, seconds)
    if prepare is not None:
        scheduler.start(paused=True)
        try:
            prepare(report)
        except BaseException:
            scheduler.shutdown()
            raise
        scheduler.resume()
    return foreground.run()


def _of_python(target: str, jobstore: str | None, tablename: str) -> BaseScheduler:
    try:
        scheduler = find_scheduler(target)
    except (CliError, KeyboardInterrupt, SystemExit, RotaError):
        raise
    except BaseException as exc:
        if "--debug" in sys.argv:
            raise
        raise CliError(
            f"{target} cannot be imported: {type(exc).__name__}: {exc}{_place(exc)} (rota --debug run … shows all)"
        ) from exc
    if jobstore is not None:
        if scheduler.running:
            raise CliError(f"{target} has started its scheduler itself, so --jobstore comes too late")
        try:
            scheduler.add_jobstore(make_store(jobstore, tablename))
            make_private(jobstore)
        except AliasInUseError:
            raise CliError(
                f"the scheduler in {target} has a default job store already; leave --jobstore out"
            ) from None
    return scheduler


def _of_crontab(
    path: Path,
    system: bool,
    jobstore: str | None,
    tablename: str,
    zone: tzinfo | None,
    defaults: Mapping[str, Any],
) -> tuple[BaseScheduler, Callable[[Report], None]]:
    crontab = Crontab(path, system)
    crontab.jobs(zone)  # errors in the file are told before anything is started
    options: dict[str, Any] = {"executors": {"default": ThreadPoolExecutor(_COMMANDS)}}
    if jobstore is not None:
        options["jobstores"] = {"default": make_store(jobstore, tablename)}
        make_private(jobstore)
    if zone is not None:
        options["timezone"] = zone
    scheduler = BackgroundScheduler(**options)

    def prepare(report: Report) -> None:
        report.quiet = crontab.quiet
        for text in crontab.notes:
            report.note(text)
        for id in add_jobs(scheduler, crontab, zone, defaults):
            report.note(f"removed {id}: its line is no longer in {path}")
        if not crontab.lines:
            report.note(f"{path} has no commands")

    return scheduler, prepare


def _options_of(given: Mapping[str, str]) -> dict[str, Any]:
    """Return options of jobs that were given on the command line."""
    from ..core.option_texts import options_of_texts  # import time

    try:
        return options_of_texts(given)
    except RotaError as exc:
        raise CliError(f"--{next(iter(given))}: {exc}" if len(given) == 1 else str(exc), 2) from exc


def _report(zone: tzinfo, closed: Callable[[], None], plain: bool, as_json: bool) -> Report:
    if as_json:
        return JsonReport(zone, closed)
    if plain or not _can_draw():
        return PlainReport(zone, closed)
    from .live import LiveReport  # import time

    return LiveReport(zone, closed)


def _can_draw() -> bool:
    """Whether stdout is a terminal on which a view can be drawn; a dumb one knows no movements of the cursor."""
    if not sys.stdout.isatty():
        return False
    return os.name == "nt" or os.environ.get("TERM", "dumb").lower() not in ("dumb", "unknown", "")


def _place(exc: BaseException) -> str:
    """Return where in the user's file an exception arose: the innermost frame outside importlib."""
    place = ""
    traceback = exc.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith("<frozen"):
            place = f" ({code.co_filename}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place


class _ToStderr(logging.StreamHandler[Any]):
    """Writes to whatever stderr is at the time: the live view puts itself in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        raise AttributeError("the stream is always sys.stderr")


class _Escaping(logging.Formatter):
    """Writes lines as the rest of the command line does: names of jobs and texts of errors may hold anything."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped_lines(super().format(record), "  ")


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a log record says more than the line of the outcome: a command's exit code needs no traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, CommandError)


def _is_for_us(record: logging.LogRecord) -> bool:
    """Whether the program itself has no handler for a log record, so that ours is the one to show it."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(not isinstance(handler, _ToStderr) for handler in logger.handlers):
            return False
        logger = logger.parent if logger.propagate else None
    return True


def _set_up_logging(level: int | None) -> None:
    """Log to stderr what the program has no handler for; its levels stay as they are, unless one was asked for."""
    logger = logging.getLogger("rota")
    handler = _ToStderr()
    handler.setFormatter(_Escaping("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_is_news)
    handler.addFilter(_is_for_us)
    logger.addHandler(handler)
    if level is not None:
        logger.setLevel(level)
