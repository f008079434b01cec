"""Names, references and signatures of callables, and which resources their parameters ask for by ``Inject``.

Imports user modules only in :func:`ref_to_obj`; never calls what it is given. It evaluates annotations that are texts, each by
itself, and looks at none before somebody has loaded ``Inject``.
"""

from __future__ import annotations

import sys
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType

from .errors import ArgumentMismatchError, CallableLookupError, CallableReferenceError, JobTypeError
from .interrupts import is_interrupt
from .texts import repr_of, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from inspect import Parameter, Signature
    from typing import Any
    from weakref import WeakKeyDictionary

    #: position, name, name of the resource, and whether there is no default that could stand for it
    Need = tuple[int, str, str, bool]

_CO_VARARGS = 0x04
_CO_COROUTINE = 0x80
#: generator functions and asynchronous ones
CO_GENERATORS = 0x20 | 0x200

#: The names of all resources that callables of jobs cannot do without. While it is empty, nobody need be asked for what it has.
ASKED: set[str] = set()
#: for each function, its parameters that are annotated with Inject
_known_needs: WeakKeyDictionary[FunctionType, tuple[Need, ...]] | None = None
#: the signatures of callables, made with the first job
_signatures: WeakKeyDictionary[Any, Signature] | None = None


def get_callable_name(func: Any) -> str:
    """Return the best available display name of a callable.

    :raises JobTypeError: (a ``TypeError``) if the object cannot be called
    """
    if isinstance(func, MethodType):
        owner = func.__self__
        cls = owner if isinstance(owner, type) else type(owner)
        return f"{cls.__qualname__}.{func.__name__}"
    if isinstance(func, (type, FunctionType, BuiltinFunctionType)):
        return func.__qualname__
    if callable(func):
        return type(func).__qualname__
    raise JobTypeError(f"Unable to determine a name for {func!r} -- maybe it is not a callable?")


def described(func: Any) -> tuple[str, str | None]:
    """Return the display name of a callable and its textual reference, None if it has none.

    :raises JobTypeError: (a ``TypeError``) if the object cannot be called
    """
    if type(func) is FunctionType:  # nearly always, and then this is all there is to ask
        name, module = func.__qualname__, func.__module__
        if "<" not in name and type(module) is str:
            return name, sys.intern(f"{module}:{name}")
    try:
        return get_callable_name(func), obj_to_ref(func)
    except ValueError:
        return get_callable_name(func), None


def obj_to_ref(obj: Any) -> str:
    """Return the textual reference ``module:qualified.name`` of a callable.

    :raises JobTypeError: (a ``TypeError``) if the object cannot be called
    :raises CallableReferenceError: (a ``ValueError``) if no other process could import it: a partial, a lambda,
        a nested function, an instance with a ``__call__`` method
    """
    name = get_callable_name(obj)
    module = _module_of(obj)
    if isinstance(obj, partial) or "<" in name or not isinstance(module, str):
        what, remedy = _nameless(obj, name, module)
        raise CallableReferenceError(f"Cannot create a reference to {what} ({repr_of(obj)}); {remedy}")
    return sys.intern(f"{module}:{name}")  # many jobs call one function


def _module_of(obj: Any) -> Any:
    """Return the name of the module that a callable is to be found in, or something else."""
    if isinstance(obj, MethodType):
        return getattr(obj.__self__, "__module__", None)  # objects of C extensions may have none
    return obj.__module__ if isinstance(obj, (type, FunctionType, BuiltinFunctionType)) else None


def _nameless(obj: Any, name: str, module: object) -> tuple[str, str]:
    """Return what a callable without a reference is, and what to do instead."""
    if isinstance(obj, partial):
        return "a partial()", f"write {_instead_of_partial(obj)}"
    if "<lambda>" in name:
        return "a lambda", "define it as a function"
    if "<" in name:
        return "a nested function", "move it to the top level of its module"
    if isinstance(obj, (type, FunctionType, BuiltinFunctionType, MethodType)):
        return "what belongs to no module", "wrap it in a function of yours"
    what = "an instance with a __call__ method, which has no importable name"
    return what, "pass a module-level function, or a bound method with the instance"


