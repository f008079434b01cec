"""Errors of methods, as the command line shows them: commands and options in the place of calls and keyword arguments."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import rota
from tests.needs import need

need("typer", "cli")

import typer.main  # noqa: E402

from rota.cli.app import app  # noqa: E402
from rota.cli.wording import COMMANDS, OPTIONS, explained, in_commands  # noqa: E402
from rota.schedulers.base import BaseScheduler  # noqa: E402

#: The modules that raise what these commands show.
SHOWN = ("backfills", "changes", "governed", "manual_runs", "reruns")
NOT_CREATED = (
    " and create_tables is False; create them by your migrations (they are in the metadata that you pass as metadata=…), or let "
    "the store create them"
)
#: What the command line cannot do wrong.
UNREACHABLE = re.compile(r"reschedule_job\(id, trigger=|must be given one of tag=")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Run a@5#1 has not ended (claimed); cancel_run() stops it", "…; rota cancel stops it"),
        ("cannot be resumed; release() jobs among which it is now", "…; rota release jobs among which it is now"),
        ('got 5; get_runs("job") shows them, and run_job() runs it', "…; rota runs --job job shows them, and rota trigger runs it"),
        ('get_runs("it\'s one") shows them', "rota runs --job 'it'\"'\"'s one' shows them"),
        ("again by only_missing=False", "again by --all"),
        ("wait until that is done, or cancel_backfill() first", "wait until that is done, or rota backfill --cancel first"),
        (f"no job store of Rota at sqlite:///a: The tables b, c do not exist{NOT_CREATED}",
         "…: The tables b, c do not exist; a scheduler that is started on it makes what is missing"),
        ("There is nothing at etcd://a, and create is False", "…; a scheduler that is started on it makes what is missing"),
        ("4 is needed, and create_tables is False; start once with create_tables=True to migrate them",
         "4 is needed; a scheduler that is started on it migrates them"),
        ("Give another tablename, or restore them", "Give another --table, or restore them"),
        ("that they are Rota's; give another jobs_key", "that they are Rota's; give another --table"),
        ("hold() and release() must be given one", "rota hold and rota release must be given one"),
    ],
)  # fmt: skip
def test_calls_are_shown_as_commands(said, shown):
    assert in_commands(said).endswith(shown.removeprefix("…"))


@pytest.mark.parametrize(
    "text", ["", "no such job", "job.rerun() failed", "prerelease()", "rerun(5)", "only_missing=Falsehood"]
)
def test_what_is_no_call_of_a_scheduler_stays_as_it_is(text):
    assert in_commands(text) == text


def test_an_explanation_names_no_method_and_what_a_job_has_said_stays_as_it_is():
    said = "and no living node takes it: they are busy. health() and the log of a node name that."
    assert explained(said) == "and no living node takes it: they are busy. The log of a node names that."
    assert explained("It failed: ValueError: rerun() it") == "It failed: ValueError: rerun() it"


def test_each_call_is_a_method_and_each_command_and_option_is_there():
    known: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for method, command in COMMANDS.items():
        assert callable(getattr(BaseScheduler, method))
        name, *options = command.removeprefix("rota ").split()
        taken = {option for param in known[name].params for option in param.opts}
        assert set(options) <= taken, command
    taken = {option for param in known["backfill"].params for option in param.opts}
    assert set(OPTIONS.values()) <= taken


def test_no_error_that_commands_show_speaks_of_a_call():
    folder = Path(rota.__file__).parent / "schedulers"
    call = re.compile(r"\b[a-z_]+\(\S*\)|\b[a-z_]+=(True|False)\b")
    said = [
        "".join(
            part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "job"
            for part in (node.values if isinstance(node, ast.JoinedStr) else [node])
        )
        for name in SHOWN
        for raised in ast.walk(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8")))
        if isinstance(raised, (ast.Raise, ast.Return))
        for node in ast.walk(raised)
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    ]
    found = [text for text in said if call.search(text) and not UNREACHABLE.search(text)]
    assert len(found) > 5
    assert not [text for text in map(in_commands, found) if call.search(text)]
