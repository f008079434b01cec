"""Searching the jobs and records of a tree, a part at a time.

Names of keys are read first, and values only of those that the part looks at. It changes nothing.
"""

from __future__ import annotations

from heapq import nsmallest

from ...clock import HELD
from ...core.queries import BY_DUE, BY_ID, BY_NAME, Part, key_of_run
from ...core.states import ACTIVE, CLAIMED, WAITING
from ...errors import QueryError
from .. import searching
from .forms import REMOVED, run_in
from .keys import (
    ACTIVE_RUNS,
    DUE,
    ENDED_RUNS,
    JOBS,
    WAITING_RUNS,
    active_key,
    active_of,
    ended_folder,
    ended_key,
    instant_of,
    is_number,
    number,
    unquoted,
    waiting_folder,
    waiting_key,
)
from .keys import due_of as due_of_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Any

    from ...core.queries import JobQuery, RunQuery
    from ...core.run import Run
    from ...job.handle import Job
    from .forms import Doc
    from .jobs import Jobs
    from .port import Tree

    #: the key of a record as it is in order: the nominal time, negative, and the id of its job
    RunKey = tuple[int, str]
    #: returns the key of a run by the id of its job and its nominal time
    KeyOf = Callable[[str, int], str]

#: Up to how many names of records are read for a search in the records of all jobs; of more records, those of so many jobs are
#: searched.
NAMES = 2_000
MOST_JOBS = 1_000
#: Of how many jobs each is asked for as many records as a part has; of more, those that have no new ones are left out first.
FEW = 10
#: How many of a job's last records are looked at first for those with some status, and how many then.
LAST, MORE = 20, 1000


