"""The columns and indexes of the tables of the SQL store.

Describes tables; it creates none. A plain job and a plain run leave the columns that are marked as rare empty, in statements that
do not name them, and their indexes have no entries for such rows where the database can do that.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint

from .databases.columns import Exact, Long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .databases.base import Database

#: Longest id of a job; also of executor aliases (191: what MySQL can index in utf8mb4, as in APScheduler).
ID_LENGTH = 191
#: Longest tag, which is that of jobs; their module need not be loaded for it.
TAG_LENGTH = 100


def of_jobs(name: str, database: Database) -> list[Any]:
    """Return the columns of jobs."""
    named, ref = Column("name", Long(), nullable=False), Column("func", Long(), nullable=False)
    return [
        Column("id", Exact(ID_LENGTH), primary_key=True),
        named,
        ref,
        # trigger, args, kwargs, options: JSON
        Column("trigger_spec", Long(), nullable=False),
        Column("args", Long(), nullable=False),
        Column("kwargs", Long(), nullable=False),
        Column("options", Long(), nullable=False),
        Column("executor", Exact(ID_LENGTH), nullable=False),
        # instants: microseconds since the epoch, UTC
        Column("next_nominal", BigInteger),
        Column("next_due", BigInteger),
        Column("version", BigInteger, nullable=False),
        Column("state", Exact(16), nullable=False),
        Column("running", BigInteger, nullable=False),
        Column("error", Long()),
        Column("created", BigInteger, nullable=False),
        Column("updated", BigInteger, nullable=False),
        Index(f"ix_{name}_due", "state", "executor", "next_due"),
        # rare: how often it was edited, and how it was paused
        Column("revision", BigInteger),
        Column("paused", Long()),
        # written by housekeeping
        Column("durations", Long()),
        # rare: failures in a row, from when on the ledger knows its times, and the job whose runs start it
        Column("failures", BigInteger),
        Column("horizon", BigInteger),
        Column("parent", Exact(ID_LENGTH)),
        Index(f"ix_{name}_parent", "parent", **database.only_where("parent IS NOT NULL")),
        *database.by_name(name, named, ref),
    ]


def of_runs(name: str, database: Database) -> list[Any]:
    """Return the columns of runs."""
    error_type, nominal = Column("error_type", Long()), Column("nominal", BigInteger, autoincrement=False)
    columns = [
        Column("job_id", Exact(ID_LENGTH), nullable=False),
        nominal,
        Column("last", BigInteger, nullable=False),
        # how many nominal times the record stands for, from nominal to last
        Column("times", BigInteger, nullable=False),
        Column("due", BigInteger, nullable=False),
        Column("attempt", BigInteger, nullable=False),
        Column("status", Exact(16), nullable=False),
        Column("reason", Long()),
        Column("owner", Exact(64)),
        Column("executor", Exact(ID_LENGTH), nullable=False),
        Column("claimed", BigInteger),
        Column("started", BigInteger),
        Column("finished", BigInteger),
        Column("result", Long()),
        error_type,
        Column("error", Long()),
        Column("traceback", Long()),
        # of the job, in the record of its last run; until then they are the job's
        Column("name", Long()),
        Column("func", Long()),
        # where the store has a signing key
        Column("signature", Long()),
        # rare: None is the schedule
        Column("origin", Exact(16)),
        # rare: while it waits; why it is to stop; what else only some runs have: JSON
        Column("not_before", BigInteger),
        Column("cancel", Long()),
        Column("extra", Long()),
        PrimaryKeyConstraint("job_id", "nominal", name=f"pk_{name}"),
        Index(f"ix_{name}_status", "status", "nominal"),
        Index(f"ix_{name}_waiting", "not_before", **database.only_where("not_before IS NOT NULL")),
    ]
    if database.partial_indexes:
        errors = database.only_where("error_type IS NOT NULL")
        columns.append(Index(f"ix_{name}_errors", database.beginning_of(error_type), nominal, **errors))
    return columns


def of_nodes(name: str, database: Database) -> list[Any]:
    """Return the columns of nodes."""
    return [
        Column("id", Exact(64), primary_key=True),
        Column("lease_until", BigInteger, nullable=False),
        Column("started", BigInteger, nullable=False),
        # how often it was renewed: a backup that was put back shows a smaller number
        Column("renewals", BigInteger, nullable=False, server_default="0"),
        # what it says of itself: JSON; and since when it is to claim nothing more
        Column("about", Long()),
        Column("draining", BigInteger),
    ]


def of_meta(name: str, database: Database) -> list[Any]:
    """Return the columns of what is known of the store itself."""
    return [Column("key", Exact(64), primary_key=True), Column("value", Long(), nullable=False)]


def of_parts(name: str, database: Database) -> list[Any]:
    """Return the columns of what is kept beside the records of some runs."""
    return [
        Column("job_id", Exact(ID_LENGTH), nullable=False),
        Column("nominal", BigInteger, nullable=False, autoincrement=False),
        Column("name", Exact(32), nullable=False),
        Column("content", Long(), nullable=False),
        PrimaryKeyConstraint("job_id", "nominal", "name", name=f"pk_{name}"),
    ]


def of_edits(name: str, database: Database) -> list[Any]:
    """Return the columns of the edits of jobs."""
    return [
        Column("job_id", Exact(ID_LENGTH), nullable=False),
        Column("revision", BigInteger, nullable=False, autoincrement=False),
        Column("content", Long(), nullable=False),
        PrimaryKeyConstraint("job_id", "revision", name=f"pk_{name}"),
    ]


def of_tags(name: str, database: Database) -> list[Any]:
    """Return the columns of the tags of jobs, which are in the options of the jobs, too."""
    return [
        Column("tag", Exact(TAG_LENGTH), nullable=False),
        Column("job_id", Exact(ID_LENGTH), nullable=False),
        PrimaryKeyConstraint("tag", "job_id", name=f"pk_{name}"),
        Index(f"ix_{name}_job", "job_id"),
    ]


def of_hours(name: str, database: Database) -> list[Any]:
    """Return the columns of the counts of records by hour and status."""
    return [
        Column("hour", BigInteger, nullable=False, autoincrement=False),
        Column("status", Exact(16), nullable=False),
        Column("runs", BigInteger, nullable=False),
        PrimaryKeyConstraint("hour", "status", name=f"pk_{name}"),
    ]


def of_keys(name: str, database: Database) -> list[Any]:
    """Return the columns of the keys that runs were asked for with."""
    return [
        Column("job_id", Exact(ID_LENGTH), nullable=False),
        Column("key", Exact(ID_LENGTH), nullable=False),
        Column("nominal", BigInteger, nullable=False),
        Column("at", BigInteger, nullable=False),
        PrimaryKeyConstraint("job_id", "key", name=f"pk_{name}"),
        Index(f"ix_{name}_at", "at"),
    ]


def of_requests(name: str, database: Database) -> list[Any]:
    """Return the columns of what nodes are asked."""
    return [
        Column("id", Exact(64), primary_key=True),
        Column("node", Exact(64), nullable=False),
        Column("kind", Exact(32), nullable=False),
        Column("job_id", Exact(ID_LENGTH)),
        Column("nominal", BigInteger),
        Column("at", BigInteger, nullable=False),
        Column("answer", Long()),
        Index(f"ix_{name}_node", "node"),
    ]
