"""What comes from stores, files and users cannot act on the terminal: it is shown as an escape, also in a pipe."""

from __future__ import annotations

import io
import json
import logging
import re
from datetime import UTC
from pathlib import Path
from threading import Event
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.states import FAILED
from rota.events import EVENT_JOB_ERROR
from rota.schedulers.background import BackgroundScheduler
from tests.cli.processes import LIMIT, rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")
need("sqlalchemy", "sql")

from rich.console import Console  # noqa: E402

from rota import cli  # noqa: E402
from rota.cli.escaping import escaped, escaped_json, escaped_lines  # noqa: E402
from rota.cli.live import LiveReport, Snapshot  # noqa: E402
from rota.cli.reports import JsonReport, PlainReport  # noqa: E402
from rota.cli.running import _Escaping  # noqa: E402

#: clears the screen, changes the title, colours (also as one byte), goes back, turns around, breaks the line
EVIL = "a\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\b\r\u202egnp\u2066\u200b\ufeff\u2028x\nerror: b\tc\U000e0041"
SHOWN = "a\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\x7f\\x08\\r\\u202egnp\\u2066\\u200b\\ufeff\\u2028x\\nerror: b\\tc\\U000e0041"


def is_harmless(text: str) -> bool:
    return all(char.isprintable() or char == "\n" or category(char) == "Zs" for char in text)


# -- the function ----------------------------------------------------------------------------------------------------


def test_what_shows_nothing_is_written_as_an_escape():
    assert escaped(EVIL) == SHOWN
    assert escaped("Việt Nam 日本\u3000語 ✓ \xa0é") == "Việt Nam 日本\u3000語 ✓ \xa0é"
    assert escaped("\ud800\0") == "\\ud800\\x00"


def test_a_line_that_follows_cannot_look_like_a_message_of_its_own():
    assert escaped_lines("error: a\nerror: b\x1b", "  ") == "error: a\n  error: b\\x1b"


@given(st.text(st.characters(codec=None)))
def test_no_text_keeps_a_character_that_acts(text):
    assert is_harmless(escaped(text))
    assert "\n" not in escaped(text)
    assert is_harmless(escaped_lines(text))


