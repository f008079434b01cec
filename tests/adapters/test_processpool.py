"""The process pool: what dies, what cannot be pickled, what is left behind."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from rota.core.extras import extra_of
from rota.core.run import said_by
from rota.core.states import CANCELLED, FAILED, LOST, SUCCEEDED
from rota.errors import ConfigurationError, SerializationError, UnknownOptionError, WorkerProcessError
from rota.executors import process_handle
from rota.executors.base import current_run
from rota.executors.pool import ProcessPoolExecutor
from rota.executors.process_handle import WorkerProcess
from rota.executors.process_main import pack_call
from rota.executors.steps import chain
from rota.testing.contracts.executor_jobs import PATIENCE, Ended, add, wait_for_file
from rota.testing.contracts.executors import ExecutorContract
from rota.testing.contracts.hostile_jobs import give, use_up
from tests.present import present

helper = ExecutorContract()
METHODS = [
    method for method in ("spawn", "forkserver", "fork") if method in multiprocessing.get_all_start_methods()
]


# What the worker processes call.


def pid():
    return os.getpid()


def tell_pid_and_wait(folder):
    (Path(folder) / f"{os.getpid()}.pid").touch()
    return wait_for_file(str(Path(folder) / "gate"))


def ignore_sigterm(folder):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell_pid_and_wait(folder)


def end_process(code):
    os._exit(code)


def fork_and_die(folder):
    """Leave a grandchild behind that keeps all pipes open, and die."""
    if os.fork() == 0:
        (Path(folder) / "grandchild").touch()
        wait = time.monotonic() + PATIENCE
        while not (Path(folder) / "gate").exists() and time.monotonic() < wait:
            time.sleep(0.01)
        os._exit(0)
    while not (Path(folder) / "grandchild").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def leave_child(folder):
    """Leave a child behind that keeps all pipes open, and go on."""
    if os.fork() == 0:
        wait = time.monotonic() + PATIENCE
        while not (Path(folder) / "gate").exists() and time.monotonic() < wait:
            time.sleep(0.01)
        os._exit(0)
    return os.getpid()


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.lock = threading.Lock()


class Unrestorable(Exception):
    """Pickling works, unpickling does not: its constructor takes other arguments than it keeps."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raise_error(error_class):
    raise error_class("one", "two")


def shown_time():
    return str(current_run().scheduled_run_time.tzinfo)


def return_lock():
    return threading.Lock()


class Registered:
    """Its instances go to other processes by what is registered with multiprocessing."""


def reduce_registered(value):
    return str, ("registered",)


def kind_of(value):
    return type(value).__name__


def return_secret():
    return Secret()


class Secret:
    def __reduce__(self):
        return (refuse, (os.getpid(),))


def refuse(where):
    if os.getpid() != where:
        raise RuntimeError("not for you")


def remember(value):
    os.environ["ROTA_TEST_VALUE"] = value


def recall():
    return os.environ.get("ROTA_TEST_VALUE")


def raise_when_asked(path):
    raise ValueError(wait_for_file(path))


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


def break_down():
    raise RuntimeError("no licence")


def signal_state():
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.fixture
def pool_of():
    pools = []

    def make(workers=2, **options):
        pool = ProcessPoolExecutor(workers, options)
        pool.start(None, "default")
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.cancel()
        pool.shutdown()
    assert not [
        process for process in multiprocessing.active_children() if process.name.startswith("rota-worker")
    ]


def worker_pids(folder, count):
    """Return the ids of the workers that are in tell_pid_and_wait()."""
    helper.wait_until(lambda: len(list(folder.glob("*.pid"))) >= count, f"{count} workers work")
    return [int(path.stem) for path in folder.glob("*.pid")]


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_worker_costs_its_own_run_and_no_other(pool_of, tmp_path, method):
    pool, ended = pool_of(2, mp_context=method), Ended()
    runs = [helper.run_of(tell_pid_and_wait, str(tmp_path)) for _ in range(2)]
    runs += [helper.run_of(add, number) for number in range(20)]
    pool.submit(runs, ended)
    victim = worker_pids(tmp_path, 2)[0]
    os.kill(victim, signal.SIGKILL)
    helper.wait(ended, 21)  # all but the one that waits at the gate: there is a new worker already
    (tmp_path / "gate").touch()
    helper.wait(ended, 22)
    (lost,) = [run for run in runs if run.status == LOST]
    assert present(lost.job).func is tell_pid_and_wait
    assert lost.reason == f"worker process {victim} was killed by SIGKILL (exit code -9)"
    assert [run.status for run in runs if run is not lost] == [SUCCEEDED] * 21


