"""Ctrl-C ends a blocking scheduler, as in the usual main program."""

import os
import signal

from apscheduler.schedulers.blocking import BlockingScheduler

ended = []


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


scheduler = BlockingScheduler()
scheduler.add_job(interrupt, "interval", seconds=0.2)
try:
    scheduler.start()
except (KeyboardInterrupt, SystemExit):
    ended.append("interrupted")
    if scheduler.running:
        scheduler.shutdown(wait=False)
assert ended == ["interrupted"], ended
print("done")
