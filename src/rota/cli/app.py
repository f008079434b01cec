"""The commands of ``rota``: their options, help texts and exit codes.

Reads the command line and hands over; what a command does is in the other files of this package.
"""

from __future__ import annotations

import os
import sys
from traceback import format_exception
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import RotaError
from ..masking import without_secrets
from ..version import __version__
from .ledger_commands import ledger
from .options import (
    Command,
    Given,
    GivenStore,
    Group,
    JobId,
    Json,
    Offset,
    OwnStore,
    Since,
    Store,
    Table,
    Zone,
    place,
)
from .output import CliError, fail, note, print_any_character, zone_of
from .wording import in_commands

if TYPE_CHECKING:
    from collections.abc import Sequence

#: click's exceptions, wherever this version of Typer has them from.
_Usage: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException")

app = typer.Typer(
    name="rota",
    help="Run schedulers and crontab files, and look into job stores.",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code; errors become a message on stderr."""
    print_any_character()
    Given.store, Given.store_is_meant = None, False
    Given.table, Given.debug = None, False
    try:
        code = app(
            args=None if arguments is None else list(arguments), prog_name="rota", standalone_mode=False
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.Exit as exc:
        return exc.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except _Usage as exc:
        context = getattr(exc, "ctx", None)
        message = exc.format_message()
        if message:  # else the help was shown, as nothing was asked for
            fail(message)
        if message and context is not None:
            note(f"see: {context.command_path} --help")
        code = exc.exit_code
    except BrokenPipeError:  # the reader of a pipe has gone; nobody needs an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (CliError, RotaError, OSError) as exc:
        _tell(exc, in_commands(str(exc)), arguments)
        code = exc.code if isinstance(exc, CliError) else 1
    except Exception as exc:
        _tell(exc, f"{type(exc).__name__}: {exc} (rota --debug … shows where)", arguments)
        code = 1
    return int(code)


def _tell(exc: Exception, message: str, arguments: Sequence[str] | None) -> None:
    """Print an error, or its traceback with ``--debug``, without the secrets of the URLs that were given."""
    words = [*(sys.argv[1:] if arguments is None else arguments), os.environ.get("ROTA_JOBSTORE", "")]
    urls = [word.partition("=")[2] if word.startswith("--") else word for word in words if "://" in word]
    if Given.debug:
        note(without_secrets("".join(format_exception(exc)).rstrip(), *urls))
    else:
        fail(message, *urls)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"rota {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    context: typer.Context,
    jobstore: GivenStore = None,
    table: Table = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    Given.store, Given.table, Given.debug = jobstore, table, debug
    Given.store_is_meant = getattr(context.get_parameter_source("jobstore"), "name", "") == "COMMANDLINE"


@app.command("run", cls=Command)
def _run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="package.module[:attribute], file.py[:attribute], or a crontab file."
        ),
    ],
    jobstore: OwnStore = None,
    table: Table = None,
    timezone: Zone = None,
    system: Annotated[
        bool,
        typer.Option("--system", help="The crontab has a user before each command, as /etc/crontab has."),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print a line for each outcome instead of a table.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object on a line for each event.")
    ] = False,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            metavar="LEVEL",
            help="Level of Rota's log: debug, info, warning, error or critical (as the program sets it, or warning).",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0, help="Stop after this time.")
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option(
            "--retry",
            metavar="N",
            help="Crontab: try a command that has failed again, up to N times (or true).",
        ),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="SECONDS", help="Crontab: how long a command may take.")
    ] = None,
    overlap: Annotated[
        str | None,
        typer.Option(
            "--overlap",
            metavar="HOW",
            help="Crontab: what a time does whose job still runs: skip, buffer_one …",
        ),
    ] = None,
) -> int:
    """Run a scheduler, or the commands of a crontab file, in the foreground.

    A Python target is imported; its scheduler is the attribute, or the only one among the module's global names. A crontab file
    has the format of crontab(5), with a user column if --system is given; output and exit code of its commands go to the ledger.
    --retry, --timeout and --overlap hold for its lines that do not say otherwise (# rota: retry=3).

    SIGTERM and Ctrl-C drain: nothing more is started, and the program ends after what is running. A second one stops it at once.
    """
    from .running import run_target  # import time

    # The environment names the store to look into; which one a program uses is up to the program.
    store = jobstore or (Given.store if Given.store_is_meant else None)
    if store is None and (table or Given.table):
        raise CliError("--table is the name of a table in the store of --jobstore; give its URL, too", 2)
    return run_target(
        target,
        store,
        place(None, table)[1],
        timezone,
        plain=plain,
        as_json=json,
        log_level=log_level,
        seconds=seconds,
        system=system,
        options={"retry": retry, "timeout": timeout, "overlap": overlap},
    )


@app.command("jobs", cls=Command)
def _jobs(
    jobstore: Store = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Only jobs that are active, paused, quarantined or ended (repeatable; ended ones only so).",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only jobs that have this tag (repeatable: all of them)."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", metavar="N", min=1, help="At most this many (all).")
    ] = None,
    offset: Offset = 0,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """List the jobs in a store, the next to run first."""
    from .stores import show_jobs  # import time

    show_jobs(*place(jobstore, table), state or [], tag or [], limit, offset, zone_of(timezone), json)


@app.command("runs", cls=Command)
def _runs(
    jobstore: Store = None,
    job: Annotated[
        str | None, typer.Option("--job", "-j", metavar="ID", help="Only runs of this job.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only runs that are claimed, succeeded, failed, missed, … (repeatable).",
        ),
    ] = None,
    since: Since = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Before this time (as for --since).")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="TAG", help="Only of jobs that have this tag (repeatable: all of them)."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Only with this in the error or the reason."),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Only what this node has claimed.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="At most this many.")] = 50,
    offset: Offset = 0,
    table: Table = None,
    timezone: Zone = None,
    json: Json = False,
) -> None:
    """List how the jobs' scheduled times ended, newest first: each one ran, or it says why not."""
    from .ledger import search, time_of  # import time

    zone = zone_of(timezone)
    fields = {
        "job_ids": None if job is None else [job],
        "statuses": status,
        "since": time_of("--since", since, zone),
        "until": time_of("--until", until, zone),
        "text": text,
        "nodes": None if node is None else [node],
    }
    search(*place(jobstore, table), fields, tag or [], limit, offset, zone, json)


def _change(
    what: str, job: str, jobstore: str | None, table: str | None, timezone: str | None, json: bool
) -> None:
    from .stores import change  # import time

    change(what, *place(jobstore, table), job, zone_of(timezone), json)


@app.command("pause", cls=Command)
def _pause(
    job: JobId, jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False
) -> None:
    """Stop running a job until it is resumed."""
    _change("pause", job, jobstore, table, timezone, json)


@app.command("resume", cls=Command)
def _resume(
    job: JobId, jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False
) -> None:
    """Resume a job's schedule from now on; also ends its quarantine."""
    _change("resume", job, jobstore, table, timezone, json)


@app.command("trigger", cls=Command)
def _trigger(
    job: JobId, jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False
) -> None:
    """Have a job run once, soon, by whoever runs the store; its schedule stays as it is."""
    _change("trigger", job, jobstore, table, timezone, json)


@app.command("remove", cls=Command)
def _remove(
    job: JobId, jobstore: Store = None, table: Table = None, timezone: Zone = None, json: Json = False
) -> None:
    """Remove a job from its store; the records of its runs stay."""
    _change("remove", job, jobstore, table, timezone, json)


@app.command("sign", cls=Command)
def _sign(
    jobstore: Store = None,
    table: Table = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Sign what is shown.")] = False,
    json: Json = False,
) -> int:
    """Sign the jobs of a store by the key in ROTA_SIGNING_KEY: those without a signature, and those of earlier keys."""
    from .signing import sign_jobs  # import time

    return sign_jobs(*place(jobstore, table), yes, json)


@app.command("next", cls=Command)
def _next(
    trigger: Annotated[
        str,
        typer.Argument(
            metavar="TRIGGER",
            help="`'*/5 * * * *'`, `@daily`, `interval:minutes=5`, `cron:hour=3,minute=*/5`, `date:…`",
        ),
    ],
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, help="How many times.")] = 10,
    timezone: Zone = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Begin at this ISO 8601 time instead of now.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the next times of a trigger: a crontab expression, or a trigger's name and its arguments."""
    from .next_times import show_next  # import time

    show_next(trigger, count, timezone, start, json)


@app.command("explain", cls=Command)
def _explain(
    trigger: Annotated[str | None, typer.Argument(metavar="[TRIGGER]", help="As for `rota next`.")] = None,
    job: Annotated[
        str | None, typer.Option("--job", "-j", metavar="ID", help="Say why this job does not run, instead.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="With --job: this scheduled time, not the next."),
    ] = None,
    jobstore: Store = None,
    table: Table = None,
    timezone: Zone = None,
    language: Annotated[
        str, typer.Option("--language", "-l", metavar="LANGUAGE", help="en (English) or vi (Vietnamese).")
    ] = "en",
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=0, help="How many next times.")] = 3,
    years: Annotated[
        int,
        typer.Option("--years", metavar="N", min=0, max=100, help="Years in which to look at clock changes."),
    ] = 2,
    json: Json = False,
) -> None:
    """Say in a sentence when a trigger fires, and on which dates a change of the clocks changes that.

    With --job: why a job of a store does not run, or what became of one of its times.
    """
    if (trigger is None) == (job is None):
        raise CliError("explain: give a TRIGGER, or a job of a store by --job", 2)
    if job is not None:
        from .ledger import explain  # import time

        explain(*place(jobstore, table), job, at, zone_of(timezone), json)
        return
    assert trigger is not None
    from .explaining import show_explanation  # import time

    show_explanation(trigger, timezone, language, years, count, json)


