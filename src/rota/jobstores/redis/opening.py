"""Taking possession of the keys of the Redis store: whether they are Rota's, of which version, and which store that is.

Knows nothing of jobs.
"""

from __future__ import annotations

from ...errors import SchemaError, StoreError
from ..documents import steps_from
from ..identity import new_identity
from . import job_scripts as scripts
from .layout import SCHEMA_VERSION
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .layout import Keys
    from .server import Server


def take_possession(keys: Keys, server: Server, create: bool) -> str:
    """Make the keys Rota's, or see that they are; migrate them. Return the identity of the store.

    :param create: whether what is not there may be made
    :raises SchemaError: if they are somebody else's, or of a version that this code does not know
    """
    version, identity = _prepare(keys, server, create)
    if version == "foreign":
        raise SchemaError(
            f"Some of the keys {', '.join(keys.names)} exist on {server.address} and are not Rota's; give another jobs_key"
        )
    where = f"{keys.jobs} … on {server.address}"
    if version == "missing":
        raise SchemaError(f"There are no keys {where}, and create is False")
    found = int(version) if version.isdecimal() else version
    for step in steps_from(found, SCHEMA_VERSION, create, where, "another jobs_key"):
        keys.run(server, scripts.MIGRATIONS[step], ())
    if not identity:  # it is new with this version
        _, identity = _prepare(keys, server, create)
    return identity


def _prepare(keys: Keys, server: Server, create: bool) -> tuple[str, str]:
    """Return the version of the layout of the keys, or what is wrong with them, and the identity."""
    try:
        version, identity = texts(keys.run(server, scripts.PREPARE, ("1" if create else "", new_identity())))
    except StoreError as exc:
        if "WRONGTYPE" not in str(exc):
            raise
        return "foreign", ""
    return version, identity
