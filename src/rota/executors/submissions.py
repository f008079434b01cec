"""What APScheduler's methods give to an executor, and which of it a report belongs to.

It starts no thread, and knows neither store nor engine. Executors of ours load it only if a program replaces a part of one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import pairwise
from threading import RLock

from ..clock import instant
from ..core.run import Run, fail
from ..core.states import CANCELLED, end
from ..errors import MaxInstancesReachedError
from ..events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from ..interrupts import is_interrupt
from .apscheduler import by_time, event_of_run, runs_of, write_outcome
from .steps import chain, submitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from typing import Any

    from ..clock import Clock
    from ..events import JobExecutionEvent
    from ..job.handle import Job
    from ..logs import GuardedLogger
    from .steps import Done, WriteEnd

#: How many reports of a job that overlaps itself are remembered, so that none counts twice.
_REMEMBERED = 100


class Submission:
    """What an executor was given at once: a group of runs, or a call of submit_job() (``head`` and ``done`` are None).

    :ivar times: its nominal times
    """

    __slots__ = ("done", "head", "times")

    def __init__(self, head: Run | None, done: Done | None, times: list[int]) -> None:
        self.head = head
        self.done = done
        self.times = times

    def forget(self) -> None:
        """Let nobody find the runs by their job any more."""
        if self.head is not None:
            submitted.pop(id(self.head.job), None)


class Submissions:
    """What an executor was given by APScheduler's methods and has not reported yet.

    Runs of a job that overlap end in any order, and an error does not tell which run it was: then the oldest is meant.

    :param executor: whose submissions they are
    :param end_group: ends each run of a group and reports it
    :param refuse: ends a run with the error that kept the executor from carrying it out
    :param log: what is logged goes through this one
    """

    def __init__(
        self,
        executor: Any,
        end_group: Callable[[Run, Done, WriteEnd], None],
        refuse: Callable[[Run, BaseException], None],
        log: GuardedLogger,
    ) -> None:
        self._executor = executor
        self._end_group = end_group
        self._refuse = refuse
        self._log = log
        #: how many submissions of each job are under way
        self.counts: dict[str, int] = defaultdict(int)
        #: what the engine has given to a program's submit_job(), which mostly calls ours
        self._given: dict[str, Submission] = {}
        #: what waits for its report, the oldest first
        self._waiting: dict[str, list[Submission]] = {}
        #: the nominal times of the last reports of jobs that still wait for others
        self._reported: dict[str, deque[int]] = {}

    @property
    def lock(self) -> Any:
        """The executor's lock. It is made when it is first asked for: executors of third parties need not call our __init__()."""
        return self._executor.__dict__.setdefault("_lock", RLock())

    # -- what the engine gives -----------------------------------------------------------------------------------

    def submit(self, head: Run, done: Done, clock: Clock) -> None:
        """Give a group to the executor's _do_submit_job()."""
        job, submission, times = _submission_of(head, done, clock)
        with self.lock:
            self._enter(job.id, submission)
        try:
            self._executor._do_submit_job(job, times)
        except BaseException as exc:  # it is the outcome of the runs, unless they have been reported
            if self._leave(job.id, submission):
                self._log.error("Error running job %s", job.id, exc_info=exc)
                self._fail_all(submission, exc)

    def submit_by_override(self, head: Run, done: Done, clock: Clock) -> None:
        """Give a group to the submit_job() of a program; whatever that does, each run ends."""
        executor = self._executor
        job, submission, times = _submission_of(head, done, clock)
        counted = self.counts.get(job.id, 0)
        with self.lock:
            self._given[job.id] = submission
        error: BaseException | None = None
        try:
            executor.submit_job(job, times)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            error = exc
        with self.lock:
            is_left = self._given.pop(job.id, None) is not None
            if is_left and error is None and self.counts.get(job.id, 0) > counted:
                self.counts[job.id] -= 1  # it counts runs by itself, so it reports them, too
                self._enter(job.id, submission)
                is_left = False
        if is_left:
            self._end_unsubmitted(job, times, submission, error)
        elif error is not None:
            self._log.error('Error after job "%s" was submitted', job, exc_info=error)

    def _end_unsubmitted(
        self, job: Job, run_times: list[datetime], submission: Submission, error: BaseException | None
    ) -> None:
        """End the runs that a program's submit_job() did not submit."""
        submission.forget()
        if isinstance(error, MaxInstancesReachedError):
            self._log.warning(
                'Execution of job "%s" skipped: maximum number of running instances reached (%d)',
                job,
                job.max_instances,
            )
            self._cancel_all(submission, "max_instances")
            if self._executor._scheduler is not None:
                code, alias = EVENT_JOB_MAX_INSTANCES, getattr(job, "_jobstore_alias", None)
                self._executor._scheduler._dispatch_event(JobSubmissionEvent(code, job.id, alias, run_times))
        elif error is not None:
            self._log.error('Error submitting job "%s" to executor "%s"', job, job.executor, exc_info=error)
            self._fail_all(submission, error)
        else:
            self._cancel_all(
                submission, f"submit_job() of {type(self._executor).__qualname__} did not submit it"
            )

    # -- what APScheduler's methods do ---------------------------------------------------------------------------

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Execute a job for the given nominal times, without a ledger.

        :raises MaxInstancesReachedError: if the job runs as often as it may already
        """
        with self.lock:
            given = self._given.pop(job.id, None)
            if given is None and self.counts.get(job.id, 0) >= job.policy.limit:
                raise MaxInstancesReachedError(job)
            submission = given or Submission(None, None, [instant(time) for time in run_times])
            self._enter(job.id, submission)
        try:
            self._executor._do_submit_job(job, run_times)
        except BaseException:
            if self._leave(job.id, submission) and given is not None:
                self._given[job.id] = given  # whatever becomes of the error
            raise

    def report(self, job_id: str, events: list[JobExecutionEvent]) -> None:
        """Take the events of a job that has been executed."""
        reported = by_time(events)
        submission = self._find(job_id, reported)
        if submission is None:
            self._log.debug("A report for job %s is ignored: no run of it waits for one", job_id)
        elif submission.head is None:
            for event in events:
                self._executor._scheduler._dispatch_event(event)
        else:
            self._end_all(submission, lambda run, now: self._write(run, reported.get(run.nominal), now))

    def _write(self, run: Run, event: Any, now: int) -> None:
        try:
            write_outcome(run, event, now, self._log)
        except BaseException as exc:  # an event that is not what it looks like
            self._refuse(run, exc)

    def report_error(self, job_id: str, exc: BaseException, traceback: Any) -> None:
        """Take the error that kept a job from being executed."""
        submission = self._find(job_id, ())
        if submission is None:
            self._log.debug("An error of job %s is ignored: no run of it waits for a report", job_id)
            return
        self._log.error("Error running job %s", job_id, exc_info=(type(exc), exc, traceback))
        self._fail_all(submission, exc)

    def carry_out(
        self, job: Job, run_times: list[datetime], submit: Callable[[Sequence[Run], Done], None]
    ) -> None:
        """Let an executor of ours execute a job for the given nominal times, and report the events.

        :param submit: carries runs out
        """
        claimed, _ = submitted.get(id(job), ((), None))
        runs = list(runs_of(job, run_times, claimed))
        for run, following in pairwise(runs):
            run.then = following
        alias: str | None = getattr(job, "_jobstore_alias", None)
        events: list[JobExecutionEvent] = []

        def done(run: Run) -> None:
            events.append(event_of_run(run, alias))
            if len(events) == len(runs):
                self._executor._run_job_success(job.id, events)

        submit(runs[:1], done)

    def end_unreported(self) -> None:
        """End what the executor will not report any more, as it was shut down."""
        with self.lock:
            left = [submission for waiting in self._waiting.values() for submission in waiting]
            for submission in left:
                submission.forget()
            self._waiting.clear()
            self.counts.clear()
        for submission in left:
            self._end_all(
                submission,
                lambda run, now: end(
                    run, CANCELLED, "the executor was shut down and had not reported it", now
                ),
            )

    # -- ends ----------------------------------------------------------------------------------------------------

    def _end_all(self, submission: Submission, write_end: WriteEnd) -> None:
        if submission.head is not None and submission.done is not None:
            self._end_group(submission.head, submission.done, write_end)

    def _fail_all(self, submission: Submission, exc: BaseException) -> None:
        self._end_all(submission, lambda run, now: fail(run, exc, "", now))

    def _cancel_all(self, submission: Submission, reason: str) -> None:
        def cancel(run: Run, now: int) -> None:
            # What has not started is given back, and would be claimed as long as this node lives.
            run.started_at = now
            end(run, CANCELLED, reason, now)

        self._end_all(submission, cancel)

    # -- which submission a report belongs to --------------------------------------------------------------------

    def _enter(self, job_id: str, submission: Submission) -> None:
        self._waiting.setdefault(job_id, []).append(submission)
        self.counts[job_id] = self.counts.get(job_id, 0) + 1

    def _find(self, job_id: str, times: Collection[int]) -> Submission | None:
        """Take out the submission that a report about these nominal times ends; None if there is none."""
        with self.lock:
            waiting = self._waiting.get(job_id, [])
            found = next((one for one in waiting if any(time in times for time in one.times)), None)
            given = self._given.get(job_id)
            if found is None and given is not None and any(time in times for time in given.times):
                found = self._given.pop(job_id)  # an override of submit_job() counts and reports by itself
                waiting = self._waiting.setdefault(job_id, waiting)
                waiting.append(found)
            if not waiting:
                return None
            if found is None:
                known = self._reported.get(job_id, ())
                if times and all(time in known for time in times):
                    return None
                found = waiting[0]
            self._leave(job_id, found)
            return found

    def _leave(self, job_id: str, submission: Submission) -> bool:
        """Take a submission out; return whether it was still there."""
        with self.lock:
            waiting = self._waiting.get(job_id, [])
            if submission not in waiting:
                return False
            waiting.remove(submission)
            submission.forget()
            if waiting:
                self._reported.setdefault(job_id, deque(maxlen=_REMEMBERED)).extend(submission.times)
            else:
                self._waiting.pop(job_id, None)
                self._reported.pop(job_id, None)
            left = self.counts.get(job_id, 0) - 1
            if left > 0:
                self.counts[job_id] = left
            else:
                self.counts.pop(job_id, None)
            return True


def _submission_of(head: Run, done: Done, clock: Clock) -> tuple[Job, Submission, list[datetime]]:
    """Return a group as the job, the submission and the times that APScheduler's methods take."""
    job = head.job
    assert job is not None
    runs = chain(head)
    submitted[id(job)] = (runs, clock)
    return (
        job,
        Submission(head, done, [run.nominal for run in runs]),
        [run.scheduled_run_time for run in runs],
    )
