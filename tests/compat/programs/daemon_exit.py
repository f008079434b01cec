"""A script that ends without shutdown() ends its background jobs too, in silence."""

import threading

from apscheduler.schedulers.background import BackgroundScheduler

ran = threading.Event()
scheduler = BackgroundScheduler()
scheduler.start()
scheduler.add_job(ran.set, "interval", seconds=0.05)
assert ran.wait(20)
print("done")
