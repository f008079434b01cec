"""Commands as jobs: a subprocess whose output and exit code become the record of the run.

Knows no scheduler and no crontab. :func:`run_command` takes and returns plain values, so any job store can keep it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from threading import Lock, Thread

from .errors import CommandError
from .executors.base import current_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

__all__ = ("run_command", "stop_commands")

#: How much of a command's output is kept: its end (bytes).
TAIL = 8192
#: How much of it becomes the return value; the ledger keeps strings of 500 characters.
SUMMARY = 500
#: How long output is waited for after a command has ended: what it left in the background may hold the pipe (seconds).
LINGER = 1.0

_lock = Lock()
_running: set[subprocess.Popen[bytes]] = set()


def run_command(
    command: str,
    *,
    shell: str | None = None,
    environment: Mapping[str, str] | None = None,
    input: str | None = None,
    directory: str | None = None,
    crontab: str | None = None,
) -> str:
    """Run a command by the shell and return how it ended: ``"exit 0, 12 lines: "`` and the end of its output.

    It gets a session of its own, so that Ctrl-C at the terminal reaches the scheduler and not the command. The environment tells
    it the job's id, nominal time and attempt: ``ROTA_JOB_ID``, ``ROTA_SCHEDULED``, ``ROTA_ATTEMPT``.

    :param command: what the shell is to do
    :param shell: path of the shell, which must know ``-c`` (``/bin/sh``; on Windows the system's)
    :param environment: variables to set on top of this process's own
    :param input: text for the command's standard input (empty by default)
    :param directory: where to run it (this process's working directory)
    :param crontab: name of the crontab that the command is from; ``rota run`` recognizes its own jobs by it
    :raises CommandError: if it does not exit with 0; the message has the exit code and the end of the output
    """
    process = _start(command, shell, environment, input is not None, directory)
    output = _Tail()
    reader = Thread(target=output.read, args=(process.stdout,), name="rota-output", daemon=True)
    reader.start()
    try:
        if input is not None:
            _write(process.stdin, input.encode())
        code = process.wait()
    finally:
        with _lock:
            _running.discard(process)
    reader.join(LINGER)
    if code:
        raise CommandError(f"{_ending(code)}{output.shown(TAIL)}")
    return f"exit 0{output.shown(SUMMARY - len('exit 0'))}"


def stop_commands(force: bool = False) -> int:
    """End all commands that are running, with their children: by SIGTERM, or at once by SIGKILL.

    :param force: True: kill them
    :return: how many there were
    """
    with _lock:
        processes = list(_running)
    for process in processes:
        try:
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
            elif force:
                process.kill()
            else:
                process.terminate()
        except (ProcessLookupError, PermissionError):
            pass  # it has ended in the meantime
    return len(processes)


def _start(
    command: str,
    shell: str | None,
    environment: Mapping[str, str] | None,
    has_input: bool,
    directory: str | None,
) -> subprocess.Popen[bytes]:
    variables = {**os.environ, **_about_the_run(), **(environment or {})}
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
        )
        _running.add(process)
    return process


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
