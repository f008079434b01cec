"""Crontab files as data: what is in them, line by line, and what is wrong with them.

Reads text and runs nothing. The format is that of crontab(5): of the crontab of a user, or of the system's with its user column.
"""

from __future__ import annotations

import os
import re
from datetime import UTC
from hashlib import blake2b
from pathlib import Path

from .core.option_texts import options_in
from .errors import CronError, NeverFiresError, RotaError
from .triggers.cron import CronTrigger
from .util import astimezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

__all__ = ("CrontabEntry", "read_crontab")

_ASSIGNMENT = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*?)\s*""")
#: A zone before the times, as in Go's cron and Kubernetes; a zone's name has no blanks, and quotes make an assignment.
_ZONE = r"""(?:CRON_TZ|TZ)=[^\s"']+"""
_ZONED = re.compile(rf"\s*-?\s*{_ZONE}\s+\S.*")
_LINE = re.compile(rf"(\s*)(-\s*)?(?:({_ZONE})\s+)?(@every\s+\S+|@\S+|\S+(?:\s+\S+){{4}})(?:\s+(.*))?")
_ID = re.compile(r"\s*#\s*id:\s*(\S+)\s*")
_OPTIONS = re.compile(r"\s*#\s*rota:(.*)")


class CrontabEntry:
    """One command of a crontab: when, what, and with which settings.

    :ivar int number: the number of its line
    :ivar str text: the line
    :ivar str schedule: the five fields or the alias; ``@reboot`` is no time
    :ivar str | None zone: the zone that is written before the schedule (``CRON_TZ=Asia/Tokyo 0 3 * * *``)
    :ivar str command: what the shell is to do
    :ivar str | None input: text for the command's standard input (what follows the first ``%``)
    :ivar str | None user: who runs the command, in a system crontab
    :ivar bool quiet: whether the line begins with ``-``: a run that succeeds is not to be logged
    :ivar bool never: whether no date matches in any year (``0 0 31 2 *``)
    :ivar dict settings: the assignments that hold for it
    :ivar dict settings_at: on which lines these are, by name
    :ivar str id: what the comment ``# id: …`` on the line above says, else the command's first word and a hash of the line and
        of the crontab's name: the same as long as the line is
    :ivar dict options: what the comment ``# rota: retry=3 timeout=300`` above the line says, as ``add_job()`` takes it
    """

    __slots__ = (
        "command",
        "id",
        "input",
        "never",
        "number",
        "options",
        "path",
        "quiet",
        "schedule",
        "settings",
        "settings_at",
        "text",
        "user",
        "zone",
    )

    def __init__(
        self, path: str, number: int, text: str, schedule: str, command: str, settings: dict[str, str]
    ) -> None:
        self.path = path
        self.number = number
        self.text = text
        self.schedule = schedule
        self.command, self.input = _split_percent(command)
        self.settings = settings
        self.settings_at: dict[str, int] = {}
        self.id = ""
        self.options: dict[str, Any] = {}
        self.zone: str | None = None
        self.user: str | None = None
        self.quiet = self.never = False

    def trigger(self, timezone: tzinfo | str | None = None) -> CronTrigger:
        """Return when the command runs, by the clock of the line's own zone, else of ``CRON_TZ``, else of the given zone.

        For a line that never runs it is a trigger without times to come; for ``@every 1h`` one of elapsed time, as
        :meth:`CronTrigger.from_crontab() <rota.triggers.cron.CronTrigger.from_crontab>` has it.

        :param timezone: name or tzinfo (default: the local zone)
        :raises CronError: for ``@reboot``, and for a schedule that is not understood, with line and column
        """
        try:
            zone = astimezone(self.zone or self.settings.get("CRON_TZ")) or timezone
            if self.never:
                return CronTrigger(year=1970, month=1, day=1, timezone=zone)
            return CronTrigger.from_crontab(self.schedule, zone, seed=self.id)
        except RotaError as exc:
            raise self._error(exc) from exc

    def arguments(self, crontab: str) -> dict[str, Any]:
        """Return the keyword arguments with which :func:`rota.commands.run_command` runs the command.

        :param crontab: name of the crontab
        """
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
        if self.user is not None:
            found["user"] = self.user
        return found

    def _check_schedule(self) -> None:
        """Raise what is wrong with the schedule; take note if it is understood and has no time."""
        if self.schedule == "@reboot":
            return
        try:
            self.trigger(UTC)
        except CronError as exc:
            if not isinstance(exc.__cause__, NeverFiresError):
                raise
            self.never = True

    def _error(self, exc: RotaError) -> CronError:
        where = f"{self.path}:{self.number}"
        if not isinstance(exc, CronError) or exc.column is None:
            return CronError(f"{where}: {exc}\n  {self.text}")
        found = _LINE.fullmatch(self.text)
        column = exc.column + (found.start(4) if found is not None else 0)
        message = f"{where}:{column}: {exc}\n  {self.text.expandtabs(1)}\n  {' ' * (column - 1)}^"
        return CronError(message, field=exc.field, item=exc.item, column=column)

    def __repr__(self) -> str:
        return f"<CrontabEntry {self.path}:{self.number} {self.schedule!r} {self.command!r}>"


def read_crontab(source: str | Path, *, name: str | None = None, system: bool = False) -> list[CrontabEntry]:
    """Return the commands of a crontab.

    Every schedule is understood when this returns, or it raises.

    :param source: the text of a crontab, or the :class:`~pathlib.Path` of a file
    :param name: what the crontab is called in messages and in the ids of its entries (default: the file's name, or ``crontab``)
    :param system: whether it is a system crontab (``/etc/crontab``, ``/etc/cron.d``): a user stands before each command
    :raises CronError: (a ``ValueError``) with line and column, if a line is not understood, or two lines have the same id
    :raises OSError: if the file cannot be read
    """
    if isinstance(source, Path):
        text, path = source.read_text(encoding="utf-8"), str(source)
        name = name or source.name
    else:
        text, path = source, name or "crontab"
    entries: list[CrontabEntry] = []
    settings: dict[str, str] = {}
    settings_at: dict[str, int] = {}
    ids: dict[str, CrontabEntry] = {}
    seen: dict[str, int] = {}
    above = _Above(path)
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("#") and above.takes(number, line):
            continue
        given, above = above, _Above(path)
        if not stripped or stripped.startswith("#"):
            given.check_unused()
            continue
        assignment = None if _ZONED.fullmatch(line) else _ASSIGNMENT.fullmatch(line)
        if assignment:
            given.check_unused()
            key = assignment[1] or assignment[2] or assignment[3] or ""
            settings = {**settings, key: _unquoted(assignment[4])}
            settings_at = {**settings_at, key: number}
            continue
        entry = _entry(path, number, line, settings, system)
        entry.settings_at = settings_at
        entry.options = given.options
        entry.id = given.id or _identity(entry, name or "crontab", seen)
        if entry.id in ids:
            raise CronError(
                f"{path}:{number}: the id {entry.id!r} is that of line {ids[entry.id].number} already"
            )
        ids[entry.id] = entry
        entry._check_schedule()
        entries.append(entry)
    above.check_unused()
    return entries


class _Above:
    """What the comments right above a line say of its job.

    :param path: the crontab, for messages
    """

    __slots__ = ("_at", "_path", "id", "options")

    def __init__(self, path: str) -> None:
        self._path = path
        self._at: tuple[int, str] | None = None
        self.id: str | None = None
        self.options: dict[str, Any] = {}

    def takes(self, number: int, line: str) -> bool:
        """Take a comment, if it says something of the job of the line below; return whether it does.

        :raises CronError: if it names what is no option of a job
        """
        id_comment, options = _ID.fullmatch(line), _OPTIONS.fullmatch(line)
        if id_comment:
            self.id = id_comment[1]
        elif options:
            if self._at is not None:
                raise self._error(
                    number, line, f"line {self._at[0]} names options already; write all in one comment"
                )
            try:
                self.options = options_in(options[1])
            except RotaError as exc:
                raise self._error(number, line, str(exc)) from exc
            self._at = number, line
        return bool(id_comment or options)

    def check_unused(self) -> None:
        """Refuse options that belong to no line: they would have no effect.

        :raises CronError: if there are some
        """
        if self._at is not None:
            why = "options of a job must stand right above its line; put the comment there, or take it out"
            raise self._error(*self._at, why)

    def _error(self, number: int, line: str, what: str) -> CronError:
        return CronError(f"{self._path}:{number}: {what}\n  {line}")


def _entry(path: str, number: int, line: str, settings: dict[str, str], system: bool) -> CrontabEntry:
    """Return the entry of a line."""
    found = _LINE.fullmatch(line)
    command = found[5] if found else None
    user = None
    if system and command:
        user, *rest = command.split(None, 1)
        command = rest[0] if rest else None
    if found is None or not command or not command.strip():
        shape = "a user and a command" if system else "a command"
        count = len(line.split())
        counted = "" if "@" in line or "=" in line or count > 5 else f"; this one has {count} words in all"
        raise CronError(
            f"{path}:{number}: not understood; a line is a comment, NAME=value, or a schedule of five fields "
            f"(or @daily and the like) and {shape}{counted}\n  {line}"
        )
    entry = CrontabEntry(path, number, line, found[4], command.strip(), settings)
    entry.quiet = bool(found[2])
    entry.zone = found[3].partition("=")[2] if found[3] else None
    entry.user = user
    return entry


def _identity(entry: CrontabEntry, name: str, seen: dict[str, int]) -> str:
    zone = f"CRON_TZ={entry.zone} " if entry.zone else ""
    user = f"{entry.user} " if entry.user else ""
    schedule = " ".join(entry.schedule.split())
    words = f"{name}\n{zone}{schedule} {user}{entry.command}\n{entry.input or ''}"
    id = f"{_label(entry.command)}-{blake2b(words.encode(), digest_size=4).hexdigest()}"
    seen[id] = seen.get(id, 0) + 1
    return id if seen[id] == 1 else f"{id}-{seen[id]}"  # the same line once more


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
