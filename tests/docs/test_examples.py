"""Every file in ``examples`` runs as its docstring says, and shows what its docstring promises.

A docstring has a line ``Run:``; ``Output:`` names texts, separated by semicolons, that the program prints; ``Needs:`` names
what has to be installed; ``Server:`` names the server whose URL the program takes as its argument.
A new file is tested without being named here.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
#: run by `make run`, and tested with the command line
APART = {"main_job.py"}
#: import names of what the extras, or packages by another name, bring
MODULES = {
    "etcd": "etcd3gw",
    "gevent": "gevent",
    "mongodb": "pymongo",
    "qt": "PySide6",
    "sql": "sqlalchemy",
    "tornado": "tornado",
    "twisted": "twisted",
    "zookeeper": "kazoo",
}
#: what an example says under ``Server``: the fixture, and the URL of an example's own place on the server
SERVERS = {
    "etcd": ("etcd_server", "etcd://127.0.0.1:{port}/example"),
    "mongodb": ("secantusdb", "mongodb://127.0.0.1:{port}/example"),
    "redis": ("redis_server", "redis://127.0.0.1:{port}/0"),
    "zookeeper": ("zookeeper_server", "zookeeper://127.0.0.1:{port}/example"),
}


def field(path: Path, name: str) -> str:
    """Return what a docstring says under a heading, on its line and the indented ones after it."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    found = re.search(rf"^{name}:(.*(?:\n[ ]+.*)*)", docstring, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in EXAMPLES])
def test_the_docstring_says_how_to_run_it_and_what_it_shows(path: Path) -> None:
    assert f"python examples/{path.name}" in field(path, "Run") or path.name in APART
    assert field(path, "Output") or path.name in APART


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem) for path in EXAMPLES if path.name not in APART]
)
def test_the_example_runs_and_shows_what_it_promises(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for package in field(path, "Needs").partition(",")[0].removeprefix("pip install ").split():
        extra = re.sub(r".*\[(.*)\].*", r"\1", package)
        need(MODULES.get(extra, extra), extra)
    arguments = []
    if server := field(path, "Server"):
        fixture, url = SERVERS[server]
        arguments.append(url.format(port=request.getfixturevalue(fixture).port))
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
    }
    result = subprocess.run(
        [sys.executable, str(path), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    said = f"{path.name} ended with {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.returncode == 0, said
    assert "Traceback" not in result.stderr, said
    for promised in field(path, "Output").split(";"):
        assert promised.strip() in result.stdout, f"{promised.strip()!r} is missing: {said}"
