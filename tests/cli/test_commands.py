"""Commands as jobs: what a subprocess leaves in the ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextvars import copy_context
from logging import getLogger

import pytest

from rota.clock import SYSTEM_CLOCK
from rota.commands import check_user, run_command, stop_commands
from rota.core.run import Run
from rota.errors import CommandError, CommandStoppedError
from rota.executors.base import perform
from rota.logs import GuardedLogger
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler
from tests.cli.processes import LIMIT, environment

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
        except CommandStoppedError as error:
            failures.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + 20
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
        assert time.monotonic() < until, "the command did not start"
    assert stop_commands() == 1
    thread.join(20)
    assert failures == ["the program stopped: ended by SIGTERM, no output"]
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 20
    while _lives(child):
        assert time.monotonic() < until, "the command's child goes on"
    assert stop_commands() == 0


def test_the_run_of_a_command_that_was_stopped_is_cancelled_and_one_that_failed_before_is_not(tmp_path):
    def ended(command):
        job = ManualScheduler().add_job(run_command, args=[command])
        run = Run("job", 0, 0, job)
        perform(run, copy_context(), SYSTEM_CLOCK, GuardedLogger(getLogger("rota.test")))
        return run

    began = tmp_path / "began"
    runs = []
    thread = threading.Thread(target=lambda: runs.append(ended(f"touch {began}; sleep 60; exit 7")))
    thread.start()
    until = time.monotonic() + 20
    while not began.exists():
        assert time.monotonic() < until, "the command did not start"
    stop_commands()
    thread.join(20)
    (stopped,) = runs
    assert (stopped.status, stopped.error) == ("cancelled", None)
    assert stopped.reason == "the program stopped: ended by SIGTERM, no output"
    assert ended("exit 7").status == "failed"


# -- as a user ---------------------------------------------------------------------------------------------------


def own_name():
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def test_as_a_user_a_command_has_what_cron_gives_it_and_nothing_of_this_process(monkeypatch):
    import pwd

    monkeypatch.setenv("ROTA_SIGNING_KEY", "a key that is nobody's business")
    monkeypatch.setenv("LANG", "C.UTF-8")
    name = own_name()
    out = run_command("env; pwd", user=name, environment={"EXTRA": "1", "LOGNAME": "somebody"})
    lines = out.partition(": ")[2].splitlines()
    home = pwd.getpwnam(name).pw_dir
    assert {f"HOME={home}", f"LOGNAME={name}", f"USER={name}", "SHELL=/bin/sh", "EXTRA=1"} <= set(lines)
    assert {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"} <= set(lines)
    assert not any("ROTA_SIGNING_KEY" in line for line in lines)
    assert lines[-1] == os.path.realpath(home)


def test_a_user_without_a_home_runs_commands_in_the_root_folder():
    assert run_command("pwd", user=own_name(), directory="/no/such/home").endswith(": /")


def test_an_unknown_user_is_refused():
    for refused in (
        lambda: check_user("nobody-of-that-name"),
        lambda: run_command("true", user="nobody-of-that-name"),
    ):
        with pytest.raises(CommandError, match="there is no user 'nobody-of-that-name' on this machine"):
            refused()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may become another user")
def test_root_runs_commands_as_others_with_their_groups_and_others_may_not():
    import pwd

    nobody = pwd.getpwnam("nobody")
    out = run_command("id -un; id -G; whoami", user="nobody")
    groups = " ".join(str(group) for group in sorted(os.getgrouplist("nobody", nobody.pw_gid)))
    assert out.splitlines()[0].endswith(": nobody")
    assert out.splitlines()[1:] == [groups, "nobody"]
    program = (
        "import os, pwd, subprocess\n"
        "from rota.commands import run_command\n"
        "os.setuid(65534)\n"
        "try: run_command('true', user='daemon')\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
        env=environment(),
    )
    assert done.stdout == "only root and daemon may run commands as daemon; this process is neither\n"


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


def test_a_command_whose_time_is_over_is_ended_with_its_children():
    scheduler = BackgroundScheduler()
    scheduler.start()
    try:
        job = scheduler.add_job(run_command, "interval", hours=1, args=["sleep 600; true"], timeout=0.5)
        run = scheduler.run_job(job.id)
        assert run.wait(LIMIT)
        (record,) = scheduler.get_runs(job.id)
        assert (record.status, record.reason) == ("timed_out", "timeout")
    finally:
        scheduler.shutdown()


def test_one_that_does_not_end_when_it_is_asked_to_is_killed(monkeypatch):
    monkeypatch.setattr("rota.commands.PATIENCE", 0.3)
    scheduler = BackgroundScheduler()
    scheduler.start()
    try:
        job = scheduler.add_job(
            run_command, "interval", hours=1, args=["trap '' TERM; while :; do sleep 0.1; done"], timeout=0.5
        )
        run = scheduler.run_job(job.id)
        assert run.wait(LIMIT)
        (record,) = scheduler.get_runs(job.id)
        assert (record.status, record.reason) == ("timed_out", "timeout")
    finally:
        scheduler.shutdown()
