"""What the Redis store keeps beside jobs and records: parts of runs, edits, durations, counts by hour, and what nodes say.

It changes no job and no record. What is kept of a job that is gone stays until :meth:`Beside.tidy` comes by, and harms nobody.
"""

from __future__ import annotations

import json

from ...core.changes import KEPT, change_of, newest_first
from ...core.changes import text_of as text_of_change
from ...core.durations import durations_of, fold
from ...core.durations import text_of as text_of_durations
from ...core.hours import KEPT as HOURS_KEPT
from ...core.hours import HourCounts, countable_until, hour_of
from ...core.nodes import Node
from ...core.nodes import text_of as text_of_node
from ...core.states import QUARANTINED
from ...core.waiting import KEY_HOLDS
from ..retention import NODES_KEPT
from .forms import is_id, kept_text, number_of, owned, padded, revision_of, tags_of, time_of_score
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from ...core.changes import Change
    from ...core.details import RunParts
    from ...core.durations import Durations, Ended
    from ...job.handle import Job

#: How many records, or ids of jobs, one step of housekeeping looks at, and how many hours it counts.
LOOKED_AT = 250
HOURS_AT_ONCE = 100
#: How many jobs one step passes whose runs have all been looked at.
PASSED = 500
#: How many tags one step looks at: their jobs are read.
TAGS_AT_ONCE = 100
#: The parts of how many runs are read with one step, and how many hours or counts.
PARTS_AT_ONCE = 100
COUNTS_AT_ONCE = 500
#: How many nodes are listed: those with the latest leases.
MOST_NODES = 10_000


