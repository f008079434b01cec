"""Commands as jobs: a subprocess whose output and exit code become the record of the run.

Knows no scheduler and no crontab. :func:`run_command` takes and returns plain values, so any job store can keep it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from threading import Lock, Thread

from .clock import SECOND, SYSTEM_CLOCK
from .errors import CommandError, CommandStoppedError
from .executors.base import current_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO, Any

__all__ = ("check_user", "run_command", "stop_commands")

#: How much of a command's output is kept: its end (bytes).
TAIL = 8192
#: How much of it becomes the return value; the ledger keeps strings of 500 characters.
SUMMARY = 500
#: How long output is waited for after a command has ended: what it left in the background may hold the pipe (seconds).
LINGER = 1.0
#: How often a command whose run has a limit looks whether it is to end, and how long it has for that before it is killed (seconds).
LOOK = 0.2
PATIENCE = 10.0

_lock = Lock()
_running: set[subprocess.Popen[bytes]] = set()
#: those of them that :func:`stop_commands` has ended
_stopped: set[subprocess.Popen[bytes]] = set()

#: What a command that runs as a user keeps of this process's environment: the rest may be somebody else's business.
_KEPT = ("LANG", "LANGUAGE", "LC_ALL", "TZ")


def _forget() -> None:
    """In a forked child: the commands are the parent's, and so is whoever held the lock."""
    global _lock
    _lock = Lock()
    _running.clear()
    _stopped.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run_command(
    command: str,
    *,
    shell: str | None = None,
    environment: Mapping[str, str] | None = None,
    input: str | None = None,
    directory: str | None = None,
    crontab: str | None = None,
    user: str | None = None,
) -> str:
    """Run a command by the shell and return how it ended: ``"exit 0, 12 lines: "`` and the end of its output.

    It gets a session of its own, so that Ctrl-C at the terminal reaches the scheduler and not the command. The environment tells
    it the job's id, nominal time and attempt: ``ROTA_JOB_ID``, ``ROTA_SCHEDULED``, ``ROTA_ATTEMPT``.

    :param command: what the shell is to do
    :param shell: path of the shell, which must know ``-c`` (``/bin/sh``; on Windows the system's)
    :param environment: variables to set on top of this process's own
    :param input: text for the command's standard input (empty by default)
    :param directory: where to run it (this process's working directory, or the home of ``user``)
    :param crontab: name of the crontab that the command is from; ``rota run`` recognizes its own jobs by it
    :param user: run it as this user, as cron does: with the user's groups, ``HOME``, ``LOGNAME`` and ``USER``, in the home
        folder, and without this process's environment. Others than this process's own user take root
    :raises CommandError: if it does not exit with 0; the message has the exit code and the end of the output
    :raises CommandStoppedError: if it does not because :func:`stop_commands` ended it
    """
    process = _start(command, shell, environment, input is not None, directory, user)
    output = _Tail()
    reader = Thread(target=output.read, args=(process.stdout,), name="rota-output", daemon=True)
    reader.start()
    try:
        if input is not None:
            _write(process.stdin, input.encode())
        code = _wait(process)
    finally:
        with _lock:
            _running.discard(process)
            stopped = process in _stopped
            _stopped.discard(process)
    reader.join(LINGER)
    if code and stopped:
        raise CommandStoppedError(f"the program stopped: {_ending(code)}{output.shown(TAIL)}")
    if code:
        raise CommandError(f"{_ending(code)}{output.shown(TAIL)}")
    return f"exit 0{output.shown(SUMMARY - len('exit 0'))}"


def stop_commands(force: bool = False) -> int:
    """End all commands that are running, with their children: by SIGTERM, or at once by SIGKILL.

    The runs of those that end because of it are recorded as cancelled.

    :param force: True: kill them
    :return: how many there were
    """
    with _lock:
        processes = list(_running)
        _stopped.update(processes)
    for process in processes:
        _end(process, force)
    return len(processes)