def log_and_wait(gate):
    logging.getLogger("tests.processpool").warning("it has begun")
    print("and prints")
    Path(gate).touch()
    threading.Event().wait(60)


def test_what_a_killed_worker_has_logged_is_kept_as_far_as_it_had_come(pool_of, tmp_path):
    pool, ended = pool_of(1), Ended()
    run = helper.run_of(log_and_wait, str(tmp_path / "begun"), keep_log=1000)
    pool.submit([run], ended)
    helper.wait_until((tmp_path / "begun").exists, "the job has begun")
    helper.wait_until(
        lambda: "and prints" in (said_by(run).log_kept(1000).text()), "the log has come to the pool"
    )
    (victim,) = [
        process.pid for process in multiprocessing.active_children() if "rota-worker" in process.name
    ]
    os.kill(present(victim), signal.SIGKILL)
    helper.wait(ended, 1)
    assert run.status == LOST
    assert present(said_by(run).log).text().endswith(" WARNING tests.processpool: it has begun\nand prints\n")


def test_a_worker_that_exits_is_replaced_and_its_run_is_lost_with_the_exit_code(pool_of):
    pool = pool_of(1)
    runs = [helper.run_of(pid), helper.run_of(end_process, 7), helper.run_of(pid)]
    helper.carry_out(pool, *runs)
    assert [run.status for run in runs] == [SUCCEEDED, LOST, SUCCEEDED]
    assert runs[1].reason == f"worker process {runs[0].retval} ended with exit code 7"
    assert runs[2].retval != runs[0].retval


def test_the_rest_of_a_group_is_carried_out_after_a_lost_run(pool_of):
    pool = pool_of(2)
    head = helper.group_of(pid, pid, pid)
    job = present(present(head.then).job)
    job.func, job.args = end_process, (1,)
    helper.carry_out(pool, head)
    assert [run.status for run in chain(head)] == [SUCCEEDED, LOST, SUCCEEDED]


def test_an_idle_worker_that_is_killed_is_replaced_without_a_loss(pool_of):
    pool = pool_of(1)
    (first,) = helper.carry_out(pool, helper.run_of(pid))
    os.kill(first.retval, signal.SIGKILL)
    (second,) = helper.carry_out(pool, helper.run_of(pid))
    # The message may reach the pipe of a worker that is about to die; then the run is lost, and says so.
    assert second.status in (SUCCEEDED, LOST)
    (third,) = helper.carry_out(pool, helper.run_of(pid))
    assert third.status == SUCCEEDED
    assert third.retval != first.retval


