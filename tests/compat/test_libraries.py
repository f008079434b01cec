"""Libraries that were written for APScheduler live on Rota by the alias as they live on APScheduler 3.11.3.

Each file in ``libraries`` is the ordinary life of one library: it prints what came of it as JSON. It is run twice in the same
environment: on the APScheduler that is installed there, and by ``python -m rota.as_apscheduler``, which shadows it. What came of
it must be the same, but for ``INTENDED``. The environments are made by the Makefile, once.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.compat.environments import ROOT, environment

LIBRARIES = Path(__file__).parent / "libraries"
PROGRAMS = sorted(LIBRARIES.glob("*.py"))
#: What differs on purpose: the program, the name of the value wherever it stands, what it is compared as, and why it differs.
INTENDED: dict[str, dict[str, tuple[Any, str]]] = {
    "flask_app": {
        "start_date": (
            datetime.fromisoformat,
            "a trigger shows its times in its own zone, not in the one in which they were given",
        ),
        "grace": ((1, None).count, "by default no run is too late; APScheduler dropped it after a second"),
    },
}


def life(python: Path, program: Path, folder: Path, *arguments: str) -> Any:
    """Run a program, and return what it tells."""
    folder.mkdir()
    result = subprocess.run(
        [str(python), *arguments, str(program)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, (
        f"{program.name} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
    )
    return json.loads(result.stdout)


def comparable(told: Any, intended: dict[str, tuple[Any, str]]) -> Any:
    """Return what a program told, with what differs on purpose in the form that is compared."""
    if isinstance(told, dict):
        return {
            key: intended[key][0](value) if key in intended else comparable(value, intended)
            for key, value in told.items()
        }
    return [comparable(one, intended) for one in told] if isinstance(told, list) else told


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("program", [pytest.param(path, id=path.stem) for path in PROGRAMS])
def test_the_library_lives_by_the_alias_as_it_lives_on_apscheduler(program: Path, tmp_path: Path) -> None:
    python = environment(program.stem)
    real = life(python, program, tmp_path / "real")
    assert len(real) > 5, real
    alias = life(python, program, tmp_path / "alias", "-m", "rota.as_apscheduler")
    intended = INTENDED.get(program.stem, {})
    assert comparable(alias, intended) == comparable(real, intended)


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("name", ["flask_app", "telegram_bot"])
def test_the_library_lives_where_apscheduler_is_not_installed(name: str, tmp_path: Path) -> None:
    python = environment("alone")
    absent = subprocess.run(
        [str(python), "-c", "import apscheduler"], capture_output=True, check=False, timeout=60
    )
    assert absent.returncode == 1 and b"ModuleNotFoundError" in absent.stderr
    told = life(python, LIBRARIES / f"{name}.py", tmp_path / "alias", "-m", "rota.as_apscheduler")
    assert len(told) > 5, told
