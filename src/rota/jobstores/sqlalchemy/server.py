"""The database of the SQL store: transactions that are repeated where that helps, and errors in Rota's words.

Knows no table. What databases do differently is in ``databases``.
"""

from __future__ import annotations

from contextlib import contextmanager

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    TimeoutError,
)

from ...clock import SECOND, SYSTEM_CLOCK
from ...errors import HeldRowsError, JobValueError, StoreError, StoreUnavailableError
from .connections import Connections
from .engines import database_of, make_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeVar

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

    Result = TypeVar("Result")

#: How often a transaction that loses against other transactions is tried.
TRIES = 10
#: How often a call of the user is tried while another transaction holds a row: MySQL waits a second each time.
PATIENCE = 50
#: For so long (microseconds) a database that is locked is no error of the steps of the scheduler: other processes write, too.
USUAL = 5 * SECOND


class Server:
    """An engine, and how this store reads and writes through it.

    :param url: database URL; the store makes and disposes of the engine
    :param engine: an engine of the application, used instead; it is neither changed nor disposed of
    :param options: more options for create_engine()
    :raises ConfigurationError: if the store cannot use them
    """

    def __init__(
        self,
        url: str | URL | None = None,
        engine: Engine | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._own = engine is None
        #: since when steps of the scheduler have found the database locked by somebody else (monotonic microseconds)
        self._locked_since: int | None = None
        #: whether connections come in a transaction mode that the store did not choose
        self._foreign = engine is not None or "isolation_level" in (options or {})
        if engine is None:
            engine = make_engine(url, options or {})
        self.database = database_of(engine)
        if self._own:
            self.database.prepare(engine)
        #: the engine that the store shows to applications
        self.lent: Engine = engine
        self.engine: Engine = engine if self._foreign else self.database.for_steps(engine)
        self.connections = Connections(self.engine, self.database, self._own, options or {})
        #: makes texts readable that the driver cannot decode, inside a transaction
        self.repair: Callable[[Connection], None] | None = None
        # SQLite's own connections are in this mode from the beginning.
        self._single: Callable[[], Any]
        if self.database.one_writer and not self._foreign:
            self._single = self.connections.connected
        elif self.database.commits_by_itself(self.connections.keeps_one):
            self._single = self.connections.autocommitting
        else:
            self._single = self._writing

    @property
    def address(self) -> str:
        """The URL without its password."""
        return self.connections.address

    def warm_up(self) -> None:
        """Make the first transactions as fast as the later ones, if the engine is the store's own."""
        if self._own:
            self._repeated(self.database.warm_up, self.connections.connected)

    def write_back(self) -> bool:
        """Bring what was committed into the file itself, where a commit would do so now and then: in a step of its own.

        :return: whether that was tried; False: the database needs nothing of that kind, or the engine is the application's
        """
        return self._own and self._repeated(self.database.write_back, self.connections.connected)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work(connection)`` returns; it only reads, and may be called again if the connection was cut.

        :raises StoreUnavailableError, StoreError, JobValueError: what the database said
        """
        return self._repeated(work, self.connections.reading)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work(connection)`` returns, in one transaction: committed at the end, rolled back if an exception comes.

        It is called again if the transaction lost against another one, or if the connection was cut before the commit. If it is
        cut during the commit, nobody knows whether that was done, and the error says so.

        :raises IntegrityError: if a row exists already; the caller knows what it means
        :raises StoreUnavailableError, StoreError, JobValueError: what the database said
        """
        return self._repeated(work, self._writing)

    def step(self, work: Callable[[Connection], Result]) -> Result:
        """Like :meth:`write` for a step of the scheduler, which does not wait for rows that somebody else holds.

        :raises HeldRowsError: if somebody holds a row
        """
        return self._repeated(work, self._writing_impatiently, False)

    def write_at_once(self, work: Callable[[Connection], Result]) -> Result:
        """Like :meth:`write` for a single statement, which is a transaction by itself where the connection is in that mode.

        On a server that saves round trips, and in SQLite two statements out of three. The statement may be executed twice if the
        connection is cut, and the caller must be able to tell.
        """
        return self._repeated(work, self._single)

    # -- repeating -----------------------------------------------------------------------------------------------

    def _repeated(
        self,
        work: Callable[[Connection], Result],
        transaction: Callable[[], Any],
        patient: bool = True,
    ) -> Result:
        """Return what ``work(connection)`` returns inside a transaction, which is repeated as long as that helps.

        :param patient: whether to wait for rows or a lock that somebody else holds
        """
        tries = waits = 0
        repair = self.repair
        while True:
            finished = False
            try:
                with transaction() as conn:
                    result = work(conn)
                    finished = True
                return result
            except IntegrityError:
                raise
            except (DBAPIError, TimeoutError) as exc:
                if repair is not None and isinstance(exc, DBAPIError) and self.database.is_undecodable(exc):
                    with self._writing() as conn:
                        repair(conn)
                    repair = None
                    continue
                if not finished and self._may_wait_again(exc, patient, waits + 1):
                    waits += 1
                    continue
                tries += 1
                if not finished:
                    self.connections.check_kept_log()  # if the log was removed, new connections fail
                if not self._may_repeat(exc, finished, tries):
                    raise self._translated(exc) from exc

    def _may_wait_again(self, exc: DBAPIError | TimeoutError, patient: bool, waits: int) -> bool:
        """Whether to wait once more for rows or a lock that somebody else holds.

        :param waits: how often they were waited for, this time included
        :raises HeldRowsError: if this is a step of the scheduler, which does not wait
        """
        if self._own and self.database.is_locked(exc):
            if patient:
                return self.database.may_wait_again(self.engine, waits, self.address)
            self._give_way(exc)  # waiting would hold up the jobs of other stores
        elif isinstance(exc, DBAPIError) and self.database.is_held(exc):
            if patient:
                return waits < PATIENCE
            raise HeldRowsError(f"The database {self.address}: rows are held by others") from exc
        return False

    def _give_way(self, exc: BaseException) -> None:
        """Take note that a step has found the database locked.

        :raises HeldRowsError: unless it has been locked for long
        """
        now = SYSTEM_CLOCK.monotonic()
        if self._locked_since is None:
            self._locked_since = now
        if now - self._locked_since < USUAL:
            raise HeldRowsError(f"The database {self.address} is locked by another writer") from exc

    def _may_repeat(self, exc: DBAPIError | TimeoutError, finished: bool, tries: int) -> bool:
        if tries >= TRIES or isinstance(exc, TimeoutError) or self.database.is_too_long(exc):
            return False
        # A pooled connection may have been cut long ago; the pool throws away all of that age, so the next one is new.
        cut = exc.connection_invalidated and not finished and tries == 1
        return cut or self.database.is_transient(exc)

    # -- transactions --------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with (
            self.connections.connected() as plain,
            self.database.transaction(plain, self._foreign) as conn,
        ):
            yield conn

    @contextmanager
    def _writing_impatiently(self) -> Iterator[Connection]:
        database = self.database
        with self.connections.connected() as plain:
            if self._locked_since is not None:
                with (
                    database.waiting_shortly(plain),
                    database.transaction(plain, self._foreign, False) as conn,
                ):
                    self._locked_since = None
                    yield conn
            else:
                with database.transaction(plain, self._foreign, False) as conn:
                    yield conn

    # -- errors --------------------------------------------------------------------------------------------------

    def _translated(self, exc: DBAPIError | TimeoutError) -> Exception:
        """Return an error of the database in Rota's words."""
        cause = str(getattr(exc, "orig", None) or exc)
        password = self.engine.url.password
        if password:
            cause = cause.replace(str(password), "***")
        if self.database.is_too_long(exc):
            return JobValueError(
                f"The database {self.address} takes no value as long as this one: see max_allowed_packet"
            )
        if isinstance(exc, DataError) or (isinstance(exc, DBAPIError) and self.database.refuses_value(exc)):
            return JobValueError(f"The database {self.address} refused a value: {cause}")
        if isinstance(exc, TimeoutError) or _is_environmental(exc):
            why = self.database.why_unavailable(self.engine, exc)
            return StoreUnavailableError(f"The database {self.address} cannot be used now: {cause}{why}")
        remedy = self.database.remedy_for(exc)
        return StoreError(f"The database {self.address} refused a statement: {cause}{remedy}")


def _is_environmental(exc: DBAPIError) -> bool:
    return exc.connection_invalidated or isinstance(exc, (OperationalError, InterfaceError, InternalError))
