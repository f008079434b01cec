"""The claim protocol as the SQL store sends it to PostgreSQL: the same statements in the same order, decided by the same code.

Each function is what one method of the store sends. It executes nothing, and may be executed in any company.
"""

from __future__ import annotations

from collections import Counter

from ...codec.unrestored import can_run
from ...core.orphans import linked, sort_out, takeable
from ...core.pauses import counting
from ...core.recorded import first_nominal, firsts_of, leave_out_recorded, ranges_of
from ...core.states import CLAIMED, ENDED, WAITING
from ...core.transitions import ends_pause, is_allowed, marked, not_ended_well, released
from ...core.tries import end_superseded, hear, is_unasked
from ...errors import ConflictingIdError, JobLookupError, StoreConflictError
from ...jobstores.documents import label_of
from ...jobstores.requests_in_memory import job_for
from ...jobstores.server_clock import AHEAD
from .database import COMMIT, ROLLBACK, Change, Duplicate, Insert, Read, held, is_alive
from .failures import counted, release
from .model_chains import follow, nobody
from .rows import (
    KEPT,
    JobRow,
    NodeRow,
    RunRow,
    brought,
    is_as_in,
    is_due,
    is_refusal,
    job_of,
    reaches,
    recorded,
    request_in,
    row_of,
    run_of,
    superseded_of,
    under_way,
    visible,
    waiting_attempts,
    within,
    without_pause,
    without_waiting,
)
from .rules import ALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
    from typing import Any

    from ...core.plan import Decision
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...core.timeouts import PartsOf
    from ...core.waiting import MayTake
    from .database import Program, Statement, View
    from .rules import Rules

    Key = tuple[str, int]
    Part = Generator[Statement, Any, Any]
    Starting = Callable[[Sequence[Run]], list[Run]]

#: How often a claim or a change is tried against others' changes.
TRIES = 10


# ------------------------------------------------------------------------------------------------------------- jobs


def due(now: int, room: Mapping[str, int], rules: Rules = ALL) -> Program:
    """Return the rows of due jobs, the earliest first: for each executor so many as it has room for."""
    found: list[JobRow] = []
    for executor, limit in room.items():
        if limit > 0:
            found += yield Read(lambda view, executor=executor, limit=limit: _due(view, now, executor, limit))  # type: ignore[misc]
    yield COMMIT
    if not rules.limits:
        found = [row._replace(running=0) for row in found]
    return sorted(found, key=lambda row: row.due or 0)


def _due(view: View, now: int, executor: str, limit: int) -> list[JobRow]:
    rows = [row for row in view.jobs.values() if row.job.executor == executor and is_due(row, now)]
    return sorted(rows, key=lambda row: (row.due, row.id))[:limit]


def add(row: JobRow, rules: Rules = ALL) -> Program:
    """Add a job.

    :raises ConflictingIdError: if there is one of its id
    """
    try:
        if rules.serialised:
            yield Change("runs", None, lambda run: run.job_id == row.id and run.status == CLAIMED)
        yield Insert("jobs", lambda view: {row.id: row._replace(running=under_way(view, row.id))})
        yield COMMIT
    except Duplicate:
        stored = yield Read(lambda view: view.jobs.get(row.id))
        yield COMMIT
        if stored is not None and stored.version == row.version:
            return  # the answer to the first try was lost
        revived = yield Change(
            "jobs",
            [row.id],
            lambda job: job.state in (ENDED, KEPT),
            lambda job: row._replace(running=job.running),
        )
        yield COMMIT
        if not revived:
            raise ConflictingIdError(row.id) from None


def save(new: JobRow, version: int | None) -> Program:
    """Replace a job of the given version (of any version if None); return the new version, False if the version was wrong.

    :raises JobLookupError: if there is no job of that id
    """
    stored = yield Read(lambda view: visible(view, new.id))
    if stored is None:
        raise JobLookupError(new.id)
    if version is not None and stored.version != version:
        yield COMMIT
        return False

    def saved(row: JobRow) -> JobRow:
        due = released(new.nominal, new.due, row.running)
        state = KEPT if row.state == KEPT and new.state == ENDED else new.state
        return new._replace(due=due, running=row.running, version=stored.version + 1, state=state)

    found = yield Change("jobs", [new.id], lambda row: row.version == stored.version, saved)
    yield COMMIT
    return stored.version + 1 if found else False


def all_runs() -> Program:
    """Return all records."""
    rows = yield Read(lambda view: list(view.runs.values()))
    yield COMMIT
    return list(map(run_of, rows))