def test_a_worker_is_looked_after_when_it_has_rested_and_not_for_each_run(pool_of, monkeypatch):
    looks = []
    is_alive = WorkerProcess.is_alive
    monkeypatch.setattr(WorkerProcess, "is_alive", lambda worker: looks.append(worker) or is_alive(worker))
    pool = pool_of(1)
    # On a busy machine the pool may come to the end of its queue before the next run is in it.
    helper.carry_out(pool, *[helper.run_of(add, number) for number in range(50)])
    assert len(looks) < 25
    looks.clear()
    helper.wait_until(lambda: pool._workers and next(iter(pool._workers.values())).rested, "the worker rests")
    helper.carry_out(pool, *[helper.run_of(add, number) for number in range(50)])
    assert 1 <= len(looks) < 25


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_idle_worker_that_dies_is_replaced_although_its_child_keeps_the_pipe_open(pool_of, tmp_path):
    pool = pool_of(1)
    (first,) = helper.carry_out(pool, helper.run_of(leave_child, str(tmp_path)))
    (worker,) = pool._workers.values()
    helper.wait_until(lambda: worker.rested, "the worker rests")
    os.kill(first.retval, signal.SIGKILL)
    helper.wait_until(lambda: not worker.is_alive(), "the worker has ended")
    (second,) = helper.carry_out(pool, helper.run_of(pid))
    (tmp_path / "gate").touch()
    assert (second.status, second.retval != first.retval) == (SUCCEEDED, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_dead_worker_is_noticed_although_its_child_keeps_the_pipe_open(pool_of, tmp_path):
    pool = pool_of(1)
    (run,) = helper.carry_out(pool, helper.run_of(fork_and_die, str(tmp_path)))
    (tmp_path / "gate").touch()
    assert run.status == LOST
    assert "SIGKILL" in present(run.reason)


@pytest.mark.parametrize(
    ("func", "args", "culprit"),
    [(lambda: None, (), "its function"), (add, (1, threading.Lock()), "args[1]")],
    ids=["function", "argument"],
)
def test_what_cannot_be_pickled_fails_with_an_error_that_names_it(pool_of, func, args, culprit):
    pool = pool_of(1)
    run, other = helper.run_of(func, *args), helper.run_of(add, 1)
    helper.carry_out(pool, run, other)
    assert (run.status, type(run.exception)) == (FAILED, SerializationError)
    error = present(run.error)
    assert culprit in error and run.job_id in error
    assert other.status == SUCCEEDED


def test_a_keyword_argument_that_cannot_be_pickled_is_named(pool_of):
    run = helper.run_of(add, 1)
    present(run.job).kwargs = {"right": threading.Lock()}
    helper.carry_out(pool_of(1), run)
    assert "kwargs['right']" in present(run.error)


def test_a_return_value_that_cannot_be_pickled_is_a_failure_that_says_so(pool_of):
    (run,) = helper.carry_out(pool_of(1), helper.run_of(return_lock))
    assert (run.status, type(run.exception)) == (FAILED, SerializationError)
    assert "has run, but its return value (a lock)" in present(run.error)


def test_a_return_value_that_cannot_be_unpickled_here_is_a_failure_that_says_so(pool_of):
    pool = pool_of(1)
    (run,) = helper.carry_out(pool, helper.run_of(return_secret))
    assert (run.status, type(run.exception)) == (FAILED, SerializationError)
    assert "not for you" in present(run.error)
    (run,) = helper.carry_out(pool, helper.run_of(add, 1))
    assert run.status == SUCCEEDED


def test_a_return_value_that_ends_the_thread_which_unpickles_it_is_a_failure(pool_of):
    pool = pool_of(1)
    runs = [helper.run_of(give, "bomb"), helper.run_of(add, 1)]
    helper.carry_out(pool, *runs)
    assert [(run.status, run.error_type) for run in runs] == [
        (FAILED, "SerializationError"),
        (SUCCEEDED, None),
    ]


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (add, ()),
        (add, (1, 2.5, True, None, "text", b"bytes")),
        (add, ([1],)),
        (partial(add, 1), (2,)),
        (len, (["a"],)),
    ],
)
def test_a_call_is_pickled_as_multiprocessing_does_it(func, args):
    run = helper.run_of(func, *args)
    *_, sent_func, sent_args, kwargs = pickle.loads(pack_call(run))
    expected = pickle.loads(ForkingPickler.dumps((func, args)))
    assert (repr(sent_func), sent_args, kwargs) == (repr(expected[0]), expected[1], {})


def test_what_is_registered_with_multiprocessing_is_asked_for_the_arguments_of_a_job(pool_of, monkeypatch):
    monkeypatch.setattr(ForkingPickler, "_extra_reducers", dict(ForkingPickler._extra_reducers))  # type: ignore[attr-defined]
    ForkingPickler.register(Registered, reduce_registered)
    (run,) = helper.carry_out(pool_of(1), helper.run_of(kind_of, Registered()))
    assert run.retval == "str"


def test_a_request_to_stop_that_comes_too_late_or_for_another_run_is_left_out(pool_of, tmp_path):
    pool = pool_of(1)
    (first,) = helper.carry_out(pool, helper.run_of(pid))
    (worker,) = pool._workers.values()
    worker._ask_to_stop(first)  # it has ended
    ended, gate = Ended(), tmp_path / "gate"
    second = helper.run_of(wait_for_file, str(gate))
    pool.submit([second], ended)
    helper.wait_until(lambda: second.started_at, "it has started")
    worker._ask_to_stop(first)
    gate.touch()
    helper.wait(ended, 1)
    assert (second.retval, worker.is_alive()) == ("found", True)


