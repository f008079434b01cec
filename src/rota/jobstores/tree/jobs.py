"""The jobs of a tree: added, saved, removed, listed, looked up when they are due, and let out of quarantine.

Each step reads, and commits under the condition that nobody has changed the job since. It knows no record.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from ...clock import HELD
from ...codec.damaged import NO_VERSION
from ...codec.unrestored import can_run
from ...core.extras import extra_of, keeps_place
from ...core.states import ACTIVE, WAITING
from ...core.transitions import released
from ...core.waiting import JOB_REMOVED
from ...errors import (
    ConflictingIdError,
    DeserializationError,
    JobLookupError,
    StoreConflictError,
)
from ...texts import storable
from .. import retention
from ..base import ALIASES, COUNTED
from ..documents import heal, new_version
from ..retention import Pace
from .forms import (
    REMOVED,
    Doc,
    cancellation,
    changes_of,
    counts_of,
    doc_of,
    parts_of,
    rare_of,
    replaced,
    run_in,
)
from .keys import (
    ACTIVE_RUNS,
    DUE,
    JOBS,
    QUARANTINED_JOBS,
    due_folder,
    due_of,
    job_key,
    number,
    quarantined_key,
    quoted,
    unquoted,
    waiting_folder,
)
from .port import KEEP, TRIES, Change, Step, carry_out, tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ...clock import Clock
    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job
    from ...logs import GuardedLogger
    from .port import Entry, Tree


class Jobs:
    """Reads and writes the jobs of one tree.

    :param tree: the server
    :param format: how the parts of a job are written
    """

    def __init__(self, tree: Tree, format: JobFormat) -> None:
        self._tree = tree
        self._format = format

    # -- reading -------------------------------------------------------------------------------------------------

    def one(self, job_id: str) -> Doc | None:
        """Return the document of a job, None if there is no job of that id."""
        (entry,) = self._tree.read([job_key(job_id)])
        doc = doc_of(job_id, entry)
        return doc if doc is not None and doc.is_kept else None

    def some(self, ids: Iterable[str]) -> dict[str, Doc | None]:
        """Return documents, also those of jobs that have ended or were removed."""
        wanted = list(dict.fromkeys(ids))
        found = self._tree.read([job_key(job_id) for job_id in wanted])
        return {job_id: doc_of(job_id, entry) for job_id, entry in zip(wanted, found, strict=True)}

    def select(
        self, state: Collection[str] | None, limit: int | None, offset: int, logger: GuardedLogger
    ) -> list[Doc]:
        """Return a page of the documents in the order of listings, those of some states if they are given.

        A page of jobs with a due time is found by these, and jobs that have one are not read for a page of others. For a page
        that has some of both all are read.
        """
        end = None if limit is None else offset + limit
        with_due = state is None or ACTIVE in state
        if end is not None and with_due:
            docs = self.due(HELD - 1, dict.fromkeys(self.executors(), end), logger, slice(offset, end))
            if len(docs) == limit:
                return docs
        docs = self.all() if with_due else self._without_due()
        return sorted((doc for doc in docs if state is None or doc.state in state), key=_in_order)[offset:end]

    def all(self, kept: bool = False) -> list[Doc]:
        """Return the documents of all jobs.

        :param kept: also those that are only kept for waiting runs
        """
        found = (doc_of(unquoted(name), entry) for name, entry in self._tree.entries(JOBS).items())
        return [doc for doc in found if doc is not None and (doc.is_visible or (kept and doc.is_kept))]

    def _without_due(self) -> list[Doc]:
        """Return the documents of the jobs that have no due time; those of the others are not read."""
        folders = [f"{DUE}/{part}" for part in self._tree.folders(DUE)]
        found = self._tree.first(folders, None, [None] * len(folders)) if folders else []
        due = {name.partition("-")[2] for names in found for name in names}
        names = [name for name in self._tree.names(JOBS) if name not in due]
        entries = self._tree.read([f"{JOBS}/{name}" for name in names])
        docs = (doc_of(unquoted(name), entry) for name, entry in zip(names, entries, strict=True))
        return [doc for doc in docs if doc is not None and doc.is_visible]

    def due(
        self, now: int, limits: Mapping[str, int | None], logger: GuardedLogger, page: slice = slice(None)
    ) -> list[Doc]:
        """Return what is due, the earliest first: for each executor at most so many, and of these only a page."""
        folders = [due_folder(alias) for alias in limits]
        found = self._tree.first(folders, number(now + 1), list(limits.values())) if folders else []
        keys = sorted(
            (name, f"{folder}/{name}")
            for folder, names in zip(folders, found, strict=True)
            for name in names
            if self._is_due_time(folder, name, logger)
        )[page]
        entries = self._tree.read([f"{JOBS}/{name.partition('-')[2]}" for name, _ in keys])
        docs: list[Doc] = []
        for (name, key), entry in zip(keys, entries, strict=True):
            doc = doc_of(unquoted(name.partition("-")[2]), entry)
            if doc is not None and doc.unreadable is not None:
                doc.found = key  # it is put into quarantine by whoever claims it
                docs.append(doc)
            elif doc is not None and doc.index == key:
                docs.append(doc)
            else:
                self._mend(key, name, entry, logger)
        return docs

    def under_way(self) -> Counter[str]:
        """Return how many runs of each job are under way."""
        return counts_of(self._tree.names(ACTIVE_RUNS))

    def _is_due_time(self, folder: str, name: str, logger: GuardedLogger) -> bool:
        """Whether a name is that of a due time; any other one is deleted, as it would always come first."""
        try:
            return due_of(name)[1] != ""
        except ValueError:
            self._tree.delete([f"{folder}/{name}"])
            logger.error("%s/%s on %s is no due time, and was deleted", folder, name, self._tree.address)
            return False

    def next_due(self, executors: Iterable[str], logger: GuardedLogger) -> int | None:
        """Return the earliest due time of the jobs of these executors."""
        folders = [due_folder(alias) for alias in executors]
        for limit in (1, None):  # all, if somebody has put other names there
            found = self._tree.first(folders, None, [limit] * len(folders)) if folders else []
            names = [name for names in found for name in names]
            times = [
                due_of(name)[0]
                for folder, names in zip(folders, found, strict=True)
                for name in names
                if self._is_due_time(folder, name, logger)
            ]
            if len(times) == len(names):
                break
        return min(times, default=None)

    def overdue(self, now: int, known: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for each executor that is not known; of very many as many as are counted."""
        passed = set(known)
        others = [alias for alias in self.executors() if alias not in passed][:ALIASES]
        folders = [due_folder(alias) for alias in others]
        found = self._tree.first(folders, number(now + 1), [COUNTED] * len(folders)) if folders else []
        return {alias: len(names) for alias, names in zip(others, found, strict=True) if names}

    def executors(self) -> list[str]:
        """Return the executors whose jobs have due times."""
        return list(map(unquoted, self._tree.folders(DUE)))

    def _mend(self, key: str, name: str, entry: Entry, logger: GuardedLogger) -> None:
        """Delete a due time that its job does not have; nothing happens if the job was changed while it was read."""
        (again,) = self._tree.read([key])
        keep = Change(f"{JOBS}/{name.partition('-')[2]}", KEEP, entry.rev)
        if again.value is not None and self._tree.commit([keep, Change(key, None)]):
            logger.error("%s on %s led to no job that is due then, and was deleted", key, self._tree.address)

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[Job], now: int, tell: bool) -> None:
        """Store jobs of different ids: all or none.

        :raises ConflictingIdError: if ids exist already
        """
        done: list[Job] = []
        pending = [(job, parts_of(job, self._format)) for job in jobs]
        try:
            for _ in tries():
                pending = self._add(pending, now, tell, done)
                if not pending:
                    return
        except BaseException:
            for job in done:
                self.remove(job.id, now)
            raise
        for job in done:
            self.remove(job.id, now)
        raise StoreConflictError("Others add and remove jobs of the same ids all the time; try again")

    def _add(
        self, pending: Sequence[tuple[Job, tuple[str, ...]]], now: int, tell: bool, done: list[Job]
    ) -> list[tuple[Job, tuple[str, ...]]]:
        """Store what nobody has changed since it was read; return the others."""
        entries = self._tree.read([job_key(job.id) for job, _ in pending])
        docs = [doc_of(job.id, entry) for (job, _), entry in zip(pending, entries, strict=True)]
        conflicts = [doc.id for doc in docs if doc is not None and doc.is_visible]
        if conflicts:
            raise ConflictingIdError(*conflicts)
        if any(doc is not None for doc in docs):
            # The ledger says how many runs of earlier jobs of these ids are under way; it is read after the documents, which
            # are written with everything that changes it.
            counts = self.under_way()
            for doc in docs:
                if doc is not None:
                    doc.running = counts[doc.id] + doc.placed
        steps = [
            _addition(job, parts, doc, entry, now, done)
            for (job, parts), doc, entry in zip(pending, docs, entries, strict=True)
        ]
        refused = {id(step.about) for step in carry_out(steps, self._tree, tell)}
        return [pair for pair in pending if id(pair[0]) in refused]

    def save(self, job: Job, version: int | None, now: int, is_soon: Callable[[int | None], bool]) -> bool:
        """Replace a job of the given version (of any version if None).

        :return: whether the version was right
        :raises JobLookupError: if there is no job of that id
        """
        parts = parts_of(job, self._format)
        for _ in tries():
            doc = self.one(job.id)
            if doc is None:
                raise JobLookupError(job.id)
            if doc.unreadable is not None:
                if version is None or not can_run(job):
                    raise DeserializationError(
                        f"Job {job.id} is not overwritten: {doc.unreadable}; remove it first"
                    )
                doc.version, doc.running = NO_VERSION, self.under_way()[doc.id]
                doc.waiting = len(self._tree.names(waiting_folder(doc.id)))
            if version is not None and doc.version != version:
                return False
            new = _filled(doc.copy(), job, parts, now)
            new.version, new.unreadable = doc.version + 1, None
            changes = changes_of(doc, new) if doc.unreadable is None else replaced(doc, new)
            if self._tree.commit(changes, is_soon(new.due)):
                job.version = new.version
                return True
        raise StoreConflictError(f"Job {job.id} was changed by others {TRIES} times in a row; try again")

    def remove(
        self,
        job_id: str,
        now: int,
        has_children: Callable[[str], bool] | None = None,
        left_by: Callable[[Sequence[Run], int], tuple[list[Change], int | None]] | None = None,
    ) -> list[Run]:
        """Delete a job; return its waiting runs, which are cancelled with it.

        :param has_children: tells whether the ends of a job start others
        :param left_by: returns the changes that write what ends leave at these; None: nothing is written
        :raises JobLookupError: if there is none
        """
        ended: list[Run] = []
        for _ in tries():
            is_done = False
            while not is_done:
                doc = self.one(job_id)
                if doc is None:
                    raise JobLookupError(job_id)
                singly = has_children is not None and doc.waiting > 0 and has_children(job_id)
                changes, is_done, runs = self._removal(doc, now, singly)
                if singly and left_by is not None:
                    changes += left_by(runs, now)[0]
                if not self._tree.commit(changes):
                    break
                ended += runs
            else:
                return ended
        raise StoreConflictError(f"Job {job_id} was changed by others {TRIES} times in a row; try again")

    def remove_all(self, now: int) -> list[Run]:
        """Delete all jobs; return their waiting runs, which are cancelled with them."""
        ended: list[Run] = []
        for _ in tries():
            is_done = False
            while not is_done:
                found = [(doc, *self._removal(doc, now)) for doc in self.all(kept=True)]
                steps = [Step(doc, changes, partial(ended.extend, runs)) for doc, changes, _, runs in found]
                if carry_out(steps, self._tree):
                    break
                is_done = all(is_last for _, _, is_last, _ in found)
            else:
                return ended
        raise StoreConflictError(f"Others changed jobs {TRIES} times while they were removed; try again")

    def _removal(self, doc: Doc, now: int, singly: bool = False) -> tuple[list[Change], bool, list[Run]]:
        """Return the changes that remove a job and cancel its waiting runs, whether they do, and those runs; of very many runs some
        go first.

        :param singly: whether they go one by one
        Runs that are under way keep its document until they have ended.
        """
        if doc.unreadable is not None:
            doc.running = self.under_way()[doc.id]
            doc.waiting = len(self._tree.names(waiting_folder(doc.id)))
        runs: dict[Run, Entry] = {}
        if doc.waiting:
            for entry in self._tree.entries(waiting_folder(doc.id)).values():
                run = run_in(entry)
                if run is not None and run.job_id == doc.id and run.status == WAITING:
                    runs[run] = entry
        most = 1 if singly else (self._tree.max_changes - 6) // 3
        if len(runs) > most:
            some = dict(list(runs.items())[:most])
            return cancellation(doc, some, JOB_REMOVED, now), False, list(some)
        new = doc.copy()
        new.running = doc.running - sum(keeps_place(extra_of(run)) for run in runs)
        new.waiting = new.placed = 0
        new.state = REMOVED
        changes = changes_of(doc, new if new.running > 0 else None) + cancellation(
            None, runs, JOB_REMOVED, now
        )
        return (
            changes if doc.unreadable is None else [*changes, Change(quarantined_key(doc.id), None)],
            True,
            list(runs),
        )

    def heal(
        self, now: int, job_of: Callable[[Doc, bool], Job], clock: Clock
    ) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now, in steps; see the port."""
        pace, last = Pace(retention.RESTORED), ""
        while True:
            began, size = clock.monotonic(), pace.size
            names = self._tree.after(QUARANTINED_JOBS, last, size + COUNTED)
            if not names:
                return
            last = names[:size][-1]
            healed = self._heal(list(map(unquoted, names[:size])), now, job_of)
            pace.note(len(names[:size]), clock.monotonic() - began)
            yield healed, max(len(names) - size, 0)

    def _heal(self, ids: Sequence[str], now: int, job_of: Callable[[Doc, bool], Job]) -> list[Job]:
        steps = []
        for doc in self.some(ids).values():
            if doc is None or doc.unreadable is not None:
                continue
            job = job_of(doc, True)
            if heal(job, now):
                new = doc.copy()
                new.state, new.error, new.due = job.state, None, job.next_due
                new.version, new.updated = doc.version + 1, now
                job.version = new.version
                steps.append(Step(job, changes_of(doc, new)))
        refused = {id(step.about) for step in carry_out(steps, self._tree)}
        return [step.about for step in steps if id(step.about) not in refused]


def _in_order(doc: Doc) -> tuple[bool, int, str]:
    """Return the sort key of listings: the earliest due first, as their keys sort; those without a due time last."""
    return doc.due is None, doc.due or 0, quoted(doc.id)


def _addition(
    job: Job, parts: tuple[str, ...], old: Doc | None, entry: Entry, now: int, done: list[Job]
) -> Step:
    # The document of a job that has ended or was removed while runs of it are under way goes on.
    new = Doc(job.id, entry.rev) if old is None else old.copy()
    new.created = now
    new.version = new_version()
    _filled(new, job, parts, now)

    def added() -> None:
        job.version = new.version
        done.append(job)

    return Step(job, changes_of(old, new, entry.rev), added)


def _filled(doc: Doc, job: Job, parts: tuple[str, ...], now: int) -> Doc:
    """Write into a document what a job is."""
    doc.parts = parts
    doc.state, doc.error = job.state, storable(job.error)
    doc.nominal, doc.due = job.next_nominal, released(job.next_nominal, job.next_due, doc.running)
    doc.updated, doc.rare = now, rare_of(job)
    return doc
