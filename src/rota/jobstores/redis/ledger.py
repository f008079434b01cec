"""The claim protocol of the Redis store: decisions and runs to fields of scripts, and answers to runs.

It decides nothing; the atomic steps are in ``run_scripts``.
"""

from __future__ import annotations

from operator import attrgetter
from os import urandom

from ...core.recorded import BEFORE, MOST, first_nominal, leave_out_recorded, standing_from
from ...core.run import CLAIMED, END_STATES
from ...errors import DeserializationError, StoreConflictError, StoreError
from .. import retention
from ..base import COUNTED
from ..documents import check_times, label_all, label_records
from ..identity import RESTORED, Changed
from ..retention import Pace
from . import run_scripts as scripts
from .job_scripts import NAMES
from .records import fence, fence_of, lost_run, number_of, padded, record_of, run_of_text, state_of, time_of
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
    from typing import Any

    from ...clock import Clock
    from ...core.plan import Decision
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ..identity import Identity
    from ..retention import Retention

#: How often a claim or a rescue is tried against others' changes.
TRIES = 10
#: How many due jobs or ended runs are one step: the server serves nobody else meanwhile. With 1 000 others wait twice as long
#: (the slowest tenth 40 ms instead of 20, on a busy machine), and a run takes the same.
AT_ONCE = 250


class Orphans:
    """Runs that no living node owns, as they were found.

    :ivar runs: the runs, oldest first
    :ivar damaged: ends of those of which nobody can tell whose they are
    :ivar jobs: their jobs, in the form of an answer
    """

    __slots__ = ("_documents", "_records", "_states", "damaged", "jobs", "runs")

    def __init__(self, runs: str, jobs: str, node: str, known: Collection[tuple[str, int]], now: int) -> None:
        self._documents: dict[tuple[str, int], str] = {}
        self._records: dict[tuple[str, int], str] = {}
        self.runs: list[Run] = []
        self.damaged: list[Run] = []
        for job_id, nominal, document in _triples(runs):
            try:
                run = run_of_text(job_id, nominal, document)
                if run.ended:
                    raise DeserializationError("it has ended")
            except DeserializationError:
                run, record = lost_run(job_id, nominal, document, now)
                self.damaged.append(run)
                self._documents[run.job_id, run.nominal] = document
                self._records[run.job_id, run.nominal] = record
                continue
            if run.owner != node or (run.job_id, run.nominal) not in known:
                self.runs.append(run)
                self._documents[run.job_id, run.nominal] = document
        self.runs.sort(key=attrgetter("nominal"))
        parts = jobs.split("\0")
        self._states = dict(zip(parts[::3], parts[1::3], strict=False))
        found = zip(parts[::3], parts[2::3], parts[1::3], strict=False)
        self.jobs = "".join(f"{id}\0{spec}\0{state}\0" for id, spec, state in found if spec and state)

    def expected(self, job_id: str, runs: Sequence[Run]) -> Iterator[str]:
        """Return the fields of a step that changes these runs of a job, if everything is as it was found."""
        yield from (job_id, self._states.get(job_id, ""), str(len(runs)))
        for run in runs:
            before = self._documents[job_id, run.nominal]
            record = self._records.get((job_id, run.nominal)) or record_of(run)
            yield from (padded(run.nominal), before, run.status, record)