def test_a_run_in_a_worker_process_that_was_asked_to_stop_is_cancelled_whatever_it_raises(pool_of, tmp_path):
    pool, ended = pool_of(1), Ended()
    run = helper.run_of(raise_when_asked, str(tmp_path / "never"))
    pool.submit([run], ended)
    helper.wait_until(lambda: run.started_at, "it has started")
    extra_of(run).cancel = "enough"
    run.cancelled = True
    helper.wait(ended, 1)
    assert (run.status, run.reason, run.error) == (CANCELLED, "enough", None)


def test_what_is_larger_than_a_pipe_goes_both_ways(pool_of):
    large = "x" * 3_000_000
    runs = [helper.run_of(use_up, large) for _ in range(4)]
    helper.carry_out(pool_of(2), *runs)
    assert {run.retval == large for run in runs} == {True}


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
@pytest.mark.parametrize("size", [1, 3_000_000], ids=["small", "larger than a pipe"])
def test_a_stopped_worker_costs_its_own_run_and_no_other(pool_of, size):
    pool, ended = pool_of(2), Ended()
    # Both workers are there, and one of them is stopped while it is idle.
    pids = {run.retval for run in helper.carry_out(pool, *[helper.run_of(pid_after, 0.2) for _ in range(4)])}
    assert len(pids) == 2
    stopped = pids.pop()
    os.kill(stopped, signal.SIGSTOP)
    try:
        runs = [helper.run_of(use_up, "x" * size) for _ in range(20)]
        pool.submit(runs, ended)
        helper.wait(ended, 19)
        (waiting,) = [run for run in runs if not run.ended]
        assert waiting.started_at is not None
    finally:
        os.kill(stopped, signal.SIGCONT)
    helper.wait(ended, 20)
    assert {run.status for run in runs} == {SUCCEEDED}


def test_cancel_ends_a_worker_that_does_not_listen(pool_of, tmp_path, monkeypatch):
    monkeypatch.setattr("rota.executors.process_handle._GRACE", 0.1)
    pool, ended = pool_of(1), Ended()
    run = helper.run_of(ignore_sigterm, str(tmp_path))
    pool.submit([run], ended)
    worker_pids(tmp_path, 1)
    pool.cancel()
    helper.wait(ended, 1)
    assert run.status == CANCELLED
    assert "SIGKILL" in present(run.reason)


@pytest.mark.parametrize("error_class", [Unpicklable, Unrestorable])
def test_an_exception_that_cannot_be_pickled_comes_back_as_type_text_and_traceback(pool_of, error_class):
    (run,) = helper.carry_out(pool_of(1), helper.run_of(raise_error, error_class))
    assert (run.status, run.error_type, run.error) == (FAILED, error_class.__name__, "one and two")
    assert "raise_error" in present(run.traceback)
    assert type(run.exception) is WorkerProcessError


def test_the_parent_logs_the_traceback_of_a_job(pool_of, caplog):
    helper.carry_out(pool_of(1), helper.run_of(raise_error, Unpicklable))
    assert "raised an exception" in caplog.text
    assert 'raise error_class("one", "two")' in caplog.text


def test_the_initializer_runs_in_each_worker(pool_of):
    pool = pool_of(2, initializer=remember, initargs=("seven",))
    assert {run.retval for run in helper.carry_out(pool, *[helper.run_of(recall) for _ in range(10)])} == {
        "seven"
    }


def test_an_initializer_that_fails_fails_the_waiting_runs_and_not_the_pool(pool_of):
    pool = pool_of(2, initializer=break_down)
    for _ in range(2):
        runs = helper.carry_out(pool, *[helper.run_of(add, 1) for _ in range(5)])
        assert {(run.status, run.error_type) for run in runs} == {(FAILED, "WorkerProcessError")}
        assert "no licence" in present(runs[0].error)


class HeldAtFork:
    """A lock that each forked child wants at once, as it may want those of libraries; in the parent a thread may hold it."""

    def __init__(self):
        self._lock = threading.Lock()
        self.forks = 0
        #: how many children find it held, and wait for ever; only these are not waited for
        self.held_for = 0
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._in_child)

    def _before(self):
        self.forks += 1
        process_handle.FORK_PATIENCE = 1 if self.held_for > 0 else int(PATIENCE)
        if self.held_for > 0:
            self._lock.acquire()

    def _after(self):
        if self.held_for > 0:
            self.held_for -= 1
            self._lock.release()

    def _in_child(self):
        with self._lock:
            pass


