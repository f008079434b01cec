"""Runs that wait for a time of their own, as the SQL store sends it to PostgreSQL: opened, taken, given back, cancelled.

Each function is what one method of the store sends. It executes nothing, and chooses nothing that ``rota.core.waiting`` decides.
"""

from __future__ import annotations

from collections import Counter
from copy import copy

from ...core.extras import extra_of, keeps_place
from ...core.openings import by_run
from ...core.states import CLAIMED, ENDED, WAITING
from ...core.transitions import not_ended_well
from ...core.waiting import (
    JOB_REMOVED,
    KEY_HOLDS,
    Taking,
    answers_for_key,
    cancelled,
    given_back,
    has_no_job,
    is_asked,
    opened,
)
from ...errors import JobLookupError
from ...jobstores.requests_in_memory import job_for
from .database import COMMIT, ROLLBACK, Change, Insert, Read, held, is_alive
from .failures import counted, keep_ended, open_kept, release
from .model_chains import follow
from .rows import KEPT, job_of, next_waiting, row_of, run_of, waiting_of, when, without_waiting
from .rules import ALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ...core.openings import Cut
    from ...core.run import Run
    from ...core.waiting import MayTake
    from .database import Program
    from .protocol import Part
    from .rules import Rules


def open_runs(runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None) -> Program:
    """Make runs wait; return those that do, and those that were found by their keys."""
    rows = yield from _locked({run.job_id for run in runs})
    known = {row.id for row in rows if version is None or row.version == version}  # R1
    cut_of = by_run(cuts, runs)
    of_cut: dict[int, list[Run]] = {}
    found: list[Run] = []
    for run in runs:
        if run.job_id not in known:
            continue
        its_cut = cut_of.get((run.job_id, run.nominal))
        if its_cut is not None:
            of_cut.setdefault(id(its_cut), []).append(run)
            continue
        waiting = yield from _of_key(run.job_id, extra_of(run).key, now)
        if waiting is None:
            waiting = yield from _opened(run, now)
        if waiting is not None:
            found.append(waiting)
    split: set[str] = set()
    for cut in cuts:
        some = yield from _cut(cut, of_cut.get(id(cut), ()), now)
        split |= {run.job_id for run in some}
        found += some
    if split:  # R1
        yield Change(
            "jobs", sorted(split), lambda row: True, lambda row: row._replace(version=row.version + 1)
        )
    yield from open_kept([row.id for row in rows if row.state == KEPT and found])
    yield COMMIT
    return found


def _cut(cut: Cut, runs: Sequence[Run], now: int) -> Part:
    """Open runs in the place of a record, and write what is left of it; return them, none if it is not as it was."""
    row = yield Read(lambda view: view.runs.get((cut.found.job_id, cut.found.nominal)))
    record = None if row is None else run_of(row)
    if not runs or record is None or not record.ended or not cut.is_same(record):
        return []
    opened_now = [copy(run) for run in runs]
    for run in opened_now:
        run.extra = copy(run.extra)
        opened(run, now if run.extra.not_before is None else run.extra.not_before)
    written = [*cut.left, *opened_now]
    instead = next(each for each in written if each.nominal == record.nominal)
    if not (yield from _write(instead, record.attempt, record.status)):
        return []  # it was forgotten at this moment
    others = {(each.job_id, each.nominal): row_of(each) for each in written if each is not instead}
    if others:
        yield Insert("runs", lambda view: others)
    return opened_now


def _of_key(job_id: str, key: str | None, now: int) -> Part:
    """Return the run that was asked for with a key, None if there is none, or the key does not hold any more."""
    if key is None:
        return None
    row = yield Read(lambda view: view.keys.get((job_id, key)))
    if row is None or now - row[1] >= KEY_HOLDS:
        return None
    record = yield Read(lambda view: view.runs.get((job_id, row[0])))
    known = None if record is None else run_of(record)
    return known if answers_for_key(known) else None


