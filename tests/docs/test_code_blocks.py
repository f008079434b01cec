"""Every ``python`` block of the README and of the pages in ``docs`` runs; the blocks of a page share one namespace.

A page runs in a process and a folder of its own, so that no page leans on another. Line numbers of failures are the page's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: what a program that names it needs: the module and the extra that brings it
LIBRARIES = {
    "gevent": ("gevent", "gevent"),
    "rrule": ("dateutil", "rrule"),
    "sqlalchemy": ("sqlalchemy", "sql"),
    "tornado": ("tornado", "tornado"),
    "twisted": ("twisted", "twisted"),
}


def blocks_as_program(page: Path) -> str:
    """Return the blocks of a page as one program in which every line has the number that it has on the page."""
    text = page.read_text(encoding="utf-8")
    program: list[str] = []
    for block in BLOCK.finditer(text):
        before = text.count("\n", 0, block.start(1))
        program += [""] * (before - len(program))
        program += block[1].splitlines()
    return "\n".join(program)


PROGRAMS = {page: blocks_as_program(page) for page in PAGES}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page, program in PROGRAMS.items()
        if program.strip()
    ],
)
def test_the_code_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    program = PROGRAMS[page]
    for name, (library, extra) in LIBRARIES.items():
        if name in program:
            need(library, extra)
    # The name of the page is what tracebacks show; the module is the main one, as it is for a reader who tries it.
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    said = f"{page.name} ended with {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.returncode == 0, said
    assert "Traceback" not in result.stderr, said


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_the_links_of_the_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        if "://" in target:
            continue
        found = page.parent / path if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if heading and found.suffix == ".md":
            assert heading in headings_of(found), f"{page.name} links to {target}"


def headings_of(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


def test_both_readmes_hold_the_same_code() -> None:
    english, vietnamese = (
        [
            re.sub(r"#.*|\"\"\".*?\"\"\"", "", block)
            for block in BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))
        ]
        for name in ("README.md", "README.vi.md")
    )
    assert english == vietnamese