app.registered_commands += ledger.registered_commands

imports = typer.Typer(help="Take over the jobs of another scheduler.", cls=Group, no_args_is_help=True)
app.add_typer(imports, name="import")


@imports.command("apscheduler", cls=Command)
def _import_apscheduler(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="sqlite:///…, postgresql://…, redis://…, mongodb://…/database, etcd://…, zookeeper://…, "
            "or a file of export_jobs().",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URL", help="The job store to write to (the one of --jobstore)."),
    ] = None,
    table: Table = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Table, key, collection or path of the source's jobs."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace jobs that are in the store and differ.")
    ] = False,
    keep_grace: Annotated[
        bool, typer.Option("--keep-grace", help="Keep a misfire_grace_time of 1 s, APScheduler's default.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show each job, also of a plan with more than 20.")
    ] = False,
    timezone: Zone = None,
    json: Json = False,
) -> int:
    """Take over the jobs of APScheduler 3, from its job stores in place or from its export files.

    The source is only read, and nothing in it is executed: neither its pickles nor the code of its jobs. A plan is shown first;
    jobs that are in the store already are left alone, so the command may be repeated. The exit code is 1 if a job cannot be
    taken over.
    """
    from .importing import import_apscheduler  # import time

    if yes and dry_run:
        raise CliError("--yes and --dry-run contradict each other", 2)
    return import_apscheduler(
        source,
        name,
        to or Given.store,
        place(None, table)[1],
        zone_of(timezone),
        replace=replace,
        keep_grace=keep_grace,
        yes=yes,
        dry_run=dry_run,
        show_all=show_all,
        as_json=json,
    )


@app.command("migrate", cls=Command)
def _migrate(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, or folders with all that is below them.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes and write nothing.")] = False,
    store: Annotated[
        list[str] | None,
        typer.Option(
            "--store", metavar="URL", help="Count the jobs in this store of APScheduler (repeatable)."
        ),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show each line with the word that was left as it is.")
    ] = False,
    json: Json = False,
) -> int:
    """Change a program that was written for APScheduler 3 into one for Rota.

    Imports, names of modules and loggers in texts, options and requirements are changed, in Python files and in ini, TOML, YAML,
    JSON and requirement files; names of databases, tables, keys, files and URLs, comments and prose are not. The changes are shown
    as a diff. No code of the program is imported. The exit code is 1 if something has to be done by hand.
    """
    from .migrate import migrate  # import time

    return migrate(paths, store or [], dry_run=dry_run, show_all=show_all, as_json=json)