@given(
    st.recursive(
        st.text(st.characters(codec=None)), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_means_the_same_and_keeps_none_either(value):
    for indent in (None, 2):
        text = escaped_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert is_harmless(text)
        assert json.loads(text) == value


def test_everything_is_printed_by_way_of_that_function():
    found = {
        f"{path.name}: {line.strip()}"
        for path in Path(cli.__file__).parent.glob("*.py")
        if path.name not in ("output.py", "printed.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(?<!\.)\bprint\(|sys\.std(?:out|err)\.write|\becho\(", line)
    }
    assert found == {
        "__init__.py: print(f\"error: {MissingExtraError('The command line', 'cli')}\", file=sys.stderr)",
        'app.py: print(f"rota {__version__}")',
        r'ledger.py: print("\x1b[H\x1b[2J", end="")',
        'importing.py: print("Write this? [y/N] ", end="", flush=True)',
    }


# -- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path):
    """A store in which every text that somebody may choose is evil."""
    url = f"sqlite:///{tmp_path / 'rota.sqlite'}"
    scheduler = BackgroundScheduler(jobstores={"default": url}, timezone="UTC")
    scheduler.start(paused=True)

    scheduler.add_job("builtins:len", "interval", args=[[1]], hours=1, id=EVIL, name=EVIL, executor="default")
    scheduler.add_job("builtins:len", "interval", args=[[1]], hours=1, id="f" * 32, name=EVIL)
    scheduler.shutdown()
    import sqlite3

    with sqlite3.connect(tmp_path / "rota.sqlite") as db:
        db.execute("UPDATE rota_jobs SET func = ?", [f"a:{EVIL}"])
        db.execute("UPDATE rota_jobs SET state = 'quarantined', error = ?", [EVIL])
        for number, id in enumerate((EVIL, "f" * 32)):
            db.execute(
                "INSERT INTO rota_runs (job_id, nominal, last, times, due, attempt, status, reason, owner, executor, claimed, "
                "error_type, error, name, func, started, finished) "
                "VALUES (?, ?, 5, 1, 5, 1, ?, ?, ?, ?, 5, ?, ?, ?, ?, 5, 6)",
                [id, number, FAILED, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL],
            )
    db.close()
    return url


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize(
    "command",
    [
        ["jobs"],
        ["runs"],
        ["pause", "id"],
        ["resume", "id"],
        ["trigger", "id"],
        ["remove", "id"],
        ["remove", "no\x1b[2J"],
    ],
)
def test_no_command_prints_what_a_store_holds_as_it_is(capsys, url, command, options):

    code, out, err = rota(capsys, "-s", url, *(EVIL if word == "id" else word for word in command), *options)
    assert is_harmless(out), out
    assert is_harmless(err), err
    assert "\\x1b[2J" in out + err or "\\u001b[2J" in out
    assert not any(line.startswith("error: b") for line in (out + err).splitlines())
    if options and code == 0:
        json.loads(out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["next", "cr\x1b[2Jon:hour=3"],
        ["explain", "0 0 \x1b[2J * *"],
        ["-s", "sqlite:///no\x1b[2J.sqlite", "jobs"],
        ["run", "no\x1b[2J.py"],
        ["nothing\x1b[2J"],
        ["jobs", "--nothing\x1b[2J"],
    ],
)
def test_what_is_typed_is_not_printed_as_it_is(capsys, arguments):
    code, out, err = rota(capsys, *arguments)
    assert code in (1, 2)
    assert "\x1b" not in out + err


# -- rota run --------------------------------------------------------------------------------------------------------


def fail():
    raise ValueError(EVIL)


@pytest.mark.parametrize("kind", [PlainReport, JsonReport])
def test_the_reports_of_rota_run_print_no_text_as_it_is(capsys, kind):
    scheduler = BackgroundScheduler(timezone="UTC", executors={"default": {"type": "debug"}})
    report = kind(UTC, lambda: None)
    report.attach(scheduler, "app.py")
    over = Event()
    scheduler.add_listener(lambda event: over.set(), EVENT_JOB_ERROR)
    scheduler.start()
    scheduler.add_job(fail, id=EVIL, name=EVIL)
    assert over.wait(LIMIT)
    scheduler.shutdown()
    report.note(EVIL)
    out, err = capsys.readouterr()
    assert is_harmless(out)
    assert is_harmless(err)
    assert "owned" in out
    assert "owned" in err


def test_the_live_view_shows_no_text_as_it_is():
    scheduler = BackgroundScheduler(timezone="UTC", executors={"default": {"type": "debug"}})
    written = io.StringIO()
    console = Console(file=written, width=300, height=50, force_terminal=False)
    report = LiveReport(UTC, lambda: None, console)
    report.attach(scheduler, EVIL)
    scheduler.start()
    scheduler.add_job(fail, id=EVIL, name=EVIL)
    scheduler.add_job(fail, "interval", hours=1, id=f"{EVIL}2", name=EVIL)
    report._printed.add(None, f"\x1b[31mred\x1b[0m {EVIL}")
    report._status = "fine"
    try:
        console.print(report.render(Snapshot(scheduler, 100), 300, 50))
    finally:
        scheduler.shutdown()
    text = written.getvalue()
    assert is_harmless(text)
    assert "owned" in text
    assert "red a\\x1b[2J" in text


def test_a_line_of_the_log_is_escaped_and_keeps_the_lines_of_its_traceback():
    try:
        fail()
    except ValueError:
        import sys

        record = logging.LogRecord("rota", logging.ERROR, "f", 1, "Job %s raised", (EVIL,), sys.exc_info())
    text = _Escaping("%(message)s").format(record)
    assert is_harmless(text)
    assert text.splitlines()[1].strip() == "error: b\\tc\\U000e0041 raised"
    assert "\n  Traceback" in text
