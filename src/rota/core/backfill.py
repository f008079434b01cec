"""Backfill: which times of a job are missing, and which of them are opened in one step.

Pure: ``now`` is an argument, and records are handed in. It reads no ledger and stores nothing.
"""

from __future__ import annotations

from json import dumps, loads

from ..clock import FIRST_SHOWN, LAST_SHOWN
from .extras import BACKFILL, Extra
from .openings import Cut, cut_of, opened_again
from .plan import due_time_of
from .recorded import is_recorded
from .run import Run
from .states import ACTIVE, MISSED, SKIPPED, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..job.handle import Job

#: The reasons of skipped times that count as missing. A time that the job itself skipped counts as run.
LEFT_OUT = ("max_instances", "coalesced", "paused", "on hold", "rescheduled", "too late")
#: How many times of a trigger one step looks at, and how many runs it opens at most.
LOOKED_AT = 1000
OPENED = 100
#: How many times one step takes out of one record: a transaction of etcd has room for no more.
OUT_OF_ONE = 20
#: How many runs of a backfill wait at once, and from how few on more are opened.
WAIT_AT_ONCE = 200
FEW = WAIT_AT_ONCE // 2
#: The most times of one backfill: when it is asked for, and as it is carried on.
MOST = 1_000_000
#: What is said of a waiting run whose backfill is cancelled.
CANCELLED = "backfill cancelled"


class Backfill:
    """What is left of a backfill of one job.

    :ivar int next: the instant from which on times are looked at
    :ivar int end: the last instant of its range
    :ivar int asked_at: when it was asked for (instant); it tells one backfill of a job from another
    :ivar bool only_missing: whether only times that are missing run
    :ivar int start: the first instant of its range
    :ivar bool chain: whether the ends of its runs start the jobs that come after this one
    :ivar int passed: how many times of its job were looked at so far
    """

    __slots__ = ("asked_at", "chain", "end", "next", "only_missing", "passed", "start")

    def __init__(
        self, start: int, end: int, asked_at: int, only_missing: bool = True, chain: bool = True
    ) -> None:
        self.start = self.next = start
        self.end = end
        self.asked_at = asked_at
        self.only_missing = only_missing
        self.chain = chain
        self.passed = 0

    @property
    def is_over(self) -> bool:
        """Whether all times of the range were looked at."""
        return self.next > self.end

    @property
    def is_too_long(self) -> bool:
        """Whether it has come to more times than any may have: others have written it, or its job has another trigger now."""
        return self.passed > MOST

    def from_(self, instant: int, passed: int = 0) -> Backfill:
        """Return what is left from an instant on.

        :param passed: how many times of the job lie between
        """
        left = Backfill(self.start, self.end, self.asked_at, self.only_missing, self.chain)
        left.next, left.passed = instant, self.passed + passed
        return left

    def text(self) -> str:
        """Return it as a stored text."""
        return dumps({name: getattr(self, name) for name in Backfill.__slots__}, separators=(",", ":"))


def backfill_of(text: str) -> Backfill | None:
    """Return the backfill of a stored text, None if that is damaged."""
    try:
        values = loads(text)
        numbers = [values[name] for name in ("start", "end", "asked_at", "next")]
        flags = values["only_missing"], values["chain"]
        passed = values.get("passed", 0)  # earlier versions have not counted them
        if not all(map(_is_time, numbers)) or not all(type(flag) is bool for flag in flags):
            return None
        if type(passed) is not int or passed < 0:
            return None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    start, end, asked_at, following = numbers
    return Backfill(start, end, asked_at, *flags).from_(following, passed)


def _is_time(value: object) -> bool:
    return type(value) is int and FIRST_SHOWN <= value <= LAST_SHOWN + 1


def is_missing(record: Run | None) -> bool:
    """Whether a time is missing: it has no record, or one that says that the schedule left it out."""
    if record is None or record.status == MISSED:
        return True
    return record.status == SKIPPED and record.reason in LEFT_OUT and record.started_at is None


def is_wanted(record: Run | None, backfill: Backfill) -> bool:
    """Whether a time is opened: it is missing, or every time is to run again. What has not ended is left alone.

    A step may be done twice, as the node that did it first has died; what this very backfill has opened is not opened again.
    """
    if backfill.only_missing or record is None:
        return is_missing(record)
    extra = getattr(record, "extra", None)
    return record.ended and (extra is None or extra.backfill != backfill.asked_at)


