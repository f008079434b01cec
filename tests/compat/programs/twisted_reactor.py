"""Jobs in the threads of Twisted's reactor."""

import threading

from apscheduler.schedulers.twisted import TwistedScheduler
from twisted.internet import reactor

seen = []
main_thread = threading.current_thread()


def tick():
    seen.append(threading.current_thread() is main_thread)
    if len(seen) == 3:
        reactor.callFromThread(reactor.stop)


scheduler = TwistedScheduler()
scheduler.add_job(tick, "interval", seconds=0.1)
scheduler.start()
reactor.callLater(20, reactor.stop)
reactor.run()
assert len(seen) >= 3, seen
assert not any(seen), seen
print("done")
