"""Plug-ins by name: the built-in triggers, executors and job stores, and those that others register.

Built-ins are found without entry points, so that frozen programs work; entry points are only read for other names.
"""

from __future__ import annotations

from ..errors import (
    ConfigurationError,
    JobTypeError,
    OptionTypeError,
    TriggerTypeError,
    UnknownAliasError,
    UnknownOptionError,
)
from ..triggers import NAMED_TRIGGERS
from ..util import maybe_ref, nearest
from .names import check_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import EntryPoint
    from typing import Any

BUILT_IN: dict[str, dict[str, str]] = {
    # A crontab string makes a cron trigger, and is stored as one.
    "trigger": {**NAMED_TRIGGERS, "crontab": "rota.triggers.crontab:CrontabTrigger"},
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
        "etcd": "rota.jobstores.etcd:EtcdJobStore",
        "memory": "rota.jobstores.memory:MemoryJobStore",
        "mongodb": "rota.jobstores.mongodb:MongoDBJobStore",
        "redis": "rota.jobstores.redis:RedisJobStore",
        "sqlalchemy": "rota.jobstores.sqlalchemy:SQLAlchemyJobStore",
        "zookeeper": "rota.jobstores.zookeeper:ZooKeeperJobStore",
    },
}

#: Job stores by the scheme of their URL (what comes before ``+`` or ``://``); other schemes are looked for among the names.
URL_SCHEMES = {
    "etcds": "etcd",
    "mariadb": "sqlalchemy",
    "mssql": "sqlalchemy",
    "mysql": "sqlalchemy",
    "oracle": "sqlalchemy",
    "postgres": "sqlalchemy",
    "postgresql": "sqlalchemy",
    "rediss": "redis",
    "sqlite": "sqlalchemy",
    "zk": "zookeeper",
}

#: What a configuration may say of a store or an executor.
_EXAMPLES = {
    "jobstore": "a URL, or a dictionary such as {'type': 'sqlalchemy', 'url': 'sqlite:///jobs.sqlite'}",
    "executor": "a dictionary such as {'type': 'threadpool', 'max_workers': 20}",
}
_WHAT = {"trigger": "trigger", "executor": "executor", "jobstore": "job store"}
_loaded: dict[tuple[str, str], type] = {}


