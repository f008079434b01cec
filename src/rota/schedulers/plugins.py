"""Plug-ins by name: the built-in triggers, executors and job stores, and those that others register.

Built-ins are found without entry points, so that frozen programs work; entry points are only read for other names.
"""

from __future__ import annotations

from ..errors import JobTypeError, UnknownAliasError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BUILT_IN: dict[str, dict[str, str]] = {
    "trigger": {
        "and": "rota.triggers.combining:AndTrigger",
        "calendarinterval": "rota.triggers.calendarinterval:CalendarIntervalTrigger",
        "cron": "rota.triggers.cron:CronTrigger",
        "date": "rota.triggers.date:DateTrigger",
        "interval": "rota.triggers.interval:IntervalTrigger",
        "or": "rota.triggers.combining:OrTrigger",
    },
    "executor": {
        "asyncio": "rota.executors.asyncio:AsyncIOExecutor",
        "debug": "rota.executors.debug:DebugExecutor",
        "gevent": "rota.executors.gevent:GeventExecutor",
        "processpool": "rota.executors.processpool:ProcessPoolExecutor",
        "threadpool": "rota.executors.pool:ThreadPoolExecutor",
        "tornado": "rota.executors.tornado:TornadoExecutor",
        "twisted": "rota.executors.twisted:TwistedExecutor",
    },
    "jobstore": {
        "memory": "rota.jobstores.memory:MemoryJobStore",
        "sqlalchemy": "rota.jobstores.sqlalchemy:SQLAlchemyJobStore",
    },
}

_WHAT = {"trigger": "trigger", "executor": "executor", "jobstore": "job store"}
_loaded: dict[tuple[str, str], type] = {}


def plugin_class(kind: str, name: str) -> type:
    """Return the class that goes by a plug-in name.

    :param kind: "trigger", "executor" or "jobstore"
    :param name: a built-in name, or that of an entry point in the group ``rota.triggers``, ``rota.executors`` or ``rota.jobstores``
    :raises UnknownAliasError: (a LookupError) if there is none
    :raises JobTypeError: (a TypeError) if the entry point leads to something else
    """
    found = _loaded.get((kind, name))
    if found is None:
        found = _loaded[kind, name] = _load(kind, name)
    return found


def create_plugin(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    """Make an object of the plug-in class of that name with the given constructor arguments."""
    return plugin_class(kind, name)(**options)


def _load(kind: str, name: str) -> type:
    reference = BUILT_IN[kind].get(name)
    if reference is not None:
        from importlib import import_module

        module, _, attribute = reference.partition(":")
        cls: type = getattr(import_module(module), attribute)
        return cls
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=f"rota.{kind}s")}
    if name not in points:
        from difflib import get_close_matches

        known = sorted({*BUILT_IN[kind], *points})
        near = get_close_matches(str(name), known, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else f"; there are {', '.join(known)}"
        raise UnknownAliasError(f'No {_WHAT[kind]} by the name "{name}" was found{hint}')
    loaded = points[name].load()
    if not (isinstance(loaded, type) and issubclass(loaded, _base_class(kind))):
        raise JobTypeError(
            f'The entry point "{name}" of rota.{kind}s does not lead to a {_WHAT[kind]} class: {loaded!r}'
        )
    return loaded


def _base_class(kind: str) -> type:
    if kind == "trigger":
        from ..triggers.base import BaseTrigger

        return BaseTrigger
    if kind == "executor":
        from ..executors.base import BaseExecutor

        return BaseExecutor
    from ..jobstores.base import BaseJobStore

    return BaseJobStore
