"""``rota import``: shows what would become of the jobs of another scheduler, and writes them to a job store.

The jobs are read and written by :mod:`rota.importers`; their code is not imported.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import SchemaError
from ..importers.apscheduler import ADD, REFUSED, REPLACE, plan_import
from ..masking import masked
from .escaping import escaped
from .output import CliError, note, one_line, print_columns, print_json, say
from .stores import Guest, make_private, make_store, opened, signing_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from ..importers.apscheduler import ImportPlan
    from ..jobstores.base import BaseJobStore

#: Up to how many jobs are shown one by one, and how many of each kind of message, unless all are asked for.
_SHOWN = 20


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
    show_all: bool,
    as_json: bool,
) -> int:
    """Show the plan of an import, and carry it out if that is wanted.

    :param show_all: whether each job of a long plan is shown
    :return: the exit code: 1 if there are jobs that cannot be taken over
    """
    with _progress("reading", None) as read:
        plan = plan_import(source, name=name, keep_grace=keep_grace, progress=read)
    if yes:
        if not url:
            raise CliError(
                "into which job store? Give its URL by --to, for example --to sqlite:///jobs.sqlite", 2
            )
        _write(plan, url, tablename, replace)
        _show(plan, zone, as_json, show_all, written=True)
        return _code(plan)
    if url:
        _compare(plan, url, tablename, replace)
    _show(plan, zone, as_json, show_all, written=False)
    if as_json or not any(job.action in (ADD, REPLACE) for job in plan):
        return _code(plan)
    if url and not dry_run and sys.stdin.isatty() and _agreed():
        _write(plan, url, tablename, replace)
        say(_summary(plan))
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
    make_private(url)
    guest = Guest(jobstores={"default": store})
    try:
        guest.start(paused=True)
    except SchemaError as exc:
        raise CliError(f"cannot import into {masked(url)}: {exc}") from exc
    try:
        _check_signed(store)
        plan.compare(store, replace)
        with _progress("writing", len(plan)) as written:
            plan.carry_out(store, written)
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


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many jobs are done; yields the function that is called with the number."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda count: None
        return
    from rich.console import Console  # optional
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{what} jobs", total=total)
        yield lambda count: bar.update(task, completed=count)


def _show(plan: ImportPlan, zone: tzinfo, as_json: bool, show_all: bool, written: bool) -> None:
    if as_json:
        jobs: list[dict[str, Any]] = [job.to_dict() for job in plan]
        print_json({"written": written, "counts": plan.counts(), "jobs": jobs})
        return
    short = len(plan) > _SHOWN and not show_all
    if short:
        _show_groups(plan)
    else:
        _show_jobs(plan, zone)
    told, left_out = 0, 0
    changes: dict[str, list[str]] = {}
    for job in plan:
        for change in job.changes:
            changes.setdefault(change, []).append(job.id)
        if job.problem is None and not job.differences:
            continue
        told += 1
        if short and told > _SHOWN:
            left_out += 1
        elif job.problem is not None:
            say(f"\n{escaped(job.id)} is not taken over:\n  {escaped(job.problem)}")
        else:
            say(f"\n{escaped(job.id)} differs from the job in the store in: {', '.join(job.differences)}")
    if left_out:
        say(f"\n… and {left_out} more that differ or are not taken over; --all shows them")
    shown = list(changes.items())[: _SHOWN if short else None]
    for change, ids in shown:
        some = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        say(f"\n{escaped(change)}\n  ({escaped(some)})")
    if len(changes) > len(shown):
        say(f"\n… and {len(changes) - len(shown)} more changes; --all shows them")
    say(f"\n{_summary(plan)}")


def _show_jobs(plan: ImportPlan, zone: tzinfo) -> None:
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


def _show_groups(plan: ImportPlan) -> None:
    """Print how many jobs of each callable get which action, the largest groups first."""
    groups = Counter((job.action, job.func or "") for job in plan)
    examples: dict[tuple[str, str], str] = {}
    for job in plan:
        examples.setdefault((job.action, job.func or ""), job.id)
    rows = [
        (str(count), action, func, examples[action, func])
        for (action, func), count in groups.most_common(_SHOWN)
    ]
    print_columns(("JOBS", "ACTION", "CALLS", "FOR EXAMPLE"), rows, "no jobs", 2)
    if len(groups) > _SHOWN:
        say(f"… and {len(groups) - _SHOWN} more kinds of jobs")
    say("--all shows each job")


def _summary(plan: ImportPlan) -> str:
    return ", ".join(f"{action}: {count}" for action, count in plan.counts().items() if count)


def _code(plan: ImportPlan) -> int:
    return int(any(job.action == REFUSED for job in plan))