class PluginClasses(dict[str, type]):
    """The classes of one kind that a program has registered by their names: ``_trigger_classes`` and its like."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def __setitem__(self, name: str, cls: type) -> None:
        super().__setitem__(name, cls)
        _loaded[self._kind, name] = cls

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        _loaded.pop((self._kind, name), None)

    def update(self, *args: Any, **classes: type) -> None:
        """Register several classes."""
        for name, cls in dict(*args, **classes).items():
            self[name] = cls

    def pop(self, name: str, *default: Any) -> Any:
        """Remove a class."""
        _loaded.pop((self._kind, name), None)
        return super().pop(name, *default)


def plugin_class(kind: str, name: str) -> type:
    """Return the class that goes by a plug-in name.

    :param kind: "trigger", "executor" or "jobstore"
    :param name: a built-in name, or that of an entry point in the group ``rota.triggers``, ``rota.executors``, ``rota.jobstores``
        or, if it was written for APScheduler, in that of its name
    :raises UnknownAliasError: (a LookupError) if there is none
    :raises JobTypeError: (a TypeError) if the entry point leads to something else
    """
    found = _loaded.get((kind, name))
    if found is None:
        found = _loaded[kind, name] = _load(kind, name)
    return found


def create_plugin(kind: str, name: str, options: Mapping[str, Any], others: Iterable[str] = ()) -> Any:
    """Make an object of the plug-in class of that name with the given constructor arguments.

    :param name: its name; or the URL of a job store, which is passed to the class of its scheme as ``url``
    :param others: names of arguments of add_job() that could have been meant instead, for the suggestion
    :raises UnknownOptionError: (a TypeError) for an argument that the constructor does not have
    """
    if kind == "jobstore" and "://" in name:
        options = {**options, "url": name}
        scheme = name.partition("://")[0].partition("+")[0].lower()
        name = URL_SCHEMES.get(scheme, scheme)
        try:
            plugin_class(kind, name)
        except UnknownAliasError:
            from ..masking import masked  # rare

            known = sorted({*URL_SCHEMES, *BUILT_IN[kind]} - {"memory", "sqlalchemy"})
            near = nearest(scheme, known)
            hint = f'did you mean "{near}://…"?' if near else f"there are {', '.join(known)}"
            raise UnknownAliasError(
                f'No job store for URLs like "{masked(scheme)}://…" was found; {hint}'
            ) from None
    cls = _loaded.get((kind, name)) or plugin_class(kind, name)
    try:
        return cls(**options)
    except TypeError:
        what = f'The {_WHAT[kind]} "{name}"'
        if (kind, name) == ("trigger", "cron") and "expr" in options:
            raise UnknownOptionError(f"{what} has no option 'expr'; write \"crontab\", expr=…") from None
        _refuse_unknown(cls, what, options, others)
        _require_all(cls, what, options, TriggerTypeError if kind == "trigger" else OptionTypeError)
        raise


def plugin_from_config(kind: str, alias: str, value: Any) -> Any:
    """Make a store or an executor of what the configuration says under an alias: an object, a URL, or a dictionary.

    :param kind: "executor" or "jobstore"
    :raises ConfigurationError, JobTypeError: if it says nothing of that kind
    """
    from ..executors.base import BaseExecutor  # import time
    from ..jobstores.base import BaseJobStore  # import time

    if isinstance(value, (BaseExecutor, BaseJobStore)):
        return value
    if kind == "jobstore" and isinstance(value, str) and "://" in value:
        return create_plugin(kind, value, {})
    what = f"{kind}s[{alias!r}]"
    if not hasattr(value, "items"):
        raise JobTypeError(
            f"Expected {kind} instance or dict for {what}, got {type(value).__name__} instead; write {_EXAMPLES[kind]}"
        )
    options = dict(value)
    name, cls = options.pop("type", None), options.pop("class", None)
    if name:
        return create_plugin(kind, name, options)
    if cls:
        return maybe_ref(cls)(**options)
    if kind == "jobstore" and isinstance(options.get("url"), str):
        return create_plugin(kind, options.pop("url"), options)
    raise ConfigurationError(
        f'Cannot create {what} -- either "type" or "class" must be defined; write {_EXAMPLES[kind]}'
    )


def _refuse_unknown(cls: type, what: str, options: Iterable[str], others: Iterable[str]) -> None:
    """Raise a better error if one of the options is not a parameter of the class."""
    from inspect import Parameter, signature  # import time

    parameters = signature(cls).parameters.values()
    if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        known = [parameter.name for parameter in parameters if parameter.name != "now"]
        check_names((option for option in options if option != "now"), known, what, others)


def _require_all(cls: type, what: str, options: Iterable[str], error: type[Exception]) -> None:
    """Raise a better error if a parameter without a default is not among the options."""
    from inspect import Parameter, signature  # import time

    missing = [
        name
        for name, parameter in signature(cls).parameters.items()
        if parameter.default is Parameter.empty
        and parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        and name not in options
    ]
    if missing:
        raise error(f"{what} needs {', '.join(missing)}")


def _load(kind: str, name: str) -> type:
    reference = BUILT_IN[kind].get(name)
    if reference is not None:
        from importlib import import_module  # import time

        module, _, attribute = reference.partition(":")
        cls: type = getattr(import_module(module), attribute)
        return cls
    from importlib.metadata import entry_points  # import time

    points = {point.name: point for point in _written_for_apscheduler(kind)}
    points.update((point.name, point) for point in entry_points(group=f"rota.{kind}s"))
    if name not in points:
        from ..masking import masked  # rare

        known = sorted({*BUILT_IN[kind], *points})
        near = nearest(name, known)
        hint = f'did you mean "{near}"?' if near else f"there are {', '.join(known)}"
        if kind == "trigger":
            from ..job.remedies import instead_of_trigger_name  # rare

            hint = instead_of_trigger_name(name) or hint
        raise UnknownAliasError(f'No {_WHAT[kind]} by the name "{masked(name)}" was found; {hint}')
    loaded = points[name].load()
    if not (isinstance(loaded, type) and issubclass(loaded, _base_class(kind))):
        group = points[name].group
        hint = "; import rota.as_apscheduler first" if group.startswith("apscheduler") else ""
        raise JobTypeError(
            f'The entry point "{name}" of {group} does not lead to a {_WHAT[kind]} class: {loaded!r}{hint}'
        )
    return loaded


def _written_for_apscheduler(kind: str) -> list[EntryPoint]:
    """Return the entry points that packages register for APScheduler, without its own."""
    from importlib.metadata import entry_points  # import time

    found = entry_points(group=f"apscheduler.{kind}s")
    return [point for point in found if point.value.partition(".")[0] != "apscheduler"]


def _base_class(kind: str) -> type:
    if kind == "trigger":
        from ..triggers.base import BaseTrigger  # import time

        return BaseTrigger
    if kind == "executor":
        from ..executors.base import BaseExecutor  # import time

        return BaseExecutor
    from ..jobstores.base import BaseJobStore  # import time

    return BaseJobStore
