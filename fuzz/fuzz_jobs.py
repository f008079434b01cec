"""Runs thousands of hostile jobs, among middleware, listeners, filters and triggers that are no better, and looks what it costs.

    python fuzz/fuzz_jobs.py --executor threadpool --jobs 10000

Each run has exactly one end, a neighbour with an interval goes on meanwhile, health() says so, and shutdown() returns in its
time; else this ends with an error. Results, errors and arguments are those of rota.testing.contracts.hostile_jobs, middleware and
what is told of failures those of middleware_jobs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from typing import Any

from rota.clock import SECOND, SYSTEM_CLOCK
from rota.engine.completions import Completions
from rota.errors import RotaError
from rota.testing.contracts import hostile_jobs, middleware_jobs
from rota.triggers.base import BaseTrigger

EXECUTORS = ("threadpool", "debug", "processpool", "asyncio", "tornado", "gevent", "twisted")
#: How many jobs are waiting or under way at most.
AHEAD = 400
#: Seconds without any end after which something hangs.
PATIENCE = 60.0

ends: Counter[str] = Counter()
statuses: Counter[str] = Counter()
ticks: list[float] = []


def now() -> float:
    """Return the seconds of a clock that only goes forward."""
    return SYSTEM_CLOCK.monotonic() / SECOND


def tick() -> None:
    """Be the neighbour."""
    ticks.append(now())


class HostileTrigger(BaseTrigger):
    """A trigger that raises or answers with what is no time."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls = 0

    def get_next_fire_time(self, previous: Any, now: Any) -> Any:
        """Answer well once, and then as it was told."""
        self.calls += 1
        if self.calls == 1:
            return now
        if isinstance(self.answer, type) and issubclass(self.answer, BaseException):
            raise self.answer("a trigger")
        return self.answer


ANSWERS = (SystemExit, asyncio.CancelledError, ValueError, "soon", 5, None)


def watch_ends() -> None:
    """Count how often each run comes to the one place where the ends of all executors come together."""
    done = Completions.done

    def counting(self: Any, run: Any) -> None:
        if run.job_id != "neighbour":
            ends[run.id] += 1
            statuses[run.status] += 1
        done(self, run)

    Completions.done = counting  # type: ignore[method-assign]


def hostile_filter(record: logging.LogRecord) -> bool:
    """Raise now and then, and let nothing through."""
    if random.random() < 0.3:
        raise SystemExit("a filter")
    return False


def hostile_listener(event: Any) -> None:
    """Raise now and then."""
    if random.random() < 0.3:
        raise random.choice((SystemExit, asyncio.CancelledError, ValueError))("a listener")


