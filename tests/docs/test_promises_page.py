"""The page of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in (ROOT / "tests", ROOT / "src" / "rota" / "testing")
    for path in folder.rglob("*.py")
)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_test_that_the_page_names_exists(name):
    assert re.search(rf"^ +def {name}\(|^(?:async )?def {name}\(", SOURCES, re.MULTILINE), name


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/\S+\.py)`", PAGE))))
def test_a_file_that_the_page_names_exists(path):
    assert (ROOT / path).is_file()


def test_every_row_names_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert len(rows) > 20
    assert all("`test" in row for row in rows if not row.startswith("| limit"))
