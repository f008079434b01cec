"""What the readers of etcd and ZooKeeper share: the URL of a path, and the form in which APScheduler keeps a job there.

Connects to nothing.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..errors import DeserializationError, SchemaError, StoreError
from ..jobstores.earlier import BY_EXPORT
from ..masking import masked, without_secrets
from .pickles import read_pickle
from .rows import UNKNOWN, Row

#: What Rota's own stores have directly below their path.
META = "meta"


def parts_of_url(url: str, example: str) -> tuple[SplitResult, str]:
    """Return the parts of a URL, and its path without a slash at the end, empty if it has none.

    :param example: what such a URL looks like, for the message
    :raises StoreError: if it has a user, parameters or a port that is not a number
    """
    try:
        parts = urlsplit(url)
        has_more = "@" in parts.netloc or parts.query or parts.fragment
    except ValueError as exc:
        raise StoreError(f"Cannot use the URL {masked(url)}: {without_secrets(str(exc), url)}") from None
    if has_more:
        raise StoreError(
            f"The URL must be like {example}, got {masked(url)!r}; if the server asks for a user, a password or a certificate: "
            f"{BY_EXPORT}"
        )
    return parts, parts.path.rstrip("/")


def row_of(id: str, data: bytes) -> Row:
    """Return the job in a key or node; data that cannot be read is left as it is, so that the job's plan says why."""
    try:
        content: Any = read_pickle(data)
    except DeserializationError:
        return Row(id, data)
    if not isinstance(content, dict) or "job_state" not in content:
        return Row(id, content)
    return Row(id, content["job_state"], content.get("next_run_time", UNKNOWN))


def check_not_rota(meta: bytes, path: str, address: str) -> None:
    """Refuse the path of one of Rota's own stores.

    :param meta: what is at :data:`META` below the path; a job of APScheduler may have that id
    """
    if meta.startswith(b"{"):
        raise SchemaError(
            f"The path {path} of {address} is not one of APScheduler 3, but of a store of Rota; give the path of the jobs"
        )
