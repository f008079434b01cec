"""Jobs made of the arguments of ``add_job()``: their policies, triggers and ids, and the plan of their first run.

It makes, plans and refuses; it stores nothing and runs nothing.
"""

from __future__ import annotations

from ..callables import described
from ..clock import FIRST_SHOWN, HELD, LAST_SHOWN, MINUTE, SECOND
from ..core.overlaps import check_overlap
from ..core.plan import due_time
from ..core.policy import DEFAULT_POLICY, OPTION_NAMES, Policy, with_options
from ..core.states import ACTIVE, NEW, PAUSED, set_job_state
from ..errors import JobTypeError, OptionTypeError, TooMuchWorkError
from ..job.checks import checked_time, due_by_policy, not_a_trigger
from ..job.handle import Job
from ..texts import repr_of
from ..triggers.base import AskedBy, BaseTrigger
from ..util import undefined
from .names import check_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from ..trust.allowlist import AllowList
    from .hooks import Hooks
    from .zone_watch import ZoneWatch

#: The triggers that may start now: they start by the scheduler's clock.
STARTING_NOW = ("date", "interval", "calendarinterval", "crontab", "rrule")
#: Names of triggers that find each time at once.
PLAIN = frozenset(("cron", "crontab", "date", "interval", "calendarinterval"))
#: How long ago the first time of a new job may be before that is told (microseconds): "now" may have waited for the start.
LATE = MINUTE
#: A start that is wrong by less (microseconds) stays as it is.
EXACT = SECOND // 1000
#: For how many callables a scheduler warns that their jobs have no ids.
_MOST_COPIED = 100
#: The names of the parameters of add_job(), for suggestions.
PARAMETERS = (
    *("trigger", "args", "kwargs", "id", "name", "next_run_time", "jobstore", "executor", "replace_existing"),
    *("tags", "metadata"),
    *OPTION_NAMES,
)
#: What add_jobs() takes once for all jobs.
_OF_ALL = frozenset(("jobstore", "replace_existing", "connection"))
#: What add_job() takes besides, where nothing is given.
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("trigger", "args", "kwargs", "id", "name", "tags", "metadata")),
    "next_run_time": undefined,
    "executor": "default",
}
_NOTHING_GIVEN = (undefined,) * len(OPTION_NAMES)
_NO_OPTIONS: dict[str, Any] = {}