def last_instant(job: Job, now: int) -> int:
    """Return the last instant of which a time can be missing: not to come, and not owed by the schedule."""
    if job.state == ACTIVE and job.next_nominal is not None:
        return min(now, job.next_nominal - 1)
    return now


def times_from(
    job: Job, first: int, end: int, goes_on: Callable[[], bool] = lambda: True
) -> tuple[list[int], int]:
    """Return the next times of a job's trigger in a range, some at most, and the instant from which on to look for others.

    :param goes_on: asked after each time whether another one may be looked for
    :raises Exception: whatever the job's trigger raises
    """
    times: list[int] = []
    following = job.trigger.after(first - 1)
    while following is not None and following <= end:
        times.append(following)
        if len(times) == LOOKED_AT or not goes_on():
            return times, following + 1
        following = job.trigger.after(following, following)
    return times, end + 1


def record_for(job: Job, records: Sequence[Run], times: Iterable[int]) -> dict[int, Run]:
    """Return the record of each of some times; those without one are left out.

    :param records: the job's records that stand for these times, in any order
    :raises Exception: whatever the job's trigger raises
    """
    by_key = {record.nominal: record for record in records}
    ranges = [record for record in records if record.last != record.nominal]
    found = {}
    for time in times:
        record = by_key.get(time)
        if record is None:
            for each in ranges:
                if is_recorded(job.trigger, (each.nominal, each.last, each.status), time):
                    record = each
                    break
        if record is not None:
            found[time] = record
    return found


def wanted_among(job: Job, times: Sequence[int], records: Sequence[Run], backfill: Backfill) -> list[int]:
    """Return those of some times that are opened.

    :raises Exception: whatever the job's trigger raises
    """
    found = record_for(job, records, times)
    return [time for time in times if is_wanted(found.get(time), backfill)]


def openings(
    job: Job, times: Sequence[int], records: Sequence[Run], backfill: Backfill, now: int, most: int = OPENED
) -> tuple[list[Run], list[Cut], int | None]:
    """Decide which runs one step opens; each has a cut that says in place of which record, or is new.

    :param times: times of the job, oldest first
    :param records: its records that stand for them
    :param now: instant
    :param most: how many runs to open at most
    :return: the runs, the cuts, and the instant from which on the next step looks; None: after these times
    :raises Exception: whatever the job's trigger raises
    """
    found = record_for(job, records, times)
    runs: list[Run] = []
    # For each record the times that are taken out of it, which follow each other.
    taken: dict[int, list[int]] = {}
    reached: int | None = None
    closed: set[int] = set()
    for time in times:
        record = found.get(time)
        if not is_wanted(record, backfill):
            continue
        if len(runs) == most or (record is not None and record.nominal in closed):
            reached = time
            break
        if record is None:
            runs.append(new_run(job, time, now))
        else:
            of_record = taken.setdefault(record.nominal, [])
            of_record.append(time)
            if len(of_record) == OUT_OF_ONE:
                closed.add(record.nominal)
            runs.append(opened_again(job, record, time, now, BACKFILL))
    for run in runs:
        run.extra.backfill = run.extra.asked_at = backfill.asked_at
        run.extra.unchained = not backfill.chain
    by_key = {record.nominal: record for record in records}
    cuts = [cut_of(job, by_key[nominal], some) for nominal, some in taken.items()]
    return runs, cuts, reached


def new_run(job: Job, nominal: int, now: int) -> Run:
    """Return a run of a time that has no record."""
    run = Run(job.id, nominal, due_time_of(job, nominal), None, job.executor)
    run.attempt = 0
    run.extra = Extra(BACKFILL)
    run.extra.waiting_for, run.extra.not_before = BACKFILL, now
    wait(run)
    return run


def is_of(run: Run, backfill: Backfill | None = None) -> bool:
    """Whether a run was opened by a backfill.

    :param backfill: which one; None: any
    """
    extra = getattr(run, "extra", None)
    if extra is None or extra.backfill is None:
        return False
    return backfill is None or bool(extra.backfill == backfill.asked_at)


def meets_backfill(runs: Iterable[Run]) -> bool:
    """Whether one of the runs that keep a job busy was opened by a backfill: no scheduled time of it is skipped for such a run.

    :param runs: runs of one job
    """
    return any(is_of(run) for run in runs)
