"""A project of Django with django-apscheduler: its job store, its table of executions, the admin, and a management command."""

import datetime
import json
import sys
import threading
import types
from typing import Any

import django
from django.conf import settings
from django.core.management import BaseCommand, call_command

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "django.sqlite",
            "OPTIONS": {"timeout": 20},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django_apscheduler",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    ROOT_URLCONF="urls",
    SECRET_KEY="not one",
    ALLOWED_HOSTS=["testserver"],
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    TIME_ZONE="UTC",
    USE_TZ=True,
    APSCHEDULER_RUN_NOW_TIMEOUT=20,
)
# URLs without a file of their own.
urls = types.ModuleType("urls")
urls.urlpatterns = []
sys.modules["urls"] = urls
django.setup()

from apscheduler.events import (
    EVENT_ALL,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
)
from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import path
from django_apscheduler import util
from django_apscheduler.jobstores import DjangoJobStore, DjangoMemoryJobStore
from django_apscheduler.models import DjangoJob, DjangoJobExecution

urls.urlpatterns.append(path("admin/", admin.site.urls))
told: dict[str, Any] = {}
FAR = datetime.datetime(2099, 1, 1, 6, 30, tzinfo=datetime.UTC)
go_on = threading.Event()
began = threading.Event()


@util.close_old_connections
def works(number, word="none"):
    return f"{number} {word}"


def fails():
    raise ValueError("on purpose")


def takes_long():
    began.set()
    assert go_on.wait(20)


class Ends:
    """Waits for the ends of runs."""

    def __init__(self, scheduler, mask=EVENT_JOB_EXECUTED | EVENT_JOB_ERROR):
        self.seen: list[Any] = []
        self._changed = threading.Condition()
        scheduler.add_listener(self._take, mask)

    def _take(self, event):
        with self._changed:
            self.seen.append([event.job_id, event.code])
            self._changed.notify_all()

    def wait_for(self, *ids):
        with self._changed:
            assert self._changed.wait_for(lambda: {one[0] for one in self.seen} >= set(ids), 20), self.seen


def executions(job_id: str) -> list[Any]:
    return [
        [
            one.status,
            one.exception,
            bool(one.traceback and "on purpose" in one.traceback),
            one.duration is not None,
        ]
        for one in DjangoJobExecution.objects.filter(job_id=job_id).order_by("id")
    ]


def rows() -> list[Any]:
    return [
        [one.id, one.next_run_time and one.next_run_time.isoformat()]
        for one in DjangoJob.objects.order_by("id")
    ]


def ordinary_life() -> None:
    scheduler = BackgroundScheduler(timezone="UTC")
    store = DjangoJobStore()
    scheduler.add_jobstore(store, "default")
    ends = Ends(scheduler)
    daily = CronTrigger(year=2099, month=1, day=1, hour=6, minute=30, timezone="UTC")
    job = scheduler.add_job(
        works, daily, args=[1], kwargs={"word": "daily"}, id="daily", max_instances=1, replace_existing=True
    )
    told["pending"] = job.pending
    scheduler.start()
    told["rows"] = rows()
    told["repr"] = [repr(store), str(DjangoJob.objects.get(id="daily"))]
    read = store.lookup_job("daily")
    told["looked up"] = [
        isinstance(read, Job), read.id, read.name, read.func_ref, list(read.args), read.kwargs, str(read.trigger),
        read.next_run_time.isoformat(), store.lookup_job("nobody"),
    ]  # fmt: skip
    told["by the scheduler"] = [one.id for one in scheduler.get_jobs()]
    told["due"] = [
        [one.id for one in store.get_due_jobs(now)] for now in (FAR, FAR - datetime.timedelta(seconds=1))
    ]
    told["next"] = store.get_next_run_time().isoformat()
    for error, call in (
        (ConflictingIdError, lambda: scheduler.add_job(works, "interval", hours=1, args=[1], id="daily")),
        (JobLookupError, lambda: scheduler.remove_job("nobody")),
        (JobLookupError, lambda: store.remove_job("nobody")),
        (JobLookupError, lambda: store.update_job(Job(scheduler, id="x", func=works, trigger=daily, args=[1], kwargs={},
            executor="default", name="x", misfire_grace_time=1, coalesce=True, max_instances=1, next_run_time=FAR))),
    ):  # fmt: skip
        try:
            call()
        except error as caught:
            told.setdefault("errors", []).append([error.__name__, isinstance(caught, KeyError)])
    scheduler.pause_job("daily")
    told["paused"] = [rows(), str(DjangoJob.objects.get(id="daily"))]
    scheduler.resume_job("daily")
    told["resumed"] = rows()
    scheduler.modify_job("daily", name="other name", args=[2])
    scheduler.reschedule_job("daily", trigger="date", run_date=FAR + datetime.timedelta(days=1))
    read = store.lookup_job("daily")
    told["changed"] = [read.name, list(read.args), str(read.trigger), read.next_run_time.isoformat(), rows()]

    now = datetime.datetime.now(datetime.UTC)
    scheduler.add_job(
        works, "interval", hours=1, args=[3], id="hourly", next_run_time=now, misfire_grace_time=None
    )
    scheduler.add_job(fails, "interval", hours=1, id="failing", next_run_time=now, misfire_grace_time=None)
    scheduler.add_job(works, "date", run_date=now, args=[4], id="once", misfire_grace_time=None)
    ends.wait_for("hourly", "failing", "once")
    told["ended"] = sorted(ends.seen)
    until(lambda: len(executions("hourly")) == 1 and executions("hourly")[0][0] == "Executed")
    until(lambda: len(executions("failing")) == 1 and executions("failing")[0][0] == "Error!")
    until(lambda: store.lookup_job("once") is None)  # APScheduler takes it away only after it has started it
    told["executions"] = {id: executions(id) for id in ("hourly", "failing", "once")}
    told["once is gone"] = store.lookup_job("once")
    told["went on"] = DjangoJob.objects.get(id="hourly").next_run_time > now

    limit = Ends(scheduler, EVENT_JOB_MAX_INSTANCES)
    scheduler.add_job(takes_long, "interval", seconds=0.2, id="long", next_run_time=datetime.datetime.now(datetime.UTC),
        misfire_grace_time=None)  # fmt: skip
    assert began.wait(20)
    limit.wait_for("long")
    scheduler.pause_job("long")
    go_on.set()
    ends.wait_for("long")
    until(lambda: {one[0] for one in executions("long")} == {"Executed", "Max instances!"})
    told["overlap"] = sorted({one[0] for one in executions("long")})
    scheduler.remove_job("long")
    told["executions go with the job"] = executions("long")

    missed = Ends(scheduler, EVENT_JOB_MISSED)
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    scheduler.add_job(
        works, "interval", hours=1, args=[5], id="late", next_run_time=past, misfire_grace_time=1
    )
    missed.wait_for("late")
    until(lambda: [one[0] for one in executions("late")] == ["Missed!"])
    told["missed"] = executions("late")
    scheduler.shutdown()


