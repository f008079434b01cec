"""Which texts name something of APScheduler's, and what Rota calls it.

Texts only. A name of a database, a table, a key, a file or a URL is never one of them.
"""

from __future__ import annotations

import re

#: The modules of APScheduler 3 that Rota has by the same path.
MODULES = frozenset(
    [
        "events",
        "executors",
        "executors.asyncio",
        "executors.base",
        "executors.debug",
        "executors.gevent",
        "executors.pool",
        "executors.tornado",
        "executors.twisted",
        "job",
        "jobstores",
        "jobstores.base",
        "jobstores.etcd",
        "jobstores.memory",
        "jobstores.mongodb",
        "jobstores.redis",
        "jobstores.sqlalchemy",
        "jobstores.zookeeper",
        "schedulers",
        "schedulers.asyncio",
        "schedulers.background",
        "schedulers.base",
        "schedulers.blocking",
        "schedulers.gevent",
        "schedulers.qt",
        "schedulers.tornado",
        "schedulers.twisted",
        "triggers",
        "triggers.base",
        "triggers.calendarinterval",
        "triggers.combining",
        "triggers.cron",
        "triggers.cron.expressions",
        "triggers.cron.fields",
        "triggers.date",
        "triggers.interval",
        "util",
    ]
)
#: Those that it does not have, with what to do.
MISSING = {
    "jobstores.rethinkdb": "Rota has no RethinkDB store; export the jobs by export_jobs() of APScheduler 3.11 and import the file",
    "executors.base_py3": "it was part of APScheduler up to 3.8; its names are in rota.executors.base",
}
#: Modules and names of other versions than 3.
_VERSION_4 = frozenset(
    [
        "abc",
        "datastores",
        "eventbrokers",
        "serializers",
        "AsyncScheduler",
        "Scheduler",
        "ConflictPolicy",
        "CoalescePolicy",
        "SchedulerRole",
        "JobOutcome",
        "RunState",
        "TaskDefaults",
        "task",
        "current_scheduler",
        "current_async_scheduler",
        "current_job",
    ]
)
_VERSION_2 = frozenset(("scheduler", "threadpool"))

_OPTIONS = "jobstores|executors|job_defaults|timezone|logger|jobstore_retry_interval|daemon"
_FIRST = rf"(?:{_OPTIONS}|events|job|schedulers|triggers|util|scheduler|version)"
_PART = r"(?:[^\W\d]\w*|%s|%\(\w+\)s|\{\w*\})"
#: A dotted path below ``apscheduler``: of a module or what is in it, of a logger, of an option.
REFERENCE = re.compile(rf"apscheduler\.{_FIRST}(?![\w-])(?:\.{_PART})*(?::[^\W\d][\w.]*|\.\*|\.)?")
#: The same, as the first part of a text that goes on.
BEGIN_OF_REFERENCE = re.compile(r"apscheduler\.(?:jobstores|executors|job_defaults|schedulers|triggers)\.")
#: In patterns for module names: APScheduler and all below it.
PATTERN = re.compile(r"apscheduler\.\*")
WORD = re.compile(r"(?<!\w)apscheduler(?!\w)")
#: The word where it may be meant: not as a part of another name, or of an address.
MENTION = re.compile(r"(?<![\w/-])apscheduler(?![\w-]|\.readthedocs)")
#: Parameters whose value is a name of data, whatever it looks like.
DATA_NAMES = frozenset(
    [
        "tablename",
        "table",
        "name_of_table",
        "tableschema",
        "schema",
        "database",
        "db",
        "dbname",
        "collection",
        "jobs_key",
        "run_times_key",
        "key",
        "path",
        "url",
        "uri",
        "dsn",
        "host",
        "filename",
        "file",
        "queue",
        "channel",
        "topic",
    ]
)

_EXTRAS = {
    "sqlalchemy": "sql",
    "redis": "redis",
    "mongodb": "mongodb",
    "etcd": "etcd",
    "zookeeper": "zookeeper",
    "gevent": "gevent",
    "tornado": "tornado",
    "twisted": "twisted",
}
_REQUIREMENT = re.compile(
    r"""(?P<name>apscheduler)\s*(?:\[(?P<extras>[\w\s,.-]*)\])?\s*
    (?P<version>\(?\s*(?:===|[~=!<>]=|[<>])[^;#\[\]]*?)?(?P<marker>\s*;[^#]*?)?""",
    re.IGNORECASE | re.VERBOSE,
)


def other_version(module: str, names: list[str]) -> str | None:
    """Return the version other than 3 for which an import is written; None if there is none.

    :param module: what is imported from, without ``apscheduler.``
    :param names: what is imported
    """
    first = module.partition(".")[0]
    if first in _VERSION_4 or (not module and not _VERSION_4.isdisjoint(names)):
        return "4"
    return "2" if first in _VERSION_2 else None


def requirement(text: str) -> tuple[str, str | None] | None:
    """Return the requirement of Rota that stands for one of APScheduler, and what to say of it; None if it is none of APScheduler.

    The version is left out, the marker stays.
    """
    found = _REQUIREMENT.fullmatch(text.rstrip())
    if found is None:
        return None
    version = re.sub(r"[\s()]", "", found["version"] or "")
    if re.search(r"(?:==|~=|>=|>)4", version):
        return text, "this is APScheduler 4, whose programs Rota does not run"
    wanted, unknown = rota_extras((found["extras"] or "").split(","))
    said = None
    if unknown:
        said = f"Rota has no extra {', '.join(unknown)}; it was left out"
    extras = f"[{','.join(wanted)}]" if wanted else ""
    return f"rota{extras}{found['marker'] or ''}", said


def rota_extras(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the extras of Rota for those of APScheduler, and those that it lacks."""
    given = [name.strip().lower() for name in names if name.strip()]
    wanted = [_EXTRAS[name] for name in given if name in _EXTRAS]
    return wanted, [name for name in given if name not in _EXTRAS and name not in ("doc", "test", "asyncio")]


_SUFFIXES = frozenset(
    [
        "cfg",
        "conf",
        "csv",
        "db",
        "dat",
        "ini",
        "json",
        "lock",
        "log",
        "pid",
        "py",
        "pyc",
        "sqlite",
        "sqlite3",
        "toml",
        "txt",
        "yaml",
        "yml",
    ]
)


def is_reference(text: str) -> bool:
    """Whether a text as a whole names a module, something in one, a logger or an option of APScheduler's."""
    if PATTERN.fullmatch(text):
        return True
    return REFERENCE.fullmatch(text) is not None and text.rpartition(".")[2] not in _SUFFIXES


def missing(path: str) -> str | None:
    """Return what to do about a dotted path of a module that Rota does not have; None if it has it."""
    inner = path.partition(".")[2].partition(":")[0]
    for name, remedy in MISSING.items():
        if inner == name or inner.startswith(f"{name}."):
            return remedy
    return None
