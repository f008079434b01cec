"""The command line as a whole: how it is started, its help, completion, and options before and behind the command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rota.schedulers.background import BackgroundScheduler
from tests.cli.processes import LIMIT, environment, rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")

COMMANDS = (
    "run",
    "jobs",
    "runs",
    "pause",
    "resume",
    "trigger",
    "remove",
    "sign",
    "next",
    "explain",
    "import apscheduler",
)


def python(*arguments, folder=None, encoding="utf-8", **variables):
    """Run Python with arguments and return what came of it."""
    env = environment(**variables)
    if folder is not None:
        env["PYTHONPATH"] = f"{folder}:{env['PYTHONPATH']}"
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        capture_output=True,
        encoding=encoding,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize("module", ["rota", "rota.cli"])
def test_the_package_can_be_run_as_a_module(module):
    done = python("-m", module, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rota 0.")


def test_as_a_module_without_its_libraries_it_says_what_to_install(tmp_path):
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module named typer', name='typer')\n")
    done = python("-m", "rota", "jobs", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'rota[cli]'" in done.stderr


@pytest.mark.parametrize("command", ["", "import", *COMMANDS])
def test_flags_have_no_type_in_the_help(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = rota(capsys, *command.split(), "--help")
    assert code == 0
    assert "--help" in out
    assert "bool" not in out.lower()


def test_completion_can_be_installed_and_completes_commands():
    shown = python("-m", "rota", "--show-completion", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "--show-completion" in python("-m", "rota", "--help").stdout
    assert "--install-completion" in python("-m", "rota", "--help").stdout
    assert "Traceback" not in shown.stderr
    done = python("-m", "rota", _ROTA_COMPLETE="complete_bash", COMP_WORDS="rota ru", COMP_CWORD="1")
    assert done.stdout.split() == ["run", "runs", "run-info"]


def test_the_table_is_named_before_the_command_or_behind_it(capsys, tmp_path):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path / 'rota.sqlite'}"
    scheduler = BackgroundScheduler(jobstores={"default": {"url": url, "tablename": "tasks"}}, timezone="UTC")
    scheduler.start(paused=True)
    scheduler.add_job("builtins:len", "interval", args=[[]], hours=1, id="there")
    scheduler.shutdown()
    for arguments in (
        ("-s", url, "--table", "tasks", "jobs"),
        ("-s", url, "jobs", "--table", "tasks"),
        ("-s", url, "--table", "others", "jobs", "--table", "tasks"),
    ):
        code, out, err = rota(capsys, *arguments, "--json")
        assert (code, err) == (0, "")
        assert [job["id"] for job in json.loads(out)] == ["there"]
    assert rota(capsys, "-s", url, "--table", "tasks", "pause", "there")[0] == 0
    assert rota(capsys, "-s", url, "jobs")[0] == 1  # what was given once is not remembered


def test_a_table_without_a_store_is_a_mistake(capsys, tmp_path):
    (tmp_path / "crontab").write_text("0 3 * * * true\n")
    code, _, err = rota(capsys, "run", str(tmp_path / "crontab"), "--table", "tasks")
    assert code == 2
    assert "--jobstore" in err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_the_output_cannot_show_are_escaped(tmp_path, encoding):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path / 'rota.sqlite'}"
    scheduler = BackgroundScheduler(jobstores={"default": {"url": url}}, timezone="UTC")
    scheduler.start(paused=True)
    scheduler.add_job("builtins:len", "cron", args=[[]], hour=3, id="đêm-\U0001f319", name="báo cáo")
    scheduler.shutdown()
    variables = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for command in (
        ["jobs"],
        ["trigger", "đêm-\U0001f319"],
        ["runs"],
        ["next", "0 9 * * *"],
        ["pause", "\U0001f319"],
    ):
        done = python("-m", "rota", "-s", url, *command, encoding=encoding, **variables)
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert done.returncode == (command[0] == "pause"), (command, done.stderr)
    done = python("-m", "rota", "-s", url, "jobs", "--json", encoding=encoding, **variables)
    assert [job["id"] for job in json.loads(done.stdout)] == ["đêm-\U0001f319"]
    done = python("-m", "rota", "explain", "0 9 * * *", "-l", "vi", encoding=encoding, **variables)
    assert (done.returncode, done.stderr) == (0, "")
