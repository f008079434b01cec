"""The page on the architecture names files and functions; each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rota"
PAGES = [ROOT / "docs" / "architecture.md", *sorted((ROOT / "docs" / "adr").glob("*.md"))]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_the_files_and_functions_that_the_page_names_exist(page: Path) -> None:
    files = [f"/{path.relative_to(SOURCE)}" for path in SOURCE.rglob("*.py")]
    files += [f"/{path.relative_to(ROOT)}" for path in (ROOT / "tests").rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    missing = []
    for name in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
        called = re.fullmatch(r"[\w./]*?(\w+)\(.*\)", name)
        if re.fullmatch(r"[\w/]+\.py|[\w/]+/", name):
            found = any(file.endswith(f"/{name}") or f"/{name}" in f"{file}/" for file in files)
        elif called:
            found = bool(re.search(rf"def {called[1]}\b", code)) or called[1] == "now"
        else:
            continue
        if not found:
            missing.append(name)
    assert not missing, f"{page.name} names what the project does not have: {missing}"


def test_each_module_is_found_on_the_page() -> None:
    page = PAGES[0].read_text(encoding="utf-8")
    names = {path.name for path in SOURCE.rglob("*.py")} - {"__init__.py", "__main__.py", "version.py"}
    assert [name for name in sorted(names) if f"/{name}" not in page and f"`{name}" not in page] == []
