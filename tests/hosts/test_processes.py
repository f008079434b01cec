"""Forks and the end of the interpreter, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from tests.needs import need


def run(program, timeout=20):
    """Run a program in a fresh interpreter; return what it printed, line by line."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_forked_copy_is_stopped_says_so_and_can_be_started():
    lines = run(
        """
        import logging, os, sys, threading
        from rota.schedulers.background import BackgroundScheduler
        logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
        scheduler = BackgroundScheduler()
        scheduler.start()
        scheduler.add_job(int, "interval", hours=1, id="kept")
        if os.fork() == 0:
            print("child runs:", scheduler.running)
            ran = threading.Event()
            scheduler.start()
            scheduler.add_job(ran.set)
            print("child ran:", ran.wait(10))
            scheduler.shutdown()
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        ran = threading.Event()
        scheduler.add_job(ran.set)
        print("parent ran:", ran.wait(10), scheduler.running)
        scheduler.shutdown()
        """
    )
    assert any("forked" in line and "start()" in line for line in lines)
    assert "child runs: False" in lines
    assert "child ran: True" in lines
    assert lines[-1] == "parent ran: True True"


@needs_fork
def test_a_fork_in_the_middle_of_runs_neither_hangs_nor_ends_them_twice():
    lines = run(
        """
        import os, sys, threading
        from rota.schedulers.background import BackgroundScheduler
        scheduler = BackgroundScheduler(logger="quiet")
        scheduler.start()
        stop, count = threading.Event(), []
        scheduler.add_job(lambda: count.append(1), "interval", seconds=0.001, max_instances=50)
        statuses = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                scheduler.start()
                scheduler.get_jobs()
                scheduler.shutdown()
                os._exit(0)
            statuses.append(os.waitpid(child, 0)[1])
        print(set(statuses))
        before = len(count)
        for _ in range(1000):
            if len(count) > before:
                break
            stop.wait(0.01)
        print(len(count) > before)
        scheduler.shutdown()
        """
    )
    assert lines == ["{0}", "True"]


def test_a_program_ends_by_itself_and_its_runs_get_a_moment_to_end():
    lines = run(
        """
        import threading, time
        from rota.schedulers.background import BackgroundScheduler
        scheduler = BackgroundScheduler()
        begun = threading.Event()
        def work():
            begun.set()
            for _ in range(20_000):
                if not threading.main_thread().is_alive():
                    break
                time.sleep(0.001)
            print("ended", flush=True)
        scheduler.add_listener(lambda event: print("recorded", flush=True), 2**12)
        scheduler.start()
        scheduler.add_job(work)
        begun.wait(10)
        print("main is over", flush=True)
        """
    )
    assert lines == ["main is over", "ended", "recorded"]


def test_a_shutdown_that_nobody_waited_for_has_the_same_moment():
    lines = run(
        """
        import threading, time
        from rota.schedulers.background import BackgroundScheduler
        scheduler = BackgroundScheduler()
        begun = threading.Event()
        def work():
            begun.set()
            for _ in range(20_000):
                if not threading.main_thread().is_alive():
                    break
                time.sleep(0.001)
            print("ended", flush=True)
        scheduler.add_listener(lambda event: print("recorded", flush=True), 2**12)
        scheduler.start()
        scheduler.add_job(work)
        begun.wait(10)
        scheduler.shutdown(wait=False)
        print("main is over", flush=True)
        """
    )
    assert lines == ["main is over", "ended", "recorded"]


def test_one_scheduler_that_cannot_end_does_not_keep_another_from_ending():
    lines = run(
        """
        import sys
        from rota.testing import ManualScheduler
        class Broken(ManualScheduler):
            def _drain(self, *args):
                raise RuntimeError("cannot end")
        kept = [Broken(), ManualScheduler(), Broken()]
        for scheduler in kept:
            scheduler.add_listener(lambda event: print("shut down", flush=True), 2)
            scheduler.start()
        """
    )
    assert lines == ["shut down"]


