"""Programs written for APScheduler 3 run on Rota: after one search-and-replace of the package name, and as they stand by the alias.

Each file in ``programs`` is such a program. It asserts its own results and ends by printing ``done``. All of them have
been run on APScheduler 3.11.3 as they stand, so that they are true programs and not wishes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
LIBRARIES = {
    "gevent_greenlet": ("gevent", "gevent"),
    "qt_application": ("PySide6", "qt"),
    "tornado_loop": ("tornado", "tornado"),
    "twisted_reactor": ("twisted", "twisted"),
    "callables": ("sqlalchemy", "sql"),
    "configuration_forms": ("sqlalchemy", "sql"),
    "replacing": ("sqlalchemy", "sql"),
    "sqlite_restart": ("sqlalchemy", "sql"),
    "stores_overridden": ("sqlalchemy", "sql"),
}


@pytest.mark.parametrize("program", [pytest.param(path, id=path.stem) for path in PROGRAMS])
def test_the_program_runs_after_the_search_and_replace(program: Path, tmp_path: Path) -> None:
    text = program.read_text(encoding="utf-8")
    assert "apscheduler" in text, "a program that does not use the scheduler shows nothing"
    script = tmp_path / program.name
    script.write_text(text.replace("apscheduler", "rota"), encoding="utf-8")
    run(program, script.name, folder=tmp_path)


@pytest.mark.parametrize("program", [pytest.param(path, id=path.stem) for path in PROGRAMS])
def test_the_program_runs_as_it_stands_by_the_alias(program: Path, tmp_path: Path) -> None:
    run(program, "-m", "rota.as_apscheduler", str(program), folder=tmp_path)


def run(program: Path, *arguments: str, folder: Path) -> None:
    if program.stem in LIBRARIES:
        need(*LIBRARIES[program.stem])
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert result.returncode == 0, (
        f"{program.name} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
    )
    assert result.stdout.splitlines()[-1:] == ["done"], result.stdout
