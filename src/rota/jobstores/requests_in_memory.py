"""Runs that wait, cancelling and orders in the memory of this process: the port's defaults.

It changes ledgers in memory under their lock; the decisions are :mod:`rota.core.waiting`'s.
"""

from __future__ import annotations

from copy import copy
from itertools import takewhile

from ..core.details import cut
from ..core.extras import extra_of, keeps_place
from ..core.openings import by_run
from ..core.orders import LONGEST_ANSWER, REQUESTS_KEPT, Orders, Request
from ..core.policy import Policy
from ..core.run import asked_to_stop
from ..core.states import CLAIMED, ENDED, WAITING
from ..core.waiting import (
    KEY_HOLDS,
    Taking,
    answers_for_key,
    cancelled,
    given_back,
    has_no_job,
    next_look,
    opened,
)
from ..interrupts import is_interrupt
from ..texts import error_text
from ..util import new_node_id
from .memory_ledger import as_recorded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..core.openings import Cut
    from ..core.run import Run
    from ..core.waiting import MayTake
    from ..job.handle import Job
    from .memory_ledger import Beside
    from .waiting_runs import WaitingRuns


def open_runs(
    store: Any, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
) -> list[Run]:
    """Make runs wait; see the port."""
    ledger = store._ledger
    found: list[Run] = []
    with ledger.lock:
        beside: Beside = ledger.beside
        opening = _Opening(ledger, runs, cuts)
        # Before anything is changed, as the store may fail to answer.
        jobs = {id: store.lookup_job(id) for id in {run.job_id for run in runs}}
        for run in runs:
            known = opening.of_key(beside, run, now)
            if known is not None:
                found.append(known)
                continue
            job = jobs[run.job_id]
            if job is None or (version is not None and job.version != version):  # R1
                continue
            waiting = opening.open(run, now)
            if waiting is not None:
                found.append(waiting)
                opening.opened[run.job_id] = job
        for job_id, job in opening.opened.items():
            store._is_opened(job, job_id in opening.split)
        _forget_keys(beside, now)
    return found


class _Opening:
    """One step that opens runs, under the lock of the ledger."""

    def __init__(self, ledger: Any, runs: Sequence[Run], cuts: Sequence[Cut]) -> None:
        self._ledger = ledger
        self._known = {(run.job_id, run.nominal): run for run in ledger.of_jobs(_jobs_of(runs, cuts))}
        self._cut_of = by_run(cuts, runs) if cuts else {}
        #: the jobs of which runs were opened, by their ids, and those of which records were split
        self.opened: dict[str, Job] = {}
        self.split: set[str] = set()
        #: the record of each cut that is as it was looked at
        self._records: dict[int, Run] = {}
        for each in cuts:
            record = self._known.get((each.found.job_id, each.found.nominal))
            if record is not None and self._has_ended(record) and each.is_same(record):
                self._records[id(each)] = record

    def _has_ended(self, record: Run) -> bool:
        """Whether a record has its end; a run under way may have one that is not recorded yet, and may be given back instead."""
        return record.ended and record not in self._ledger.under_way

    def of_key(self, beside: Beside, run: Run, now: int) -> Run | None:
        """Return the run that was asked for with the key of another one."""
        extra = extra_of(run)
        key = None if extra.key is None else beside.keys.get((run.job_id, extra.key))
        if key is None or now - key[1] >= KEY_HOLDS:
            return None
        known = self._known.get((run.job_id, key[0]))
        return known if answers_for_key(known) else None

    def open(self, run: Run, now: int) -> Run | None:
        """Return a run that waits from now on; None if it is refused (R4)."""
        key, extra = (run.job_id, run.nominal), extra_of(run)
        mine = self._cut_of.get(key)
        record = self._known.get(key) if mine is None else self._records.get(id(mine))
        if mine is None:
            if record is not None and (not self._has_ended(record) or run.attempt == 0):
                return None
        elif record is None:
            return None
        if mine is not None and mine.splits:
            if record in self._ledger:  # by the first of its times
                self._ledger.take_out(record)
                self._ledger.extend(mine.left)
                self.split.add(run.job_id)
        elif record is not None:
            self._ledger.take_out(record)
            run = copy(record)  # who was told of its end goes on to see that
            run.extra = extra
        opened(run, now if extra.not_before is None else extra.not_before)
        self._ledger.wait(run)
        self._known[key] = run
        if extra.key is not None:
            self._ledger.beside.keys[run.job_id, extra.key] = (run.nominal, now)
        return run


