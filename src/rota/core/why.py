"""Why a time of a job did not run, or has not run yet, in one sentence.

Pure: the job, its record and the nodes are handed in.
"""

from __future__ import annotations

from typing import NamedTuple

from ..clock import HELD, NO_TIME, SECOND, moment
from ..interrupts import is_interrupt
from .chains import SKIPPED_AHEAD, parent_of
from .extras import KEEPS_PLACE, RETRY
from .overlaps import REPLACED
from .pauses import RESCHEDULED, pause_of
from .plan import AFTER_RUN, due_time
from .states import (
    ACTIVE,
    CANCELLED,
    CLAIMED,
    ENDED,
    FAILED,
    LOST,
    MISSED,
    PAUSED,
    QUARANTINED,
    SKIPPED,
    SUCCEEDED,
    WAITING,
)
from .transitions import may_claim
from .waiting import is_held_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from ..job.handle import Job
    from .nodes import Node
    from .run import Run

_SKIPPED = {
    "max_instances": "the job was running as often as it may (max_instances)",
    "coalesced": "a later time ran in its place (coalesce)",
    "paused": "the job was paused",
    "on hold": "the job was on hold",
    RESCHEDULED: "it waited for room until its job was given another schedule, or another next time",
}
_CANCELLED = {
    REPLACED: "a later time of its job was to run in its place (overlap)",
    SKIPPED_AHEAD: "somebody left it out before it had come",
}


def why(
    job: Job | None,
    record: Run | None,
    at: int | None,
    now: int,
    nodes: Sequence[Node] | None,
    zone: tzinfo,
    waiting: Run | None = None,
    ahead: int = 0,
    here: str | None = None,
    under_way: Sequence[Run] = (),
) -> str:
    """Return in one sentence what became of a time of a job, or why the job does not run.

    :param job: the job, None: there is none of that id
    :param record: the record of the time, or that of several times which it is among; None: there is none. Without a time, the
        newest one of a job whose schedule is over
    :param at: the nominal time (instant); None: the next one
    :param now: instant
    :param nodes: the nodes of its store; None: this process alone
    :param zone: the zone in which times are shown
    :param waiting: the run of the job that waits for another try, or was snoozed, with its attempts; else one that waits and whose
        time has come; None: none does
    :param ahead: how many runs that were claimed together with that of the record are executed before it
    :param here: why the scheduler that is asked starts nothing of the job, if no other could; None: it does, or another may
    :param under_way: the runs of the job that are under way, oldest first
    """
    if record is not None and ahead and record.status == CLAIMED:
        before, has = ("a run", "that has") if ahead == 1 else (f"{ahead} runs", "these have")
        return (
            f"It was claimed together with {before} of earlier times by node {record.owner}, and waits until {has} ended: they are "
            f"executed one after another (attempt {record.attempt})."
        )
    seen = Seen(now, nodes, zone, here, under_way)
    if record is not None:
        return _of_record(record, zone) if job is None else _held_up(job, record, seen)
    tried = "" if waiting is None else _of_waiting(job, waiting, seen)
    if job is None:
        return (
            f"Its schedule is over. {tried}"
            if tried
            else "There is no such job, and no record of that time: it was removed, never added, or its records were forgotten."
        )
    return (
        _stopped(job, tried, zone)
        or _kept_up(job, at, tried, waiting is None or waiting.waiting_for in KEEPS_PLACE, seen)
        or _of_next(job, at, seen)
    )


class Seen(NamedTuple):
    """What is known beside a job and its record; see :func:`why`."""

    now: int
    nodes: Sequence[Node] | None
    zone: tzinfo
    here: str | None
    under_way: Sequence[Run]


def _kept_up(job: Job, at: int | None, tried: str, keeps: bool, seen: Seen) -> str | None:
    """Return what a job waits for that is not its next time, None if it waits for nothing else.

    :param tried: what is said of a run that waits; an empty text if none does
    :param keeps: whether that keeps its place
    """
    now, zone = seen.now, seen.zone
    starts = _starts_after(job, at, tried, seen.nodes)
    if starts is not None:
        return starts
    pending = job.next_nominal if at is None else at
    if pending is not None and not _is_time(job, pending):
        return f"{_shown(pending, zone)} is no time of its schedule ({job.trigger})."
    is_left = at is not None and job.next_nominal is not None and at < job.next_nominal
    has_come = pending is not None and _due(job, pending) <= now and not is_left
    for_runs = _for_its_runs(job, at is None or has_come, has_come, tried, keeps)
    if for_runs is not None:
        return for_runs
    if not tried or at is not None or (has_come and not keeps):
        return None
    return tried if pending is None else f"{tried} Its next time is {_shown(pending, zone)}."


