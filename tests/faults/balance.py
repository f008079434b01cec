"""The balance of a ledger: does it say of each nominal time what really happened, once?

Pure: compares what was to happen, the ledger's records and what the jobs themselves have written down.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from rota.core.states import CANCELLED, FAILED, LOST, SKIPPED, SUCCEEDED, TIMED_OUT
from tests.faults import chained, governed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rota.core.run import Run

#: What jobs write down last, in an attempt that nobody has ended by force: see tests.faults.erratic.
ENDS = ("end", "failed", "snoozed", "late")
#: Seconds that a process has to record an end once its store is there again.
GRACE = 5


class Plan(NamedTuple):
    """What is to happen with a job: its nominal times (instants, in order), and its limits.

    :param is_governed: whether its runs fail, want to be called later, take too long or are asked to stop, as they say themselves;
        else all succeed
    :param timeout: how long they may take (seconds); None: any time
    :param after: the job of which the ends start its runs, and which ends; it has no times of its own then
    """

    times: Sequence[int]
    max_instances: int = 1
    max_attempts: int = 3
    is_governed: bool = False
    timeout: float | None = None
    after: tuple[str, str] | None = None


class Execution(NamedTuple):
    """What a job has written down about itself; the times are those of the machine's monotonic clock, in seconds."""

    pid: int
    begin: float
    end: float | None
    #: how it has ended, one of :data:`ENDS`; empty: it has not
    how: str = ""


class PutBack(NamedTuple):
    """When somebody began to put a backup in the place of a store, and since when all living processes knew, by the same clock.

    What ends until it is in its place (``done``) may have its record in the store of before.
    """

    begin: float
    known: float
    done: float = 0.0


class Stretch(NamedTuple):
    """When a process that held its lease executed an attempt, by the machine's monotonic clock."""

    begin: float
    end: float
    nominal: int
    attempt: int
    pid: int


class Balance(NamedTuple):
    """The numbers of a ledger that adds up."""

    times: int
    records: int
    succeeded: int
    skipped: int
    lost: int
    executions: int
    repeated: int
    at_once: Mapping[str, int]
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    #: how many attempts followed others of the same run, where runs may fail
    again: int = 0
    #: how many runs were left by the ends of others
    chained: int = 0

    def __str__(self) -> str:
        most = ", ".join(f"{number} of {id}" for id, number in sorted(self.at_once.items()) if number > 1)
        return (
            (
                f"{self.times} nominal times in {self.records} records: {self.succeeded} succeeded, {self.skipped} left out, "
                f"{self.lost} lost. {self.executions} executions, {self.repeated} of them repeat what a dead process had begun. "
                f"Most at once: {most or '1'}."
            )
            + (
                f" Of those that may fail {self.failed} failed, {self.timed_out} timed out and {self.cancelled} were cancelled in "
                f"the end; they were tried again, or called later, {self.again} times."
                if self.again
                else ""
            )
            + (
                f" {self.chained} of the times are those of jobs after others, one for each end."
                if self.chained
                else ""
            )
        )


