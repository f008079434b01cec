"""A web application with Flask-APScheduler: configured and decorated jobs, its REST interface, a password, stored jobs."""

import base64
import datetime
import json
import sys
import threading
from typing import Any

from apscheduler.events import EVENT_JOB_ADDED, EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers import SchedulerAlreadyRunningError, SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from flask_apscheduler import STATE_RUNNING, STATE_STOPPED, APScheduler
from flask_apscheduler.auth import HTTPBasicAuth

told: dict[str, Any] = {}
ran: list[Any] = []
changed = threading.Condition()
START = "2099-01-01T00:00:00+00:00"


def job(*args, **kwargs):
    with changed:
        ran.append([*args, *sorted(kwargs.items())])
        changed.notify_all()


def fails():
    raise ValueError("on purpose")


def until(what):
    with changed:
        assert changed.wait_for(what, 20), ran


def configuration(**others: Any) -> dict[str, Any]:
    """Return a configuration of its own each time: the extension takes dictionaries apart."""
    jobs = [
        {"id": "configured", "func": "__main__:job", "args": (1, 2), "trigger": "interval", "seconds": 3600},
        {
            "id": "daily",
            "func": f"{__name__}:job",
            "kwargs": {"who": "cron"},
            "trigger": {"type": "cron", "day_of_week": "mon-fri", "hour": 6, "start_date": START},
        },
    ]
    return {
        "SCHEDULER_JOBS": [{**one, "replace_existing": True} for one in jobs],
        "SCHEDULER_JOBSTORES": {
            "default": SQLAlchemyJobStore(url="sqlite:///flask.sqlite"),
            "memory": {"type": "memory"},
        },
        "SCHEDULER_EXECUTORS": {"default": {"type": "threadpool", "max_workers": 4}},
        "SCHEDULER_JOB_DEFAULTS": {"coalesce": False, "max_instances": 3, "misfire_grace_time": 60},
        "SCHEDULER_TIMEZONE": "Europe/Berlin",
        "SCHEDULER_API_ENABLED": True,
        **others,
    }


def without_times(job: Any) -> Any:
    """A job as the interface shows it, without what depends on when this runs."""
    if isinstance(job, list):
        return sorted((without_times(one) for one in job), key=lambda one: one["id"])
    return {
        key: value
        for key, value in job.items()
        if key != "next_run_time" and (key != "start_date" or value.startswith("2099"))
    }


def told_by(response) -> list[Any]:
    text = response.get_data(as_text=True)
    if response.is_json:
        data = json.loads(text)
        text = without_times(data) if isinstance(data, list) or "id" in data else data
        if isinstance(text, dict):
            text.pop("current_host", None)
    return [response.status_code, text]


def application(**others: Any) -> tuple[Flask, APScheduler]:
    app = Flask(__name__)
    app.config.from_mapping(configuration(**others))
    scheduler = APScheduler()
    scheduler.init_app(app)
    return app, scheduler


