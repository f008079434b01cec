"""The live view: what it shows of a scheduler, at the width of a small terminal."""

from __future__ import annotations

import io
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from rota.commands import run_command
from rota.schedulers.background import BackgroundScheduler
from tests.cli.processes import LIMIT, environment
from tests.needs import need

need("typer", "cli")
need("rich", "cli")

from rich.console import Console  # noqa: E402

from rota.cli.fitting import Way, fitted  # noqa: E402
from rota.cli.live import LiveReport, Snapshot  # noqa: E402
from rota.cli.printed import KEPT, Printed  # noqa: E402


@pytest.fixture
def scheduler():
    scheduler = BackgroundScheduler(timezone="UTC")
    scheduler.start()
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


def shown(scheduler, width=80, height=24, status=""):
    written = io.StringIO()
    console = Console(file=written, width=width, height=height, force_terminal=False)
    report = LiveReport(UTC, lambda: None, console)
    report.attach(scheduler, "app.py")
    report._status = status
    console.print(report.render(Snapshot(scheduler, 100), width, height))
    return written.getvalue().splitlines()


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
    assert lines[1].split() == ["next", "run", "job", "trigger"]
    assert "2099-01-02 03:04" in lines[2]
    assert "[red]far away" in lines[2]
    assert lines[3].split()[:2] == ["paused", "asleep"]
    running = lines.index(next(line for line in lines if line.startswith("running now")))
    assert "slow" in lines[running + 1]
    last = lines.index(next(line for line in lines if line.startswith("last outcomes")))
    assert lines[last + 1].split()[0:3:2] == ["failed", "wrong"]
    assert lines[last + 1].rstrip().endswith("ValueError: no [such] thing")
    assert lines[-1].startswith(
        "healthy  Ctrl-C drains and stops"
    )  # the run that failed ended before the view began
    go.set()


def test_a_job_without_an_id_of_its_own_is_shown_by_its_name(scheduler):
    job = scheduler.add_job(print, "interval", hours=1, name="count things")
    (line,) = (line for line in shown(scheduler, 100) if "every 1 h" in line)
    assert f"count things {job.id[:6]}  " in line


def test_it_is_healthy_as_long_as_no_last_run_failed_and_says_so_again_after_a_success(scheduler):
    def sometimes():
        if len(scheduler.get_runs("sometimes")) < 2:
            raise ValueError("not yet")

    assert shown(scheduler)[-1].startswith("healthy")
    scheduler.add_job(sometimes, "interval", hours=1, id="sometimes")
    scheduler.run_job("sometimes")
    ended(scheduler, 1)
    assert shown(scheduler)[-1].startswith("the last run of 1 job failed")
    scheduler.run_job("sometimes")
    ended(scheduler, 2)
    assert shown(scheduler)[-1].startswith("healthy")


def test_on_a_narrow_terminal_the_trigger_gives_way_first_then_the_date_and_the_job_last(scheduler):
    name = "a-job-whose-name-is-long"
    scheduler.add_job(print, "date", run_date=datetime(2099, 1, 2, 3, 4, tzinfo=UTC), id=name)

    def row(width):
        return next(line.rstrip() for line in shown(scheduler, width) if name[:5] in line)

    assert row(90).split()[-5:] == [name, "date", "2099-01-02", "03:04:00", "UTC"]
    assert "2099-01-02 03:04  " + name in row(70)
    assert row(70).endswith("…")
    assert row(60).endswith(f"  2099-01-02 03:04  {name}")
    assert row(40).endswith(f" d  {name}")
    assert row(20).endswith("…")


def test_a_crontab_job_is_shown_by_its_command(scheduler):
    for id, name in (("backup-0123abcd", "/usr/bin/backup --all"), ("nightly", "report")):
        scheduler.add_job(run_command, "cron", hour=3, args=["x"], id=id, name=name)
    lines = shown(scheduler, 100)
    assert any("$ /usr/bin/backup --all" in line for line in lines)
    assert any(" nightly " in line for line in lines)


@pytest.mark.parametrize(
    ("total", "widths"),
    [
        (40, [8, 10, 12]),
        (34, [8, 10, 12]),
        (33, [8, 10, 11]),
        (26, [8, 10, 4]),
        (25, [8, 10, 0]),
        (20, [8, 10, 0]),
        (19, [0, 10, 0]),
        (5, [0, 5, 0]),
        (1, [0, 3, 0]),
    ],
)
def test_columns_give_way_in_the_order_they_were_told(total, widths):
    ways = (Way(2, 4), Way(0), Way(1, 3, goes=False))
    assert fitted([8, 10, 12], ways, total) == widths


# -- what is printed meanwhile -----------------------------------------------------------------------------------


