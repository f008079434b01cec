"""The pictures of the docs show what the triggers answer and what the records say, also to who cannot see them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.needs import need

ROOT = Path(__file__).parents[2]
TIMELINES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
#: the alternative texts of the pictures that pages show, by name
SHOWN = {
    name: words
    for page in sorted((ROOT / "docs").glob("*.md"))
    for words, name in re.findall(
        r"!\[([^\]]*)\]\(pictures/([\w-]+\.svg)\)", page.read_text(encoding="utf-8")
    )
}


def made_by(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command, "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_pictures_of_clock_changes_are_up_to_date() -> None:
    done = made_by("scripts/dst_pictures.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_timelines_of_the_policies_are_those_of_runs_that_are_made_now() -> None:
    need("sqlalchemy", "sql")
    done = made_by("-m", "scripts.timelines")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in TIMELINES])
def test_a_timeline_is_legible_wherever_it_is_shown(path: Path) -> None:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert int(root.attrib["width"]) <= 900
    assert len(root.findall(f"{SVG}text")) > 10  # texts are texts, which can be searched and read out
    assert "prefers-color-scheme: dark" in str(root.findtext(f"{SVG}style"))
    assert SHOWN[path.name] == root.attrib["aria-label"]


def test_each_timeline_that_a_page_shows_is_there() -> None:
    assert sorted(SHOWN) == [path.name for path in TIMELINES]
