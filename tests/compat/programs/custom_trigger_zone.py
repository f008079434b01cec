from datetime import timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

asked = []


class EveryMorning(BaseTrigger):
    def get_next_fire_time(self, previous_fire_time, now):
        asked.append(str(now.tzinfo))
        nine = now.replace(hour=9, minute=0, second=0, microsecond=0)
        return nine if nine > now else nine + timedelta(days=1)


class WithAZoneAsText(EveryMorning):
    def __init__(self, timezone):
        self.timezone = timezone


def work():
    pass


scheduler = BackgroundScheduler(timezone="Asia/Tokyo")
scheduler.start(paused=True)
for trigger in (EveryMorning(), WithAZoneAsText("Europe/Berlin")):
    job = scheduler.add_job(work, trigger)
    assert job.next_run_time.strftime("%H:%M %Z") == "09:00 JST", job
    assert str(job.next_run_time) in str(job) or "09:00:00 JST" in str(job), job
    job.pause()
    job.resume()
    assert job.next_run_time.strftime("%H:%M %Z") == "09:00 JST", job
assert set(asked) == {"Asia/Tokyo"}, asked
scheduler.shutdown()
print("done")