def recount(ids: Collection[str]) -> Program:
    """Let the counters of jobs say what the ledger says; return the counts. Rows that others have locked are left out."""
    rows = yield Change("jobs", sorted(ids), lambda row: True, skip_locked=True)
    counts: dict[str, int] = yield Read(lambda view: {row.id: under_way(view, row.id) for row in rows})
    for row in rows:
        if row.running != counts[row.id]:
            yield Change("jobs", [row.id], lambda row: True, lambda row: row._replace(running=counts[row.id]))
    yield COMMIT
    return counts


# ------------------------------------------------------------------------------------------------------------ claim


def claim(decisions: Sequence[Decision], node: str, now: int, rules: Rules = ALL) -> Program:
    """Carry out decisions; return those that were carried out."""
    tries = 0
    unseen = decisions if rules.records else ()
    while True:
        try:
            won = yield from _claim(decisions, node, now, rules, () if tries else unseen)
            break
        except Duplicate:
            tries += 1
            met = yield Read(lambda view: _met(view, decisions))
            yield COMMIT
            for decision in decisions:
                if decision.job.id in met:
                    leave_out_recorded(decision, met[decision.job.id])
            if (not met and tries > 1) or tries == TRIES:
                raise StoreConflictError("a nominal time is recorded again and again") from None
    for decision, running in won:
        job = decision.job
        job.next_nominal, job.next_due = decision.next_nominal, decision.next_due
        if ends_pause(decision):
            job.paused = None
        job.state, job.error = decision.state, decision.error
        job.version, job.running = decision.version + 1, running
    return [decision for decision, _ in won]


def _met(view: View, decisions: Sequence[Decision]) -> dict[str, list[Recorded]]:
    """Return the records of the jobs that are about to get a second one of the same nominal time."""
    found = {}
    for decision in decisions:
        job_id, since = decision.job.id, first_nominal(decision)
        keys = [(job_id, run.nominal) for run in (*decision.runs, *decision.records)]
        is_met = any(key in view.runs for key in keys) or _overlaps(view, [decision])
        if since is not None and is_met:
            found[job_id] = recorded(view, job_id, since)
    return found


def _overlaps(view: View, decisions: Sequence[Decision]) -> bool:
    """Whether what decisions write may stand for times of records that have other keys."""
    return within(view, ranges_of(decisions)) or reaches(view, firsts_of(decisions))


def _check(unseen: Sequence[Decision]) -> Part:
    """Raise if what one of these decisions writes may stand for times of records that have other keys."""
    if firsts_of(unseen) and (yield Read(lambda view: _overlaps(view, unseen))):
        yield ROLLBACK
        raise Duplicate("a record overlaps another one")


def _claim(
    decisions: Sequence[Decision], node: str, now: int, rules: Rules, unseen: Sequence[Decision]
) -> Part:
    if not (yield from is_alive(node, now)):
        return []
    ids = [decision.job.id for decision in decisions]
    found = yield Change("jobs", ids, lambda row: True, skip_locked=True)
    stored: dict[str, JobRow] = {row.id: row for row in found}
    won: list[tuple[Decision, int]] = []
    moves: dict[str, JobRow] = {}
    drops: dict[str, JobRow] = {}
    runs: dict[Key, RunRow] = {}
    for decision in decisions:
        job_id, row = decision.job.id, stored.get(decision.job.id)
        if row is None or (rules.versions and row.version != decision.version):
            continue
        gone = decision.superseded
        left = row.running - len(gone)
        is_full = not is_allowed(decision, left)
        if rules.heals and (is_full or any(is_refusal(record) for record in decision.records)):
            healed = yield from _healed(row)
            if healed is not None:
                moves[job_id] = healed
                continue
        if is_full and rules.limits:
            continue
        if gone and not (yield from _supersede(job_id, gone, now, rules)):
            continue
        running = left + len(decision.runs)
        is_over = decision.state == ENDED and running <= 0
        (drops if is_over else moves)[job_id] = row._replace(
            nominal=decision.next_nominal,
            due=decision.next_due,
            version=decision.version + 1,
            state=decision.state,
            error=decision.error,
            running=running,
            job=without_pause(row.job) if ends_pause(decision) else row.job,
        )
        won.append((decision, running))
        for run in marked(decision, node, now):
            runs[run.job_id, run.nominal] = row_of(run)
    following = follow([record for decision, _ in won for record in decision.records], now)
    yield from _write_claims(stored, moves, drops, runs, rules, unseen, following)
    return won


def _supersede(job_id: str, runs: Sequence[Run], now: int, rules: Rules) -> Part:
    """End waiting retries of a job as a later time of it is claimed; return False if one of them does not wait any more (R4)."""
    attempts = {run.nominal: run.attempt for run in runs}
    waiting = yield Read(lambda view: waiting_attempts(view, job_id, attempts))
    if rules.retries and waiting != attempts:
        return False
    end_superseded(runs, now)
    if not rules.superseded:
        return True
    ends = {(job_id, run.nominal): run for run in runs}

    def waits(row: RunRow) -> bool:
        return not rules.retries or (row.status, row.attempt) == (WAITING, attempts[row.nominal])

    yield Change("runs", list(ends), waits, lambda row: superseded_of(row, ends[row.job_id, row.nominal]))
    yield from follow(runs, now)
    return True


