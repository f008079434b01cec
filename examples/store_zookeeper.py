"""The ZooKeeper store: one scheduler adds jobs, another one runs them; in real life they are processes on different machines.

What is due soon reaches the other one at once, through a watch.

Needs:  pip install 'rota[zookeeper]', and a ZooKeeper server (3.5 or later)
Server: zookeeper
Run:    python examples/store_zookeeper.py [zookeeper://localhost:2181/path]
Output: added: greet; hello, ZooKeeper; greet succeeded
"""

from __future__ import annotations

import sys
import threading

from rota.events import EVENT_JOB_EXECUTED
from rota.schedulers.background import BackgroundScheduler

URL = "zookeeper://localhost:2181/rota-example"


def greet(whom: str) -> None:
    """Jobs in a durable store are kept by reference, so the function stands at the top of a module."""
    print(f"hello, {whom}")


def main(url: str) -> None:
    done = threading.Event()
    worker = BackgroundScheduler(jobstores={"default": url})
    worker.add_listener(lambda event: done.set(), EVENT_JOB_EXECUTED)
    worker.start()

    client = BackgroundScheduler(jobstores={"default": url}, runs_jobs=False)
    client.start()
    job = client.add_job(greet, args=["ZooKeeper"], id="greet", replace_existing=True)
    print("added:", job.id)

    if not done.wait(20):
        print("nobody has run it")
    for run in client.get_runs("greet", limit=1):
        print(run.job_id, run.status)
    client.shutdown()
    worker.shutdown()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else URL)
