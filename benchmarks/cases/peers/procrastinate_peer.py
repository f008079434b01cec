"""procrastinate: a worker with ten concurrent coroutines takes jobs from PostgreSQL that were deferred before."""

from __future__ import annotations

import asyncio
from typing import Any

from procrastinate import App, PsycopgConnector

from .. import common
from ..bursts import rate
from ..common import Watch, async_work, everything
from ..stores import postgresql


def burst(package: str, server: str, jobs: int) -> dict[str, Any]:
    with postgresql() as url:
        return asyncio.run(_burst(App(connector=PsycopgConnector(conninfo=url)), jobs))


async def _burst(app: App, jobs: int) -> dict[str, Any]:
    common.expect(jobs)
    task = app.task(name="work")(async_work)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await task.batch_defer_async(*({"index": index} for index in range(jobs)))
        watch = Watch()
        # Without waiting it ends when no job is left, each with its status written.
        await app.run_worker_async(concurrency=10, wait=False, install_signal_handlers=False)
        seconds, cpu = watch.seconds(), watch.cpu()
    return rate(seconds, cpu, jobs if everything.is_set() else -1)
