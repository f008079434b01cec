"""What must hold in a simulation: a model of the ledger that each answer of a store is compared with.

It watches; it calls nothing but the observer's reading methods.
"""

from __future__ import annotations

from ...core.run import LAST
from ...core.states import ACTIVE, CANCELLED, END_STATES, ENDED, SKIPPED
from .attempts import Attempts, Waits, name, places_of, running_of
from .balance import Balance
from .cuts import note_cut
from .owed import Owed
from .seen import Snapshot, is_beside_the_schedule, is_end_of_pause, waits_wrongly
from .stopped import Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from random import Random

    from ...core.openings import Cut
    from ...core.plan import Decision
    from ...core.run import Run
    from ...jobstores.base import BaseJobStore
    from .attempts import Key, Presented
    from .balance import Segment


class Violation(AssertionError):
    """An invariant does not hold."""


class Audit:
    """The model, and the checks.

    :param observer: a store object on the same data, through which only the audit looks
    """

    def __init__(self, observer: BaseJobStore) -> None:
        self.observer = observer
        # Past what stands between a scheduler and its store, if this object serves one too.
        self.lookup = type(observer).lookup_job.__get__(observer)
        self.get_runs = type(observer).get_runs.__get__(observer)
        self.durable = observer.durable
        #: runs that have not ended: owner and attempt, the fence
        self.claimed: dict[Key, tuple[str | None, int]] = {}
        #: runs that wait for a time of their own
        self.waiting: dict[Key, Waits] = {}
        #: those that somebody has asked for: no times of any schedule
        self.by_hand: set[Key] = set()
        #: ended runs: owner, attempt, status, end
        self.ended: dict[Key, tuple[str | None, int, str, int | None]] = {}
        #: returns until when each node's lease lasts, if the observer can tell
        self.read_leases: Callable[[], dict[str, int]] | None = getattr(observer, "leases", None)
        #: the same as it was last
        self.leases: dict[str, int] = {}
        #: in which order nominal times got their records
        self.order: dict[Key, int] = {}
        self.segments: dict[str, list[Segment]] = {}
        self.owed = Owed(self.segments, self.count)
        self.started: set[tuple[str, int, int]] = set()
        self.violation: Violation | None = None
        #: counts for the report
        self.counts: dict[str, int] = {}
        self.attempts = Attempts(self.require, self.count)
        self.stopped = Stopped(
            self.claimed, type(observer).parts_of.__get__(observer), self.require, self.count
        )
        #: check what an end has left at the job after it, and in the end that there is nothing else; see :mod:`.chain`
        self.followed: Callable[[Run], None] = lambda run: None
        self.chain_adds_up: Callable[[], None] = lambda: None

    def require(self, condition: object, message: str) -> None:
        """Raise :class:`Violation` unless the condition holds; and remember it, because engines catch what stores raise."""
        if not condition:
            self.violation = self.violation or Violation(message)
            raise self.violation

    def count(self, what: str, number: int = 1) -> None:
        """Add to a number of the report."""
        self.counts[what] = self.counts.get(what, 0) + number

    def look(self, job_id: str) -> Snapshot | None:
        """Return what the store says about a job, or None."""
        job = self.lookup(job_id)
        return None if job is None else Snapshot(job)

    # -- changes of jobs -----------------------------------------------------------------------------------------

    def changed(
        self,
        job_id: str,
        before: Snapshot | None,
        after: Snapshot | None,
        by_whom: str,
        since: int | None = None,
    ) -> None:
        """Take note that a job was added, changed or removed.

        :param since: when the change began, by the clock that counts
        """
        if before is not None and after is not None:
            self.require(
                after.version != before.version, f"{by_whom} of {job_id} left its version at {after.version}"
            )
        self.owed.changed(job_id, before, after, since)

    def removed(self, before: Mapping[str, Snapshot | None]) -> None:
        """Take note that all jobs were removed, but for those that came while they were."""
        for job_id, seen in before.items():
            after = self.look(job_id)
            if seen is not None and (after is None or after.version != seen.version):
                self.changed(job_id, seen, after, "remove_all_jobs")

    # -- the protocol --------------------------------------------------------------------------------------------

    def claim(
        self, before: dict[str, Snapshot | None], won: Sequence[Decision], node: str, now: int, running: bool
    ) -> None:
        """Check a claim that was stored."""
        late = [decision for decision in won if is_beside_the_schedule(decision, before.get(decision.job.id))]
        self.require(
            running or len(late) == len(won), f"{node} claimed while its scheduler was paused or stopped"
        )
        for decision in late:
            self._record_late(decision)
        for decision in won:
            if decision in late:
                continue
            job_id = decision.job.id
            seen = before[job_id]
            self.require(seen is not None, f"{node} claimed {job_id}, which was not in the store")
            assert seen is not None
            self.require(seen.version == decision.version, f"{node} claimed {job_id} at an old version")
            if is_end_of_pause(decision, seen):
                self._goes_on(decision, seen, now)
                continue
            self.require(seen.state == ACTIVE, f"{node} claimed {job_id} while it was {seen.state}")
            pending, following = seen.next_nominal, decision.next_nominal
            self.require(
                pending is not None and (following is None or following > pending),
                f"{node} moved {job_id} from {pending} to {following}, which is no later time",
            )
            self.require(decision.error is None, f"{job_id} was quarantined: {decision.error}")
            gone = self._superseded(decision)
            if decision.runs:
                beside = seen.running - gone
                self.require(
                    beside < seen.max_instances,
                    f"{node} claimed a run of {job_id} beside {beside} others (max_instances={seen.max_instances})",
                )
                self.attempts.claimed(decision)
            for run in decision.runs:
                key = (job_id, run.nominal)
                self.require(
                    key not in self.claimed and key not in self.ended and key not in self.waiting,
                    f"{name(key)} was claimed twice",
                )
                self.require(
                    run.due <= now, f"{name(key)} was claimed {(run.due - now) / 1e6} s before it was due"
                )
                self.require(run.owner == node, f"{name(key)} belongs to {run.owner}, not to {node}")
                self.claimed[key] = (node, run.attempt)
                self.order.setdefault(key, len(self.order))
            self.count("claimed", len(decision.runs))
            for record in decision.records:
                self.order.setdefault((job_id, record.nominal), len(self.order))
                self.ended[job_id, record.nominal] = (node, record.attempt, record.status, record.finished_at)
                self.count(record.status, record.count)
            if decision.state == ENDED:
                self.segments[job_id][-1].exhausted = True

    def _superseded(self, decision: Decision) -> int:
        """Check the waiting retries that end with a claim; return how many."""
        runs: Sequence[Run] = decision.superseded
        for run in runs:
            key = (run.job_id, run.nominal)
            self.require(
                key in self.waiting and key not in self.by_hand,
                f"{name(key)} was superseded though it did not wait",
            )
            self.attempts.superseded(run, self.waiting.pop(key), decision)
            self.ended[key] = (run.owner, run.attempt, run.status, run.finished_at)
            self.followed(run)
        return len(runs)

    def _record_late(self, decision: Decision) -> None:
        """Check the end of a run that its store did not know of, as its job was removed, added again or set back meanwhile.

        Or what a paused job has left out until it is resumed: times that its schedule had, and that it will not have again.
        """
        for record in decision.records:
            key = (decision.job.id, record.nominal)
            self.require(
                key not in self.claimed and key not in self.ended,
                f"{name(key)} was recorded beside another run",
            )
            self.order.setdefault(key, len(self.order))
            self.ended[key] = (record.owner or "", record.attempt, record.status, record.finished_at)
            self.owed.recorded(decision, record)

    def _goes_on(self, decision: Decision, seen: Snapshot, now: int) -> None:
        """Check that a job goes on by itself whose pause is over, and the record of what it has left out."""
        self.require(not decision.runs and not decision.error, f"a pause ended with {decision.runs}")
        self._record_late(decision)
        self.owed.changed(decision.job.id, seen, self.look(decision.job.id), now)
        self.count("gone on by itself")

    # -- runs that wait ------------------------------------------------------------------------------------------

    def some_run(self, job_id: str, rng: Random) -> int | None:
        """Return the nominal time of a run of a job that waits or is under way, None if there is none."""
        found = sorted(nominal for id, nominal in (*self.waiting, *self.claimed) if id == job_id)
        return rng.choice(found) if found else None

    def opened(self, runs: Sequence[Run], cuts: Iterable[Cut] = ()) -> None:
        """Check runs that somebody has asked for: new ones, and those of a backfill that take the places of records.

        :param cuts: the records in place of which some of them were opened
        """
        taken = {(run.job_id, run.nominal) for run in runs}
        for cut in cuts:
            if any(cut.covers(run) for run in runs):
                note_cut(self.ended, self.order, self.require, cut, taken)
                if cut.splits:
                    self.count("split")
        for run in runs:
            key = (run.job_id, run.nominal)
            self.require(
                key not in self.claimed and key not in self.ended and key not in self.waiting,
                f"{name(key)} was asked for beside another run",
            )
            self.waiting[key] = Waits(run.attempt, run.extra.not_before or 0, run.extra.waiting_for)
            if run.attempt == 0:
                self.by_hand.add(key)
                self.order.setdefault(key, len(self.order))
            self.attempts.opened(run)
            self.count("backfilled" if run.extra.backfill is not None else "asked for")

    def given_back(self, given: Iterable[Presented], refused: Collection[Run]) -> None:
        """Check runs that were given back until later, by their owners, and those that were refused."""
        stale = {id(run) for run in refused}
        for each in given:
            key, is_refused = each.key, id(each.run) in stale
            if self.claimed.get(key) == each.fence:
                self.stopped.ended(key, each.fence[1], each.status)
                is_last = is_refused and getattr(each.run, "wish", None) == LAST  # as its job was removed
                if not self.stopped.may_wait(key, is_refused) or is_last:
                    continue
                self.require(
                    not is_refused, f"{name(key)} was not taken back from {each.fence}, which owns it"
                )
                del self.claimed[key]
                self.waiting[key] = each.waits
                self.attempts.given_back(each)
            elif self.waiting.get(key) == each.waits:
                self.require(not is_refused, f"{name(key)} was not taken back though it waits already")
            else:
                self.require(is_refused, f"{name(key)} was taken back from {each.fence}, which had lost it")
                self.count("given back in vain")

    def taken(self, before: dict[str, Snapshot | None], runs: Iterable[Run], node: str, now: int) -> None:
        """Check the waiting runs that a node has taken, and those that have ended instead."""
        beside = running_of(before, self.claimed, self.waiting)
        for run in runs:
            key = (run.job_id, run.nominal)
            self.require(key in self.waiting, f"{name(key)} was taken though it did not wait")
            waits = self.waiting.pop(key)
            attempt, early = waits.attempt, waits.not_before - now
            self.require(early <= 0, f"{name(key)} was taken {early / 1e6} s too early")
            self.attempts.taken_in_time(run, waits, now)
            if run.ended:
                if run.status == SKIPPED:
                    self.attempts.left_out(run, waits, beside.get(run.job_id), self.waiting, now)
                if waits.keeps_place and beside.get(run.job_id, 0) > 0:
                    beside[run.job_id] -= 1  # for the next ones
                self.ended[key] = (run.owner, run.attempt, run.status, run.finished_at)
                self.count(run.status)
                self.followed(run)
                continue
            self.require(run.attempt == attempt + 1, f"{name(key)} has attempt {run.attempt} after {attempt}")
            self.require(run.owner == node, f"{name(key)} belongs to {run.owner}, not to {node}")
            self.attempts.taken(run)
            if not waits.keeps_place and run.job_id in before:  # else an end in the same call has started it
                seen = before[run.job_id]
                self.require(
                    seen is not None and beside[run.job_id] < seen.max_instances,
                    f"{name(key)} was taken beside {beside[run.job_id]} others",
                )
                beside[run.job_id] += 1
            self.claimed[key] = (node, run.attempt)
            self.count("taken")

    def cancelled(self, runs: Iterable[Run]) -> None:
        """Check waiting runs that were cancelled by a user, or went with their job."""
        for run in runs:
            key = (run.job_id, run.nominal)
            self.require(run.status == CANCELLED, f"{run!r} was not cancelled")
            self.require(
                self.waiting.pop(key, None) is not None, f"{name(key)} was cancelled; it did not wait"
            )
            self.ended[key] = (run.owner, run.attempt, run.status, run.finished_at)
            self.count("cancelled while it waited")
            self.followed(run)

    def finish(self, runs: Sequence[Run], refused: Collection[Run]) -> None:
        """Check outcomes that were stored, and those that were refused."""
        stale = {id(run) for run in refused}
        for run in runs:
            key = (run.job_id, run.nominal)
            fence = (run.owner, run.attempt)
            outcome = (*fence, run.status, run.finished_at)
            if self.claimed.get(key) == fence:
                self.require(
                    id(run) not in stale,
                    f"the outcome of {name(key)} by {fence} was refused though it owns the run",
                )
                self.stopped.ended(key, run.attempt, run.status)
                self.stopped.forget(key)
                del self.claimed[key]
                self.ended[key] = outcome
                self.attempts.ended(run)
                self.count(run.status)
                self.followed(run)
            elif self.ended.get(key) == outcome:
                self.require(
                    id(run) not in stale,
                    f"the outcome of {name(key)} was refused though it had been recorded",
                )
            else:
                self.require(id(run) in stale, f"the stale outcome of {name(key)} by {fence} was not refused")
                self.count("refused")
        for job_id in {run.job_id for run in runs if run.job is not None and run.job.policy.waits_for_room}:
            job = self.look(job_id)
            self.require(job is None or not job.waits_in_vain, f"{job_id} waits for room, and there is some")

    def renew(
        self,
        lost: list[Run] | None,
        node: str,
        now: int,
        lease: int,
        in_hand: Collection[Run] = (),
        in_doubt: bool = False,
    ) -> None:
        """Check the answer to a renewal."""
        until = self.leases.get(node)
        if self.read_leases is None:
            self.leases[node] = now + lease
        else:  # the server's clock may not be what the node took it for
            self.leases = self.read_leases()
            now = self.leases[node] - lease
        if until is not None and until < now:
            self.count("renewed late")
        looks = in_doubt or until < now if until is not None else bool(in_hand)
        # A server whose clock was ahead for a while has ended leases early, which is not seen here: then it looks, too.
        self.require(
            looks == (lost is not None) or (not looks and self.read_leases is not None),
            f"{node} renewed its lease (until {until}) at {now} and was told {lost}",
        )
        for run in in_hand if lost is not None else ():
            key = (run.job_id, run.nominal)
            if run.ended:  # its end was recorded while this was under way
                continue
            mine = self.claimed.get(key) == (node, run.attempt)
            self.require(
                mine != any(run is other for other in lost or ()),
                f"{node} was told that {name(key)} is {'not ' if mine else ''}its own",
            )
            self.count("kept after a late renewal" if mine else "given up after a late renewal")

    def rescue(
        self,
        runs: Iterable[Run],
        marked: Collection[Key],
        node: str,
        now: int,
        known: Collection[Key] = (),
        in_doubt: bool = False,
        ownerless: bool = False,
    ) -> None:
        """Check what was taken over.

        :param marked: the runs of which the store knew that their time was over
        """
        for run in runs:
            key = (run.job_id, run.nominal)
            self.require(key in self.claimed, f"{name(key)} was rescued though it was not under way")
            self.require(key not in known, f"{name(key)} was rescued by {node}, which had it in hand")
            owner, attempt = self.claimed[key]
            mine = owner == node and in_doubt
            dead = owner is not None and owner != node and self.leases.get(owner, -1) < now
            self.require(
                owner is None or mine or (dead and not ownerless),
                f"{name(key)} was taken from {owner}, which {'may be' if dead else 'is'} alive, by {node}",
            )
            if run.ended:
                self.stopped.ended_with_node(key, attempt, run.status, marked)
                del self.claimed[key]
                self.ended[key] = (owner, attempt, run.status, run.finished_at)
                self.count(run.status)
                self.followed(run)
                continue
            self.stopped.rescued(key, run.job, dead, marked)
            expected = attempt + 1 if dead else attempt
            self.require(run.attempt == expected, f"{name(key)} has attempt {run.attempt}, not {expected}")
            self.require(run.owner == node, f"{name(key)} belongs to {run.owner}, not to {node}")
            if dead:
                self.attempts.died(run)
            self.attempts.taken(run)
            self.claimed[key] = (node, run.attempt)
            self.count("rescued")
        if self.read_leases is not None:  # those that were renewed before a clock was set back count anew
            self.leases = self.read_leases()

    def leave(self, node: str, runs: Iterable[Run]) -> None:
        """Take note of what was given back."""
        for run in runs:
            key = (run.job_id, run.nominal)
            if self.claimed.get(key) == (run.owner, run.attempt):
                self.claimed[key] = (None, run.attempt)
                self.attempts.left(key)
                self.count("given back")
        if not any(owner == node for owner, _ in self.claimed.values()):
            self.leases.pop(node, None)

    # -- execution -----------------------------------------------------------------------------------------------

    def start(self, run: Run, executing: Iterable[Run], latest: int) -> None:
        """Check a run that an executor starts.

        :param executing: the runs that have been started and have not ended, on all nodes
        :param latest: the instant that the fastest clock shows
        """
        key = (run.job_id, run.nominal)
        self.require(
            (*key, run.attempt) not in self.started, f"{name(key)} was started twice as attempt {run.attempt}"
        )
        self.started.add((*key, run.attempt))
        self.count("started")
        executing = list(executing)
        self.require(
            all((other.job_id, other.nominal, other.owner) != (*key, run.owner) for other in executing),
            f"{name(key)} was started by {run.owner}, which was executing it",
        )
        if not self.is_rightful(run, latest):
            self.count("started by a zombie")
            return
        assert run.job is not None
        rightful = [
            other for other in executing if other.job_id == run.job_id and self.is_rightful(other, latest)
        ]
        beside, limit = len(rightful), run.job.policy.limit
        self.require(
            beside < limit, f"{name(key)} was started beside {beside} others (max_instances={limit})"
        )
        self.attempts.started(run, rightful)

    def is_rightful(self, run: Run, latest: int) -> bool:
        """Whether a run's outcome would be taken, and its node's lease is not over by anybody's clock.

        A node that does not know yet that its lease is over may go on with a group of which another has taken the beginning.
        """
        if self.claimed.get((run.job_id, run.nominal)) != (run.owner, run.attempt):
            return False
        return not self.durable or (run.owner is not None and self.leases.get(run.owner, -1) >= latest)

    # -- the end -------------------------------------------------------------------------------------------------

    def is_in_time(self, job_id: str, now: int) -> None:
        """Check that a job does not wait for anything but its time or its own runs."""
        job = self.look(job_id)
        if job is None or job.state != ACTIVE:
            return
        wrong = waits_wrongly(job, places_of(job_id, self.claimed, self.waiting), now)
        self.require(wrong is None, f"{job_id} {wrong}")

    def balance(self) -> None:
        """Check that the ledger adds up, after all runs have ended and all jobs have been paused."""
        self.chain_adds_up()
        balance = Balance(self.order, self.require, self.count)
        for job_id, segments in self.segments.items():
            job = self.look(job_id)
            self.require(job is None or job.running == 0, f"{job_id} counts runs under way; there are none")
            records = self.get_runs(job_id, limit=1_000_000)
            for record in records:
                self.require(record.status in END_STATES, f"{record!r} has not ended")
                key = (job_id, record.nominal)
                written = (record.owner, record.attempt, record.status, record.finished_at)
                self.require(
                    self.ended.get(key) == written,
                    f"{name(key)} is recorded as {written}, not as {self.ended.get(key)}",
                )
            covered = {
                record.nominal: record for record in records if (job_id, record.nominal) not in self.by_hand
            }
            for segment in sorted(segments, key=lambda segment: segment.first):
                balance.walk(job_id, segment, covered, records)
            self.require(
                not covered, f"{job_id} has records of times that it never had: {list(covered.values())[:3]}"
            )
