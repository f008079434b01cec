"""The gevent executor: a thousand waiting runs are a thousand greenlets, not threads.

GeventScheduler takes this executor by itself; naming it is only needed for a second alias or another scheduler.

Needs:  pip install 'rota[gevent]'
Run:    python examples/executor_gevent.py
Output: 1000 runs waited at the same time
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

from gevent.event import Event  # noqa: E402

from rota.executors.gevent import GeventExecutor  # noqa: E402
from rota.schedulers.gevent import GeventScheduler  # noqa: E402

RUNS = 1000
waiting = 0
everyone_waits = Event()


def wait_for_answer() -> None:
    global waiting
    waiting += 1
    if waiting == RUNS:
        everyone_waits.set()
    everyone_waits.wait()


def main() -> None:
    scheduler = GeventScheduler(executors={"default": GeventExecutor()})
    scheduler.start()
    for _ in range(RUNS):
        scheduler.add_job(wait_for_answer)
    everyone_waits.wait()
    print(waiting, "runs waited at the same time")
    scheduler.shutdown()


if __name__ == "__main__":
    main()