def _instead_of_partial(obj: partial[Any]) -> str:
    """Return how add_job() is called with what a partial holds."""
    name = getattr(obj.func, "__name__", None)
    given = f"add_job({name if isinstance(name, str) else 'function'}"
    if obj.args:
        given += f", args={shortened(repr_of(list(obj.args)), 100)}"
    if obj.keywords:
        given += f", kwargs={shortened(repr_of(obj.keywords), 100)}"
    return f"{given}, …)"


def instead_of_nameless(func: Any) -> str | None:
    """Return what to do about a callable that has no textual reference; None if it has one."""
    name, module = get_callable_name(func), _module_of(func)
    if isinstance(func, partial) or "<" in name or not isinstance(module, str):
        return _nameless(func, name, module)[1]
    return None


def ref_to_obj(ref: str) -> Any:
    """Return the object that a textual reference ``module:qualified.name`` leads to.

    :raises JobTypeError: (a ``TypeError``) if the reference is no string
    :raises CallableReferenceError: (a ``ValueError``) if it is not of the form ``module:name``
    :raises CallableLookupError: (a ``LookupError``) if the module or the name does not exist
    """
    return found_by(ref)


def found_by(ref: str, submodule: bool = True, step: Callable[[Any], None] | None = None) -> Any:
    """Return what :func:`ref_to_obj` returns, and let the caller watch the way to it.

    :param submodule: whether the first name may be a module in a package, which is then imported
    :param step: called with each object on the way before an attribute of it is looked up; what it raises ends the search
    :raises JobTypeError, CallableReferenceError, CallableLookupError: as :func:`ref_to_obj`
    """
    if not isinstance(ref, str):
        raise JobTypeError(f"References must be strings, not {type(ref).__name__}")
    module_name, colon, path = ref.partition(":")
    if not colon or not module_name or not path:
        raise CallableReferenceError(
            f"Invalid reference {_shown(ref)!r}: write it as 'module:name' or 'module:Class.method'"
        )
    try:
        # Every module has a __name__, so nothing more is imported for that.
        found: Any = __import__(module_name, fromlist=[path.partition(".")[0] if submodule else "__name__"])
    except ImportError as exc:
        raise CallableLookupError(
            f"Error resolving reference {_shown(ref)}: could not import module ({exc})"
        ) from exc
    for depth, name in enumerate(path.split(".")):
        if depth and step is not None:
            step(found)
        try:
            found = getattr(found, name)
        except Exception as exc:
            raise CallableLookupError(
                f"Error resolving reference {_shown(ref)}: error looking up object ({exc})"
            ) from exc
    return found


def _shown(ref: str) -> str:
    """Return a reference for a message; a URL in its place does not show its password."""
    from .masking import masked  # rare

    return masked(ref)


def maybe_ref(ref: Any) -> Any:
    """Return the object that a textual reference leads to; anything but a string is returned as it is."""
    return ref_to_obj(ref) if isinstance(ref, str) else ref


def is_generator_function(f: Any) -> bool:
    """Tell whether calling ``f`` only makes a generator or an async generator; looks where iscoroutinefunction_partial() does."""
    while type(f) is not FunctionType:
        if isinstance(f, partial):
            f = f.func
        elif isinstance(f, MethodType):
            f = f.__func__
        elif isinstance(f, (type, BuiltinFunctionType)):
            return False
        else:
            f = getattr(type(f), "__call__", None)  # noqa: B004 (the method itself is wanted, not whether there is one)
            return isinstance(f, FunctionType) and bool(f.__code__.co_flags & CO_GENERATORS)
    return bool(f.__code__.co_flags & CO_GENERATORS)


def iscoroutinefunction_partial(f: Any) -> bool:
    """Tell whether calling ``f`` gives a coroutine; looks through partials, bound methods and ``__call__``."""
    while isinstance(f, partial):
        f = f.func
    if isinstance(f, MethodType):
        f = f.__func__
    if isinstance(f, FunctionType):
        if f.__code__.co_flags & _CO_COROUTINE:
            return True
    elif not isinstance(f, (type, BuiltinFunctionType)):
        call = getattr(type(f), "__call__", None)  # noqa: B004 (the method itself is wanted, not whether there is one)
        if isinstance(call, FunctionType) and call.__code__.co_flags & _CO_COROUTINE:
            return True
    if getattr(f, "_is_coroutine", None) is None and getattr(f, "_is_coroutine_marker", None) is None:
        return False
    # Marked by inspect.markcoroutinefunction(), or by the mark that asyncio used before it.
    import inspect

    if inspect.iscoroutinefunction(f):
        return True
    mark = getattr(sys.modules.get("asyncio.coroutines"), "_is_coroutine", None)
    return mark is not None and getattr(f, "_is_coroutine", None) is mark


