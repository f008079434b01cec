"""Jobs of APScheduler 3 where a store of Rota is made: where they are by default, and what is said of them.

Texts only; the stores look and count.
"""

from __future__ import annotations

#: What APScheduler, and django-apscheduler, call their tables if nobody says anything; likewise the others.
TABLES = ("apscheduler_jobs", "django_apscheduler_djangojob")
JOBS_KEY = "apscheduler.jobs"
DATABASE, COLLECTION = "apscheduler", "jobs"
PATH = "/apscheduler"
#: Where no reader of the importer leads to.
BY_EXPORT = "call scheduler.export_jobs('jobs.json') with APScheduler 3.11, then: rota import apscheduler jobs.json --to URL"


def by_import(source: str, name: str = "", store: str | None = None) -> str:
    """Return the command that takes jobs over.

    :param source: the URL at which they are, without secrets
    :param name: table, key or collection, if it is not the usual one
    :param store: the URL of the store, if it is another one
    """
    return f"rota import apscheduler {source}{f' --name {name}' if name else ''} --to {store or source}"


def left_behind(count: int, where: str, way: str) -> str:
    """Return what is said when a store has just been made beside jobs of APScheduler."""
    jobs = "1 job" if count == 1 else f"{count} jobs"
    return (
        f"APScheduler 3 keeps {jobs} in {where}, and this store of Rota, which has just been made, does not have them. "
        f"If they are still wanted, take them over: {way}"
    )


def instead(option: str, way: str) -> str:
    """Return the end of the refusal of a place where APScheduler keeps jobs.

    :param option: the parameter that led there
    """
    return f". There are jobs of APScheduler 3: leave {option} out, and take them over: {way}"