def _starts_after(job: Job, at: int | None, tried: str, nodes: Sequence[Node] | None) -> str | None:
    """Return that no time starts a job but the end of another one's run; None: it has times, or a time was asked for."""
    after = parent_of(job)
    pending = job.next_nominal if at is None else at
    if after is None or not (pending == NO_TIME or (at is None and job.next_due == NO_TIME)):
        return None
    starts = f"No time starts it: it runs after {after}, when a run of that ends ({job.trigger})."
    without = None if tried else _without_executor(job, nodes)  # what waits says so itself
    return " ".join(filter(None, (tried, starts, without)))


def _for_its_runs(job: Job, may_wait: bool, has_come: bool, tried: str, keeps: bool) -> str | None:
    """Return for which of its own runs a job waits; None: for none."""
    if job.next_due == HELD and job.next_nominal == AFTER_RUN:
        counted = f"Its next time is counted from the end of its run, which is under way ({job.trigger})."
        return f"{tried} {counted}" if tried else counted
    if (job.next_due == HELD and may_wait) or (has_come and job.running >= job.policy.limit):
        return _for_room(job, tried if keeps else "")
    return None


def _for_room(job: Job, tried: str) -> str:
    waits = f', overlap="{job.policy.overlap}"' if job.policy.waits_for_room else ""
    kept = f", or keep their places while they wait. {tried}" if tried else "."
    many = f"{job.running} of its runs are under way"
    if job.running > job.policy.limit:
        many = f"{job.running} of its runs were claimed together, and are executed one after another"
    return f"It waits for room: {many} (max_instances={job.max_instances}{waits}){kept}"


#: How many runs are named that have the places of a job.
SHOWN = 3
#: What is said of nodes that leave what is due.
_BUSY = "are busy, or lack what it needs, such as a resource or its code. health() and the log of a node name that."
#: A job that has been due for so long is not just about to be taken (microseconds).
LONG_DUE = 60 * SECOND


def _of_next(job: Job, at: int | None, seen: Seen) -> str:
    now, nodes, zone = seen.now, seen.nodes, seen.zone
    pending = job.next_nominal if at is None else at
    if pending is None:
        return "It has no time to come."
    if at is not None and job.next_nominal is not None and at < job.next_nominal != NO_TIME:
        return _passed_over(job, at, now, zone)
    due = _due(job, pending)
    if due > now:
        return f"Its time has not come: it is due {_shown(due, zone)}."
    without = seen.here or _without_node(job, nodes) or _without_room(job, nodes)
    if without:
        return without
    since = f"It is due since {_shown(due, zone)}"
    if nodes is not None and now - due > LONG_DUE:
        return f"{since}, and no living node takes it: they {_BUSY}"
    return f"{since}, and a node will take it in its next pass."


def _passed_over(job: Job, at: int, now: int, zone: tzinfo) -> str:
    """Return why a time before the job's next one has no record."""
    following = _shown(job.next_nominal or 0, zone)
    # An interval goes on beside the records that it has then.
    clock = ", or the clock was set back" if getattr(job.trigger, "elapsed", False) else ""
    if at > now:
        return f"It will not run: the next time that the job has, or was given, is {following}{clock}."
    return (
        "It has no record: the job was added later, or given another schedule or next time, or the record was forgotten"
        f"{clock}. Its next time is {following}."
    )


