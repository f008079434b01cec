"""The same configuration in its three forms: objects, a flat dictionary, and configure()."""

from datetime import timezone

from apscheduler.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler


def job():
    pass


def with_objects():
    return BackgroundScheduler(
        jobstores={"shelf": MemoryJobStore(), "default": SQLAlchemyJobStore(url="sqlite:///one.sqlite")},
        executors={"default": ThreadPoolExecutor(20), "processpool": ProcessPoolExecutor(5)},
        job_defaults={"coalesce": False, "max_instances": 3},
        timezone=timezone.utc,
    )


def with_a_flat_dictionary():
    return BackgroundScheduler(
        {
            "apscheduler.jobstores.shelf": {"type": "memory"},
            "apscheduler.jobstores.default": {"type": "sqlalchemy", "url": "sqlite:///two.sqlite"},
            "apscheduler.executors.default": {
                "class": "apscheduler.executors.pool:ThreadPoolExecutor",
                "max_workers": "20",
            },
            "apscheduler.executors.processpool": {"type": "processpool", "max_workers": "5"},
            "apscheduler.job_defaults.coalesce": "false",
            "apscheduler.job_defaults.max_instances": "3",
            "apscheduler.timezone": "UTC",
        }
    )


def with_configure():
    scheduler = BackgroundScheduler()
    scheduler.configure(
        jobstores={"shelf": {"type": "memory"}, "default": SQLAlchemyJobStore(url="sqlite:///three.sqlite")},
        executors={
            "default": {"type": "threadpool", "max_workers": 20},
            "processpool": ProcessPoolExecutor(max_workers=5),
        },
        job_defaults={"coalesce": False, "max_instances": 3},
        timezone="UTC",
    )
    return scheduler


def main():
    for make in (with_objects, with_a_flat_dictionary, with_configure):
        scheduler = make()
        scheduler.start(paused=True)
        stored = scheduler.add_job(job, "cron", hour=3, id="stored")
        scheduler.add_job(job, "interval", hours=1, id="shelved", jobstore="shelf", executor="processpool")
        assert (stored.coalesce, stored.max_instances) == (False, 3), make
        assert str(stored.next_run_time.tzinfo) == "UTC", stored.next_run_time.tzinfo
        assert [found.id for found in scheduler.get_jobs("shelf")] == ["shelved"], make
        assert [found.id for found in scheduler.get_jobs("default")] == ["stored"], make
        assert scheduler.get_job("shelved").executor == "processpool"
        scheduler.shutdown()
    print("done")


if __name__ == "__main__":
    main()
