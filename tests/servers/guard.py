"""Stands beside one server process and ends it when the tests are gone, however they ended (Ctrl-C twice, SIGKILL).

A program of its own, started by ``process.py``: ``python guard.py [user] command…``. It prints the server's pid, ends the
server when its standard input closes or its parent dies, and deletes the folder it works in then; it returns the server's
exit status.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys

#: How long a server may take to end when the tests are gone, in seconds.
PATIENCE = 5


def main(user: str, command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Ctrl-C is for the tests, which then close our input. SIG_IGN would be inherited by the server.
        signal.signal(number, lambda number, frame: None)
    parent = os.getppid()
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    # Our standard output is for the pid alone: a server may say something sooner than we do.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True, **as_user)  # type: ignore[call-overload]
    os.write(1, f"{server.pid}\n".encode())
    while server.poll() is None:
        ready, _, _ = select.select([0], [], [], 0.2)
        if (ready and not os.read(0, 1)) or os.getppid() != parent:
            server.send_signal(signal.SIGCONT)
            server.send_signal(signal.SIGQUIT if "postgres" in command[0] else signal.SIGTERM)
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            shutil.rmtree(os.getcwd(), ignore_errors=True)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
