"""What a tree keeps beside jobs and records: parts of runs, edits of jobs, and what nodes say of themselves.

It changes no job and no record, and nobody needs what it keeps to carry a job out.
"""

from __future__ import annotations

import json

from ...core import changes as edits
from ...core.nodes import Node, text_of
from ...core.states import CLAIMED
from ...errors import StoreConflictError
from ...texts import shortened, storable
from ..retention import NODES_KEPT
from .forms import RECORD_SIZE, SHORTENED, asked_in, run_in
from .keys import (
    ACTIVE_RUNS,
    ASKED,
    CANCELS,
    DURATIONS,
    EDITS,
    JOBS,
    NODES,
    active_key,
    description_of,
    edits_key,
    ended_key,
    lease_of,
    lease_text,
    node_key,
    parts_key,
    waiting_key,
)
from .leases import lasts
from .port import KEEP, Change, Step, carry_out, tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...core.changes import Change as Edit
    from ...core.details import RunParts
    from .jobs import Jobs
    from .leases import Leases
    from .port import Entry, Tree

#: How many keys one step of housekeeping looks at.
LOOKED_AT = 200


class Beside:
    """Reads and writes what is kept beside jobs and records of one tree.

    :param tree: the server
    :param jobs: reads the documents of jobs
    :param leases: reads the leases of nodes
    """

    def __init__(self, tree: Tree, jobs: Jobs, leases: Leases) -> None:
        self._tree = tree
        self._jobs = jobs
        self._leases = leases

    # -- parts of runs -------------------------------------------------------------------------------------------

    def write_parts(self, parts: Sequence[RunParts], owner: str | None) -> None:
        """Keep texts beside records; see the port."""
        pending = list(parts)
        for _ in tries():
            keys = [(job_id, nominal) for job_id, nominal, _ in pending]
            places = [
                *(active_key(*key) for key in keys),
                *(waiting_key(*key) for key in keys),
                *(ended_key(*key) for key in keys),
                *(parts_key(*key) for key in keys),
            ]
            entries = self._tree.read(places)
            steps = []
            for number, each in enumerate(pending):
                records = range(number, 3 * len(pending), len(pending))
                there = next((place for place in records if entries[place].value is not None), None)
                if there is not None and (owner is None or _is_of(owner, entries[there])):
                    kept = entries[number + 3 * len(pending)]
                    steps.append(_parts_step(each, places[there], entries[there], kept))
            pending = [step.about for step in carry_out(steps, self._tree)]
            if not pending:
                return
        raise StoreConflictError(f"The parts of {len(pending)} runs are changed by others all the time")

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        """Return what is kept beside records; see the port."""
        wanted = list(dict.fromkeys(keys))
        found = self._tree.read([parts_key(*key) for key in wanted])
        parts = {key: _parts_in(entry) for key, entry in zip(wanted, found, strict=True)}
        return {key: texts for key, texts in parts.items() if texts}

    # -- edits ---------------------------------------------------------------------------------------------------

    def note_change(self, job_id: str, change: Edit) -> None:
        """Keep an edit of a job; see the port."""
        key = edits_key(job_id)
        for _ in tries():
            (entry,) = self._tree.read([key])
            earlier = [edit for edit in _edits_in(entry) if edit.revision < change.revision]
            texts = [storable(edits.text_of(edit)) for edit in edits.newest_first([*earlier, change])]
            if self._tree.commit([Change(key, json.dumps(texts, ensure_ascii=False), entry.rev)]):
                return
        raise StoreConflictError(f"The edits of job {job_id} are changed by others all the time")

    def changes(self, job_id: str) -> list[Edit]:
        """Return the last edits of a job; see the port."""
        doc = self._jobs.one(job_id)
        if doc is None:
            return []
        (entry,) = self._tree.read([edits_key(job_id)])
        revision = doc.rare.get("revision", 0)
        return [edit for edit in edits.newest_first(_edits_in(entry)) if edit.revision <= revision]

    def forget(self, now: int) -> Iterator[None]:
        """Delete what is kept of jobs and nodes that are gone, and keys of requested runs that hold no more, in steps."""
        nodes = set(self._tree.names(NODES))
        for part, names in self._tree.below(CANCELS).items():
            if part not in nodes:
                self._tree.delete(f"{CANCELS}/{part}/{name}" for name in names)
                yield None
        asked = self._tree.names(ASKED)
        for start in range(0, len(asked), LOOKED_AT):
            keys = [f"{ASKED}/{name}" for name in asked[start : start + LOOKED_AT]]
            found = zip(keys, self._tree.read(keys), strict=True)
            self._tree.delete(key for key, entry in found if asked_in(entry, now) is None)
            yield None
        for folder in (EDITS, DURATIONS):
            names = self._tree.names(folder)
            for start in range(0, len(names), LOOKED_AT):
                some = names[start : start + LOOKED_AT]
                jobs = [f"{JOBS}/{name}" for name in some]
                steps = [
                    Step(name, [Change(job, KEEP, entry.rev), Change(f"{folder}/{name}", None)])
                    for name, job, entry in zip(some, jobs, self._tree.read(jobs), strict=True)
                    if entry.value is None
                ]
                carry_out(steps, self._tree)
                yield None

    # -- nodes ---------------------------------------------------------------------------------------------------

    def describe(self, node: str, about: Mapping[str, Any], now: int) -> None:
        """Keep what a node says of itself; see the port."""
        key, said = node_key(node), storable(text_of(about))
        for _ in tries():
            (entry,) = self._tree.read([key])
            until, length, renewals = lease_of(entry.value)
            if until is None:
                return  # it has no lease, or one that it has to renew first
            started, draining, _ = description_of(entry.value)
            text = lease_text(until, length, renewals, now if started is None else started, draining, said)
            if self._tree.commit([Change(key, text, entry.rev)]):
                return
        raise StoreConflictError(f"The lease of node {node} is changed by others all the time")

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes; see the port."""
        found = []
        under_way = self._under_way()
        for id, (until, length, _, entry) in sorted(self._leases.all().items()):
            if until is None or until < now - NODES_KEPT:
                continue
            started, draining, about = description_of(entry.value)
            node = Node(id, until - length if started is None else started, until, now, under_way.get(id, 0))
            node.alive = lasts(until, length, now)
            node.tell(about)
            node.draining = draining is not None
            found.append(node)
        return found

    def _under_way(self) -> dict[str, int]:
        """Return how many runs each node has claimed."""
        counts: dict[str, int] = {}
        for entry in self._tree.entries(ACTIVE_RUNS).values():
            run = run_in(entry)
            if run is not None and run.status == CLAIMED and run.owner is not None:
                counts[run.owner] = counts.get(run.owner, 0) + 1
        return counts


def _is_of(owner: str, record: Entry) -> bool:
    """Whether a record names a node."""
    run = run_in(record)
    return run is not None and run.owner == owner


def _parts_step(parts: RunParts, record: str, found: Entry, kept: Entry) -> Step:
    """Return the step that changes the parts of a run, if its record stays where it is."""
    job_id, nominal, texts = parts
    merged = {name: text for name, text in {**_parts_in(kept), **texts}.items() if text is not None}
    changes = [Change(record, KEEP, found.rev)]
    if merged:
        changes.append(Change(parts_key(job_id, nominal), _text_of(merged), kept.rev))
    elif kept.value is not None:
        changes.append(Change(parts_key(job_id, nominal), None, kept.rev))
    return Step(parts, changes)


def _text_of(parts: Mapping[str, str]) -> str:
    """Return parts as a stored text; they are shortened if they would be too long together."""
    texts = {
        name: text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
        for name, text in parts.items()
    }
    text = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    if len(text) > RECORD_SIZE // 4 and len(text.encode()) > RECORD_SIZE:
        texts = {name: shortened(text, SHORTENED) for name, text in texts.items()}
        text = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return text


def _parts_in(entry: Entry) -> dict[str, str]:
    """Return the parts in an entry; what is damaged is left out."""
    found = _json_in(entry)
    if not isinstance(found, dict):
        return {}
    return {name: text for name, text in found.items() if isinstance(text, str)}


def _edits_in(entry: Entry) -> list[Edit]:
    """Return the edits in an entry; what is damaged is left out."""
    found = _json_in(entry)
    texts: Iterable[Any] = found if isinstance(found, list) else ()
    return [edit for edit in map(edits.change_of, texts) if edit is not None]


def _json_in(entry: Entry) -> Any:
    try:
        return json.loads(entry.value or "null")
    except (ValueError, RecursionError):
        return None
