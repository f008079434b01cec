"""Job stores of ours of which a program has replaced methods: these are called where APScheduler would call them.

The claim protocol stays the store's own; the program's methods are asked which jobs are due, and told which are moved or removed.
"""

from __future__ import annotations

from functools import partial
from threading import get_ident
from types import CodeType, MethodType

from ..clock import instant, moment
from ..core.policy import with_options
from ..core.states import ENDED, PAUSED, QUARANTINED, set_job_state
from ..errors import ConfigurationError, JobLookupError
from ..interrupts import is_interrupt
from ..texts import error_text, repr_of, shortened
from .absent import OWN_STORE
from .overrides import is_foreign, own_module
from .stored_state import StoredState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Any

    from ..core.plan import Decision
    from ..core.policy import Policy
    from ..job.handle import Job

    #: rota.jobstores.base.BaseJobStore, which imports this module
    BaseJobStore = Any

#: Methods of APScheduler's stores that ours never call.
_NEVER_CALLED = ("_get_jobs", "_reconstitute_jobs", "_get_job_index")
#: Attributes by which a method reads or writes stored jobs by itself; ours are stored in another form.
_PLACES = ("jobs_t", "jobs_key", "run_times_key", "collection")
#: What a method says that writes or reads rows of APScheduler's form.
_ROWS = ("job_state", "__getstate__", "hset", "zadd")


def obey(store: BaseJobStore, names: Collection[str]) -> None:
    """Replace our methods that would bypass the program's by ones that call them.

    :param names: names of the methods that the program has replaced
    :raises ConfigurationError: if one of them cannot be called so
    """
    own: dict[str, Any] = store.__dict__
    for name in sorted(names):
        _check(store, name)
    if "start" in names and getattr(store.start, "func", None) is not _checked_start:
        own["start"] = partial(_checked_start, store, store.start)
    for name in names:
        for ours, bridge in _BRIDGES.get(name, ()):
            if ours not in own:
                own[ours] = MethodType(bridge, store)
    format = getattr(store, "_format", None)
    if "_reconstitute_job" in names and format is not None:
        format.restored = partial(restored, store)


def _check(store: BaseJobStore, name: str) -> None:
    """Refuse a method of a program that cannot be called, and say what to override instead."""
    method = getattr(store, name)
    place = _place_written(type(store), getattr(method, "__code__", None)) if name != "start" else None
    if name in _NEVER_CALLED:
        what = f"not override {name}(), which {own_module(type(store))} never calls"
    elif place is not None:
        what = f"leave {place} alone in {name}(), as {own_module(type(store))} keeps jobs there in a form of its own"
    else:
        return
    raise ConfigurationError(
        f"{type(store).__name__} must {what}, got {repr_of(method)}; override get_due_jobs(), get_all_jobs(), add_job() or "
        f"_reconstitute_job() and call super() in it, or {OWN_STORE}"
    )


def _place_written(cls: type, code: CodeType | None) -> str | None:
    """Return by which attribute a method of a program reads or writes stored jobs; None if it leaves them to ours.

    A method that it calls may look at them, but not write APScheduler's rows there.
    """
    if code is None:
        return None
    direct = next((place for place in _PLACES if place in code.co_names), None)
    if direct is not None:
        return direct
    words = _words_in(cls, code)
    return None if words.isdisjoint(_ROWS) else next((place for place in _PLACES if place in words), None)


def _words_in(cls: type, code: CodeType, seen: frozenset[str] = frozenset()) -> set[str]:
    """Return the names and the texts in a method of a program, in its inner functions, and in the methods that it calls."""
    found = set(code.co_names)
    called = [
        getattr(getattr(cls, name, None), "__code__", None) for name in found - seen if _is_own(cls, name)
    ]
    for part in (*code.co_consts, *called):
        if isinstance(part, CodeType):
            found |= _words_in(cls, part, seen | found)
        else:
            found.update(
                word for word in (part if isinstance(part, tuple) else (part,)) if isinstance(word, str)
            )
    return found


def _is_own(cls: type, name: str) -> bool:
    """Whether a class has a function of that name that is not one of ours."""
    method = getattr(cls, name, None)
    return hasattr(method, "__code__") and is_foreign(method)


def _checked_start(
    store: BaseJobStore, start: Callable[[Any, str], None], scheduler: Any, alias: str
) -> None:
    """Call start() of the program, and see that it has called ours."""
    start(scheduler, alias)
    if not getattr(store, "_started", True):
        raise ConfigurationError(
            f"{type(store).__name__} must call super().start(scheduler, alias) in its start(), got {repr_of(start)}; "
            f"create_tables=False (create=False) leaves the making of tables and keys to others. Or {OWN_STORE}"
        )


# -- what is called instead of ours -----------------------------------------------------------------------------------


def _due(store: BaseJobStore, now: int, room: Mapping[str, int]) -> list[Job]:
    """Ask get_due_jobs() of the program."""
    timezone = getattr(store._scheduler, "timezone", None)
    found = store.get_due_jobs(moment(now) if timezone is None else moment(now, timezone))
    left, jobs = dict(room), []
    for job in found:
        if left.get(job.executor, 0) > 0:
            left[job.executor] -= 1
            jobs.append(_known(store, job))
    return jobs