def pick(number: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of add_job() for one hostile job."""
    results, errors = list(hostile_jobs.RESULTS), list(hostile_jobs.ERRORS)
    wrongs = list(middleware_jobs.WRONGS)
    id: Any = f"job-{number}"
    if options.executor == "processpool" and number % 10 == 9:
        return {"func": hostile_jobs.kill_worker, "args": [os.getpid()], "id": id}
    if random.random() < 0.1:
        id = random.choice(
            (f"\ud800 {number}", f"\x00 {number}", hostile_jobs.Text(f"text {number}"), number)
        )
    choices: list[tuple[Any, list[Any]]] = [
        (hostile_jobs.give, [random.choice(results)]),
        (hostile_jobs.give_async, [random.choice(results)]),
        (hostile_jobs.fail, [random.choice(errors)]),
        (hostile_jobs.fail_async, [random.choice(errors)]),
        (hostile_jobs.fail_deep, [random.choice(errors)]),
        (hostile_jobs.give_hostile_coroutine, []),
        (middleware_jobs.asked, [random.choice(wrongs)]),
        (middleware_jobs.asked_async, [random.choice(wrongs)]),
        (middleware_jobs.fail_as_asked, [random.choice(list(middleware_jobs.WRONG_ABOUT_ERRORS))]),
        (middleware_jobs.ask, [number]),
        (middleware_jobs.ask_async, [number]),
    ]
    if options.executor != "twisted":
        choices.append((hostile_jobs.inner_cancellation, []))
    if not options.store:
        choices.append((hostile_jobs.use_up, [hostile_jobs.RESULTS[random.choice(results)]()]))
        choices.append((hostile_jobs.Lie(), []))
    func, args = random.choice(choices)
    job = {
        "func": func,
        "args": args,
        "id": id,
        "name": random.choice(("plain", "x" * 10_000, *(("\ud800",) if random.random() < 0.1 else ()))),
    }
    if random.random() < 0.3:
        job["on_failure"] = random.choice((middleware_jobs.tell_badly, middleware_jobs.tell_badly_async))
    if not options.store and random.random() < 0.05:
        job["trigger"] = HostileTrigger(random.choice(ANSWERS))
    return job


def add_all(scheduler: Any, call: Any, options: argparse.Namespace) -> Counter[str]:
    """Add the jobs, so many at a time, and wait for the ends of all; return how the additions went."""
    added: Counter[str] = Counter()
    for number in range(options.jobs):
        job = pick(number, options)
        has_end = "trigger" not in job
        try:
            call(lambda job=job: scheduler.add_job(**job))
        except RotaError:
            added["refused"] += 1
        else:
            added["with an end" if has_end else "with a hostile trigger"] += 1
        options.pause(0)
        if number % 100 == 99:
            wait_for_ends(added["with an end"] - AHEAD, options)
    wait_for_ends(added["with an end"], options)
    return added


def wait_for_ends(count: int, options: argparse.Namespace) -> None:
    """Wait until so many runs have ended."""
    before, since = -1, now()
    while len(ends) < count:
        if len(ends) != before:
            before, since = len(ends), now()
        elif now() - since > PATIENCE:
            sys.exit(f"no run has ended for {PATIENCE} s: {len(ends)} of {count}; {dict(statuses)}")
        options.pause(0.005)


def run(scheduler: Any, call: Any, options: argparse.Namespace) -> None:
    """Do it all with a scheduler that is started, and print what it cost."""
    from rota.events import EVENT_ALL

    for name in ("rota.scheduler", "rota.executors.default", "rota.executors"):
        logging.getLogger(name).addFilter(hostile_filter)
    scheduler.add_listener(hostile_listener, EVENT_ALL)
    for around in (middleware_jobs.outer, middleware_jobs.hostile, middleware_jobs.capricious):
        scheduler.add_middleware(around)
    scheduler.resources["bot"] = "bot"
    scheduler.resources.in_workers["bot"] = middleware_jobs.make_bot
    call(lambda: scheduler.add_job(tick, "interval", seconds=0.2, id="neighbour", executor="neighbours"))
    began = now()
    added = add_all(scheduler, call, options)
    seconds = now() - began
    health = scheduler.health()
    while health["in_flight"] > 1 and now() - began < seconds + PATIENCE:  # what has ended is being recorded
        options.pause(0.01)
        health = scheduler.health()
    silence = max((later - earlier for earlier, later in pairwise(ticks)), default=0.0)
    began = now()
    call(lambda: scheduler.shutdown(timeout=10))
    while not scheduler._closed.is_set():
        options.pause(0.01)
    stopped = now() - began
    found = {
        "executor": options.executor,
        "jobs": options.jobs,
        "added": dict(added),
        "runs": len(ends),
        "ends": dict(statuses),
        "seconds": round(seconds, 1),
        "neighbour": f"{len(ticks)} runs, longest silence {silence:.2f} s",
        "shutdown": round(stopped, 2),
    }
    sys.stdout.write(f"{json.dumps(found)}\n")
    twice = [id for id, count in ends.items() if count != 1]
    assert not twice, f"{len(twice)} runs did not end exactly once: {twice[:5]}"
    assert health["alive"], health
    assert health["in_flight"] <= 1, health
    assert stopped < 15, "the shutdown took longer than it may"
    # The debug executor carries runs out in the scheduler's own thread.
    assert len(ticks) > (1 if options.executor == "debug" else seconds), (
        "the neighbour did not run as it should"
    )


def main() -> None:
    """Read the options, and do it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", choices=EXECUTORS, default="threadpool")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--store", help="URL of a durable store; by default the memory store")
    options = parser.parse_args()
    options.seed = random.randrange(10**6) if options.seed is None else options.seed
    sys.stdout.write(f"seed {options.seed}\n")
    sys.stdout.flush()
    random.seed(options.seed)
    logging.raiseExceptions = False
    watch_ends()
    options.pause = time.sleep
    {"asyncio": on_asyncio, "tornado": on_asyncio, "gevent": on_gevent, "twisted": on_twisted}.get(
        options.executor, in_threads
    )(options)
    sys.stdout.flush()
    os._exit(0)  # coroutines and threads that do not listen are left behind


def schedule(cls: Any, options: argparse.Namespace, **more: Any) -> Any:
    """Return a scheduler whose neighbour has an executor of its own."""
    executors = {"neighbours": {"type": "threadpool", "max_workers": 1}, **more}
    stores = {"jobstores": {"default": options.store}} if options.store else {}
    return cls(executors=executors, job_defaults={"coalesce": True}, **stores)


def in_threads(options: argparse.Namespace) -> None:
    """Use the background scheduler."""
    from rota.schedulers.background import BackgroundScheduler

    settings = {"type": options.executor, **({"max_workers": 4} if options.executor == "processpool" else {})}
    scheduler = schedule(BackgroundScheduler, options, default=settings)
    scheduler.start()
    run(scheduler, lambda work: work(), options)


def on_asyncio(options: argparse.Namespace) -> None:
    """Use a scheduler on an asyncio loop in another thread."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def call(work: Any) -> Any:
        async def do() -> Any:
            work()

        return asyncio.run_coroutine_threadsafe(do(), loop).result(PATIENCE)

    def start() -> None:
        if options.executor == "tornado":
            from rota.schedulers.tornado import TornadoScheduler as Scheduler
        else:
            from rota.schedulers.asyncio import AsyncIOScheduler as Scheduler  # type: ignore[assignment]
        schedulers.append(schedule(Scheduler, options))
        schedulers[0].start()

    schedulers: list[Any] = []
    call(start)
    run(schedulers[0], call, options)


def on_gevent(options: argparse.Namespace) -> None:
    """Use the scheduler of gevent in this thread."""
    import gevent

    from rota.schedulers.gevent import GeventScheduler

    options.pause = gevent.sleep
    scheduler = schedule(GeventScheduler, options, neighbours={"type": "gevent"})
    scheduler.start()
    run(scheduler, lambda work: work(), options)


def on_twisted(options: argparse.Namespace) -> None:
    """Use the scheduler of Twisted, whose reactor runs in another thread."""
    from twisted.internet import reactor
    from twisted.internet.threads import blockingCallFromThread

    from rota.schedulers.twisted import TwistedScheduler

    threading.Thread(target=reactor.run, args=(False,), daemon=True).start()

    def call(work: Any) -> None:
        def do() -> None:
            work()

        blockingCallFromThread(reactor, do)

    scheduler = schedule(TwistedScheduler, options, neighbours={"type": "twisted"})
    call(scheduler.start)
    run(scheduler, call, options)


if __name__ == "__main__":
    main()