class Ledger:
    """Reads and writes the runs of one store.

    :param run: carries out a script with some fields
    :param bounds: which records are kept
    :param identity: what is known of the store that is open
    """

    def __init__(self, run: Callable[..., Any], bounds: Retention, identity: Identity) -> None:
        self._run = run
        self._bounds = bounds
        self._identity = identity

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out the decisions whose job is as it was when they were made; return those.

        :raises StoreError: if the node never had a lease
        :raises Changed: if it had one, and the store was put back from a backup, emptied or replaced
        """
        identity = self._identity
        for tried in range(TRIES):
            for decision in decisions:
                label_records(decision)
                check_times(decision)
                for run in (*decision.runs, *decision.records):
                    run.owner, run.claimed_at = node, now
            # What has been left out once stays out: a run by hand, which is no time of its job, may lie within a range.
            ranges = _ranges_of(decisions) if not tried else ["0"]
            known = str(identity.renewals(node)), str(identity.until(node))
            answer = self._run(
                scripts.CLAIM, node, str(now), _token(), *known, *ranges, *_claim_of(decisions)
            )
            if not answer.startswith("="):  # nothing, if there was nothing to decide
                break
            self._leave_out_recorded(decisions, {int(place) for place in answer[1:].split(",")})
        else:
            raise StoreConflictError(f"The nominal times of runs were taken by others {TRIES} times in a row")
        if answer.startswith("!"):
            raise Changed(identity.change(node, now, answer[1:] or None, 0) or RESTORED)
        if answer == "?":
            raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        won = [decision for decision, bit in zip(decisions, answer, strict=False) if bit == "1"]
        for decision in won:
            job, runs = decision.job, decision.runs
            job.next_nominal, job.next_due = decision.next_nominal, decision.next_due
            job.state, job.error = decision.state, decision.error
            job.version = decision.version + 1
            job.running += len(runs)
            self._bounds.count(job.id, len(runs) + len(decision.records))
        return won

    def _leave_out_recorded(self, decisions: Sequence[Decision], places: Set[int]) -> None:
        """Take out of decisions what has a record already: the job was removed and added again, or set back by its user.

        Every record is written with a new version of its job, so what is read here is true of the version that was decided on.

        :param places: the places of runs and records, among all of them, whose nominal time has one
        """
        place = 0
        for decision in decisions:
            count = len(decision.runs) + len(decision.records)
            since = first_nominal(decision)
            if since is not None and not places.isdisjoint(range(place, place + count)):
                leave_out_recorded(decision, self.recorded(decision.job.id, since))
            place += count

    def recorded(self, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        if job_id == "":
            return []
        parts = self._run(scripts.RECORDED, job_id, padded(since), str(BEFORE), str(MOST)).split("\0")
        found = zip(parts[::2], parts[1::2], strict=False)
        return standing_from((_standing(job_id, nominal, document) for nominal, document in found), since)

    def finish(self, runs: Sequence[Run]) -> list[Run]:
        """Write how runs ended; return those that are not the presenter's any more."""
        refused: list[Run] = []
        for first in range(0, len(runs), AT_ONCE):
            part = runs[first : first + AT_ONCE]
            fields: list[str] = []
            for run in part:
                fields += (run.job_id, padded(run.nominal), run.status, fence_of(run), record_of(run))
            answer = self._run(scripts.FINISH, *fields)
            refused += [run for run, bit in zip(part, answer, strict=True) if bit == "0"]
        return refused

    def select(self, job_id: str | None, status: str | Iterable[str] | None, limit: int) -> list[Run]:
        """Return records, newest first."""
        if limit <= 0 or job_id == "":
            return []
        wanted = (
            (status,) if isinstance(status, str) else (CLAIMED, *END_STATES) if status is None else status
        )
        found = [run for run, _ in _records(self._run(scripts.RUNS, job_id or "", str(limit), *wanted))]
        found.sort(key=attrgetter("nominal"), reverse=True)
        found = found[:limit]
        ids = sorted({run.job_id for run in found if run.name is None})
        parts = self._run(NAMES, *ids).split("\0") if ids else []
        named = zip(parts[:-1:3], parts[1::3], parts[2::3], strict=True)
        label_all(found, {id: (name, reference) for id, name, reference in named})
        return found

    # -- leases --------------------------------------------------------------------------------------------------

    def renew(
        self,
        node: str,
        there: int,
        until: int,
        in_hand: Collection[Run],
        in_doubt: bool,
    ) -> tuple[list[Run] | None, str | None]:
        """Begin or prolong a lease; see the port.

        :return: the answer, and what happened to the store if it is not the one that was opened
        """
        identity = self._identity
        known = identity.value, str(identity.renewals(node)), str(identity.until(node))
        asked = "1" if in_hand else "", "1" if in_doubt else ""
        answer = texts(self._run(scripts.RENEW, node, str(there), str(until), *asked, *known))
        if answer[0] == "?":
            _, found, count = answer
            return None, identity.change(node, there, found or None, int(count) if count else None)
        renewals, text = answer
        identity.written(node, int(renewals), until)
        if not text:
            return None, None
        parts = text[1:].split("\0")
        held = set(zip(parts[::3], parts[1::3], parts[2::3], strict=False))
        lost = [run for run in in_hand if (run.job_id, padded(run.nominal), str(run.attempt)) not in held]
        return lost, None

    def orphans(
        self,
        there: int,
        node: str,
        known: Collection[tuple[str, int]],
        in_doubt: bool,
        ownerless: bool,
    ) -> Orphans:
        """Return the claimed runs that no living node owns; and those of ``node`` that are not known, if it is in doubt.

        A node whose lease is over finds nothing.

        :param ownerless: leave out those of nodes that seem to be dead
        """
        fields = (str(there), node, "1" if in_doubt else "", "1" if ownerless else "")
        runs, jobs = texts(self._run(scripts.ORPHANS, *fields))
        return Orphans(runs, jobs, node, known, there)

    def take(self, changed: Sequence[Run], orphans: Orphans, node: str, there: int) -> list[Run]:
        """Make changes of orphaned runs true; return those, without the runs of jobs that others changed meanwhile.

        Nor are those among them whose owner has renewed its lease meanwhile.
        """
        of_job: dict[str, list[Run]] = {}
        for run in changed:
            of_job.setdefault(run.job_id, []).append(run)
        fields = [field for job_id, runs in of_job.items() for field in orphans.expected(job_id, runs)]
        answer = self._run(scripts.TAKE, node, _token(), str(there), *fields)
        return [run for runs, bit in zip(of_job.values(), answer, strict=True) if bit == "1" for run in runs]

    def leave(self, node: str, runs: Sequence[Run]) -> None:
        """Leave runs to whoever comes first, and end a lease unless other runs of the node are under way."""
        fields = [node]
        for run in runs:
            fields += (run.job_id, padded(run.nominal), fence_of(run), fence(run.attempt, None))
        self._run(scripts.LEAVE, *fields)

    # -- forgetting ----------------------------------------------------------------------------------------------

    def prune(self, now: int, clock: Clock) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job, in steps; see the port."""
        bounds, pace = self._bounds, Pace(retention.FORGOTTEN)
        keep = bounds.keep
        if not bounds.wants_all(now):
            if keep is not None:
                for job_id in bounds.crowded():
                    yield from self._prune_job(job_id, keep, clock, pace)
            return
        bounds.begin()
        if bounds.age is not None:
            for status in END_STATES:
                yield from self._prune_old(status, now - bounds.age, clock, pace)
        if keep is not None:
            yield from self._prune_all(keep, clock, pace)
        bounds.end(now)

    def _prune_all(self, keep: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records of each job beyond its newest: of some jobs after others."""
        following: str | None = None
        while following != "":
            fields = (following or "", str(keep), str(retention.LOOKED_AT // 2))
            following, *crowded = texts(self._run(scripts.CROWDED, *fields))
            yield 0
            for job_id in crowded:
                yield from self._prune_job(job_id, keep, clock, pace)

    def _prune_old(self, status: str, instant: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records of a status that ended before an instant."""
        start = "-inf"
        while start:
            began, size = clock.monotonic(), pace.size
            answer = self._run(scripts.PRUNE_OLD, status, str(instant), start, str(size))
            start, deleted, left = texts(answer[:1])[0], int(answer[1]), int(answer[2])
            pace.note(size if start else deleted, clock.monotonic() - began)
            yield min(left, COUNTED) if deleted else 0

    def _prune_job(self, job_id: str, keep: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records of a job beyond its newest."""
        left = 1
        while left:
            began, size = clock.monotonic(), pace.size
            left = int(self._run(scripts.PRUNE_MANY, job_id, str(keep), str(size)))
            pace.note(size if left else 0, clock.monotonic() - began)
            yield min(left, COUNTED)


def _ranges_of(decisions: Sequence[Decision]) -> list[str]:
    """Return how many records stand for several times, and for each of them its place among all, job, first and last time."""
    fields: list[str] = []
    place = 0
    for decision in decisions:
        for number, record in enumerate(decision.records):
            if record.last != record.nominal:
                place_of = place + len(decision.runs) + number
                fields += (str(place_of), record.job_id, padded(record.nominal), padded(record.last))
        place += len(decision.runs) + len(decision.records)
    return [str(len(fields) // 4), *fields]


def _claim_of(decisions: Sequence[Decision]) -> list[str]:
    fields: list[str] = []
    for decision in decisions:
        job, runs, due = decision.job, decision.runs, decision.next_due
        executor, state = job.executor, decision.state
        fields += (
            job.id,
            str(decision.version),
            str(len(runs)),
            str(job.policy.max_instances),
            state_of(state, decision.next_nominal, due, executor, decision.error),
            executor,
            time_of(state, due),
            str(len(runs) + len(decision.records)),
        )
        for run in (*runs, *decision.records) if decision.records else runs:
            fields += (padded(run.nominal), run.status, record_of(run))
    return fields


def _triples(text: str) -> Iterator[tuple[str, str, str]]:
    parts = text.split("\0")
    return zip(parts[::3], parts[1::3], parts[2::3], strict=False)


def _records(text: str) -> Iterator[tuple[Run, str]]:
    """Return the runs of an answer (id, nominal time and document in turn); what is damaged is passed over."""
    for job_id, nominal, document in _triples(text):
        try:
            yield run_of_text(job_id, nominal, document), document
        except DeserializationError:
            continue


def _standing(job_id: str, nominal: str, document: str) -> Recorded:
    """Return what a record stands for; one that is damaged for its own time."""
    try:
        run = run_of_text(job_id, nominal, document)
    except DeserializationError:
        at = number_of(nominal)
        return at, at, "unreadable"
    return run.nominal, run.last, run.status


def _token() -> str:
    """Return what tells one request from its repetition by a client that got no answer."""
    return urandom(8).hex()
