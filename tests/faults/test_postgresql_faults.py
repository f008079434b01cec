"""The faults of processes, servers and connections, with PostgreSQL: the ledger adds up."""

from __future__ import annotations

import pytest

from tests.faults.contract import ServerFaultContract
from tests.needs import need
from tests.servers import PostgreSQL

need("psycopg", "postgresql")


class TestPostgreSQLFaults(ServerFaultContract):
    kind = PostgreSQL

    @pytest.fixture
    def server(self, postgresql: PostgreSQL) -> PostgreSQL:
        return postgresql

    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url
