"""The connection of the MongoDB store: collections and indexes, errors in Rota's words, the schema version.

Knows the names of fields, and nothing of what is done with jobs. What the application passed in is never closed.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ASCENDING, DESCENDING, MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidURI,
    PyMongoError,
)
from pymongo.errors import ConfigurationError as DriverConfigurationError

from ...errors import (
    ConfigurationError,
    HeldRowsError,
    JobValueError,
    SchemaError,
    StoreError,
    StoreUnavailableError,
)
from ...masking import without_secrets
from .. import earlier
from ..documents import steps_from
from ..identity import new_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

SCHEMA_VERSION = 3
#: The step from a version to the one after it; others may be at it at the same time, and it may be cut off and done again.
#: 2: records have the name and the callable of jobs that are gone, and results of more kinds; what is there stays as it is, but
#: older versions must not read it. 3: the store has an identity, leases have a count of their renewals, and records of some runs
#: a signature.
MIGRATIONS: dict[int, Callable[[Server], None]] = {1: lambda server: None, 2: lambda server: None}
DATABASE = "rota"
#: How long a server is looked for, in milliseconds.
SELECTION_TIMEOUT = 10_000
#: Codes of answers that pass: the primary steps down, is shutting down, or nobody knows who it is.
_PASSING = frozenset({91, 189, 10107, 11600, 11602, 13435, 13436, 50, 262, 9001})

#: Codes of writes that met a document which somebody else's transaction has changed, or waited for it in vain.
_CONFLICT = 112
_HELD = frozenset({_CONFLICT, 24, 46, 50})

#: Whatever stands in a document: none keeps others from being read.
_READABLE = CodecOptions(  # type: ignore[var-annotated]
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)

_JOURNAL = re.compile(r"(?i)[?&](journal|j|w)=")


class Server:
    """A MongoDB server, or a client that the application made, and the four collections of one store.

    :param client: used instead of ``url`` and ``options``, if it is not None
    :param url: ``mongodb://`` URL; its database is used unless another one is given
    :param options: keyword arguments for ``pymongo.MongoClient()``
    """

    def __init__(
        self, client: Any, url: str | None, database: str, collection: str, options: Mapping[str, Any]
    ) -> None:
        if not database:
            raise ConfigurationError('The "database" parameter must not be empty')
        if not collection:
            raise ConfigurationError('The "collection" parameter must not be empty')
        self._own = client is None
        self._url, self._options = url, options
        self.client: Any = _make_client(url, options) if client is None else client
        if url is not None and client is None and database == DATABASE:
            database = self.client.get_default_database(DATABASE).name
        self._names = (database, collection)
        self._bind()

    def _bind(self) -> None:
        database, collection = self._names
        prefix = collection.removesuffix("jobs") if collection.endswith("jobs") else f"{collection}_"
        found = self.client[database].with_options(codec_options=_READABLE)
        self.jobs = found[collection]
        self.runs = found[f"{prefix}runs"]
        self.nodes = found[f"{prefix}nodes"]
        self.meta = found[f"{prefix}meta"]

    @property
    def address(self) -> str:
        """Where the data is, without user and password."""
        try:
            hosts = ",".join(
                sorted(
                    f"{host}:{port}" for host, port in self.client.topology_description.server_descriptions()
                )
            )
        except Exception:  # only for a message
            hosts = "?"
        return f"mongodb://{hosts}/{self.jobs.full_name.replace('.', '/', 1)}"

    def prepare(self, create: bool, again: bool = False) -> tuple[str, bool]:
        """Take possession of the collections, and create their indexes; migrate them.

        Return the identity of the store, and whether it is new.

        :param create: whether what is not there may be made
        :param again: whether they were Rota's before: others may have added jobs since they were emptied
        :raises SchemaError: if they are somebody else's, or of a version that this code does not know
        """
        is_new = False
        with self.translated():
            found = self.meta.find_one({"_id": "schema"})
            if found is None:
                if not again:
                    self._refuse_foreign()
                if not create:
                    raise SchemaError(
                        f"There are no collections of Rota at {self.address}, and create is False"
                    )
                try:
                    marks = {"version": SCHEMA_VERSION, "identity": new_identity()}
                    self.meta.insert_one({"_id": "schema", **marks})
                    is_new = True
                except DuplicateKeyError:
                    pass  # another process was faster
            else:
                version = found.get("version")
                for step in steps_from(version, SCHEMA_VERSION, create, self.address, "another collection"):
                    MIGRATIONS[step](self)
                    self.meta.update_one({"_id": "schema", "version": step}, {"$set": {"version": step + 1}})
            if not isinstance(
                (found or {}).get("identity"), str
            ):  # it is new with version 3, or somebody has deleted it
                nameless = {"_id": "schema", "identity": {"$not": {"$type": "string"}}}
                self.meta.update_one(nameless, {"$set": {"identity": new_identity()}})
                found = self.meta.find_one({"_id": "schema"})
            identity = str((found or {}).get("identity"))
            if not create:
                return identity, is_new
            self.jobs.create_index([("state", ASCENDING), ("executor", ASCENDING), ("next_due", ASCENDING)])
            # Only jobs with runs that have not ended, or are not filed away, have this field.
            self.jobs.create_index([("busy", ASCENDING)], sparse=True)
            self.runs.create_index([("job_id", ASCENDING), ("nominal", DESCENDING)])
            self.runs.create_index([("status", ASCENDING), ("nominal", DESCENDING)])
            self.runs.create_index([("nominal", DESCENDING)])
            self.nodes.create_index([("lease_until", ASCENDING)])
        return identity, is_new

    def _refuse_foreign(self) -> None:
        for collection in (self.jobs, self.runs, self.nodes):
            found = collection.find_one({})
            if found is not None:
                raise SchemaError(
                    f"The collection {collection.full_name} on {self.address} is not empty and not Rota's; give another "
                    f"collection, or another database{self._of_apscheduler(found)}"
                )

    def _of_apscheduler(self, found: Mapping[str, Any]) -> str:
        """Return what to do if a document is a job of APScheduler's."""
        if "job_state" not in found:
            return ""
        database, collection = self._names
        name = "" if collection == earlier.COLLECTION else collection
        return earlier.instead("database and collection", self._way(database, name))

    def _way(self, database: str, name: str = "") -> str:
        server = self.address.rsplit("/", 2)[0]
        return earlier.by_import(f"{server}/{database}", name, f"{server}/{DATABASE}")

    def earlier_jobs(self) -> str | None:
        """Return what to say of the jobs that APScheduler keeps on the server in its usual place; None if there are none."""
        jobs = self.client[earlier.DATABASE][earlier.COLLECTION]
        count = jobs.count_documents({"job_state": {"$exists": True}})
        if not count:
            return None
        return earlier.left_behind(count, f"the collection {jobs.full_name}", self._way(earlier.DATABASE))

    def time(self) -> int | None:
        """Return the server's time as an instant, exact to the millisecond."""
        from ...clock import instant

        with self.translated():
            there = self.client.admin.command("hello").get("localTime")
        if there is None:
            return None
        if there.tzinfo is None:
            from datetime import UTC

            there = there.replace(tzinfo=UTC)
        return instant(there)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise what the driver raises in Rota's words.

        :raises HeldRowsError: if somebody's open transaction has changed the documents that were to be written
        :raises StoreUnavailableError, StoreError, JobValueError: what the server said
        """
        try:
            yield
        except DocumentTooLarge as exc:
            raise JobValueError(f"{self.address} takes no document of that length: {exc}") from exc
        except PyMongoError as exc:
            said = without_secrets(str(exc))
            if isinstance(exc, BulkWriteError):
                said = without_secrets(str(exc.details.get("writeErrors") or exc))[:1000]
            if _is_held(exc):
                raise HeldRowsError(
                    f"Documents of {self.address} are in somebody's open transaction: {said}"
                ) from exc
            if isinstance(exc, ConnectionFailure) or getattr(exc, "code", None) in _PASSING:
                raise StoreUnavailableError(f"The server of {self.address} is not available: {said}") from exc
            raise StoreError(f"The server of {self.address} said: {type(exc).__name__}: {said}") from exc

    def forked(self) -> None:
        """Make a new client of one's own in a forked process; connections cannot be shared."""
        if self._own:
            self.client = _make_client(self._url, self._options)
            self._bind()

    def close(self) -> None:
        """Close the connections, unless the client was passed in; the next start makes new ones."""
        if self._own:
            self.client.close()
            self.client = _make_client(self._url, self._options)
            self._bind()


def _is_held(exc: PyMongoError) -> bool:
    """Whether an error says of nothing but documents that they are in somebody else's transaction."""
    if isinstance(exc, BulkWriteError):
        codes = {error.get("code") for error in exc.details.get("writeErrors") or ()}
        return bool(codes) and codes <= _HELD and not exc.details.get("writeConcernErrors")
    return getattr(exc, "code", None) == _CONFLICT


def _make_client(url: str | None, options: Mapping[str, Any]) -> Any:
    merged = {"connect": False, **options}
    if "serverselectiontimeoutms" not in f"{url} {' '.join(options)}".lower():
        merged["serverSelectionTimeoutMS"] = SELECTION_TIMEOUT
    if not {"journal", "j"} & {name.lower() for name in options} and not _JOURNAL.search(url or ""):
        merged["journal"] = True  # what was answered survives a crash of the server
    if url is not None:
        merged["host"] = url
    try:
        client: Any = MongoClient(**merged)
    except (DriverConfigurationError, InvalidURI, TypeError, ValueError) as exc:
        raise ConfigurationError(
            f"Cannot use this MongoDB URL or these connection options: {without_secrets(str(exc), url)}"
        ) from None
    return client
