"""What the tests of the core share: no scheduler leaves a database open, which Python 3.13 tells of."""

from __future__ import annotations

from typing import Any

import pytest

from rota.schedulers import processes


@pytest.fixture(autouse=True)
def closed_databases():
    """Shut down what a test has left running on a store that does I/O."""
    yield
    for life in list(processes._started):
        scheduler: Any = life.scheduler
        if scheduler.running and life.ticks_may_block:
            scheduler.shutdown(wait=False)
