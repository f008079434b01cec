"""The scheduler's methods that add jobs: one, many, and functions by a decorator.

Part of the public facade: it makes jobs of arguments and hands them to stores; it runs nothing.
"""

from __future__ import annotations

from types import FunctionType, MethodType

from ..callables import described
from ..core.policy import OPTION_NAMES, with_options
from ..errors import JobTypeError, OptionTypeError
from ..job.handle import Job
from ..texts import repr_of
from ..util import undefined
from .job_internals import JobInternals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any, TypeVar

    from ..triggers.base import BaseTrigger

    Function = TypeVar("Function", bound=Callable[..., Any])


class AddingMethods(JobInternals):
    """How jobs come into a scheduler."""

    #: how often each name was decorated without an id
    _decorated: dict[str, int]
    #: the callables of which it was said that their jobs have no ids
    _copied: set[str]

    def add_job(
        self,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | timedelta | None = undefined,
        coalesce: bool = undefined,
        max_instances: int = undefined,
        next_run_time: datetime | str | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        replace_existing: bool = False,
        expires: float | timedelta | None = undefined,
        on_lost: str = undefined,
        max_attempts: int = undefined,
        connection: Any = None,
        **trigger_args: Any,
    ) -> Job:
        """Add a job and wake the scheduler up.

        A time that is past and has a record in the ledger does not run again: a warning names the record, and a job whose
        schedule is over by that is returned and not stored.

        :param func: what to call: a callable (plain or ``async def``) or a reference to one (``"package.module:name"``)
        :param trigger: a trigger, or the name of one with its arguments in ``trigger_args``; None: run once, now
        :param args: positional arguments for ``func``
        :param kwargs: keyword arguments for ``func``
        :param id: the job's identifier (a random one if None); unique in its store
        :param name: a description for people (the callable's name if None)
        :param misfire_grace_time: seconds that a run may be late and still run; None: never too late (the default)
        :param coalesce: True (the default): several owed times become one run, for the latest; False: each is run
        :param max_instances: how many runs of the job may be under way at once (default 1)
        :param next_run_time: the first run, instead of the trigger's; None adds the job paused
        :param jobstore: alias of the store that is to keep the job
        :param executor: alias of the executor that is to run it
        :param replace_existing: replace a job of the same id; if its trigger is unchanged, its next run is kept
        :param expires: seconds after the due time at which a run that still waits in a queue is not started any more
        :param on_lost: what happens to a run whose process died (durable stores): "rerun" (the default) or "lost"
        :param max_attempts: how often such a run is started at most (default 3); a run that fails is not started again
        :param connection: (SQL stores) a SQLAlchemy ``Connection`` with a transaction of yours on the store's database: the job is
            added inside it, and exists exactly if you commit. No event is sent, as nobody here learns whether you do
        :param trigger_args: the arguments of the trigger that ``trigger`` names
        :return: the job
        :raises InvalidJobError: (its subclasses) for whatever is wrong with the job
        :raises TriggerError: if the trigger's arguments are wrong
        :raises ConflictingIdError: if a job of that id exists and ``replace_existing`` is False
        :raises UnknownAliasError: if the store or the executor does not exist in a scheduler that runs
        :raises ConfigurationError: if there is a ``connection`` and the store cannot use it
        :raises RuntimeError: if there is a ``connection`` and the scheduler was not started
        """
        if self._allowed_callables is not None:
            self._check_callable(func, jobstore)
        job, options = self._new_job(
            func,
            trigger,
            args,
            kwargs,
            id,
            name,
            misfire_grace_time,
            coalesce,
            max_instances,
            next_run_time,
            executor,
            expires,
            on_lost,
            max_attempts,
            **trigger_args,
        )
        if connection is not None:
            self._add_together([job], jobstore, replace_existing, connection)
        elif self._is_open or not self._add_pending(job, jobstore, replace_existing, options):
            self._real_add_job(job, jobstore, replace_existing)
        if id is None and (store := self._jobstores.get(jobstore)) is not None and store.durable:
            self._warn_of_copies(job, jobstore)
        return job

    def add_jobs(
        self,
        jobs: Iterable[Mapping[str, Any]],
        jobstore: str = "default",
        replace_existing: bool = False,
        connection: Any = None,
    ) -> list[Job]:
        """Add many jobs at once: all of them or, if one is wrong, none; in SQL stores in one round trip.

        :param jobs: for each job a dictionary of arguments of :meth:`add_job`, with the arguments of its trigger
        :param jobstore: alias of the store that is to keep them
        :param replace_existing: replace jobs of the same ids; where the trigger is unchanged, the next run is kept
        :param connection: as for :meth:`add_job`
        :return: the jobs, in the same order
        :raises ConflictingIdError: if an id exists already or is given twice; it names the ids
        :raises OptionTypeError: if something is no dictionary, or says itself what belongs to all of them
        :raises InvalidJobError, TriggerError, SerializationError: as :meth:`add_job`
        """
        made: list[Job] = []
        given: dict[str, dict[str, Any]] = {}
        for number, arguments in enumerate(jobs):
            _check_arguments(number, arguments)
            self._check_callable(arguments["func"], jobstore)
            job, options = self._new_job(**arguments)
            made.append(job)
            if options:
                given[job.id] = options
        in_stores = self._is_open or connection is not None
        if in_stores or not self._add_all_pending(made, jobstore, replace_existing, given):
            self._add_together(made, jobstore, replace_existing, connection)
        for job in made:
            if job.has_new_id:
                self._warn_of_copies(job, jobstore)
        return made

    def _new_job(
        self,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | timedelta | None = undefined,
        coalesce: bool = undefined,
        max_instances: int = undefined,
        next_run_time: datetime | str | None = undefined,
        executor: str = "default",
        expires: float | timedelta | None = undefined,
        on_lost: str = undefined,
        max_attempts: int = undefined,
        **trigger_args: Any,
    ) -> tuple[Job, dict[str, Any]]:
        """Make a job that is not stored yet; return it and the options of its policy that were given."""
        # Not by equality, as some things equal everything; one by one, which takes a fifth of the time of a loop.
        if (
            misfire_grace_time is _UNSET
            and max_instances is _UNSET
            and expires is _UNSET  # type: ignore[unreachable]  # mypy takes an int for something that is never Any
            and on_lost is _UNSET
            and max_attempts is _UNSET
            and coalesce is _UNSET
        ):
            options = _NO_OPTIONS  # type: ignore[unreachable]
        else:
            given = (misfire_grace_time, coalesce, max_instances, expires, on_lost, max_attempts)
            options = _options_of(given)
        if trigger == "crontab" and id is not None:
            trigger_args.setdefault("seed", id)  # of H, so that each job has its own place
        # To call the class hands all of it through __new__() as well, which is a third of the time for a new job.
        job: Job = Job.__new__(Job)
        Job.__init__(
            job,
            self,
            id,
            func=func,
            args=() if args is None else tuple(args) if _is_series(args) else _no_schedule(args, trigger),
            kwargs=dict(kwargs) if kwargs is not None and hasattr(kwargs, "keys") else kwargs,
            trigger=self._create_trigger(trigger, trigger_args),
            executor=executor,
            name=name,
            next_run_time=next_run_time,
        )
        job.policy = with_options(self._default_policy, options) if options else self._default_policy
        return job, options

    def scheduled_job(
        self,
        trigger: BaseTrigger | str | None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | timedelta | None = undefined,
        coalesce: bool = undefined,
        max_instances: int = undefined,
        next_run_time: datetime | str | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        **trigger_args: Any,
    ) -> Callable[[Function], Function]:
        """Return a decorator that adds a function as a job; the parameters are those of :meth:`add_job`.

        A job of the same ``id`` is replaced (its next run is kept if the trigger is unchanged). Without an ``id`` it is the module
        and the qualified name of the function, "app.tasks:report", with "#2" and so on where that name is decorated again.

        :raises JobTypeError: if it is used as ``@scheduler.scheduled_job``, without the parentheses
        """
        if isinstance(trigger, (FunctionType, MethodType, staticmethod, classmethod)):
            raise JobTypeError(
                f"scheduled_job() must be given a trigger, got {repr_of(trigger)}; write it with its parentheses: "
                f'@scheduler.scheduled_job("interval", hours=1)'
            )

        def decorate(func: Function) -> Function:
            from ..references import decorating  # import time

            with decorating(func):
                self.add_job(
                    func,
                    trigger,
                    args,
                    kwargs,
                    self._default_id(func) if id is None else id,
                    name,
                    misfire_grace_time,
                    coalesce,
                    max_instances,
                    next_run_time,
                    jobstore,
                    executor,
                    True,
                    **trigger_args,
                )
            return func

        return decorate

    def _default_id(self, func: Any) -> str | None:
        """Return the id of a decorated function that was given none: the same at each start; None if it has no name."""
        reference = described(func)[1] if callable(func) else None
        if reference is None:
            return None
        from ..references import default_id  # import time

        name = default_id(reference)
        number = self._decorated[name] = self._decorated.get(name, 0) + 1
        return name if number == 1 else f"{name}#{number}"

    def _warn_of_copies(self, job: Job, alias: str) -> None:
        """Warn once for each callable of recurring jobs without an id in a durable store: each start adds another one."""
        store = self._jobstores.get(alias)
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
        self._log.warning(
            "add_job(%s) was given no id, and its job stays in the store %r: a program that adds it at each start adds "
            "another copy each time, and all of them run. Give it id=%r and replace_existing=True; if each is meant, give "
            "it an id of its own. Jobs of this function are not reported again",
            job.name,
            alias,
            default_id(reference),
        )


#: For how many callables a scheduler warns that their jobs have no ids.
_MOST_COPIED = 100
_OPTION_ORDER = ("misfire_grace_time", "coalesce", "max_instances", "expires", "on_lost", "max_attempts")
_OF_ALL = frozenset(("jobstore", "replace_existing", "connection"))
#: Stands for what was not given, whatever type the parameter has.
_UNSET: Any = undefined
_NO_OPTIONS: dict[str, Any] = {}
assert set(_OPTION_ORDER) == set(OPTION_NAMES)
AddingMethods._job_options = (
    *("trigger", "args", "kwargs", "id", "name", "next_run_time", "jobstore", "executor", "replace_existing"),
    *_OPTION_ORDER,
)


def _options_of(given: Sequence[Any]) -> dict[str, Any]:
    return {
        option: value for option, value in zip(_OPTION_ORDER, given, strict=True) if value is not undefined
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