def _healed(row: JobRow) -> Part:
    """Return a row with its counter put right; None if it is right."""
    counted = yield Read(lambda view: under_way(view, row.id))
    return None if counted == row.running else row._replace(running=counted, version=row.version + 1)


def _write_claims(
    stored: Mapping[str, JobRow],
    moves: dict[str, JobRow],
    drops: dict[str, JobRow],
    runs: dict[Key, RunRow],
    rules: Rules,
    unseen: Sequence[Decision],
    following: Part,
) -> Part:
    insert = Insert("runs", lambda view: runs, replaces=not rules.records)
    if not rules.moves:
        if runs:
            yield insert
        yield COMMIT
    if moves:
        yield Change("jobs", sorted(moves), is_as_in(stored), lambda row: moves[row.id])
    if drops:
        gone = yield Change("jobs", without_waiting(drops), is_as_in(stored), lambda row: None)
        if len(gone) != len(drops):  # those stay of which runs wait
            yield Change("jobs", list(drops), lambda row: True, lambda row: drops[row.id])
    yield from _check(unseen)
    if runs and rules.moves:
        yield insert
    yield from following
    yield COMMIT


# ----------------------------------------------------------------------------------------------------------- finish


def finish(runs: Sequence[Run], now: int, rules: Rules = ALL, starting: Starting = nobody) -> Program:
    """Write how runs ended; return those that are not the presenter's any more.

    :param starting: returns those of some ended runs whose ends may start other jobs
    """
    refused: list[Run] = []
    written = list(runs)
    if (yield from _end(runs, rules)) != len(runs):
        yield ROLLBACK  # with care, one after another
        written.clear()
        for run in runs:
            if is_unasked(run) and rules.cancels:
                asked = yield Read(lambda view, run=run: request_in(view, run))  # type: ignore[misc]
                if asked is not None:
                    hear(run, asked, now)
            if (yield from _end([run], rules)):
                written.append(run)
                continue
            row = yield Read(lambda view, run=run: view.runs.get((run.job_id, run.nominal)))  # type: ignore[misc]
            end = run.owner, run.attempt, run.status, run.finished_at
            if row is None or (row.owner, row.attempt, row.status, row.finished) != end:
                refused.append(run)
    known = written if rules.once else [run for run in runs if run not in refused]
    yield from follow(starting(known), now)
    ended = Counter(run.job_id for run in written)
    yield from release(
        ended, all(run.job is not None and run.job.state == ENDED for run in runs), not_ended_well(written)
    )
    yield from counted(counting(written), now)
    yield COMMIT
    return refused


def _end(runs: Sequence[Run], rules: Rules) -> Part:
    """Write ends; return how many of them."""
    ends = {(run.job_id, run.nominal): run for run in runs}

    def is_mine(row: RunRow) -> bool:
        run = ends[row.job_id, row.nominal]
        is_owner = (row.owner, row.attempt) == (run.owner, run.attempt)
        if rules.cancels and is_unasked(run) and row.extra is not None and row.extra.cancel is not None:
            return False
        return row.status == CLAIMED and (is_owner or not rules.fences)

    def ended(row: RunRow) -> RunRow:
        run = ends[row.job_id, row.nominal]
        new = row_of(run)
        return new._replace(owner=row.owner, attempt=row.attempt, ended_by=(run.owner, run.attempt))

    found = yield Change("runs", list(ends), is_mine, ended)
    return len(found)


# ----------------------------------------------------------------------------------------------------------- leases


def renew(node: str, now: int, until: int, in_hand: Collection[Run], in_doubt: bool) -> Program:
    """Renew or begin a lease; return None, or the runs that are not the node's any more if that was looked at."""
    before = yield Read(lambda view: view.nodes.get(node))
    new = NodeRow(node, until, now)
    ran = before is not None and before.until >= now
    if before is None:
        yield Insert("nodes", lambda view: {node: new})
    elif ran:  # unless somebody has taken it for a lease of the future meanwhile, as the clock was set back
        ran = bool((yield Change("nodes", [node], lambda row: row.until == before.until, lambda row: new)))
    if before is not None and not ran:
        yield Change("nodes", [node], lambda row: True, lambda row: new)
    looks = bool(in_hand) if before is None else not ran or in_doubt
    if not looks:
        yield COMMIT
        return None
    owned = yield Read(
        lambda view: {
            (row.job_id, row.nominal, row.attempt)
            for row in view.runs.values()
            if row.status == CLAIMED and row.owner == node
        }
    )
    yield COMMIT
    return [run for run in in_hand if (run.job_id, run.nominal, run.attempt) not in owned]


