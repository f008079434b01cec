"""Every error that Rota raises, in one tree.

May not import anything of Rota. Each class also derives from what APScheduler 3 raises in the same place::

    RotaError
    ├── ConfigurationError (ValueError)          an option of a scheduler, store or executor is wrong
    │   ├── UnknownOptionError (TypeError)       no such option; the message suggests the nearest name
    │   ├── OptionTypeError (TypeError)          an option has the wrong type
    │   ├── AliasInUseError                      an alias is given twice
    │   └── UnknownTimezoneError (KeyError)      no such time zone
    ├── QueryError (ValueError)                  what is asked of the ledger makes no sense: a word, a bound, a cursor
    ├── UnknownAliasError (KeyError)             no store, executor or plug-in of that name
    ├── MissingExtraError (ImportError)          an optional dependency is not installed
    ├── PackageLoadedError (RuntimeError)        APScheduler itself is loaded, so its name cannot mean Rota
    ├── TriggerError (ValueError)                a trigger's parameters are wrong
    │   ├── TriggerTypeError (TypeError)         a parameter of a trigger has the wrong type
    │   ├── CronError                            a cron expression is wrong: field, item and column
    │   └── NeverFiresError                      the trigger is well formed but has no fire time at all
    ├── InvalidJobError                          a job is refused before anything is stored
    │   ├── JobTypeError (TypeError)             an attribute has the wrong type
    │   ├── JobValueError (ValueError)           an attribute has a value out of range
    │   ├── UnknownAttributeError (AttributeError)
    │   ├── CallableReferenceError (ValueError)  the callable has no importable name
    │   │   └── CallableMismatchError            its name leads to another callable
    │   ├── CallableLookupError (LookupError)    a textual reference leads nowhere
    │   ├── CallableNotAllowedError (ValueError) the callable is not among the allowed_callables
    │   ├── ArgumentMismatchError (ValueError)   arguments do not fit the callable's signature
    │   └── ResourceMissingError (LookupError)   the scheduler has no resource of the name that the callable asks for
    ├── SerializationError (ValueError, TypeError)  a value does not fit the store's format
    ├── DeserializationError (ValueError)        stored data cannot be restored (it is kept)
    ├── JobLookupError (KeyError)                no job of that id
    ├── ConflictingIdError (KeyError)            a job of that id exists
    ├── TransientJobError (ValueError)           the job cannot be kept in a durable store
    ├── SchedulerAlreadyRunningError, SchedulerNotRunningError, ShutdownTimeoutError (TimeoutError)
    ├── MaxInstancesReachedError                 as APScheduler's
    ├── RunNotInHandError (RuntimeError)         cancel() or wait() of what is only a record of a run
    ├── NoResultError (RuntimeError)             result() of a run that has not succeeded
    │   └── RunFailedError                       … as it has failed in another process
    │       └── RunTimedOutError                 … as it has taken longer than its time-out
    ├── RunTimeoutError (TimeoutError)           a run has not ended within the timeout of result()
    ├── WouldBlockError (RuntimeError)           a wait for a run would never end, or block a loop
    ├── NoCurrentRunError (RuntimeError)         current_run() outside a run
    ├── NoEventLoopError (RuntimeError)          a scheduler on a loop is started where there is none
    ├── WorkerProcessError (RuntimeError)        a worker process cannot start, or its exception cannot be brought back
    ├── MiddlewareError (RuntimeError)           a middleware raised, or suppressed an error
    ├── CommandError (RuntimeError)              a command that a job runs did not exit with 0
    └── StoreError
        ├── HeldRowsError                        somebody holds rows that a step of a scheduler is to change
        ├── StoreInUseError (RuntimeError)       one store object, two schedulers
        ├── StoreNotStartedError (RuntimeError)  the store is used before start() or after shutdown()
        ├── StoreUnavailableError (ConnectionError)
        ├── StoreReplacedError (RuntimeError)    the store was emptied, put back from a backup, or replaced while it was open
        ├── StoreConflictError (RuntimeError)    a job was changed by others again and again
        └── SchemaError (RuntimeError)           the stored schema is not one that this version knows
"""

from __future__ import annotations

from .texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class RotaError(Exception):
    """Base class of all errors of Rota."""

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return Exception.__str__(self)


class ConfigurationError(RotaError, ValueError):
    """An option of a scheduler, job store or executor is wrong."""


class UnknownOptionError(ConfigurationError, TypeError):
    """An option name that does not exist; the message suggests the nearest one."""


class OptionTypeError(ConfigurationError, TypeError):
    """An option has the wrong type."""


class AliasInUseError(ConfigurationError):
    """A job store or executor alias is given twice."""


class UnknownTimezoneError(ConfigurationError, KeyError):
    """A time zone name that the tz database does not have."""


class QueryError(RotaError, ValueError):
    """What is asked of jobs and records makes no sense: an unknown word, a bound out of range, the cursor of another query."""


class UnknownAliasError(RotaError, KeyError):
    """No job store, executor or plug-in goes by that name."""


