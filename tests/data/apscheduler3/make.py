"""Makes the jobs of APScheduler 3 that the tests of the importer read. It needs APScheduler, and nothing of Rota.

    python make.py states FILE.json     the pickled states of the jobs in several protocols (any APScheduler 3)
    python make.py sqlite FILE          a database of SQLAlchemyJobStore
    python make.py export FILE.json     a file of export_jobs() (APScheduler 3.11)
    python make.py redis PORT, mongodb URL, etcd URL, zookeeper URL

The files beside this one were made by: `states` with APScheduler 3.0.6, 3.6.3, 3.9.1 and 3.11.3, `export` with 3.11.3, and
`sqlite` with 3.11.3 (``sqlite3 FILE .dump``, as text).
"""

import json
import pickle
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import ModuleType
from uuid import UUID

import apscheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

try:
    from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
    from apscheduler.triggers.combining import AndTrigger, OrTrigger
except ImportError:
    AndTrigger = OrTrigger = CalendarIntervalTrigger = None
try:
    from zoneinfo import ZoneInfo
except ImportError:
    ZoneInfo = None
try:
    import pytz
    import pytz_deprecation_shim
except ImportError:
    pytz_deprecation_shim = None

VERSION = tuple(int(part) for part in apscheduler.version.split(".")[:2])


class Customer:
    """What does not fit into Rota's JSON."""

    def __init__(self, number):
        self.number = number


def bill(*args, **kwargs):
    """A function of a program that is not here when the jobs are read."""


def make_shop():
    """Put both into a module that only exists here."""
    module = ModuleType("shop")
    sys.modules["shop"] = module
    for thing in (Customer, bill):
        thing.__module__ = "shop"
        setattr(module, thing.__name__, thing)


def zone(name):
    """Return a zone of the kind that this APScheduler works with."""
    if VERSION == (3, 9):  # what its tzlocal gave to those who named no zone
        return pytz_deprecation_shim.timezone(name)
    if VERSION < (3, 11):
        return pytz.utc if name == "UTC" else pytz.timezone(name)
    return timezone.utc if name == "UTC" else ZoneInfo(name)  # noqa: UP017  # older Pythons have no UTC


def moment(name, *parts):
    """Return a moment in such a zone."""
    where = zone(name)
    return where.localize(datetime(*parts)) if VERSION < (3, 11) else datetime(*parts, tzinfo=where)


def add_jobs(scheduler):
    """Add a job of each kind; all times are fixed."""
    add, start = scheduler.add_job, moment("UTC", 2031, 5, 5, 12, 0, 0)
    hanoi, berlin = zone("Asia/Ho_Chi_Minh"), zone("Europe/Berlin")
    every = IntervalTrigger(
        minutes=5, start_date=moment("Asia/Ho_Chi_Minh", 2026, 1, 1, 8, 0), timezone=hanoi
    )
    add(bill, every, id="interval", args=["a", 1, 2.5, None, True], next_run_time=start)
    add(
        bill,
        IntervalTrigger(
            days=1,
            seconds=0.25,
            start_date=moment("Europe/Berlin", 2026, 7, 1, 8, 0),
            end_date=moment("Europe/Berlin", 2040, 1, 1),
            timezone=berlin,
        ),
        id="bounded",
        name="Bounded by dates",
        next_run_time=start,
        misfire_grace_time=3600,
        coalesce=False,
        max_instances=3,
    )
    add(
        bill,
        CronTrigger(
            year="2026-2035",
            month="jan-mar,jun,9" if VERSION > (3, 0) else "1-3,6,9",
            day="last,2nd fri,15-20/2",
            hour="9-17/2",
            minute="*/15",
            second=30,
            timezone=berlin,
        ),
        id="cron",
        next_run_time=start,
        kwargs={"customer": "Nguyễn", "deep": {"list": [1, (2, 3)], "set": {1}}},
    )
    add(
        bill,
        CronTrigger(week="*/2", day_of_week="mon-fri,sun", hour=3, timezone=berlin),
        id="weeks",
        next_run_time=start,
    )
    add(bill, CronTrigger(timezone=zone("UTC")), id="every-second", next_run_time=None)
    add(
        bill,
        DateTrigger(moment("Europe/Berlin", 2030, 10, 27, 2, 30)),
        id="once",
        args=[
            UUID(int=5),
            Decimal("1.50"),
            timedelta(hours=1),
            b"\0\xff",
            datetime(2030, 1, 2, 3, 4, 5, 6),
            start.date(),
        ],
    )
    add(bill, every, id="paused", next_run_time=None, executor="processes")
    add(bill, every, id="foreign", args=[1, {"who": [Customer(7)]}], next_run_time=start)
    if OrTrigger is not None:
        nine = CronTrigger(day_of_week="mon-fri", hour=9, timezone=hanoi)
        either = (
            OrTrigger([CronTrigger(hour=21, timezone=hanoi), nine])
            if VERSION < (3, 11)
            else OrTrigger(
                [
                    CronTrigger(hour=21, timezone=hanoi),
                    AndTrigger([nine, CronTrigger(hour=9, timezone=hanoi)]),
                ],
                jitter=20,
            )
        )
        add(bill, either, id="either", next_run_time=start)
    if CalendarIntervalTrigger is not None:
        month = CalendarIntervalTrigger(
            months=1, hour=8, start_date="2026-01-31", end_date="2039-12-31", timezone=berlin
        )
        add(bill, month, id="monthly", next_run_time=start)


def started(**stores):
    """Return a scheduler on a store, started without running anything."""
    make_shop()
    options = {"executors": {"default": {"type": "threadpool"}, "processes": {"type": "threadpool"}}}
    if stores:
        options["jobstores"] = {"default": stores}
    scheduler = BackgroundScheduler(timezone=zone("UTC"), **options)
    if VERSION >= (3, 3):
        scheduler.start(paused=True)
    else:
        scheduler._process_jobs = lambda: 3600
        scheduler.start()
    add_jobs(scheduler)
    return scheduler


def main(kind, target):
    if kind == "states":
        scheduler = started()
        found = {}
        for protocol in (0, 2, pickle.HIGHEST_PROTOCOL)[VERSION < (3, 3) :]:
            for job in scheduler.get_jobs():
                found.setdefault(job.id, {})[str(protocol)] = pickle.dumps(job.__getstate__(), protocol).hex()
        scheduler.shutdown()
        with open(target, "w") as file:
            json.dump({"version": apscheduler.version, "states": found}, file, indent=1, sort_keys=True)
            file.write("\n")
    elif kind == "export":
        scheduler = started()
        scheduler.export_jobs(target)
        scheduler.shutdown()
    else:
        host, _, path = target.partition("://")[2].partition("/")
        stores = {
            "sqlite": lambda: {"type": "sqlalchemy", "url": "sqlite:///" + target},
            "redis": lambda: {"type": "redis", "port": int(target)},
            "mongodb": lambda: {
                "type": "mongodb",
                "host": target,
                "database": target.rpartition("/")[2].partition("?")[0],
            },
            "etcd": lambda: {
                "type": "etcd",
                "host": host.partition(":")[0],
                "port": int(host.partition(":")[2]),
                "path": "/" + path,
            },
            "zookeeper": lambda: {"type": "zookeeper", "hosts": host, "path": "/" + path},
        }
        started(**stores[kind]()).shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
