"""The claim protocol of the Redis store: claim, finish, give back, take over; from decisions to fields of scripts and back.

It decides nothing; the steps, which are atomic, are in ``scripts/``: claim.lua, finish.lua, leave.lua, orphans.lua, take.lua.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from os import urandom

from ...core.chains import ends_among
from ...core.orphans import by_job
from ...core.pauses import counting
from ...core.policy import Policy
from ...core.recorded import first_nominal, firsts_of, leave_out_recorded
from ...core.run import asked_to_stop
from ...core.states import CLAIMED, WAITING
from ...core.transitions import marked, moved
from ...core.tries import end_superseded, ended_copies, hear
from ...errors import DeserializationError, StoreConflictError, StoreError
from ...triggers.base import BaseTrigger
from ..documents import check_times
from ..identity import RESTORED, Changed
from .forms import fence, fence_of, lost_run, padded, record_of, run_of_text, state_of, time_of, triples
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
    from typing import Any

    from ...core.orphans import Search
    from ...core.plan import Decision
    from ...core.run import Run
    from ...job.handle import Job
    from ..identity import Identity
    from ..retention import Retention
    from .chains import Chains
    from .failures import Failures
    from .history import History

#: How often a claim or a rescue is tried against others' changes.
TRIES = 10
#: How many due jobs or ended runs are one step: the server serves nobody else meanwhile.
AT_ONCE = 250
#: What is answered of a run that has failed, and that somebody had asked to stop.
ASKED = "2"


class Orphans:
    """Runs that no living node owns, as they were found.

    :ivar runs: the runs, oldest first
    :ivar damaged: the ends of those whose documents are damaged
    :ivar jobs: their jobs, in the form of an answer
    """

    __slots__ = ("_documents", "_records", "_states", "damaged", "jobs", "runs")

    def __init__(self, runs: str, jobs: str, node: str, known: Collection[tuple[str, int]], now: int) -> None:
        self._documents: dict[tuple[str, int], str] = {}
        self._records: dict[tuple[str, int], str] = {}
        self.runs: list[Run] = []
        self.damaged: list[Run] = []
        for job_id, nominal, document in triples(runs):
            try:
                run = run_of_text(job_id, nominal, document)
                if run.status != CLAIMED:
                    raise DeserializationError("it has ended, or waits")
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

    def expected(self, job_id: str, runs: Sequence[Run], spec: str, rest: str) -> Iterator[str]:
        """Return the fields that change these runs of a job, and the job itself, if everything is as it was found."""
        yield from (job_id, self._states.get(job_id, ""), str(len(runs)), spec, rest)
        for run in runs:
            before = self._documents[job_id, run.nominal]
            record = self._records.get((job_id, run.nominal)) or record_of(run)
            yield from (padded(run.nominal), before, run.status, record)


class Runs:
    """Reads and writes the runs of one store that are under way.

    :param run: carries out a script with some fields
    :param history: reads records
    :param bounds: counts records
    :param identity: what is known of the store that is open
    :param failures: counts ends of runs
    :param chains: returns what tells what ends leave at other jobs
    """

    def __init__(
        self,
        run: Callable[..., Any],
        history: History,
        bounds: Retention,
        identity: Identity,
        failures: Failures,
        chains: Callable[[], Chains],
    ) -> None:
        self._run = run
        self._history = history
        self._bounds = bounds
        self._identity = identity
        self._failures = failures
        self._chains = chains

    # -- claim ---------------------------------------------------------------------------------------------------

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out the decisions whose job is as it was when they were made, and has room (R1, R2); return those.

        :raises StoreError: if the node never had a lease
        :raises Changed: if it had one, and the store was put back from a backup, emptied or replaced
        """
        identity = self._identity
        for tried in range(TRIES):
            for decision in decisions:
                check_times(decision)
                marked(decision, node, now)
            # Ranges are looked at once: a run by hand, which is no time of the schedule, may stay inside one.
            ranges = [*_ranges_of(decisions), *_firsts_of(decisions)] if not tried else ["0", "0"]
            known = str(identity.renewals(node)), str(identity.until(node))
            fields = node, str(now), token(), *known, *ranges, *_claim_of(decisions, now)
            answer = self._chains().send(_given_up(decisions, now), now, "claim", *fields)
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
            moved(decision)
            end_superseded(decision.superseded, now)
            self._bounds.count(decision.job.id, len(decision.runs) + len(decision.records))
        return won

    def _leave_out_recorded(self, decisions: Sequence[Decision], places: Set[int]) -> None:
        """Take out of decisions what has a record already (R4): the job was removed and added again, or set back by its user.

        Every record is written with a new version of its job, so what is read here is true of the version that was decided on.

        :param places: the places of runs and records, among all of them, whose nominal time has one
        """
        place = 0
        for decision in decisions:
            count = len(decision.runs) + len(decision.records)
            since = first_nominal(decision)
            if since is not None and not places.isdisjoint(range(place, place + count)):
                leave_out_recorded(decision, self._history.recorded(decision.job.id, since))
            place += count

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Write how runs ended; return those whose end is refused (R5)."""
        refused: list[Run] = []
        chains = self._chains()
        if Policy.some_pause and (counted := counting(runs)):
            counted.sort(key=lambda run: run.finished_at or now)
            for run in counted:
                answer = self._failures.finish(run, now)
                if answer == ASKED:
                    self._hear(run, now)
                    answer = self._failures.finish(run, now)
                if answer == "0":
                    refused.append(run)
            runs = [run for run in runs if run not in counted]
        for first in range(0, len(runs), AT_ONCE):
            part = runs[first : first + AT_ONCE]
            fields: list[str] = []
            for run in part:
                fields += (run.job_id, padded(run.nominal), run.status, fence_of(run), record_of(run))
            answer = chains.send(chains.starting(part), now, "finish", *fields)
            refused += [run for run, bit in zip(part, answer, strict=True) if bit == "0"]
            asked = [run for run, bit in zip(part, answer, strict=True) if bit == ASKED]
            for run in asked:
                self._hear(run, now)
            if asked:
                refused += self.finish(asked, now)
        return refused

    def _hear(self, run: Run, now: int) -> None:
        """Let a run that has failed know that somebody had asked it to stop before."""
        found = texts(self._run("get_run", run.job_id, padded(run.nominal)))
        try:
            record = run_of_text(run.job_id, padded(run.nominal), found[0]) if found else None
        except DeserializationError:
            record = None
        hear(run, (None if record is None else asked_to_stop(record)) or "", now)

    def give_back(self, node: str, runs: Sequence[Run]) -> None:
        """Leave claimed runs, which were not started, to whoever comes first; end the lease unless other runs are under way."""
        fields = [node]
        for run in runs:
            fields += (run.job_id, padded(run.nominal), fence_of(run), fence(run.attempt, None))
        self._run("leave", *fields)

    # -- orphans -------------------------------------------------------------------------------------------------

    def rescue(
        self, search: Search, now: int, clock: Callable[[], int], jobs_of: Callable[[str], list[Job]]
    ) -> list[Run]:
        """Take over runs that no living node owns, or end them; return those.

        :param clock: tells ``now`` as time goes on
        :param jobs_of: makes jobs of an answer
        """

        def look() -> tuple[list[Run], bool]:
            orphans = self._orphans(clock(), search)
            jobs = {job.id: job for job in jobs_of(orphans.jobs)}
            changed = [*search.takeable(orphans.damaged), *search.sort_out(orphans.runs, jobs, now)]
            taken = self.take(changed, orphans, search.node, clock(), jobs) if changed else []
            return taken, len(taken) == len(changed)

        return search.rescue(partial(range, TRIES), look)

    def _orphans(self, now: int, search: Search) -> Orphans:
        """Return the claimed runs that no living node owns; and those of the node that it does not know, if it is in doubt.

        A node whose lease is over finds nothing.
        """
        fields = (
            str(now),
            search.node,
            "1" if search.in_doubt else "",
            "1" if search.ownerless else "",
        )
        runs, jobs = texts(self._run("orphans", *fields))
        return Orphans(runs, jobs, search.node, search.own, now)

    def take(
        self, changed: Sequence[Run], orphans: Orphans, node: str, now: int, jobs: Mapping[str, Job]
    ) -> list[Run]:
        """Write what becomes of orphaned runs; return them, without the runs of jobs that others have changed meanwhile.

        Left out as well are runs whose owner has renewed its lease meanwhile.
        """
        of_job = by_job(changed)
        fields: list[str] = []
        for job_id, runs in of_job.items():
            counted, job = ("", ""), jobs.get(job_id)
            if job is not None and Policy.some_pause and (over := [run for run in runs if run.ended]):
                left = job.copy()
                left.running -= len(over)
                counted = self._failures.counted(left, over, now)
            fields += orphans.expected(job_id, runs, *counted)
        ended = [run for run in changed if run.ended]
        answer = self._chains().send(ended, now, "take", node, token(), str(now), *fields)
        return [run for runs, bit in zip(of_job.values(), answer, strict=True) if bit == "1" for run in runs]


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


def _firsts_of(decisions: Sequence[Decision]) -> list[str]:
    """Return of how many decisions the records before are looked at, and for each of them its place, job and first time."""
    firsts = dict(firsts_of(decisions))
    fields: list[str] = []
    place = 0
    for decision in decisions:
        first = firsts.get(decision.job.id)
        if first is not None:
            fields += (str(place), decision.job.id, padded(first))
        place += len(decision.runs) + len(decision.records)
    return [str(len(fields) // 3), *fields]


def _claim_of(decisions: Sequence[Decision], now: int) -> list[str]:
    """Return the fields of decisions as claim.lua takes them."""
    fields: list[str] = []
    for decision in decisions:
        job, runs, due = decision.job, decision.runs, decision.next_due
        executor, state = job.executor, decision.state
        fields += (
            job.id,
            str(decision.version),
            str(len(runs)),
            str(-job.policy.limit if decision.waits_for_room else job.policy.limit),
            state_of(state, decision.next_nominal, due, executor, decision.error),
            executor,
            time_of(state, due),
            str(len(runs) + len(decision.records)),
            str(len(decision.superseded)),
        )
        for run in (*runs, *decision.records) if decision.records else runs:
            fields += (padded(run.nominal), run.status, record_of(run))
        for run in ended_copies(decision.superseded, now):
            fields += (
                padded(run.nominal),
                f'{{"status":"{WAITING}","attempt":{run.attempt},',
                record_of(run),
            )
    return fields


def _given_up(decisions: Sequence[Decision], now: int) -> list[Run]:
    """Return the ends that decisions write: of retries that they supersede, and of what the store had forgotten."""
    if not BaseTrigger.some_chain:
        return []
    superseded = [run for each in decisions for run in ended_copies(each.superseded, now)]
    return superseded + ends_among(decisions)


def token() -> str:
    """Return a text that tells a request from every other one; a client that got no answer repeats it."""
    return urandom(8).hex()
