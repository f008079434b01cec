"""Searching the jobs and records of a tree, a part at a time.

Names of keys are read first, and values only of those that the part looks at. It changes nothing.
"""

from __future__ import annotations

from heapq import nsmallest
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from ...clock import HELD
from ...core.queries import BY_DUE, BY_ID, BY_NAME, Part, key_of_run
from ...core.states import ACTIVE, CLAIMED, END_STATES, WAITING
from ...errors import QueryError
from .. import searching
from ..documents import label_all
from .forms import REMOVED, doc_of, recorded_in, run_in
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
    quoted,
    unquoted,
    waiting_key,
)
from .keys import due_of as due_of_name
from .port import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

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
#: Of how many jobs the newest records are asked for before it is known how old those may be that are asked for next.
PORTION = 256
#: Of how many jobs with runs under way the documents are read to see whether they wait for the end of these.
BUSY = 100
#: The folders of records that are kept, and which those are.
_FOLDERS: dict[str, tuple[str, ...]] = {WAITING_RUNS: (WAITING,), ENDED_RUNS: tuple(END_STATES)}
_NO_VALUES: Mapping[str, str] = MappingProxyType({})
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
        sizes = self._sizes(query) if query.job_ids is None else {}
        asked = _Asked(query.job_ids, first, before, after, count + 1, sizes, {})
        # Read before the ended ones, so that a run that ends in between is met twice, and not missed.
        keys: dict[RunKey, KeyOf] = {}
        if _asks_for(query, WAITING):
            keys |= dict.fromkeys(self._kept(WAITING_RUNS, asked, ()), waiting_key)
        if _asks_for(query, CLAIMED):
            keys |= dict.fromkeys(self._under_way(query.job_ids), active_key)
        if _asks_for(query, *END_STATES):
            ids = {job_id for _, job_id in keys}
            keys |= dict.fromkeys(self._kept(ENDED_RUNS, asked, ids), ended_key)
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
        self.label(found, asked.values)
        return Part(found, some[count - 1] if len(some) > count else None, len(some[:count]))

    def covers(self, query: RunQuery) -> bool:
        """Whether all records that a query wants are found, and not only those of some jobs."""
        return query.job_ids is not None or max(self._sizes(query).values(), default=0) <= NAMES

    def _sizes(self, query: RunQuery) -> dict[str, int]:
        """Return how many keys the folders have that may have records which are asked for."""
        roots = [root for root, statuses in _FOLDERS.items() if _asks_for(query, *statuses)]
        return dict(zip(roots, self._tree.sizes(roots), strict=True)) if roots else {}

    def label(self, runs: Sequence[Run], values: Mapping[str, str] = _NO_VALUES) -> None:
        """Give records the name and the callable that they lack, where their job is there.

        :param values: documents of jobs that were read already, by ids
        """
        ids = {run.job_id for run in runs if run.name is None}
        docs = {id: doc_of(id, Entry(values[id], 0)) for id in ids if id in values}
        docs |= self._jobs.some(sorted(ids - docs.keys()))
        readable = {id: doc for id, doc in docs.items() if doc is not None and doc.unreadable is None}
        label_all(runs, {id: (doc.parts[1], doc.parts[2]) for id, doc in readable.items()})

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
            others |= dict.fromkeys(self._newest(WAITING_RUNS, sorted(ids), NAMES), waiting_key)
        if wanted is None or CLAIMED in wanted:
            others |= dict.fromkeys(self._under_way(ids), active_key)
        found: dict[str, list[Run]] = {}
        pending, limit = sorted(set(ids)), n if wanted is None else max(n, LAST)
        while pending:
            asked = set(pending)
            names = self._tree.newest(list(map(ended_folder, pending)), limit, "", [":"] * len(pending))
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

    def _kept(self, root: str, asked: _Asked, others: Collection[str]) -> list[RunKey]:
        """Return keys of the records in a folder of folders: all, or at least as many of the newest ones as are wanted.

        :param others: ids of jobs that are known to be there
        """
        if asked.ids is not None:
            latest: dict[str, int | None] = dict.fromkeys(asked.ids)
        elif asked.sizes[root] <= NAMES:
            found, _ = self._tree.some_below(root, NAMES) if asked.sizes[root] else ({}, True)
            return [key for part, names in found.items() for key in _keys_of(unquoted(part), names)]
        else:
            latest = self._some_jobs(root, others, asked.values)
        since = "" if asked.first is None else number(asked.first)
        if len(latest) <= FEW:
            return self._newest(root, sorted(latest), asked.least, since, asked)
        # Jobs whose newest record is older than so many of others have none in this part. What is known of some is that they have
        # none after some time.
        known = {id: at for id, at in latest.items() if at is not None and number(at) < asked.before_of(id)}
        heads = self._heads(root, sorted(latest.keys() - known.keys()), since, asked)
        if len(heads) == asked.least:
            since = number(-heads[-1][0])
        in_question = sorted([*heads, *((-at, id) for id, at in known.items() if number(at) >= since)])
        for wanted in wanted_of(asked.least, len(in_question)):
            some = in_question[:wanted]
            bound = since if wanted == len(in_question) else max(since, number(-some[-1][0]))
            newest = self._newest(root, sorted(id for _, id in some), asked.least, bound, asked)
            if len(newest) >= asked.least:
                return newest
        return newest

    def _heads(self, root: str, ids: Sequence[str], since: str, asked: _Asked) -> list[RunKey]:
        """Return the key of the newest record of each of some jobs, only the newest of these: as many as are wanted."""
        edge: list[RunKey] = []
        for start in range(0, len(ids), PORTION):
            heads = self._newest(root, ids[start : start + PORTION], 1, since, asked)
            edge = nsmallest(asked.least, [*edge, *heads])
            if len(edge) == asked.least:
                since = number(-edge[-1][0])
        return edge

    def _some_jobs(self, root: str, others: Collection[str], values: dict[str, str]) -> dict[str, int | None]:
        """Return the ids of the jobs whose records are searched, where there are too many: those that are there come first.

        :param values: where documents of jobs are put that were read with their names
        :return: with each the time after which it has no record, as its document says; None: that is not known
        """
        latest: dict[str, int | None] = dict.fromkeys(others)
        for name, value in self._tree.some_values(JOBS, MOST_JOBS).items():
            id = unquoted(name)
            latest[id] = None if value is None else recorded_in(value)
            if value is not None:
                values[id] = value
        left = NAMES - 2 * len(latest)  # each of them is a name, and has one that is read
        if left > 0:
            for part in self._tree.some_below(root, left)[0]:
                latest.setdefault(unquoted(part), None)
        return dict(islice(latest.items(), MOST_JOBS))

    def _newest(
        self, root: str, ids: Sequence[str], limit: int, since: str = "", asked: _Asked | None = None
    ) -> list[RunKey]:
        """Return the keys of the newest records of some jobs, at most so many of each."""
        folders = [f"{root}/{quoted(job_id)}" for job_id in ids]
        before = [":" if asked is None else asked.before_of(job_id) for job_id in ids]
        found = self._tree.newest(folders, limit, since, before)
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
            keys = self._next_due(after, count + 1) or self._by_due()
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

    def _next_due(self, after: tuple[Any, ...] | None, count: int) -> dict[tuple[Any, ...], str] | None:
        """Return the ids of at least so many jobs after a key in the order of due times, by their keys.

        :return: None if so many do not come after it that have a due time, or many runs are under way
        """
        folders = [f"{DUE}/{part}" for part in self._tree.folders(DUE)]
        busy = {job_id for _, job_id in self._under_way(None)}
        if not folders or len(busy) > BUSY or (after is not None and after[0] != 0):
            return None
        since, found = "", []
        if after is not None:  # names of one time are in another order than ids
            since = number(after[1] + 1)
            found = self._tree.first(folders, since, [None] * len(folders), number(after[1]))
        later = self._tree.first(folders, None, [count + 1] * len(folders), since)
        for folder, names in zip(folders, later, strict=True):
            if len(names) > count:
                edge = names[-1].partition("-")[0]
                some = [name for name in names if name < edge]
                if len(some) < count:
                    after_edge = f"{edge}."  # the character after the dash
                    some += self._tree.first([folder], after_edge, [None], edge)[0]
                names = some
            found.append(names)
        try:
            due = [due_of_name(name) for names in found for name in names]
        except ValueError:
            return None  # one of them is damaged
        keys: dict[tuple[Any, ...], str] = {(0, time, job_id): job_id for time, job_id in due}
        held = self._jobs.some(sorted(busy)) if busy else {}
        keys |= {
            _key_of_doc(doc, BY_DUE): id
            for id, doc in held.items()
            if doc is not None and doc.state == ACTIVE and doc.due == HELD
        }
        keys = {key: id for key, id in keys.items() if after is None or key > after}
        return keys if len(keys) >= count else None

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


