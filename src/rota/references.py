"""Whether a textual reference leads to the very callable that it stands for, so that a durable store runs what it was given.

Looks names up in modules that are loaded, and never imports or calls anything.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import FunctionType, MethodType

from .callables import described, get_callable_name
from .errors import MISNAMED, CallableMismatchError
from .texts import repr_of, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_MISSING: Any = object()
#: How many decorators around a function are looked through, and how many jobs wait for their names at most.
_MOST_WRAPPERS = 50
#: What stores keep of an id, less some room for a number.
_LONGEST_ID = 180
_MOST_AWAITED = 10_000

#: functions that a decorator is just given: what their names lead to now is about to be replaced
_decorated: list[Any] = []
#: job id: the reference and the callable of a job whose name was not bound yet when it was stored
AWAITED: dict[str, tuple[str, Any]] = {}


@contextmanager
def decorating(func: Any) -> Iterator[None]:
    """While this lasts, ``func`` is not expected under its name: the module binds it when the decorator has returned."""
    _decorated.append(func)
    try:
        yield
    finally:
        for index in range(len(_decorated)):
            if _decorated[index] is func:
                del _decorated[index]
                break


def check_reference(reference: str, func: Any) -> bool:
    """Check that a reference leads to the very callable that it stands for.

    :return: False if that cannot be told yet: the name is not bound, as its module is still being executed
    :raises CallableMismatchError: if it leads to another callable, or nowhere
    """
    module_name, _, path = reference.partition(":")
    module: Any = sys.modules.get(module_name)
    try:
        if module.__dict__[path] is func:  # nearly always
            return True
    except (KeyError, AttributeError):
        pass
    found = _lookup(module, path)
    if found is not _MISSING and same_callable(func, found):
        return True
    if module is None or described(func)[1] != reference:  # given as a text, which means what it leads to
        return module is not None
    if found is _MISSING:
        if _is_loading(module_name, module) or _is_decorated(func):
            return False
        raise CallableMismatchError(_message(reference, func, f"there is no {path} in {module_name}", module))
    if _is_decorated(func) and not _wraps(func, found):
        return False
    raise CallableMismatchError(
        _message(
            reference,
            func,
            f"{reference} is {_shown(found)}, which a durable store would run instead",
            module,
        )
    )


def default_id(reference: str) -> str:
    """Return the id of a job that is to be the same at each start: its callable's reference, with the main program's own name."""
    module, _, name = reference.partition(":")
    if module in ("__main__", "__mp_main__"):
        main = sys.modules["__main__"]
        file = getattr(main, "__file__", None) or "__main__"
        stem = file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        module = getattr(getattr(main, "__spec__", None), "name", None) or stem
    id = f"{module}:{name}"
    if len(id) > _LONGEST_ID:
        from hashlib import sha256  # rare

        id = f"{id[: _LONGEST_ID - 17]}~{sha256(id.encode()).hexdigest()[:16]}"
    return id


def named_reference(job_id: str, reference: str, func: Any) -> str:
    """Return the reference of a job that is about to be stored, if it leads to the job's callable.

    A name that is not bound yet is looked at again by :func:`expected`, when the job is read.

    :raises CallableMismatchError: if it leads to another callable, or nowhere
    """
    if check_reference(reference, func):
        if AWAITED:
            AWAITED.pop(job_id, None)
    else:
        while len(AWAITED) >= _MOST_AWAITED:
            AWAITED.pop(next(iter(AWAITED)), None)
        AWAITED[job_id] = (reference, func)
    return reference


def expected(job_id: str, reference: str, restore: Callable[[str], Any]) -> Any:
    """Return the callable of a stored job, if the reference leads to the one that the job was added with here.

    :param restore: gives the callable of a reference
    :raises CallableMismatchError: if the name was not bound when the job was added, and now leads to another callable
    """
    awaited = AWAITED.get(job_id)
    if awaited is None or awaited[0] != reference:
        return restore(reference)
    func = awaited[1]
    if check_reference(reference, func):
        AWAITED.pop(job_id, None)
        return restore(reference)
    return func  # the module is still being executed, and this is what its name will lead to


def is_misnamed(error: str | None) -> bool:
    """Whether a job is quarantined because its name leads to another callable: reading it anew is no cure for that."""
    return isinstance(error, str) and error.startswith(MISNAMED)


def same_callable(one: Any, other: Any) -> bool:
    """Whether to call one is to call the other: methods by function and object, functions also if a module was loaded twice."""
    if one is other:
        return True
    if isinstance(one, MethodType):
        function = one.__func__
        if isinstance(other, MethodType):
            return one.__self__ is other.__self__ and same_callable(function, other.__func__)
        # The object of a bound method is stored as the first argument of the function.
        return not isinstance(one.__self__, type) and same_callable(function, other)
    return type(one) is FunctionType and type(other) is FunctionType and _same_source(one, other)


def _same_source(one: FunctionType, other: FunctionType) -> bool:
    """Whether two functions were made of the same lines and remember nothing: ``__main__:f`` and ``app:f``, or a reload."""
    if one.__code__ != other.__code__ or one.__closure__ or other.__closure__:
        return False
    if one.__globals__ is not other.__globals__:
        file = one.__globals__.get("__file__")
        return file is not None and file == other.__globals__.get("__file__")
    try:
        return bool(one.__defaults__ == other.__defaults__ and one.__kwdefaults__ == other.__kwdefaults__)
    except Exception:  # objects of users are compared
        return False


def _lookup(module: Any, path: str) -> Any:
    found = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except Exception:  # a module's __getattr__, a property of a class
            return _MISSING
    return found


def _is_loading(name: str, module: Any) -> bool:
    """Whether names of a module may still be to come; who runs as the main program does not tell."""
    spec = getattr(module, "__spec__", None)
    return spec is None or name in ("__main__", "__mp_main__") or getattr(spec, "_initializing", False)


def _is_decorated(func: Any) -> bool:
    return any(one is func for one in _decorated)


def _wraps(func: Any, found: Any) -> bool:
    """Whether a callable is a decorator's around that one (``functools.wraps``)."""
    for _ in range(_MOST_WRAPPERS):
        func = getattr(func, "__wrapped__", None)
        if func is None:
            return False
        if same_callable(func, found):
            return True
    return False


def _message(reference: str, func: Any, instead: str, module: Any) -> str:
    return f"{MISNAMED}, got {_shown(func)}, and {instead}; {_remedy(func, _lookup(module, reference.partition(':')[2]), module)}"


def _remedy(func: Any, found: Any, module: Any) -> str:
    if found is not _MISSING and _wraps(found, func):
        return "put @scheduled_job above the other decorators, or add the job after the definition"
    name = module.__name__
    for other, value in list(getattr(module, "__dict__", {}).items()):
        if value is func:
            return f'pass "{name}:{other}"'
    return (
        f"decorate the definition itself with @, or bind the callable to a name of its own at the top level of a module "
        f'and pass that as a text, such as "{name}:other_name"'
    )


def _shown(func: Any) -> str:
    """Return a callable as its name and, if it is a Python function, where it is defined."""
    inner = getattr(func, "__func__", func)
    if isinstance(inner, FunctionType):
        code = inner.__code__
        return f"{code.co_qualname} ({code.co_filename.replace(chr(92), '/').rpartition('/')[2]}, line {code.co_firstlineno})"
    try:
        return f"{type(func).__name__} {get_callable_name(func)}"
    except Exception:
        return shortened(repr_of(func), 100)
