"""The table of the pairs of policies is whole, its tests exist, and the page for readers says the same.

`python -m tests.core.test_policy_pairs` writes the page anew.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

from tests.core.policy_pairs import APART, CELLS, OVERLAPS, SUBJECTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "policies.md"

HEAD = """\
# When policies meet

What happens when two of them meet in one job: each pair once, under the one that comes first on this page. Each sentence about
something that happens is proved by tests; which ones says `tests/core/policy_pairs.py`, from which this page is written.

*Under way* is a run that a node has claimed. A retry, a snoozed run and what was asked for *wait* until their time has come.
"""


def pairs_of(cell):
    """Return the pairs that a cell is about, each in the order of the page."""
    order = list(SUBJECTS)
    first, second = cell[0].split(), cell[1].split()
    return [tuple(sorted((one, other), key=order.index)) for one in first for other in second]


def wanted():
    """Return every pair that may meet: a job has one value of `overlap`."""
    return [pair for pair in combinations(SUBJECTS, 2) if not set(pair) <= set(OVERLAPS)]


def page():
    """Return the text of the page for readers."""
    parts = [HEAD]
    for subject, (name, link) in SUBJECTS.items():
        rows = []
        for cell in CELLS:
            others = [second for first, second in pairs_of(cell) if first == subject]
            if others:
                rows.append(f"| {', '.join(SUBJECTS[other][0] for other in others)} | {cell[2]} |")
        if rows:
            title = f"{name[0].upper()}{name[1:]}"
            parts.append(
                f"## {title}\n\nMore of it: [{link.partition('#')[0]}]({link}).\n\n| and | what happens |\n|---|---|"
            )
            parts[-1] += "".join(f"\n{row}" for row in rows) + "\n"
    return "\n".join(parts)


def test_each_pair_has_one_cell():
    counted = Counter(pair for cell in CELLS for pair in pairs_of(cell))
    assert [pair for pair, count in counted.items() if count > 1] == []
    assert [pair for pair in wanted() if pair not in counted] == []
    assert [pair for pair in counted if pair not in wanted()] == []


def test_each_test_that_proves_a_cell_exists():
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in (ROOT / "tests", ROOT / "src" / "rota" / "testing")
        for path in folder.rglob("*.py")
    )
    known = set(re.findall(r"^ *(?:async )?def (test_\w+)\(", sources, re.MULTILINE))
    named = {name for cell in CELLS for name in cell[3].split()}
    assert sorted(named - known) == []


def test_a_cell_in_which_something_happens_names_a_test():
    assert [cell[:2] for cell in CELLS if not cell[3] and not cell[2].startswith(APART)] == []


def test_each_cell_is_a_sentence():
    assert [cell[2] for cell in CELLS if not cell[2].endswith(".") or "|" in cell[2]] == []


def test_the_page_for_readers_says_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.core.test_policy_pairs writes it anew"


def test_the_pages_that_the_page_leads_to_exist():
    for _, link in SUBJECTS.values():
        path, _, title = link.partition("#")
        text = (PAGE.parent / path).read_text(encoding="utf-8")
        titles = [
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
            for line in text.splitlines()
            if line[:1] == "#"
        ]
        assert not title or title in titles, link


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