def _of_record(run: Run, zone: tzinfo) -> str:
    when, reason = _shown(run.nominal, zone), run.reason
    where = f" on node {run.owner}" if run.owner else ""
    if run.status == SUCCEEDED:
        return f"It ran {when}{where}, and succeeded."
    if run.status == FAILED:
        said = f": {run.error_type}: {run.error}" if run.error_type else ""
        why = f" ({reason})" if reason else ""
        return f"It ran {when}{where}, and failed{why}{said}{'' if said else '.'}"
    if run.status == CLAIMED:
        began = (
            "is under way"
            if run.started_at is not None or run.owner
            else "was given back, and waits for a node"
        )
        return f"It {began}{where} (attempt {run.attempt})."
    if run.status == WAITING:
        if run.waiting_for in KEEPS_PLACE:
            return _waits_for_try(run, zone)
        return f"It waits{_until(run, zone)} ({run.waiting_for})."
    if run.status == SKIPPED:
        return f"It was left out: {_SKIPPED.get(reason or '', reason)}."
    if run.status == MISSED:
        return f"It was missed: {reason} (it was due {_shown(run.due, zone)})."
    if run.status == CANCELLED:
        return f"It was cancelled: {_CANCELLED.get(reason or '', reason)}."
    if run.status == LOST:
        return f"It was lost: {reason}."
    return f"It ended as {run.status}{f': {reason}' if reason else ''}."


def _held_up(job: Job, run: Run, seen: Seen) -> str:
    """Return what became of a run; of one that waits also what it waits for beside its time: a pause, a place, a node."""
    said = _of_record(run, seen.zone)
    if run.status != WAITING:
        return said
    if is_held_up(job.state, run.waiting_for):
        state = _state(job, seen.zone) or ""
        return f"{said.removesuffix('.')}, and then until its job goes on: {_lower(state)}"
    return _and_then(said, job, run, seen)


def _of_waiting(job: Job | None, run: Run, seen: Seen) -> str:
    """Return what is said of a run that waits beside what is said of its job, which also tells of a pause."""
    if run.waiting_for in KEEPS_PLACE:
        said = _waits_for_try(run, seen.zone)
    else:
        said = (
            f"Its run of {_shown(run.nominal, seen.zone)} waits{_until(run, seen.zone)} ({run.waiting_for})."
        )
    is_told = job is None or is_held_up(job.state, run.waiting_for)
    return said if job is None or is_told else _and_then(said, job, run, seen)


def _and_then(said: str, job: Job, run: Run, seen: Seen) -> str:
    waits = _waits_besides(job, run, seen)
    return said if waits is None else f"{said.removesuffix('.')}, and then until {waits}"


def _waits_besides(job: Job, run: Run, seen: Seen) -> str | None:
    """Return until what a run waits whose time has come; None: that has not come.

    It is asked in the order in which a node that takes waiting runs asks.
    """
    extra = getattr(run, "extra", None)
    if extra is None or extra.not_before is None or extra.not_before > seen.now:
        return None
    starts = "a node starts it:"
    without = seen.here or _without_node(job, seen.nodes)
    if without:
        return f"{starts} {_lower(without)}"
    if run.waiting_for not in KEEPS_PLACE:
        if not may_claim(job.running, job.policy.limit):
            return f"a place is free: {_taken_places(job, seen)}{_of_paused(job, seen)}"
        if job.state == ACTIVE and job.next_due is not None and job.next_due <= seen.now:
            return "no scheduled time of its job is due: these go first."
    without = _without_room(job, seen.nodes)
    if without:
        return f"{starts} {_lower(without)}"
    if seen.nodes is not None and seen.now - extra.not_before > LONG_DUE:
        return f"{starts} those that are alive {_BUSY}"
    return "the next pass of a node."


def _of_paused(job: Job, seen: Seen) -> str:
    """Return what is said beside a run that somebody has asked for, and that finds no place as its job is paused."""
    state = _state(job, seen.zone) if job.state == PAUSED else None
    if state is None:
        return ""
    return f" {state} What keeps its place starts when the job goes on, and cancel_run() of it makes room."


def _taken_places(job: Job, seen: Seen) -> str:
    """Return which runs have the places of a job."""
    times = [_shown(run.nominal, seen.zone) for run in seen.under_way[:SHOWN]]
    if len(seen.under_way) > SHOWN:
        times.append("others")
    one = job.running == 1
    which = f", {'that' if one else 'those'} of {', '.join(times)}" if times else ""
    waits = ", or keeps its place while it waits" if one else ", or keep their places while they wait"
    kept = "" if len(seen.under_way) >= job.running else waits
    return f"{job.running} of its runs {'is' if one else 'are'} under way{which}{kept} (max_instances={job.max_instances})."