class Searching:
    """Looks for jobs and records in one tree.

    :param tree: the server
    :param jobs: reads the documents of jobs
    """

    def __init__(self, tree: Tree, jobs: Jobs) -> None:
        self._tree = tree
        self._jobs = jobs

    # -- records -------------------------------------------------------------------------------------------------

    def runs(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        """Return a part of the records; see the port."""
        first, before = query.first, query.end
        if after is not None:
            before = min(1 - after[0], 2**62 if before is None else before)
        # Read before the ended ones, so that a run that ends in between is met twice, and not missed.
        keys: dict[RunKey, KeyOf] = {}
        if query.statuses is None or WAITING in query.statuses:
            keys |= dict.fromkeys(self._waiting(query.job_ids), waiting_key)
        if query.statuses is None or CLAIMED in query.statuses:
            keys |= dict.fromkeys(self._under_way(query.job_ids), active_key)
        if query.statuses is None or not set(query.statuses) <= {CLAIMED, WAITING}:
            ids = {job_id for _, job_id in keys}
            ended = self._ended(query.job_ids, ids, (first, before), after, count + 2)
            keys |= dict.fromkeys(ended, ended_key)
        fitting = [
            key
            for key in keys
            if (after is None or key > after)
            and (first is None or -key[0] >= first)
            and (before is None or -key[0] < before)
        ]
        some = nsmallest(count + 1, fitting)
        runs = self.read({key: keys[key] for key in some[:count]})
        found = [run for run in runs if query.matches(run)]
        return Part(found, some[count - 1] if len(some) > count else None, len(some[:count]))

    def covers(self, query: RunQuery) -> bool:
        """Whether all records that a query wants are found, and not only those of some jobs."""
        statuses = query.statuses
        only_unfinished = statuses is not None and set(statuses) <= {CLAIMED, WAITING}
        return query.job_ids is not None or only_unfinished or self._tree.some_below(ENDED_RUNS, NAMES)[1]

    def read(self, keys: Mapping[RunKey, KeyOf]) -> list[Run]:
        """Return records in the order of their keys; what is damaged or was pruned is left out.

        :param keys: with each what returns the key under which it was met
        """
        names = [key_of(job_id, -time) for (time, job_id), key_of in keys.items()]
        found = dict(zip(keys, map(run_in, self._tree.read(names)), strict=True))
        left = [key for key, run in found.items() if run is None and keys[key] is not ended_key]
        for time, job_id in left:  # they went on in between
            found[time, job_id] = self.one(job_id, -time)
        # A record that says that it is another one is damaged, and would be found in a place where it is not.
        return [run for key, run in found.items() if run is not None and key_of_run(run) == key]

    def one(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time."""
        keys = [key_of(job_id, nominal) for key_of in (ended_key, active_key, waiting_key)]
        return next((run for run in map(run_in, self._tree.read(keys)) if run is not None), None)

    def last(self, ids: Collection[str], n: int, statuses: Collection[str] | None) -> dict[str, list[Run]]:
        """Return the newest records of some jobs; see the port."""
        wanted = None if statuses is None else set(statuses)
        others: dict[RunKey, KeyOf] = {}
        if wanted is None or WAITING in wanted:
            others |= dict.fromkeys(self._waiting(ids), waiting_key)
        if wanted is None or CLAIMED in wanted:
            others |= dict.fromkeys(self._under_way(ids), active_key)
        found: dict[str, list[Run]] = {}
        pending, limit = sorted(set(ids)), n if wanted is None else max(n, LAST)
        while pending:
            asked = set(pending)
            names = self._tree.newest(list(map(ended_folder, pending)), limit)
            keys = {key: key_of for key, key_of in others.items() if key[1] in asked}
            for job_id, some in zip(pending, names, strict=True):
                keys |= dict.fromkeys(_keys_of(job_id, some), ended_key)
            runs: dict[str, list[Run]] = {}
            for run in sorted(self.read(keys), key=key_of_run):
                if wanted is None or run.status in wanted:
                    runs.setdefault(run.job_id, []).append(run)
            found |= {job_id: some[:n] for job_id, some in runs.items()}
            pending = [
                job_id
                for job_id, some in zip(pending, names, strict=True)
                if len(some) == limit < MORE and len(found.get(job_id, ())) < n
            ]
            limit = MORE
        return found

    def _under_way(self, ids: Collection[str] | None) -> list[RunKey]:
        """Return the keys of the runs that are under way."""
        names = map(active_of, self._tree.names(ACTIVE_RUNS))
        return [(-key[1], key[0]) for key in names if key is not None and (ids is None or key[0] in ids)]

    def _waiting(self, ids: Collection[str] | None) -> list[RunKey]:
        """Return the keys of the runs that wait."""
        if ids is not None:
            return self._newest(sorted(ids), NAMES, "", ":", waiting_folder)
        found = self._tree.below(WAITING_RUNS)
        return [key for part, names in found.items() for key in _keys_of(unquoted(part), names)]

    def _ended(
        self,
        ids: Collection[str] | None,
        others: Collection[str],
        within: tuple[int | None, int | None],
        after: tuple[Any, ...] | None,
        count: int,
    ) -> Iterable[RunKey]:
        """Return keys of records: all, or at least so many of the newest ones, one more of each job not counted.

        :param ids: of these jobs; None: of all
        :param others: ids of jobs that are known to be there
        :param within: from when to when (instants)
        """
        if ids is None:
            found, is_all = self._tree.some_below(ENDED_RUNS, NAMES)
            if is_all:
                return [key for part, names in found.items() for key in _keys_of(unquoted(part), names)]
            # Jobs that are there come before those that are gone.
            known = [*others, *map(unquoted, [*self._tree.after(JOBS, "", MOST_JOBS), *found])]
            ids = list(dict.fromkeys(known))[:MOST_JOBS]
        first, before = within
        since = "" if first is None else number(first)
        until = ":" if before is None else number(before)
        if len(ids) > FEW:
            # One record of each job may be of the very time after which the part begins, and come before it.
            heads = [
                key for key in self._newest(sorted(ids), 2, since, until) if after is None or key > after
            ]
            # Jobs whose newest records are older than so many of others have none in this part.
            edge = nsmallest(count, heads)
            if len(edge) == count:
                since = number(-edge[-1][0])
            ids = {key[1] for key in edge}
        return self._newest(sorted(ids), count, since, until)

    def _newest(
        self,
        ids: Sequence[str],
        limit: int,
        since: str,
        until: str,
        folder: Callable[[str], str] = ended_folder,
    ) -> list[RunKey]:
        found = self._tree.newest(list(map(folder, ids)), limit, since, until)
        return [key for job_id, names in zip(ids, found, strict=True) for key in _keys_of(job_id, names)]

    # -- jobs ----------------------------------------------------------------------------------------------------

    def jobs(
        self, query: JobQuery, after: tuple[Any, ...] | None, count: int, job_of: Callable[[Doc], Job]
    ) -> Part[Job]:
        """Return a part of the jobs; see the port.

        :raises QueryError: if there are too many to be sorted by their names
        """
        if query.ids is not None or query.sort == BY_NAME:
            docs = self._all(query.ids)
            keys = {_key_of_doc(doc, query.sort): doc.id for doc in docs.values()}
        elif query.sort == BY_ID:
            docs = {}
            keys = {(job_id,): job_id for job_id in map(unquoted, self._tree.names(JOBS))}
        else:
            docs = {}
            keys = self._by_due()
        some = nsmallest(count + 1, (key for key in keys if after is None or key > after))
        wanted = [keys[key] for key in some[:count]]
        read = docs or self._jobs.some(wanted)
        found = []
        for key, job_id in zip(some, wanted, strict=False):
            doc = read.get(job_id)
            # One that has changed its place in between may come again there.
            if doc is not None and _may_match(doc, query) and _key_of_doc(doc, query.sort) == key:
                job = job_of(doc)
                if query.matches(job):
                    found.append(job)
        last = some[count - 1] if len(some) > count else None
        return Part(found, last, len(wanted), {keys[key]: key for key in some})

    def _all(self, ids: Collection[str] | None) -> dict[str, Doc]:
        """Return the documents of some jobs, or of all."""
        if ids is None:
            names = self._tree.names(JOBS)
            if len(names) > searching.SORTED:
                raise QueryError(
                    f'sort must be "id" or "due" where there are more than {searching.SORTED} jobs, got "name"; '
                    f"this store has no order by name"
                )
            ids = map(unquoted, names)  # type: ignore[assignment]
        return {id: doc for id, doc in self._jobs.some(ids).items() if doc is not None}  # type: ignore[arg-type]

    def _by_due(self) -> dict[tuple[Any, ...], str]:
        """Return the ids of all jobs by their keys in the order of due times."""
        folders = [f"{DUE}/{part}" for part in self._tree.folders(DUE)]
        found = self._tree.first(folders, None, [None] * len(folders)) if folders else []
        due = [due_of_name(name) for names in found for name in names if is_number(name.partition("-")[0])]
        keys: dict[tuple[Any, ...], str] = {(0, time, job_id): job_id for time, job_id in due}
        have_time = set(keys.values())
        others = {id for id in map(unquoted, self._tree.names(JOBS)) if id not in have_time}
        # Those that wait for one of their runs have no due time, and are in the order of what they wait for.
        busy = self._jobs.some(sorted(others & {job_id for _, job_id in self._under_way(None)}))
        keys |= {_key_of_doc(doc, BY_DUE): id for id, doc in busy.items() if doc is not None}
        keys |= {(1, 0, id): id for id in others if id not in busy}
        return keys


def _keys_of(job_id: str, names: Iterable[str]) -> list[RunKey]:
    """Return the keys of the records of a job by their names; what is no name of a record is left out."""
    return [(-instant_of(name), job_id) for name in names if is_number(name)]


def _key_of_doc(doc: Doc, sort: str) -> tuple[Any, ...]:
    """Return the key by which the job of a document is in order; see :func:`~rota.core.queries.key_of_job`."""
    if sort == BY_NAME:
        return doc.parts[1], doc.id
    if sort == BY_DUE:
        due = doc.nominal if doc.due == HELD else doc.due
        return (1, 0, doc.id) if due is None or doc.state != ACTIVE else (0, due, doc.id)
    return (doc.id,)


def _may_match(doc: Doc, query: JobQuery) -> bool:
    """Whether the job of a document may be among what is wanted, as far as that is told without making it."""
    _, name, reference, *_, options, executor = doc.parts
    state_fits = doc.state in query.wanted_states if doc.state != REMOVED else False
    if doc.unreadable is not None:
        return True
    text = None if query.text is None else query.text.casefold()
    return (
        state_fits
        and (query.executors is None or executor in query.executors)
        and (query.tags is None or '"tags"' in options)
        and (query.func is None or reference.startswith(query.func))
        and (text is None or any(text in part.casefold() for part in (doc.id, name, reference)))
    )
