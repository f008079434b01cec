"""The Redis store: several processes share jobs and ledger, and are woken up when something changes.

This program starts two schedulers on one server, as two processes would: one only adds jobs, the other one runs them.
It uses keys that begin with "example.".

Needs:  pip install 'rota[redis]', and a Redis server
Server: redis
Run:    python examples/store_redis.py [URL]   (default: redis://127.0.0.1:6379/0)
Output: added; succeeded; result: 42
"""

from __future__ import annotations

import sys
import threading

from rota.events import EVENT_JOB_EXECUTED
from rota.jobstores.redis import RedisJobStore
from rota.schedulers.background import BackgroundScheduler


def answer(question: str) -> int:
    """Jobs in a durable store are kept by reference, so the function stands at the top of a module."""
    return len(question)


def scheduler(url: str, runs_jobs: bool = True) -> BackgroundScheduler:
    # A store object for each scheduler; the keys of one application begin alike.
    return BackgroundScheduler(
        jobstores={"default": RedisJobStore(url=url, jobs_key="example.jobs")}, runs_jobs=runs_jobs
    )


def main(url: str) -> None:
    worker, web = scheduler(url), scheduler(url, runs_jobs=False)
    worker.start()
    web.start()
    done = threading.Event()
    worker.add_listener(lambda event: done.set(), EVENT_JOB_EXECUTED)

    job = web.add_job(answer, args=["the question about life, the universe, all"])
    print("added by a scheduler that runs nothing:", job.name)
    done.wait(10)
    for run in web.get_runs(job.id):
        print(f"{run.status} on node {run.owner}, result: {run.retval}")

    web.shutdown()
    worker.shutdown()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/0")
