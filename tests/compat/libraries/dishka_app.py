"""Dependency injection with apscheduler-dishka: functions and coroutines get what they need, one container a run."""

import asyncio
import datetime
import json
import sys
import threading
from collections.abc import AsyncIterable, Iterable
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler_dishka import inject, setup_dishka
from apscheduler_dishka.errors import FailedToInjectDishkaContainerError
from dishka import FromDishka, Provider, Scope, make_async_container, make_container, provide

told: dict[str, Any] = {}
seen: list[Any] = []


class Settings:
    name = "settings"


class Connection:
    count = 0

    def __init__(self):
        Connection.count += 1
        self.number = Connection.count
        self.open = True


class Provides(Provider):
    @provide(scope=Scope.APP)
    def settings(self) -> Settings:
        return Settings()

    @provide(scope=Scope.REQUEST)
    def connection(self) -> Iterable[Connection]:
        connection = Connection()
        yield connection
        connection.open = False
        seen.append(["closed", connection.number])


class ProvidesAsync(Provider):
    @provide(scope=Scope.APP)
    def settings(self) -> Settings:
        return Settings()

    @provide(scope=Scope.REQUEST)
    async def connection(self) -> AsyncIterable[Connection]:
        connection = Connection()
        yield connection
        connection.open = False
        seen.append(["closed", connection.number])


def works(what, settings: FromDishka[Settings], connection: FromDishka[Connection]):
    seen.append([what, settings.name, connection.number, connection.open])
    return what


async def works_async(what, settings: FromDishka[Settings], connection: FromDishka[Connection]):
    seen.append([what, settings.name, connection.number, connection.open])
    return what


def fails(connection: FromDishka[Connection]):
    raise ValueError(f"on purpose, {connection.open}")


class Ends:
    """Waits for the ends of runs."""

    def __init__(self, scheduler):
        self.seen: list[Any] = []
        self._changed = threading.Condition()
        scheduler.add_listener(self._take, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)

    def _take(self, event):
        with self._changed:
            self.seen.append([event.job_id, event.code, event.retval, str(event.exception)])
            self._changed.notify_all()

    def has(self, *ids):
        return {one[0] for one in self.seen} >= set(ids)

    def wait_for(self, *ids):
        with self._changed:
            assert self._changed.wait_for(lambda: self.has(*ids), 20), self.seen

    async def wait_on_the_loop_for(self, *ids):
        for _ in range(400):
            if self.has(*ids):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(self.seen)


def in_threads() -> None:
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})
    container = make_container(Provides())
    setup_dishka(container, scheduler, auto_inject=True)
    ends = Ends(scheduler)
    scheduler.add_job(works, args=["before start"], id="1")
    scheduler.start()
    ends.wait_for("1")
    scheduler.add_job(works, "date", run_date=datetime.datetime.now(datetime.UTC), args=["by a date"], id="2")
    ends.wait_for("2")
    scheduler.add_job(inject(works), kwargs={"what": "decorated"}, id="3")
    ends.wait_for("3")
    scheduler.add_job(fails, id="4")
    ends.wait_for("4")

    @scheduler.scheduled_job("interval", seconds=0.1, id="5", args=["repeated"])
    def repeated(what, settings: FromDishka[Settings]):
        seen.append([what, settings.name])

    ends.wait_for("5")
    scheduler.pause_job("5")
    scheduler.shutdown()
    container.close()
    told["threads"] = [one for one in seen if one[0] != "repeated"]
    told["repeated"] = ["repeated", "settings"] in seen
    told["ends in threads"] = sorted(one for one in ends.seen if one[0] != "5")
    told["job as it was added"] = [repeated.__name__, sorted(scheduler_names(scheduler))]


def scheduler_names(scheduler) -> list[str]:
    return [job.name for job in scheduler.get_jobs()]


async def on_a_loop() -> None:
    seen.clear()
    scheduler = AsyncIOScheduler()
    container = make_async_container(ProvidesAsync())
    scheduler.start()
    setup_dishka(container, scheduler, auto_inject=True)
    ends = Ends(scheduler)
    for id in ("1", "2"):
        scheduler.add_job(works_async, args=[f"on the loop {id}"], id=id)
        await ends.wait_on_the_loop_for(id)
    scheduler.add_job(works_async, "interval", seconds=0.1, args=["repeated"], id="3", max_instances=1)
    await ends.wait_on_the_loop_for("3")
    scheduler.remove_job("3")
    scheduler.shutdown()
    await asyncio.sleep(0.05)
    await container.close()
    told["loop"] = [one for one in seen if one[0] in ("on the loop 1", "on the loop 2")]
    told["closed"] = seen.count(["closed", 1]) + seen.count(["closed", Connection.count]) >= 1
    told["ends on the loop"] = sorted(one for one in ends.seen if one[0] != "3")


def what_does_not_fit() -> None:
    scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})
    try:
        setup_dishka(make_async_container(ProvidesAsync()), scheduler)
    except FailedToInjectDishkaContainerError as error:
        told["an asynchronous container in threads"] = type(error).__name__


if __name__ == "__main__":
    in_threads()
    asyncio.run(on_a_loop())
    what_does_not_fit()
    json.dump(told, sys.stdout, indent=1)