def until(what) -> None:
    """Listeners write on their own: wait until they have."""
    waits = threading.Event()
    for _ in range(400):
        if what():
            return
        waits.wait(0.05)
    raise AssertionError([executions(one.id) for one in DjangoJob.objects.all()])


def second_start() -> None:
    scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": DjangoJobStore()})
    scheduler.start(paused=True)
    told["second start"] = sorted(one.id for one in scheduler.get_jobs())
    scheduler.remove_job("late")
    scheduler.add_job(works, "interval", hours=2, args=[6], id="hourly", replace_existing=True)
    told["replaced"] = [str(scheduler.get_job("hourly").trigger), list(scheduler.get_job("hourly").args)]
    scheduler.shutdown(wait=False)


def in_the_admin() -> None:
    setup_test_environment()
    User.objects.create_superuser("root", "", "secret")
    client = Client()
    client.login(username="root", password="secret")
    page = client.get("/admin/django_apscheduler/djangojob/")
    told["admin lists"] = [
        page.status_code,
        [id in page.content.decode() for id in ("hourly", "daily", "failing")],
    ]
    page = client.get("/admin/django_apscheduler/djangojobexecution/")
    told["admin lists executions"] = [page.status_code, "Error!" in page.content.decode()]
    data = {"action": "run_selected_jobs", "_selected_action": ["hourly", "daily"]}
    page = client.post("/admin/django_apscheduler/djangojob/", data, follow=True)
    said = [str(message) for message in page.context["messages"]]
    told["admin runs"] = [page.status_code, sorted(said)]
    until(lambda: [one[0] for one in executions("daily")] == ["Executed"])
    told["admin ran"] = executions("daily")


class Command(BaseCommand):
    """The command of the library's own guide: a scheduler that does nothing else, with a job that deletes old executions."""

    def handle(self, *args, **options):
        scheduler = BlockingScheduler(timezone=settings.TIME_ZONE)
        scheduler.add_jobstore(DjangoJobStore(), "default")
        scheduler.add_job(
            delete_old_job_executions,
            trigger=CronTrigger(day_of_week="mon", hour="00", minute="00", timezone="UTC"),
            id="delete_old_job_executions",
            max_instances=1,
            replace_existing=True,
            next_run_time=datetime.datetime.now(datetime.UTC),
            misfire_grace_time=None,
        )
        self.stdout.write("Starting scheduler...")
        stop = threading.Thread(target=lambda: (deleted.wait(20), scheduler.shutdown()))
        scheduler.add_listener(lambda event: event.code == EVENT_JOB_EXECUTED and deleted.set(), EVENT_ALL)
        stop.start()
        scheduler.start()
        stop.join()
        self.stdout.write("Scheduler shut down")


deleted = threading.Event()


def delete_old_job_executions(max_age=0):
    DjangoJobExecution.objects.delete_old_job_executions(max_age)


def management_command() -> None:
    before = DjangoJobExecution.objects.count()
    with open("command.txt", "w+", encoding="utf-8") as out:
        call_command(Command(), stdout=out)
        out.seek(0)
        told["command"] = out.read().splitlines()
    told["old executions"] = [
        before > 3,
        DjangoJobExecution.objects.exclude(job_id="delete_old_job_executions").count(),
    ]


def in_memory() -> None:
    scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": DjangoMemoryJobStore()})
    DjangoJob.objects.create(id="in memory", job_state=b"", next_run_time=None)
    ends = Ends(scheduler)
    scheduler.start()
    scheduler.add_job(works, args=[1], id="in memory")
    ends.wait_for("in memory")
    until(lambda: [one[0] for one in executions("in memory")] == ["Executed"])
    told["memory store"] = executions("in memory")
    scheduler.shutdown()


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    ordinary_life()
    second_start()
    in_the_admin()
    management_command()
    in_memory()
    json.dump(told, sys.stdout, indent=1)
