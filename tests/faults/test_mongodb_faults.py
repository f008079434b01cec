"""The faults of processes, servers and connections, with the MongoDB store: the ledger adds up.

The server that is stopped and killed is SecantusDB; the store waits for its journal, as it does with mongod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.contract import ServerFaultContract
from tests.needs import need
from tests.servers import SecantusDB

if TYPE_CHECKING:
    from tests.servers.process import Server

need("pymongo", "mongodb")


class TestMongoDBFaults(ServerFaultContract):
    kind = SecantusDB
    many = 100

    @pytest.fixture
    def server(self, secantusdb: Server) -> Server:
        return secantusdb

    @pytest.fixture
    def url(self, mongodb_url: str) -> str:
        return mongodb_url