def check_callable_args(func: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]) -> None:
    """Check that a callable can be called with the given arguments.

    :param func: any callable; one without a readable signature (some builtins) is accepted as it is
    :param args: positional arguments
    :param kwargs: keyword arguments
    :raises ArgumentMismatchError: (a ``ValueError``) that names all parameters with the first kind of problem found
    """
    if not kwargs and _fits_plain(func, len(args)):
        return
    try:
        signature = _signature(func)
    except ValueError:
        return
    try:
        _check(signature, len(args), kwargs)
    except ArgumentMismatchError as first:
        exc, needs = first, needs_of(func, args, kwargs)
        if needs:
            try:
                _check(signature, len(args), {**kwargs, **{name: None for _, name, *_ in needs}})
            except ArgumentMismatchError as second:
                exc = second
            else:
                return
        name = getattr(func, "__qualname__", type(func).__qualname__)
        raise ArgumentMismatchError(f"{exc}; the callable is {name}{signature}") from None


def needs_of(
    func: Any, args: Collection[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Sequence[Need]:
    """Return the parameters that are to be filled with resources, without those that are given.

    :param func: a callable
    :param args: the positional arguments that it is given
    :param kwargs: the keyword arguments that it is given
    :raises JobTypeError: if an annotation that speaks of Inject cannot be evaluated
    """
    if "rota.inject" not in sys.modules:
        return ()
    given, named = len(args), set(kwargs or ())
    while isinstance(func, partial):
        given += len(func.args)
        named.update(func.keywords)
        func = func.func
    if isinstance(func, type):
        func, given = getattr(func, "__init__", None), given + 1
    elif isinstance(func, MethodType):
        func, given = func.__func__, given + 1
    elif not isinstance(func, FunctionType):
        func, given = getattr(type(func), "__call__", None), given + 1  # noqa: B004  # which, not whether
    if not isinstance(func, FunctionType):
        return ()
    global _known_needs
    if _known_needs is None:
        from weakref import WeakKeyDictionary  # import time

        _known_needs = WeakKeyDictionary()
    needs = _known_needs.get(func)
    if needs is None:
        needs = _known_needs[func] = tuple(_needs(func))
        ASKED.update(resource for _, _, resource, is_required in needs if is_required)
    return [need for need in needs if need[0] >= given and need[1] not in named] if needs else ()


def required_by(job: Any) -> Sequence[str]:
    """Return the names of the resources that a job cannot do without."""
    return [
        resource
        for _, _, resource, is_required in needs_of(job.func, job.args, job._rare.kwargs)
        if is_required
    ]


def lacking(job: Any) -> Sequence[str]:
    """Return the names of the resources that a job needs and its scheduler does not have.

    Of a callable whose annotations cannot be read there are none: its call fails, and says so.
    """
    if not ASKED:
        return ()
    asked = getattr(job._home[0], "_lacking", None)
    try:
        return () if asked is None else asked(job)
    except BaseException as exc:  # annotations are texts of users
        if is_interrupt(exc):
            raise
        return ()


def _needs(func: FunctionType) -> Iterator[Need]:
    code = func.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    first_default = code.co_argcount - len(func.__defaults__ or ())
    for name, annotation in func.__annotations__.items():
        resource = _resource(func, name, annotation) if name in names else None
        if resource is not None:
            place = names.index(name)
            if place < code.co_argcount:
                yield place, name, resource, place < first_default
            else:
                yield sys.maxsize, name, resource, name not in (func.__kwdefaults__ or ())


def _resource(func: FunctionType, name: str, annotation: Any) -> str | None:
    """Return the name of the resource that a parameter stands for, None if it is none."""
    from .inject import Inject  # it is loaded, or nobody comes here

    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, func.__globals__)  # the program's own text
        except BaseException as exc:  # names that are only there for type checkers
            if is_interrupt(exc):
                raise
            if "Inject" not in annotation:
                return None
            raise JobTypeError(
                f"the annotation of {name} must be one that can be evaluated, got {annotation!r} ({exc}); import what it "
                f"names where the program runs, not only for type checkers"
            ) from None
    for mark in getattr(annotation, "__metadata__", ()):
        if mark is Inject:
            return name
        if isinstance(mark, Inject):
            return mark.name
    return None


def _fits_plain(func: Any, count: int) -> bool:
    """Tell quickly that ``count`` positional arguments fit a Python function; False means "look closer"."""
    if isinstance(func, MethodType):
        func = func.__func__
        count += 1
    if type(func) is not FunctionType or (func.__dict__ and "__signature__" in func.__dict__):
        return False
    code = func.__code__
    if code.co_kwonlyargcount and len(func.__kwdefaults__ or ()) < code.co_kwonlyargcount:
        return False
    most = code.co_argcount
    if count > most:
        return bool(code.co_flags & _CO_VARARGS)
    return count >= most - len(func.__defaults__ or ())


def _signature(func: Any) -> Signature:
    """Return the signature, remembered as long as the callable lives (for those that cannot change theirs)."""
    if not isinstance(func, (FunctionType, BuiltinFunctionType, partial)):
        from inspect import signature  # import time

        return signature(func, follow_wrapped=False)
    global _signatures
    if _signatures is None:
        from weakref import WeakKeyDictionary  # import time

        _signatures = WeakKeyDictionary()
    found = _signatures.get(func)
    if found is None:
        from inspect import signature  # import time

        found = _signatures[func] = signature(func, follow_wrapped=False)
    return found


def _check(signature: Signature, given: int, kwargs: Mapping[str, Any]) -> None:
    fit = _Fit(given, kwargs)
    for parameter in signature.parameters.values():
        fit.place(parameter)
    fit.report(given)


class _Fit:
    """Where the arguments go, and what does not fit."""

    __slots__ = (
        "any_args",
        "any_kwargs",
        "left",
        "missing",
        "missing_keywords",
        "positional_only",
        "twice",
        "unmatched",
    )

    def __init__(self, given: int, kwargs: Mapping[str, Any]) -> None:
        self.left = given
        self.unmatched = dict.fromkeys(kwargs)
        self.twice: list[str] = []
        self.positional_only: list[str] = []
        self.missing: list[str] = []
        self.missing_keywords: list[str] = []
        self.any_args = self.any_kwargs = False

    def place(self, parameter: Parameter) -> None:
        """Give the next parameter its argument."""
        name, kind = parameter.name, parameter.kind
        if kind is parameter.VAR_POSITIONAL:
            self.any_args = True
        elif kind is parameter.VAR_KEYWORD:
            self.any_kwargs = True
        elif self.left and kind is not parameter.KEYWORD_ONLY:
            self.left -= 1
            if name in self.unmatched and kind is not parameter.POSITIONAL_ONLY:
                del self.unmatched[name]
                self.twice.append(name)
        elif name in self.unmatched:
            del self.unmatched[name]
            if kind is parameter.POSITIONAL_ONLY:
                self.positional_only.append(name)
        elif parameter.default is parameter.empty:
            (self.missing_keywords if kind is parameter.KEYWORD_ONLY else self.missing).append(name)

    def report(self, given: int) -> None:
        """Raise the first kind of problem there is, naming all parameters that have it."""
        for names, what in (
            (self.twice, "The following arguments are supplied in both args and kwargs"),
            (self.positional_only, "The following arguments cannot be given as keyword arguments"),
            (self.missing, "The following arguments have not been supplied"),
            (
                self.missing_keywords,
                "The following keyword-only arguments have not been supplied in kwargs",
            ),
        ):
            if names:
                raise ArgumentMismatchError(f"{what}: {', '.join(names)}")
        if self.left and not self.any_args:
            raise ArgumentMismatchError(
                f"The list of positional arguments is longer than the target callable can handle "
                f"(allowed: {given - self.left}, given in args: {given})"
            )
        if self.unmatched and not self.any_kwargs:
            raise ArgumentMismatchError(
                f"The target callable does not accept the following keyword arguments: {', '.join(self.unmatched)}"
            )
