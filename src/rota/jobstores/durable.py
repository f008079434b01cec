"""What all durable stores of Rota have in common: options, opening and reopening, the zone, the server's clock, retention.

It asks no server; each store says how it is opened and what its server's clock shows.
"""

from __future__ import annotations

from ..clock import FIRST_SHOWN, MINUTE, moment
from ..compat.absent import OWN_STORE
from ..errors import ConfigurationError, StoreNotStartedError
from ..interrupts import is_interrupt
from .base import BaseJobStore
from .identity import Identity, replaced
from .retention import Retention, retention_of
from .server_clock import Offset, time_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..clock import Clock
    from ..codec.jobs import JobFormat
    from ..errors import StoreReplacedError
    from ..job.handle import Job

#: Other processes are told of jobs that are due within this time (microseconds); they find all others by themselves.
SOON = MINUTE
#: How often a scheduler looks for changes while it is told of them (seconds); it finds then what it was not told.
INTERVAL_WHILE_LISTENING = 10.0


class DurableJobStore(BaseJobStore):
    """Base of the durable stores that come with Rota.

    A store that was emptied, put back from a backup, moved away or replaced raises in every call until it is opened anew:
    :meth:`reopen` does that, called by the scheduler that holds a lease in it. If no scheduler does, the next call does.

    :param format: how the parts of jobs are written
    :param keep_runs: how many ended runs of each job are kept; None: no bound
    :param keep_days: how many days ended runs are kept; None: no bound
    :param create: whether what is missing may be made, and an older layout migrated
    :raises ConfigurationError: if a bound is wrong
    """

    durable = True
    poll_interval = 1.0

    _started = False
    _format: JobFormat
    _bounds: Retention
    _identity: Identity
    #: what has happened to the store since it was opened, see :mod:`rota.jobstores.identity`; None: nothing
    _change: str | None = None
    #: how far the server's clock is ahead; None: it has none, or the store is not started
    _offset: Offset | None = None

    def __init__(
        self,
        format: JobFormat | None = None,
        keep_runs: int | None = None,
        keep_days: float | None = None,
        create: bool = True,
    ) -> None:
        if format is None:  # as classes do that pass by the store's constructor, to make tables of their own
            raise ConfigurationError(
                f"{type(self).__name__}.__init__() must call that of the job store, got a call of its base's; or {OWN_STORE}"
            )
        self._format = format
        self._bounds = retention_of(keep_runs, keep_days)
        self._create = create
        self._identity = Identity()

    # -- opening -------------------------------------------------------------------------------------------------

    def _begin(self, identity: str, is_new: bool, clock_unit: int | None = 1) -> None:
        """Accept calls from now on: the last step of :meth:`start`.

        :param identity: the identity of the store that was opened
        :param is_new: whether it was just made
        :param clock_unit: the unit (microseconds) to which the server rounds its time down; None: it has no clock of its own
        """
        self._opened(identity)
        self._offset = None if clock_unit is None else Offset(clock_unit)
        self._started = True
        self.measure_clock()
        if is_new and self._format.imports:
            self._tell_of_earlier_jobs()

    def _opened(self, identity: str) -> None:
        """Take note of the store that was opened."""
        self._identity.opened(identity)
        self._change = None

    def _reopened(self, identity: str) -> None:
        """Take note of the store that was opened in place of another one: the last step of :meth:`reopen`."""
        self._bounds.forget()
        self._opened(identity)

    def shutdown(self) -> None:
        """Refuse calls from now on."""
        self._started = False

    def forked(self) -> None:
        """Refuse calls until the store is started again: its connections are the parent's."""
        self._started = False
        super().forked()

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

    def _replaced(self, change: str) -> StoreReplacedError:
        """Take note that the store is not the one that was opened; return the error that says so."""
        self._change = change
        return replaced(change, repr(self))

    # -- jobs of APScheduler -------------------------------------------------------------------------------------

    def _tell_of_earlier_jobs(self) -> None:
        """Warn of jobs of APScheduler at the place where this store was just made; an error does not stop the start."""
        try:
            said = self._earlier_jobs()
        except BaseException as exc:  # no permission to look there, for instance
            if is_interrupt(exc):
                raise
            return
        if said is not None:
            self._log.warning("%s", said)

    def _earlier_jobs(self) -> str | None:
        """Return what to say of jobs that APScheduler keeps at the same place, None if there are none."""
        return None

    @property
    def pickle_protocol(self) -> int:
        """The protocol of pickles, for programs that pickle by themselves; ours are used only with ``serializer="pickle"``."""
        return self._format.protocol

    @pickle_protocol.setter
    def pickle_protocol(self, protocol: int) -> None:
        self._format.protocol = protocol

    def _reconstitute_job(self, job_state: bytes) -> Job:
        """Return the job of what was stored: for programs that override it, and change the job that super() returns."""
        from ..compat.stored_state import reconstituted  # rare

        return reconstituted(self, job_state)

    # -- the clock and the zone ----------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the current instant by the server's clock if it has one; see the port."""
        offset = self._offset
        try:
            clock: Clock = self._scheduler.clock
        except AttributeError:
            clock = self.clock
        return clock.now() if offset is None else offset.now(clock)

    @property
    def clock_offset(self) -> int | None:
        """By how many microseconds the server's clock is ahead of this node's; None if there is none, or it was not measured."""
        offset = self._offset
        return None if offset is None else offset.against(self.clock)

    def _measure(self, ask: Callable[[], int | None]) -> int:
        """Compare the server's clock with this node's; a virtual clock is the server's, too.

        :param ask: returns the server's time (instant), None if it cannot tell
        :return: by how many microseconds :meth:`now` has moved
        """
        offset, clock = self._offset, self.clock
        return 0 if offset is None or clock.virtual else offset.measure(ask, clock)

    def _time_from(self, now: int) -> Callable[[], int]:
        """Return a function that returns the instant ``now`` plus the time since this call; see the server's clock."""
        return time_from(self.clock, now)

    def _in_zone(self, time: int | None) -> datetime | None:
        """Return an instant as a datetime in the scheduler's zone."""
        if time is None:
            return None
        timezone = getattr(self._scheduler, "timezone", None)
        return moment(time) if timezone is None else moment(time, timezone)

    # -- telling other processes, and how long records are kept --------------------------------------------------

    def _is_soon(self, due: int | None) -> bool:
        """Whether other processes have to be told of a due time."""
        return due is not None and due <= self.now() + SOON

    def _listening(self, connected: bool) -> None:
        """Look for changes less often while the store is told of other processes' changes."""
        self.poll_interval = INTERVAL_WHILE_LISTENING if connected else type(self).poll_interval

    @property
    def remembers(self) -> int | None:
        """How long records are kept, in microseconds; None: no bound."""
        return self._bounds.age

    def remembers_from(self, job_id: str, now: int) -> int | None:
        """Return the instant from which on the ledger knows of each time of a job; see the port.

        Of a job that has as many records as are kept of one, nobody knows what was before them.
        """
        from ..core.queries import RunQuery  # rare

        age, keep = self._bounds.age, self._bounds.keep
        edge = None if age is None else now - age
        if keep is not None:
            count = self.count_runs(RunQuery(job_ids=job_id))
            if not count.exact or count >= keep:
                known = self.recorded({job_id: FIRST_SHOWN}).get(job_id)
                if known:
                    edge = known[0][0] if edge is None else max(edge, known[0][0])
        return edge


DurableJobStore.has_clock = False  # its now() is another clock only if the server has one
