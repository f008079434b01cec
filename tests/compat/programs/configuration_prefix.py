"""Options read from an ini file, with a prefix of the program's own."""

import configparser

from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.background import BackgroundScheduler

INI = """
[jobs]
scheduler.timezone = Europe/Berlin
scheduler.executors.default.type = threadpool
scheduler.executors.default.max_workers = 2
scheduler.job_defaults.misfire_grace_time = 120
scheduler.job_defaults.coalesce = yes
"""


def job():
    pass


parser = configparser.ConfigParser()
parser.read_string(INI)
scheduler = BackgroundScheduler()
scheduler.configure(dict(parser["jobs"]), prefix="scheduler.")
scheduler.start(paused=True)
added = scheduler.add_job(job, "cron", hour=3)
assert (added.misfire_grace_time, added.coalesce) == (120, True)
assert str(added.trigger.timezone) == "Europe/Berlin"
try:
    scheduler.configure(timezone="UTC")
except SchedulerAlreadyRunningError:
    pass
else:
    raise AssertionError("a running scheduler was configured")
scheduler.shutdown()

try:
    BackgroundScheduler(job_defaults={"coalesce": "perhaps"})
except ValueError:
    pass
else:
    raise AssertionError("a truth value that is none was taken")
print("done")
