"""What can be asked of a store about its jobs and runs, and the pages that it answers with.

Pure: checks what is asked for, compares jobs and records with it, and writes cursors. It reads no store.
"""

from __future__ import annotations

import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from json import dumps, loads
from typing import Generic, NamedTuple, TypeVar

from ..clock import HELD, instant
from ..errors import QueryError
from ..texts import repr_of
from .extras import ORIGINS
from .states import (
    ACTIVE,
    CLAIMED,
    END_STATES,
    ENDED,
    FAILED,
    LOST,
    PAUSED,
    QUARANTINED,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any, Self

    from ..job.handle import Job
    from .run import Run

Item = TypeVar("Item")

#: How many jobs or records one page looks at, and for how long (microseconds), whichever comes first.
LOOKED_AT = 20_000
DURATION = 50_000
#: Up to this number is counted exactly.
COUNTED = 10_000
#: The largest page.
LARGEST_PAGE = 1000
#: The most values of one field.
MOST_VALUES = 1000
#: The longest text (characters).
LONGEST_TEXT = 1000

#: In which order jobs are listed.
BY_ID, BY_NAME, BY_DUE = SORTS = ("id", "name", "due")
#: The ends that count as failures, and those that end a row of them.
FAILURES = (FAILED, TIMED_OUT, LOST)
OUTCOMES = (SUCCEEDED, *FAILURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which records of the ledger are wanted; what is None does not matter.

    :param job_ids: ids of jobs
    :param statuses: "claimed", "waiting", or ends
    :param reasons: why a run ended as it did, in full
    :param origins: "schedule", "manual", "after" or "backfill"
    :param nodes: the ids of nodes that claimed the run
    :param executors: aliases of executors
    :param error_types: names of the classes of exceptions, in full
    :param since: the earliest nominal time (aware datetime)
    :param until: the first nominal time that is not wanted any more (aware datetime)
    :param text: occurs in the error or the reason, in upper or lower case
    :raises QueryError: if a value is not one of these
    """

    job_ids: Collection[str] | None = None
    statuses: Collection[str] | None = None
    reasons: Collection[str] | None = None
    origins: Collection[str] | None = None
    nodes: Collection[str] | None = None
    executors: Collection[str] | None = None
    error_types: Collection[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        for name in ("job_ids", "reasons", "nodes", "executors", "error_types"):
            _set(self, name, _words(name, getattr(self, name)))
        _set(self, "statuses", _words("statuses", self.statuses, (CLAIMED, WAITING, *END_STATES)))
        _set(self, "origins", _words("origins", self.origins, ORIGINS))
        _set(self, "since", _time("since", self.since))
        _set(self, "until", _time("until", self.until))
        _check_text(self.text)

    @property
    def first(self) -> int | None:
        """The earliest nominal time (instant)."""
        return None if self.since is None else instant(self.since)

    @property
    def end(self) -> int | None:
        """The first nominal time that is not wanted (instant)."""
        return None if self.until is None else instant(self.until)

    @property
    def asks_only_statuses(self) -> bool:
        """Whether nothing else is asked about a record than how it stands, so that the counts by hour and status tell."""
        others = (
            *(self.job_ids, self.reasons, self.origins, self.nodes, self.executors, self.error_types),
            *(self.since, self.until, self.text),
        )
        return all(other is None for other in others)

    @property
    def wants_all(self) -> bool:
        """Whether every record of its jobs and times is wanted."""
        return self == RunQuery(job_ids=self.job_ids, since=self.since, until=self.until)

    def matches(self, run: Run) -> bool:
        """Whether a record is among what is wanted."""
        first, end = self.first, self.end
        return (
            (first is None or run.nominal >= first)
            and (end is None or run.nominal < end)
            and _is_in(run.job_id, self.job_ids)
            and _is_in(run.status, self.statuses)
            and self.fits(run)
        )

    def fits(self, run: Run) -> bool:
        """Whether a record that has one of the jobs, statuses and times fits the rest, too."""
        return (
            _is_in(run.reason, self.reasons)
            and _is_in(run.origin, self.origins)
            and _is_in(run.owner, self.nodes)
            and _is_in(run.executor, self.executors)
            and _is_in(run.error_type, self.error_types)
            and (self.text is None or _occurs(self.text, run.error, run.reason))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs are wanted, and in which order; what is None does not matter.

    :param text: occurs in the id, the name or the callable's reference, in upper or lower case
    :param ids: ids of jobs
    :param tags: a job has all of these
    :param states: "active", "paused", "quarantined" or "ended" (None: all but the ended ones)
    :param executors: aliases of executors
    :param func: the beginning of the callable's reference (``"package.module:"``)
    :param due_before: the next run is due before this time (aware datetime)
    :param due_after: the next run is due at this time or later (aware datetime)
    :param last_status: how the last run that was carried out, or is known to be lost, has ended
    :param last_end_before: that run ended before this time (aware datetime); a job without one is wanted, too
    :param failures: at least so many of these runs in a row, up to the last one, have failed
    :param sort: "id", "name" or "due"
    :raises QueryError: if a value is not one of these
    """

    text: str | None = None
    ids: Collection[str] | None = None
    tags: Collection[str] | None = None
    states: Collection[str] | None = None
    executors: Collection[str] | None = None
    func: str | None = None
    due_before: datetime | None = None
    due_after: datetime | None = None
    last_status: Collection[str] | None = None
    last_end_before: datetime | None = None
    failures: int | None = None
    sort: str = BY_ID

    def __post_init__(self) -> None:
        for name in ("ids", "tags", "executors"):
            _set(self, name, _words(name, getattr(self, name)))
        _set(self, "states", _words("states", self.states, (ACTIVE, PAUSED, QUARANTINED, ENDED)))
        _set(self, "last_status", _words("last_status", self.last_status, OUTCOMES))
        for name in ("due_before", "due_after", "last_end_before"):
            _set(self, name, _time(name, getattr(self, name)))
        _check_text(self.text)
        if self.func is not None and not isinstance(self.func, str):
            raise QueryError(
                f"func must be the beginning of a callable's reference, got {repr_of(self.func)}"
            )
        if self.failures is not None and (type(self.failures) is not int or not 1 <= self.failures <= 100):
            raise QueryError(f"failures must be an integer from 1 to 100, got {repr_of(self.failures)}")
        if self.sort not in SORTS:
            raise QueryError(f"sort must be one of {_listed(SORTS)}, got {repr_of(self.sort)}")

    @property
    def wanted_states(self) -> Collection[str]:
        """The states of the jobs that are wanted."""
        return (ACTIVE, PAUSED, QUARANTINED) if self.states is None else self.states

    @property
    def last_runs_wanted(self) -> int:
        """How many of a job's last runs have to be known: 0 if nothing is asked about them."""
        asks = self.last_status is not None or self.last_end_before is not None
        return max(self.failures or 0, int(asks))

    def matches(self, job: Job) -> bool:
        """Whether a job is among what is wanted, apart from its last runs."""
        due = due_of(job)
        before, after = self.due_before, self.due_after
        return (
            job.state in self.wanted_states
            and _is_in(job.id, self.ids)
            and _is_in(job.executor, self.executors)
            and (self.tags is None or set(self.tags) <= set(job.tags))
            and (before is None or (due is not None and due < instant(before)))
            and (after is None or (due is not None and due >= instant(after)))
            and (self.func is None or (job.func_ref or "").startswith(self.func))
            and (self.text is None or _occurs(self.text, job.id, job.name, job.func_ref))
        )

    def fits(self, last: Sequence[Run]) -> bool:
        """Whether a job's last runs are as wanted.

        :param last: as many as :attr:`last_runs_wanted` says of the runs with one of :data:`OUTCOMES`, newest first
        """
        newest = last[0] if last else None
        before = self.last_end_before
        return (
            (self.last_status is None or (newest is not None and newest.status in self.last_status))
            and (before is None or newest is None or (newest.finished_at or 0) < instant(before))
            and (
                self.failures is None
                or (
                    len(last) >= self.failures
                    and all(run.status in FAILURES for run in last[: self.failures])
                )
            )
        )


@dataclass(slots=True)
class Page(Generic[Item]):
    """One page of what was found.

    :ivar items: what was found
    :ivar cursor: where the next page begins; None: there is nothing more
    :ivar looked_at: how many jobs or records were looked at for this page
    :ivar searched_back_to: the nominal time (UTC) to which a page of records has got that is not full because it has looked at as
        many as it may; there may be more, from ``cursor`` on
    """

    items: list[Item]
    cursor: str | None = None
    looked_at: int = 0
    searched_back_to: datetime | None = None


class Part(NamedTuple, Generic[Item]):
    """What a store has found among the next jobs or records after a key.

    :ivar found: what matches, in order
    :ivar last: the key of the last one that was looked at; None: nothing comes after these
    :ivar looked_at: how many were looked at
    :ivar keys: the keys by which jobs were found, by their ids; None: those that the jobs tell. A job that cannot be restored is in
        quarantine when it is read, and where its row says that it is active, it has the place of an active one
    """

    found: list[Item]
    last: tuple[Any, ...] | None
    looked_at: int
    keys: Mapping[str, tuple[Any, ...]] | None = None


class Count(int):
    """A number that is exact, or the least that it can be: ``str()`` is "10,000+" then.

    :ivar exact: whether there are no more
    """

    exact: bool

    def __new__(cls, number: int, exact: bool = True) -> Self:
        self = super().__new__(cls, number)
        self.exact = exact
        return self

    def __str__(self) -> str:
        return f"{int(self):,}" if self.exact else f"{int(self):,}+"


def due_of(job: Job) -> int | None:
    """Return when an active job is due (instant), None if that is not known."""
    due = job.next_due
    return None if due is None or job.state != ACTIVE else job.next_nominal if due == HELD else due


def end_of_beginning(beginning: str) -> str | None:
    """Return the first text after all those that begin so, by code points; None: there is none."""
    rest = beginning.rstrip(chr(sys.maxunicode))
    if not rest:
        return None
    following = ord(rest[-1]) + 1
    return rest[:-1] + chr(
        0xE000 if 0xD800 <= following < 0xE000 else following
    )  # surrogates are no characters


def key_of_job(job: Job, sort: str) -> tuple[Any, ...]:
    """Return the key by which jobs are in order; jobs without a due time come last."""
    if sort == BY_NAME:
        return job.name, job.id
    if sort == BY_DUE:
        due = due_of(job)
        return (1, 0, job.id) if due is None else (0, due, job.id)
    return (job.id,)


def key_of_run(run: Run) -> tuple[Any, ...]:
    """Return the key by which records are in order: newest first, those of one time by the ids of their jobs."""
    return -run.nominal, run.job_id


def cursor_of(query: JobQuery | RunQuery, place: str, key: Sequence[Any]) -> str:
    """Return the cursor of the page that begins after a key.

    :param place: what tells this store from others
    """
    text = dumps([_fingerprint(query, place), *key], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def key_after(
    query: JobQuery | RunQuery, place: str, cursor: str | None, like: Sequence[type]
) -> tuple[Any, ...] | None:
    """Return the key after which a page begins, None for the first page.

    :param like: the types of the parts of a key
    :raises QueryError: if this is no cursor of this query and store
    """
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("utf-8", "surrogatepass")
        fingerprint, *key = loads(text)
    except (ValueError, TypeError, AttributeError):
        raise QueryError(
            f"cursor must be what a page of the same query returned, got {repr_of(cursor)}; leave it out for the first page"
        ) from None
    if fingerprint != _fingerprint(query, place) or [type(part) for part in key] != list(like):
        raise QueryError(
            f"cursor must be of the same query and store, got that of another one: {repr_of(cursor)}; leave it out for the first "
            f"page"
        )
    return tuple(key)


def check_limit(limit: object, most: int = LARGEST_PAGE) -> int:
    """Return the size of a page.

    :raises QueryError: if it is not one
    """
    if type(limit) is not int or not 1 <= limit <= most:
        raise QueryError(
            f"limit must be an integer from 1 to {most}, got {repr_of(limit)}; go on with the page's cursor"
        )
    return limit


def _fingerprint(query: JobQuery | RunQuery, place: str) -> str:
    asked = repr([(field.name, _sorted(getattr(query, field.name))) for field in fields(query)])
    return blake2b(f"{place}\n{asked}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _sorted(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


def _set(query: Any, name: str, value: Any) -> None:
    object.__setattr__(query, name, value)


def _words(name: str, values: Any, known: Collection[str] | None = None) -> frozenset[str] | None:
    """Return the values of a field; one text is one value."""
    if values is None:
        return None
    try:
        words = {values} if isinstance(values, str) else set(values)
    except TypeError:
        raise QueryError(f"{name} must be texts, got {repr_of(values)}") from None
    if len(words) > MOST_VALUES:
        raise QueryError(f"{name} must be {MOST_VALUES} texts at most, got {len(words)}; ask in parts")
    for word in words:
        if not isinstance(word, str):
            raise QueryError(f"{name} must be texts, got {repr_of(word)} among them")
        if known is not None and word not in known:
            raise QueryError(f"{name} must be among {_listed(known)}, got {repr_of(word)}")
    return frozenset(words)


def _time(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise QueryError(f"{name} must be a datetime, got {repr_of(value)}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise QueryError(
            f"{name} must be a datetime with a time zone, got {repr_of(value)}; give it one with replace(tzinfo=…)"
        )
    return value


def _check_text(text: Any) -> None:
    if text is not None and not (isinstance(text, str) and 0 < len(text) <= LONGEST_TEXT):
        raise QueryError(f"text must be a text of 1 to {LONGEST_TEXT} characters, got {repr_of(text)}")


def _listed(words: Collection[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _is_in(value: str | None, wanted: Collection[str] | None) -> bool:
    return wanted is None or value in wanted


def _occurs(text: str, *places: str | None) -> bool:
    wanted = text.casefold()
    return any(place is not None and wanted in place.casefold() for place in places)
