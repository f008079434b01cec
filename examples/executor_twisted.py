"""The Twisted executor: jobs run in the reactor's thread pool, whose size the reactor sets.

Needs:  pip install 'rota[twisted]'
Run:    python examples/executor_twisted.py
Output: at most 2 runs at the same time
"""

from __future__ import annotations

import threading
import time

from twisted.internet import reactor

from rota.executors.twisted import TwistedExecutor
from rota.schedulers.twisted import TwistedScheduler

lock = threading.Lock()
now = most = 0


def work() -> None:
    global now, most
    with lock:
        now += 1
        most = max(most, now)
    time.sleep(0.1)
    with lock:
        now -= 1


def main() -> None:
    reactor.suggestThreadPoolSize(2)
    scheduler = TwistedScheduler(executors={"default": TwistedExecutor()})
    scheduler.start()
    for _ in range(6):
        scheduler.add_job(work)

    def stop() -> None:
        print("at most", most, "runs at the same time")
        scheduler.shutdown().addCallback(lambda _: reactor.stop())

    reactor.callLater(1, stop)
    reactor.run()


if __name__ == "__main__":
    main()
