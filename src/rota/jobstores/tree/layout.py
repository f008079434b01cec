"""The layout of a tree: its version, and whose the path is. Somebody else's is left alone.

The keys are in ``keys``. It knows nothing of jobs.
"""

from __future__ import annotations

import json

from ...errors import SchemaError, StoreConflictError
from .. import earlier
from ..documents import steps_from
from ..identity import new_identity
from .keys import META
from .port import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .port import Tree

SCHEMA_VERSION = 4
_TRIES = 5


#: The step from a version to the one after it; others may be at it at the same time, and it may be cut off and done again. So far
#: what is there stays as it is, but older versions must not read what is new.
#: 2: records have the name and the callable of jobs that are gone, and results of more kinds. 3: the store has an identity,
#: leases have a count of their renewals, and records of some runs a signature. 4: jobs have a revision and a note of their pause,
#: leases tell when they began and what their nodes say; records have parts, jobs edits and durations, hours counts.
MIGRATIONS: dict[int, Callable[[Tree], None]] = dict.fromkeys((1, 2, 3), lambda tree: None)


def take_possession(tree: Tree, path: str, create: bool, again: bool = False) -> tuple[str, bool]:
    """Make an empty path Rota's, or see that it is, and of the version that this code works with.

    Return its identity, and whether it is new.

    :param create: whether what is not there may be made, and what is old be migrated
    :param again: whether the path was Rota's before: others may have added jobs since it was emptied
    :raises SchemaError: if the path holds something else, or a layout of a version that this code does not know
    """
    where = f"{path} on {tree.address}"
    is_new = False
    for _ in range(_TRIES):
        (entry,) = tree.read([META])
        if entry.value is not None:
            while steps := steps_from(
                _version(entry.value, where), SCHEMA_VERSION, create, where, "another path"
            ):
                MIGRATIONS[steps[0]](tree)
                tree.commit([Change(META, _meta(steps[0] + 1, identity_of(entry.value)), entry.rev)])
                (entry,) = tree.read([META])
            identity = identity_of(entry.value)
            if identity is None:  # somebody has deleted it
                tree.commit([Change(META, _meta(SCHEMA_VERSION, None), entry.rev)])
                continue
            return identity, is_new
        foreign = next(iter(tree.folders("") or tree.names("")), None)
        if foreign is not None and not again:
            (entry,) = tree.read([META])  # another process may take possession at this moment
            if entry.value is None:
                raise SchemaError(
                    f"{where} is not Rota's: there is {foreign!r}, and no {META!r}; give another path"
                    + (
                        earlier.instead("path", _way(tree, earlier.ROTA_PATH))
                        if path == earlier.PATH
                        else f". If it is Rota's and that was lost, put {_meta(SCHEMA_VERSION, None)} there"
                    )
                )
            continue
        if not create:
            raise SchemaError(f"There is nothing at {where}, and create is False")
        is_new = tree.commit([Change(META, _meta(SCHEMA_VERSION, None), entry.rev)])
    raise StoreConflictError(f"Others write to {where} all the time; try again")


def earlier_jobs(tree: Tree, path: str) -> str | None:
    """Return what to say of the jobs that APScheduler keeps on the server at its usual path; None if there are none.

    :param path: where the store is
    """
    names = tree.names_at(earlier.PATH)
    if not names or META in names:  # a store of Rota at that path
        return None
    return earlier.left_behind(len(names), f"{earlier.PATH} on {tree.address}", _way(tree, path))


def _way(tree: Tree, path: str) -> str:
    """Return how APScheduler's jobs get into a store at a path."""
    source, store = tree.url_at(earlier.PATH), tree.url_at(path)
    return earlier.BY_EXPORT if source is None else earlier.by_import(source, store=store)


def _meta(version: int, identity: str | None) -> str:
    return json.dumps({"format": "rota", "schema": version, "identity": identity or new_identity()})


def identity_of(text: str | None) -> str | None:
    """Return the identity of a path by its :data:`META`, None if it has none."""
    try:
        found = json.loads(text or "")["identity"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def is_newer(text: str | None) -> bool:
    """Whether a path has a layout that is newer than this code knows, by its :data:`META`."""
    try:
        version = json.loads(text or "")["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(version, int) and version > SCHEMA_VERSION


def _version(text: str | None, where: str) -> object:
    try:
        found = json.loads(text or "")
        version = found["schema"] if found["format"] == "rota" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if version is None:
        raise SchemaError(f"{where} is not Rota's: its {META!r} is {text!r:.80}; give another path")
    return version
