"""A scheduler on Twisted's reactor; plain functions run in the reactor's thread pool.

Needs:  pip install 'rota[twisted]'
Run:    python examples/scheduler_twisted.py
Output: counted in a thread; the reactor has stopped
"""

from __future__ import annotations

import threading

from twisted.internet import reactor

from rota.schedulers.twisted import TwistedScheduler

scheduler = TwistedScheduler()
counted = 0


@scheduler.scheduled_job("interval", seconds=0.3)
def count() -> None:
    global counted
    counted += 1
    where = "the reactor" if threading.current_thread() is threading.main_thread() else "a thread"
    print("counted in", where)


def stop() -> None:
    ended = scheduler.shutdown()  # a Deferred: it waits for the runs under way
    ended.addCallback(lambda _: reactor.stop())


if __name__ == "__main__":
    scheduler.start()
    reactor.callLater(1.2, stop)
    reactor.run()
    print("the reactor has stopped")
