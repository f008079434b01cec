"""``rota import``: shows what would become of the jobs of another scheduler, and writes them to a job store.

The jobs are read and written by :mod:`rota.importers`; their code is not imported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import SchemaError
from ..importers.apscheduler import ADD, REFUSED, REPLACE, plan_import
from ..util import without_secrets
from .output import CliError, note, one_line, print_columns, print_json
from .stores import Guest, make_store, opened, signing_keys

if TYPE_CHECKING:
    from datetime import tzinfo

    from ..importers.apscheduler import ImportPlan
    from ..jobstores.base import BaseJobStore


def import_apscheduler(
    source: str,
    name: str | None,
    url: str | None,
    tablename: str,
    zone: tzinfo,
    *,
    replace: bool,
    keep_grace: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Show the plan of an import, and carry it out if that is wanted.

    :return: the exit code: 1 if there are jobs that cannot be taken over
    """
    plan = plan_import(source, name=name, keep_grace=keep_grace)
    if yes:
        if not url:
            raise CliError(
                "into which job store? Give its URL by --to, for example --to sqlite:///jobs.sqlite", 2
            )
        _write(plan, url, tablename, replace)
        _show(plan, zone, as_json, written=True)
        return _code(plan)
    if url:
        _compare(plan, url, tablename, replace)
    _show(plan, zone, as_json, written=False)
    if as_json or not any(job.action in (ADD, REPLACE) for job in plan):
        return _code(plan)
    if url and not dry_run and sys.stdin.isatty() and _agreed():
        _write(plan, url, tablename, replace)
        print(_summary(plan))
    else:
        note("nothing was written; --to URL names a job store, and --yes writes to it")
    return _code(plan)


def _compare(plan: ImportPlan, url: str, tablename: str, replace: bool) -> None:
    """Compare a plan with a store, if there is one yet; nothing is made."""
    try:
        with opened(url, tablename) as (_, store):
            plan.compare(store, replace)
    except CliError as exc:
        note(f"there is nothing to compare with yet: {exc}")


def _write(plan: ImportPlan, url: str, tablename: str, replace: bool) -> None:
    """Carry out a plan; a store that is not there is made."""
    store = make_store(url, tablename, fills=True)
    guest = Guest(jobstores={"default": store})
    try:
        guest.start(paused=True)
    except SchemaError as exc:
        raise CliError(f"cannot import into {without_secrets(url)}: {exc}") from exc
    try:
        _check_signed(store)
        plan.compare(store, replace).carry_out(store)
    finally:
        guest.shutdown()


def _check_signed(store: BaseJobStore) -> None:
    if not signing_keys() and any(job.sealed is not None for job in store.get_all_jobs()):
        raise CliError(
            "the jobs in this store are signed; put the key into ROTA_SIGNING_KEY, so that new ones are, too"
        )


def _agreed() -> bool:
    print("Write this? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(plan: ImportPlan, zone: tzinfo, as_json: bool, written: bool) -> None:
    if as_json:
        jobs: list[dict[str, Any]] = [job.to_dict() for job in plan]
        print_json({"written": written, "counts": plan.counts(), "jobs": jobs})
        return
    rows = [
        (
            job.id,
            job.action,
            "" if job.next_run_time is None else f"{job.next_run_time.astimezone(zone):%Y-%m-%d %H:%M:%S %z}",
            job.func or "",
            one_line(job.when()),
        )
        for job in plan
    ]
    print_columns(("ID", "ACTION", "NEXT RUN", "CALLS", "WHEN"), rows, "no jobs", 2)
    changes: dict[str, list[str]] = {}
    for job in plan:
        if job.problem is not None:
            print(f"\n{job.id} is not taken over:\n  {job.problem}")
        elif job.differences:
            print(f"\n{job.id} differs from the job in the store in: {', '.join(job.differences)}")
        for change in job.changes:
            changes.setdefault(change, []).append(job.id)
    for change, ids in changes.items():
        some = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        print(f"\n{change}\n  ({some})")
    print(f"\n{_summary(plan)}")


def _summary(plan: ImportPlan) -> str:
    return ", ".join(f"{action}: {count}" for action, count in plan.counts().items() if count)


def _code(plan: ImportPlan) -> int:
    return int(any(job.action == REFUSED for job in plan))
