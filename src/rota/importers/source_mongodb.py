"""Reads the collection of APScheduler's MongoDBJobStore; it only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError, StoreError, StoreUnavailableError
from ..masking import masked, without_secrets
from .rows import Row

try:
    from pymongo import MongoClient
    from pymongo.errors import ConfigurationError as MongoConfigurationError
    from pymongo.errors import InvalidURI, PyMongoError
except ImportError as exc:
    raise MissingExtraError("Reading jobs from MongoDB", "mongodb") from exc

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_mongodb(url: str, collection: str) -> Iterator[Row]:
    """Yield the jobs of a collection.

    :param url: ``mongodb://…/database``; the database is APScheduler's default, ``apscheduler``, if there is none
    :param collection: name of the collection
    :raises StoreUnavailableError: if the server cannot be reached
    """
    address = masked(url)
    try:
        client: MongoClient[Any] = MongoClient(url, serverSelectionTimeoutMS=10_000)
    except (InvalidURI, MongoConfigurationError, ValueError) as exc:
        raise StoreError(f"Cannot use the URL {address}: {without_secrets(str(exc), url)}") from None
    try:
        source = client.get_default_database("apscheduler")[collection]
        for document in source.find({}, ["next_run_time", "job_state"]):
            yield Row(str(document["_id"]), document.get("job_state"), document.get("next_run_time"))
    except PyMongoError as exc:
        raise StoreUnavailableError(f"{address} cannot be read: {without_secrets(str(exc), url)}") from None
    finally:
        client.close()
