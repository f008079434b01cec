"""A wrapper as web frameworks have them: it forwards options, uses ``undefined``, and shows jobs as dictionaries."""

from collections import OrderedDict
from datetime import datetime, timezone

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from apscheduler.util import obj_to_ref, ref_to_obj, undefined


class Wrapper:
    def __init__(self, **config):
        self.scheduler = BackgroundScheduler(**config)

    def add(
        self, id, func, misfire_grace_time=undefined, coalesce=undefined, max_instances=undefined, **kwargs
    ):
        if isinstance(func, str):
            func = ref_to_obj(func)
        return self.scheduler.add_job(
            func,
            id=id,
            misfire_grace_time=misfire_grace_time,
            coalesce=coalesce,
            max_instances=max_instances,
            **kwargs,
        )


def trigger_to_dict(trigger):
    data = OrderedDict()
    if isinstance(trigger, DateTrigger):
        data["trigger"] = "date"
        data["run_date"] = trigger.run_date
    elif isinstance(trigger, IntervalTrigger):
        data["trigger"] = "interval"
        data["start_date"] = trigger.start_date
        if trigger.end_date:
            data["end_date"] = trigger.end_date
        seconds = int(trigger.interval.total_seconds())
        data["hours"], data["minutes"], data["seconds"] = seconds // 3600, seconds // 60 % 60, seconds % 60
    elif isinstance(trigger, CronTrigger):
        data["trigger"] = "cron"
        for field in trigger.fields:
            if not field.is_default:
                data[field.name] = str(field)
    else:
        data["trigger"] = str(trigger)
    return data


def job_to_dict(job):
    if not job:
        return {}
    data = OrderedDict(
        id=job.id, name=job.name, func=job.func_ref, args=list(job.args), kwargs=dict(job.kwargs)
    )
    data.update(trigger_to_dict(job.trigger))
    if not job.pending:
        data["misfire_grace_time"] = job.misfire_grace_time
        data["max_instances"] = job.max_instances
        data["next_run_time"] = None if job.next_run_time is None else job.next_run_time.isoformat()
    return data


def job(value=None):
    pass


wrapper = Wrapper(timezone=timezone.utc, job_defaults={"max_instances": 7, "misfire_grace_time": 30})
wrapper.add("cron", "__main__:job", trigger="cron", day_of_week="mon-fri", hour=6, minute="*/10", args=[1])
wrapper.add(
    "interval", job, trigger="interval", hours=1, minutes=30, start_date=datetime(2026, 1, 1), max_instances=2
)
wrapper.add("date", job, trigger="date", run_date=datetime(2100, 1, 1), kwargs={"value": 2})
wrapper.add(
    "or", job, trigger=OrTrigger([CronTrigger(hour=1, timezone="UTC"), CronTrigger(hour=2, timezone="UTC")])
)
wrapper.scheduler.start(paused=True)
cron = job_to_dict(wrapper.scheduler.get_job("cron"))
assert (cron["day_of_week"], cron["hour"], cron["minute"]) == ("mon-fri", "6", "*/10"), cron
assert "month" not in cron
assert (cron["func"], cron["args"], cron["max_instances"], cron["misfire_grace_time"]) == (
    "__main__:job",
    [1],
    7,
    30,
), cron
interval = job_to_dict(wrapper.scheduler.get_job("interval"))
assert (interval["hours"], interval["minutes"], interval["seconds"], interval["max_instances"]) == (
    1,
    30,
    0,
    2,
), interval
assert interval["start_date"] == datetime(2026, 1, 1, tzinfo=timezone.utc)
date = job_to_dict(wrapper.scheduler.get_job("date"))
assert (date["run_date"], date["kwargs"]) == (datetime(2100, 1, 1, tzinfo=timezone.utc), {"value": 2}), date
assert date["next_run_time"] == "2100-01-01T00:00:00+00:00"
assert job_to_dict(wrapper.scheduler.get_job("or"))["trigger"] == "or[cron[hour='1'], cron[hour='2']]"
assert job_to_dict(wrapper.scheduler.get_job("none")) == {}
assert obj_to_ref(job) == "__main__:job"
wrapper.scheduler.shutdown()
print("done")
