"""The process pool and its program: what Ctrl-C, the end of the program and its sudden death leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from rota.testing.contracts.executors import ExecutorContract

helper = ExecutorContract()

PROGRAM = """
import os, signal, sys, threading, time
from rota.executors.pool import ProcessPoolExecutor
from rota.testing.contracts.executors import ExecutorContract
from rota.testing.contracts.executor_jobs import add, wait_for_file

def tell(run):
    os.write(1, f"{run.status}\\n".encode())  # one write: each worker's thread tells of its own run

def idle(pool, helper):
    ended = []
    pool.submit([helper.run_of(add, 1) for _ in range(4)], ended.append)
    while len(ended) < 4:
        time.sleep(0.01)
    print("idle", flush=True)
    time.sleep(60)

def main():
    pool = ProcessPoolExecutor(2)
    pool.start(None, "default")
    helper = ExecutorContract()
    runs = [helper.run_of(wait_for_file, "/nonexistent/gate") for _ in range(2)]
    pool.submit(runs, tell)
    while not all(run.ended or run.started_at for run in runs):
        time.sleep(0.01)
    {then}

if __name__ == "__main__":
    main()
"""


@contextmanager
def run_program(tmp_path, then, guard=True):
    """Run the program in a process group of its own, of which nothing is left in the end."""
    source = PROGRAM.replace("{then}", then)
    if not guard:
        source = source.replace('if __name__ == "__main__":\n    main()', "main()")
    path = tmp_path / "program.py"
    path.write_text(source)
    with subprocess.Popen(
        [sys.executable, str(path)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            if is_there(program):
                os.killpg(program.pid, signal.SIGKILL)


def is_there(program):
    """Whether any process of the program's group is left."""
    try:
        os.killpg(program.pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_program_that_ends_without_a_shutdown_ends_its_workers(tmp_path):
    with run_program(tmp_path, "print('leaving', flush=True)") as program:
        out, err = program.communicate(timeout=30)
        assert (program.returncode, out.split(), err) == (0, ["leaving", "cancelled", "cancelled"], "")
        helper.wait_until(lambda: not is_there(program), "no process of the program is left")


def test_ctrl_c_is_for_the_program_and_not_for_its_workers(tmp_path):
    then = (
        "came = threading.Event(); signal.signal(signal.SIGINT, lambda *_: came.set()); "
        "print('ready', flush=True); came.wait(); "
        "print('still', [run.status for run in runs], flush=True); pool.cancel(); pool.shutdown()"
    )
    with run_program(tmp_path, then) as program:
        assert program.stdout.readline() == "ready\n"
        os.killpg(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=30)
        assert (program.returncode, err) == (0, "")
        assert out.splitlines() == ["still ['claimed', 'claimed']", "cancelled", "cancelled"]


def test_idle_workers_end_when_their_program_is_killed(tmp_path):
    with run_program(tmp_path, "pool.cancel(); idle(pool, helper)") as program:
        lines = sorted(program.stdout.readline() for _ in range(3))  # the ends are printed by another thread
        assert lines == ["cancelled\n", "cancelled\n", "idle\n"]
        program.kill()
        program.wait()
        helper.wait_until(lambda: not is_there(program), "no process of the program is left")


def test_a_main_module_without_a_guard_is_reported_and_not_started_for_ever(tmp_path):
    with run_program(tmp_path, "", guard=False) as program:
        out, err = program.communicate(timeout=30)
    assert "failed" in out, err
    assert "guard what it does by  if __name__ == '__main__':" in err
    assert "freeze_support" not in err, "Python's page of text would hide it"


SCHEDULED = """
import os, sys, time
from rota.schedulers.background import BackgroundScheduler

def work(folder, seconds):
    open(os.path.join(folder, "begun"), "a").write("x")
    time.sleep(seconds)
    open(os.path.join(folder, "ended"), "a").write("x")

def main():
    folder, seconds, order = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    url = f"sqlite:///{folder}/jobs.sqlite"
    scheduler = BackgroundScheduler(jobstores={"default": url})
    if order == "before":
        scheduler.add_executor("processpool", "processes", max_workers=1)
    scheduler.start()
    if order == "after":
        scheduler.add_executor("processpool", "processes", max_workers=1)
    if seconds:
        scheduler.add_job(work, "date", args=[folder, seconds], id="work", executor="processes")
        while not os.path.exists(os.path.join(folder, "begun")):
            time.sleep(0.01)
    else:
        while os.path.getsize(os.path.join(folder, "begun")) < 2:
            time.sleep(0.01)

if __name__ == "__main__":
    main()
"""


def run_scheduled(folder, seconds, order="before"):
    """Run a program that ends, without a shutdown, while its job works in a process; return its records."""
    path = folder / "scheduled.py"
    path.write_text(SCHEDULED)
    command = [sys.executable, str(path), str(folder), str(seconds), order]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 0, ended.stderr
    from rota.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(jobstores={"default": f"sqlite:///{folder}/jobs.sqlite"}, runs_jobs=False)
    scheduler.start()
    try:
        return [(run.status, run.attempt) for run in scheduler.get_runs("work")]
    finally:
        scheduler.shutdown()


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_run_in_a_process_gets_its_moment_when_the_program_ends(tmp_path, order):
    assert run_scheduled(tmp_path, 1.0, order) == [("succeeded", 1)]
    assert (tmp_path / "ended").read_text() == "x"


@pytest.mark.slow
def test_a_run_in_a_process_that_is_ended_by_force_with_the_program_is_run_again(tmp_path):
    assert run_scheduled(tmp_path, 30.0) == [("claimed", 1)]
    assert not (tmp_path / "ended").exists()
    run_scheduled(tmp_path, 0)  # the next process takes it over at once
    assert (tmp_path / "begun").read_text() == "xx"
