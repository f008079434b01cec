"""Crontab files: from the lines of one to the jobs of a scheduler.

Adds jobs; the file is read by :mod:`rota.crontab`, and the commands are run by :mod:`rota.commands`.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from ..clock import SYSTEM_CLOCK, moment
from ..commands import check_user, run_command
from ..core.policy import DEFAULT_POLICY, with_options
from ..crontab import read_crontab
from ..errors import CommandError, CronError, RotaError
from ..triggers.date import DateTrigger
from .output import CliError, one_line
from .stores import RUN_COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from pathlib import Path

    from ..crontab import CrontabEntry
    from ..schedulers.base import BaseScheduler
    from ..triggers.base import BaseTrigger

#: Assignments that are meant for cron itself and have no effect here.
_IGNORED = {"MAILTO": "output goes to the ledger, not into mail", "MAILFROM": "no mail is sent"}


class Crontab:
    """What a crontab file says.

    :ivar str name: the file's name; it marks the jobs in a store as this crontab's
    :ivar list[str] notes: what the user should know: assignments that have no effect here, lines that never run
    """

    def __init__(self, path: Path, system: bool = False) -> None:
        """Read a file.

        :param system: whether a user stands before each command
        :raises CliError: if it cannot be read, a line is not understood, or it is of the other kind
        """
        self.path = path
        self.name = path.name
        try:
            self.lines = read_crontab(path, system=system)
        except CronError as exc:
            raise CliError(str(exc)) from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise CliError(f"cannot read {path}: {exc}") from exc
        if system:
            self._check_users()
        elif has_user_column(path, self.lines):
            raise CliError(
                f"{path} looks like a system crontab: a user stands before each command; read it as one by "
                f"--system (commands of other users than yourself take root), or take the users out"
            )
        self.notes = _notes(path, self.lines)
        for line in self.lines:
            line.settings = {name: value for name, value in line.settings.items() if name not in _IGNORED}

    def _check_users(self) -> None:
        for line in self.lines:
            assert line.user is not None
            try:
                check_user(line.user)
            except CommandError as exc:
                raise CliError(f"{line.path}:{line.number}: {exc}\n  {line.text}") from exc

    @property
    def quiet(self) -> frozenset[str]:
        """The ids of the jobs whose lines begin with ``-``."""
        return frozenset(line.id for line in self.lines if line.quiet)

    def jobs(self, zone: tzinfo | None) -> list[tuple[str, CrontabEntry, BaseTrigger]]:
        """Return the id, the line and the trigger of each job; ``@reboot`` is now."""
        now = moment(SYSTEM_CLOCK.now())
        return [
            (line.id, line, DateTrigger(run_date=now) if line.schedule == "@reboot" else line.trigger(zone))
            for line in self.lines
        ]


def has_user_column(path: Path, lines: list[CrontabEntry]) -> bool:
    """Whether a file that is read as a user's crontab is one of the system: a user stands before each command.

    It lies where cron looks for those, or the first word of each command is a user of this machine, and not always a program.
    """
    if str(path.resolve()) == "/etc/crontab" or str(path.resolve().parent) == "/etc/cron.d":
        return bool(lines)
    try:
        import pwd  # not on Windows
    except ImportError:  # Windows has no such users
        return False

    def is_user(name: str) -> bool:
        try:
            return bool(pwd.getpwnam(name))
        except (KeyError, ValueError):
            return False

    if any(len(line.command.split(None, 1)) < 2 for line in lines):  # the command would be missing
        return False
    words = {(line.command.split(None, 1)[0], line.settings.get("PATH")) for line in lines}
    return all(is_user(word) for word, _ in words) and any(
        shutil.which(word, path=folders) is None for word, folders in words
    )


def _notes(path: Path, lines: list[CrontabEntry]) -> list[str]:
    notes = {
        (line.settings_at[name], f"{name} has no effect: {why}")
        for line in lines
        for name, why in _IGNORED.items()
        if name in line.settings
    }
    for line in lines:
        if "TZ" in line.settings and not (line.zone or "CRON_TZ" in line.settings):
            text = "TZ is for the commands only, as with cron; CRON_TZ is the zone of the times"
            notes.add((line.settings_at["TZ"], text))
        if line.never:
            notes.add((line.number, f"no date matches {line.schedule!r}: {line.id} does not run by itself"))
    return [f"{path}:{number}: {text}" for number, text in sorted(notes)]


def add_jobs(
    scheduler: BaseScheduler,
    crontab: Crontab,
    zone: tzinfo | None,
    defaults: Mapping[str, Any] | None = None,
) -> list[str]:
    """Make a scheduler's jobs those of a crontab: add, keep, and remove what the crontab had and has no more.

    :param scheduler: a scheduler that was started (paused, so that nothing runs before its time)
    :param defaults: options of the jobs whose lines do not name them
    :return: the ids of the jobs that were removed
    :raises CliError: if a line's id is that of a job that is not of this crontab, or its options contradict those of all lines;
        nothing is changed then
    """
    jobs = crontab.jobs(zone)
    # As with cron, a command is started once: it may have outlived the process that started it.
    options = {id: {"on_lost": "lost", **(defaults or {}), **line.options} for id, line, _ in jobs}
    for id, line, _ in jobs:
        try:
            with_options(DEFAULT_POLICY, options[id])
        except RotaError as exc:
            raise CliError(f"{crontab.path}:{line.number}: {exc}") from exc
    kept = {id: line for id, line, _ in jobs}
    gone = []
    for job in scheduler.get_jobs():
        ours = job.func_ref == RUN_COMMAND and job.kwargs.get("crontab") == crontab.name
        if ours and job.id not in kept:
            gone.append(job.id)
        elif not ours and job.id in kept:
            raise CliError(
                f"{crontab.path}:{kept[job.id].number}: the store has a job {job.id!r} that is not of this crontab; "
                f"give the line another id"
            )
    for id in gone:
        scheduler.remove_job(id)
    for id, line, trigger in jobs:
        # A line that never runs is kept all the same: somebody may ask for a run of it.
        never: dict[str, Any] = {"next_run_time": None} if line.never else {}
        scheduler.add_job(
            run_command,
            trigger,
            args=[line.command],
            kwargs=line.arguments(crontab.name),
            id=id,
            name=one_line(line.command, 200),
            replace_existing=True,
            **never,
            **options[id],
        )
    return gone
