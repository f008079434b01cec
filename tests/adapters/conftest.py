"""What the adapters' tests share: a place for each kind of durable store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.places import KINDS
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.places import Place


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty place, for each kind of durable store."""
    kind = request.param
    if kind == "sqlite":
        need("sqlalchemy", "sql")
        url = f"sqlite:///{request.getfixturevalue('tmp_path') / 'jobs.sqlite'}"
    else:
        url = request.getfixturevalue(f"{kind}_url")
    made = KINDS[kind](url, kind)
    yield made
    made.close()
