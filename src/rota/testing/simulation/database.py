"""A database in memory with read-committed snapshots, as PostgreSQL has them: what a statement sees, and which rows it waits for.

It keeps rows and locks; it knows no statement of the claim protocol, and chooses nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import StoreError, StoreUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping
    from typing import Any, TypeAlias

    #: the rows of one table by their keys; never changed in place, so that a snapshot costs nothing
    Table = Mapping[Any, Any]
    #: table and key of a row
    Place = tuple[str, Any]
    #: what a method of a store sends: it yields statements, gets their results, and returns the answer
    Program: TypeAlias = Generator["Statement", Any, Any]

TABLES = ("jobs", "runs", "nodes", "keys")


class Duplicate(Exception):
    """A row of such a key exists already; the transaction is rolled back, to a savepoint if there is one."""


class Waits(Exception):
    """A statement has to wait for another transaction, and is to be executed again when that is over.

    :ivar holder: the number of that transaction
    """

    def __init__(self, holder: int) -> None:
        super().__init__(f"waits for transaction {holder}")
        self.holder = holder


class Deadlock(StoreUnavailableError):
    """Two transactions wait for each other; this one is rolled back."""


class View(NamedTuple):
    """What a statement sees: what was committed when it began, and what its own transaction has written."""

    jobs: Table
    runs: Table
    nodes: Table
    keys: Table


class Read(NamedTuple):
    """A SELECT: the result is what ``work`` makes of the snapshot, which it may not change."""

    work: Callable[[View], Any]


class Change(NamedTuple):
    """An UPDATE, DELETE or SELECT … FOR UPDATE. The result is the list of rows, as they were when they were locked.

    Rows are locked in the order of ``keys``. One that another transaction has changed meanwhile is looked at once more, as it is
    now; one that was not in the snapshot is not found, even if it is there by then.

    :param keys: None: those of all rows that the statement sees; or what returns them from what it sees
    :param where: whether a row is meant
    :param to: returns the new row, None to delete it; None: the rows are only locked
    :param skip_locked: leave out the rows that others have locked, instead of waiting
    """

    table: str
    keys: Iterable[Any] | Callable[[View], Iterable[Any]] | None
    where: Callable[[Any], bool]
    to: Callable[[Any], Any] | None = None
    skip_locked: bool = False


class Insert(NamedTuple):
    """An INSERT of rows that may be made from the snapshot.

    :param rows: returns the rows by their keys
    :param replaces: whether rows of these keys are overwritten: a table without a key
    :param nested: whether it has a savepoint: the transaction goes on if there is a row already
    """

    table: str
    rows: Callable[[View], Mapping[Any, Any]]
    replaces: bool = False
    nested: bool = False


class End(NamedTuple):
    """The end of a transaction; what follows is another one."""

    commits: bool


Statement = Read | Change | Insert | End
COMMIT, ROLLBACK = End(True), End(False)


class Transaction:
    """What one transaction has written; and if one of its statements waits, what that statement saw when it began."""

    __slots__ = ("number", "snapshot", "waits_for", "writes")

    def __init__(self, number: int) -> None:
        self.number = number
        #: by place, None for a deleted row
        self.writes: dict[Place, Any] = {}
        self.snapshot: View | None = None
        #: the number of the transaction that it waits for
        self.waits_for: int | None = None

    def copy(self) -> Transaction:
        """Return a copy that can go its own way."""
        twin = Transaction(self.number)
        twin.writes = dict(self.writes)
        twin.snapshot, twin.waits_for = self.snapshot, self.waits_for
        return twin


class Database:
    """Committed rows, row locks, and the transactions that are open."""

    __slots__ = ("_next", "committed", "locks", "open")

    def __init__(self) -> None:
        self.committed = View({}, {}, {}, {})
        self.locks: dict[Place, int] = {}
        self.open: dict[int, Transaction] = {}
        self._next = 1

    def copy(self) -> Database:
        """Return a copy that can go its own way."""
        twin = Database.__new__(Database)
        twin.committed, twin._next = self.committed, self._next
        twin.locks = dict(self.locks)
        twin.open = {number: transaction.copy() for number, transaction in self.open.items()}
        return twin

    def begin(self) -> Transaction:
        """Begin a transaction."""
        transaction = self.open[self._next] = Transaction(self._next)
        self._next += 1
        return transaction

    def view(self, transaction: Transaction) -> View:
        """Return what a statement sees that begins now."""
        if not transaction.writes:
            return self.committed
        return _written(self.committed, transaction.writes)

    def execute(self, transaction: Transaction, statement: Statement) -> Any:
        """Execute a statement of a transaction, or go on with one that had to wait.

        :raises Waits: if it has to wait for another transaction
        :raises Deadlock: if that one waits for this one; the transaction is rolled back
        :raises Duplicate: if a row exists already; the transaction is rolled back, unless the statement is nested
        """
        transaction.waits_for = None
        if type(statement) is End:
            self.end(transaction, statement.commits)
            return None
        if type(statement) is Read:
            return statement.work(self.view(transaction))
        seen = transaction.snapshot or self.view(transaction)
        try:
            if type(statement) is Change:
                result: Any = self._change(transaction, statement, seen)
            else:
                result = None
                self._insert(transaction, statement, seen)  # type: ignore[arg-type]
        except Waits as exc:
            transaction.snapshot, transaction.waits_for = seen, exc.holder
            if self._waits_for_itself(transaction):
                self.end(transaction, False)
                raise Deadlock("deadlock detected") from None
            raise
        except Duplicate:
            transaction.snapshot = None
            if type(statement) is not Insert or not statement.nested:
                self.end(transaction, False)
            raise
        transaction.snapshot = None
        return result

    def end(self, transaction: Transaction, commits: bool) -> None:
        """Commit or roll back; whoever waits for it may go on."""
        if commits and transaction.writes:
            self.committed = _written(self.committed, transaction.writes)
        del self.open[transaction.number]
        self.locks = {place: holder for place, holder in self.locks.items() if holder != transaction.number}
        for other in self.open.values():
            if other.waits_for == transaction.number:
                other.waits_for = None

    def _change(self, transaction: Transaction, statement: Change, seen: View) -> list[Any]:
        table, where = statement.table, statement.where
        before: Table = getattr(seen, table)
        found = []
        keys = statement.keys(seen) if callable(statement.keys) else statement.keys
        for key in sorted(before) if keys is None else keys:
            row = before.get(key)
            if row is None or not where(row):
                continue
            place = table, key
            holder = self.locks.get(place)
            if holder is not None and holder != transaction.number:
                if statement.skip_locked:
                    continue
                raise Waits(holder)
            now = self._now(transaction, place)
            if now is None or (now is not row and not where(now)):
                continue
            self.locks[place] = transaction.number
            found.append((place, now))
        if statement.to is not None:
            for place, row in found:
                transaction.writes[place] = statement.to(row)
        return [row for _, row in found]

    def _insert(self, transaction: Transaction, statement: Insert, seen: View) -> None:
        new = {(statement.table, key): row for key, row in statement.rows(seen).items()}
        for place in new:
            holder = self.locks.get(place)
            if holder is not None and holder != transaction.number:
                raise Waits(holder)
            if not statement.replaces and self._now(transaction, place) is not None:
                raise Duplicate(f"{place} exists")
            self.locks[place] = transaction.number
        transaction.writes.update(new)

    def _now(self, transaction: Transaction, place: Place) -> Any:
        """Return a row as it is now for its transaction, whatever the statement saw when it began."""
        if place in transaction.writes:
            return transaction.writes[place]
        return getattr(self.committed, place[0]).get(place[1])

    def _waits_for_itself(self, transaction: Transaction) -> bool:
        number = transaction.waits_for
        while number is not None and number != transaction.number:
            other = self.open.get(number)
            number = None if other is None else other.waits_for
        return number is not None


def _written(rows: View, writes: Mapping[Place, Any]) -> View:
    changed: dict[str, dict[Any, Any]] = {}
    for (table, key), row in writes.items():
        if table not in changed:
            changed[table] = dict(getattr(rows, table))
        if row is None:
            changed[table].pop(key, None)
        else:
            changed[table][key] = row
    return rows._replace(**changed)


def held(ids: Collection[str]) -> Generator[Statement, Any, Any]:
    """Lock the rows of jobs, and return the ids of those that somebody else holds; nobody is waited for."""
    if not ids:
        return set()
    locked = yield Change("jobs", sorted(ids), lambda row: True, skip_locked=True)
    free = {row.id for row in locked}
    if len(free) == len(ids):
        return set()
    there: set[str] = yield Read(lambda view: {id for id in ids if id in view.jobs})
    return there - free


def is_alive(node: str, now: int) -> Generator[Statement, Any, Any]:
    """Whether the lease of a node is not over; if it is, its step ends here."""
    lease = yield Read(lambda view: view.nodes.get(node))
    if lease is None:
        raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
    if lease.until < now:
        yield COMMIT
        return False
    return True
