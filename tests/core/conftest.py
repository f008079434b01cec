"""What the tests of the core share: no scheduler leaves a database open, which Python 3.13 tells of."""

from __future__ import annotations

import pytest

from rota.schedulers import processes


@pytest.fixture(autouse=True)
def closed_databases():
    """Shut down what a test has left running on a store that does I/O."""
    yield
    for scheduler in list(processes._started):
        if scheduler.running and scheduler._lifecycle.ticks_may_block:
            scheduler.shutdown(wait=False)