def _lower(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:]}"


def _waits_for_try(run: Run, zone: tzinfo) -> str:
    """Return what a run waits for that keeps its place among those of its job, and since when."""
    tried = [attempt for attempt in run.attempts if attempt.finished_at is not None]
    ended = tried[-1].finished_at if tried else None
    since = "" if ended is None else f" since {_shown(ended, zone)}"
    what = f"Its run of {_shown(run.nominal, zone)}"
    if run.waiting_for != RETRY:
        return f"{what} was snoozed, and waits{since}{_until(run, zone)}."
    why = f": {run.error_type}: {run.error}" if run.error_type else ""
    return (
        f"{what} has come to nothing (try {run.tries}{why}), and waits for a retry{since}{_until(run, zone)}."
    )


def _until(run: Run, zone: tzinfo) -> str:
    not_before = None if getattr(run, "extra", None) is None else run.extra.not_before
    return "" if not_before is None else f" until {_shown(not_before, zone)}"


def _stopped(job: Job, tried: str, zone: tzinfo) -> str | None:
    """Return why a job does not run at all, None if it does.

    :param tried: what is said of a run that waits for its next try
    """
    why = _state(job, zone)
    return f"{why} {tried}" if why and tried else why


def _state(job: Job, zone: tzinfo) -> str | None:
    """Return why a job does not run at all, None if it does."""
    if job.state == QUARANTINED:
        return f"The job is quarantined: {job.error}."
    if job.state == ENDED:
        return "Its schedule is over."
    if job.state != PAUSED:
        return None
    pause = pause_of(job)
    at = pause.at if pause.hold is None or pause.held is None else pause.held
    since = "" if at is None else f" since {_shown(at, zone)}"
    if pause.hold is not None:
        return f"The job is on hold{since}{f': {pause.hold}' if pause.hold else ''}."
    until = "" if pause.until is None else f" until {_shown(pause.until, zone)}"
    return f"The job is paused{since}{until}{f': {pause.note}' if pause.note else ''}."


def _able(job: Job, nodes: Sequence[Node] | None) -> list[Node]:
    """Return the living nodes that have the executor of a job, or have not said which they have."""
    return [
        node for node in nodes or () if node.alive and (not node.executors or job.executor in node.executors)
    ]


def _without_executor(job: Job, nodes: Sequence[Node] | None) -> str | None:
    """Return that no living node has the executor of a job, None if one has it, or none is alive."""
    if _able(job, nodes) or not any(node.alive for node in nodes or ()):
        return None
    return f'No living node has its executor "{job.executor}".'


def _without_node(job: Job, nodes: Sequence[Node] | None) -> str | None:
    """Return why no node takes the job, None if one does."""
    if nodes is None:
        return None
    if not any(node.alive for node in nodes):
        return "No node is alive that runs the jobs of this store."
    able = _able(job, nodes)
    if able and all(node.draining for node in able):
        return "Every node that has its executor is draining, and claims nothing more."
    return _without_executor(job, nodes)


def _without_room(job: Job, nodes: Sequence[Node] | None) -> str | None:
    """Return that no node has room for the job, None if one has."""
    able = _able(job, nodes)
    if able and all(node.executors.get(job.executor, None) == 0 for node in able):
        return f'The executor "{job.executor}" has no room on any node.'
    return None


def _is_time(job: Job, at: int) -> bool:
    if job.state == ACTIVE and at == job.next_nominal:
        return True
    try:
        return job.trigger.after(at - 1) == at
    except BaseException as exc:  # a trigger may raise anything
        if is_interrupt(exc):
            raise
        return True


def _due(job: Job, nominal: int) -> int:
    """Return when a nominal time is due (instant): with its jitter and its place among others."""
    if job.state == ACTIVE and nominal == job.next_nominal:
        due = job.next_due
        return nominal if due is None or due == HELD else max(nominal, due)
    try:
        return due_time(job, nominal)
    except BaseException as exc:  # a trigger may raise anything
        if is_interrupt(exc):
            raise
        return nominal


def _shown(instant: int, zone: tzinfo) -> str:
    return f"{moment(instant, zone):%Y-%m-%d %H:%M:%S %z}"
