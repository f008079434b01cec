"""What is done about claims and ends that a store refuses, as with damaged data: each is tried by itself.

It asks the store, and says what became of it; the engine hands out runs.
"""

from __future__ import annotations

from ..core.plan import quarantine
from ..errors import HeldRowsError, StoreError, StoreNotStartedError, StoreReplacedError
from ..interrupts import is_interrupt
from ..texts import error_text, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from typing import Any

    from ..core.plan import Decision
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger

#: After so many jobs of which a store takes neither the claim nor the quarantine, with nothing in between, it is asked no further.
GIVE_UP = 3
#: After so many runs that a store refuses even without what their jobs brought, the store is at fault, not the runs.
MOST_REFUSED = 3
#: How the reason begins of a run whose end was refused with what its job has brought.
NOT_ALL = "not all of it could be recorded: "


def is_of_store(exc: BaseException) -> bool:
    """Whether an error speaks of the store, not of what it was given."""
    return issubclass(type(exc), (OSError, StoreError)) or _is_of_database(exc)


def _is_of_database(exc: BaseException) -> bool:
    """Whether an error of somebody else's store says that its database cannot be asked, as one that is locked (PEP 249)."""
    return any(base.__name__ in ("OperationalError", "InterfaceError") for base in type(exc).__mro__)


def claim_singly(
    store: BaseJobStore,
    decisions: Sequence[Decision],
    node: str,
    now: int,
    error: BaseException,
    known: Container[str] = (),
    logger: GuardedLogger | None = None,
) -> tuple[list[Decision], BaseException | None]:
    """Claim decisions one by one, as the store refuses them together; a job whose claim it refuses is quarantined, and says why.

    :param error: what the store said of all of them; if it speaks of the store, nothing is asked again
    :param known: the ids of jobs that could not be claimed before: they tell nothing new of the store
    :param logger: who is told of jobs that can be neither claimed nor quarantined
    :return: the decisions that were carried out, those to quarantine a job among them, and the error that is left: what speaks of
        the store, not of one job
    """
    won: list[Decision] = []
    left = error if is_of_store(error) else None
    failures = 0
    for decision in decisions if left is None else ():
        refusal: BaseException | None = error
        if len(decisions) > 1:
            refusal = _try(store, decision, node, now, won)
        if refusal is not None and not is_of_store(refusal):
            reason = f"the store refuses its claim: {shortened(error_text(refusal), 500)}"
            refusal = _try(store, quarantine(decision.job, reason), node, now, won)
        if refusal is None:
            failures = 0
            continue
        failures += decision.job.id not in known
        if is_of_store(refusal) or failures == GIVE_UP:
            left = refusal
            break
        if logger is not None and decision.job.id not in known:
            trouble = 'Job "%s" can neither be claimed nor quarantined: %s. This is tried again after pauses'
            logger.error(trouble, decision.job.id, error_text(refusal))
    return won, left


def _try(
    store: BaseJobStore, decision: Decision, node: str, now: int, won: list[Decision]
) -> BaseException | None:
    """Claim one decision, and add it to those that were; return what the store raises instead."""
    try:
        won += store.claim([decision], node, now)
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        return exc
    return None


def finish_singly(
    store: BaseJobStore, runs: Sequence[Run], error: BaseException, logger: GuardedLogger
) -> tuple[dict[Run, None], list[Run], BaseException | None]:
    """Write each run by itself, as the store does not take all of them; a run that it refuses gets an end that says why.

    A store that is away takes none of them, and is not asked for each.

    :param error: what the store said of all of them
    :return: the runs that are written, those of them that were refused by their fence, and the error that ended it
    """
    written: dict[Run, None] = {}
    refused: list[Run] = []
    if is_away(error):
        return written, refused, error
    now = store.now()
    failure: BaseException | None = None
    failures = 0
    for run in runs:
        is_known = _is_bare(run)  # it was refused before, and tells nothing new of the store
        try:
            refused += _finish_one(store, run, now, logger)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            failure = exc
            failures += not is_known
            if failures >= MOST_REFUSED or is_away(exc):
                break
            continue
        written[run] = None
    return written, refused, failure


def _finish_one(store: BaseJobStore, run: Run, now: int, logger: GuardedLogger) -> Sequence[Run]:
    try:
        return store.finish([run], now)
    except BaseException as exc:
        if is_interrupt(exc) or is_away(exc) or _is_bare(run):
            raise
        logger.error("The end of %r cannot be written as it is: %s", run, error_text(exc))
        run.retval = run.kept = run.traceback = None
        if run.error_type is not None:
            run.error_type, run.error = "Exception", "its text cannot be written"
        run.reason = f"{NOT_ALL}{ascii(shortened(error_text(exc), 500))[1:-1]}"
        return store.finish([run], now)


def _is_bare(run: Run) -> bool:
    """Whether nothing is left of what the job of an ended run has brought, as its end was refused with that."""
    return run.reason is not None and run.reason.startswith(NOT_ALL)


def set_aside(
    runs: Sequence[Run], written: Container[Run], error: BaseException | None
) -> tuple[list[Run], list[Run], BaseException | None]:
    """Decide what becomes of the ended runs that :func:`finish_singly` has not written.

    Those that were refused by themselves hold up no others: they are tried again after pauses. A store that has taken none, and has
    refused many, is at fault.

    :param error: what it said last
    :return: the runs that are set aside, those that are written with the next batch, and the error that is left
    """
    left = [run for run in runs if run not in written]
    if error is None or is_away(error):
        return [], left, error
    refused = [run for run in left if _is_bare(run)]
    if len(refused) < len(left) == len(runs):
        return [], left, error
    return refused, [run for run in left if not _is_bare(run)], None


def note_refusal(exc: BaseException, logger: GuardedLogger, trouble: str, *about: object) -> None:
    """Log what a store refuses of one job or run, so that it costs no other one. What somebody holds is tried again without a word.

    :param trouble: what has not been done, with places for ``about`` and, the last one, for what was raised
    :raises BaseException: what was raised, if it speaks of the store
    """
    if is_interrupt(exc) or (is_away(exc) and not isinstance(exc, HeldRowsError)):
        raise exc
    say = logger.debug if isinstance(exc, HeldRowsError) else logger.error
    say(trouble, *about, error_text(exc))


def each_by_itself(
    step: Callable[[Sequence[Any]], object],
    things: Sequence[Any],
    error: BaseException,
    logger: GuardedLogger,
    trouble: str,
) -> None:
    """Do a step for each of some things, as the store refuses it for all of them together; what it refuses of one is logged.

    :param error: what it has said of all of them
    :param trouble: what has not been done, with a place for one of them and one for what was raised
    :raises BaseException: what was raised, if it speaks of the store
    """
    if is_interrupt(error) or is_away(error):
        raise error
    in_a_row = 0
    for thing in things:
        refusal: BaseException | None = error
        if len(things) > 1:
            refusal = None
            try:
                step([thing])
            except BaseException as exc:
                refusal = exc
        if refusal is None:
            in_a_row = 0
            continue
        note_refusal(refusal, logger, trouble, thing)
        in_a_row += 1
        if in_a_row == MOST_REFUSED:  # the store is at fault: the rest is left as it is
            return


def is_away(exc: BaseException) -> bool:
    """Whether an error speaks of the store, not of what it was given."""
    away = (OSError, StoreNotStartedError, HeldRowsError, StoreReplacedError)
    return issubclass(type(exc), away) or _is_of_database(exc)
