"""Commands as jobs: what a subprocess leaves in the ledger."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from rota.commands import run_command, stop_commands
from rota.errors import CommandError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the commands are written for a POSIX shell")


def test_a_command_that_succeeds_returns_its_exit_code_and_its_output():
    assert run_command("echo one; echo two >&2") == "exit 0, 2 lines: one\ntwo"
    assert run_command("true") == "exit 0, no output"


def test_a_command_that_fails_raises_with_its_exit_code_and_its_output():
    with pytest.raises(CommandError, match=r"^exit 3, 1 line: disk full$"):
        run_command("echo disk full >&2; exit 3")


def test_a_command_that_is_killed_says_by_which_signal():
    with pytest.raises(CommandError, match=r"^ended by SIGKILL, no output$"):
        run_command("kill -9 $$")


def test_of_long_output_the_end_is_kept():
    result = run_command("seq 1 100000")
    assert result.startswith("exit 0, 100000 lines: …")
    assert result.endswith("\n100000")
    assert len(result) == 500
    with pytest.raises(CommandError) as caught:
        run_command("seq 1 100000; exit 1")
    assert str(caught.value).endswith("\n100000")
    assert 8000 < len(str(caught.value)) <= 8200


def test_bytes_that_are_no_text_do_not_break_a_command():
    assert run_command(r"printf '\377\n'") == "exit 0, 1 line: \ufffd"


def test_input_environment_shell_and_folder_reach_the_command(tmp_path):
    result = run_command(
        "cat; echo $COLOUR; pwd; echo $0",
        input="first\nsecond\n",
        environment={"COLOUR": "blue"},
        directory=str(tmp_path),
        shell="/bin/sh",
    )
    assert result == f"exit 0, 5 lines: first\nsecond\nblue\n{tmp_path.resolve()}\n/bin/sh"


def test_a_command_that_does_not_read_its_input_is_no_error():
    assert run_command("exec 0<&-; sleep 0.1", input="x" * 1_000_000) == "exit 0, no output"


def test_what_a_command_leaves_in_the_background_does_not_hold_up_its_run():
    began = time.monotonic()
    assert run_command("sleep 30 & echo $!").startswith("exit 0, 1 line: ")
    assert time.monotonic() - began < 20


def test_commands_are_ended_with_their_children(tmp_path):
    failures = []

    def run():
        try:
            run_command(f"sleep 60 & echo $! > {tmp_path}/child; wait")
        except CommandError as error:
            failures.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + 20
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
        assert time.monotonic() < until, "the command did not start"
    assert stop_commands() == 1
    thread.join(20)
    assert failures == ["ended by SIGTERM, no output"]
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 20
    while _lives(child):
        assert time.monotonic() < until, "the command's child goes on"
    assert stop_commands() == 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a child that nobody has waited for is dead all the same
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def test_sigterm_is_not_blocked_in_commands():
    with pytest.raises(CommandError, match="ended by SIGTERM"):
        run_command(f"kill -{int(signal.SIGTERM)} $$")
