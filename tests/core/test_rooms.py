"""The durable stores have the same modules under the same names: each behaviour is found in the same place in every store."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STORES = Path(__file__).parents[2] / "src" / "rota" / "jobstores"
ROOMS = {"store", "jobs", "runs", "leases", "history", "forms", "layout", "server", "wakeups"}


@pytest.mark.parametrize(
    "folders",
    [("sqlalchemy",), ("redis",), ("mongodb",), ("tree", "etcd"), ("tree", "zookeeper")],
    ids="-".join,
)
def test_a_durable_store_has_the_nine_rooms(folders: tuple[str, ...]) -> None:
    found = {path.stem for folder in folders for path in (STORES / folder).glob("*.py")}
    assert found >= ROOMS


@pytest.mark.parametrize("folder", ["sqlalchemy", "redis", "mongodb", "tree"])
def test_the_rooms_that_hold_something_name_it_alike(folder: str) -> None:
    classes = {"jobs": "Jobs", "runs": "Runs", "leases": "Leases", "history": "History", "damage": "Damage"}
    for room, name in classes.items():
        assert f"class {name}:" in (STORES / folder / f"{room}.py").read_text()
        made = rf"self\._{room} = ({name}\(|tables\.once\({name}\))"  # SQL stores share what only describes their tables
        assert re.search(made, (STORES / folder / "store.py").read_text())