@pytest.fixture(scope="module")
def held_at_fork():
    return HeldAtFork()


@pytest.mark.skipif("fork" not in METHODS, reason="needs fork")
@pytest.mark.parametrize(("lost_starts", "status"), [(1, SUCCEEDED), (3, FAILED)])
def test_a_forked_worker_that_never_begins_is_ended_and_replaced(
    pool_of, monkeypatch, caplog, held_at_fork, lost_starts, status
):
    monkeypatch.setattr(process_handle, "FORK_PATIENCE", 1)  # and set for each
    pool = pool_of(1, mp_context="fork")
    before, held_at_fork.held_for = held_at_fork.forks, lost_starts
    (run,) = helper.carry_out(pool, helper.run_of(pid))
    assert run.status == status
    assert held_at_fork.forks - before == min(lost_starts + 1, 3)
    assert caplog.text.count("failed: worker process") == lost_starts
    assert "it had not begun 1 s after its start" in caplog.text
    assert "was killed by SIGKILL" in caplog.text


def test_a_worker_retires_after_its_number_of_tasks(pool_of):
    pool = pool_of(1, max_tasks_per_child=2)
    pids = [run.retval for run in helper.carry_out(pool, *[helper.run_of(pid) for _ in range(6)])]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]


def test_workers_ignore_ctrl_c(pool_of):
    (run,) = helper.carry_out(pool_of(1), helper.run_of(signal_state))
    assert run.retval is True


def test_no_more_workers_are_started_than_there_is_work_for(pool_of):
    pool = pool_of(10)
    helper.carry_out(pool, helper.run_of(add, 1))
    helper.carry_out(pool, helper.run_of(add, 1))
    names = [
        child.name for child in multiprocessing.active_children() if child.name.startswith("rota-worker")
    ]
    assert len(names) == 1


def test_cancel_terminates_the_workers_that_are_busy(pool_of, tmp_path):
    pool, ended = pool_of(1), Ended()
    runs = [helper.run_of(tell_pid_and_wait, str(tmp_path)) for _ in range(3)]
    pool.submit(runs, ended)
    (victim,) = worker_pids(tmp_path, 1)
    pool.cancel()
    helper.wait(ended, 3)
    assert [run.status for run in runs] == [CANCELLED] * 3
    assert present(runs[0].reason).startswith(
        f"cancelled while it was running; worker process {victim} was killed"
    )
    assert {run.reason for run in runs[1:]} == {"cancelled before it started"}


def test_shutdown_leaves_no_process_and_no_thread(pool_of):
    pool = pool_of(2)
    pids = {run.retval for run in helper.carry_out(pool, *[helper.run_of(pid) for _ in range(10)])}
    pool.shutdown()
    assert not [thread for thread in threading.enumerate() if thread.name == "rota-processes"]
    for number in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)  # a zombie would still be there


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_workers": 0}, ConfigurationError),
        ({"pool_kwargs": {"max_tasks_per_child": 0}}, ConfigurationError),
        ({"pool_kwargs": {"mp_context": "teleport"}}, ConfigurationError),
        ({"pool_kwargs": {"max_taks_per_child": 1}}, UnknownOptionError),
    ],
)
def test_wrong_options_are_refused(arguments, error):
    with pytest.raises(error):
        ProcessPoolExecutor(**arguments)


@pytest.mark.parametrize(
    ("trigger", "shown"),
    [
        (SimpleNamespace(timezone=ZoneInfo("Asia/Tokyo")), "Asia/Tokyo"),
        (SimpleNamespace(timezone=SimpleNamespace(key="Mars/Olympus")), "UTC"),
        (SimpleNamespace(), "UTC"),
    ],
)
def test_a_worker_process_shows_times_in_the_zone_of_the_job(pool_of, trigger, shown):
    run = helper.run_of(shown_time)
    present(run.job).trigger = trigger
    (ended,) = helper.carry_out(pool_of(1), run)
    assert (ended.status, ended.retval) == ("succeeded", shown)
