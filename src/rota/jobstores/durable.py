"""What all durable stores of Rota have in common: whether they are started, and whether what they lead to is still the same.

Asks no server.
"""

from __future__ import annotations

from ..errors import StoreNotStartedError
from ..interrupts import is_interrupt
from .base import BaseJobStore
from .identity import Identity, replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..errors import StoreReplacedError
    from ..job import Job
    from ..jobcodec import JobFormat


class DurableJobStore(BaseJobStore):
    """Base of the durable stores that come with Rota.

    A store that was emptied, put back from a backup, moved away or replaced raises in every call until it is opened anew:
    :meth:`reopen` does that, called by the scheduler that holds a lease in it. If nobody does, the next call does.
    """

    durable = True

    _started = False
    _format: JobFormat
    _identity: Identity
    #: what was noticed of a store that is not the one that was opened; None as long as it is
    _change: str | None = None

    def _check_started(self) -> None:
        """Refuse calls of a store that is not started, or that is not the one any more that was opened.

        :raises StoreNotStartedError, StoreReplacedError: saying what is to be done
        """
        if not self._started:
            raise StoreNotStartedError(
                f"{self!r} is not started; its scheduler starts it, or call start(None, 'default') to use it alone"
            )
        if self._change is not None:
            if self._identity.is_watched:
                raise self._replaced(self._change)
            self.reopen()

    @property
    def pickle_protocol(self) -> int:
        """The protocol of pickles, for programs that pickle by themselves; ours are used only with ``serializer="pickle"``."""
        return self._format.protocol

    def _reconstitute_job(self, job_state: bytes) -> Job:
        """Return the job of what was stored: for programs that override it, and change the job that super() returns."""
        from ..compat.stores import reconstituted  # rare

        return reconstituted(self, job_state)

    def _replaced(self, change: str) -> StoreReplacedError:
        """Take note that the store is not the one that was opened; return the error that says so."""
        self._change = change
        return replaced(change, repr(self))

    def _tell_of_earlier_jobs(self) -> None:
        """Warn of jobs that APScheduler has left where this store has just been made; whatever goes wrong, the start goes on."""
        try:
            said = self._earlier_jobs()
        except BaseException as exc:  # nobody may look there, for instance
            if is_interrupt(exc):
                raise
            return
        if said is not None:
            self._log.warning("%s", said)

    def _earlier_jobs(self) -> str | None:
        """Return what to say of jobs that APScheduler keeps at the same place, None if there are none."""
        return None

    def _opened(self, identity: str) -> None:
        """Take note of the store that was opened."""
        self._identity.opened(identity)
        self._change = None
