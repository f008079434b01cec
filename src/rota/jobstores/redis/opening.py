"""Taking possession of the keys of the Redis store: whether they are Rota's, of which version, and which store that is.

Knows nothing of jobs.
"""

from __future__ import annotations

from ...errors import SchemaError, StoreError
from .. import earlier
from ..documents import steps_from
from ..identity import new_identity
from . import job_scripts as scripts
from .keys import SCHEMA_VERSION
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .keys import Keys
    from .server import Server


def take_possession(keys: Keys, server: Server, create: bool) -> tuple[str, bool]:
    """Make the keys Rota's, or see that they are; migrate them. Return the identity of the store, and whether it is new.

    :param create: whether what is not there may be made
    :raises SchemaError: if they are somebody else's, or of a version that this code does not know
    """
    offered = new_identity()
    version, identity = _prepare(keys, server, create, offered)
    if version == "foreign":
        raise SchemaError(
            f"Some of the keys {', '.join(keys.names)} exist on {server.address} and are not Rota's; give another jobs_key"
            + _of_apscheduler(keys, server)
        )
    where = f"{keys.jobs} … on {server.address}"
    if version == "missing":
        raise SchemaError(f"There are no keys {where}, and create is False")
    found = int(version) if version.isdecimal() else version
    for step in steps_from(found, SCHEMA_VERSION, create, where, "another jobs_key"):
        keys.run(server, scripts.MIGRATIONS[step], ())
    is_new = identity == offered
    if not identity:  # it is new with this version
        _, identity = _prepare(keys, server, create, offered)
    return identity, is_new


def earlier_jobs(server: Server) -> str | None:
    """Return what to say of the jobs that APScheduler keeps on the server under its usual key; None if there are none."""
    if not _holds_pickles(server, earlier.JOBS_KEY):
        return None
    count = server.client.hlen(earlier.JOBS_KEY)
    return earlier.left_behind(count, f"the key {earlier.JOBS_KEY}", earlier.by_import(server.address))


def _of_apscheduler(keys: Keys, server: Server) -> str:
    """Return what to do if the key that was named is one of APScheduler's."""
    try:
        if not _holds_pickles(server, keys.jobs):
            return ""
    except Exception:  # no hash
        return ""
    name = "" if keys.jobs == earlier.JOBS_KEY else keys.jobs
    return earlier.instead("jobs_key and run_times_key", earlier.by_import(server.address, name))


def _holds_pickles(server: Server, key: str) -> bool:
    """Whether a key is a hash as APScheduler makes it; a client that decodes cannot tell."""
    _, found = server.client.hscan(key, count=1)
    state = next(iter(found.values()), None)
    return isinstance(state, bytes) and state.startswith(b"\x80")


def _prepare(keys: Keys, server: Server, create: bool, offered: str) -> tuple[str, str]:
    """Return the version of the layout of the keys, or what is wrong with them, and the identity."""
    try:
        version, identity = texts(keys.run(server, scripts.PREPARE, ("1" if create else "", offered)))
    except StoreError as exc:
        if "WRONGTYPE" not in str(exc):
            raise
        return "foreign", ""
    return version, identity
