"""Runs as the tree store writes them: JSON texts, and back, whatever stands there.

Pure conversions.
"""

from __future__ import annotations

import json

from ...errors import DeserializationError
from ...texts import shortened
from ..documents import fields_of, run_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.recorded import Recorded
    from ...core.run import Run
    from .port import Entry

#: How many bytes a record takes at most, and how long its texts are if they would take more (characters).
RECORD_SIZE = 400_000
SHORTENED = 10_000


def text_of(run: Run) -> str:
    """Return a run's record, its texts shortened if it would be too long for a step that writes a long job too."""
    fields = fields_of(run)
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    if (
        len(text) > RECORD_SIZE // 4 and len(text.encode()) > RECORD_SIZE
    ):  # no character takes more than four bytes
        for name in ("reason", "error_type", "error", "traceback"):
            if name in fields:
                fields[name] = shortened(fields[name], SHORTENED)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text


def readable(value: str | None) -> Run | None:
    """Return the run of a record.

    :return: None if there is none: it was pruned, or has ended in between
    :raises DeserializationError: if the text is no record
    """
    if value is None:
        return None
    try:
        data = json.loads(value)
    except (ValueError, RecursionError) as exc:
        raise DeserializationError(f"{value!r:.80} is no record of a run: {exc}") from exc
    if not isinstance(data, dict):
        raise DeserializationError(f"{value!r:.80} is no record of a run")
    return run_of(data)


def run_in(entry: Entry) -> Run | None:
    """Return the run in an entry, None if there is none, or something else."""
    try:
        return readable(entry.value)
    except DeserializationError:
        return None


def standing(nominal: int, value: str | None) -> Recorded:
    """Return what a record stands for; one that is damaged for its own time."""
    try:
        run = readable(value)
    except DeserializationError:
        run = None
    return (nominal, nominal, "unreadable") if run is None else (nominal, run.last, run.status)


def joined(records: Sequence[Run]) -> list[Run]:
    """Return records with those of one status and reason put together into one range."""
    found: dict[tuple[str, str | None], Run] = {}
    for record in records:
        first = found.setdefault((record.status, record.reason), record)
        if first is not record:
            first.last = max(first.last, record.last)
            first.count += record.count
    return list(found.values())
