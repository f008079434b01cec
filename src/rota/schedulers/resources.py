"""The resources of a scheduler: what parameters that are annotated with ``Inject`` are filled with.

It holds them, and tells its scheduler when there are others; nothing of it is stored.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from ..callables import check_callable_args, is_generator_function, iscoroutinefunction_partial
from ..errors import ArgumentMismatchError, OptionTypeError
from ..texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class Resources(MutableMapping[str, "Any"]):
    """Resources by name, for jobs that are called in this process; they may be set and removed at any time.

    :param changed: called after each change; what it raises undoes the change
    :ivar in_workers: functions without arguments that make the resources of worker processes, by name: each is called once in
        each worker, when a job there needs it first
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._held: dict[str, Any] = {}
        self._changed = changed
        self.in_workers: MutableMapping[str, Callable[[], Any]] = Factories(changed)

    def __getitem__(self, name: str) -> Any:
        return self._held[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._replace({**self._held, _checked_name(name): value})

    def __delitem__(self, name: str) -> None:
        held = dict(self._held)
        del held[name]
        self._replace(held)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self._held) or 'none'}>"

    def _replace(self, held: dict[str, Any]) -> None:
        # Replaced, never changed: whoever carries out a run reads it meanwhile.
        before, self._held = self._held, held
        try:
            self._changed()
        except BaseException:
            self._held = before
            raise


class Factories(Resources):
    """What makes the resources of worker processes."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self._held = {}
        self._changed = changed

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, _checked_factory(name, value))


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise OptionTypeError(
            f"the name of a resource must be a nonempty string, got {repr_of(name)}; parameters ask for it by that name"
        )
    return str(name)


def _checked_factory(name: object, factory: Any) -> Any:
    what = f"in_workers[{name!r}] must be a function without arguments that returns the resource"
    if not callable(factory):
        raise OptionTypeError(f"{what}, got {repr_of(factory)}; a worker process makes its own")
    if iscoroutinefunction_partial(factory) or is_generator_function(factory):
        raise OptionTypeError(f"{what}, got {repr_of(factory)}, of which a call returns none")
    try:
        check_callable_args(factory, (), {})
    except ArgumentMismatchError as exc:
        raise OptionTypeError(f"{what}: {exc}") from None
    return factory
