"""Runs that are asked for in the MongoDB store: opened, new or again; a key that one was asked for with is taken before that.

Each step is one conditional update of the job's document, as in the claim protocol.
"""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from ...codec.damaged import is_time
from ...core.extras import extra_of
from ...core.openings import by_run
from ...core.states import CLAIMED, ENDED, WAITING
from ...core.waiting import KEY_HOLDS, answers_for_key, opened
from ..documents import KEPT
from .forms import LISTS, REMOVED, entries_of, entry_of, key_of, numbered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.openings import Cut
    from ...core.run import Run
    from .filing import Filing
    from .search import Searching
    from .server import Server

#: How often a step is tried against others' changes.
TRIES = 20


class Opening:
    """Opens runs of one store.

    :param server: where the documents are
    :param format: how arguments of runs are written
    :param filing: files records
    :param searching: reads records
    """

    def __init__(self, server: Server, format: JobFormat, filing: Filing, searching: Searching) -> None:
        self._server = server
        self._format = format
        self._filing = filing
        self._searching = searching

    def open_runs(self, runs: Sequence[Run], now: int, cuts: Sequence[Cut], version: int | None) -> list[Run]:
        """Make runs wait; see the port."""
        found = []
        together: dict[str, list[Run]] = {}
        for run in runs:
            key = extra_of(run).key
            if key is None:
                together.setdefault(run.job_id, []).append(run)
            else:
                known = self._open_by_key(run, key, now)
                if known is not None:
                    found.append(known)
        for job_id, some in together.items():
            found += self._open(job_id, some, now, cuts, version)
        return found

    def _open_by_key(self, run: Run, key: str, now: int) -> Run | None:
        """Open a run unless its key was taken, else return the run of that key; None: it is refused."""
        place = {"job_id": run.job_id, "key": key}
        nominal = self._take_key({"_id": place, "at": {"$lte": now - KEY_HOLDS}}, run, now)
        known = self._known_as(nominal, run)
        if known is not None and not answers_for_key(known):
            nominal = self._take_key({"_id": place, "nominal": nominal}, run, now)
            known = self._known_as(nominal, run)
        if known is not None:
            return known
        if is_time(nominal) and nominal != run.nominal:
            # Whoever has taken the key has not opened the run yet.
            run.nominal = run.last = int(nominal)
        if self._open(run.job_id, [run], now):
            return run
        known = self._searching.get_run(run.job_id, run.nominal)
        if known is not None and extra_of(known).key == key:
            return known
        with self._server.translated():  # nothing was opened by this key
            self._server.keys.delete_one({"_id": place, "nominal": run.nominal})
        return None

    def _take_key(self, free: Mapping[str, Any], run: Run, now: int) -> Any:
        """Have a key stand for a run, if it is free; return the nominal time that it stands for then.

        :param free: which document of the key says so; none does, too
        """
        mine = {"$set": {"nominal": run.nominal, "at": now}}
        with self._server.translated():
            try:
                self._server.keys.update_one(free, mine, upsert=True)
            except DuplicateKeyError:
                pass  # it is taken
            held = self._server.keys.find_one({"_id": free["_id"]}) or {}
        return held.get("nominal")

    def _known_as(self, nominal: Any, run: Run) -> Run | None:
        """Return the record of the time that a key stands for, if that is another one than that of a run."""
        if not is_time(nominal) or nominal == run.nominal:
            return None
        return self._searching.get_run(run.job_id, int(nominal))

    def _open(
        self,
        job_id: str,
        runs: Sequence[Run],
        now: int,
        cuts: Sequence[Cut] = (),
        version: int | None = None,
    ) -> list[Run]:
        """Make runs of a job wait whose times have no record that has not ended (R4), in one step; return those that do."""
        for run in runs:
            extra = extra_of(run)
            opened(run, now if extra.not_before is None else extra.not_before)
            self._format.extra_text(run)
            self._format.sign(run)
        cut_of = by_run(cuts, runs) if cuts else {}
        keys = {run.nominal for run in runs} | {cut.found.nominal for cut in cut_of.values()}
        for _ in range(TRIES):
            with self._server.translated():
                document = self._server.jobs.find_one({"_id": job_id})
                if document is None or _is_gone(document):
                    return []
                if version is not None and document.get("version") != version:  # R1
                    return []
                unfinished: dict[Any, Any] = {
                    entry.get("nominal"): entry.get("status")
                    for name in LISTS
                    for entry in numbered(entries_of(document, name))
                }
                if any(status not in (CLAIMED, WAITING) for key, status in unfinished.items() if key in keys):
                    self._filing.file([job_id])  # it has ended
                    continue
                filed = self._filed(job_id, keys)
                free = [run for run in runs if _is_free(run, filed, unfinished, cut_of)]
                if not free or self._push(document, free, cut_of, filed, now):
                    return free
        return []

    def _push(
        self,
        document: Mapping[str, Any],
        runs: Sequence[Run],
        cut_of: Mapping[tuple[str, int], Cut],
        filed: Mapping[Any, Mapping[str, Any]],
        now: int,
    ) -> bool:
        """Put runs that wait into the document of their job, and what is left of their cuts; return False if others changed it."""
        job_id = document["_id"]
        its_cuts = {id(cut): cut for run in runs if (cut := _cut_of(cut_of, run)) is not None}
        pieces = [piece for cut in its_cuts.values() for piece in cut.left]
        # A record that is written after this look comes with a new version of its job.
        condition = {"_id": job_id, "version": document.get("version")}
        busy = bool(pieces) and document.get("busy") is not True
        values: dict[str, Any] = {"busy": True} if busy or not document.get("busy") else {}
        if document.get("state") == KEPT:
            values["state"] = ENDED  # how its last run ends decides anew (R6)
        change = {
            "$push": {"pending": {"$each": [entry_of(run) for run in (*runs, *pieces)]}},
            "$min": {"not_before": min(extra_of(run).not_before or now for run in runs)},
            "$inc": {"version": 1},
            **({"$set": values} if values else {}),
        }
        if not self._server.jobs.update_one(condition, change).matched_count:
            return False
        for run in runs:  # it would be found beside the one that waits
            record = filed.get(run.nominal)
            if record is not None:
                key = key_of(job_id, run.nominal)
                self._server.runs.delete_one({"_id": key, "attempt": record.get("attempt")})
        if pieces:
            self._filing.file([job_id])
        self._filing.settle([job_id])
        return True

    def _filed(self, job_id: str, keys: Iterable[int]) -> dict[Any, Mapping[str, Any]]:
        """Return what is filed of some nominal times of a job."""
        of = {"_id": {"$in": [key_of(job_id, key) for key in sorted(keys)]}}
        fields = {"nominal": 1, "status": 1, "attempt": 1, "last": 1, "count": 1}
        return {record.get("nominal"): record for record in self._server.runs.find(of, fields)}


def _is_gone(document: Mapping[str, Any]) -> bool:
    """Whether a job is not there any more, but for the ends of its runs."""
    state = document.get("state")
    return state == REMOVED or (state == ENDED and "not_before" not in document)


def _cut_of(cut_of: Mapping[tuple[str, int], Cut], run: Run) -> Cut | None:
    return cut_of.get((run.job_id, run.nominal))


def _is_free(
    run: Run,
    filed: Mapping[Any, Mapping[str, Any]],
    unfinished: Mapping[Any, Any],
    cut_of: Mapping[tuple[str, int], Cut],
) -> bool:
    """Whether a run may be opened: its time has no record that has not ended (R4), and that of its cut is as it was looked at."""
    if run.nominal in unfinished:
        return False
    cut = _cut_of(cut_of, run)
    if cut is None:
        return run.nominal not in filed or run.attempt > 0
    get = filed.get(cut.found.nominal, {}).get
    last = cut.found.nominal if get("count") == 1 else get("last")
    return cut.found.nominal not in unfinished and cut.seen == (
        *map(get, ("status", "attempt")),
        last,
        get("count"),
    )