def rescue(
    node: str,
    now: int,
    room: Mapping[str, int] | None = None,
    known: Collection[Key] = (),
    in_doubt: bool = False,
    ownerless: bool = False,
    home: tuple[Any, str | None] = (None, None),
    clock: Callable[[], int] | None = None,
    parts_of: PartsOf | None = None,
    may_take: MayTake | None = None,
) -> Program:
    """Take over runs that no living node owns; return those, and those that are lost.

    :param clock: returns what the node takes for the time
    :param parts_of: returns what is kept beside runs
    """

    def orphans(view: View, ahead: bool = False) -> list[RunRow]:
        alive = {row.id for row in view.nodes.values() if row.until >= now}
        if ahead:
            alive -= {row.id for row in view.nodes.values() if row.started > now + AHEAD}
        whose = {row.owner for row in view.runs.values() if row.status == CLAIMED}
        taken = {None} if ownerless else {None, *(owner for owner in whose if owner not in alive)}
        if in_doubt:
            taken.add(node)
        found = [row for row in view.runs.values() if row.status == CLAIMED and row.owner in taken]
        return sorted(found, key=lambda row: (row.nominal, row.job_id))

    found = yield Read(lambda view: orphans(view, ahead=True))
    yield COMMIT
    if not found:
        return []
    if not (yield from is_alive(node, now)):
        return []
    leases = yield Change("nodes", None, lambda row: row.until < now or row.started > now + AHEAD)
    # What was renewed while this was held up is not ahead; nobody renews it from here on.
    later = now if clock is None else (yield Read(lambda view: clock()))
    for lease in leases:
        if lease.started > later + AHEAD:
            yield Change("nodes", [lease.id], lambda row: True, lambda row: brought(row, later))
    found = yield Read(orphans)
    unknown = [run_of(row) for row in found if row.owner != node or (row.job_id, row.nominal) not in known]
    others = yield from held({run.job_id for run in unknown})
    unknown = [run for run in unknown if run.owner == node or run.job_id not in others]
    unknown = list(takeable(unknown, may_take))
    taken: list[Run] = yield from _take_over(unknown, node, now, room, known, home, parts_of)
    yield COMMIT
    linked(taken)
    return taken


def _take_over(
    unknown: Sequence[Run],
    node: str,
    now: int,
    room: Mapping[str, int] | None,
    known: Collection[Key],
    home: tuple[Any, str | None],
    parts_of: PartsOf | None,
) -> Part:
    """Write what becomes of orphaned runs; return those that changed."""
    ids = {run.job_id for run in unknown}
    rows = yield Read(lambda view: [view.jobs[id] for id in sorted(ids) if id in view.jobs])
    fences = {id(run): (run.owner, run.attempt) for run in unknown}
    jobs = {row.id: job_of(row, home) for row in rows}
    taken = []
    for run in sort_out(
        unknown, jobs, node, now, room, known, can_run=can_run, job_for=job_for, parts_of=parts_of
    ):
        if (yield from _settle(run, fences[id(run)])):
            taken.append(run)
    ended = [run for run in taken if run.ended]
    yield from release(Counter(run.job_id for run in ended), failed=not_ended_well(ended))
    yield from counted(ended, now)
    yield from follow(ended, now)
    return taken


def _settle(run: Run, fence: tuple[str | None, int]) -> Part:
    """Write what became of an orphan that was found with a fence; return whether it was still so."""

    def is_found(row: RunRow) -> bool:
        return row.status == CLAIMED and (row.owner, row.attempt) == fence

    def settled(row: RunRow) -> RunRow:
        if run.ended:
            name, func = label_of(run)
            return row._replace(
                status=run.status,
                reason=run.reason,
                finished=run.finished_at,
                name=name,
                func=func,
                ended_by=fence,
            )
        return row._replace(owner=run.owner, attempt=run.attempt, claimed=run.claimed_at, started=None)

    found = yield Change("runs", [(run.job_id, run.nominal)], is_found, settled)
    return bool(found)


def leave(node: str, runs: Iterable[Run]) -> Program:
    """Give back runs that were not started, and end the lease unless other runs of the node are under way."""
    fences = {(run.job_id, run.nominal): (run.owner, run.attempt) for run in runs}

    def is_mine(row: RunRow) -> bool:
        return row.status == CLAIMED and (row.owner, row.attempt) == fences[row.job_id, row.nominal]

    if fences:
        yield Change("runs", list(fences), is_mine, lambda row: row._replace(owner=None))
    is_busy = yield Read(
        lambda view: any(row.status == CLAIMED and row.owner == node for row in view.runs.values())
    )
    if not is_busy:
        yield Change("nodes", [node], lambda row: True, lambda row: None)
    yield COMMIT