def test_what_is_printed_and_logged_meanwhile_is_kept_and_printed_at_the_end(capsys):
    logger, handler, printed = logging.getLogger("test.live"), logging.StreamHandler(sys.stderr), Printed()
    logger.addHandler(handler)
    try:
        printed.begin()
        print("one\ntwo")
        logger.warning("three")
        print("four", end="")
        assert printed.last(2) == ["two", "three"]
        assert capsys.readouterr() == ("", "")
        printed.end()
        assert capsys.readouterr() == ("one\ntwo\nfour\n", "three\n")
        logger.warning("five")
        print("six")
        assert capsys.readouterr() == ("six\n", "five\n")
    finally:
        logger.removeHandler(handler)


def test_of_very_much_that_is_printed_the_end_is_kept_and_the_rest_is_counted(capsys):
    printed = Printed()
    printed.begin()
    for number in range(KEPT + 5):
        print(number)
    printed.end()
    out, err = capsys.readouterr()
    assert out.split() == [str(number) for number in range(5, KEPT + 5)]
    assert err == "… 5 lines before these\n"


def test_what_was_noted_before_the_view_began_is_shown_in_it_and_not_printed_twice(capsys):
    report = LiveReport(UTC, lambda: None, Console(file=io.StringIO(), force_terminal=True))
    report.note("crontab:1: MAILTO has no effect")
    assert capsys.readouterr().err == "crontab:1: MAILTO has no effect\n"
    assert report._printed.last(4) == ["crontab:1: MAILTO has no effect"]
    report._printed.begin()
    report._printed.end()
    assert capsys.readouterr() == ("", "")


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


class Terminal:
    """`rota run app.py` on a pseudo terminal."""

    def __init__(self, folder, **variables):
        import pty

        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rota", "run", "app.py"],
            cwd=folder,
            env=environment(COLUMNS="80", LINES="24", **variables),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.drawn = b""

    def read_until(self, text):
        until = time.monotonic() + LIMIT
        while text not in self.drawn:
            assert time.monotonic() < until, f"no {text!r} in {self.drawn!r}"
            self._read(f"no {text!r} in")

    def read_to_the_end(self):
        until = time.monotonic() + LIMIT
        while self.process.poll() is None or select.select([self.ours], [], [], 0)[0]:
            assert time.monotonic() < until, f"it does not end: {self.drawn!r}"
            if not self._read(None):
                break
        return self.process.wait(LIMIT)

    def _read(self, missing):
        if select.select([self.ours], [], [], 0.1)[0]:
            try:
                self.drawn += os.read(self.ours, 65536)
            except OSError:  # the other side is closed
                assert missing is None, f"{missing} {self.drawn!r}"
                return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)


SLOW = (
    "import pathlib, threading\n"
    "from rota.schedulers.blocking import BlockingScheduler\n"
    "scheduler = BlockingScheduler()\n"
    "def slow():\n"
    "    print('it prints')\n"
    "    while not pathlib.Path('go').exists(): threading.Event().wait(0.02)\n"
    "    return 'went at last'\n"
    "scheduler.add_job(slow, id='slow')\n"
)
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"

on_posix = pytest.mark.skipif(os.name != "posix", reason="a pseudo terminal is needed")


@on_posix
def test_on_a_terminal_the_view_has_a_screen_of_its_own_and_leaves_a_summary(tmp_path):
    (tmp_path / "app.py").write_text(SLOW)
    with Terminal(tmp_path, TERM="xterm") as terminal:
        terminal.read_until(b"running now")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until(b"draining: 1 run under way")
        (tmp_path / "go").touch()
        assert terminal.read_to_the_end() == 0
    before, entered, rest = terminal.drawn.partition(ENTER)
    view, left, after = rest.partition(LEAVE)
    assert entered
    assert left
    assert b"running now" not in before
    assert b"running now" in view
    assert b"it prints" in after
    assert b"went at last" in after
    assert b"1 succeeded" in after
    assert b"Traceback" not in terminal.drawn


@on_posix
def test_a_process_that_is_stopped_at_once_gives_the_terminal_back(tmp_path):
    (tmp_path / "app.py").write_text(SLOW)
    with Terminal(tmp_path, TERM="xterm") as terminal:
        terminal.read_until(b"running now")
        for _ in range(3):
            terminal.process.send_signal(signal.SIGINT)
            threading.Event().wait(0.05)  # signals of one kind that are pending are one
        assert terminal.read_to_the_end() == 130
    assert terminal.drawn.rindex(LEAVE) > terminal.drawn.rindex(ENTER)


@on_posix
@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_a_line_for_each_outcome(tmp_path, term):
    (tmp_path / "app.py").write_text(SLOW)
    (tmp_path / "go").touch()
    with Terminal(tmp_path, TERM=term) as terminal:
        terminal.read_until(b"went at last")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.read_to_the_end() == 0
    assert b"\x1b" not in terminal.drawn
