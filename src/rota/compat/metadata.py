"""What importlib.metadata answers under the alias when it is asked for APScheduler's distribution: version, entry points.

Installs nothing: pip, which runs in a process of its own, sees what is installed.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, MetadataPathFinder

from .inner_names import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import DistributionFinder
    from pathlib import Path

_METADATA = f"""Metadata-Version: 2.1
Name: APScheduler
Version: {VERSION}
Summary: Rota, under APScheduler's name (rota.as_apscheduler)
"""
_TEXTS = {
    "METADATA": _METADATA,
    "top_level.txt": "apscheduler\n",
    "entry_points.txt": """[apscheduler.triggers]
and = apscheduler.triggers.combining:AndTrigger
calendarinterval = apscheduler.triggers.calendarinterval:CalendarIntervalTrigger
cron = apscheduler.triggers.cron:CronTrigger
date = apscheduler.triggers.date:DateTrigger
interval = apscheduler.triggers.interval:IntervalTrigger
or = apscheduler.triggers.combining:OrTrigger

[apscheduler.executors]
asyncio = apscheduler.executors.asyncio:AsyncIOExecutor
debug = apscheduler.executors.debug:DebugExecutor
gevent = apscheduler.executors.gevent:GeventExecutor
processpool = apscheduler.executors.pool:ProcessPoolExecutor
threadpool = apscheduler.executors.pool:ThreadPoolExecutor
tornado = apscheduler.executors.tornado:TornadoExecutor
twisted = apscheduler.executors.twisted:TwistedExecutor

[apscheduler.jobstores]
etcd = apscheduler.jobstores.etcd:EtcdJobStore
memory = apscheduler.jobstores.memory:MemoryJobStore
mongodb = apscheduler.jobstores.mongodb:MongoDBJobStore
redis = apscheduler.jobstores.redis:RedisJobStore
sqlalchemy = apscheduler.jobstores.sqlalchemy:SQLAlchemyJobStore
zookeeper = apscheduler.jobstores.zookeeper:ZooKeeperJobStore
""",
}


class _Named(Distribution):
    """APScheduler's distribution, as far as those who check versions and look for plug-ins read it."""

    def read_text(self, filename: str) -> str | None:
        return _TEXTS.get(filename)

    def locate_file(self, path: object) -> Path:
        from pathlib import Path  # import time

        return Path(__file__).parents[2] / str(path)


def find(context: DistributionFinder.Context) -> Iterator[Distribution]:
    """Return APScheduler's distribution: if it is asked for by name, or if all are and none of that name is installed."""
    if context.name is None:
        wanted = type(context)(name="apscheduler", path=context.path)
        if next(iter(MetadataPathFinder.find_distributions(wanted)), None) is not None:
            return
    elif re.sub(r"[-_.]+", "-", context.name).lower() != "apscheduler":
        return
    yield _Named()
