"""Whatever reason a record gives, the page for those who wonder says what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rota.core import backfill, chains, overlaps, timeouts, tries, waiting

PAGE = Path(__file__).parents[2] / "docs" / "when-something-goes-wrong.md"
REASONS = [
    *("coalesced", "max_instances", "too late", "expired", "paused", "on hold"),
    tries.EXHAUSTED,
    tries.NOT_RETRYABLE,
    tries.DEADLINE,
    tries.SUPERSEDED,
    overlaps.REPLACED,
    timeouts.TIMEOUT,
    timeouts.NO_HEARTBEAT,
    waiting.JOB_REMOVED,
    backfill.CANCELLED,
    chains.SKIPPED_AHEAD,
]


@pytest.mark.parametrize("reason", REASONS)
def test_the_page_of_symptoms_names_the_reason_and_says_what_to_do(reason):
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert [row for row in rows if f'"{reason}"' in row.split(" | ")[0]], reason
