"""The one place where a name in stored data becomes an object, and an object becomes such a name; the allow-list is asked here.

Imports what a name says only after the list has agreed; what may be named is decided in :mod:`rota.trust.allowlist`.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

from ..callables import found_by, obj_to_ref, ref_to_obj
from ..errors import CallableReferenceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    class Judge(Protocol):
        """What decides about names: :class:`rota.trust.allowlist.AllowList`."""

        def names(self, reference: str) -> bool: ...
        def check_reference(self, reference: str, what: str = ...) -> None: ...
        def check_step(self, reference: str, found: Any) -> None: ...
        def check(self, reference: str, found: Any, what: str = ...) -> None: ...
        def covers_module(self, module: str) -> bool: ...


#: Where the triggers are that every job may have.
OWN_TRIGGERS = "rota.triggers."
#: Where the modules are now that stored names say otherwise, as versions before 0.1.0 wrote them.
_MOVED = {
    "rota.triggers.business": "rota.triggers.algebra.business_days",
    "rota.triggers.filters": "rota.triggers.algebra.filters",
    "rota.triggers.streams": "rota.triggers.algebra.streams",
}

_judge: ContextVar[Judge | None] = ContextVar("rota.stored_names", default=None)
#: who is asked in this thread or task, None: nobody
judge = _judge.get
set_judge = _judge.set
reset_judge = _judge.reset


@contextmanager
def judged_by(asked: Judge) -> Iterator[None]:
    """While this lasts, every name that is read or written in this thread or task is shown to ``asked`` first."""
    token = set_judge(asked)
    try:
        yield
    finally:
        reset_judge(token)


def callable_named(reference: str) -> Any:
    """Return what the name of a callable leads to.

    :raises CallableNotAllowedError: if the list does not allow it; nothing is imported then
    :raises JobTypeError, CallableReferenceError, CallableLookupError: as :func:`rota.callables.ref_to_obj`
    """
    asked = judge()
    if asked is None:
        return ref_to_obj(reference)
    return _object_of(asked, reference, "callable")


def check_known(reference: str, found: Any) -> None:
    """Ask the list about a callable that is at hand already.

    :raises CallableNotAllowedError: if the list does not allow it
    """
    asked = judge()
    if asked is not None:
        asked.check(reference, found)


def class_named(reference: str) -> Any:
    """Return what the name of a trigger's class leads to; the classes of Rota's own triggers are always allowed.

    :raises CallableNotAllowedError: if the list does not allow it; nothing is imported then
    :raises JobTypeError, CallableReferenceError, CallableLookupError: as :func:`rota.callables.ref_to_obj`
    """
    asked = judge()
    if type(reference) is str:
        module, colon, path = reference.partition(":")
        reference = f"{module_now(module)}{colon}{path}"
    if asked is None:
        return ref_to_obj(reference)
    if is_own(reference):
        found = ref_to_obj(reference)
        if isinstance(found, type) and found.__module__.startswith(OWN_TRIGGERS):
            return found
    return _object_of(asked, reference, "trigger class")


def module_now(module: str) -> str:
    """Return the module that holds what a stored name looks for in ``module``: of Rota's own, some have moved."""
    return _MOVED.get(module, module)


def name_of_class(cls: type) -> str:
    """Return the name under which a trigger's class is stored.

    :raises CallableNotAllowedError: if the list does not allow it
    :raises CallableReferenceError: if no other process could import it
    """
    reference = obj_to_ref(cls)
    asked = judge()
    if asked is not None and not cls.__module__.startswith(OWN_TRIGGERS):
        asked.check(reference, cls, "trigger class")
    return reference


def is_own(reference: object) -> bool:
    """Whether a name is of the form that the names of Rota's own triggers have."""
    return (
        type(reference) is str
        and reference.startswith(OWN_TRIGGERS)
        and _is_well_formed(reference)
        and "." not in reference.partition(":")[2]
    )


def _object_of(asked: Judge, reference: str, what: str) -> Any:
    if type(reference) is str and not _is_well_formed(reference):
        raise CallableReferenceError(
            f"Invalid reference {reference!r:.200}: write it as 'module:name' or 'module:Class.method'"
        )
    if type(reference) is str:
        asked.check_reference(reference, what)
    # Modules that are imported now are the program's own business.
    token = set_judge(None)
    try:
        if type(reference) is not str or asked.names(reference):
            return ref_to_obj(reference)
        module, _, path = reference.partition(":")
        # "package:name" would import the module package.name.
        submodule = asked.covers_module(f"{module}.{path.partition('.')[0]}")
        found = found_by(
            reference, submodule=submodule, step=lambda found: asked.check_step(reference, found)
        )
    finally:
        reset_judge(token)
    asked.check(reference, found, what)
    return found


def _is_well_formed(reference: str) -> bool:
    module, colon, path = reference.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *path.split(".")))