class NewJobs:
    """Makes the jobs of a scheduler, and knows what they have in common.

    :param scheduler: the scheduler
    """

    #: the scheduler's logger, guarded
    log: GuardedLogger

    def __init__(self, scheduler: Hooks) -> None:
        self._scheduler = scheduler
        #: the policy of jobs that set none themselves
        self.default_policy: Policy = DEFAULT_POLICY
        #: which callables the jobs in durable stores may name; None: all
        self.allowed_callables: AllowList | None = None
        #: how often each name was decorated without an id
        self._decorated: dict[str, int] = {}
        #: the callables of which it was said that their jobs have no ids
        self._copied: set[str] = set()
        #: made with the first trigger that has no zone of its own
        self._zone_watch: ZoneWatch | None = None

    def make(
        self,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None,
        args: Iterable[Any] | None,
        kwargs: Mapping[str, Any] | None,
        id: str | None,
        name: str | None,
        next_run_time: datetime | str | None,
        executor: str,
        tags: Iterable[str] | None,
        metadata: Mapping[str, Any] | None,
        given: tuple[Any, ...],
        trigger_args: dict[str, Any],
    ) -> tuple[Job, dict[str, Any]]:
        """Make a job that is not stored yet; return it and the options of its policy that were given.

        :param given: a value for each of OPTION_NAMES, or ``undefined``
        """
        # Some things equal everything; what is not given, which is asked first, equals nothing else.
        options = _NO_OPTIONS if _NOTHING_GIVEN == given else _options_of(given)  # noqa: SIM300  # not the other way round
        if trigger == "crontab" and id is not None:
            trigger_args.setdefault("seed", id)  # of H, so that each job has its own place
        # To call the class hands all of it through __new__() as well, which is a third of the time for a new job.
        job: Job = Job.__new__(Job)
        Job.__init__(
            job,
            self._scheduler,
            id,
            func=func,
            args=() if args is None else tuple(args) if _is_series(args) else _no_schedule(args, trigger),
            kwargs=dict(kwargs) if kwargs is not None and hasattr(kwargs, "keys") else kwargs,
            trigger=self._scheduler._create_trigger(trigger, trigger_args),
            executor=executor,
            name=name,
            next_run_time=next_run_time,
        )
        job.policy = policy = with_options(self.default_policy, options) if options else self.default_policy
        if policy.waits_for_room:
            check_overlap(policy.overlap, job.trigger)
        if tags is not None or metadata is not None:
            job._modify(tags=tags, metadata=metadata)
        return job, options

    def make_all(
        self, jobs: Iterable[Mapping[str, Any]], jobstore: str
    ) -> tuple[list[Job], dict[str, dict[str, Any]]]:
        """Make several jobs; return them and, by their ids, the options of their policies that were given.

        :raises OptionTypeError: if something is no dictionary, or says itself what belongs to all of them
        """
        made: list[Job] = []
        given: dict[str, dict[str, Any]] = {}
        for number, arguments in enumerate(jobs):
            _check_arguments(number, arguments)
            self.check_callable(arguments["func"], jobstore)
            self.check_callable(arguments.get("on_failure"), jobstore)
            job, options = self._make_of(arguments)
            made.append(job)
            if options:
                given[job.id] = options
        return made, given

    def _make_of(self, arguments: Mapping[str, Any]) -> tuple[Job, dict[str, Any]]:
        """Make a job of arguments of add_job() by name."""
        left = dict(arguments)
        named = {name: left.pop(name, default) for name, default in _DEFAULTS.items()}
        given = tuple(left.pop(name, undefined) for name in OPTION_NAMES)
        return self.make(left.pop("func"), **named, given=given, trigger_args=left)

    def plan_first(self, job: Job, now: int) -> None:
        """Plan the first run from ``now``; a trigger whose times are all over leaves the job paused, as in APScheduler."""
        trigger = job.trigger
        if trigger.asks_programs:
            with AskedBy(self._scheduler):
                first = trigger.first(now)
        else:
            first = trigger.first(now)
        if first is None:
            self.log.warning('Job "%s" is paused: %s has no time to come', job.name, trigger)
            job.set_next(None)
            return
        if first > LAST_SHOWN or first < FIRST_SHOWN:
            checked_time(first, "the first run", trigger)
        if Policy.some_retry and job.policy.supersedes:
            self._warn_of_wait(job, first)
        # set_next() and due_time(), of which the calls cost more than what they do here: the job is a new one.
        job.next_nominal = first
        job.next_due = first if trigger.regular else due_time(job, first)
        set_job_state(job, ACTIVE)

    def _warn_of_wait(self, job: Job, first: int) -> None:
        """Warn of a retry whose wait is so long that the next scheduled time ends it each time."""
        retry = job.policy.retry
        assert retry is not None
        with AskedBy(self._scheduler):
            following = job.trigger.after(first, first)
        if following is not None and following - first <= retry.wait_initial * SECOND:
            self.log.warning(
                'Retries of job "%s" wait for %g s at least and its next time comes after %g s, which ends them: let wait_initial '
                "be shorter, or let the retry have until=None",
                job.name,
                retry.wait_initial,
                (following - first) / SECOND,
            )

    # -- what is refused, or warned of ---------------------------------------------------------------------------

    def check_callable(self, func: Any, alias: str | None) -> None:
        """Refuse the name of a callable that jobs in that store may not have, before anything is imported for it."""
        if self.allowed_callables is None or not isinstance(func, str):
            return
        store = self._scheduler._jobstores.get(alias or "")
        if store is not None and store.durable:
            self.allowed_callables.check_reference(func)

    def check_trigger(self, trigger: Any, trigger_args: Mapping[str, Any]) -> BaseTrigger:
        """Return a trigger that was given as an object, if it is one that jobs can have.

        :param trigger_args: what was given besides: it belongs to triggers that are named
        """
        if not isinstance(trigger, BaseTrigger):
            raise not_a_trigger(trigger)
        if trigger_args:
            check_names(trigger_args, PARAMETERS, "add_job() with a trigger object")
        if not getattr(trigger, "zone_given", True):  # some are only registered as triggers
            self._watch_zone(trigger)
        if getattr(trigger, "counts_work", False):
            self.check_work(trigger)
        return trigger

    def check_work(self, trigger: Any) -> None:
        """Refuse a trigger of which the planner could not find the next times.

        :raises TooMuchWorkError: if that is so; whatever else a part of it raises is the planner's business
        """
        if not getattr(trigger, "counts_work", False):
            return
        try:
            with AskedBy(self._scheduler):
                first = trigger.first(self._scheduler.clock.now())
                if first is not None:
                    trigger.after(first, first)
        except TooMuchWorkError:
            raise
        except Exception:
            pass

    def _watch_zone(self, trigger: BaseTrigger) -> None:
        """Warn once of a trigger without a zone that the scheduler's zone would give other times."""
        if self._zone_watch is None:
            from .zone_watch import ZoneWatch  # rare

            self._zone_watch = ZoneWatch()
        scheduler = self._scheduler
        warning = self._zone_watch.warning(trigger, scheduler.timezone, scheduler.clock.now())
        if warning is not None:
            self.log.warning("%s", warning)

    # -- ids -----------------------------------------------------------------------------------------------------

    def default_id(self, func: Any) -> str | None:
        """Return the id of a decorated function that was given none: the same at each start; None if it has no name."""
        reference = described(func)[1] if callable(func) else None
        if reference is None:
            return None
        from ..references import default_id  # import time

        name = default_id(reference)
        number = self._decorated[name] = self._decorated.get(name, 0) + 1
        return name if number == 1 else f"{name}#{number}"

    def warn_of_copies(self, job: Job, alias: str) -> None:
        """Warn once for each callable of recurring jobs without an id in a durable store: each start adds another one."""
        store = self._scheduler._jobstores.get(alias)
        if store is None or not store.durable:
            return
        from ..references import default_id  # import time
        from ..triggers.date import DateTrigger  # only here

        reference = job.func_ref or job.name
        if (
            isinstance(job.trigger, DateTrigger)
            or reference in self._copied
            or len(self._copied) >= _MOST_COPIED
        ):
            return
        self._copied.add(reference)
        self.log.warning(
            "add_job(%s) was given no id, and its job stays in the store %r: a program that adds it at each start adds "
            "another copy each time, and all of them run. Give it id=%r and replace_existing=True; if each is meant, give "
            "it an id of its own. Jobs of this function are not reported again",
            job.name,
            alias,
            default_id(reference),
        )


