"""What programs read and change of a scheduler by APScheduler's inner names, and those of its methods that they override.

Views write through to what they show; none of them keeps anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableSequence

from ..core.policy import with_options
from ..errors import JobLookupError, OptionTypeError
from ..executors.base import BaseExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from typing import Any, NoReturn, Protocol

    from ..core.policy import Policy
    from ..job.handle import Job

    class HasDefaults(Protocol):
        """What has the defaults of jobs."""

        default_policy: Policy

    class HasEntries(Protocol):
        """What has the listeners of a scheduler."""

        @property
        def entries(self) -> Sequence[Any]: ...
        def set(self, wanted: list[Entry]) -> None: ...

    class Overriding(Protocol):
        """A scheduler whose class overrides how executors or jobs are looked up."""

        _executors: dict[str, BaseExecutor]

        def _lookup_executor(self, alias: Any) -> BaseExecutor: ...
        def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> tuple[Job, str | None]: ...

    Entry = tuple[Callable[[Any], Any], int]

_DEFAULTS = ("misfire_grace_time", "coalesce", "max_instances")


class JobDefaults(dict[str, "Any"]):
    """``_job_defaults``: the defaults of jobs that are added from now on.

    :param holder: what has them as its ``default_policy``
    """

    __slots__ = ("_holder",)

    def __init__(self, holder: HasDefaults) -> None:
        from ..core.policy import seconds_of  # rare

        policy = holder.default_policy
        values = (seconds_of(policy.misfire_grace), policy.coalesce, policy.max_instances)
        super().__init__(zip(_DEFAULTS, values, strict=True))
        self._holder = holder

    def __setitem__(self, name: str, value: Any) -> None:
        self._holder.default_policy = with_options(self._holder.default_policy, {name: value})
        super().__setitem__(name, value)

    def update(self, *args: Any, **changes: Any) -> None:
        """Change several defaults."""
        for name, value in dict(*args, **changes).items():
            self[name] = value

    def setdefault(self, name: str, value: Any = None) -> Any:
        """Return a default, which there always is."""
        return self[name]

    def _refuse(self, *args: Any) -> NoReturn:
        raise OptionTypeError(
            "_job_defaults must keep its names, got a call that removes one; set misfire_grace_time to None, coalesce to True or "
            "max_instances to 1, or call configure(job_defaults=…)"
        )

    __delitem__ = pop = popitem = clear = _refuse


class ListenersView(MutableSequence["Entry"]):
    """``_listeners``: pairs of a callback and its mask, in the order in which they are called.

    :param listeners: the listeners of a scheduler
    :param lock: held while they are changed
    """

    __slots__ = ("_listeners", "_lock")

    def __init__(self, listeners: HasEntries, lock: Any) -> None:
        self._listeners = listeners
        self._lock = lock

    def _pairs(self) -> list[Entry]:
        return [(queue.callback, queue.mask) for queue in self._listeners.entries]

    def replace(self, entries: Iterable[Entry]) -> None:
        """Let these be the listeners; those that stay keep the events that wait for them."""
        wanted = [(callback, mask) for callback, mask in entries]
        with self._lock:
            self._listeners.set(wanted)

    def __len__(self) -> int:
        return len(self._listeners.entries)

    def __getitem__(self, index: Any) -> Any:
        return self._pairs()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        entries = self._pairs()
        entries[index] = value
        self.replace(entries)

    def __delitem__(self, index: int | slice) -> None:
        entries = self._pairs()
        del entries[index]
        self.replace(entries)

    def insert(self, index: int, value: Entry) -> None:
        """Add a pair of a callback and its mask."""
        entries = self._pairs()
        entries.insert(index, value)
        self.replace(entries)

    def __eq__(self, other: object) -> bool:
        return self._pairs() == (other._pairs() if isinstance(other, ListenersView) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._pairs())


class LookedUp(Mapping[str, BaseExecutor]):
    """The executors of a scheduler as an overridden ``_lookup_executor()`` gives them.

    :param scheduler: whose method it is
    """

    def __init__(self, scheduler: Overriding) -> None:
        self._scheduler = scheduler

    def __getitem__(self, alias: str) -> BaseExecutor:
        found: Any = self._scheduler._lookup_executor(alias)
        return found if isinstance(found, BaseExecutor) else NoExecutor(found)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._scheduler._executors))

    def __len__(self) -> int:
        return len(self._scheduler._executors)

    def __contains__(self, alias: object) -> bool:
        return alias in self._scheduler._executors


class NoExecutor(BaseExecutor):
    """Stands for an object of the program's that is not an executor: it takes no runs, so due jobs wait for one that is.

    A process that may not run a job does not claim it either; of several processes, the one that may does.
    """

    def __init__(self, other: Any) -> None:
        self.other = other

    def capacity(self) -> int:
        """Return 0."""
        return 0

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self.other.submit_job(job, run_times)


def find_job(scheduler: Overriding, job_id: str, jobstore_alias: str | None) -> Job | None:
    """Return the job that an overridden ``_lookup_job()`` gives, None if it finds none."""
    try:
        found: Job = scheduler._lookup_job(job_id, jobstore_alias)[0]
    except JobLookupError:
        return None
    return found