class _Asked(NamedTuple):
    """Which records a part is made of.

    :ivar ids: those of these jobs; None: of all
    :ivar first: the first nominal time (instant), None for no bound
    :ivar end: the first one that is not wanted
    :ivar after: the key after which the part begins
    :ivar least: how many at least, where there are so many
    :ivar sizes: how many keys the folders have in which they are
    :ivar values: documents of jobs that were read meanwhile, by ids
    """

    ids: Collection[str] | None
    first: int | None
    end: int | None
    after: tuple[Any, ...] | None
    least: int
    sizes: Mapping[str, int]
    values: dict[str, str]

    def before_of(self, job_id: str) -> str:
        """Return the name that comes after those of a job's records which are wanted."""
        if self.end is None:
            return ":"
        end = self.end
        if self.after is not None:
            end = min(end, -self.after[0] + (job_id > self.after[1]))
        return number(end)


def wanted_of(least: int, count: int) -> Iterator[int]:
    """Return of how many jobs, of so many in question, the records are read: few, and more as long as these have too few records.

    :param least: how many records are wanted
    """
    wanted = min(least, count)
    while wanted < count:
        yield wanted
        wanted = min(4 * wanted, count)
    yield count


def _asks_for(query: RunQuery, *statuses: str) -> bool:
    """Whether records with one of these statuses may be wanted."""
    return query.statuses is None or not set(query.statuses).isdisjoint(statuses)


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