class Beside:
    """Reads and writes what one store keeps beside jobs and records.

    :param run: carries out a script with some fields
    :param jobs_of: makes jobs of an answer
    """

    def __init__(self, run: Callable[..., Any], jobs_of: Callable[[str], list[Job]]) -> None:
        self._run = run
        self._jobs_of = jobs_of

    # -- parts of runs -------------------------------------------------------------------------------------------

    def write_parts(self, parts: Sequence[RunParts], owner: str | None) -> None:
        """Keep texts beside the records of some runs, in one step; see the port."""
        fields: list[str] = []
        for job_id, nominal, kept in parts:
            if kept and is_id(job_id):
                fields += (job_id, padded(nominal), str(len(kept)))
                for name, text in kept.items():
                    fields += (kept_text(name), "" if text is None else "1", kept_text(text or ""))
        if fields:
            self._run("write_parts", "" if owner is None else owned(owner), *fields)

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        """Return what is kept beside some records; see the port."""
        wanted = [key for key in keys if is_id(key[0])]
        found: dict[tuple[str, int], dict[str, str]] = {}
        for first in range(0, len(wanted), PARTS_AT_ONCE):
            some = wanted[first : first + PARTS_AT_ONCE]
            fields = [text for job_id, nominal in some for text in (job_id, padded(nominal))]
            answer = iter(texts(self._run("parts", *fields)))
            for key in some:
                count = int(next(answer))
                if count:
                    found[key] = parts_of_texts([next(answer) for _ in range(count)])
        return found

    # -- jobs ----------------------------------------------------------------------------------------------------

    def note_change(self, job_id: str, change: Change) -> None:
        """Keep an edit of a job, and the last ones before it."""
        if is_id(job_id):
            text = kept_text(text_of_change(change))
            self._run("note_change", job_id, str(change.revision), text, str(KEPT))

    def changes(self, job_id: str) -> list[Change]:
        """Return the last edits of a job, newest first."""
        kept = self._kept_of(job_id)
        if kept is None:
            return []
        spec, edits, _ = kept
        revision = revision_of(spec)
        found = newest_first([change_of(text) for text in edits.split("\0")[:-1]])
        # Those of a removed job of the same id have higher revisions.
        return [change for change in found if change.revision <= revision]

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took; None if none was counted, or there is no such job."""
        kept = self._kept_of(job_id)
        counted = None if kept is None else durations_of(kept[2])
        return counted if counted is not None and counted.count else None

    def _kept_of(self, job_id: str) -> list[str] | None:
        return texts(self._run("kept_of_job", job_id)) or None if is_id(job_id) else None

    # -- nodes ---------------------------------------------------------------------------------------------------

    def describe(self, node: str, about: Mapping[str, Any]) -> None:
        """Keep what a node says of itself, if it has a lease."""
        self._run("describe", node, kept_text(text_of_node(about)))

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day, by their ids."""
        answer = texts(self._run("nodes", str(now - NODES_KEPT), str(MOST_NODES)))
        found = []
        for id, score, began, under_way, about, draining in zip(*[iter(answer)] * 6, strict=True):
            until = time_of_score(score)
            if until is not None:
                started = int(began) if began.isascii() and began.isdecimal() and len(began) < 19 else until
                node = Node(id, started, until, now, int(under_way))
                node.tell(about)
                node.draining = bool(draining)
                found.append(node)
        return sorted(found, key=lambda node: node.id)

    # -- hours ---------------------------------------------------------------------------------------------------

    def run_counts(self, since: int, until: int, now: int) -> HourCounts:
        """Return how many records there are by hour and status; see the port."""
        counts = HourCounts()
        place, end, claimed = str(hour_of(since)), str(hour_of(until)), "1"
        while place:
            place, *found = texts(self._run("hours", str(now), place, end, str(COUNTS_AT_ONCE), claimed))
            for hour, status, number in zip(*[iter(found)] * 3, strict=True):
                counts.setdefault(int(hour), {})[status] = int(number)
            claimed = ""
        return counts

    # -- housekeeping --------------------------------------------------------------------------------------------

    def count_hours(self, now: int) -> Iterator[None]:
        """Count the records of hours that are over once and for all, in steps."""
        unfinished = self._run("unfinished")
        until = countable_until(now, None if unfinished is None else number_of(unfinished))
        fields = str(now), str(until), str(hour_of(now - HOURS_KEPT)), str(HOURS_AT_ONCE)
        while int(self._run("count_hours", *fields)):
            yield

    def count_all_durations(self, now: int) -> Iterator[None]:
        """Look at how long runs took that were not looked at yet, of all jobs, in steps."""
        following = ""
        while True:
            fields = following, str(PASSED), str(LOOKED_AT), ""
            following, is_cut, *found = texts(self._run("uncounted", *fields))
            self._count(found, now)
            yield
            if is_cut:
                yield from self.count_durations(following, now)
            if not following:
                return

    def count_durations(self, job_id: str, now: int) -> Iterator[None]:
        """Look at how long runs of a job took that were not looked at yet, in steps."""
        while True:
            _, is_cut, *found = texts(self._run("uncounted", job_id, "1", str(LOOKED_AT), "1"))
            if not self._count(found, now) or not is_cut:
                return
            yield

    def _count(self, found: Sequence[str], now: int) -> int:
        """Count records: those of one job after those of another; return how many were passed."""
        fields: list[str] = []
        answer, passed = iter(found), 0
        for job_id in answer:
            known, count = next(answer), int(next(answer))
            durations = durations_of(known)
            until = durations.until
            runs = [_ended(next(answer), next(answer)) for _ in range(count)]
            passed += fold(durations, (run for run in runs if until is None or run[0] > until), now)
            if durations.until != until:
                fields += (job_id, known, text_of_durations(durations))
        if fields:
            self._run("set_durations", *fields)
        return passed

    def tidy(self, now: int) -> Iterator[None]:
        """Delete what is kept of jobs that are gone, tags that their jobs do not have any more, and keys that hold no more."""
        cursor = ""
        while cursor != "0":
            cursor = str(self._run("forget_asked", cursor or "0", str(LOOKED_AT), str(now - KEY_HOLDS)))
            yield
        place: str | None = ""
        while place is not None:
            place = self._run("tidy", place, str(LOOKED_AT))
            yield
        tag = job_id = ""
        while True:
            parts = self._run("tagged", tag, job_id, str(TAGS_AT_ONCE)).split("\0")
            found = list(zip(parts[:-1:2], parts[1::2], strict=False))
            self._untag(found)
            if len(found) < TAGS_AT_ONCE:
                return
            tag, job_id = found[-1]
            yield

    def _untag(self, found: Sequence[tuple[str, str]]) -> None:
        """Take tags out of their index whose job is gone, or does not have them any more."""
        ids = sorted({job_id for _, job_id in found})
        answer = self._run("look_up", *ids) if ids else ""
        parts = answer.split("\0")
        states = dict(zip(parts[:-1:3], parts[2::3], strict=False))
        # A job that cannot be restored may have tags that nobody can read now.
        jobs = {job.id: job for job in self._jobs_of(answer)}
        wrong = [
            text
            for tag, job_id in found
            if (job := jobs.get(job_id)) is None or (job.state != QUARANTINED and tag not in tags_of((job,)))
            for text in (tag, job_id, states.get(job_id, ""))
        ]
        if wrong:
            self._run("untag", *wrong)


def parts_of_texts(found: Sequence[str]) -> dict[str, str]:
    """Return parts of a run by their names.

    :param found: name and text of each in turn
    """
    return {kept_text(name): kept_text(text) for name, text in zip(found[::2], found[1::2], strict=True)}


def _ended(key: str, document: str) -> Ended:
    """Return a record as it is needed to count its duration; one that is damaged has none."""
    nominal = number_of(key.rpartition("\0")[2])
    try:
        fields = json.loads(document)
        return nominal, fields["status"], fields.get("started"), fields.get("finished")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return nominal, "damaged", None, None
