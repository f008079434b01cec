"""Options that several commands have, and the kinds of command whose help shows no type beside a flag.

Declares; it reads and runs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Before the command. Behind it there is no variable: it would outweigh what was given before.
GivenStore = Annotated[
    str | None,
    typer.Option(
        "--jobstore",
        "-s",
        metavar="URL",
        envvar="ROTA_JOBSTORE",
        help="URL of the job store, such as sqlite:///jobs.sqlite.",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--jobstore",
        "-s",
        metavar="URL",
        help="URL of the job store, such as sqlite:///jobs.sqlite (else ROTA_JOBSTORE).",
    ),
]
OwnStore = Annotated[
    str | None,
    typer.Option(
        "--jobstore",
        "-s",
        metavar="URL",
        help="Keep the jobs in this store, such as sqlite:///jobs.sqlite (in memory otherwise).",
    ),
]
Table = Annotated[
    str | None,
    typer.Option(
        "--table",
        metavar="NAME",
        help="Name of its jobs table, key (Redis) or collection (MongoDB), if it is not the usual one.",
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--timezone", "--tz", metavar="ZONE", help="Zone for times, such as Europe/Berlin (the local one)."
    ),
]
Offset = Annotated[int, typer.Option("--offset", metavar="N", min=0, help="Skip this many first.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="From this time on (ISO 8601), or so long ago: 90m, 2h, 3d."
    ),
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]


class Given:
    """What was given before the command."""

    store: str | None = None
    #: whether the store was named on the command line, and not only by the environment
    store_is_meant = False
    table: str | None = None
    debug = False


def place(jobstore: str | None, table: str | None) -> tuple[str | None, str]:
    """Return the URL of the store and the name of its table: those behind the command, else those before it.

    :param jobstore: what was given behind the command
    :param table: the same
    """
    from .stores import DEFAULT_TABLE  # import time

    return jobstore or Given.store, table or Given.table or DEFAULT_TABLE


class Command(TyperCommand):
    """A command whose flags have no type in the help."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, ``--help`` among them."""
        return _without_types_of_flags(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands whose flags have no type in the help."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, ``--help`` among them."""
        return _without_types_of_flags(super().get_params(ctx))


def _without_types_of_flags(params: Iterable[Any]) -> list[Any]:
    found = list(params)
    for param in found:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return found