def test_a_scheduler_refuses_to_start_where_uwsgi_has_no_threads():
    lines = run(
        """
        import sys, types
        sys.modules["uwsgi"] = types.SimpleNamespace(has_threads=False)
        from rota.schedulers.background import BackgroundScheduler
        try:
            BackgroundScheduler().start()
        except RuntimeError as exc:
            print("--enable-threads" in str(exc))
        """
    )
    assert lines == ["True"]


@needs_fork
def test_a_forked_copy_refuses_what_would_reach_nobody_and_says_what_to_do():
    lines = run(
        """
        import io, os, sys
        from rota.errors import SchedulerNotRunningError
        from rota.schedulers.background import BackgroundScheduler
        scheduler = BackgroundScheduler(logger="quiet")
        scheduler.start()
        job = scheduler.add_job(int, "interval", hours=1, id="kept")
        calls = {
            "add_job": lambda: scheduler.add_job(int),
            "add_jobs": lambda: scheduler.add_jobs([{"func": int}]),
            "scheduled_job": lambda: scheduler.scheduled_job("interval", hours=1)(int),
            "get_job": lambda: scheduler.get_job("kept"),
            "get_jobs": scheduler.get_jobs,
            "get_runs": scheduler.get_runs,
            "print_jobs": lambda: scheduler.print_jobs(out=io.StringIO()),
            "modify_job": lambda: scheduler.modify_job("kept", name="x"),
            "pause": job.pause,
            "resume": job.resume,
            "reschedule": lambda: job.reschedule("interval", hours=2),
            "run_now": job.run_now,
            "remove": job.remove,
            "remove_all_jobs": scheduler.remove_all_jobs,
            "export_jobs": lambda: scheduler.export_jobs(io.StringIO()),
            "import_jobs": lambda: scheduler.import_jobs(io.StringIO()),
        }
        if os.fork() == 0:
            for name, call in calls.items():
                try:
                    call()
                    print(name, "was not refused")
                except SchedulerNotRunningError as exc:
                    if "start()" not in str(exc) or "runs_jobs=False" not in str(exc):
                        print(name, exc)
            scheduler.start()
            print([job.id for job in scheduler.get_jobs()], scheduler.add_job(int, "interval", hours=1).pending)
            scheduler.shutdown()
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        scheduler.shutdown()
        """
    )
    assert lines == ["['kept'] False"]


@needs_fork
def test_a_copy_that_is_configured_anew_is_a_scheduler_like_any_other():
    lines = run(
        """
        import os, sys
        from rota.schedulers.background import BackgroundScheduler
        scheduler = BackgroundScheduler(logger="quiet")
        scheduler.start()
        if os.fork() == 0:
            scheduler.configure()
            print(scheduler.add_job(int).pending, len(scheduler.get_jobs()))
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        scheduler.shutdown()
        """
    )
    assert lines == ["True 1"]


@needs_fork
@pytest.mark.parametrize("url", ["None", "f'sqlite:///{tempfile.mkdtemp()}/jobs'"])
def test_a_fork_while_other_threads_use_the_store_leaves_a_child_that_can_use_it(url):
    need("sqlalchemy", "sql")
    lines = run(
        f"""
        import faulthandler, logging, os, tempfile, threading
        from rota.schedulers.background import BackgroundScheduler
        logging.disable()
        url = {url}
        options = {{"jobstores": {{"default": url}}}} if url else {{}}
        scheduler = BackgroundScheduler(**options)
        scheduler.start()
        scheduler.add_job("math:sqrt", "interval", args=[2], seconds=0.001, max_instances=50)
        ended = threading.Event()
        def read():
            while not ended.is_set():
                scheduler.get_jobs(), scheduler.get_runs(limit=5)
        def write():
            while not ended.is_set():
                scheduler.add_job("math:sqrt", "interval", args=[2], hours=1, id="written", replace_existing=True)
        threads = [threading.Thread(target=read), threading.Thread(target=write)]
        for thread in threads:
            thread.start()
        statuses = set()
        for number in range(15):
            child = os.fork()
            if child == 0:
                faulthandler.dump_traceback_later(20, exit=True)
                try:
                    scheduler.start(paused=True)
                    scheduler.add_job("math:sqrt", "interval", args=[3], hours=1, id=str(number))
                    scheduler.get_jobs()
                    scheduler.shutdown()
                except BaseException:
                    os._exit(3)
                os._exit(0)
            statuses.add(os.waitpid(child, 0)[1])
        ended.set()
        for thread in threads:
            thread.join()
        added = {{job.id for job in scheduler.get_jobs()}} & set(map(str, range(15)))
        print(statuses, len(added))
        scheduler.shutdown()
        """,
        timeout=55,
    )
    assert lines == ["{0} " + ("0" if url == "None" else "15")]