def balance(
    plans: Mapping[str, Plan],
    runs: Iterable[Run],
    trace: Sequence[str],
    ceased: Mapping[int, float] | None = None,
    put_back: Sequence[PutBack] = (),
    stopped: Collection[int] = (),
    killed: Mapping[int, float] | None = None,
    asked: Mapping[tuple[str, int], int | None] | None = None,
) -> Balance:
    """Check that the ledger adds up.

    :param plans: what was to happen, by job id
    :param runs: all records
    :param trace: the lines that the jobs have written
    :param ceased: the pids of the processes that were killed, or suspended past their lease, and since when; None if the store
        was away, so that any process may have lost its lease without knowing
    :param put_back: when a backup was put in place of the store: what ended before may be forgotten, and be executed again
    :param stopped: the processes that were killed or suspended, where it is not known since when they had ceased
    :param killed: when those that were killed were killed
    :param asked: which runs somebody has asked to stop, and in which attempt; None: that is not known
    :raises AssertionError: if a nominal time is in no record or in two, an end has left no run of a job after it, or two, a record
        does not say what happened, an attempt was executed twice, a run was repeated though its process lived, or a job ran more
        often at once than it may
    """
    records: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        records[run.job_id].append(run)
    assert set(records) <= set(plans), f"records of jobs that nobody added: {set(records) - set(plans)}"
    stopped = {*(ceased or ()), *(killed or ()), *stopped}
    killed = killed or {}
    executions = _executions(trace, put_back, stopped)
    numbers = dict.fromkeys((SUCCEEDED, SKIPPED, LOST, FAILED, TIMED_OUT, CANCELLED), 0)
    repeated = again = 0
    at_once = {}
    plans = {id: chained.planned(id, plan, records) for id, plan in plans.items()}
    for id, plan in plans.items():
        _partition(id, plan, records[id])
        of_job = executions.pop(id, {})
        rightful: list[Stretch] = []
        for record in records[id]:
            attempts = _remembered(record, of_job.pop(record.nominal, {}), put_back, killed)
            more = max(0, len(attempts) - 1)
            if plan.is_governed:
                governed.compare(record, attempts, plan, ceased, asked or {})
                again += more
                rightful += _of_governed(record, attempts, ceased)
            else:
                _compare(record, attempts, plan, ceased)
                repeated += more
                rightful += _rightful(record, attempts, ceased or {})
            numbers[record.status] += record.count
        of_job = {
            nominal: left for nominal, each in of_job.items() if (left := _of_now(each, put_back, killed))
        }
        assert not of_job, (
            f"{id} was executed at times of which no record says so: {of_job} (put back: {put_back}, killed: {killed}; "
            f"recorded: {records[id]})"
        )
        at_once[id] = _most_at_once(rightful)
        assert at_once[id] <= plan.max_instances, (
            f"{id} ran {at_once[id]} times at once (max_instances={plan.max_instances}): {sorted(rightful)}"
        )
    assert not executions, f"jobs ran that nobody added: {sorted(executions)}"
    return Balance(
        sum(len(plan.times) for plan in plans.values()),
        sum(map(len, records.values())),
        numbers[SUCCEEDED],
        numbers[SKIPPED],
        numbers[LOST],
        executions=sum(1 for line in trace if line.startswith("begin ")),
        repeated=repeated,
        at_once=at_once,
        failed=numbers[FAILED],
        timed_out=numbers[TIMED_OUT],
        cancelled=numbers[CANCELLED],
        again=again,
        chained=sum(len(plan.times) for plan in plans.values() if plan.after is not None),
    )


def _executions(
    trace: Iterable[str], put_back: Sequence[PutBack], stopped: Collection[int]
) -> dict[str, dict[int, dict[int, Execution]]]:
    """Return what was executed, by job id, nominal time and attempt."""
    found: dict[str, dict[int, dict[int, Execution]]] = {}
    for line in trace:
        kind, *words = line.split()
        if kind not in ("begin", *ENDS):
            continue
        id, nominal, attempt, pid, time = (
            words[0],
            int(words[1]),
            int(words[2]),
            int(words[3]),
            float(words[4]),
        )
        attempts = found.setdefault(id, {}).setdefault(nominal, {})
        if kind == "begin":
            before = attempts.get(attempt)
            assert before is None or any(
                before.begin < moment.known and moment.begin <= time for moment in put_back
            ), f"attempt {attempt} of {id} at {nominal} was executed twice"
            assert before is None or before.end is not None or before.pid in stopped, (
                f"attempt {attempt} of {id} at {nominal} was executed twice at once"
            )
            attempts[attempt] = Execution(pid, time, None)
        else:
            attempts[attempt] = attempts[attempt]._replace(end=time, how=kind)
    return found


def _remembered(
    record: Run,
    attempts: Mapping[int, Execution],
    put_back: Sequence[PutBack],
    killed: Mapping[int, float],
) -> Mapping[int, Execution]:
    """Return the attempts without those that were over before a backup was put back that does not know of them."""
    if not put_back:
        return attempts
    last = 0 if record.status == SKIPPED else record.attempt
    known = {attempt: execution for attempt, execution in attempts.items() if attempt <= last}
    return {**known, **_of_now(attempts, put_back, killed)}


