"""The connection of the MongoDB store: its collections, the server's clock, and errors in Rota's words.

Knows nothing of what is in the collections. What the application passed in is never closed.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidURI,
    PyMongoError,
)
from pymongo.errors import ConfigurationError as DriverConfigurationError

from ...errors import (
    ConfigurationError,
    HeldRowsError,
    JobValueError,
    StoreError,
    StoreUnavailableError,
)
from ...masking import without_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

DATABASE = "rota"
#: How long a server is looked for, in milliseconds.
SELECTION_TIMEOUT = 10_000
#: Codes of errors that pass by themselves: the primary steps down, is shutting down, or nobody knows who it is.
_TRANSIENT = frozenset({91, 189, 10107, 11600, 11602, 13435, 13436, 50, 262, 9001})

#: Codes of writes that met a document of somebody else's open transaction, or waited for it too long.
_CONFLICT = 112
_HELD = frozenset({_CONFLICT, 24, 46, 50})

#: Documents are read whatever they hold: a damaged one keeps no other one from being read.
_READABLE = CodecOptions(  # type: ignore[var-annotated]
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)

_JOURNAL = re.compile(r"(?i)[?&](journal|j|w)=")


class Server:
    """A MongoDB server, or a client that the application made, and the collections of one store.

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
        self.names = (database, collection)
        self._bind()

    def _bind(self) -> None:
        database, collection = self.names
        prefix = collection.removesuffix("jobs") if collection.endswith("jobs") else f"{collection}_"
        found = self.client[database].with_options(codec_options=_READABLE)
        self.jobs = found[collection]
        self.runs = found[f"{prefix}runs"]
        self.nodes = found[f"{prefix}nodes"]
        self.meta = found[f"{prefix}meta"]
        self.parts = found[f"{prefix}run_parts"]
        self.edits = found[f"{prefix}job_edits"]
        self.hours = found[f"{prefix}run_hours"]
        self.keys = found[f"{prefix}run_keys"]
        self.requests = found[f"{prefix}node_requests"]

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

    def time(self) -> int | None:
        """Return the server's time as an instant, exact to the millisecond."""
        from ...clock import instant  # import time

        with self.translated():
            there = self.client.admin.command("hello").get("localTime")
        if there is None:
            return None
        if there.tzinfo is None:
            from datetime import UTC  # import time

            there = there.replace(tzinfo=UTC)
        return instant(there)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's errors into Rota's.

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
            if isinstance(exc, ConnectionFailure) or getattr(exc, "code", None) in _TRANSIENT:
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
