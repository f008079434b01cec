"""Pages of the records of all jobs in a tree, where there are more than are looked at, by what jobs know of their newest one."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from rota.clock import SECOND, moment
from rota.codec.jobs import JobFormat
from rota.core.queries import RunQuery
from rota.core.states import WAITING
from rota.jobstores.tree import search
from rota.jobstores.tree.forms import recorded_in
from rota.jobstores.tree.search import wanted_of
from rota.jobstores.tree.store import TreeJobStore
from rota.testing.contracts.orders import asked_for
from rota.testing.contracts.store_jobs import START, claim, finish, make_job
from rota.testing.simulation.tree import MemoryTree


class Blind(MemoryTree):
    """A tree that has no values beside names, as a server where each costs a question."""

    def some_values(self, folder: str, limit: int) -> dict[str, str | None]:
        """Return names only."""
        return dict.fromkeys(self.after(folder, "", limit))


def filled(tree: type[MemoryTree], random: Random) -> Any:
    """Return a store with records of jobs that differ in how often they ran, and what became of them."""
    store = TreeJobStore(tree({}), "/pages", JobFormat(), None, None)
    store.start(None, "default")
    ids = [f"job{number:02}" for number in range(12)]
    for id in ids:
        every = random.choice([10, 20, 60, 600])
        store.add_job(make_job(id, START + random.randrange(60) * SECOND, every=every))
    store.add_jobs([make_job("never", None), make_job("left", START)])
    for second in range(0, 100, 20):
        now = START + second * SECOND
        runs = claim(store, now)
        left = [run for run in runs if random.random() < 0.1]
        finish(store, [run for run in runs if run not in left], now)
    store.remove_job("left")
    store.add_job(make_job("left", None))  # it does not know of its records
    store.open_runs([asked_for("never", START + 900 * SECOND, START + 77)], START)
    return store


def pages(store: Any, limit: int, query: RunQuery) -> list[tuple[int, str, str]]:
    """Return all records, read page by page."""
    found: list[tuple[int, str, str]] = []
    cursor = None
    while True:
        page = store.find_runs(query, limit, cursor)
        found += [(run.nominal, run.job_id, run.status) for run in page.items]
        assert all(run.name is not None for run in page.items if store.lookup_job(run.job_id) is not None)
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("tree", [MemoryTree, Blind])
@pytest.mark.parametrize("seed", range(3))
def test_pages_of_more_records_than_are_looked_at_have_all_of_them_in_their_order(
    tree: type[MemoryTree], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tree, Random(seed))
    queries = [
        RunQuery(),
        RunQuery(statuses="succeeded", since=moment(START + 10 * SECOND), until=moment(START + 70 * SECOND)),
    ]
    expected = [pages(store, 1000, query) for query in queries]
    assert len(expected[0]) > 20
    assert {status for *_, status in expected[0]} >= {"succeeded", WAITING}
    monkeypatch.setattr(search, "NAMES", 10)
    monkeypatch.setattr(search, "FEW", 2)
    monkeypatch.setattr(search, "PORTION", 5)
    for limit in (2, 7):
        assert [pages(store, limit, query) for query in queries] == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (json.dumps({"args": '"recorded":1', "recorded": 5, "waiting": 1}, separators=(",", ":")), 5),
        (json.dumps({"args": '\\"recorded":1,', "recorded": -(2**62)}, separators=(",", ":")), -(2**62)),
        (json.dumps({"args": '"recorded":1', "recorded": None}, separators=(",", ":")), None),
        ('{"recorded": 5}', None),  # not as it is written
        ('{"recorded":99999999999999999999}', None),
        ('{"recorded":9999999999999999999}', None),
        ("", None),
    ],
)
def test_what_a_job_knows_of_its_newest_record_is_read_past_its_texts(text: str, at: int | None) -> None:
    assert recorded_in(text) == at


@pytest.mark.parametrize(
    ("least", "count", "steps"),
    [(11, 0, [0]), (11, 5, [5]), (11, 11, [11]), (11, 12, [11, 12]), (11, 1000, [11, 44, 176, 704, 1000])],
)
def test_records_of_ever_more_jobs_are_read_until_there_are_enough(
    least: int, count: int, steps: list[int]
) -> None:
    assert list(wanted_of(least, count)) == steps
