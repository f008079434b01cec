"""Which methods of ours a program has replaced: by a subclass, on an object, or on a class of ours.

It only finds them; the bridges say what is called instead.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: The methods of executors that programs replace, and the one of ours that would bypass each.
EXECUTOR_METHODS = dict.fromkeys(
    ("_do_submit_job", "submit_job", "_run_job_success", "_run_job_error"), "submit"
)
#: The same of job stores; None: it is called by everybody.
STORE_METHODS = {
    "get_due_jobs": "due",
    "get_next_run_time": "next_due",
    "get_all_jobs": "select_jobs",
    "add_job": "add_jobs",
    "update_job": "save_job",
    "remove_job": "claim",
    "lookup_job": None,
    "remove_all_jobs": None,
    "_reconstitute_job": None,
    "_get_jobs": None,
    "_reconstitute_jobs": None,
    "_get_job_index": None,
    "start": None,
}
#: The same of schedulers.
SCHEDULER_METHODS = dict.fromkeys(("_lookup_executor", "_lookup_job", "_real_add_job"))


def replaced(obj: Any, methods: Mapping[str, str | None]) -> set[str]:
    """Return those of some methods that a program has replaced, and that ours must therefore call.

    A class that replaces both a method and the one of ours beside it knows ours, and is left alone.
    """
    own, mro = vars(obj), type(obj).__mro__
    found = set()
    for name, ours in methods.items():
        if name in own:
            found.add(name)
            continue
        cls = next((cls for cls in mro if name in cls.__dict__), object)
        if is_foreign(cls.__dict__.get(name, replaced)) and (ours is None or not _knows(mro, cls, ours)):
            found.add(name)
    return found


def _knows(mro: tuple[type, ...], cls: type, ours: str) -> bool:
    """Whether a class, or one that is derived from it, has its own version of a method of ours."""
    return any(
        ours in other.__dict__ and is_foreign(other.__dict__[ours]) for other in mro[: mro.index(cls) + 1]
    )


def is_foreign(method: Any) -> bool:
    """Whether a method is not one of ours: it is defined elsewhere, or it is wrapped around one of ours."""
    if hasattr(method, "__wrapped__"):
        return True
    module = getattr(method, "__module__", None)
    return not (isinstance(module, str) and module.startswith("rota."))


def own_module(cls: type) -> str:
    """Return the name of the module of the nearest class of ours among a class and its bases."""
    return next(base.__module__ for base in cls.__mro__ if base.__module__.startswith("rota."))
