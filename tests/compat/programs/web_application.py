"""A module-level scheduler of a web application, started once and ended at exit."""

import atexit
import threading

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

hits = []
ready = threading.Event()


def poll_upstream():
    hits.append(1)
    ready.set()


def create_app():
    scheduler = BackgroundScheduler(daemon=True)
    scheduler.start()
    scheduler.add_job(
        func=poll_upstream,
        trigger=IntervalTrigger(seconds=0.1),
        id="polling",
        name="Poll upstream every so often",
        replace_existing=True,
    )
    atexit.register(scheduler.shutdown)
    return scheduler


scheduler = create_app()
assert ready.wait(20)
assert scheduler.get_job("polling").name == "Poll upstream every so often"
print("done")
