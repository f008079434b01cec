"""The commands that search the ledger and govern runs: their options and help texts.

Declares and hands over; what a command does is in :mod:`rota.cli.ledger`.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .options import Command, JobId, Json, Since, Store, Table, Zone, place
from .output import zone_of

Nominal = Annotated[
    str,
    typer.Argument(metavar="NOMINAL", help="The run's scheduled time, as `rota runs` prints it (ISO 8601)."),
]
Node = Annotated[str, typer.Argument(metavar="NODE", help="The node's id, as `rota nodes` prints it.")]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="The jobs that have this tag.")]
Executor = Annotated[
    str | None, typer.Option("--executor", metavar="ALIAS", help="The jobs of this executor.")
]
All = Annotated[bool, typer.Option("--all", help="All jobs.")]
Chain = Annotated[bool, typer.Option("--chain/--no-chain", help="Whether its end starts the jobs after it.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, in words.")]


#: the commands, which `rota` takes as its own
ledger = typer.Typer()


@ledger.command("run-info", cls=Command)
def _run_info(
    job: JobId,
    nominal: Nominal,
    jobstore: Store = None,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """Show all that is known of one run: attempts, error, traceback, progress, log."""
    from .ledger import show_run  # import time

    show_run(*place(jobstore, table), job, nominal, zone_of(timezone), json)


@ledger.command("failures", cls=Command)
def _failures(
    jobstore: Store = None,
    since: Since = None,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """List which jobs fail, since when, how often, and whether they still do."""
    from .failing import show_failures  # import time
    from .ledger import time_of

    zone = zone_of(timezone)
    show_failures(*place(jobstore, table), time_of("--since", since, zone), zone, json)


@ledger.command("nodes", cls=Command)
def _nodes(jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False) -> None:
    """List the processes that run the jobs of a store."""
    from .ledger import show_nodes  # import time

    show_nodes(*place(jobstore, table), zone_of(timezone), json)


@ledger.command("top", cls=Command)
def _top(
    jobstore: Store = None,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.1, help="How often to look.")
    ] = 2.0,
    times: Annotated[
        int | None,
        typer.Option(
            "--times",
            metavar="N",
            min=1,
            help="Look so often (until Ctrl-C; once where this is no terminal).",
        ),
    ] = None,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """Watch what runs on all nodes: progress, and for how long against what is usual."""
    from .ledger import show_top  # import time

    once = json or not sys.stdout.isatty()  # what follows in a pipe waits for an end
    show_top(*place(jobstore, table), zone_of(timezone), json, every, 1 if once and times is None else times)


@ledger.command("cancel", cls=Command)
def _cancel(
    job: JobId,
    nominal: Nominal,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in words.")] = "cancelled",
    jobstore: Store = None,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """Cancel a run on whatever node it is, or leave out a time to come."""
    from .ledger import cancel  # import time

    cancel(*place(jobstore, table), job, nominal, reason, zone_of(timezone), json)


@ledger.command("rerun", cls=Command)
def _rerun(
    job: JobId,
    nominal: Nominal,
    chain: Chain = True,
    jobstore: Store = None,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """Have a run that has ended executed once more, by a running node."""
    from .ledger import rerun  # import time

    rerun(*place(jobstore, table), job, nominal, chain, zone_of(timezone), json)


@ledger.command("backfill", cls=Command)
def _backfill(
    job: JobId,
    start: Annotated[
        str | None,
        typer.Argument(
            metavar="[START]", help="The first time that may run: 2026-11-01, or 3d (three days ago)."
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Argument(metavar="[END]", help="The last time that may run (default: now).")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every time of the range, also those that have run.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many times, and which are the first and the last.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End the job's backfill: what waits of it is cancelled.")
    ] = False,
    chain: Chain = True,
    jobstore: Store = None,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """Have the missing times of a job run, by the running nodes."""
    from .backfills import backfill, cancel_backfill  # import time

    where, zone = place(jobstore, table), zone_of(timezone)
    if cancel:
        cancel_backfill(*where, job, json)
    else:
        backfill(*where, job, start, end, not every, preview, chain, zone, json)


@ledger.command("skip-next", cls=Command)
def _skip_next(
    job: JobId, jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False
) -> None:
    """Leave out the next time of a job, and go on with the one after it."""
    from .ledger import cancel  # import time

    cancel(*place(jobstore, table), job, None, "skipped ahead", zone_of(timezone), json)


@ledger.command("hold", cls=Command)
def _hold(
    jobstore: Store = None,
    tag: Tag = None,
    executor: Executor = None,
    every: All = False,
    reason: Note = None,
    table: Table = None,
    json: Json = False,
) -> None:
    """Put jobs on hold: they are paused until they are released."""
    from .ledger import hold  # import time

    hold(*place(jobstore, table), {"tag": tag, "executor": executor, "all": every}, reason, True, json)


@ledger.command("release", cls=Command)
def _release(
    jobstore: Store = None,
    tag: Tag = None,
    executor: Executor = None,
    every: All = False,
    table: Table = None,
    json: Json = False,
) -> None:
    """Let jobs go on that were put on hold; paused ones stay paused."""
    from .ledger import hold  # import time

    hold(*place(jobstore, table), {"tag": tag, "executor": executor, "all": every}, None, False, json)


@ledger.command("drain", cls=Command)
def _drain(
    node: Node,
    undo: Annotated[bool, typer.Option("--undo", help="Have it claim again.")] = False,
    jobstore: Store = None,
    table: Table = None,
    json: Json = False,
) -> None:
    """Have a node claim nothing more; it finishes what it has."""
    from .ledger import drain  # import time

    drain(*place(jobstore, table), node, not undo, json)
