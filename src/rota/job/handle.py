"""The job: what to call, when, and under which policies; the user's handle to it.

Validates and holds; it decides nothing and does no I/O. Its convenience methods go through the scheduler that made it.
"""

from __future__ import annotations

from operator import attrgetter
from os import urandom

from ..callables import instead_of_nameless
from ..clock import HELD, NO_TIME, instant, shown_moment, trigger_zone
from ..compat.absent import without
from ..core.plan import AFTER_RUN
from ..core.policy import DEFAULT_POLICY, Policy, seconds_of
from ..core.states import ACTIVE, ENDED, NEW, PAUSED, QUARANTINED, set_job_state
from ..errors import (
    TransientJobError,
)
from ..triggers.base import BaseTrigger
from ..util import (
    datetime_repr,
    undefined,
)
from .checks import (
    change,
    checked_call,
    checked_executor,
    checked_id,
    checked_name,
    checked_trigger,
    next_instant,
)
from .rare import NOTHING_RARE, ONLY_NEW_ID, Rare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta, tzinfo
    from typing import Any, Self

    from ..core.run import Run

_UNSET: Any = object()


class Job:
    """A job as add_job() returns it.

    The attributes are APScheduler's: ``id``, ``name``, ``func``, ``func_ref``, ``args``, ``kwargs``, ``trigger``, ``executor``,
    ``misfire_grace_time`` (seconds or None), ``coalesce``, ``max_instances``, ``next_run_time``. Do not construct jobs; call
    :meth:`~rota.schedulers.base.BaseScheduler.add_job`.

    :ivar int | None next_nominal: the pending nominal time (instant), None when paused
    :ivar int | None next_due: when that run is due (instant): the nominal time plus jitter
    :ivar int version: raised by every change in the store
    :ivar str state: "active", "paused" or "quarantined" ("ended": only unfinished runs are left)
    :ivar int running: runs that have been claimed and have not finished
    :ivar str | None error: why the job is quarantined
    :ivar tuple[str, ...] tags: what jobs can be found by
    :ivar Mapping metadata: what it carries for people and their programs
    :ivar int revision: raised by each edit and pause, and by nothing else
    """

    __slots__ = (
        "__weakref__",
        "_home",
        "_rare",
        "args",
        "executor",
        "func",
        "func_ref",
        "id",
        "name",
        "next_due",
        "next_nominal",
        "policy",
        "running",
        "state",
        "trigger",
        "version",
    )

    id: str
    name: str
    func: Callable[..., Any]
    #: textual reference to the callable, None if it has none (memory store only)
    func_ref: str | None
    args: Sequence[Any]
    trigger: BaseTrigger
    executor: str
    policy: Policy
    next_nominal: int | None
    next_due: int | None
    version: int
    state: str
    running: int
    #: scheduler and alias of the store (None while the job is in none); one tuple for all jobs of a store
    _home: tuple[Any, str | None]
    _rare: Rare

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Stores make jobs by Job.__new__() and __setstate__(), so the bookkeeping must be there without __init__().
        self = object.__new__(cls)
        self._home = _NOWHERE
        self._rare = NOTHING_RARE
        self.executor = "default"
        self.policy = DEFAULT_POLICY
        self.next_nominal = None
        self.next_due = None
        self.version = 0
        self.state = NEW
        self.running = 0
        return self

    def __init__(
        self,
        scheduler: Any,
        id: str | None = None,
        *,
        func: Any = undefined,
        args: Any = (),
        kwargs: Any = None,
        trigger: Any = undefined,
        executor: str = "default",
        name: str | None = None,
        next_run_time: Any = undefined,
        **options: Any,
    ) -> None:
        self._home = (scheduler, None)
        if id is not None and not (type(id) is str and id.isprintable()):
            id = checked_id(
                id
            )  # what is printable needs no closer look: there are no NUL characters or surrogates in it
        if id:
            self.id = id
        else:
            self.id = urandom(16).hex()
            self._rare = ONLY_NEW_ID
        self.args = args
        if kwargs is not None:
            self._kwargs = kwargs
        if func is not undefined:  # doubles of tests have none
            self.func, self.func_ref, usual_name = checked_call(
                func, args, _NO_KWARGS if kwargs is None else kwargs
            )
            self.name = usual_name if name is None else checked_name(name)
        elif name is not None:
            self.name = checked_name(name)
        # Both checks, without the calls.
        if BaseTrigger in type(trigger).__mro__:
            self.trigger = trigger
        elif trigger is not undefined:
            self.trigger = checked_trigger(trigger)
        self.executor = executor if type(executor) is str else checked_executor(executor)
        if next_run_time is not undefined:
            self.set_next(next_instant(self, next_run_time))
        if options:
            self._modify(**options)

    # -- what the user calls -------------------------------------------------------------------------------------

    def modify(self, **changes: Any) -> Self:
        """Change attributes of the job and save it; see :meth:`~rota.schedulers.base.BaseScheduler.modify_job`.

        :return: this job, changed
        """
        self._refresh(self._scheduler.modify_job(self.id, self._where(), **changes))
        return self

    def reschedule(self, trigger: str | BaseTrigger | None, **trigger_args: Any) -> Self:
        """Give the job another trigger; see :meth:`~rota.schedulers.base.BaseScheduler.reschedule_job`.

        :return: this job, changed
        """
        self._refresh(self._scheduler.reschedule_job(self.id, self._where(), trigger, **trigger_args))
        return self

    def pause(self) -> Self:
        """Stop running the job until :meth:`resume` is called.

        :return: this job, changed
        """
        self._refresh(self._scheduler.pause_job(self.id, self._where()))
        return self

    def resume(self) -> Self:
        """Go on with the job's schedule from now; a job whose schedule is over is removed.

        :return: this job, changed
        """
        self._refresh(self._scheduler.resume_job(self.id, self._where()))
        return self

    def run_now(self) -> Run:
        """Have the job run once, now, apart from its schedule; see :meth:`~rota.schedulers.base.BaseScheduler.run_job`.

        :return: the run as it was asked for; a record in a durable store
        """
        run: Run = self._scheduler.run_job(self.id, self._where())
        return run

    def remove(self) -> None:
        """Remove the job from its scheduler and store; a run that is under way goes on."""
        self._scheduler.remove_job(self.id, self._where())

    def _where(self) -> str | None:
        """Return the alias of the store that has the job, or that it waits for; None if that is not known."""
        scheduler, alias = self._home
        if alias is None and hasattr(scheduler, "_pending_alias"):
            waits_for: str | None = scheduler._pending_alias(self)
            return waits_for
        return alias

    @property
    def pending(self) -> bool:
        """True while the job waits for the scheduler to start and is in no store yet."""
        return self._jobstore_alias is None

    @property
    def next_run_time(self) -> datetime | None:
        """When the job runs next, in its trigger's time zone; None while it is paused or not planned.

        An interval with ``mode="delay"`` is planned when the run that is under way has ended.
        """
        if self.next_due == HELD and self.next_nominal == AFTER_RUN:
            return None
        if self.next_nominal == NO_TIME and self.trigger.starts_after is not None:
            return None
        due = self.next_nominal if self.next_due in (None, HELD) else self.next_due
        if due is not None and self.next_nominal is not None:
            due = max(due, self.next_nominal)  # the due time of a forgotten time is only a mark
        return None if due is None or self.state != ACTIVE else shown_moment(due, self._timezone())

    @next_run_time.setter
    def next_run_time(self, value: datetime | None) -> None:
        self.set_next(None if value is None else instant(value))

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments of the call; in the memory store a live dictionary."""
        kwargs = self._rare.kwargs
        if kwargs is None:
            kwargs = self._kwargs = {}
        return kwargs

    @kwargs.setter
    def kwargs(self, value: Mapping[str, Any]) -> None:
        self._kwargs = value

    @property
    def error(self) -> str | None:
        """Why the job is quarantined."""
        return self._rare.error

    @error.setter
    def error(self, value: str | None) -> None:
        rare = self._rare
        if value is not rare.error:
            self._rare = rare.but(error=value)

    @property
    def tags(self) -> tuple[str, ...]:
        """What jobs can be found by, sorted."""
        return self._rare.tags

    @tags.setter
    def tags(self, value: tuple[str, ...]) -> None:
        if value != self._rare.tags:
            self._rare = self._rare.but(tags=value)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the job carries for people and their programs: JSON-able data. Change it by :meth:`modify`."""
        return self._rare.metadata or {}

    @metadata.setter
    def metadata(self, value: Mapping[str, Any]) -> None:
        if value != self.metadata:
            self._rare = self._rare.but(metadata=value or None)

    @property
    def revision(self) -> int:
        """Raised by each edit and pause, and by nothing else: what a form or an ETag carries."""
        return self._rare.revision

    @revision.setter
    def revision(self, value: int) -> None:
        if value != self._rare.revision:
            self._rare = self._rare.but(revision=value)

    @property
    def lacks(self) -> str | None:
        """Why no living node runs the job, which has been due for a minute: a resource that it needs; None: nothing is lacking.

        A scheduler that runs jobs knows it; one with ``runs_jobs=False`` does not.
        """
        scheduler, alias = self._home
        ask = getattr(scheduler, "_why_left", None)
        return None if ask is None or alias is None else ask(alias, self.id)

    @property
    def misfire_grace_time(self) -> int | float | None:
        """Seconds that a run may be late; None means that it is never too late."""
        return seconds_of(self.policy.misfire_grace)

    @misfire_grace_time.setter
    def misfire_grace_time(self, value: float | timedelta | None) -> None:
        self._set_option("misfire_grace_time", value)

    @property
    def coalesce(self) -> bool:
        """Whether several owed times become one run."""
        return self.policy.merges

    @coalesce.setter
    def coalesce(self, value: bool) -> None:
        self._set_option("coalesce", value)

    @property
    def max_instances(self) -> int:
        """How many runs of the job may be under way at once."""
        return self.policy.max_instances

    @max_instances.setter
    def max_instances(self, value: int) -> None:
        self._set_option("max_instances", value)

    def _set_option(self, name: str, value: Any) -> None:
        from ..compat.jobs import set_option  # rare

        set_option(self, name, value)

    def _get_run_times(self, now: datetime) -> list[datetime]:
        """Return the times from the next one to ``now``, both included: APScheduler's name, for programs that ask."""
        from ..compat.jobs import run_times  # rare

        return run_times(self, now)

    # -- what the layers below the scheduler use -----------------------------------------------------------------

    @property
    def has_new_id(self) -> bool:
        """Whether the id was made for this job, so that there are no records of it."""
        return self._rare.new_id

    @property
    def sealed(self) -> str | None:
        """The signed options that the job came with, where its signature is not ours to renew (:mod:`rota.codec.jobs`)."""
        return self._rare.sealed

    @sealed.setter
    def sealed(self, value: str | None) -> None:
        rare = self._rare
        self._rare = rare.but(sealed=value)

    @property
    def paused(self) -> str | None:
        """How the job was paused or put on hold, as a store keeps it (:mod:`rota.core.pauses`); None: nobody has said more."""
        return self._rare.paused

    @paused.setter
    def paused(self, value: str | None) -> None:
        if value != self._rare.paused:
            self._rare = self._rare.but(paused=value)

    @property
    def chained(self) -> bool:
        """Whether the ends of its runs start other jobs, or may: what is said of the last one of these stays."""
        return self._rare.chained

    @chained.setter
    def chained(self, value: bool) -> None:
        if value != self._rare.chained:
            self._rare = self._rare.but(chained=value)
        if value:
            BaseTrigger.some_chain = True

    @property
    def _kwargs(self) -> Mapping[str, Any] | None:
        """The keyword arguments, None if there are none: an empty dictionary for each job would be a tenth of its memory."""
        return self._rare.kwargs

    @_kwargs.setter
    def _kwargs(self, value: Mapping[str, Any] | None) -> None:
        rare = self._rare
        if value is not rare.kwargs:
            plain = rare is NOTHING_RARE or rare is ONLY_NEW_ID  # as nearly always, and three times as fast
            self._rare = Rare(value, None, None, rare.new_id) if plain else rare.but(kwargs=value)

    @property
    def _scheduler(self) -> Any:
        """The scheduler that the job's methods go through; third-party stores set it."""
        return self._home[0]

    @_scheduler.setter
    def _scheduler(self, value: Any) -> None:
        self._home = (value, self._home[1])

    @property
    def _jobstore_alias(self) -> str | None:
        """The alias of the job's store, None while it is in none; third-party stores set it."""
        return self._home[1]

    @_jobstore_alias.setter
    def _jobstore_alias(self, value: str | None) -> None:
        self._home = (self._home[0], value)

    def set_next(self, nominal: int | None, due: int | None = None) -> None:
        """Set the pending nominal time and its due time (by default the same); None pauses the job, unless its schedule is over."""
        if nominal is None and self.state == ENDED:
            return
        self.next_nominal = nominal
        self.next_due = nominal if due is None else due
        if self.state != QUARANTINED:
            set_job_state(self, PAUSED if nominal is None else ACTIVE)

    def copy(self) -> Job:
        """Return a copy that can be changed without touching this job (arguments and trigger are shared)."""
        twin: Job = object.__new__(type(self))
        twin.assign(self)
        return twin

    def assign(self, other: Job) -> None:
        """Take over all attributes of another job."""
        # One after the other by name took half the time of modify_job().
        (
            self._home,
            self._rare,
            self.args,
            self.executor,
            self.func,
            self.func_ref,
            self.id,
            self.name,
            self.next_due,
            self.next_nominal,
            self.policy,
            self.running,
            self.state,
            self.trigger,
            self.version,
        ) = _assigned(other)

    def require_reference(self) -> str:
        """Return the textual reference to the callable.

        :raises TransientJobError: if it has none; it says why
        """
        # A damaged job keeps what is stored of it, even if that is nothing.
        if not self.func_ref and (self.func_ref is None or self.state != QUARANTINED):
            raise TransientJobError(self.id, self.func, instead_of_nameless(self.func))
        return self.func_ref

    def _refresh(self, changed: Job | None) -> None:
        if changed is not None and changed is not self:
            self.assign(changed)

    def _timezone(self) -> tzinfo:
        from datetime import UTC  # import time

        timezone: tzinfo | None = trigger_zone(getattr(self, "trigger", None))
        return timezone or getattr(self._scheduler, "timezone", None) or UTC

    def _modify(self, **changes: Any) -> None:
        """Validate the changes, then make all of them or none."""
        change(self, changes)

    # -- APScheduler's state and text forms ----------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return APScheduler 3's state (version 1); third-party stores keep it.

        :raises TransientJobError: (a ValueError) if the callable has no importable name
        :raises CallableMismatchError: (a ValueError) if its name leads to another callable
        """
        from .state import state_of  # rare: Rota's own stores keep something else

        return state_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        from .state import set_state  # likewise

        set_state(self, state)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Job) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as in APScheduler: equal by id, mutable

    def __repr__(self) -> str:
        return f"<Job (id={self.id} name={self.name})>"

    def __str__(self) -> str:
        if self.state == QUARANTINED:
            status = f"quarantined: {self.error}"
        elif self.state == ENDED:
            status = "schedule over"
        elif self.next_nominal == NO_TIME and self.trigger.starts_after is not None:
            status = f"runs after {self.trigger.starts_after}"
        elif self.next_nominal == AFTER_RUN:
            status = "next run counted from the end of this one"
        elif self.next_nominal is not None:
            status = "next run at: " + datetime_repr(self.next_run_time)
        else:
            status = "pending" if self.pending else "paused"
        return f"{self.name} (trigger: {self.trigger}, {status})"


_NOWHERE = (None, None)
_NO_KWARGS: Mapping[str, Any] = {}
_assigned = attrgetter(*(name for name in Job.__slots__ if name != "__weakref__"))
# The slots are made. Programs take the attributes of a job from here, by APScheduler's names.
# Libraries copy them in this order, one by one, onto what object.__new__(Job) makes: its home makes it a job of its scheduler.
_NAMES = (
    *(
        "__weakref__",
        "id",
        "_rare",
        "executor",
        "policy",
        "next_nominal",
        "next_due",
        "version",
        "state",
        "running",
    ),
    *("args", "coalesce", "func", "func_ref", "kwargs", "max_instances", "misfire_grace_time", "name"),
    *("next_run_time", "trigger", "_home", "_jobstore_alias", "_scheduler"),
)
without(Job, "_job_state")
setattr(Job, "__slots__", _NAMES)  # noqa: B010  # the types of slots are those of the class body