def _jobs_of(runs: Sequence[Run], cuts: Sequence[Cut]) -> set[str]:
    return {run.job_id for run in runs} | {each.found.job_id for each in cuts}


def give_back(store: Any, runs: Sequence[Run], now: int) -> list[Run]:
    """Make claimed runs wait; see the port."""
    ledger = store._ledger
    refused = []
    with ledger.lock:
        # Before anything is changed, as the store may fail to answer.
        over = {run.job_id for run in runs if run.job is not None and run.job.state == ENDED}
        gone = {id for id in {run.job_id for run in runs} if not store._has_job(id)}
        for run in runs:
            if run not in ledger.under_way or asked_to_stop(run) is not None:
                refused.append(run)
                continue
            if run.job_id in gone - over:
                has_no_job(run)
                refused.append(run)
                continue
            if keeps_place(extra_of(run)):
                ledger.under_way.pop(run)
            else:
                store._release_run(run)
            given_back(run, extra_of(run).not_before or now)
            if run.job is not None and run.job_id in gone:
                ledger.beside.ended_jobs[run.job_id] = run.job
            ledger.wait(run)
    return refused


def take_waiting(
    store: Any, node: str, now: int, room: Mapping[str, int] | None, may_take: MayTake | None = None
) -> list[Run]:
    """Take waiting runs; see the port."""
    ledger = store._ledger
    taking = Taking(node, now, room, may_take)
    changed: list[Run] = []
    with ledger.lock:
        waiting = ledger.beside.waiting
        due = list(takewhile(lambda run: run.extra.not_before <= now, waiting.earliest_first()))
        if may_take is not None:
            due = [run for run in due if not taking.leaves(run)]
        # Before anything is changed, as the store may fail to answer.
        jobs = {
            id: store.lookup_job(id) or ledger.beside.ended_jobs.get(id) for id in {run.job_id for run in due}
        }
        taking.look_at(due)
        for run in due:
            if taking.full:
                break
            job = jobs[run.job_id]
            keeps = keeps_place(run.extra)
            running = 0 if job is None else store._running_of(job)
            if taking.take(run, job, running, job_for):
                waiting.take_out(run)
                changed.append(run)
                if run.status == CLAIMED:
                    store._take_run(job, run, counted=keeps)
                else:
                    _end_waiting(store, run, keeps, now)
                if (
                    not ledger.waits(run.job_id)
                    and ledger.beside.ended_jobs.pop(run.job_id, None) is not None
                ):
                    continue
                if job is not None:
                    store._waits_no_more(job, run)
    return changed


def _end_waiting(store: Any, run: Run, keeps: bool, now: int) -> None:
    """Record the end of a run that has waited; a store of eight methods that refuses what follows costs no other run.

    :param keeps: whether it has kept its place
    """
    store._ledger.extend([run])
    try:
        if keeps:
            store._release_run(run)
        if Policy.some_pause:
            store._count_ends([run], now)
        store._follow([run], now)
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        store._log.warning(
            "Error changing job %s after the end of a run that has waited: %s", run.job_id, error_text(exc)
        )


def job_for(run: Run, job: Job) -> Job:
    """Return a job with the arguments of a run, if it has its own."""
    extra = extra_of(run)
    if extra.args is None and extra.kwargs is None:
        return job
    own = job.copy()
    if extra.args is not None:
        own.args = tuple(extra.args)
    if extra.kwargs is not None:
        own.kwargs = dict(extra.kwargs)
    return own


def next_waiting(store: Any) -> int | None:
    """Return the earliest time of the waiting runs; see the port."""
    ledger = store._ledger
    with ledger.lock:
        return next_look(_with_jobs(store, ledger.beside.waiting))


def _with_jobs(store: Any, waiting: WaitingRuns) -> Iterator[tuple[Run, Job | None]]:
    """Return waiting runs with their jobs, the earliest first, as far as they are asked for."""
    jobs: dict[str, Job | None] = {}
    for run in waiting.earliest_first():
        if run.job_id not in jobs:
            ended = store._ledger.beside.ended_jobs
            jobs[run.job_id] = store.lookup_job(run.job_id) or ended.get(run.job_id)
        yield run, jobs[run.job_id]