def _of_now(
    attempts: Mapping[int, Execution], put_back: Sequence[PutBack], killed: Mapping[int, float]
) -> dict[int, Execution]:
    """Return the attempts of which somebody must have told since a backup was put back last."""
    if not put_back:
        return dict(attempts)
    last = max(put_back)
    return {
        attempt: execution
        for attempt, execution in attempts.items()
        if (execution.end is None or execution.end > max(last.begin, last.done))
        and not _died_with_it(execution, last, killed.get(execution.pid))
    }


def _died_with_it(execution: Execution, last: PutBack, died: float | None) -> bool:
    """Whether nobody can tell of an attempt: the store with its claim is gone, and its process died before it told."""
    if died is None or execution.begin > last.known:
        return False
    return execution.end is None or died < max(execution.end, last.known) + GRACE


def _partition(id: str, plan: Plan, records: Iterable[Run]) -> None:
    """Check that each nominal time of a job is in exactly one record."""
    place = {time: number for number, time in enumerate(plan.times)}
    assert len(place) == len(plan.times)
    owner: dict[int, Run] = {}
    for record in records:
        assert record.nominal in place, f"{record!r} is of a time that {id} never had"
        assert record.last in place, f"{record!r} ends at a time that {id} never had"
        span = range(place[record.nominal], place[record.last] + 1)
        assert len(span) == record.count, (
            f"{record!r} stands for {len(span)} times, but counts {record.count}"
        )
        for number in span:
            assert number not in owner, f"{id} at {plan.times[number]} is in {owner[number]!r} and {record!r}"
            owner[number] = record
    missing = [time for time, number in place.items() if number not in owner]
    assert not missing, f"{len(missing)} times of {id} are in no record, such as {missing[0]}"


def _compare(
    record: Run, attempts: Mapping[int, Execution], plan: Plan, ceased: Mapping[int, float] | None
) -> None:
    """Check that a record says what happened."""
    assert record.status in (SUCCEEDED, SKIPPED, LOST), f"{record!r} has not ended, or wrongly"
    if record.status == SKIPPED:
        assert not attempts, f"{record!r} was executed"
        return
    assert all(attempt <= record.attempt for attempt in attempts), f"{record!r} was executed once more later"
    assert record.attempt <= plan.max_attempts, f"{record!r} was tried too often"
    if record.status == LOST:
        assert record.attempt == plan.max_attempts, f"{record!r} was given up too early"
    else:
        last = attempts.get(record.attempt)
        assert last is not None, f"{record!r} was never executed"
        assert last.end is not None, f"{record!r} was never executed to its end"
    for attempt, execution in attempts.items():
        if ceased is not None and (attempt < record.attempt or record.status == LOST):
            assert execution.pid in ceased, f"{record!r} was repeated though process {execution.pid} lived"


def _rightful(
    record: Run, attempts: Mapping[int, Execution], ceased: Mapping[int, float]
) -> Iterable[Stretch]:
    """Return the stretches of time in which a run's attempts were executed by processes that still held their leases."""
    for attempt, execution in attempts.items():
        if attempt == record.attempt and record.status == SUCCEEDED:
            assert execution.end is not None
            yield Stretch(execution.begin, execution.end, record.nominal, attempt, execution.pid)
        elif execution.begin < ceased.get(execution.pid, 0):
            since = ceased[execution.pid]
            end = since if execution.end is None else min(execution.end, since)
            yield Stretch(execution.begin, end, record.nominal, attempt, execution.pid)


def _of_governed(
    record: Run, attempts: Mapping[int, Execution], ceased: Mapping[int, float] | None
) -> Iterable[Stretch]:
    """Return the same of a run that may have failed, however its attempts ended; nothing where leases may be over unseen."""
    for attempt, execution in attempts.items() if ceased is not None else ():
        since = (ceased or {}).get(execution.pid)
        end = execution.end if since is None else min(execution.end or since, since)
        if end is not None and execution.begin < end:
            yield Stretch(execution.begin, end, record.nominal, attempt, execution.pid)


def _most_at_once(stretches: Iterable[Stretch]) -> int:
    """Return how many stretches of time there were at most at any moment."""
    steps = sorted(step for each in stretches for step in ((each.begin, 1), (each.end, -1)))
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most
