"""The model of the SQL store on a database with snapshots: it does what every store must do."""

from __future__ import annotations

import pytest

from rota.testing.shared_contract import SharedJobStoreContract
from rota.testing.simulation.snapshots import SharedDatabase, SnapshotJobStore


class TestTheModel(SharedJobStoreContract):
    @pytest.fixture
    def make_store(self):
        database = SharedDatabase()

        def make():
            store = SnapshotJobStore(database)
            store.start(None, "default")
            return store

        return make
