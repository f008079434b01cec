"""One server process of the tests: a folder, a free port on loopback, started, stopped, killed and started again by pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.folders import folder_of_files
from tests.needs import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARD = Path(__file__).with_name("guard.py")
#: Where Debian keeps programs that are not on everybody's PATH.
PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
#: How long a server may take until it answers, in seconds.
PATIENCE = 40


class NotUp(Exception):
    """The server did not come up; says what it wrote."""


class Server:
    """A server that a test session starts for itself. Subclasses say how (``kinds.py``).

    :ivar folder: its data and its log; gone after :meth:`close`
    :ivar port: its port on 127.0.0.1; the same after a restart
    :ivar pid: the pid of the running server
    """

    #: what it is called in messages
    name: str
    #: the Debian package that brings it
    package: str
    #: the signal that ends it in good order and soon
    stop_signal = signal.SIGTERM
    #: the user it must run as where the tests run as root
    user = ""

    def __init__(self) -> None:
        self.pid = 0
        self._guard: subprocess.Popen[bytes] | None = None
        self.program = self.find()
        self.folder = Path(tempfile.mkdtemp(prefix=f"rota-{self.name.lower()}-", dir=folder_of_files()))
        self.port = free_port()
        if self._user:
            shutil.chown(self.folder, self._user, self._user)

    # -- what subclasses say -------------------------------------------------------------------------------------

    def find(self) -> str:
        """Return the path of the program; skip (or fail) if it is not here."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make what must be in the folder before the first start."""

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server takes work; an OSError means no."""
        raise NotImplementedError

    def url(self) -> str:
        """Return the URL of a store on it."""
        raise NotImplementedError

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._guard is not None and self._guard.poll() is None

    def open(self) -> None:
        """Prepare the folder and start for the first time; if another process took the port, take another one."""
        self.prepare()
        for attempt in range(3):
            try:
                self.start()
                break
            except NotUp:
                if attempt == 2:
                    raise
                self.port = free_port()

    def start(self, patience: float = PATIENCE) -> None:
        """Start the server and wait until it answers."""
        deadline = time.monotonic() + patience
        while True:
            self._launch()
            if self._comes_up(deadline):
                return
            # After SIGKILL its last children may hold what it needs for a moment; then it ends at once.
            if self.is_running or time.monotonic() > deadline - patience / 2:
                text = self.log()
                self.kill()
                raise NotUp(f"{self.name} did not come up; its log ends with:\n{text[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End the server in good order."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server by SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start, with the same data and port."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Stop the process in its tracks (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the server and delete its folder."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what the server has written."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def run(self, *command: str) -> None:
        """Run a helper of the server to its end, as the server's user."""
        as_user = {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        done = subprocess.run(  # type: ignore[call-overload]
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
            check=False,
            **as_user,
        )
        if done.returncode:
            raise NotUp(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")

    # -- helpers -------------------------------------------------------------------------------------------------

    @property
    def _user(self) -> str:
        return self.user if os.geteuid() == 0 else ""

    def _launch(self) -> None:
        with open(self.folder / "log", "ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-S", "-E", str(GUARD), self._user, *self.command()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline() or 0)
        if not self.pid:
            raise NotUp(f"{self.name} could not be started:\n{self.log()[-2000:]}")

    def _comes_up(self, deadline: float) -> bool:
        while self.is_running and time.monotonic() < deadline:
            try:
                if self.answers():
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False

    def _end(self, number: signal.Signals) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        if guard.poll() is None:
            try:
                os.kill(self.pid, signal.SIGCONT)
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass
        try:
            guard.wait(20)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            guard.wait(20)
        finally:
            for pipe in (guard.stdin, guard.stdout):
                if pipe is not None:
                    pipe.close()


def find_program(name: str, package: str, *programs: str, paths: str = PATHS) -> str:
    """Return the path of the first of these programs that is here; else skip, or fail where all is required."""
    for program in programs:
        found = shutil.which(program, path=paths)
        if found:
            return found
    return missing(name, f"install the package {package}")


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, question: bytes, length: int = 1024) -> bytes:
    """Send some bytes to a port and return the beginning of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        if question:
            connection.sendall(question)
        return connection.recv(length)


def opened(kind: type[Server]) -> Iterator[Server]:
    """Start a server of a kind, for a fixture, and close it afterwards."""
    server = kind()
    try:
        server.open()
        yield server
    finally:
        server.close()