def _known(store: BaseJobStore, job: Job) -> Job:
    """Return the job as the store knows it, with the callable and arguments of the one that the program returned."""
    if job.version > 0:
        return job
    stored: Job | None = store.lookup_job(job.id)  # the program has made another object of it
    if stored is None:
        raise JobLookupError(job.id)
    known = stored if not store.does_io else stored.copy()
    known.func, known.args, known.kwargs = job.func, job.args, job.kwargs
    return known


def _next_due(store: BaseJobStore, executors: Iterable[str]) -> int | None:
    """Ask get_next_run_time() of the program."""
    following = store.get_next_run_time()
    return None if following is None else instant(following)


def _select_jobs(
    store: BaseJobStore, state: Collection[str] | None = None, limit: int | None = None, offset: int = 0
) -> list[Job]:
    """Ask get_all_jobs() of the program."""
    found: list[Job] = _of_port(store, "select_jobs")(state, limit, offset)
    return found


def _add_jobs(
    store: BaseJobStore,
    jobs: Sequence[Job],
    replace: Callable[[Job, Job], None] | None = None,
    connection: Any = None,
) -> None:
    """Add jobs one by one by add_job() of the program."""
    if connection is not None:
        raise ConfigurationError(
            f"connection must be left out with {repr_of(store)}, got one; its class overrides add_job() or update_job(), which "
            f"take none"
        )
    _of_port(store, "add_jobs")(jobs, replace)


def _of_port(store: BaseJobStore, name: str) -> Any:
    """Return a method as the port has it, which calls APScheduler's eight methods only."""
    port = next(cls for cls in type(store).__mro__ if cls.__module__ == "rota.jobstores.base")
    return partial(getattr(port, name), store)


def _check_job(store: BaseJobStore, job: Job) -> None:
    """Refuse nothing beforehand: add_job() and update_job() of the program may make something else of the job."""


def _save_job(store: BaseJobStore, job: Job, version: int) -> bool:
    """Hand a changed job to update_job() of the program, if the stored one still has the version (R1)."""
    with store._ledger.lock:
        stored = store.lookup_job(job.id)
        if stored is None:
            raise JobLookupError(job.id)
        if stored.version != version:
            return False
        store.update_job(job)
    return True


def _claim(store: BaseJobStore, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
    """Claim as the store does; then call update_job() or remove_job() of the program, which decides what becomes of ended jobs."""
    ended = [decision for decision in decisions if decision.state == ENDED]
    for decision in ended:
        decision.state = PAUSED
    try:
        won: list[Decision] = type(store).claim(store, decisions, node, now)
    finally:
        for decision in ended:
            decision.state = ENDED
    for decision in won:
        try:
            if decision.state == ENDED:
                store.remove_job(decision.job.id)
            elif decision.state != QUARANTINED:
                _tell_moved(store, decision.job)
        except JobLookupError:
            pass
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            store._log.error(
                "Error telling %s that job %s has moved on: %s",
                type(store).__name__,
                decision.job.id,
                error_text(exc),
                exc_info=exc,
            )
    return won


def _tell_moved(store: BaseJobStore, job: Job) -> None:
    """Call update_job() of the program with a job that the store has moved already: ours, which it calls, writes nothing then."""
    moved, key = store.__dict__.setdefault("_moved", set()), (get_ident(), job.id)
    moved.add(key)
    try:
        store.update_job(job)
    finally:
        moved.discard(key)


_CLAIM = ("claim", _claim)
_CHECKED = (("add_jobs", _add_jobs), ("check_job", _check_job))
#: For each method that a program may replace: those of ours to be replaced, and by what.
_BRIDGES: dict[str, tuple[tuple[str, Callable[..., Any]], ...]] = {
    "get_due_jobs": (("due", _due),),
    "get_next_run_time": (("next_due", _next_due),),
    "get_all_jobs": (("select_jobs", _select_jobs),),
    "add_job": _CHECKED,
    "update_job": (*_CHECKED, ("save_job", _save_job), _CLAIM),
    "remove_job": (_CLAIM,),
}


# -- jobs that the program restores -----------------------------------------------------------------------------------


def restored(store: Any, job: Job) -> Job:
    """Return a restored job as _reconstitute_job() of the program changes it; if that raises, the job is quarantined."""
    if job.state == QUARANTINED:
        return job
    try:
        made: Job = store._reconstitute_job(StoredState.of(job))
        if made is not job:
            version, running, state = job.version, job.running, job.state
            made._home, made.policy = job._home, _policy_of(made, job)
            made.next_nominal, made.next_due = job.next_nominal, job.next_due
            made.version, made.running, made.state = version, running, state
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        set_job_state(job, QUARANTINED)
        job.error = f"_reconstitute_job() of {type(store).__name__} failed: {shortened(error_text(exc))}"
        return job
    return made


def _policy_of(made: Job, job: Job) -> Policy:
    """Return the policy of a job with the options that APScheduler has, too, taken from the job that was made of it."""
    told = {name: getattr(made, name) for name in ("misfire_grace_time", "coalesce", "max_instances")}
    return with_options(job.policy, told)
