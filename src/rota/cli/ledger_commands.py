"""The commands that search the ledger and govern runs: their options and help texts.

Declares and hands over; what a command does is in :mod:`rota.cli.ledger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Command, JobId, Json, Store, Table, Zone
from .output import zone_of

if TYPE_CHECKING:
    from collections.abc import Callable

Nominal = Annotated[
    str,
    typer.Argument(metavar="NOMINAL", help="The run's scheduled time, as `rota runs` prints it (ISO 8601)."),
]
Node = Annotated[str, typer.Argument(metavar="NODE", help="The node's id, as `rota nodes` prints it.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From this time on (ISO 8601), or so long ago: 90m, 2h, 3d."
    ),
]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="The jobs that have this tag.")]
Executor = Annotated[
    str | None, typer.Option("--executor", metavar="ALIAS", help="The jobs of this executor.")
]
All = Annotated[bool, typer.Option("--all", help="All jobs.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, in words.")]


def add_commands(
    app: typer.Typer, chosen: Callable[[str | None, str | None], tuple[str | None, str]]
) -> None:
    """Declare the commands.

    :param chosen: returns the URL and the table that count, of those that were given behind the command
    """

    @app.command("run-info", cls=Command)
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

        show_run(*chosen(jobstore, table), job, nominal, zone_of(timezone), json)

    @app.command("failures", cls=Command)
    def _failures(
        jobstore: Store = None,
        since: Since = None,
        table: Table = None,
        timezone: Zone = None,
        json: Json = False,
    ) -> None:
        """List which jobs fail, since when, how often, and whether they still do."""
        from .ledger import show_failures, time_of  # import time

        zone = zone_of(timezone)
        show_failures(*chosen(jobstore, table), time_of("--since", since, zone), zone, json)

    @app.command("nodes", cls=Command)
    def _nodes(
        jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False
    ) -> None:
        """List the processes that run the jobs of a store."""
        from .ledger import show_nodes  # import time

        show_nodes(*chosen(jobstore, table), zone_of(timezone), json)

    @app.command("top", cls=Command)
    def _top(
        jobstore: Store = None,
        every: Annotated[
            float, typer.Option("--every", metavar="SECONDS", min=0.1, help="How often to look.")
        ] = 2.0,
        times: Annotated[
            int | None, typer.Option("--times", metavar="N", min=1, help="Look so often (until Ctrl-C).")
        ] = None,
        table: Table = None,
        timezone: Zone = None,
        json: Json = False,
    ) -> None:
        """Watch what runs on all nodes: progress, and for how long against what is usual."""
        from .ledger import show_top  # import time

        show_top(
            *chosen(jobstore, table), zone_of(timezone), json, every, 1 if json and times is None else times
        )

    @app.command("cancel", cls=Command)
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

        cancel(*chosen(jobstore, table), job, nominal, reason, zone_of(timezone), json)

    @app.command("skip-next", cls=Command)
    def _skip_next(
        job: JobId, jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False
    ) -> None:
        """Leave out the next time of a job, and go on with the one after it."""
        from .ledger import cancel  # import time

        cancel(*chosen(jobstore, table), job, None, "skipped ahead", zone_of(timezone), json)

    @app.command("hold", cls=Command)
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

        hold(*chosen(jobstore, table), {"tag": tag, "executor": executor, "all": every}, reason, True, json)

    @app.command("release", cls=Command)
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

        hold(*chosen(jobstore, table), {"tag": tag, "executor": executor, "all": every}, None, False, json)

    @app.command("drain", cls=Command)
    def _drain(
        node: Node,
        undo: Annotated[bool, typer.Option("--undo", help="Have it claim again.")] = False,
        jobstore: Store = None,
        table: Table = None,
        json: Json = False,
    ) -> None:
        """Have a node claim nothing more; it finishes what it has."""
        from .ledger import drain  # import time

        drain(*chosen(jobstore, table), node, not undo, json)

    @app.command("why", cls=Command)
    def _why(
        job: JobId,
        at: Annotated[
            str | None,
            typer.Option("--at", metavar="TIME", help="This scheduled time, instead of the next one."),
        ] = None,
        jobstore: Store = None,
        table: Table = None,
        timezone: Zone = None,
        json: Json = False,
    ) -> None:
        """Say in one sentence why a job does not run, or what became of one of its times."""
        from .ledger import explain  # import time

        explain(*chosen(jobstore, table), job, at, zone_of(timezone), json)
