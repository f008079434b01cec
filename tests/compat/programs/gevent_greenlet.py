"""start() returns the greenlet of the scheduler; jobs run in greenlets."""

import gevent
from apscheduler.schedulers.gevent import GeventScheduler
from gevent.event import Event

seen = []
enough = Event()


def tick():
    gevent.sleep(0)
    seen.append(type(gevent.getcurrent()).__name__)
    if len(seen) == 3:
        enough.set()


scheduler = GeventScheduler()
scheduler.add_job(tick, "interval", seconds=0.1)
greenlet = scheduler.start()
assert isinstance(greenlet, gevent.Greenlet), greenlet
assert enough.wait(20), seen
scheduler.shutdown()
greenlet.join(20)
assert greenlet.ready()
assert "Greenlet" in seen[0], seen
print("done")