def _end(process: subprocess.Popen[bytes], force: bool) -> None:
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
        elif force:
            process.kill()
        else:
            process.terminate()
    except (ProcessLookupError, PermissionError):
        pass  # it has ended in the meantime


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a command; one whose run has a limit is ended when it is asked to stop, with its children."""
    try:
        run = current_run()
    except RuntimeError:  # called directly
        return process.wait()
    if run.timeout_at is None:
        return process.wait()
    asked: int | None = None
    while True:
        try:
            return process.wait(LOOK)
        except subprocess.TimeoutExpired:
            pass
        if asked is None and run.cancelled:
            asked = SYSTEM_CLOCK.monotonic()
            _end(process, force=False)
        elif asked is not None and SYSTEM_CLOCK.monotonic() - asked > PATIENCE * SECOND:
            _end(process, force=True)


def _start(
    command: str,
    shell: str | None,
    environment: Mapping[str, str] | None,
    has_input: bool,
    directory: str | None,
    user: str | None,
) -> subprocess.Popen[bytes]:
    options: dict[str, Any] = {}
    variables: dict[str, str] = dict(os.environ)
    fixed: dict[str, str] = {}
    if user is not None:
        options, variables, fixed = _as_user(user, shell)
        directory = directory or variables["HOME"]
        if not os.path.isdir(directory):  # as cron does: some users have no home
            directory = "/"
    variables |= {**_about_the_run(), **(environment or {}), **fixed}
    windows = os.name == "nt" and shell is None
    with _lock:
        process = subprocess.Popen(
            command if windows else [shell or "/bin/sh", "-c", command],
            shell=windows,
            env=variables,
            cwd=directory,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            **options,
        )
        _running.add(process)
    return process


def check_user(name: str) -> None:
    """Refuse a user as whom this process cannot run commands.

    :raises CommandError: if there is no such user, or it is another one than this process's own, which only root may be
    """
    uid = _user(name).pw_uid
    if os.geteuid() not in (0, uid):
        raise CommandError(f"only root and {name} may run commands as {name}; this process is neither")


def _user(name: str) -> Any:
    try:
        import pwd  # import time

        return pwd.getpwnam(name)
    except ImportError:
        raise CommandError(f"commands cannot run as {name}: users are those of POSIX systems") from None
    except KeyError:
        raise CommandError(f"there is no user {name!r} on this machine") from None


def _as_user(name: str, shell: str | None) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Return what it takes to run as a user: options of the process, variables, and those that a crontab may not set."""
    check_user(name)
    user = _user(name)
    options: dict[str, Any] = {}
    if os.geteuid() != user.pw_uid:
        groups = os.getgrouplist(name, user.pw_gid)
        options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}
    kept = {variable: os.environ[variable] for variable in _KEPT if variable in os.environ}
    variables = {"PATH": "/usr/bin:/bin", **kept, "HOME": user.pw_dir, "SHELL": shell or "/bin/sh"}
    return options, variables, {"LOGNAME": name, "USER": name}


def _about_the_run() -> dict[str, str]:
    try:
        run = current_run()
    except RuntimeError:  # called directly
        return {}
    return {
        "ROTA_JOB_ID": run.job_id,
        "ROTA_SCHEDULED": run.scheduled_run_time.isoformat(),
        "ROTA_ATTEMPT": str(run.attempt),
    }


def _write(pipe: IO[bytes] | None, data: bytes) -> None:
    assert pipe is not None
    with pipe:
        while data:
            try:
                data = data[os.write(pipe.fileno(), data) :]
            except BrokenPipeError:  # the command did not want to read all of it
                return


def _ending(code: int) -> str:
    if code > 0:
        return f"exit {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


class _Tail:
    """The last bytes of a command's output, and how many lines it had."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._lines = 0

    def read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while True:
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    return
                self._lines += chunk.count(b"\n")
                self._kept += chunk
                del self._kept[:-TAIL]

    def shown(self, limit: int) -> str:
        """Return ``", 12 lines: …"`` with as much of the end of the output as fits into ``limit`` characters."""
        data = bytes(self._kept)
        if not data:
            return ", no output"
        lines = self._lines + (not data.endswith(b"\n"))
        text = data.decode(errors="replace").strip().replace("\r\n", "\n")
        head = f", {lines} line{'s' if lines != 1 else ''}: "
        left = limit - len(head)
        return head + (text if len(text) <= left else "…" + text[-(left - 1) :])
