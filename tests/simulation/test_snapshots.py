"""The model of the SQL store on a database with snapshots: it does what every store must do, and sends what that store sends."""

from __future__ import annotations

import pytest

from rota.testing.shared_contract import SharedJobStoreContract
from rota.testing.simulation.snapshots import SharedDatabase, SnapshotJobStore


class TestTheModel(SharedJobStoreContract):
    # It keeps objects, which need no restoring, so nothing is ever quarantined by what it reads, or healed.
    test_a_job_whose_code_is_gone_is_quarantined_and_healed_when_it_is_back = None
    test_a_job_that_cannot_be_planned_is_not_healed = None

    @pytest.fixture
    def make_store(self):
        database = SharedDatabase()

        def make():
            store = SnapshotJobStore(database)
            store.start(None, "default")
            return store

        return make
