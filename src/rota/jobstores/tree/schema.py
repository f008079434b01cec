"""What a path is: Rota's, of a version that this code knows; or somebody else's, which is left alone."""

from __future__ import annotations

import json

from ...errors import SchemaError, StoreConflictError
from .layout import META
from .port import Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .port import Tree

SCHEMA_VERSION = 1
_TRIES = 5


def take_possession(tree: Tree, path: str) -> None:
    """Make an empty path Rota's, or see that it is.

    :raises SchemaError: if the path holds something else, or a layout of a version that this code does not know
    """
    where = f"{path} on {tree.address}"
    for _ in range(_TRIES):
        (entry,) = tree.read([META])
        if entry.value is not None:
            _check_version(entry.value, where)
            return
        foreign = next(iter(tree.folders("") or tree.names("")), None)
        if foreign is not None:
            (entry,) = tree.read([META])  # another process may take possession at this moment
            if entry.value is None:
                raise SchemaError(
                    f"{where} is not Rota's: there is {foreign!r}, and no {META!r}; give another path"
                )
            continue
        text = json.dumps({"format": "rota", "schema": SCHEMA_VERSION})
        if tree.commit([Change(META, text, entry.rev)]):
            return
    raise StoreConflictError(f"Others write to {where} all the time; try again")


def _check_version(text: str, where: str) -> None:
    try:
        found = json.loads(text)
        version = found["schema"] if found["format"] == "rota" else None
    except (ValueError, KeyError, TypeError):
        version = None
    if version is None:
        raise SchemaError(f"{where} is not Rota's: its {META!r} is {text!r:.80}; give another path")
    if version != SCHEMA_VERSION:
        raise SchemaError(
            f"{where} has schema version {version!r}; this version of Rota knows {SCHEMA_VERSION}. Upgrade Rota, or give "
            f"another path"
        )