class MissingExtraError(RotaError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: install it with  pip install 'rota[{extra}]'")


class PackageLoadedError(RotaError, RuntimeError):
    """APScheduler itself is loaded in this process already, so that its name cannot mean Rota any more."""

    def __init__(self, package: str, where: str | None) -> None:
        super().__init__(
            f"rota.as_apscheduler must be imported before {package}, got a process in which it is loaded already "
            f"(from {where}); put the import first in the program, or run it with  python -m rota.as_apscheduler program.py"
        )


class TriggerError(RotaError, ValueError):
    """The parameters of a trigger are wrong."""


class TriggerTypeError(TriggerError, TypeError):
    """A parameter of a trigger has the wrong type."""


class CronError(TriggerError):
    """A cron expression is wrong; ``field``, ``item`` and ``column`` tell where."""

    def __init__(
        self, message: str, *, field: str | None = None, item: str | None = None, column: int | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.item = item
        self.column = column


class NeverFiresError(TriggerError):
    """The trigger is well formed but no time ever matches it, whatever the year (30 February)."""


class TooMuchWorkError(TriggerError):
    """A trigger takes more steps to find its times than one call may; steps are counted, so it is so on every machine."""


class InvalidJobError(RotaError):
    """A job is refused before anything is stored."""


class JobTypeError(InvalidJobError, TypeError):
    """An attribute of a job has the wrong type."""


class JobValueError(InvalidJobError, ValueError):
    """An attribute of a job has a value that is out of range."""


class ChainError(JobValueError):
    """A job cannot be started by the ends of that other job: a circle, too many, too long, or not the same store."""


class UnknownAttributeError(InvalidJobError, AttributeError):
    """An attribute that jobs do not have."""


class CallableReferenceError(InvalidJobError, ValueError):
    """The callable has no name under which another process could import it."""


class CallableMismatchError(CallableReferenceError):
    """The callable's name leads to another one, or nowhere: a durable store would not run what it was given."""


#: How the messages of that error begin: a job that was quarantined for it is not healed by reading it anew.
MISNAMED = "func must be what its name leads to"


class CallableLookupError(InvalidJobError, LookupError):
    """A textual reference (``module:qualname``) leads nowhere."""


class CallableNotAllowedError(InvalidJobError, ValueError):
    """The callable of a job is not among the ``allowed_callables`` of the scheduler."""


class ArgumentMismatchError(InvalidJobError, ValueError):
    """The arguments do not fit the signature of the callable."""


class ResourceMissingError(InvalidJobError, LookupError):
    """The callable of a job asks for a resource that the scheduler, or a worker process, does not have."""

    def __init__(self, name: str, remedy: str | None = None) -> None:
        """:param remedy: what to do about it"""
        super().__init__(
            f"There is no resource {name!r} here; " + (remedy or f"set scheduler.resources[{name!r}] first")
        )
        self.name = name

    def __reduce__(self) -> Any:
        return _resource_missing, (self.name, self.args)


def in_workers(name: str) -> str:
    """Return what to do about a resource that worker processes lack."""
    return f"a worker process makes its own: set scheduler.resources.in_workers[{name!r}] to a function that returns it"


def _resource_missing(name: str, args: tuple[Any, ...]) -> ResourceMissingError:
    error = ResourceMissingError(name)
    error.args = args
    return error


class SerializationError(RotaError, ValueError, TypeError):
    """A value does not fit the store's format; the message gives its path and type."""


class DeserializationError(RotaError, ValueError):
    """Stored data cannot be restored; it is kept as it is."""


class JobLookupError(RotaError, KeyError):
    """No job of that id is found (raised by look-ups, changes and removals)."""

    def __init__(self, job_id: str, hint: str = "") -> None:
        """:param hint: what was probably meant, as the end of the message"""
        super().__init__(f"No job by the id of {job_id} was found{hint}")
        self.job_id = job_id


class ConflictingIdError(RotaError, KeyError):
    """A job of that id exists already; where several are added at once, ``job_ids`` are all ids of which that is so."""

    def __init__(self, job_id: str, *more: str) -> None:
        self.job_ids = (job_id, *more)
        listed = ", ".join(self.job_ids[:10]) + (f" and {len(more) - 9} more" if len(more) > 9 else "")
        super().__init__(
            f"Job identifier ({listed}) conflicts with an existing job; "
            f"pass replace_existing=True to replace it, or give another id"
        )
        self.job_id = job_id


class TransientJobError(RotaError, ValueError):
    """The job's callable has no importable name, so a durable store cannot keep it."""

    def __init__(self, job_id: str, func: object = None, remedy: str | None = None) -> None:
        what = "the callable" if func is None else repr_of(func)
        super().__init__(
            f'Job "{job_id}" cannot be added to this job store because a reference to {what} could not be determined; '
            + (remedy or "use a module-level function, a textual reference (module:name)")
            + ", or use the memory store"
        )
        self.job_id = job_id


class IllegalTransitionError(RotaError, RuntimeError):
    """A job or run was to come into a state that may not follow its state; a fault of Rota or of a store, told by tests only."""


class SchedulerAlreadyRunningError(RotaError):
    """start() or configure() was called on a scheduler that is running."""

    def __str__(self) -> str:
        return Exception.__str__(self) or "Scheduler is already running; call shutdown() first"


class SchedulerNotRunningError(RotaError):
    """An operation that needs a running scheduler was called on a stopped one."""

    def __str__(self) -> str:
        return Exception.__str__(self) or "Scheduler is not running; call start() first"


class ShutdownTimeoutError(RotaError, TimeoutError):
    """Runs were still under way when the time given to shutdown() was over."""


class MaxInstancesReachedError(RotaError):
    """The job runs as many times at once as it may."""

    def __init__(self, job: object) -> None:
        super().__init__(
            f'Job "{getattr(job, "id", job)}" has already reached its maximum number of instances '
            f"({getattr(job, 'max_instances', '?')})"
        )


class RunNotInHandError(RotaError, RuntimeError):
    """cancel() or wait() was called on the record of a run, which is under way elsewhere or waits to be taken."""

    def __init__(self, run_id: str, what: str, remedy: str) -> None:
        """:param what: what it cannot be: "cancelled"
        :param remedy: what to do instead"""
        super().__init__(
            f"The run {run_id} cannot be {what} by this object: this is its record in a durable store, as get_runs() returns it, "
            f"and not the run in the hands of the process that carries it out; {remedy}"
        )


class NoResultError(RotaError, RuntimeError):
    """The run whose result was asked for has ended without one: missed, skipped, cancelled or lost; or its record is gone.

    :ivar run: the run
    """

    def __init__(self, run: Any, how: str) -> None:
        """:param how: how it ended"""
        super().__init__(f"The run {run.id} {how}")
        self.run = run


class RunFailedError(NoResultError):
    """The run whose result was asked for has failed, in another process or long ago; ``run.traceback`` tells where.

    :ivar run: the run
    """


class RunTimedOutError(RunFailedError):
    """A run has taken longer than its ``timeout``, or has said nothing for its ``heartbeat_timeout``.

    :ivar run: the run
    """


class RunTimeoutError(RotaError, TimeoutError):
    """A run had not ended when the time given to result() was over."""

    def __init__(self, run: Any, timeout: float | None) -> None:
        super().__init__(f"The run {run.id} has not ended within {timeout} seconds; it is {run.status}")
        self.run = run


class WouldBlockError(RotaError, RuntimeError):
    """Waiting for a run here would block an event loop, or never end; the message says what to do instead."""

    def __init__(self, run: Any, why: str) -> None:
        super().__init__(f"Waiting for the run {run.id} {why}")


class NoCurrentRunError(RotaError, RuntimeError):
    """current_run() was called outside a run."""


class HeartbeatError(RotaError, ValueError, TypeError):
    """What a run says of itself is no progress, or no note."""


class NoEventLoopError(RotaError, RuntimeError):
    """A scheduler that lives on an event loop is started where there is none."""


class WorkerProcessError(RotaError, RuntimeError):
    """A worker process cannot start, or a job raised something in it that cannot be brought back."""


class MiddlewareError(RotaError, RuntimeError):
    """A middleware raised, suppressed the error of a job, or returned no context manager; the message says which, and when.

    ``__cause__`` is what was raised.
    """


class RunOutcome(RotaError):
    """Raised inside a job to say how its run goes on or ends, see :mod:`rota.outcomes`; no failure, but for RetryAfter."""


class CommandError(RotaError, RuntimeError):
    """A command that a job runs (:mod:`rota.commands`) did not exit with 0; the message ends with its last output."""


class CommandStoppedError(CommandError):
    """A command was ended by :func:`rota.commands.stop_commands`: its run is recorded as cancelled, with this text as reason."""


class StoreError(RotaError):
    """Something is wrong with a job store."""


class StoreInUseError(StoreError, RuntimeError):
    """A job store object is attached to two schedulers; make one object for each (they may share the database)."""


class StoreNotStartedError(StoreError, RuntimeError):
    """A job store is used before start() or after shutdown()."""


class StoreUnavailableError(StoreError, ConnectionError):
    """The store's server or file cannot be reached."""


class StoreReplacedError(StoreError, RuntimeError):
    """The store was emptied, put back from a backup, moved away or replaced while it was open; the scheduler opens it anew.

    :ivar str change: "emptied", "restored", "replaced" or "moved"
    """

    def __init__(self, message: str, change: str) -> None:
        super().__init__(message)
        self.change = change


class StoreConflictError(StoreError, RuntimeError):
    """A job was changed by others each time a change was tried."""


class HeldRowsError(StoreError):
    """Somebody holds rows that a step of a scheduler is to change; it waits for nobody, and is tried again later.

    :param runs: the ended runs that are not recorded, if that was to be done; the others are
    :param refused: those of the others that were refused: their fence is not the store's any more
    """

    def __init__(self, message: str, runs: Sequence[Any] = (), refused: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.runs = runs
        self.refused = refused


class SchemaError(StoreError, RuntimeError):
    """The stored schema is not one that this version of Rota knows."""
