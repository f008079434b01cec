"""A bot of NoneBot with nonebot-plugin-apscheduler: the plug-in starts and stops the scheduler, and its log goes to NoneBot's."""

import asyncio
import datetime
import json
import logging
import sys
from typing import Any

import nonebot
from nonebot.log import logger

told: dict[str, Any] = {}
lines: list[str] = []
logger.remove()
logger.add(
    lambda message: lines.append(f"{message.record['level'].name} {message.record['message']}"), level=0
)

nonebot.init(
    driver="~none",
    apscheduler_config={
        "apscheduler.timezone": "Asia/Shanghai",
        "apscheduler.job_defaults.misfire_grace_time": "120",
        "apscheduler.job_defaults.coalesce": "true",
        "apscheduler.job_defaults.max_instances": "2",
    },
    apscheduler_log_level=logging.INFO,
)
told["plug-in"] = nonebot.load_plugin("nonebot_plugin_apscheduler").name
scheduler = nonebot.require("nonebot_plugin_apscheduler").scheduler

ran: list[Any] = []


@scheduler.scheduled_job("cron", hour="*/2", id="even", kwargs={"arg": "x"})
async def every_two_hours(arg):
    """Not called here."""


@scheduler.scheduled_job("interval", seconds=0.1, id="often")
async def often():
    ran.append("often")


@scheduler.scheduled_job("date", id="bad", misfire_grace_time=None)
async def fails():
    raise ValueError("on purpose")


async def until(what) -> None:
    for _ in range(400):
        if what():
            return
        await asyncio.sleep(0.05)
    raise AssertionError((ran, lines))


driver = nonebot.get_driver()


@driver.on_startup
async def life() -> None:
    told["running"] = scheduler.running
    told["zone"] = str(scheduler.timezone)
    told["jobs"] = sorted(
        [job.id, job.name, str(job.trigger)] for job in scheduler.get_jobs() if job.id != "bad"
    )
    even = scheduler.get_job("even")
    told["defaults"] = [even.misfire_grace_time, even.coalesce, even.max_instances, even.kwargs]
    told["next"] = [even.next_run_time.utcoffset().total_seconds() / 3600, even.next_run_time.hour % 2]
    await until(lambda: ran.count("often") >= 2)
    scheduler.remove_job("often")
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.1)
    scheduler.add_job(ran.append, "date", run_date=when, args=["soon"], id="soon")
    await until(lambda: "soon" in ran)
    await until(lambda: any("raised an exception" in line for line in lines))


async def main() -> None:
    await driver._lifespan.startup()
    await driver._lifespan.shutdown()
    told["after"] = scheduler.running


asyncio.run(main())
told["log of the plug-in"] = [line for line in lines if line.startswith("INFO Scheduler S")]
told["log of the failure"] = [line.partition(" (")[0] for line in lines if "raised an exception" in line]
told["log of the start"] = sum("Added job" in line or "Scheduler started" in line for line in lines) > 0
json.dump(told, sys.stdout, indent=1)
