"""What a scheduler has around its calls: middleware, resources, and the word that a run has started.

It knows neither scheduler nor executor. What a middleware does wrong is the outcome of its run, in words, and of that run only.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from types import coroutine as generator_coroutine

from ..callables import (
    check_callable_args,
    is_generator_function,
    iscoroutinefunction_partial,
    needs_of,
    obj_to_ref,
)
from ..errors import (
    ArgumentMismatchError,
    MiddlewareError,
    OptionTypeError,
    ResourceMissingError,
    RunOutcome,
    in_workers,
)
from ..texts import error_text, repr_of, shortened, type_name
from .steps import (
    _current,
    _traceback,
    close_quietly,
    is_coroutine,
    is_coroutine_function,
    is_ours,
    is_stopped_by,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
    from contextvars import Context
    from typing import Any

    from ..core.run import Run

    #: its name, and what makes the context manager of a run
    Middleware = tuple[str, Callable[[Run], Any]]
    #: how a call ended: what it raised, and what it returned
    Outcome = tuple[BaseException | None, Any]

#: The longest text of an error that a message of ours repeats.
_SHOWN = 500


class Calls:
    """How the jobs of one scheduler are called.

    :ivar middleware: what is entered before each call, outermost first
    :ivar started: called with each run just before its job is called; None: nobody wants to know
    :ivar resources: what parameters that are annotated with Inject are filled with, by name
    """

    def __init__(
        self,
        middleware: Sequence[Middleware] = (),
        started: Callable[[Run], object] | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        self.middleware = tuple(middleware)
        self.started = started
        self.resources: Mapping[str, Any] = {} if resources is None else resources

    def packed(self, pack: Callable[..., bytes]) -> bytes | None:
        """Return what worker processes have around their calls, packed; None: nothing.

        :param pack: packs the middleware and the factories of resources
        """
        factories: Mapping[str, Any] = getattr(self.resources, "in_workers", {})
        return pack(self.middleware, factories) if self.middleware or factories else None

    def call(self, run: Run, job: Any) -> Any:
        """Call a job as its run; return what it returns, or a coroutine that the caller awaits."""
        _current.set(run)
        if self.started is not None:
            self.started(run)
        middleware = self.middleware
        if not middleware:
            return self._invoke(job)
        if is_coroutine_function(job.func):
            return _awaited(partial(_through, middleware, run, partial(self._invoke, job), True))
        # A context of its own, in which all of it is left again, wherever that is.
        context = copy_context()
        through = _through(middleware, run, partial(self._invoke, job), False)
        try:
            context.run(through.send, None)
        except StopIteration as stop:
            error, retval = stop.value
        else:
            return _awaited(partial(_going_on, through, context))
        if error is not None:
            raise error
        return retval

    def _invoke(self, job: Any) -> Any:
        kwargs = job._rare.kwargs or {}
        needs = needs_of(job.func, job.args, kwargs)
        if needs:
            kwargs = dict(kwargs)
            for _, name, resource, is_required in needs:
                if is_required or self.has(resource):
                    kwargs[name] = self.resource(resource)
        return job.func(*job.args, **kwargs)

    def has(self, name: str) -> bool:
        """Return whether there is a resource of that name."""
        return name in self.resources

    def resource(self, name: str) -> Any:
        """Return a resource.

        :raises ResourceMissingError: if there is none of that name
        """
        try:
            return self.resources[name]
        except KeyError:
            raise ResourceMissingError(name) from None


class WorkerCalls(Calls):
    """How jobs are called in a worker process, where resources are made by factories: each once, when it is first needed.

    :ivar made: the resources that were made in this process
    """

    def __init__(
        self,
        middleware: Sequence[Middleware],
        factories: Mapping[str, Callable[[], Any]],
        made: dict[str, tuple[Callable[[], Any], Any]],
    ) -> None:
        super().__init__(middleware)
        self._factories = factories
        self.made = made

    def has(self, name: str) -> bool:
        """Return whether there is a resource of that name, or what makes it."""
        return name in self._factories

    def resource(self, name: str) -> Any:
        """Return a resource; what its factory raises is the outcome of the run, and the next run tries again.

        :raises ResourceMissingError: if it has no factory
        """
        factory = self._factories.get(name)
        if factory is None:
            raise ResourceMissingError(name, in_workers(name))
        if name not in self.made or self.made[name][0] != factory:
            self.made[name] = factory, factory()
        return self.made[name][1]


def named_middleware(around: Any) -> Middleware:
    """Return a middleware with its name, if it is one.

    :raises OptionTypeError: if it cannot be called with a run, or what it returns then is no context manager
    """
    if not callable(around):
        raise OptionTypeError(
            f"around must be a function of one argument that returns a context manager, got {repr_of(around)}; "
            f"write it with @contextlib.contextmanager"
        )
    if iscoroutinefunction_partial(around) or is_generator_function(around):
        raise OptionTypeError(
            f"around must return a context manager, got {repr_of(around)}, of which a call returns none; decorate it with "
            f"@contextlib.contextmanager, or @contextlib.asynccontextmanager if it is async"
        )
    try:
        check_callable_args(around, (None,), {})
    except ArgumentMismatchError as exc:
        raise OptionTypeError(f"around must take one argument, the run: {exc}") from None
    try:
        return obj_to_ref(around), around
    except ValueError:
        return shortened(repr_of(around), 200), around


async def _through(
    middleware: Sequence[Middleware], run: Run, invoke: Callable[[], Any], is_awaited: bool
) -> Outcome:
    """Enter all middleware, call, and leave all of it again; nothing is raised.

    :param is_awaited: whether this is awaited on a loop, so that it may wait. Else it waits once at most: for the loop that goes
        on with the coroutine which a plain function has returned
    """
    entered = []
    error: BaseException | None = None
    retval: Any = None
    for name, around in middleware:
        try:
            manager = around(run)
            enter, leave, waits = _methods(manager, is_awaited)
            waiting = enter(manager)
            if waits:
                await waiting
        except BaseException as exc:
            error = _on_the_way_in(run, name, exc)
            break
        entered.append((name, manager, leave, waits))
    else:
        try:
            retval = invoke()
            if is_coroutine(retval):
                if not is_awaited:
                    await _handed_over(retval)
                retval = await retval
        except BaseException as exc:  # it is the outcome of the run
            error, retval = exc, None
    while entered:
        error = await _left(run, *entered.pop(), error)
    return error, retval


async def _left(
    run: Run, name: str, manager: Any, leave: Callable[..., Any], waits: bool, before: BaseException | None
) -> BaseException | None:
    """Leave a middleware; return the error that there is then.

    :param before: the error that there was before
    """
    frames = None if before is None else _traceback.__get__(before)
    try:
        if before is None:
            waiting = leave(manager, None, None, None)
            if waits:
                await waiting
            return None
        try:
            raise before  # as in a with statement, it is the exception that is handled meanwhile
        except BaseException:
            suppresses = leave(manager, type(before), before, frames)
            if waits:
                suppresses = await suppresses
        _traceback.__set__(before, frames)
        return _on_suppression(run, name, before) if suppresses else before
    except BaseException as exc:
        return exc if exc is before else _on_the_way_out(run, name, exc, before)


def _methods(manager: Any, is_awaited: bool) -> tuple[Any, Any, bool]:
    """Return how a context manager is entered and left, and whether that is awaited.

    :raises MiddlewareError: if it is none, or one of the wrong kind
    """
    kind = type(manager)
    if is_awaited and hasattr(kind, "__aenter__") and hasattr(kind, "__aexit__"):
        return kind.__aenter__, kind.__aexit__, True
    if hasattr(kind, "__enter__") and hasattr(kind, "__exit__"):
        return kind.__enter__, kind.__exit__, False
    if hasattr(kind, "__aenter__"):
        raise _Wrong(
            f"must return a context manager with __enter__() and __exit__() for a plain function, got {type_name(manager)}, "
            f"which only a coroutine can enter; give it both kinds of methods, or make the job async def"
        )
    raise _Wrong(
        f"must return a context manager, got {shortened(repr_of(manager), _SHOWN)}; write it with @contextlib.contextmanager"
    )


class _Wrong(Exception):
    """What a middleware returned is no context manager; the text goes on after its name."""


def _on_the_way_in(run: Run, name: str, exc: BaseException) -> BaseException:
    if is_stopped_by(run, exc) or issubclass(type(exc), RunOutcome):
        return exc
    if type(exc) is _Wrong:
        return MiddlewareError(f"middleware {name} {exc}. The job was not called")
    return _because(exc, f"middleware {name} raised on the way in, so the job was not called: {_shown(exc)}")


def _on_the_way_out(run: Run, name: str, exc: BaseException, before: BaseException | None) -> BaseException:
    if is_stopped_by(run, exc) or (before is not None and issubclass(type(exc), RunOutcome)):
        return exc  # a middleware may say what is to follow an error
    if before is None:
        return _because(
            exc, f"middleware {name} raised on the way out, after the job had returned: {_shown(exc)}"
        )
    return _because(
        exc, f"middleware {name} raised on the way out: {_shown(exc)}. Before that there was {_shown(before)}"
    )


def _on_suppression(run: Run, name: str, before: BaseException) -> BaseException:
    if is_stopped_by(run, before) or issubclass(type(before), RunOutcome):
        return before  # whoever was asked to stop has stopped; and how a run goes on is no error
    return _because(
        before,
        f"middleware {name} suppressed {_shown(before)}; a run that raised has failed all the same: let __exit__() return "
        f"False, or catch the error in the job",
    )


def _because(exc: BaseException, text: str) -> MiddlewareError:
    error = MiddlewareError(text).with_traceback(_traceback.__get__(exc))
    error.__cause__ = exc
    return error


def _shown(exc: BaseException) -> str:
    return shortened(error_text(exc), _SHOWN)


async def _awaited(begin: Callable[[], Any]) -> Any:
    """Await how a call ends, and return or raise that; nothing is begun before, as this may be closed unawaited."""
    error, retval = await begin()
    if error is not None:
        raise error
    return retval


@generator_coroutine
def _handed_over(returned: Any) -> Generator[None, None, None]:
    """Let whoever has begun this coroutine hand it to a loop.

    :param returned: the coroutine that is awaited there; it is closed if that never comes
    """
    try:
        yield
    except BaseException:
        close_quietly(returned)
        raise


@generator_coroutine
def _going_on(work: Coroutine[Any, Any, Outcome], context: Context) -> Generator[Any, Any, Outcome]:
    """Go on with a coroutine in the context in which it was begun."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            awaited = context.run(work.send, value) if error is None else context.run(work.throw, error)
        except StopIteration as stop:
            outcome: Outcome = stop.value
            return outcome
        try:
            value = yield awaited
            error = None
        except BaseException as exc:  # it belongs to the coroutine
            error = exc


is_ours(Calls.call, Calls._invoke, Calls.resource, WorkerCalls.resource, _through, _left, _awaited, _going_on)
