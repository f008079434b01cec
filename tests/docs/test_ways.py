"""What a reader looks for is found in two clicks from the README."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import rota
from rota import outcomes
from rota.schedulers.base import BaseScheduler

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def links_of(page: Path) -> set[Path]:
    """Return the pages to which a page leads."""
    targets = re.findall(r"\]\(([^)\s#]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


ONE = links_of(README)
TWO = ONE.union(*map(links_of, ONE))


def named(name: str, pages: set[Path]) -> bool:
    """Whether one of the pages has a name as code."""
    return any(re.search(rf"`[^`\n]*\b{name}\b", page.read_text(encoding="utf-8")) for page in pages)


def test_each_page_is_two_clicks_away():
    apart = {"adr", "pictures"}
    pages = {path for path in (ROOT / "docs").rglob("*.md") if path.parent.name not in apart}
    assert {path.relative_to(ROOT).as_posix() for path in pages - TWO} == set()


def test_each_option_of_a_job_is_on_the_first_page_that_one_opens():
    options = set(inspect.signature(BaseScheduler.add_job).parameters) - {"self", "trigger_args"}
    guide = {ROOT / "docs" / "guide.md"}
    assert {name for name in options if not named(name, guide)} == set()


def test_what_a_job_may_raise_and_what_programs_may_call_is_two_clicks_away():
    raised = {name for name in outcomes.__all__ if hasattr(rota, name)}
    methods = {name for name, _ in inspect.getmembers(BaseScheduler, inspect.isfunction) if name[0] != "_"}
    assert len(raised) > 3
    assert {name for name in raised | methods if not named(name, TWO)} == set()