def _opened(run: Run, now: int) -> Part:
    """Return a run that waits from now on, None if its time has a record that has not ended (R4)."""
    extra = extra_of(run)
    not_before = now if extra.not_before is None else extra.not_before
    row = yield Read(lambda view: view.runs.get((run.job_id, run.nominal)))
    if row is None:
        opened(run, not_before)
        yield Insert("runs", lambda view: {(run.job_id, run.nominal): row_of(run)})
        found = run
    else:
        found = run_of(row)
        if not found.ended or run.attempt == 0:
            return None
        found.extra = extra
        opened(found, not_before)
        yield from _write(found, found.attempt, row.status)
    if extra.key is not None:
        yield Insert("keys", lambda view: {(run.job_id, extra.key): (run.nominal, now)}, replaces=True)
    return found


def take(
    node: str,
    now: int,
    room: Mapping[str, int] | None,
    home: tuple[Any, str | None] = (None, None),
    rules: Rules = ALL,
    may_take: MayTake | None = None,
) -> Program:
    """Take waiting runs whose time has come, earliest first; return those that were taken or have ended."""
    first = yield Read(next_waiting)
    yield COMMIT
    if first is None or first > now:
        return []
    if not (yield from is_alive(node, now)):
        return []
    due = yield Read(lambda view: [row for row in waiting_of(view) if when(row) <= now])
    ids = {row.job_id for row in due}
    taken_by_others = yield from held(ids)
    stored = yield Read(
        lambda view: {id: view.jobs[id] for id in sorted(ids - taken_by_others) if id in view.jobs}
    )
    jobs = {id: job_of(row, home) for id, row in stored.items()}
    running = Counter({id: job.running for id, job in jobs.items()})
    free: Counter[str] = Counter()
    taking = Taking(node, now, room, may_take)
    changed: list[Run] = []
    found = list(map(run_of, due))
    taking.look_at(found)
    for run in found:
        job, attempt = jobs.get(run.job_id), run.attempt
        if run.job_id in taken_by_others:
            continue
        keeps = keeps_place(extra_of(run))
        if not taking.take(run, job, running[run.job_id], job_for):
            continue
        if not (yield from _write(run, attempt, WAITING, fenced=rules.taken)):
            continue  # R4: somebody else was faster
        changed.append(run)
        if job is not None:
            running[run.job_id] += (run.status == CLAIMED) - keeps
            free[run.job_id] += keeps and run.ended
    ended = [run for run in changed if run.ended]
    yield from follow(ended, now)
    for id, job in jobs.items():
        more = running[id] - job.running + free[id]
        if more:
            yield Change("jobs", [id], lambda row: True, lambda row: row._replace(running=row.running + more))  # noqa: B023  # executed before the next round
    over = [id for id, job in jobs.items() if job.state == ENDED]
    failed = not_ended_well(ended) & set(over)
    yield from release(+free, failed=failed)
    yield from keep_ended(failed)
    yield from _drop_ended(over)
    yield from counted(ended, now)
    yield COMMIT
    return changed


def give_back(runs: Sequence[Run], now: int, rules: Rules = ALL) -> Program:
    """Make claimed runs wait; return those that were refused (R5), or that somebody has asked to stop."""
    known = {row.id for row in (yield from _locked({run.job_id for run in runs}))}
    refused: list[Run] = []
    free: Counter[str] = Counter()
    for run in runs:
        if run.job_id not in known:
            row = yield Read(lambda view, run=run: view.runs.get((run.job_id, run.nominal)))  # type: ignore[misc]
            if row is not None:
                has_no_job(run, run_of(row))
            refused.append(run)
            continue
        record = copy(run)  # the run itself changes after the commit
        given_back(record, extra_of(run).not_before or now)
        if (yield from _write(record, run.attempt, CLAIMED, run.owner, unasked=rules.cancels)):
            if not keeps_place(extra_of(run)):
                free[run.job_id] += 1
            continue
        row = yield Read(lambda view, run=run: view.runs.get((run.job_id, run.nominal)))  # type: ignore[misc]
        there = None if row is None else run_of(row)
        if is_asked(run, there) or not _is_given_back(record, there):
            refused.append(run)
    yield from release(free)
    yield COMMIT
    return refused


def _is_given_back(run: Run, record: Run | None) -> bool:
    """Whether a run waits as it was given back: the answer to the first try was lost."""
    if record is None or (record.status, record.attempt) != (WAITING, run.attempt):
        return False
    return extra_of(record).not_before == extra_of(run).not_before


