"""`make mutants`: which changes it makes, and that a loaded module behaves as its changed source says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.present import present

TOOL = Path(__file__).parents[2] / "scripts" / "mutants"
SOURCE = '''
"""A module."""
LIMIT = 10

def chosen(first, second=None):
    """Return something."""
    if first < LIMIT and not second:
        first += 1
        return first
    if second is None:
        raise ValueError(f"got {first - 1}")
    found = min(first, second)
    found = -found
    return found
'''


@pytest.fixture
def changes():
    spec = present(importlib.util.spec_from_file_location("changes", TOOL / "changes.py"))
    module = sys.modules["changes"] = importlib.util.module_from_spec(spec)
    present(spec.loader).exec_module(module)
    yield module
    del sys.modules["changes"]


def test_a_source_is_changed_in_each_of_its_places(changes, tmp_path):
    file = tmp_path / "module.py"
    file.write_text(SOURCE)
    assert [(change.line, change.text) for change in changes.changes_of([tmp_path])] == [
        (3, "LIMIT = 10  →  LIMIT = 11"),
        (3, "LIMIT = 10  →  LIMIT = 9"),
        (7, "first < LIMIT and (not second)  →  not (first < LIMIT and (not second))"),
        (7, "first < LIMIT and (not second)  →  first < LIMIT or not second"),
        (7, "first < LIMIT  →  first <= LIMIT"),
        (7, "first < LIMIT  →  first >= LIMIT"),
        (7, "not second  →  second"),
        (8, "first += 1  →  left out"),
        (8, "first += 1  →  first -= 1"),
        (8, "first += 1  →  first += 2"),
        (8, "first += 1  →  first += 0"),
        (9, "return first  →  return"),
        (10, "second is None  →  second is not None"),
        (11, "raise ValueError(f'got {first - 1}')  →  left out"),
        (12, "found = min(first, second)  →  left out"),
        (12, "min(first, second)  →  max(first, second)"),
        (13, "found = -found  →  left out"),
        (13, "-found  →  found"),
        (14, "return found  →  return"),
    ]


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from changes import SOURCE, changes_of, put_in
from rota.core.room import FIRST_GUESS, Pace, ahead
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.transitions import may_claim
from tests.present import present

def put(file, text):
    (change,) = [change for change in changes_of([SOURCE / "rota" / file]) if change.text == text]
    put_in(change)

assert not may_claim(1, 1)
put("core/transitions.py", "running < limit  →  running <= limit")
assert may_claim(1, 1)
assert ahead(1, 100_000) == 1
put("core/room.py", "AHEAD = 100000  →  AHEAD = 99999")
assert ahead(1, 100_000) == 0
pace = Pace()
put("core/room.py", "fresh > 0  →  fresh <= 0")
pace.update(10, 10)
assert pace.average == FIRST_GUESS
put("core/room.py", "FIRST_GUESS = 25000  →  FIRST_GUESS = 25001")
assert FIRST_GUESS == 25001
assert with_options(DEFAULT_POLICY, {"on_lost": "rerun"}) == DEFAULT_POLICY
usual = "None, True, 1, None, 'rerun', {}, 0, None, None, None, None, SKIP, 0"
put("core/policy.py", f"{usual.format(3)}  →  {usual.format(4)}")
from rota.core import policy
assert policy.DEFAULT_POLICY.max_attempts == DEFAULT_POLICY.max_attempts == 4
assert policy._shared == {DEFAULT_POLICY.key(): DEFAULT_POLICY}
assert type(DEFAULT_POLICY) is policy.Policy
"""


@pytest.mark.thorough
def test_a_change_acts_in_the_module_and_where_it_was_imported_from_it():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(TOOL)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
