"""Jobs of APScheduler 3 at the place where a store of Rota is made: where they are by default, and what is said of them.

Names and texts only; the stores look and count.
"""

from __future__ import annotations

import re

#: The default names of APScheduler and django-apscheduler: tables, then keys, collections and paths.
TABLES = ("apscheduler_jobs", "django_apscheduler_djangojob")
JOBS_KEY = "apscheduler.jobs"
DATABASE, COLLECTION = "apscheduler", "jobs"
PATH = "/apscheduler"
#: The default path of Rota's own stores on etcd and ZooKeeper.
ROTA_PATH = "/rota"
#: What no shell takes for anything but itself.
_PLAIN = re.compile(r"[\w@%+=:,./…*-]+")
#: How jobs are taken over from a place that no URL leads to.
BY_EXPORT = "call scheduler.export_jobs('jobs.json') with APScheduler 3.11, then: rota import apscheduler jobs.json --to URL"


def by_import(source: str, name: str = "", store: str | None = None) -> str:
    """Return the command that takes jobs over.

    :param source: the URL at which they are, without passwords
    :param name: table, key or collection, if it is not the default one
    :param store: the URL of the store, if it is not the usual one on the same server
    """
    words = [source, *(("--name", name) if name else ()), "--to", store or beside(source)]
    return f"rota import apscheduler {' '.join(map(_quoted, words))}"


def _quoted(word: str) -> str:
    """Return a word as the shells of all systems take it."""
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


def beside(source: str) -> str:
    """Return the URL of Rota's store on the server of a source: the same, except where a path is one store's only."""
    scheme, separator, rest = source.partition("://")
    if not separator:  # a file that was exported
        return "URL"
    if scheme in ("etcd", "etcds", "zookeeper", "zk"):
        return f"{scheme}://{rest.partition('/')[0]}{ROTA_PATH}"
    return source


def left_behind(count: int, where: str, way: str) -> str:
    """Return the warning for a store that has just been made at a place where APScheduler keeps jobs.

    :param count: how many jobs
    :param where: their place, in words
    :param way: how they are taken over
    """
    jobs = "1 job" if count == 1 else f"{count} jobs"
    return (
        f"APScheduler 3 keeps {jobs} in {where}, and this store of Rota, which has just been made, does not have them. "
        f"If they are still wanted, take them over: {way}"
    )


def instead(option: str, way: str) -> str:
    """Return the end of the message that refuses a place where APScheduler keeps jobs.

    :param option: the parameter that leads to that place
    :param way: how the jobs are taken over
    """
    return f". There are jobs of APScheduler 3: leave {option} out, and take them over: {way}"