def cancel(job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False) -> Program:
    """Cancel a run that waits, or keep the request for the node of one that is under way; return its record."""
    yield from _locked({job_id})
    row = yield Read(lambda view: view.runs.get((job_id, nominal)))
    run = None if row is None else run_of(row)
    if run is not None and run.status == WAITING:
        yield from _cancel(run, reason, now)
        yield from _drop_ended([job_id])
    elif run is not None and not run.ended and extra_of(run).cancel is None and not only_waiting:
        extra_of(run).cancel = reason
        asked = run.extra
        yield Change(
            "runs",
            [(job_id, nominal)],
            lambda row: row.status == CLAIMED,
            lambda row: row._replace(extra=asked),
        )
    yield COMMIT
    return run


def _cancel(run: Run, reason: str, now: int) -> Part:
    keeps = keeps_place(extra_of(run))
    cancelled(run, reason, now)
    if not (yield from _write(run, run.attempt, WAITING)):
        return
    yield from follow([run], now)
    if keeps:
        yield from release({run.job_id: 1})


def remove(job_id: str, now: int) -> Program:
    """Delete a job; return the runs of it that waited, which are cancelled.

    :raises JobLookupError: if there is none
    """
    found = yield Change("jobs", without_waiting([job_id]), lambda row: row.state != ENDED, lambda row: None)
    ended: list[Run] = [] if found else (yield from _remove_waiting(job_id, now))
    yield COMMIT
    return ended


def remove_all(now: int) -> Program:
    """Delete all jobs; return the runs that waited, which are cancelled."""
    waiting = yield Read(waiting_of)
    ended = yield from _cancel_all(waiting, now)
    yield Change("jobs", None, lambda row: True, lambda row: None)
    yield COMMIT
    return ended


def _remove_waiting(job_id: str, now: int) -> Part:
    """Delete a job for which runs wait; return these, which are cancelled.

    :raises JobLookupError: if there is no such job
    """
    rows = yield from _locked({job_id})
    waiting = yield Read(lambda view: [row for row in waiting_of(view) if row.job_id == job_id])
    if not rows or (rows[0].state == ENDED and not waiting):
        yield ROLLBACK
        raise JobLookupError(job_id)
    ended = yield from _cancel_all(waiting, now)
    yield Change("jobs", [job_id], lambda row: True, lambda row: None)
    yield from follow(ended, now)
    return ended


def _cancel_all(waiting: Sequence[Any], now: int) -> Part:
    """Cancel waiting runs whose jobs are about to be deleted; return those that were."""
    ended = []
    for run in map(run_of, sorted(waiting, key=lambda row: (row.job_id, row.nominal))):
        cancelled(run, JOB_REMOVED, now)
        if (yield from _write(run, run.attempt, WAITING)):
            ended.append(run)
    return ended


def _write(
    run: Run,
    attempt: int,
    status: str,
    owner: str | None = None,
    unasked: bool = False,
    fenced: bool = True,
) -> Part:
    """Write a whole record in place of the one that has a fence; return whether there was one with that (R5).

    :param unasked: only if nobody has asked it to stop
    :param fenced: whether the fence counts
    """

    def is_found(row: Any) -> bool:
        is_mine = (row.status, row.attempt) == (status, attempt) and (status != CLAIMED or row.owner == owner)
        is_asked_to_stop = unasked and row.extra is not None and row.extra.cancel is not None
        return not fenced or (is_mine and not is_asked_to_stop)

    new = row_of(run)
    if run.ended or status == CLAIMED:
        new = new._replace(ended_by=(owner if status == CLAIMED else run.owner, run.attempt))
    found = yield Change("runs", [(run.job_id, run.nominal)], is_found, lambda row: new)
    return bool(found)


def _locked(ids: Collection[str]) -> Part:
    """Lock the rows of jobs, and return them."""
    rows = yield Change("jobs", sorted(ids), lambda row: True)
    return rows


def _drop_ended(ids: Sequence[str]) -> Part:
    """Delete those of some jobs whose schedule is over and of which no run is left (R6)."""
    if ids:
        yield Change(
            "jobs",
            without_waiting(sorted(ids)),
            lambda row: row.state == ENDED and row.running <= 0,
            lambda row: None,
        )
