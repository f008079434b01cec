"""The types of the public interface, as the type checkers of programs see them: uses pass, each misuse is found where it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
USES, MISUSES = HERE / "uses.py", HERE / "misuses.py"


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT / "src"), "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def found_by_mypy() -> set[tuple[str, int]]:
    # Without our configuration: programs have another.
    told = run(
        "mypy",
        "--config-file",
        os.devnull,
        "--strict",
        "--no-error-summary",
        "--explicit-package-bases",
        str(USES),
        str(MISUSES),
    )
    return {
        (Path(name).name, int(line)) for name, line in re.findall(r"^(\S+?):(\d+): error", told, re.MULTILINE)
    }


def found_by_pyright() -> set[tuple[str, int]]:
    need("pyright", "dev")
    told = json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, str(USES), str(MISUSES)))
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1)
        for one in told["generalDiagnostics"]
        if one["severity"] == "error"
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [found_by_mypy, found_by_pyright])
def test_a_checker_finds_each_misuse_and_nothing_else(checker) -> None:
    lines = MISUSES.read_text(encoding="utf-8").splitlines()
    wrong = {(MISUSES.name, number) for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert len(wrong) > 20
    assert checker() == wrong
