"""What databases do differently: one class for each, chosen by the dialect, and nothing of it elsewhere in the SQL store."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table
from sqlalchemy.engine.url import make_url
from sqlalchemy.schema import CreateColumn

import rota.jobstores.sqlalchemy
from rota.jobstores.sqlalchemy.databases.base import Database
from rota.jobstores.sqlalchemy.databases.columns import Exact, Long
from rota.jobstores.sqlalchemy.databases.lookup import of_dialect, of_name
from rota.jobstores.sqlalchemy.databases.mysql import MySQL
from rota.jobstores.sqlalchemy.databases.postgresql import PostgreSQL
from rota.jobstores.sqlalchemy.databases.sqlite import SQLite
from rota.jobstores.sqlalchemy.layout import Widen

ROOM = Path(rota.jobstores.sqlalchemy.__file__).parent
NAMES = {"sqlite", "postgresql", "mysql", "mariadb", "mssql", "oracle"}


def dialect_of(url: str) -> Any:
    """Return SQLAlchemy's dialect for a URL."""
    return make_url(url).get_dialect()()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite://", SQLite),
        ("postgresql+psycopg://", PostgreSQL),
        ("postgresql+psycopg2://", PostgreSQL),
        ("mysql+pymysql://", MySQL),
        ("mariadb+pymysql://", MySQL),
    ],
)
def test_a_dialect_leads_to_the_class_of_its_database(url: str, kind: type[Database]) -> None:
    assert type(of_dialect(dialect_of(url))) is kind


def test_a_database_of_which_nothing_is_known_has_the_defaults() -> None:
    assert of_name("cockroachdb") is Database


@pytest.mark.parametrize(
    ("url", "exact", "long", "widened"),
    [
        ("sqlite://", "VARCHAR(8)", "TEXT", "ALTER COLUMN number SET DATA TYPE BIGINT"),
        (
            "postgresql+psycopg://",
            'VARCHAR(8) COLLATE "C"',
            "TEXT",
            "ALTER COLUMN number SET DATA TYPE BIGINT",
        ),
        (
            "mysql+pymysql://",
            "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin",
            "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "MODIFY number BIGINT",
        ),
        (
            "mariadb+pymysql://",
            "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
            "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            "MODIFY number BIGINT",
        ),
        ("mssql+pyodbc://", "VARCHAR(8)", "TEXT", "ALTER COLUMN number BIGINT"),
        ("oracle+oracledb://", "VARCHAR2(8 CHAR)", "CLOB", "ALTER COLUMN number SET DATA TYPE NUMBER(19)"),
    ],
)
def test_columns_are_declared_and_widened_in_the_words_of_the_database(
    url: str, exact: str, long: str, widened: str
) -> None:
    dialect = dialect_of(url)
    table = Table(
        "jobs", MetaData(), Column("id", Exact(8)), Column("name", Long()), Column("number", BigInteger)
    )
    declared = [str(CreateColumn(column).compile(dialect=dialect)) for column in table.columns]
    assert declared[0].partition(" ")[2].removesuffix(" NULL") == exact
    assert declared[1].partition(" ")[2].removesuffix(" NULL") == long
    statement = str(Widen(table.c.number).compile(dialect=dialect)).replace('"', "").removesuffix(" NULL")
    assert statement == f"ALTER TABLE jobs {widened}"


def test_what_a_driver_can_do_is_not_taken_for_granted_of_another_one() -> None:
    psycopg, psycopg2 = (of_dialect(dialect_of(f"postgresql+{name}://")) for name in ("psycopg", "psycopg2"))
    assert (psycopg.takes_arrays, psycopg.can_listen, psycopg.counts_executions) == (True, True, True)
    assert (psycopg2.takes_arrays, psycopg2.can_listen) == (False, False)
    assert of_dialect(dialect_of("mysql+pymysql://")).counts_sets


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted(ROOM.glob("*.py"))])
def test_nothing_outside_the_databases_asks_which_one_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in NAMES]
    compared = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and "dialect." in ast.unparse(node)
    ]
    assert (named, compared) == ([], [])
