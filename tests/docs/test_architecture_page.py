"""The pages on the architecture and on working here name files, functions, commands and marks; each of them exists."""

from __future__ import annotations

import re
import tomllib
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


# ---------------------------------------------------------------------------------------------------- CONTRIBUTING.md


def contributing() -> str:
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_files_that_contributing_names_exist() -> None:
    paths = re.findall(r"`((?:src|tests|docs|benchmarks|examples|scripts|\.ci)/?[\w./-]*)`", contributing())
    assert len(paths) > 25
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_commands_that_contributing_names_are_those_of_the_makefile() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`(?:PYTHON=\S+ )?make ([a-z][\w-]*)", contributing()))
    assert named <= targets
    listed = {
        line.split("`")[1].removeprefix("make ")
        for line in contributing().splitlines()
        if line.startswith("| `make ")
    }
    assert listed == targets - {"run"}, "the table of commands and the Makefile differ"


def test_the_marks_and_names_that_contributing_names_exist() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known = {mark.partition(":")[0] for mark in settings["tool"]["pytest"]["ini_options"]["markers"]}
    marks = set(re.findall(r"@pytest\.mark\.(\w+)", contributing()))
    assert marks - {"timeout", "parametrize"} == known
    variables = set(re.findall(r"\bROTA_\w+", contributing()))
    sources = [*(ROOT / "scripts").rglob("*"), *(ROOT / "tests").glob("*.py")]
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in sources if path.is_file())
    assert {name for name in variables if name not in text} == set()
    classes = set(re.findall(r"`(Base\w+|Durable\w+)`", contributing()))
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    assert classes and {name for name in classes if f"class {name}(" not in code} == set()
