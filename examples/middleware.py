"""Middleware: a database session, the time that calls take, and log fields around every job, written once.

The session is committed if the job returns and rolled back if it raises; the job knows nothing of that.

Run:    python examples/middleware.py
Output: WARNING [good@; stored good; good: succeeded, 1 row; bad: failed, 0 rows; timed bad, good
"""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING

from rota.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from rota.schedulers.background import BackgroundScheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rota.core.run import Run

session: ContextVar[sqlite3.Connection] = ContextVar("session")
run_id: ContextVar[str] = ContextVar("run_id", default="-")
took: dict[str, float] = {}
ended = threading.Semaphore(0)
log = logging.getLogger("example")


@contextmanager
def timing(run: Run) -> Iterator[None]:
    """Note how long the call takes."""
    began = perf_counter()
    try:
        yield
    finally:
        took[run.job_id] = perf_counter() - began


@contextmanager
def log_fields(run: Run) -> Iterator[None]:
    """Let each line that the job logs have the id of its run."""
    token = run_id.set(run.id)
    try:
        yield
    finally:
        run_id.reset(token)


@contextmanager
def with_session(run: Run) -> Iterator[None]:
    """Open a session for the run; commit it if the job returns, roll it back if it raises."""
    connection = sqlite3.connect("example.db")
    token = session.set(connection)
    try:
        with connection:
            yield
    finally:
        session.reset(token)
        connection.close()


def store(text: str, fails: bool) -> None:
    """Be a job that only does its work."""
    session.get().execute("INSERT INTO texts VALUES (?)", [text])
    if fails:
        raise ValueError("not today")
    log.warning("stored %s", text)


def rows(text: str) -> int:
    connection = sqlite3.connect("example.db")
    try:
        (count,) = connection.execute("SELECT count(*) FROM texts WHERE text = ?", [text]).fetchone()
        return int(count)
    finally:
        connection.close()


def on_end(event: JobExecutionEvent) -> None:
    count = rows(event.job_id)
    print(f"{event.job_id}: {event.outcome}, {count} {'row' if count == 1 else 'rows'}")
    ended.release()


class AddRun(logging.Filter):
    """Gives each line the id of the run in which it is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.run = run_id.get()
        return True


def main() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(AddRun())
    handler.setFormatter(logging.Formatter("%(levelname)s [%(run)s] %(message)s"))
    log.addHandler(handler)
    logging.getLogger("rota").setLevel(
        logging.CRITICAL
    )  # the traceback of the bad job would be logged as well
    connection = sqlite3.connect("example.db")
    connection.execute("CREATE TABLE texts (text)")
    connection.close()

    scheduler = BackgroundScheduler()
    for around in (timing, log_fields, with_session):  # the outermost first
        scheduler.add_middleware(around)
    scheduler.add_listener(on_end, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start()
    scheduler.add_job(store, args=["good", False], id="good")
    scheduler.add_job(store, args=["bad", True], id="bad")
    ended.acquire()
    ended.acquire()
    scheduler.shutdown()
    print("timed", ", ".join(sorted(took)))


if __name__ == "__main__":
    main()
