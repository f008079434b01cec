"""The layout of the MongoDB store: its collections and their indexes, its version, and whose the collections are.

It knows nothing of what is done with jobs.
"""

from __future__ import annotations

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from ...errors import SchemaError
from .. import earlier
from ..documents import steps_from
from ..identity import new_identity
from .server import DATABASE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .server import Server

SCHEMA_VERSION = 4
#: The step from a version to the one after it; others may be at it at the same time, and it may be cut off and done again.
#: 2: records have the name and the callable of jobs that are gone, and results of more kinds; what is there stays as it is, but
#: older versions must not read it. 3: the store has an identity, leases have a count of their renewals, and records of some runs
#: a signature. 4: jobs can be found by name, callable and tag, and records page by page; there are parts of runs, edits and counts
#: by hour, and records whose status older versions do not know.
MIGRATIONS: dict[int, Callable[[Server], None]] = {
    1: lambda server: None,
    2: lambda server: None,
    3: lambda server: None,
}


def take_possession(server: Server, create: bool, again: bool = False) -> tuple[str, bool]:
    """Take possession of the collections, and create their indexes; migrate them.

    Return the identity of the store, and whether it is new.

    :param create: whether what is not there may be made
    :param again: whether they were Rota's before: others may have added jobs since they were emptied
    :raises SchemaError: if they are somebody else's, or of a version that this code does not know
    """
    is_new = False
    with server.translated():
        found = server.meta.find_one({"_id": "schema"})
        if found is None:
            if not again:
                _refuse_foreign(server)
            if not create:
                raise SchemaError(
                    f"There are no collections of Rota at {server.address}, and create is False"
                )
            try:
                marks = {"version": SCHEMA_VERSION, "identity": new_identity()}
                server.meta.insert_one({"_id": "schema", **marks})
                is_new = True
            except DuplicateKeyError:
                pass  # another process was faster
        else:
            version = found.get("version")
            for step in steps_from(version, SCHEMA_VERSION, create, server.address, "another collection"):
                MIGRATIONS[step](server)
                server.meta.update_one({"_id": "schema", "version": step}, {"$set": {"version": step + 1}})
        if not isinstance(
            (found or {}).get("identity"), str
        ):  # it is new with version 3, or somebody has deleted it
            nameless = {"_id": "schema", "identity": {"$not": {"$type": "string"}}}
            server.meta.update_one(nameless, {"$set": {"identity": new_identity()}})
            found = server.meta.find_one({"_id": "schema"})
        identity = str((found or {}).get("identity"))
        if not create:
            return identity, is_new
        _make_indexes(server)
    return identity, is_new


def _make_indexes(server: Server) -> None:
    newest = ("nominal", DESCENDING)
    server.jobs.create_index([("state", ASCENDING), ("executor", ASCENDING), ("next_due", ASCENDING)])
    # Only jobs with runs that have not ended, or are not filed away, have this field.
    server.jobs.create_index([("busy", ASCENDING)], sparse=True)
    # Only jobs with runs that wait have this one: the earliest time of those.
    server.jobs.create_index([("not_before", ASCENDING)], sparse=True)
    server.jobs.create_index([("name", ASCENDING), ("_id", ASCENDING)])
    server.jobs.create_index([("func", ASCENDING)])
    of_tagged = {"tags": {"$exists": True}}
    server.jobs.create_index([("tags", ASCENDING), ("_id", ASCENDING)], partialFilterExpression=of_tagged)
    # Only jobs that are started by the ends of others have this one.
    of_chains = {"parent": {"$exists": True}}
    server.jobs.create_index([("parent", ASCENDING)], partialFilterExpression=of_chains)
    server.runs.create_index([("job_id", ASCENDING), newest])
    server.runs.create_index([("status", ASCENDING), newest])
    server.runs.create_index([newest])
    of_failed = {"error_type": {"$exists": True}}
    server.runs.create_index([("error_type", ASCENDING), newest], partialFilterExpression=of_failed)
    server.nodes.create_index([("lease_until", ASCENDING)])


def _refuse_foreign(server: Server) -> None:
    beside = (server.parts, server.edits, server.hours, server.keys, server.requests)
    for collection in (server.jobs, server.runs, server.nodes, *beside):
        found = collection.find_one({})
        if found is not None:
            raise SchemaError(
                f"The collection {collection.full_name} on {server.address} is not empty, and {server.meta.full_name} does not "
                "say that it is Rota's; give another collection, or another database"
                + (
                    _of_apscheduler(server, found)
                    or ". If it is Rota's and the document was lost, insert "
                    f'{{_id: "schema", version: {SCHEMA_VERSION}}} there'
                )
            )


def _of_apscheduler(server: Server, found: Mapping[str, Any]) -> str:
    """Return what to do if a document is a job of APScheduler's."""
    if "job_state" not in found:
        return ""
    database, collection = server.names
    name = "" if collection == earlier.COLLECTION else collection
    return earlier.instead("database and collection", _way(server, database, name))


def _way(server: Server, database: str, name: str = "") -> str:
    """Return the command that takes APScheduler's jobs over."""
    hosts = server.address.rsplit("/", 2)[0]
    return earlier.by_import(f"{hosts}/{database}", name, f"{hosts}/{DATABASE}")


def earlier_jobs(server: Server) -> str | None:
    """Return what to say of the jobs that APScheduler keeps on the server in its usual place; None if there are none."""
    jobs = server.client[earlier.DATABASE][earlier.COLLECTION]
    count = jobs.count_documents({"job_state": {"$exists": True}})
    if not count:
        return None
    return earlier.left_behind(count, f"the collection {jobs.full_name}", _way(server, earlier.DATABASE))
