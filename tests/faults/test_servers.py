"""The servers of the tests themselves: they come up, keep their port, and nothing of them outlives the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import Etcd, MariaDB, PostgreSQL, Redis, ZooKeeper, private

KINDS = [PostgreSQL, MariaDB, Redis, Etcd, ZooKeeper]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_comes_back_on_its_port_and_leaves_nothing_behind(kind: type) -> None:
    with private(kind) as server:
        port, pid, folder = server.port, server.pid, server.folder
        server.kill()
        assert not is_alive(pid)
        server.start()
        assert server.port == port
        assert server.answers()
        pid = server.pid
    assert not is_alive(pid)
    assert not folder.exists()


PROGRAM = """
import sys, time
from tests.servers import Redis, private
with private(Redis) as server:
    print(server.pid, server._guard.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_server_ends_with_the_tests_however_they_end(number: int) -> None:
    with private(Redis):  # or skip
        pass
    tests = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert tests.stdout is not None
        pids = [int(word) for word in tests.stdout.readline().split()]
        assert len(pids) == 2
        tests.send_signal(number)
        tests.wait(20)
    finally:
        tests.kill()
        tests.communicate()
    deadline = time.monotonic() + 20
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline, f"of {pids}, some are still alive"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc/self").exists()
