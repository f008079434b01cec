"""What ``get_jobs()``, ``get_runs()``, ``print_jobs()`` and ``health()`` show.

It looks only; it changes nothing.
"""

from __future__ import annotations

from ..clock import SECOND, shown_moment
from ..core.states import ACTIVE, CLAIMED, END_STATES, NEW, PAUSED, QUARANTINED, WAITING
from ..errors import OptionTypeError
from ..job.checks import usable_id
from ..texts import repr_of, shortened
from .book import STATE_RUNNING, STATE_STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO, Any

    from ..core.run import Run
    from ..engine.store_state import StoreState
    from ..job.handle import Job
    from .book import JobBook
    from .lifecycle import Lifecycle
    from .registry import Registry


def jobs(
    book: JobBook, jobstore: str | None, state: str | Iterable[str] | None, limit: int | None, offset: int
) -> list[Job]:
    """Return the jobs, store by store; those that wait for start() if the scheduler was not started."""
    states = _checked_words("Jobs", "state", state, (ACTIVE, PAUSED, QUARANTINED))
    _check_page(0 if limit is None else limit, offset)
    end = None if limit is None else offset + limit
    if not book.goes_to_stores():
        waiting = book.pending.for_store(jobstore)
        return [job for job in waiting if states is None or _state_of(job) in states][offset:end]
    if jobstore is not None:
        book.scheduler._lookup_jobstore(jobstore)
    stores = book.stores(jobstore)
    if len(stores) == 1:
        ((alias, store),) = stores
        if "get_all_jobs" in store.__dict__:
            store.obey_program()
        return list(book.bound(store.select_jobs(states, limit, offset), alias))
    found: list[Job] = []
    for alias, store in stores:
        store.obey_program()
        missing = None if end is None else end - len(found)
        found += book.bound(store.select_jobs(states, missing), alias)
    return found[offset:]


def runs(
    book: JobBook,
    registry: Registry,
    job_id: str | None,
    status: str | Iterable[str] | None,
    limit: int,
    jobstore: str | None,
    offset: int,
) -> list[Run]:
    """Return records of the ledger, newest first, in the scheduler's zone.

    :param registry: reads the records of stores, which need not be open
    """
    book.goes_to_stores()  # not in a copy
    if jobstore is not None:
        book.scheduler._lookup_jobstore(jobstore)
    wanted = _checked_words("Runs", "status", status, (CLAIMED, WAITING, *END_STATES))
    _check_page(limit, offset)
    if job_id is not None:
        job_id = usable_id(job_id)
        if job_id is None:
            return []
    stores = book.stores(jobstore)
    if len(stores) == 1:
        found = registry.records(*stores[0], job_id, wanted, limit, offset)
    else:
        parts = [registry.records(*store, job_id, wanted, limit + offset, 0) for store in stores]
        found = sorted((run for part in parts for run in part), key=lambda run: run.nominal, reverse=True)
        found = found[offset : offset + limit]
    for run in found:
        run.timezone = book.scheduler.timezone
    return found


def print_jobs(
    book: JobBook, get_jobs: Callable[[str | None], list[Job]], jobstore: str | None, out: IO[str] | None
) -> None:
    """Print a list of the jobs, in APScheduler's text format.

    :param get_jobs: the scheduler's method, which programs override
    """
    import sys  # import time

    out = out or sys.stdout
    if not book.goes_to_stores():
        print("Pending jobs:", file=out)
        for job in get_jobs(jobstore):
            print(f"    {job}", file=out)
        if not book.pending.entries:
            print("    No pending jobs", file=out)
        return
    for alias in sorted(book.scheduler._jobstores):
        if jobstore in (None, alias):
            print(f"Jobstore {alias}:", file=out)
            shown = get_jobs(alias)
            for job in shown:
                print(f"    {job}", file=out)
            if not shown:
                print("    No scheduled jobs", file=out)


def health(life: Lifecycle) -> dict[str, Any]:
    """Return how a scheduler is, as JSON-able data: from memory; no store is asked."""
    engine, scheduler = life.engine, life.scheduler
    found: dict[str, Any] = {
        "alive": False,
        "state": ("stopped", "running", "paused")[scheduler.state],
        "node": None,
        "last_tick": None,
        "lag": 0.0,
        "in_flight": 0,
        "overdue": {},
        "stores": {},
        "executors": {},
        "listeners": [queue.report() for queue in life.book.listening.queues],
    }
    if engine is None or scheduler.state == STATE_STOPPED:
        return found
    found["node"], found["in_flight"] = engine.node, engine.in_flight
    for alias, executor in list(scheduler._executors.items()):
        found["executors"][alias] = {"room": executor.capacity()}
    for alias, state in engine.stores.items():
        store, seen = state.store, state.housekeeping
        found["stores"][alias] = _of_store(state)
        if seen.earliest is not None and scheduler.state == STATE_RUNNING:
            found["lag"] = max(found["lag"], (store.now() - seen.earliest) / SECOND)
        for name, waiting in seen.overdue.items():
            found["overdue"][name] = found["overdue"].get(name, 0) + waiting
    engine.look_soon()
    if engine.last_tick is not None:
        found["last_tick"] = shown_moment(engine.last_tick).isoformat()
    found["alive"] = scheduler._host_is_alive() and not engine.is_overdue()
    return found


def _of_store(state: StoreState) -> dict[str, Any]:
    offset, seen = state.store.clock_offset, state.housekeeping
    return {
        "ok": state.back_off.error is None,
        "error": state.back_off.error,
        "waits": None if state.lease is None else state.lease.why_nothing_is_claimed(),
        "failures": state.back_off.failures,
        "clock_offset": None if offset is None else offset / SECOND,
        "age": seen.age,
        "to_heal": seen.to_heal,
        "to_forget": seen.to_forget,
        "hanging": sorted(job_id for job_id, _ in state.unclaimed.hanging),
        "lacking": {} if state.lacking is None else state.lacking.report(),
    }


def why_left(life: Lifecycle, alias: str, job_id: str) -> str | None:
    """Return why no living node runs a job that is due, as far as is known here; None: nothing is known."""
    state = None if life.engine is None else life.engine.stores.get(alias)
    return None if state is None or state.lacking is None else state.lacking.report().get(job_id)


def _checked_words(
    what: str, kind: str, words: str | Iterable[str] | None, known: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the words to look for, None for all, if things of that kind have them."""
    if words is None:
        return None
    wanted = (words,) if isinstance(words, str) else tuple(words)
    for word in wanted:
        if word not in known:
            raise OptionTypeError(f"{what} have no {kind} {repr_of(word)}; they have {', '.join(known)}")
    return wanted


def _check_page(limit: Any, offset: Any) -> None:
    for name, value in (("limit", limit), ("offset", offset)):
        if not isinstance(value, int) or value < 0:
            raise OptionTypeError(
                f"{name} must be a whole number of 0 or more, got {shortened(repr_of(value), 200)}"
            )


def _state_of(job: Job) -> str:
    """Return the state that a job has, or that it will have once it is stored."""
    return ACTIVE if job.state == NEW else job.state
