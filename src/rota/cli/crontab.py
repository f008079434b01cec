"""Crontab files: from the text of crontab(5) to the jobs of a scheduler.

Reads and adds jobs; the commands are run by :mod:`rota.commands`. The format is the user's crontab, without a user column.
"""

from __future__ import annotations

import os
import re
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clock import SYSTEM_CLOCK, moment
from ..commands import run_command
from ..errors import CronError, RotaError
from ..triggers.cron import CronTrigger
from ..triggers.date import DateTrigger
from ..util import astimezone
from .output import CliError

if TYPE_CHECKING:
    from datetime import tzinfo

    from ..schedulers.base import BaseScheduler
    from ..triggers.base import BaseTrigger

_ASSIGNMENT = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*?)\s*""")
_LINE = re.compile(r"(\s*)(@\S+|\S+(?:\s+\S+){4})(?:\s+(.*))?")
#: Assignments that say something to cron itself and are no business of ours.
_IGNORED = {"MAILTO": "output goes to the ledger, not into mail", "MAILFROM": "no mail is sent"}


class CronLine:
    """One command of a crontab: when, what, and with which settings."""

    def __init__(self, number: int, text: str, schedule: str, command: str, settings: dict[str, str]) -> None:
        self.number = number
        self.text = text
        self.schedule = schedule
        self.command, self.input = _split_percent(command)
        self.settings = settings

    def trigger(self, zone: tzinfo | None, seed: str, path: str) -> BaseTrigger:
        """Return when the command runs; ``@reboot`` is now.

        :raises CliError: with line and column, if the schedule is not understood
        """
        if self.schedule == "@reboot":
            return DateTrigger(run_date=moment(SYSTEM_CLOCK.now()))
        try:
            named = self.settings.get("CRON_TZ")
            return CronTrigger.from_crontab(self.schedule, astimezone(named) if named else zone, seed=seed)
        except RotaError as exc:
            column = exc.column if isinstance(exc, CronError) else None
            indent = len(self.text) - len(self.text.lstrip())
            where = f"{path}:{self.number}"
            if column is None:
                raise CliError(f"{where}: {exc}\n  {self.text}") from exc
            column += indent
            raise CliError(
                f"{where}:{column}: {exc}\n  {self.text.expandtabs(1)}\n  {' ' * (column - 1)}^"
            ) from exc

    def arguments(self, crontab: str) -> dict[str, Any]:
        """Return the keyword arguments of :func:`rota.commands.run_command`."""
        own = {name: value for name, value in self.settings.items() if name not in ("SHELL", "CRON_TZ")}
        found: dict[str, Any] = {"crontab": crontab}
        if "SHELL" in self.settings:
            found["shell"] = self.settings["SHELL"]
        if own:
            found["environment"] = own
        if "HOME" in self.settings:
            found["directory"] = self.settings["HOME"]
        if self.input is not None:
            found["input"] = self.input
        return found


class Crontab:
    """What a crontab file says.

    :ivar str name: the file's name; jobs in a store are known to be of this crontab by it
    :ivar list[str] notes: assignments that have no effect here
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.lines: list[CronLine] = []
        self.notes: list[str] = []
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise CliError(f"cannot read {path}: {exc}") from exc
        self._read(text)

    def _read(self, text: str) -> None:
        settings: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            assignment = _ASSIGNMENT.fullmatch(line)
            if assignment:
                name = assignment[1] or assignment[2] or assignment[3] or ""
                if name in _IGNORED:
                    self.notes.append(f"{self.path}:{number}: {name} has no effect: {_IGNORED[name]}")
                else:
                    settings = {**settings, name: _unquoted(assignment[4])}
                continue
            found = _LINE.fullmatch(line)
            if found is None or not found[3]:
                raise CliError(
                    f"{self.path}:{number}: not understood; a line is a comment, NAME=value, or a schedule of five fields "
                    f"(or @daily and the like) and a command\n  {line}"
                )
            self.lines.append(CronLine(number, line, found[2], found[3].strip(), settings))

    def jobs(self, zone: tzinfo | None) -> list[tuple[str, CronLine, BaseTrigger]]:
        """Return the id, the line and the trigger of each job.

        The id is made of the command's first word and a hash of the line (and of the crontab's name), so an unchanged line is the
        same job when the program starts again.

        :raises CliError: if a schedule is not understood
        """
        found = []
        seen: dict[str, int] = {}
        for line in self.lines:
            words = f"{self.name}\n{' '.join(line.schedule.split())} {line.command}\n{line.input or ''}"
            id = f"{_label(line.command)}-{blake2b(words.encode(), digest_size=4).hexdigest()}"
            seen[id] = seen.get(id, 0) + 1
            if seen[id] > 1:  # the same line once more
                id = f"{id}-{seen[id]}"
            found.append((id, line, line.trigger(zone, id, str(self.path))))
        return found


def add_jobs(scheduler: BaseScheduler, crontab: Crontab, zone: tzinfo | None) -> list[str]:
    """Make a scheduler's jobs those of a crontab: add, keep, and remove what the crontab had and has no more.

    :param scheduler: a scheduler that was started (paused, so that nothing runs before its time)
    :return: the ids of the jobs that were removed
    """
    jobs = crontab.jobs(zone)
    kept = {id for id, _, _ in jobs}
    gone = [
        job.id
        for job in scheduler.get_jobs()
        if job.func is run_command and job.kwargs.get("crontab") == crontab.name and job.id not in kept
    ]
    for id in gone:
        scheduler.remove_job(id)
    for id, line, trigger in jobs:
        scheduler.add_job(
            run_command,
            trigger,
            args=[line.command],
            kwargs=line.arguments(crontab.name),
            id=id,
            name=line.command[:200],
            replace_existing=True,
            # As with cron, a command is started once: it may have outlived the process that started it.
            on_lost="lost",
        )
    return gone


def _split_percent(command: str) -> tuple[str, str | None]:
    r"""Return a command and its standard input, which begins at the first ``%``; further ones are line ends, ``\%`` is a ``%``."""
    parts = [part.replace("\\%", "%") for part in re.split(r"(?<!\\)%", command)]
    return parts[0], "\n".join(parts[1:]) + "\n" if len(parts) > 1 else None


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _label(command: str) -> str:
    """Return the name of the program that a command starts, as far as its first word tells."""
    word = next((word for word in command.split() if "=" not in word), "command")
    name = os.path.basename(word.strip("\"'();&|"))
    return re.sub(r"[^A-Za-z0-9._-]+", "", name)[:40] or "command"