def cancel_run(
    store: Any, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
) -> Run | None:
    """Cancel a run; see the port."""
    ledger = store._ledger
    with ledger.lock:
        run = _find(ledger, job_id, nominal)
        if run is None or (run.ended and run not in ledger.under_way):
            return run
        extra = extra_of(run)
        if run.status == WAITING:
            job = store.lookup_job(job_id)  # first, as the store may fail to answer
            ledger.beside.waiting.take_out(run)
            if keeps_place(extra):
                store._release_run(run)
            cancelled(run, reason, now)
            ledger.extend([run])
            store._follow([run], now)
            if not ledger.waits(job_id):
                ledger.beside.ended_jobs.pop(job_id, None)
            if job is not None:
                store._waits_no_more(job, run)
        elif extra.cancel is None and not only_waiting:
            extra.cancel = reason
        return as_recorded(run) if run in ledger.under_way else run


def backfills(store: Any) -> dict[str, str]:
    """Return what is left of backfills; see the port."""
    ledger = store._ledger
    with ledger.lock:
        return dict(ledger.beside.backfills)


def keep_backfill(store: Any, job_id: str, text: str | None, before: str | None) -> bool:
    """Keep what is left of a backfill; see the port."""
    ledger = store._ledger
    with ledger.lock:
        kept: dict[str, str] = ledger.beside.backfills
        if kept.get(job_id) != before:
            return False
        if text is None:
            kept.pop(job_id, None)
        else:
            kept[job_id] = text
        return True


def remembers_from(store: Any) -> int | None:
    """Return from when on all times are known: from when on the ring has lost no record; see the port."""
    ledger = store._ledger
    with ledger.lock:
        lost: int | None = ledger.lost_until()
    return lost


def orders(store: Any, node: str, now: int) -> Orders:
    """Return what is asked of the one node; see the port."""
    ledger = store._ledger
    with ledger.lock:
        beside = ledger.beside
        cancels = [
            (run.job_id, run.nominal, run.extra.cancel)
            for run in ledger.under_way
            if run.owner == node and getattr(run, "extra", None) is not None and run.extra.cancel is not None
        ]
        asked = [
            request
            for request, to, at, answered in beside.requests.values()
            if to == node and answered is None and now - at < REQUESTS_KEPT
        ]
        told = dict(beside.backfills)
        return Orders(beside.draining == node, cancels, asked, next_waiting(store), backfills=told)


def drain(store: Any, node: str, draining: bool, now: int) -> bool:
    """Have the one node claim nothing more; see the port."""
    beside = store._ledger.beside
    if beside.node is None or beside.node[0] != node:
        return False
    beside.draining = node if draining else None
    return True


def request(store: Any, node: str, kind: str, now: int, subject: tuple[str, int] | None) -> str:
    """Keep a request; see the port."""
    ledger = store._ledger
    id: str = new_node_id()
    with ledger.lock:
        kept = ledger.beside.requests
        for old in [name for name, (_, _, at, _) in kept.items() if now - at >= REQUESTS_KEPT]:
            del kept[old]
        kept[id] = (Request(id, kind, subject), node, now, None)
    return id


def answer(store: Any, id: str, text: str, now: int) -> None:
    """Keep an answer; see the port."""
    ledger = store._ledger
    with ledger.lock:
        found = ledger.beside.requests.get(id)
        if found is not None and now - found[2] < REQUESTS_KEPT:
            ledger.beside.requests[id] = (*found[:3], cut(text, LONGEST_ANSWER))


def answer_to(store: Any, id: str, now: int) -> str | None:
    """Return an answer; see the port."""
    ledger = store._ledger
    with ledger.lock:
        found = ledger.beside.requests.get(id)
        return None if found is None or now - found[2] >= REQUESTS_KEPT else found[3]


def _find(ledger: Any, job_id: str, nominal: int) -> Run | None:
    for run in ledger.of_jobs({job_id}):
        if run.nominal == nominal:
            return run  # type: ignore[no-any-return]
    return None


def _forget_keys(beside: Beside, now: int) -> None:
    for name in [name for name, (_, at) in beside.keys.items() if now - at >= KEY_HOLDS]:
        del beside.keys[name]
