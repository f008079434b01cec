"""The kinds of trouble of ``make chaos``, each for some seconds: so that none of them rots, and each adds up."""

from __future__ import annotations

import pytest

from tests.faults.chaos import BACKLOG, CLOCKS, DAMAGE, EMPTIED, ERRATIC, QUARANTINE, Chaos
from tests.needs import need

need("sqlalchemy", "sql")

pytestmark = [pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("store", "kinds"),
    [
        ("sqlite", (BACKLOG, QUARANTINE, DAMAGE)),
        ("sqlite", (ERRATIC,)),
        ("redis", (CLOCKS, DAMAGE)),
        ("pgbouncer", (CLOCKS, QUARANTINE, EMPTIED)),
    ],
)
def test_a_store_with_every_kind_of_trouble_adds_up(store: str, kinds: tuple[str, ...]) -> None:
    report = Chaos(store, 40, 4, 4, kinds, scale=0.05).run()
    assert report.killed == 4
    assert len(report.happened) == len(kinds)
    assert (report.balance.chained > 0) == (ERRATIC in kinds)
    print(report)
