"""Crontab files: from the lines of one to the jobs of a scheduler.

Adds jobs; the file is read by :mod:`rota.crontab`, and the commands are run by :mod:`rota.commands`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import SYSTEM_CLOCK, moment
from ..commands import run_command
from ..crontab import read_crontab
from ..errors import CronError
from ..triggers.date import DateTrigger
from .output import CliError

if TYPE_CHECKING:
    from datetime import tzinfo
    from pathlib import Path

    from ..crontab import CrontabEntry
    from ..schedulers.base import BaseScheduler
    from ..triggers.base import BaseTrigger

#: Assignments that say something to cron itself and are no business of ours.
_IGNORED = {"MAILTO": "output goes to the ledger, not into mail", "MAILFROM": "no mail is sent"}


class Crontab:
    """What a crontab file says.

    :ivar str name: the file's name; jobs in a store are known to be of this crontab by it
    :ivar list[str] notes: assignments that have no effect here
    """

    def __init__(self, path: Path) -> None:
        """Read a file.

        :raises CliError: if it cannot be read, or a line is not understood
        """
        self.path = path
        self.name = path.name
        try:
            self.lines = read_crontab(path)
        except CronError as exc:
            raise CliError(str(exc)) from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise CliError(f"cannot read {path}: {exc}") from exc
        ignored = {
            (line.settings_at[name], name)
            for line in self.lines
            for name in _IGNORED
            if name in line.settings
        }
        self.notes = [
            f"{path}:{number}: {name} has no effect: {_IGNORED[name]}" for number, name in sorted(ignored)
        ]
        for line in self.lines:
            line.settings = {name: value for name, value in line.settings.items() if name not in _IGNORED}

    def jobs(self, zone: tzinfo | None) -> list[tuple[str, CrontabEntry, BaseTrigger]]:
        """Return the id, the line and the trigger of each job; ``@reboot`` is now."""
        now = moment(SYSTEM_CLOCK.now())
        return [
            (line.id, line, DateTrigger(run_date=now) if line.schedule == "@reboot" else line.trigger(zone))
            for line in self.lines
        ]


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
