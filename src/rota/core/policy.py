"""The policies of a job as one shared, immutable value.

Pure; validates, never stores. Jobs with equal policies share one object, which keeps a million jobs small.
"""

from __future__ import annotations

from datetime import timedelta

from ..clock import SECOND, microseconds
from ..errors import JobTypeError, JobValueError
from ..texts import repr_of
from .overlaps import ALLOW_ALL, BUFFER_ALL, BUFFERING, NO_LIMIT, OVERLAPS, SKIP, WAITING_FOR_ROOM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

    from .handlers import Nameless
    from .retry import Retry

#: What a lost run may be turned into: executed again, or recorded as lost.
ON_LOST = ("rerun", "lost")
#: The longest log of a run that any store keeps (bytes).
LONGEST_LOG = 64 * 1024
#: After how many failures in a row a job is paused, at most: when each of them ended is kept with the job.
MOST_FAILURES = 100


class Policy:
    """How a job's nominal times are carried out. Durations are microseconds; compare and hash by value.

    :cvar some_tell: whether any policy of this process names whom to tell of failures
    :cvar some_keep_log: whether any policy of this process has the logs of runs kept
    :cvar some_pause: whether any policy of this process has its job paused after failures
    :cvar some_retry: whether any policy of this process has failed runs tried again
    :cvar some_time_out: whether any policy of this process limits the time of runs
    :cvar some_wait: whether any policy of this process has due times wait for room
    """

    __slots__ = (
        "coalesce",
        "expires",
        "heartbeat_timeout",
        "keep_log",
        "limit",
        "max_attempts",
        "max_instances",
        "misfire_grace",
        "on_failure",
        "on_lost",
        "overlap",
        "pause_on_failure",
        "retry",
        "time_limit",
        "timeout",
        "waits_for_room",
    )

    some_tell: ClassVar[bool] = False
    some_keep_log: ClassVar[bool] = False
    some_pause: ClassVar[bool] = False
    some_retry: ClassVar[bool] = False
    some_time_out: ClassVar[bool] = False
    some_wait: ClassVar[bool] = False

    def __init__(
        self,
        misfire_grace: int | None = None,
        coalesce: bool = True,
        max_instances: int = 1,
        expires: int | None = None,
        on_lost: str = "rerun",
        max_attempts: int = 3,
        keep_log: int = 0,
        timeout: int | None = None,
        heartbeat_timeout: int | None = None,
        on_failure: str | Nameless | None = None,
        retry: Retry | None = None,
        overlap: str = SKIP,
        pause_on_failure: int = 0,
    ) -> None:
        self.misfire_grace = misfire_grace
        self.coalesce = coalesce
        self.max_instances = max_instances
        self.expires = expires
        self.on_lost = on_lost
        self.max_attempts = max_attempts
        #: how much is kept of what a run logs: the newest so many bytes
        self.keep_log = keep_log
        #: how long an attempt may take, and how long it may say nothing; see :mod:`rota.core.timeouts`
        self.timeout = timeout
        self.heartbeat_timeout = heartbeat_timeout
        #: the shorter one of these two, for which no attempt is over; None: there is neither
        self.time_limit = min(
            (each for each in (timeout, heartbeat_timeout) if each is not None), default=None
        )
        #: what is called with a run that has failed: its textual reference, or itself if it has none
        self.on_failure = on_failure
        #: which failures are followed by another try; None: none, but those of nodes
        self.retry = retry
        #: what a due time meets while there is no room; see :mod:`rota.core.overlaps`
        self.overlap = overlap
        #: whether it waits
        self.waits_for_room = overlap in WAITING_FOR_ROOM
        #: how many runs may be under way (R2)
        self.limit = NO_LIMIT if overlap == ALLOW_ALL else max_instances
        #: after how many failures in a row the job is paused; 0: never
        self.pause_on_failure = pause_on_failure

    @property
    def merges(self) -> bool:
        """Whether several owed times become one run."""
        return self.coalesce and self.overlap != BUFFER_ALL

    @property
    def spare(self) -> int:
        """How many runs may still be under way when a job that waits for their end is due again (R6)."""
        return self.limit - 1 if self.waits_for_room else 0

    @property
    def supersedes(self) -> bool:
        """Whether the claim of a later time ends waiting retries."""
        retry = self.retry
        if retry is None or retry.until is None:
            return False
        return retry.is_until_given or self.overlap not in BUFFERING

    def key(self) -> tuple[Any, ...]:
        """Return what two equal policies have in common: the arguments of the constructor."""
        return (
            self.misfire_grace,
            self.coalesce,
            self.max_instances,
            self.expires,
            self.on_lost,
            self.max_attempts,
            self.keep_log,
            self.timeout,
            self.heartbeat_timeout,
            self.on_failure,
            self.retry,
            self.overlap,
            self.pause_on_failure,
        )

    def functions(self) -> list[str | Nameless]:
        """Return the functions that the options name: their textual references, or themselves where they have none."""
        found = [self.on_failure, None if self.retry is None else self.retry.predicate]
        return [function for function in found if function is not None]

    def for_workers(self) -> Policy:
        """Return the policy without what no worker process is told of: what is called with failed runs is called elsewhere."""
        if self.on_failure is None:
            return self
        policy = Policy(*self.key())
        policy.on_failure = None
        return policy

    def __eq__(self, other: object) -> bool:
        return self.key() == other.key() if isinstance(other, Policy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        return f"Policy{self.key()}"


#: The policies of a job that sets none.
DEFAULT_POLICY = Policy()

#: The public option names, in the order in which add_job() has them.
OPTION_NAMES = (
    "misfire_grace_time",
    "coalesce",
    "max_instances",
    "expires",
    "on_lost",
    "max_attempts",
    "keep_log",
    "timeout",
    "heartbeat_timeout",
    "on_failure",
    "retry",
    "overlap",
    "pause_on_failure",
)

#: The policies of this process by their keys.
_shared: dict[tuple[Any, ...], Policy] = {DEFAULT_POLICY.key(): DEFAULT_POLICY}


def with_options(base: Policy, options: Mapping[str, Any]) -> Policy:
    """Return ``base`` with some options changed.

    :param base: the policy to start from
    :param options: any of ``misfire_grace_time``, ``expires``, ``timeout`` and ``heartbeat_timeout`` (seconds, timedelta or None),
        ``coalesce``, ``max_instances``, ``on_lost`` ("rerun" or "lost"), ``max_attempts``, ``keep_log`` (bytes),
        ``on_failure`` (a callable or a reference to one), ``retry`` (a Retry, True, False or None), ``overlap`` (one of OVERLAPS),
        ``pause_on_failure`` (False, True or a number)
    :raises JobTypeError, JobValueError: if a value is not acceptable, or two of them contradict each other
    """
    if not options:
        return base
    policy = Policy(*base.key())
    for name, value in options.items():
        _SETTERS[name](policy, name, value)
    if policy.overlap != SKIP:
        _without_contradictions(policy, options)
    return _shared_one(policy.key())


def _shared_one(key: tuple[Any, ...]) -> Policy:
    """Return the policy of these options, with what follows from them; equal ones are one object."""
    found = _shared.get(key)
    if found is not None:
        return found
    if len(_shared) > 1000:  # a bound for programs that give each job its own grace time
        _shared.clear()
        _shared[DEFAULT_POLICY.key()] = DEFAULT_POLICY
    return _shared.setdefault(key, Policy(*key))


def _without_contradictions(policy: Policy, options: Mapping[str, Any]) -> None:
    """Refuse options that ``overlap`` leaves no meaning; what a default says of them is left out.

    :raises JobValueError: if one of them was given
    """
    Policy.some_wait = Policy.some_wait or policy.overlap != ALLOW_ALL
    if policy.overlap == ALLOW_ALL:
        if "max_instances" in options:
            raise JobValueError(
                f'max_instances must be left out beside overlap="allow_all", got {policy.max_instances}; there is no limit then. '
                f'Write overlap="skip" to have one'
            )
        policy.max_instances = DEFAULT_POLICY.max_instances
    elif policy.overlap == BUFFER_ALL:
        if "coalesce" in options:
            raise JobValueError(
                f'coalesce must be left out beside overlap="buffer_all", got {policy.coalesce}; every owed time runs then. '
                f'Write overlap="buffer_one" to have the newest of them run'
            )
        policy.coalesce = DEFAULT_POLICY.coalesce


def telling(base: Policy, reference: Any) -> Policy:
    """Return ``base`` with a textual reference of what is called with a run that has failed; nothing is imported yet.

    :raises JobTypeError: if it is no text
    """
    if type(reference) is not str:
        raise JobTypeError(f"on_failure must be stored as a textual reference, got {repr_of(reference)}")
    policy = Policy(*base.key())
    policy.on_failure = reference
    Policy.some_tell = True
    return _shared_one(policy.key())


def seconds_of(duration: int | None) -> int | float | None:
    """Return a duration in microseconds as seconds: an int where it is whole."""
    if duration is None:
        return None
    return duration // SECOND if duration % SECOND == 0 else duration / SECOND


def _duration(name: str, value: object, none: str = "a run is never too late") -> int | None:
    """Return a duration in microseconds.

    :param none: what None means, for the message
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise JobTypeError(
            f"{name} must be either None or a positive number of seconds (or a timedelta), got {repr_of(value)}"
        )
    try:
        duration = microseconds(value)
    except (ValueError, OverflowError):
        duration = 0
    if duration <= 0:
        raise JobTypeError(
            f"{name} must be either None or a positive number of seconds, got {repr_of(value)}; "
            f"None means that {none}"
        )
    return duration


def _positive(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise JobTypeError(f"{name} must be a positive integer, got {repr_of(value)}")
    return value


def _set_misfire_grace(policy: Policy, name: str, value: object) -> None:
    policy.misfire_grace = _duration(name, value)


def _set_expires(policy: Policy, name: str, value: object) -> None:
    policy.expires = _duration(name, value)


def _set_timeout(policy: Policy, name: str, value: object) -> None:
    policy.timeout = _duration(name, value, "a run may take any time")
    Policy.some_time_out = Policy.some_time_out or value is not None


def _set_heartbeat_timeout(policy: Policy, name: str, value: object) -> None:
    policy.heartbeat_timeout = _duration(name, value, "a run need not say that it is alive")
    Policy.some_time_out = Policy.some_time_out or value is not None


def _set_coalesce(policy: Policy, name: str, value: object) -> None:
    if isinstance(value, str):  # "false" would be true
        raise JobTypeError(f"coalesce must be True or False, got {repr_of(value)}")
    policy.coalesce = bool(value)


def _set_max_instances(policy: Policy, name: str, value: object) -> None:
    policy.max_instances = _positive(name, value)
    if policy.max_instances > NO_LIMIT:
        raise JobValueError(
            f'max_instances must be {NO_LIMIT} at most, got {repr_of(value)}; overlap="allow_all" sets no limit'
        )


def _set_max_attempts(policy: Policy, name: str, value: object) -> None:
    policy.max_attempts = _positive(name, value)


def _set_keep_log(policy: Policy, name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise JobTypeError(
            f"keep_log must be a number of bytes, got {repr_of(value)}; 0 means that no log is kept"
        )
    if not 0 <= value <= LONGEST_LOG:
        raise JobValueError(
            f"keep_log must be a number of bytes from 0 to {LONGEST_LOG}, got {repr_of(value)}; write longer logs to a file"
        )
    policy.keep_log = int(value)
    Policy.some_keep_log = Policy.some_keep_log or value > 0


def check_log(policy: Policy, longest: int) -> None:
    """Refuse a policy that has longer logs kept than a store can keep.

    :param longest: the longest log of the store (bytes)
    :raises JobValueError: if that is so
    """
    if policy.keep_log > longest:
        raise JobValueError(
            f"keep_log must be a number of bytes from 0 to {longest} in this job store, got {policy.keep_log}; write longer logs "
            f"to a file, or keep the job in another store"
        )


def _set_on_lost(policy: Policy, name: str, value: object) -> None:
    if not isinstance(value, str) or value not in ON_LOST:
        raise JobValueError(f'on_lost must be "rerun" or "lost", got {repr_of(value)}')
    policy.on_lost = str(value)


def _set_on_failure(policy: Policy, name: str, value: object) -> None:
    if value is None:
        policy.on_failure = None
        return
    from .handlers import checked_handler  # import time: most jobs have none

    policy.on_failure = checked_handler(value)
    Policy.some_tell = True


def _set_retry(policy: Policy, name: str, value: object) -> None:
    if value is None or value is False:
        policy.retry = None
        return
    from .retry import Retry  # import time: most jobs have none

    if value is not True and not isinstance(value, Retry):
        raise JobTypeError(
            f"retry must be None, True or a Retry, got {repr_of(value)}; write retry=True, or retry=Retry(wait_initial=60)"
        )
    policy.retry = value if isinstance(value, Retry) else Retry()
    Policy.some_retry = True


def _set_overlap(policy: Policy, name: str, value: object) -> None:
    if not isinstance(value, str) or value not in OVERLAPS:
        words = ", ".join(f'"{word}"' for word in OVERLAPS)
        raise JobValueError(f"overlap must be one of {words}, got {repr_of(value)}")
    policy.overlap = str(value)


def _set_pause_on_failure(policy: Policy, name: str, value: object) -> None:
    if not isinstance(value, int):
        raise JobTypeError(
            f"pause_on_failure must be False, True or a number of failures, got {repr_of(value)}; "
            f"True pauses the job after the first one, 3 after three in a row"
        )
    if value < 0 or value > MOST_FAILURES or (value == 0 and value is not False):
        raise JobValueError(
            f"pause_on_failure must be False, True or a number from 1 to {MOST_FAILURES}, got {repr_of(value)}; "
            f"False never pauses the job"
        )
    policy.pause_on_failure = int(value)
    Policy.some_pause = Policy.some_pause or policy.pause_on_failure > 0


_SETTERS = {
    "misfire_grace_time": _set_misfire_grace,
    "coalesce": _set_coalesce,
    "max_instances": _set_max_instances,
    "expires": _set_expires,
    "on_lost": _set_on_lost,
    "max_attempts": _set_max_attempts,
    "keep_log": _set_keep_log,
    "timeout": _set_timeout,
    "heartbeat_timeout": _set_heartbeat_timeout,
    "on_failure": _set_on_failure,
    "retry": _set_retry,
    "overlap": _set_overlap,
    "pause_on_failure": _set_pause_on_failure,
}
