"""For tests of the command line: a `rota` process whose output is read while it runs, and `rota` called in this process."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: A busy machine is slow; a test that has to wait longer than this has failed.
LIMIT = 40.0

SOURCES = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what would change the command line's behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
    return {**kept, "PYTHONPATH": str(SOURCES / "src"), "PYTHONUNBUFFERED": "1", "TZ": "UTC", **more}


def hang_up_as_usual() -> None:
    """Let a program hear SIGHUP also where the tests themselves were started by nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Rota:
    """A process of the command line."""

    def __init__(self, *arguments: str, cwd: Path, **variables: str) -> None:
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rota.cli", *arguments],
            cwd=cwd,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hang_up_as_usual if hasattr(signal, "SIGHUP") else None,  # noqa: PLW1509  # it takes no lock
        )
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Rota:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(5)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()

    def wait_for(self, wanted: Callable[[str], bool] | str) -> str:
        """Return the first line of output from now on that is as wanted (or contains a text)."""
        test = wanted if callable(wanted) else lambda line: wanted in line
        until = time.monotonic() + LIMIT
        while True:
            try:
                line = self._queue.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                raise AssertionError(f"no such line within {LIMIT} s; {self.told()}") from None
            if line is None:
                raise AssertionError(f"the process ended without such a line; {self.told()}")
            if test(line):
                return line

    def wait_for_error(self, text: str) -> None:
        """Wait until stderr contains a text."""
        until = time.monotonic() + LIMIT
        while text not in self.errors:
            assert time.monotonic() < until, f"no {text!r} on stderr within {LIMIT} s; {self.told()}"
            self.process.poll()
            threading.Event().wait(0.02)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait until the process has ended by itself; return its exit code."""
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end; {self.told()}") from None
        for reader in self._readers:
            reader.join(5)
        return code

    @property
    def errors(self) -> str:
        return "".join(self._errors)

    def told(self) -> str:
        return f"stdout: {self.lines!r}; stderr: {self.errors!r}"

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._errors.append(line)


def rota(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    """Carry out a command line in this process; return exit code, stdout and stderr."""
    from rota.cli import main

    capsys.readouterr()
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err
