"""The faults of processes, servers and connections, with MariaDB: the ledger adds up."""

from __future__ import annotations

import pytest

from tests.faults.contract import ServerFaultContract
from tests.needs import need
from tests.servers import MariaDB

need("pymysql", "mysql")


class TestMariaDBFaults(ServerFaultContract):
    kind = MariaDB

    @pytest.fixture
    def server(self, mariadb: MariaDB) -> MariaDB:
        return mariadb

    @pytest.fixture
    def url(self, mariadb_url: str) -> str:
        return mariadb_url
