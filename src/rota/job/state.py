"""APScheduler 3's state of a job (version 1): what third-party stores keep of it, and pickles.

Our own stores keep something else (:mod:`rota.codec.jobs`). It knows jobs by what they have; a reference is imported.
"""

from __future__ import annotations

from inspect import isclass, ismethod

from ..callables import needs_of
from ..core.policy import DEFAULT_POLICY, OPTION_NAMES, seconds_of, telling, with_options
from ..core.states import QUARANTINED
from ..errors import JobValueError
from ..references import check_reference
from ..trust.names import callable_named
from ..util import obj_to_ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..core.policy import Policy

#: The options that APScheduler knows, the others, and those of them that are durations.
_KNOWN = ("misfire_grace_time", "coalesce", "max_instances")
_OWN_OPTIONS = tuple(name for name in OPTION_NAMES if name not in (*_KNOWN, "on_failure"))
_DURATIONS = ("expires", "timeout", "heartbeat_timeout")


def state_of(job: Any) -> dict[str, Any]:
    """Return the state of a job.

    :raises TransientJobError: (a ValueError) if the callable has no importable name
    :raises CallableMismatchError: (a ValueError) if its name leads to another callable
    """
    reference, func = job.require_reference(), job.func
    if job.state != QUARANTINED:
        check_reference(reference, func)
    args: Sequence[Any] = job.args
    if ismethod(func) and not isclass(func.__self__) and obj_to_ref(func) == reference:
        args = (func.__self__, *job.args)  # the reference names the function, not the bound method
    return {
        "version": 1,
        "id": job.id,
        "func": reference,
        "trigger": job.trigger,
        "executor": job.executor,
        "args": args,
        "kwargs": job.kwargs,
        "name": job.name,
        "misfire_grace_time": job.misfire_grace_time,
        "coalesce": job.coalesce,
        "max_instances": job.max_instances,
        "next_run_time": job.next_run_time,
        **_own_options(job.policy),
        **_marks(job),
    }


def set_state(job: Any, state: Mapping[str, Any]) -> None:
    """Make a new job that of a state.

    :raises JobValueError: if the state is of another version
    """
    if state.get("version", 1) > 1:
        raise JobValueError(f"Job has version {state['version']}, but only version 1 can be handled")
    job.id = state["id"]
    job.func_ref = state["func"]
    job.func = callable_named(state["func"])
    needs_of(job.func)
    job.args = state["args"]
    job.kwargs = state["kwargs"]
    job.name = state["name"]
    job.trigger = state["trigger"]
    job.executor = state["executor"]
    known = {name: state[name] for name in _KNOWN if name in state}
    own = {name: state[name] for name in _OWN_OPTIONS if name in state}
    # In this order: what APScheduler knows of is always there, and beside some of our own it has no meaning.
    policy = with_options(with_options(DEFAULT_POLICY, known), own)
    told = state.get("on_failure")
    if isinstance(told, str):  # it is looked up when it is to be called: a job runs without it, too
        policy = telling(policy, told)
    elif told is not None:
        policy = with_options(policy, {"on_failure": told})
    job.policy = policy
    if "tags" in state or "metadata" in state:
        from .marks import checked_metadata, checked_tags  # most jobs have none

        job.tags, job.metadata = checked_tags(state.get("tags")), checked_metadata(state.get("metadata"))
    job.next_run_time = state["next_run_time"]


def _own_options(policy: Policy) -> dict[str, Any]:
    """Return the options that APScheduler does not know, as far as they differ from the defaults."""
    values = {name: getattr(policy, name) for name in _OWN_OPTIONS}
    usual = {name: getattr(DEFAULT_POLICY, name) for name in _OWN_OPTIONS}
    found = {name: value for name, value in values.items() if value != usual[name]}
    return {name: seconds_of(value) if name in _DURATIONS else value for name, value in found.items()}


def _marks(job: Any) -> dict[str, Any]:
    """Return what else APScheduler does not know, as far as the job has it; a function without a name as itself."""
    told = job.policy.on_failure
    marks = {
        "on_failure": told if told is None or isinstance(told, str) else told.func,
        "tags": job.tags,
        "metadata": dict(job.metadata),
    }
    return {name: value for name, value in marks.items() if value}