def test_calls_of_a_scheduler_that_runs_load_only_what_is_loaded_before_a_fork():
    lines = run(
        """
        import sys
        from rota.schedulers.background import BackgroundScheduler
        from rota.schedulers.processes import LOADED_LATE
        scheduler = BackgroundScheduler()
        scheduler.start()
        scheduler.add_job(int, "interval", hours=1, id="first")
        for module in LOADED_LATE:
            __import__(module)
        before = set(sys.modules)
        scheduler.add_jobs([{"func": int, "trigger": "interval", "hours": 1, "id": "job"}])
        scheduler.add_job(int, "interval", hours=1, start_date="2020-01-01", id="past")
        scheduler.get_jobs(), scheduler.get_job("job"), scheduler.get_runs(limit=5), scheduler.health()
        scheduler.modify_job("job", name="other")
        scheduler.reschedule_job("job", trigger="interval", hours=2)
        scheduler.pause_job("job"), scheduler.resume_job("job")
        scheduler.run_job("job")
        scheduler.add_listener(int)
        scheduler.remove_job("job")
        scheduler.remove_all_jobs()
        print(sorted(name for name in set(sys.modules) - before if name.startswith("rota.")))
        scheduler.shutdown()
        """
    )
    assert lines == ["[]"]


@needs_fork
def test_what_calls_load_late_is_there_in_a_child():
    lines = run(
        """
        import os, sys
        from rota.schedulers.background import BackgroundScheduler
        from rota.schedulers.processes import LOADED_LATE
        scheduler = BackgroundScheduler()
        scheduler.start()
        if os.fork() == 0:
            print(set(LOADED_LATE) <= set(sys.modules), flush=True)
            os._exit(0)
        os.wait()
        scheduler.shutdown()
        """
    )
    assert lines == ["True"]


EARLY = """
import asyncio, threading
from rota.schedulers.asyncio import AsyncIOScheduler
from rota.schedulers.background import BackgroundScheduler
scheduler = BackgroundScheduler()
ran = threading.Event()
"""
DAILY = "scheduler.add_job(ran.set, 'interval', days=1)\n"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (DAILY + "scheduler.start()", ("BlockingScheduler", "daemon=False")),
        (
            "scheduler = AsyncIOScheduler()\n"
            + DAILY
            + "async def main(): scheduler.start()\nasyncio.run(main())",
            ("asyncio.Event().wait()",),
        ),
    ],
)
def test_a_program_that_ends_at_once_is_told_how_to_keep_running(program, words):
    done = subprocess.run(
        [sys.executable, "-c", EARLY + program], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0
    assert done.stderr.count("before any job has run") == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    "program",
    [
        "scheduler.start()",  # it has no jobs
        DAILY + "scheduler.start(); scheduler.shutdown()",
        DAILY + "scheduler.start(); scheduler.add_job(ran.set); ran.wait(10)",
        DAILY + "scheduler.start(); scheduler._lifecycle.started_at -= 10**7",  # it ran for ten seconds
        DAILY + "scheduler.start(); scheduler.pause_job(scheduler.get_jobs()[0].id)",
    ],
)
def test_others_are_told_nothing(program):
    done = subprocess.run(
        [sys.executable, "-c", EARLY + program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
