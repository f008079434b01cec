"""The live view: what it shows of a scheduler, at the width of a small terminal."""

from __future__ import annotations

import io
import os
import signal
import threading
from datetime import UTC, datetime

import pytest

from rota.schedulers.background import BackgroundScheduler
from tests.cli.processes import LIMIT, environment
from tests.needs import need

need("typer", "cli")
need("rich", "cli")

from rich.console import Console  # noqa: E402

from rota.cli.live import LiveReport, Snapshot  # noqa: E402


@pytest.fixture
def scheduler():
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start()
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


def shown(scheduler, width=80, height=24, status=""):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    report = LiveReport(UTC, lambda: None, console)
    report.attach(scheduler, "app.py")
    report._status = status
    console.print(report.render(Snapshot(scheduler, 100), width, height))
    return console.file.getvalue().splitlines()


def ended(scheduler, count):
    until = threading.Event()
    for _ in range(int(LIMIT / 0.02)):
        if sum(run.ended for run in scheduler.get_runs()) >= count:
            return
        until.wait(0.02)
    raise AssertionError(f"{count} runs did not end: {scheduler.get_runs()}")


def test_it_shows_next_runs_running_runs_and_outcomes(scheduler):
    go = threading.Event()

    def wrong():
        raise ValueError("no [such] thing")

    scheduler.add_job(print, "date", run_date=datetime(2099, 1, 2, 3, 4, tzinfo=UTC), id="[red]far away")
    scheduler.add_job(print, "cron", minute="*/5", id="asleep", next_run_time=None)
    scheduler.add_job(wrong, id="wrong")
    scheduler.add_job(go.wait, args=[LIMIT], id="slow")
    ended(scheduler, 1)
    lines = shown(scheduler)
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("Rota 0.")
    assert "app.py  2 jobs" in lines[0]
    assert lines[1].split() == ["next", "run", "job", "trigger", "last"]
    assert lines[2].startswith("2099-01-02 03:04")
    assert "[red]far away" in lines[2]
    assert lines[3].split()[:2] == ["paused", "asleep"]
    running = lines.index(next(line for line in lines if line.startswith("running now")))
    assert "slow" in lines[running + 1]
    last = lines.index(next(line for line in lines if line.startswith("last outcomes")))
    assert lines[last + 1].split()[1:3] == ["failed", "wrong"]
    assert lines[last + 1].rstrip().endswith("ValueError: no [such] thing")
    assert lines[-1].startswith("healthy  Ctrl-C drains and stops")
    go.set()


def test_a_job_without_an_id_of_its_own_is_shown_by_its_name(scheduler):
    job = scheduler.add_job(print, "interval", hours=1, name="count things")
    (line,) = (line for line in shown(scheduler, 100) if "every 1 h" in line)
    assert f"count things {job.id[:6]}  " in line


def test_many_jobs_and_outcomes_are_cut_to_the_terminal(scheduler):
    for number in range(50):
        scheduler.add_job(
            print, "interval", hours=1, id=f"job-{number}-with-quite-a-long-name-that-does-not-fit"
        )
        scheduler.add_job(abs, args=[number], id=f"once-{number}")
    ended(scheduler, 50)
    for width, height in ((80, 24), (40, 12), (200, 60)):
        lines = shown(scheduler, width, height, status="draining: 1 run under way")
        assert len(lines) <= height
        assert all(len(line) <= width for line in lines)
        assert any("more jobs" in line for line in lines)
        assert "draining" in lines[-1]


@pytest.mark.skipif(os.name != "posix", reason="a pseudo terminal is needed")
def test_on_a_terminal_the_view_is_drawn_and_the_last_outcome_is_in_it(tmp_path):
    import pty
    import select
    import subprocess
    import sys
    import time

    (tmp_path / "app.py").write_text(
        "import pathlib, threading\n"
        "from rota.schedulers.blocking import BlockingScheduler\n"
        "scheduler = BlockingScheduler()\n"
        "def slow():\n"
        "    while not pathlib.Path('go').exists(): threading.Event().wait(0.02)\n"
        "    return 'went at last'\n"
        "scheduler.add_job(slow, id='slow')\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rota.cli", "run", "app.py"],
        cwd=tmp_path,
        env=environment(TERM="xterm", COLUMNS="80", LINES="24"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    drawn = b""

    def read_until(text):
        nonlocal drawn
        until = time.monotonic() + LIMIT
        while text not in drawn:
            assert time.monotonic() < until, f"no {text!r} in {drawn!r}"
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    drawn += os.read(ours, 65536)
                except OSError:  # the other side is closed
                    assert text in drawn, f"no {text!r} in {drawn!r}"

    try:
        read_until(b"running now")
        process.send_signal(signal.SIGINT)
        read_until(b"draining: 1 run under way")
        (tmp_path / "go").touch()
        read_until(b"went at last")
        assert process.wait(LIMIT) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
    assert b"Traceback" not in drawn
