"""Time-outs: a coroutine that is cancelled, a thread that is asked to stop, a worker process that is ended, a job that hangs.

Each run is recorded as timed out, with the reason; what a thread returns after its time is kept in the note of its run.

Run:    python examples/timeouts.py
Output: coroutine: timed_out, timeout; thread: timed_out, timeout (returned after its time was over: 'asked to stop');
        process: timed_out, timeout; silent: timed_out, no heartbeat; quick: succeeded
"""

from __future__ import annotations

import asyncio
import time
from threading import Event

from rota import BackgroundScheduler, current_run
from rota.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobTimedOutEvent

JOBS = ("coroutine", "thread", "process", "silent", "quick")
ended: list[str] = []
all_ended = Event()


async def coroutine() -> None:
    """Wait for an answer that never comes: it is cancelled."""
    await asyncio.sleep(3600)


def thread() -> str:
    """Work, and look now and then whether to stop: Python cannot stop a thread."""
    while not current_run().cancelled:
        time.sleep(0.01)
    return "asked to stop"


def process() -> None:
    """Hang in a worker process, which is ended and replaced."""
    time.sleep(3600)


async def silent() -> None:
    """Say once that it is alive, and then hang."""
    current_run().heartbeat(note="connected")
    await asyncio.sleep(3600)


def quick() -> None:
    """Be done in time."""


def main() -> None:
    scheduler = BackgroundScheduler(
        executors={"default": {"type": "threadpool"}, "processes": {"type": "processpool", "max_workers": 1}}
    )

    def note_end(event: object) -> None:
        ended.append(getattr(event, "job_id", ""))
        if len(ended) == len(JOBS):
            all_ended.set()

    scheduler.add_listener(note_end, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
    scheduler.add_listener(lambda event: print(f"{event.job_id} is over its time"), JobTimedOutEvent)
    scheduler.start()
    scheduler.add_job(coroutine, id="coroutine", timeout=0.2)
    scheduler.add_job(thread, id="thread", timeout=0.2)
    scheduler.add_job(process, id="process", timeout=0.2, executor="processes")
    scheduler.add_job(silent, id="silent", heartbeat_timeout=0.2)
    scheduler.add_job(quick, id="quick", timeout=60)
    all_ended.wait(30)
    for job_id in JOBS:
        (run,) = scheduler.get_runs(job_id)
        record = scheduler.get_run(job_id, run.scheduled_run_time)
        assert record is not None
        reason = f", {record.reason}" if record.reason else ""
        note = f" ({record.note})" if job_id == "thread" else ""
        print(f"{job_id}: {record.status}{reason}{note}")
    scheduler.shutdown()


if __name__ == "__main__":
    main()