def now_by_clock_of(store: BaseJobStore, job: Job) -> int:
    """Return the instant by the clock of a store; what a new job has as the time of its construction becomes one by it, too."""
    now = store.now()
    if job.state == NEW:
        start_by_clock_of(store, job)
    return now


def start_by_clock_of(store: BaseJobStore, job: Job) -> None:
    """Let a start that is the time of construction be a time of the clock that counts, where that is not this machine's."""
    ahead, move = store.clock_offset, getattr(job.trigger, "moved", None)
    if ahead is not None and abs(ahead) >= EXACT and move is not None:
        job.trigger = move(ahead)


def tell_of_past(job: Job, nominal: int, now: int, logger: GuardedLogger) -> None:
    """Log that the first time of a new job is past: it may have been meant in another zone."""
    from ..engine.announcements import local  # import time: it is rare

    grace = job.policy.misfire_grace
    becomes = "it runs at once" if grace is None or now - nominal <= grace else "it is recorded as missed"
    logger.info(
        'The time of job "%s", %s, is past, so %s; give timezone= if another zone was meant, or misfire_grace_time= to '
        "have what is late recorded as missed",
        job.name,
        local(job, nominal),
        becomes,
    )


def may_owe(job: Job) -> bool:
    """Whether a stored job may have left out times that an edit has to record: it is paused, or waits for room. It asks nobody."""
    return job.next_due == HELD or (job.paused is not None and job.state == PAUSED)


def keep_schedule(job: Job, existing: Job, only: Collection[str] | None = None) -> None:
    """Let a job that replaces another go on in its schedule, if the trigger is unchanged and nobody said otherwise.

    :param only: the ids of the jobs that were planned just now; None: it was
    """
    job.chained = job.chained or existing.chained
    if (only is None or job.id in only) and (
        existing.error is None and job.trigger.same_schedule(existing.trigger)
    ):
        job.trigger = existing.trigger
        set_job_state(job, existing.state)
        job.next_nominal, job.next_due = existing.next_nominal, due_by_policy(existing, job.policy)
        job.paused = existing.paused or job.paused
    elif existing.paused is not None:
        keep_hold(job, existing)


def keep_hold(job: Job, existing: Job) -> None:
    """Let a job be on hold if the one is that it replaces, though it has another next time."""
    from ..core.pauses import pause_of, stay_on_hold  # import time: most programs pause no jobs

    pause = pause_of(existing)
    if pause.hold is not None:
        if job.next_nominal is None:  # it is added as one that is paused, and owes nothing
            pause.since = None
        stay_on_hold(job, pause)


def names_a_zone(expr: Any) -> bool:
    """Tell whether a zone stands before a crontab expression: ``CRON_TZ=Asia/Tokyo 0 6 * * *``."""
    from ..triggers.cron.notations import zone_before  # import time

    return isinstance(expr, str) and zone_before(expr) is not None


def _options_of(given: Sequence[Any]) -> dict[str, Any]:
    return {
        option: value for option, value in zip(OPTION_NAMES, given, strict=True) if value is not undefined
    }


def _no_schedule(args: Any, trigger: Any) -> Any:
    """Return args that are no series, which the job refuses, unless they are the schedule that the trigger takes by its name."""
    from ..job.remedies import schedule_in_args, shown  # rare

    remedy = schedule_in_args(args, trigger)
    if remedy is not None:
        raise JobTypeError(f"args must be a non-string iterable, got {shown(args)}; {remedy}")
    return args


def _is_series(args: Any) -> bool:
    return type(args) is tuple or (hasattr(args, "__iter__") and not isinstance(args, str))


def _check_arguments(number: int, arguments: Any) -> None:
    """Refuse what add_jobs() cannot use as the arguments of one job."""
    if not hasattr(arguments, "keys"):
        raise OptionTypeError(
            f"jobs[{number}] must be a dictionary of arguments of add_job(), got {repr_of(arguments)}"
        )
    if not _OF_ALL.isdisjoint(arguments):
        name = next(name for name in arguments if name in _OF_ALL)
        raise OptionTypeError(
            f"jobs[{number}] has {name!r}, which is the same for all jobs: give it to add_jobs() itself"
        )
    if "func" not in arguments:
        raise OptionTypeError(f"jobs[{number}] has no 'func': what is to be called?")
