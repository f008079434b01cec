"""A bot of python-telegram-bot with a job queue: jobs of each kind, stopped, restarted with stored jobs; no network."""

import asyncio
import datetime
import json
import sys
from typing import Any

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from telegram.ext import Application, CallbackContext, ContextTypes, Job, JobQueue
from telegram.request import BaseRequest

UTC = datetime.UTC
told: dict[str, Any] = {}


class Offline(BaseRequest):
    """Answers as Telegram's server does."""

    read_timeout = 1.0

    async def initialize(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def do_request(self, url, method, request_data=None, **timeouts):
        result = {"id": 1, "is_bot": True, "first_name": "bot", "username": "bot"}
        return 200, json.dumps({"ok": True, "result": result}).encode()


class BotStore(SQLAlchemyJobStore):
    """Keeps a bot's jobs: what cannot be stored of one (the queue, the bot) is left out, and put back when it is read."""

    def __init__(self, application, **options):
        self.application = application
        super().__init__(**options)

    def add_job(self, job):
        super().add_job(self._without_the_bot(job))

    def update_job(self, job):
        super().update_job(self._without_the_bot(job))

    def _without_the_bot(self, job):
        kept = job.__getstate__()
        bot_job = job.args[1]
        kept["args"] = (None, None)
        kept["kwargs"] = {
            "_kept": [bot_job.name, bot_job.data, bot_job.chat_id, bot_job.user_id, bot_job.callback.__name__]
        }
        copy = job.__class__.__new__(job.__class__)
        copy.__setstate__(kept)
        return copy

    def _reconstitute_job(self, job_state):
        job = super()._reconstitute_job(job_state)
        name, data, chat_id, user_id, callback = job.kwargs["_kept"]
        bot_job = Job(globals()[callback], data=data, name=name, chat_id=chat_id, user_id=user_id)
        bot_job._job = job
        job._modify(args=(self.application.job_queue, bot_job), kwargs={})
        return job


seen: list[Any] = []
changed = asyncio.Condition()


async def see(*what):
    seen.append(what)
    async with changed:
        changed.notify_all()


async def until(count, *what):
    """Wait until something has been seen that often."""
    async with changed:
        await asyncio.wait_for(
            changed.wait_for(lambda: sum(one[: len(what)] == what for one in seen) >= count), 20
        )


async def remember(context: CallbackContext) -> None:
    job = context.job
    await see("ran", job.name, job.data, job.chat_id, job.user_id)


async def fails(context: CallbackContext) -> None:
    raise ValueError("on purpose")


async def is_told(update: object, context: ContextTypes.DEFAULT_TYPE) -> None:
    await see("error", str(context.error), context.job.name)


async def takes_long(context: CallbackContext) -> None:
    await see("began")
    await asyncio.sleep(0.3)
    await see("finished")


def new_application() -> Application:
    return Application.builder().token("1:x").request(Offline()).get_updates_request(Offline()).build()


def shown(job: Job) -> dict[str, Any]:
    return {
        "name": job.name,
        "data": job.data,
        "trigger": str(job.trigger),
        "next": job.next_t and job.next_t.isoformat(),
        "repr": repr(job).replace(job.id, "ID"),
    }


async def jobs_of_each_kind() -> None:
    application = new_application()
    application.add_error_handler(is_told)
    queue = application.job_queue
    assert type(queue) is JobQueue and isinstance(queue.scheduler, AsyncIOScheduler)
    early = queue.run_once(remember, 0, name="before start", data=1)
    await application.initialize()
    await application.start()
    told["running"] = queue.scheduler.running
    await until(1, "ran", "before start")
    told["early is gone"] = queue.get_jobs_by_name("before start") == () and early.name

    once = queue.run_once(remember, 0.05, name="once", data={"a": [1, 2]}, chat_id=5, user_id=7)
    await until(1, "ran", "once")
    told["once"] = [one for one in seen if one[:2] == ("ran", "once")]
    told["once is a job"] = isinstance(once, Job)

    repeating = queue.run_repeating(remember, 0.1, first=0, name="repeating")
    await until(3, "ran", "repeating")
    repeating.enabled = False
    told["paused"] = [repeating.enabled, repeating.next_t]
    repeating.enabled = True
    await until(4, "ran", "repeating")
    repeating.schedule_removal()
    told["removed"] = [repeating.removed, queue.get_jobs_by_name("repeating")]

    until_then = datetime.timedelta(seconds=0.25)
    queue.run_repeating(remember, datetime.timedelta(seconds=0.1), first=0.05, last=until_then, name="ends")
    await until(2, "ran", "ends")

    nine = datetime.time(9, 30, tzinfo=UTC)
    daily = queue.run_daily(remember, nine, days=(1, 3, 5), name="daily", data="d")
    monthly = queue.run_monthly(remember, nine, day=-1, name="monthly")
    first = datetime.datetime(2099, 3, 1, 12, tzinfo=UTC)
    custom = queue.run_custom(
        remember, {"trigger": "interval", "days": 1, "start_date": first}, name="custom"
    )
    berlin = CronTrigger(year=2099, month=7, day=14, hour=8, timezone="Europe/Berlin")
    crontab = queue.run_custom(
        remember, {"trigger": berlin, "id": "mine", "misfire_grace_time": None}, name="cron"
    )
    soon = queue.run_custom(remember, {"trigger": "date"}, name="soon")
    await until(1, "ran", "soon")
    told["daily"] = [
        str(daily.trigger),
        daily.next_t.strftime("%H:%M %Z"),
        daily.next_t.strftime("%w") in "135",
    ]
    told["monthly"] = [
        str(monthly.trigger),
        monthly.next_t.strftime("%H:%M"),
        (monthly.next_t + datetime.timedelta(1)).day,
    ]
    told["custom"] = shown(custom)
    told["crontab"] = shown(crontab)
    told["ids"] = [crontab.id, soon == custom, crontab == queue.get_jobs_by_name("cron")[0]]
    told["names"] = [job.name for job in queue.jobs(r"^(daily|custom|cron)$")]
    crontab.job.modify(name="renamed")
    told["modified"] = queue.scheduler.get_job("mine").name

    queue.run_once(fails, 0, name="failing")
    await until(1, "error")
    told["error"] = [one for one in seen if one[0] == "error"]

    await custom.run(application)
    await until(1, "ran", "custom")

    queue.run_once(takes_long, 0)
    await until(1, "began")
    await application.stop()
    told["stop waits"] = ("finished",) in seen
    told["stopped"] = queue.scheduler.running
    await application.shutdown()


async def stored_jobs() -> None:
    seen.clear()
    for start in ("first", "second"):
        application = new_application()
        queue = application.job_queue
        queue.scheduler.add_jobstore(BotStore(application, url="sqlite:///jobs.sqlite"))
        await application.initialize()
        await application.start()
        if start == "first":
            when = datetime.datetime(2099, 1, 1, tzinfo=UTC)
            queue.run_once(remember, when, name="far", data={"x": 1}, chat_id=11)
            queue.run_repeating(
                remember, 3600, name="hourly", data=[1], user_id=3, job_kwargs={"id": "hourly"}
            )
        told[f"stored, {start} start"] = sorted(
            (job.name, job.data, job.chat_id, job.user_id) for job in queue.jobs()
        )
        if start == "second":
            queue.get_jobs_by_name("far")[0].schedule_removal()
            (hourly,) = queue.get_jobs_by_name("hourly")
            hourly.job.modify(next_run_time=datetime.datetime.now(UTC))
            await until(1, "ran", "hourly", [1], None, 3)
            told["left"] = [job.name for job in queue.jobs()]
            told["planned anew"] = queue.get_jobs_by_name("hourly")[0].next_t > datetime.datetime.now(UTC)
        await application.stop()
        await application.shutdown()


async def main() -> None:
    await jobs_of_each_kind()
    await stored_jobs()


asyncio.run(main())
json.dump(told, sys.stdout, indent=1, default=str)
