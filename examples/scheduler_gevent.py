"""A scheduler in a greenlet; each run is a greenlet of its own.

Needs:  pip install 'rota[gevent]'
Run:    python examples/scheduler_gevent.py
Output: in a greenlet; three runs
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # before anything else is imported, as gevent wants it

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from rota.schedulers.gevent import GeventScheduler  # noqa: E402

runs: list[str] = []
enough = Event()


def work() -> None:
    gevent.sleep(0.05)
    runs.append(type(gevent.getcurrent()).__name__)
    print("in a greenlet:", runs[-1])
    if len(runs) == 3:
        enough.set()


def main() -> None:
    scheduler = GeventScheduler()
    scheduler.add_job(work, "interval", seconds=0.3)
    greenlet = scheduler.start()  # the scheduler's greenlet; join() it to wait for the scheduler
    enough.wait()
    print("three runs")
    scheduler.shutdown()
    greenlet.join()


if __name__ == "__main__":
    main()
