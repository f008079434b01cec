"""`rota migrate`: which files it finds, how it writes them, and what it says."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.cli.processes import rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")

PROGRAM = "from apscheduler.schedulers.background import BackgroundScheduler\n"
DATA = Path(__file__).parents[1] / "data" / "apscheduler3"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        "app/jobs.py": PROGRAM,
        "app/README.md": "import apscheduler\n",
        "app/tool": f"#!/usr/bin/env python3\n{PROGRAM}",
        "requirements.txt": "APScheduler[sqlalchemy]>=3.10,<4\n",
        ".git/hook.py": PROGRAM,
        ".venv/pyvenv.cfg": "",
        ".venv/lib.py": PROGRAM,
        "env/pyvenv.cfg": "",
        "env/lib.py": PROGRAM,
        "node_modules/x.py": PROGRAM,
        ".ruff_cache/x.py": PROGRAM,
        "src/__pycache__/x.py": PROGRAM,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_shows_a_diff_and_writes_nothing(capsys, project):
    before = contents(project)
    code, out, err = rota(capsys, "migrate", ".", "--dry-run")
    assert code == 0
    assert f"--- a/app/jobs.py\n+++ b/app/jobs.py\n@@ -1 +1 @@\n-{PROGRAM}+from rota.schedulers" in out
    assert "-APScheduler[sqlalchemy]>=3.10,<4\n+rota[sql]\n" in out
    assert "3 places in 3 files to be changed; nothing was written" in err
    assert contents(project) == before


def test_the_projects_own_files_are_changed_and_a_second_time_nothing(capsys, project):
    before = contents(project)
    code, _, err = rota(capsys, "migrate", ".")
    assert code == 0
    assert "3 places in 3 files changed" in err
    after = contents(project)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {str(Path("app/jobs.py")), str(Path("app/tool")), "requirements.txt"}
    assert after.keys() == before.keys()
    code, out, err = rota(capsys, "migrate", ".")
    assert (code, out, err) == (0, "", "there is nothing to change\n")


def test_files_are_told_by_json(capsys, project):
    (project / "app" / "old.py").write_text("print 'apscheduler'\n")
    code, out, _ = rota(capsys, "migrate", "app", "app/jobs.py", "--json", "--dry-run")
    assert code == 1
    told = json.loads(out)
    assert told["written"] is False
    assert [(Path(file["path"]).name, file["changes"]) for file in told["files"]] == [
        ("jobs.py", 1),
        ("tool", 1),
    ]
    assert "+from rota.schedulers" in told["files"][0]["diff"]
    (remark,) = told["remarks"]
    assert (remark["line"], remark["kind"]) == (1, "look")
    assert "does not parse it" in remark["text"]


def test_permissions_stay(capsys, project):
    if os.name == "nt":
        pytest.skip("there are no such modes")
    tool = project / "app" / "tool"
    tool.chmod(0o754)
    assert rota(capsys, "migrate", "app")[0] == 0
    assert stat.S_IMODE(tool.stat().st_mode) == 0o754
    assert "rota" in tool.read_text()


def test_links_are_not_followed_out_of_the_path(capsys, project):
    try:
        (project / "app" / "link.py").symlink_to(project / "requirements.txt")
        (project / "app" / "folder").symlink_to(project / "node_modules", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert rota(capsys, "migrate", "app")[0] == 0
    assert (project / "app" / "link.py").is_symlink()
    assert "APScheduler" in (project / "requirements.txt").read_text()
    assert (project / "node_modules" / "x.py").read_text() == PROGRAM


def test_a_link_that_is_named_itself_leads_to_its_file_and_stays_a_link(capsys, project):
    link = project / "link.py"
    try:
        link.symlink_to(project / "app" / "jobs.py")
    except OSError:
        pytest.skip("links cannot be made here")
    assert rota(capsys, "migrate", "link.py")[0] == 0
    assert link.is_symlink()
    assert link.read_text() == PROGRAM.replace("apscheduler", "rota")


def test_a_file_that_cannot_be_written_stays_whole_and_is_told(capsys, project, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rota.cli.migrate.os.replace", full)
    code, _, err = rota(capsys, "migrate", "app/jobs.py")
    assert code == 1
    assert "jobs.py:1: it was not written: No space left on device" in err
    assert "there is nothing to change" not in err
    assert contents(project / "app")["jobs.py"] == PROGRAM.encode()
    assert sorted(contents(project / "app")) == ["README.md", "jobs.py", "tool"]


def test_a_path_that_is_not_there_is_an_error(capsys, project):
    assert rota(capsys, "migrate", "nowhere") == (1, "", "error: there is no file or folder nowhere\n")


def test_libraries_are_told_unless_they_are_what_is_changed(capsys, project):
    (project / "web.py").write_text("from flask_apscheduler import APScheduler\nimport apscheduler_di\n")
    code, _, err = rota(capsys, "migrate", "web.py")
    assert code == 0
    assert "flask_apscheduler imports APScheduler itself" in err
    (project / "flask_apscheduler").mkdir()
    (project / "flask_apscheduler" / "__init__.py").write_text(PROGRAM)
    err = rota(capsys, "migrate", ".")[2]
    assert "flask_apscheduler" not in err
    assert "apscheduler_di" in err


def test_modules_of_the_project_that_have_the_name_of_a_package_are_told(capsys, project):
    (project / "app" / "rota.py").write_text("WEEK = 1\n")
    (project / "app" / "apscheduler").mkdir()
    (project / "app" / "apscheduler" / "__init__.py").write_text("")
    code, _, err = rota(capsys, "migrate", "app", "--dry-run")
    assert code == 1
    assert "rota.py:1: a module of this project has the name of a package" in err
    assert "__init__.py:1: a module of this project has the name of a package" in err


def test_stores_are_named_with_the_command_and_not_opened(capsys, project):
    store = "SQLAlchemyJobStore(url='sqlite:///app/jobs.sqlite')\n"
    (project / "store.py").write_text(
        f"from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore\n{store * 2}"
    )
    err = rota(capsys, "migrate", "store.py")[2]
    assert err.count("rota import apscheduler sqlite:///app/jobs.sqlite --to sqlite:///app/jobs.sqlite") == 1
    assert "connects to no store" in err
    assert not (project / "app" / "jobs.sqlite").exists()


def test_the_jobs_in_a_store_that_is_given_are_counted(capsys, project):
    need("sqlalchemy", "sql")
    with sqlite3.connect(project / "old.sqlite") as db:
        db.executescript((DATA / "sqlite-3.11.3.sql").read_text())
    db.close()
    code, _, err = rota(
        capsys, "migrate", "app", "--store", "sqlite:///old.sqlite", "--store", "sqlite:///none.sqlite"
    )
    assert code == 0
    assert (
        "10 jobs of APScheduler in sqlite:///old.sqlite; take them over: rota import apscheduler sqlite:///old.sqlite"
        in err
    )
    assert "no jobs were found: There is no file none.sqlite" in err


def test_what_is_shown_of_a_file_is_shown_only(capsys, project):
    (project / "app" / "jobs.py").write_text(
        f"{PROGRAM}x = 'apscheduler\x1b[2J' + '\u202e'\n", encoding="utf-8"
    )
    out = "".join(rota(capsys, "migrate", "app/jobs.py")[1:])
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2J" in out
