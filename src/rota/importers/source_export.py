"""Reads the files that ``export_jobs()`` of APScheduler 3.11 writes: JSON with pickles in it."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from .pickles import Made, Name, read_pickle
from .rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CLASS, _STATE, _PICKLE = "__apscheduler_class__", "__apscheduler_state__", "__apscheduler_pickle__"


class _Damaged:
    """A part that cannot be read; the job that it belongs to says so."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"a pickle ({self.reason})"


def read_export(path: Path) -> Iterator[Row]:
    """Yield the jobs of an export.

    :raises StoreError: if the file is not of version 1
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_hook=_node)
    except (ValueError, RecursionError) as exc:
        raise StoreError(f"{path} is not an export of APScheduler 3: it is not JSON: {exc}") from None
    if not isinstance(content, dict) or not isinstance(content.get("jobs"), list):
        raise StoreError(f"{path} is not an export of APScheduler 3: it has no list of jobs")
    if "format" in content:
        raise StoreError(
            f"{path} is not an export of APScheduler 3: its format is {content['format']!r:.80}; Rota's own exports are read by "
            "scheduler.import_jobs()"
        )
    if content.get("version") != 1:
        raise StoreError(
            f"{path} is not an export of APScheduler 3: its version is {content.get('version')!r:.80}, not 1"
        )
    for number, state in enumerate(content["jobs"]):
        id = state.get("id") if isinstance(state, dict) else None
        yield Row(id if isinstance(id, str) else f"job {number + 1} of the file", state)


def _node(found: dict[str, Any]) -> Any:
    if len(found) == 1 and isinstance(found.get(_PICKLE), str):
        try:
            return read_pickle(b64decode(found[_PICKLE]))
        except ValueError as exc:  # not base64, or no pickle
            return _Damaged(str(exc))
    if found.keys() == {_CLASS, _STATE}:
        module, _, path = str(found[_CLASS]).partition(":")
        return Made(Name(module, path), (), found[_STATE])
    return found
