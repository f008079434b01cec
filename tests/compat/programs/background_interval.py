"""A background scheduler beside the main thread: an interval job with arguments, ended by the program."""

import threading

from apscheduler.schedulers.background import BackgroundScheduler

calls = []
enough = threading.Event()


def tick(what, times=1):
    calls.append((what, times, threading.current_thread() is threading.main_thread()))
    if len(calls) >= 3:
        enough.set()


scheduler = BackgroundScheduler()
scheduler.add_job(tick, "interval", ["tick"], {"times": 2}, seconds=0.1, id="ticker")
scheduler.start()
assert scheduler.running
assert enough.wait(20), calls
scheduler.shutdown()
assert not scheduler.running
assert set(calls) == {("tick", 2, False)}, calls
print("done")
