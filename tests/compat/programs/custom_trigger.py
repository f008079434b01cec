"""A trigger of the program's own."""

import threading
from datetime import timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger


class Countdown(BaseTrigger):
    """Fires a few times, then is over."""

    def __init__(self, times, step):
        self.left = times
        self.step = step

    def get_next_fire_time(self, previous_fire_time, now):
        if not self.left:
            return None
        self.left -= 1
        return (previous_fire_time or now) + timedelta(seconds=self.step)

    def __str__(self):
        return "countdown[{}]".format(self.step)


class EveryFullTenth(BaseTrigger):
    """Keeps no state; answers from what it is given."""

    def get_next_fire_time(self, previous_fire_time, now):
        tenth = now.replace(microsecond=now.microsecond // 100000 * 100000)
        return tenth + timedelta(milliseconds=100)


seen = []
enough = threading.Event()


def job():
    seen.append(1)
    if len(seen) == 3:
        enough.set()


scheduler = BackgroundScheduler()
scheduler.start()
added = scheduler.add_job(job, EveryFullTenth())
assert enough.wait(20), seen
assert added.next_run_time.microsecond % 100000 == 0
added.remove()
countdown = scheduler.add_job(job, Countdown(2, 3600))
assert str(countdown.trigger) == "countdown[3600]"
assert "countdown[3600]" in str(countdown)
scheduler.shutdown()
print("done")
