"""Searching in the Redis store: jobs and records in order, some after others, and how many there are.

The client goes on from step to step; each looks at a bounded number. It changes nothing.
"""

from __future__ import annotations

import json
from math import ceil

from ...clock import instant
from ...core.queries import BY_ID, BY_NAME, Count, Part, due_of, key_of_job, key_of_run
from ...core.states import ACTIVE, CLAIMED, END_STATES, ENDED, WAITING
from ...errors import DeserializationError, QueryError
from .. import searching
from ..searching import SORTED, STEP
from .beside import parts_of_texts
from .forms import fitting, is_id, number_of, padded, run_of_text, saying, words_of
from .history import records
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    from ...clock import Clock
    from ...core.queries import JobQuery, RunQuery
    from ...core.run import Run
    from ...job.handle import Job
    from .history import History
    from .jobs import Jobs

    Key = tuple[Any, ...]

#: The earliest and the latest due time of a job: years 1 to 9999, about.
EARLIEST, LATEST = "-7e16", "2.6e17"
#: How many jobs are sorted by another order than that of their ids after all of them were read.
SORTED_WHOLE = 1000


class Searches:
    """Reads jobs and records of one store in order.

    :param run: carries out a script with some fields
    :param jobs: reads jobs
    :param history: gives records their names
    """

    def __init__(self, run: Callable[..., Any], jobs: Jobs, history: History) -> None:
        self._run = run
        self._jobs = jobs
        self._history = history

    # -- records -------------------------------------------------------------------------------------------------

    def runs_from(self, query: RunQuery, after: Key | None, count: int) -> Part[Run]:
        """Return a part of the records, newest first; see the port."""
        statuses = _statuses(query)
        ids = None if query.job_ids is None else sorted(filter(is_id, query.job_ids))
        if not statuses or (ids is not None and not ids):
            return Part([], None, 0)
        fields = [
            str(count),
            *_bounds(query),
            *(("", "") if after is None else (padded(-after[0]), after[1])),
        ]
        fields += [""] if ids is None else [str(len(ids)), *ids]
        fields += [str(len(statuses)), *statuses]
        for words in words_of(query):
            fields += (str(len(words)), *words)
        answer = self._run("find_runs", *fields)
        last, text = texts(answer[1:])
        found = [run for run, _ in records(saying(text, query)) if query.matches(run)]
        self._history.label(found)
        job_id, _, nominal = last.rpartition("\0")
        return Part(found, (-number_of(nominal), job_id) if last else None, int(answer[0]))

    def run(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time with its parts, None if there is none."""
        answer = texts(self._run("get_run", job_id, padded(nominal))) if is_id(job_id) else []
        if not answer:
            return None
        document, *parts = answer
        try:
            run = run_of_text(job_id, padded(nominal), document)
        except DeserializationError:
            return None
        run.parts = parts_of_texts(parts)
        self._history.label([run])
        return run

    def last_runs(
        self, ids: Collection[str], n: int, statuses: Collection[str] | None
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs; see the port."""
        wanted = sorted(filter(is_id, set(ids)))
        ends = [] if statuses is None else [status for status in (WAITING, *END_STATES) if status in statuses]
        most = n if statuses is None or ends else 0
        claimed = "1" if statuses is None or CLAIMED in statuses else ""
        found: dict[str, list[Run]] = {}
        place, before = 0, ""
        while place < len(wanted):
            rest = [text for job_id in wanted[place + 1 :] for text in (job_id, "")]
            fields = str(most), str(STEP), claimed, str(len(ends)), *ends, wanted[place], before, *rest
            answer = self._run("newest", *fields)
            text, before = texts(answer[::2])
            place += int(answer[1])
            claimed = ""
            for run, _ in records(text):
                if statuses is None or run.status in statuses:
                    found.setdefault(run.job_id, []).append(run)
        newest = {job_id: sorted(runs, key=key_of_run)[:n] for job_id, runs in found.items()}
        self._history.label([run for runs in newest.values() for run in runs])
        return newest

    def run_count(self, query: RunQuery) -> Count | None:
        """Return how many records a query wants; None: they have to be looked at."""
        if words_of(query) or query.origins is not None or query.error_types is not None:
            return None
        if query.nodes is not None or query.executors is not None or query.reasons is not None:
            return None
        if query.job_ids is not None and query.statuses is not None:
            return None
        ids = sorted(filter(is_id, query.job_ids or ()))
        statuses = _statuses(query)
        if query.job_ids is not None and not ids:
            return Count(0)
        number = int(self._run("count_runs", *_bounds(query), str(len(statuses)), *statuses, *ids))
        most = _most("COUNTED")
        return Count(min(number, most), number <= most)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def jobs_from(self, query: JobQuery, after: Key | None, count: int) -> Part[Job]:
        """Return a part of the jobs in the order of the query; see the port."""
        if query.ids is not None:
            return self._of_ids(query, sorted(filter(is_id, query.ids)), after, count)
        if query.sort == BY_ID:
            return self._by_id(query, "" if after is None else after[0], count)
        tag = _tag_of(query)
        if tag:
            ids = self._ids_with(tag, SORTED_WHOLE + 1)
            if len(ids) <= SORTED_WHOLE:
                return self._of_ids(query, ids, after, count)
        return (self._by_name if query.sort == BY_NAME else self._by_due)(query, after, count)

    def job_count(self, query: JobQuery, clock: Clock) -> Count | None:
        """Return how many jobs a query wants that asks for states and executors at most; None: they have to be looked at."""
        others = (query.text, query.ids, query.tags, query.func, query.due_before, query.due_after)
        if (
            any(field is not None for field in others)
            or query.last_runs_wanted
            or ENDED in query.wanted_states
        ):
            return None
        states = sorted(query.wanted_states)
        executors = sorted(query.executors or ())
        if query.executors is not None and not executors:
            return Count(0)
        place, looked_at, number, began = "", 0, 0, clock.monotonic()
        while True:
            fields = place, str(STEP), str(len(states)), *states, *executors
            answer = self._run("count_jobs", *fields)
            (place,) = texts(answer[:1])
            looked_at += STEP
            number += int(answer[1])
            if number > _most("COUNTED"):
                return Count(_most("COUNTED"), False)
            is_long = looked_at >= _most("LOOKED_AT") or clock.monotonic() - began >= _most("DURATION")
            if not place or is_long:
                return Count(number, not place)

    def _of_ids(self, query: JobQuery, ids: list[str], after: Key | None, count: int) -> Part[Job]:
        """Return a part of some jobs."""
        if query.sort != BY_ID:
            jobs = self._jobs.by_ids(ids, query)
            return searching.part_of_sorted(
                jobs, lambda job: key_of_job(job, query.sort), query.matches, after, count
            )
        following = [job_id for job_id in ids if after is None or job_id > after[0]]
        some = following[:count]
        found = [job for job in self._jobs.by_ids(some, query) if query.matches(job)]
        return Part(found, (some[-1],) if len(following) > count else None, len(some))

    def _by_id(
        self, query: JobQuery, after: str, count: int, wants: Callable[[Job], bool] | None = None
    ) -> Part[Job]:
        """Return a part of the jobs in the order of their ids."""
        answer = self._run("find_ids", _tag_of(query), after, str(count), *sorted(query.states or ()))
        last, text = texts(answer[1:])
        jobs = self._jobs.of(fitting(text, query))
        found = [job for job in jobs if query.matches(job) and (wants is None or wants(job))]
        return Part(found, (last,) if last else None, int(answer[0]))

    def _ids_with(self, tag: str, most: int) -> list[str]:
        """Return the ids of the jobs that have a tag, or of some of very many."""
        ids: list[str] = []
        place = ""
        while len(ids) < most:
            place, text = texts(self._run("find_names", tag, place, str(STEP)))
            ids += text.split("\0")[:-1:2]
            if not place:
                break
        return ids

    def _by_name(self, query: JobQuery, after: Key | None, count: int) -> Part[Job]:
        """Return a part of the jobs in the order of their names: all of them are sorted.

        :raises QueryError: if there are too many
        """
        names: list[tuple[str, str]] = []
        place = ""
        while True:
            place, text = texts(self._run("find_names", _tag_of(query), place, str(STEP)))
            parts = text.split("\0")
            names += ((_name_of(id, spec), id) for id, spec in zip(parts[:-1:2], parts[1::2], strict=False))
            if len(names) > SORTED:
                raise QueryError(
                    f'sort must be "id" or "due" where Redis has more than {SORTED:,} jobs, got "name"; or ask for a tag that '
                    "fewer of them have"
                )
            if not place:
                break
        following = sorted(name for name in names if after is None or name > after)
        some = following[:count]
        named = {id: name for name, id in some}
        jobs = self._jobs.by_ids([id for _, id in some], query)
        # One that was renamed in the meantime has another place.
        found = [job for job in jobs if query.matches(job) and job.name == named[job.id]]
        return Part(found, some[-1] if len(following) > count else None, len(some))

    def _by_due(self, query: JobQuery, after: Key | None, count: int) -> Part[Job]:
        """Return a part of the jobs in the order of their due times, those without one last."""
        found: list[Job] = []
        looked_at = 0
        is_bounded = query.due_before is not None or query.due_after is not None
        if after is None or after[0] == 0:
            if ACTIVE in query.wanted_states:
                part = self._due_from(query, after, count)
                if part.last is not None:
                    return part
                found, looked_at = part.found, part.looked_at
            after = (1, 0, "")
        if is_bounded or set(query.wanted_states) <= {ACTIVE}:
            return Part(found, None, looked_at)
        if looked_at >= count:
            return Part(found, after, looked_at)
        part = self._by_id(query, after[2], count - looked_at, lambda job: due_of(job) is None)
        last = None if part.last is None else (1, 0, *part.last)
        return Part(found + part.found, last, looked_at + part.looked_at)

    def _due_from(self, query: JobQuery, after: Key | None, count: int) -> Part[Job]:
        """Return a part of the jobs that have a due time."""
        bounds = [
            otherwise if time is None else str(instant(time))
            for time, otherwise in ((query.due_after, EARLIEST), (query.due_before, LATEST))
        ]
        executors = sorted(query.executors or ())
        place = ("", "") if after is None else (str(after[1]), after[2])
        answer = self._run("find_due", *place, *bounds, str(count), *executors)
        due, job_id, listed, text = texts(answer[1:])
        parts = listed.split("\0")
        places = {(id, float(time)) for id, time in zip(parts[:-1:2], parts[1::2], strict=False)}
        found: dict[str, Job] = {}
        for job in self._jobs.of(fitting(text, query)):
            time = due_of(job)
            # What somebody else has put elsewhere, or there as well, has no place here.
            if time is not None and (job.id, float(time)) in places and query.matches(job):
                found[job.id] = job
        last = _key_of_place(float(due), job_id) if due else None
        in_order = sorted(found.values(), key=lambda job: key_of_job(job, query.sort))
        return Part(in_order, last, int(answer[0]))


def _key_of_place(due: float, job_id: str) -> Key:
    """Return the key of a place in the order of due times; no job is due at a broken number, so it is before the next whole one."""
    whole = ceil(due)
    return 0, whole, job_id if whole == due else ""


def _most(name: str) -> int:
    """Return a bound of searching."""
    return int(getattr(searching, name))


def _statuses(query: RunQuery) -> list[str]:
    """Return the statuses of the records that a query wants."""
    known = (CLAIMED, WAITING, *END_STATES)
    return [status for status in known if query.statuses is None or status in query.statuses]


def _bounds(query: RunQuery) -> tuple[str, str]:
    """Return the first nominal time of a query, and the first one beyond the last."""
    first, end = query.first, query.end
    return "" if first is None else padded(first), "" if end is None else padded(end)


def _tag_of(query: JobQuery) -> str:
    """Return a tag that all wanted jobs have; an empty text if they need not have any."""
    tags: Iterable[str] = query.tags or ()
    return max(tags, default="")


def _name_of(id: str, spec: str) -> str:
    """Return the name in the beginning of a job's spec; of a damaged one its id."""
    try:
        _, name = json.loads(f'{spec}"]')
    except (ValueError, RecursionError):
        return id
    return name if type(name) is str else id
