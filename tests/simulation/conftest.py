"""What the simulated worlds do not share with other tests of their process: a seed gives the same events alone and among others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rota.callables import ASKED


@pytest.fixture(autouse=True)
def nobody_asks_for_resources() -> Iterator[None]:
    """Where some job of the process needs a resource, nodes ask their stores more."""
    asked = set(ASKED)
    ASKED.clear()
    yield
    ASKED.update(asked)