def ordinary_life() -> None:
    app, scheduler = application()
    events: list[Any] = []
    scheduler.add_listener(
        lambda event: events.append([event.code, event.job_id]), EVENT_JOB_ADDED | EVENT_JOB_REMOVED
    )

    @scheduler.task("interval", id="decorated", seconds=3600, misfire_grace_time=900, jobstore="memory")
    def decorated():
        """Not called here."""

    @scheduler.task("cron", id="in memory", week="*", day_of_week="sun", jobstore="memory")
    def weekly():
        """Not called here."""

    told["decorator returns"] = decorated.__name__
    told["type"] = isinstance(scheduler.scheduler, BackgroundScheduler) and scheduler.state == STATE_STOPPED
    scheduler.start()
    told["state"] = [scheduler.running, scheduler.state == STATE_RUNNING]
    told["added"] = sorted(events)
    try:
        scheduler.start()
    except SchedulerAlreadyRunningError as error:
        told["twice"] = type(error).__name__
    for id in ("configured", "daily"):
        one = scheduler.get_job(id)
        told[f"job {id}"] = [
            one.id, one.name, one.func_ref, list(one.args), one.kwargs, one.coalesce, one.max_instances,
            one.misfire_grace_time, str(one.trigger).split(",")[0],
        ]  # fmt: skip
    told["zone"] = str(scheduler.get_job("daily").trigger.timezone)
    told["own grace"] = scheduler.get_job("decorated").misfire_grace_time

    client = app.test_client()
    told["info"] = told_by(client.get("/scheduler"))
    told["list"] = told_by(client.get("/scheduler/jobs"))
    told["one"] = told_by(client.get("/scheduler/jobs/daily"))
    told["missing"] = told_by(client.get("/scheduler/jobs/nobody"))

    new = {
        "id": "posted",
        "func": "__main__:job",
        "trigger": "date",
        "run_date": "2099-05-01T08:00:00+02:00",
        "args": ["p"],
    }
    told["posted"] = told_by(client.post("/scheduler/jobs", data=json.dumps(new)))
    told["posted again"] = told_by(client.post("/scheduler/jobs", data=json.dumps(new)))[0]
    broken = {"id": "broken", "func": "nowhere:nothing", "trigger": "date"}
    told["broken"] = told_by(client.post("/scheduler/jobs", data=json.dumps(broken)))[0]
    changes = {"trigger": "interval", "minutes": 30, "start_date": START, "name": "other name", "args": ["q"]}
    told["patched"] = told_by(client.patch("/scheduler/jobs/posted", data=json.dumps(changes)))
    told["patched nobody"] = told_by(client.patch("/scheduler/jobs/nobody", data=json.dumps(changes)))[0]
    told["paused"] = told_by(client.post("/scheduler/jobs/posted/pause"))
    told["next of paused"] = scheduler.get_job("posted").next_run_time
    told["resumed"] = told_by(client.post("/scheduler/jobs/posted/resume"))
    told["next of resumed"] = scheduler.get_job("posted").next_run_time.isoformat()
    told["run"] = told_by(client.post("/scheduler/jobs/posted/run"))
    told["run nobody"] = told_by(client.post("/scheduler/jobs/nobody/run"))[0]
    told["deleted"] = told_by(client.delete("/scheduler/jobs/posted"))
    told["deleted again"] = told_by(client.delete("/scheduler/jobs/posted"))
    told["pause all"] = told_by(client.post("/scheduler/pause"))
    told["resume all"] = told_by(client.post("/scheduler/resume"))
    told["ran by request"] = list(ran)

    ended: list[Any] = []
    done = threading.Event()

    def on_end(event):
        ended.append(
            [event.job_id, event.code, str(event.exception), event.scheduled_run_time.tzinfo is not None]
        )
        if len(ended) == 2:
            done.set()

    scheduler.add_listener(on_end, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    now = datetime.datetime.now(datetime.UTC)
    scheduler.add_job("soon", job, trigger="date", run_date=now, args=("soon",), misfire_grace_time=None)
    scheduler.add_job("bad", fails, trigger="date", run_date=now, jobstore="memory", misfire_grace_time=None)
    until(lambda: ["soon"] in ran)
    assert done.wait(20)
    told["ended"] = sorted(ended)
    told["gone"] = [scheduler.get_job("soon"), scheduler.get_job("bad")]
    scheduler.modify_job("configured", trigger="cron", minute="*/7")
    told["modified"] = str(scheduler.get_job("configured").trigger)
    try:
        scheduler.remove_job("nobody")
    except JobLookupError as error:
        told["lookup error"] = isinstance(error, KeyError)
    try:
        scheduler.add_job("daily", job, trigger="interval", hours=1)
    except ConflictingIdError as error:
        told["conflict"] = isinstance(error, KeyError)
    told["shut down"] = told_by(client.post("/scheduler/shutdown"))
    told["state after"] = scheduler.running
    try:
        scheduler.shutdown()
    except SchedulerNotRunningError as error:
        told["shut down twice"] = type(error).__name__


def second_start() -> None:
    """The stored jobs are there again; the configuration adds no job twice."""

    _, scheduler = application()
    scheduler.start(paused=True)
    told["second start"] = sorted([one.id, str(one.trigger).split(",")[0]] for one in scheduler.get_jobs())
    scheduler.remove_all_jobs()
    told["removed all"] = scheduler.get_jobs()
    scheduler.shutdown(wait=False)


def with_a_password() -> None:
    app, scheduler = application(
        SCHEDULER_AUTH=HTTPBasicAuth(),
        SCHEDULER_API_PREFIX="/admin/jobs",
        SCHEDULER_JOBSTORES={"default": {"type": "memory"}},
        SCHEDULER_ALLOWED_HOSTS=["some-other-host"],
        SCHEDULER_JOB_DEFAULTS={},
    )

    @scheduler.authenticate
    def authenticate(auth):
        return auth["username"] == "guest" and auth["password"] == "guest"

    scheduler.start()
    told["not an allowed host"] = scheduler.running
    scheduler.scheduler.start(paused=True)
    daily = scheduler.get_job("daily")
    told["defaults"] = {
        "grace": daily.misfire_grace_time,
        "coalesce": daily.coalesce,
        "instances": daily.max_instances,
    }
    client = app.test_client()
    told["no password"] = client.get("/admin/jobs").status_code
    for password in ("wrong", "guest"):
        header = "Basic " + base64.b64encode(f"guest:{password}".encode()).decode()
        response = client.get("/admin/jobs/jobs", headers={"Authorization": header})
        told[f"password {password}"] = [response.status_code, len(response.get_data(as_text=True)) > 100]
    scheduler.shutdown()


if __name__ == "__main__":
    ordinary_life()
    second_start()
    with_a_password()
    json.dump(told, sys.stdout, indent=1)
