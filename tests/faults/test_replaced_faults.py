"""A store is emptied, or a backup is put in its place, under processes that go on: they say so, and the ledger adds up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.crew import LEASE, Crew, wait_until
from tests.faults.replacing import File, Keys
from tests.needs import need

if TYPE_CHECKING:
    from pathlib import Path

need("sqlalchemy", "sql")

pytestmark = [pytest.mark.timeout(120)]


@pytest.fixture(params=["file", pytest.param("file in place", marks=pytest.mark.slow), "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, File | Keys]:
    """The URL of an empty store, and the hand on its place."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        return url, Keys(url)
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    return url, File(url, tmp_path, in_place=request.param == "file in place")


def check_told(crew: Crew) -> None:
    """Check that each worker told once that its store was replaced, and was well afterwards."""
    for worker in crew.workers:
        told = crew.lines("replaced", worker.pid)
        assert len(told) == 1, crew.complaints.read_text()
        assert told[0][2] == 0, "health() said that all was well"
        assert crew.lines("recovered", worker.pid)[-1][2] == 1


def test_processes_whose_store_was_put_back_from_a_backup_say_so_and_the_ledger_adds_up(
    place: tuple[str, File | Keys], tmp_path: Path
) -> None:
    url, hand = place
    with Crew(url, tmp_path) as crew:
        crew.hire(2)
        crew.add_mixture(60, 6)
        crew.add_series("merged", 0.25, 6, 0.1)
        crew.add_once(1, takes=LEASE + 2)
        crew.wait_for("end", 10)
        hand.save()
        saved = time.monotonic()
        (later,) = crew.add_once(1, takes=LEASE + 2)  # of which the backup knows nothing
        crew.wait_for("end", 30)
        # A backup from between two renewals of a lease tells its node nothing; see tests/adapters.
        wait_until(lambda: time.monotonic() > saved + LEASE, "all leases to be renewed")
        wait_until(lambda: crew.lines_of(later), "the long run to begin")
        crew.replace_store(hand.put_back)
        crew.give_up(later)
        wait_until(
            lambda: later in [id for id, _, _ in crew.lines("lost")], "the long run to be told as lost"
        )
        print(crew.settle())
        check_told(crew)


def test_processes_whose_store_was_emptied_say_so_and_go_on_with_what_is_added(
    place: tuple[str, File | Keys], tmp_path: Path
) -> None:
    url, hand = place
    with Crew(url, tmp_path) as crew:
        crew.hire(2)
        crew.add_mixture(60, 6)
        (long,) = crew.add_once(1, takes=LEASE + 2)
        crew.wait_for("end", 10)
        crew.replace_store(hand.empty)
        crew.give_up()
        wait_until(lambda: long in [id for id, _, _ in crew.lines("lost")], "the long run to be told as lost")
        assert {run.job_id for run in crew.runs()} <= set(crew.plans)
        crew.add_once(40, 3)
        crew.add_series("anew", 0.25, 3, 0.1, coalesce=False)
        print(crew.settle())
        check_told(crew)
