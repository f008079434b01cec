"""Jobs of APScheduler 3: read in place, shown as a plan, and added to a job store of Rota.

Neither APScheduler nor the code of the jobs is imported; a job that cannot be taken over as it is is named and left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..clock import instant, moment
from ..codec.files import decode_job, encode_job
from ..codec.jobs import JobFormat
from ..codec.options import options_of
from ..codec.triggers import trigger_spec
from ..codec.values import pack
from ..core.policy import DEFAULT_POLICY, with_options
from ..core.states import ACTIVE, PAUSED, set_job_state
from ..errors import (
    ConflictingIdError,
    DeserializationError,
    JobLookupError,
    RotaError,
    StoreConflictError,
    StoreError,
)
from ..triggers.readings import two_readings
from .pickles import read_pickle
from .rows import UNKNOWN
from .sources import read_source
from .triggers import crontab_of, trigger_of_made
from .values import NotTakenOver, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..triggers.base import BaseTrigger
    from .rows import Row

__all__ = ("ADD", "DIFFERS", "REFUSED", "REPLACE", "SAME", "ImportPlan", "PlannedJob", "plan_import")

#: What a plan says about a job.
ADD, SAME, DIFFERS, REPLACE, REFUSED = "add", "same", "differs, kept", "replace", "not taken over"
#: APScheduler writes it into every job that sets none, so nobody can tell whether it was meant.
_DEFAULT_GRACE = 1
_KNOWN = frozenset(
    {
        "version",
        "id",
        "func",
        "trigger",
        "executor",
        "args",
        "kwargs",
        "name",
        "misfire_grace_time",
        "coalesce",
    }
    | {"max_instances", "next_run_time", "jobstore"}
)
_COMPARED = ("name", "func", "trigger", "args", "kwargs", "options", "executor")
_FORMAT = JobFormat(imports=False)
#: How many jobs are written in one step.
_AT_ONCE = 250


class PlannedJob:
    """What will become of one job.

    :ivar str id: the job's id
    :ivar str action: "add", "same", "differs, kept", "replace" or "not taken over"
    :ivar str | None name, func: as in APScheduler; the callable is a text
    :ivar BaseTrigger | None trigger: the trigger that the job gets
    :ivar datetime | None next_run_time: its next run; None if it is paused
    :ivar list[str] changes: what is not as it was in APScheduler
    :ivar list[str] differences: the attributes in which it differs from the job of that id in the store
    :ivar str | None problem: why it is not taken over, with the path of the part that does not fit
    """

    __slots__ = (
        "action",
        "changes",
        "differences",
        "document",
        "func",
        "id",
        "name",
        "next_run_time",
        "problem",
        "trigger",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.action = ADD
        self.name: str | None = None
        self.func: str | None = None
        self.trigger: BaseTrigger | None = None
        self.next_run_time: datetime | None = None
        self.changes: list[str] = []
        self.differences: list[str] = []
        self.problem: str | None = None
        #: the job as Rota exports it
        self.document: dict[str, Any] = {}

    def refuse(self, problem: str) -> None:
        """Take note that the job is not taken over."""
        self.action, self.problem = REFUSED, problem

    def when(self) -> str:
        """Return in words when the job runs."""
        if self.trigger is None:
            return ""
        try:
            return self.trigger.explain()
        except RotaError:
            return str(self.trigger)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "id": self.id,
            "action": self.action,
            "name": self.name,
            "func": self.func,
            "trigger": None if self.trigger is None else str(self.trigger),
            "when": self.when(),
            "next_run_time": None if self.next_run_time is None else self.next_run_time.isoformat(),
            "changes": self.changes,
            "differences": self.differences,
            "problem": self.problem,
        }

    def __repr__(self) -> str:
        return f"<PlannedJob ({self.id}: {self.action})>"


class ImportPlan:
    """What an import would do; :meth:`carry_out` does it."""

    def __init__(self, jobs: Iterable[PlannedJob]) -> None:
        self.jobs = list(jobs)

    def __iter__(self) -> Iterator[PlannedJob]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def counts(self) -> dict[str, int]:
        """Return how many jobs there are for each action."""
        return {
            action: sum(job.action == action for job in self.jobs)
            for action in (ADD, REPLACE, SAME, DIFFERS, REFUSED)
        }

    def compare(self, store: BaseJobStore, replace: bool = False) -> Self:
        """Take account of what a store holds already; it must have been started.

        :param replace: whether jobs that differ are replaced
        :return: this plan
        """
        there = {job.id: job for job in store.get_all_jobs()}
        for job in self.jobs:
            stored = there.get(job.id)
            if job.action == REFUSED or stored is None:
                continue
            job.differences = _differences(job.document, stored)
            job.action = (REPLACE if replace else DIFFERS) if job.differences else SAME
        return self

    def carry_out(self, store: BaseJobStore, progress: Callable[[int], None] | None = None) -> Self:
        """Write the jobs that are to be added or replaced to a store; it must have been started.

        A job that came into the store after the plan was made is left as it is.

        :param progress: called now and then with how many jobs of the plan are done
        :return: this plan, with what was done
        """
        for start in range(0, len(self.jobs), _AT_ONCE):
            part = self.jobs[start : start + _AT_ONCE]
            for planned in _added(store, [planned for planned in part if planned.action == ADD]):
                _write(store, planned)
            for planned in part:
                if planned.action == REPLACE:
                    _write(store, planned)
            if progress is not None:
                progress(start + len(part))
        return self


def plan_import(
    source: str,
    store: BaseJobStore | None = None,
    *,
    name: str | None = None,
    replace: bool = False,
    keep_grace: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportPlan:
    """Read the jobs of APScheduler 3 and return what would become of them; nothing is written.

    :param source: the URL of a database (``sqlite:///…``, ``postgresql://…``, ``redis://…``, ``mongodb://…/database``,
        ``etcd://…/path``, ``zookeeper://…/path``), or the path of a file that ``export_jobs()`` of APScheduler 3.11 has written
    :param store: a job store that was started, to compare with what is there already
    :param name: the table (SQL), key (Redis), collection (MongoDB) or path (etcd, ZooKeeper) of the jobs, if it is not
        APScheduler's default
    :param replace: whether jobs that are there and differ are replaced
    :param keep_grace: whether a ``misfire_grace_time`` of one second, APScheduler's default, is kept as if it had been chosen
    :param progress: called now and then with how many jobs have been read
    :raises StoreError: if there is no such source, or it holds no jobs of APScheduler
    """
    jobs = []
    for row in read_source(source, name):
        jobs.append(_planned(row, keep_grace))
        if progress is not None and len(jobs) % _AT_ONCE == 0:
            progress(len(jobs))
    plan = ImportPlan(jobs)
    return plan if store is None else plan.compare(store, replace)


# -------------------------------------------------------------------------------------------------------------- one row


def _planned(row: Row, keep_grace: bool) -> PlannedJob:
    planned = PlannedJob(row.id)
    try:
        state = read_pickle(row.state) if isinstance(row.state, bytes) else row.state
        if not isinstance(state, dict):
            raise DeserializationError("it is not the state of a job")
        _take_over(planned, state, row, keep_grace)
    except (NotTakenOver, RotaError) as exc:
        planned.refuse(str(exc))
    except Exception as exc:  # a row may hold anything; an error is its own only
        planned.refuse(f"it is not understood: {type(exc).__name__}: {exc}")
    return planned


def _take_over(planned: PlannedJob, state: dict[str, Any], row: Row, keep_grace: bool) -> None:
    if state.get("version") != 1:
        raise NotTakenOver("version", f"it is {state.get('version')!r:.40}; APScheduler 3 writes 1")
    values = Values()
    planned.name, planned.func = _text(state, "name"), _text(state, "func")
    if _text(state, "id") != row.id:
        raise NotTakenOver("id", f"the row is that of {row.id!r}, its content that of {state['id']!r}")
    module, colon, path = planned.func.partition(":")
    if not (colon and all(part.isidentifier() for part in (*module.split("."), *path.split(".")))):
        raise NotTakenOver("func", f"{planned.func!r:.80} is not a reference to a callable")
    planned.trigger = trigger_of_made(state["trigger"], values)
    args, kwargs = values.value(state["args"], "args"), values.value(state["kwargs"], "kwargs")
    if not (isinstance(args, (list, tuple)) and isinstance(kwargs, dict)):
        raise NotTakenOver("args", "args are not a list, or kwargs are not a dictionary")
    executor = _text(state, "executor")
    following = _next_run(planned, state, row, values)
    planned.document = {
        "id": row.id,
        "name": planned.name,
        "func": planned.func,
        "trigger": trigger_spec(planned.trigger),
        "args": pack(list(args), "args"),
        "kwargs": pack(kwargs, "kwargs"),
        "options": _options(planned, state, values, keep_grace),
        "executor": executor,
        "state": PAUSED if following is None else ACTIVE,
        "error": None,
        "next": following,
        "due": following,
    }
    crontab = crontab_of(planned.trigger)
    readings = None if crontab is None else two_readings(crontab)
    if readings is not None:
        planned.changes.append(
            f"{crontab!r} stays what it was: {readings[1]}; from_crontab() of Rota reads it as: {readings[0]}, unless it is "
            f"given dialect='apscheduler3'"
        )
    if executor != "default":
        planned.changes.append(f"it runs in the executor {executor!r}; configure one of that alias")
    for extra in sorted(str(key) for key in state.keys() - _KNOWN):
        planned.changes.append(f"{extra!r:.40} is not an attribute of a job and is left out")
    planned.changes.extend(values.notes)
    _job_of(planned.document)


def _options(planned: PlannedJob, state: dict[str, Any], values: Values, keep_grace: bool) -> dict[str, Any]:
    """Return the options that differ from Rota's defaults."""
    grace = values.value(state["misfire_grace_time"], "misfire_grace_time")
    if grace == _DEFAULT_GRACE and not keep_grace:
        planned.changes.append(
            "a misfire_grace_time of 1 s is APScheduler's default and becomes Rota's: a late run is not dropped"
        )
        grace = None
    elif grace is not None:
        planned.changes.append(
            f"misfire_grace_time stays {grace} s: a run that is later than that is dropped"
        )
    coalesce = values.value(state["coalesce"], "coalesce")
    count = values.value(state["max_instances"], "max_instances")
    given = {"misfire_grace_time": grace, "coalesce": coalesce, "max_instances": count}
    return options_of(with_options(DEFAULT_POLICY, given))


def _next_run(planned: PlannedJob, state: dict[str, Any], row: Row, values: Values) -> str | None:
    """Return the next run in ISO 8601; one that the source keeps beside the job counts, as for APScheduler."""
    following = values.value(state["next_run_time"], "next_run_time")
    if following is not None and (not isinstance(following, datetime) or following.tzinfo is None):
        raise NotTakenOver("next_run_time", f"{following!r:.80} is not a date and time with a time zone")
    at = None if following is None else instant(following)
    if row.next_run is not UNKNOWN:
        beside = None if row.next_run is None else round(row.next_run * 1_000_000)
        # A float of seconds is exact to a microsecond or so.
        if (beside is None) != (at is None) or (
            beside is not None and at is not None and abs(beside - at) > 1000
        ):
            planned.changes.append(
                "the next run beside the job differs from the one in it; the one beside it counts"
            )
            at = beside
    if at is None:
        return None
    zone = following.tzinfo if following is not None else getattr(planned.trigger, "timezone", None)
    planned.next_run_time = moment(at, zone or UTC)
    return moment(at).isoformat()


def _text(state: dict[str, Any], name: str) -> str:
    value = state[name]
    if type(value) is not str or not value:
        raise NotTakenOver(name, f"{value!r:.80} is not a text")
    return value


# ------------------------------------------------------------------------------------------------------- with the store


def _job_of(document: dict[str, Any]) -> Job:
    return decode_job(document, format=_FORMAT)


def _differences(document: dict[str, Any], stored: Job) -> list[str]:
    there = encode_job(stored, _FORMAT)
    there["options"].pop("signature", None)
    return [name for name in _COMPARED if document[name] != there[name]]


def _added(store: BaseJobStore, jobs: list[PlannedJob]) -> list[PlannedJob]:
    """Add jobs in one step; return those that have to be added one by one, as one of them does not fit."""
    if not jobs:
        return []
    try:
        store.add_jobs([_job_of(planned.document) for planned in jobs])
    except StoreConflictError:
        return jobs
    except StoreError:  # the store has a problem, not a job
        raise
    except RotaError:
        return jobs
    return []


def _write(store: BaseJobStore, planned: PlannedJob) -> None:
    """Add or replace one job; what does not fit is said in the plan."""
    try:
        if planned.action == ADD:
            store.add_job(_job_of(planned.document))
        elif not _replace(store, planned):
            planned.action, planned.differences = DIFFERS, ["changed meanwhile"]
    except ConflictingIdError:
        planned.action, planned.differences = DIFFERS, ["added meanwhile"]
    except StoreError:
        raise
    except RotaError as exc:
        planned.refuse(str(exc))


def _replace(store: BaseJobStore, planned: PlannedJob) -> bool:
    """Replace a job; with an unchanged trigger it goes on in the schedule that it has in the store."""
    job = _job_of(planned.document)
    stored = store.lookup_job(planned.id)
    if stored is None:
        return False
    if "trigger" not in planned.differences and stored.error is None:
        set_job_state(job, stored.state)
        job.next_nominal, job.next_due = stored.next_nominal, stored.next_due
    try:
        return store.save_job(job, stored.version)
    except JobLookupError:
        return False
