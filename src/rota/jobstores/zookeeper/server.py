"""The connection of the ZooKeeper store: nodes as keys, multi-operations as commits.

Knows no job. A client that the application passed in is used as it is, and only stopped if that was asked for.
"""

from __future__ import annotations

from contextlib import contextmanager
from os import urandom

from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError,
    ConnectionLoss,
    KazooException,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    NotReadOnlyCallError,
    OperationTimeoutError,
    QuotaExceededError,
    RequestTimeoutError,
    SessionExpiredError,
    SessionMovedError,
    ThrottledOpError,
    ZookeeperStoppedError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import KazooState

from ...clock import HOUR, SECOND, SYSTEM_CLOCK
from ...errors import ConfigurationError, StoreConflictError, StoreError, StoreUnavailableError
from ..tree.keys import CANCELS, CHILDREN, DUE, ENDED_RUNS, JOBS, PARTS, STARTS, WAITING_RUNS, WAKE
from ..tree.port import Entry, Tree
from .operations import Operation, failure_of, operations_of
from .reads import MANY, requests_for, takes_them
from .wakeups import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ..tree.port import Change

#: How long an answer may take, and how long a call waits for a connection that was lost, in seconds.
ANSWER_TIMEOUT = 10
PATIENCE = 3
#: How long a session outlives its connection, in seconds, unless the options say something else: kazoo's own value.
SESSION_TIMEOUT = 10.0
#: The longest pause between two tries to connect again, in seconds.
LONGEST_PAUSE = 1.0
#: How many questions are asked at once.
PAGE = 1000
#: How much of a due time names the node it is in: those of 100 seconds are together.
BUCKET = 11
#: How long the empty node of a removed job is kept: the versions of a new node would begin again, and somebody may still hold
#: one of the old ones.
REMOVED_KEPT = HOUR
#: How many nodes are remembered to be there.
FOLDERS_KNOWN = 50_000
#: Of how many folders of records the names are one page, and how many nodes are swept in one step.
FOLDERS = 20
SWEPT = 200
#: Whose names begin with times.
_BY_TIME = (f"{DUE}/", f"{STARTS}/")
_TRANSIENT = (
    ConnectionLoss,
    SessionExpiredError,
    SessionMovedError,
    OperationTimeoutError,
    RequestTimeoutError,
    NotReadOnlyCallError,
    QuotaExceededError,
    ThrottledOpError,
    ZookeeperStoppedError,
    KazooTimeoutError,
)


class Server(Tree):
    """A ZooKeeper ensemble, or a client that the application made.

    :param path: the node that everything is below
    :param client: used instead of an own one, if it is not None
    :param close: whether a client that was passed in is stopped
    :param options: keyword arguments for ``KazooClient()``
    """

    max_changes = 500
    # The server takes requests of 1 MiB (jute.maxbuffer).
    max_bytes = 800_000

    def __init__(self, path: str, client: Any, close: bool, options: Mapping[str, Any]) -> None:
        self._path = path
        self._own = client is None
        self._close = close or client is None
        self._options = dict(options)
        self.client: Any = self._make_client() if client is None else client
        #: names this object among those that use the same path
        self._origin = urandom(8).hex()
        self._connected: Any = None
        #: since when there is no connection (monotonic microseconds)
        self._lost_at: int | None = None
        self._listener: Listener | None = None
        #: whether the server at the other end reads many nodes at once; None: it was not asked yet
        self._reads_many: bool | None = None
        #: nodes that are there only to have others below them, as far as is known
        self._folders: set[str] = set()

    def _make_client(self) -> Any:
        options = self._options
        if "handler" not in options:  # which may have a way to sleep of its own
            # kazoo would wait for up to a minute after an outage, while the leases of those that came back earlier run.
            options = {"connection_retry": {"max_tries": -1, "max_delay": LONGEST_PAUSE}} | options
        try:
            return KazooClient(**options)
        except (TypeError, ValueError, KazooException) as exc:
            raise ConfigurationError(f"Cannot use these connection options for ZooKeeper: {exc}") from None

    @property
    def address(self) -> str:  # type: ignore[override]
        """Where the server is."""
        hosts = getattr(self.client, "hosts", None)
        if hosts:
            return ",".join(f"{host[0]}:{host[1]}" for host in hosts)
        return str(self._options.get("hosts", type(self.client).__name__))

    # -- connection ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        if self.client is None:
            self.client = self._make_client()
        self._connected = self.client.handler.event_object()
        self.client.add_listener(self._state_changed)
        self._folders.clear()
        with self._translated():
            if not self.client.connected:
                self.client.start(timeout=self._options.get("timeout", ANSWER_TIMEOUT))
        self._connected.set()

    def _state_changed(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._lost_at = None
            self._connected.set()
        else:
            if self._lost_at is None:
                self._lost_at = SYSTEM_CLOCK.monotonic()
            self._connected.clear()
            self._reads_many = None  # the next one may be of another version

    def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        client = self.client
        if client is None:
            return
        client.remove_listener(self._state_changed)
        if self._close:
            client.stop()
            client.close()
        if self._own:
            self.client = None  # it is made anew by open()

    def forget(self) -> None:
        self._folders.clear()

    def forked(self) -> None:
        self._listener = self._connected = None
        if self._own:
            self.client = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the client's errors into Rota's."""
        try:
            yield
        except (*_TRANSIENT, OSError) as exc:
            raise StoreUnavailableError(
                f"ZooKeeper at {self.address} is not available: {type(exc).__name__}: {exc}"
            ) from exc
        except KazooException as exc:
            raise StoreError(f"ZooKeeper at {self.address} said: {type(exc).__name__}: {exc}") from exc

    def _reachable(self) -> Any:
        """Return the client as soon as it is connected; before that it would keep requests, and send them at any later time."""
        client, connected = self.client, self._connected
        if client is None or connected is None:
            raise StoreUnavailableError(
                "The connection to ZooKeeper was left to the parent process; start the store again"
            )
        if not connected.is_set() and not connected.wait(PATIENCE):
            self._start_over()
            raise StoreUnavailableError(f"ZooKeeper at {self.address} is not available: no connection")
        return client

    def _start_over(self) -> None:
        """Let a client that has lost its session forget how much it had seen.

        An ensemble whose data were removed, or put back from a backup, refuses for ever whoever has seen more than it knows.
        """
        lost_at, lasts = self._lost_at, self._options.get("timeout", SESSION_TIMEOUT) * SECOND
        if self._own and lost_at is not None and SYSTEM_CLOCK.monotonic() - lost_at > lasts:
            self.client.last_zxid = 0

    def _ask(self, call: str, paths: Sequence[str]) -> list[Any]:
        """Ask something of each path, all at once; return the answers, None where there is no node.

        They are as new as the leader knows, whichever server is asked.
        """
        found: list[Any] = []
        for start in range(0, len(paths), PAGE):
            client, some = self._reachable(), paths[start : start + PAGE]
            with self._translated():
                if len(some) >= MANY and call != "exists" and self._takes_many(client):
                    found += self._ask_together(client, call, some)
                    continue
                client.sync_async(self._path)
                ask = getattr(client, f"{call}_async")
                pending = [ask(path) for path in some]
                for answer in pending:
                    try:
                        found.append(answer.get(timeout=ANSWER_TIMEOUT))
                    except NoNodeError:
                        found.append(None)
        return found

    def _takes_many(self, client: Any) -> bool:
        if self._reads_many is None:
            self._reads_many = takes_them(client)
        return self._reads_many

    def _ask_together(self, client: Any, call: str, paths: Sequence[str]) -> list[Any]:
        """Ask the same in as few requests as the server takes."""
        client.sync_async(self._path)
        pending = []
        for request in requests_for(call, paths, client.chroot or ""):
            answer = client.handler.async_result()
            client._call(request, answer)  # there is no other way to send what kazoo does not know
            pending.append(answer)
        found = [one for answer in pending for one in answer.get(timeout=ANSWER_TIMEOUT)]
        for one in found:
            if isinstance(one, Exception):
                raise one
        return found

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, keys: Sequence[str]) -> list[Entry]:
        found = self._ask("get", list(map(self._path_of, keys)))
        return [_entry(answer, key.startswith(f"{JOBS}/")) for key, answer in zip(keys, found, strict=True)]

    def entries(self, folder: str, prefix: str = "") -> dict[str, Entry]:
        names = [name for name in self.names(folder) if name.startswith(prefix)]
        entries = self.read([f"{folder}/{name}" for name in names])
        return {name: entry for name, entry in zip(names, entries, strict=True) if entry.value is not None}

    def names(self, folder: str) -> list[str]:
        (names,) = self._children([self._path_of(folder)])
        return names

    def names_at(self, path: str) -> list[str]:
        return self._children([path])[0]

    def url_at(self, path: str) -> str | None:
        if not self._own or not self._options.keys() <= {"hosts", "timeout"}:
            return None
        return f"zookeeper://{self.address}{self.client.chroot or ''}{path}"

    def folders(self, folder: str) -> list[str]:
        return self.names(folder)

    def below(self, folder: str) -> dict[str, list[str]]:
        parts = self.names(folder)
        found = self._children([self._path_of(f"{folder}/{part}") for part in parts])
        return {part: names for part, names in zip(parts, found, strict=True) if names}

    def last(self, folders: Sequence[str]) -> list[str | None]:
        return [max(names, default=None) for names in self._children(list(map(self._path_of, folders)))]

    def newest(
        self, folders: Sequence[str], limit: int, since: str, before: Sequence[str]
    ) -> list[list[str]]:
        return [
            [name for name in reversed(names) if since <= name < end][:limit]
            for names, end in zip(self._children(list(map(self._path_of, folders))), before, strict=True)
        ]

    def some_below(self, folder: str, limit: int) -> tuple[dict[str, list[str]], bool]:
        parts = self.names(folder)
        if 2 * len(parts) > limit:  # a question for each, whose answer has some names
            return {part: [] for part in parts[:limit]}, False
        found = self._children([self._path_of(f"{folder}/{part}") for part in parts])
        return {part: names for part, names in zip(parts, found, strict=True) if names}, True

    def sizes(self, folders: Sequence[str]) -> list[int]:
        return [2 * len(names) for names in self._children(list(map(self._path_of, folders)))]

    def existing(self, keys: Sequence[str]) -> Sequence[str]:
        stats = self._ask("exists", list(map(self._path_of, keys)))
        return [key for key, stat in zip(keys, stats, strict=True) if stat is not None]

    def first(
        self, folders: Sequence[str], below: str | None, limits: Sequence[int | None], since: str = ""
    ) -> list[list[str]]:
        found = []
        buckets = self._children([f"{self._path}/{folder}" for folder in folders])
        for folder, names, limit in zip(folders, buckets, limits, strict=True):
            paths = [
                f"{self._path}/{folder}/{name}"
                for name in names
                if name >= since[:BUCKET] and (below is None or name <= below[:BUCKET])
            ]
            found.append(self._first_in(paths, below, limit, since))
        return found

    def _first_in(self, paths: Sequence[str], below: str | None, limit: int | None, since: str) -> list[str]:
        """Return the first due times in nodes of due times."""
        found: list[str] = []
        start, step = 0, 1
        while start < len(paths) and (limit is None or len(found) < limit):
            some = paths[start : start + step]
            for path, names in zip(some, self._children(some), strict=True):
                found += [name for name in names if name >= since and (below is None or name < below)]
                if not names and below is not None and not path.endswith(below[:BUCKET]):
                    self._reachable().delete_async(path)  # nobody needs it; one that has got a job stays
            start, step = start + step, step * 4
        return found[:limit]

    def _children(self, paths: Sequence[str]) -> list[list[str]]:
        return [sorted(names or ()) for names in self._ask("get_children", paths)]

    # -- writing -------------------------------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change], tell: bool = False) -> bool:
        operations = [
            operation for change in changes for operation in operations_of(change, self._path_of(change.key))
        ]
        if tell:
            operations.append(Operation("set", self._path_of(WAKE), self._origin.encode(), -1, True))
        # Each round finds out that a node is there, or not there.
        for _ in range(len(operations) + 10):
            if not operations:
                return True
            self._make_folders(operations)
            failed, error = self._try(operations)
            if failed is None:
                return True
            if isinstance(error, NoNodeError) and failed.kind == "create":
                self._folders.clear()  # somebody has deleted one
            elif not failed.free:
                return False
            elif isinstance(error, NoNodeError) and failed.kind == "delete":
                operations.remove(failed)
            elif isinstance(error, NoNodeError):
                failed.kind = "create"
            else:  # a node that was to be created is there
                failed.kind = "set"
        raise StoreConflictError(f"Others change nodes below {self._path} on {self.address} all the time")

    def _make_folders(self, operations: Iterable[Operation]) -> None:
        """Create the nodes that new ones will be below, as far as they are not known."""
        wanted: set[str] = set()
        for operation in operations:
            folder = operation.path.rpartition("/")[0] if operation.kind == "create" else ""
            while len(folder) > len(self._path) and folder not in self._folders and folder not in wanted:
                wanted.add(folder)
                folder = folder.rpartition("/")[0]
        if not wanted and self._path in self._folders:
            return
        with self._translated():
            client = self._reachable()
            if self._path not in self._folders:
                client.ensure_path(self._path)
            # All at once; they are made in this order, the higher ones first.
            for answer in [client.create_async(path) for path in sorted(wanted)]:
                try:
                    answer.get(timeout=ANSWER_TIMEOUT)
                except (NodeExistsError, NoNodeError):
                    pass
        if len(self._folders) > FOLDERS_KNOWN:
            self._folders.clear()
        self._folders |= {self._path, *wanted}

    def _try(self, operations: Sequence[Operation]) -> tuple[Operation | None, Exception | None]:
        """Commit; return which operation failed, and why."""
        with self._translated():
            request = self._reachable().transaction()
            for operation in operations:
                operation.add(request)
            return failure_of(operations, request.commit_async().get(timeout=ANSWER_TIMEOUT))

    def pages(self, folder: str) -> Iterator[list[tuple[str, str]]]:
        parts = self.names(folder)
        for some in _cut(parts, FOLDERS):
            found = self._children([self._path_of(f"{folder}/{part}") for part in some])
            yield [(part, name) for part, names in zip(some, found, strict=True) for name in names]

    def sweep(self) -> Iterator[None]:
        """Delete the nodes of jobs that were removed some time ago, and the folders of records that are all forgotten."""
        now = self.time()
        for names in _cut(self.names(JOBS), SWEPT):
            jobs = [self._path_of(f"{JOBS}/{name}") for name in names]
            stats = self._ask("exists", jobs)
            self._delete(
                (path, stat.version)
                for path, stat in zip(jobs, stats, strict=True)
                if stat is not None and stat.dataLength == 0 and stat.mtime * 1000 < now - REMOVED_KEPT
            )
            yield None
        for folder in (ENDED_RUNS, PARTS, WAITING_RUNS, CANCELS, CHILDREN):
            yield from self._sweep(folder)

    def _sweep(self, folder: str) -> Iterator[None]:
        """Delete the empty folders in a folder."""
        for names in _cut(self.names(folder), SWEPT):
            folders = [self._path_of(f"{folder}/{name}") for name in names]
            stats = self._ask("exists", folders)
            self._delete(
                (path, -1)
                for path, stat in zip(folders, stats, strict=True)
                if stat is not None and stat.numChildren == 0
            )
            yield None

    def _delete(self, nodes: Iterable[tuple[str, int]]) -> None:
        """Delete nodes, unless they are used again."""
        client = self._reachable()
        with self._translated():
            for answer in [client.delete_async(path, version) for path, version in nodes]:
                try:
                    answer.get(timeout=ANSWER_TIMEOUT)
                except (NoNodeError, BadVersionError, NotEmptyError):
                    pass

    # -- time and wake-ups -------------------------------------------------------------------------------------

    def time(self) -> int:
        """Return the time of the ensemble's leader: what it writes into a node that is changed."""
        path = f"{self._path}/clock"
        client = self._reachable()
        with self._translated():
            try:
                stat = client.set_async(path, b"").get(timeout=ANSWER_TIMEOUT)
            except NoNodeError:
                client.ensure_path(path)
                stat = client.set_async(path, b"").get(timeout=ANSWER_TIMEOUT)
        return int(stat.mtime) * 1000

    def listen(self, wake: Callable[[], None], listening: Callable[[bool], None]) -> None:
        if self._listener is not None:
            self._listener.stop()
        path = self._path_of(WAKE)
        with self._translated():
            client = self._reachable()
            client.ensure_path(path)
        self._listener = Listener(client, path, self._origin, wake, listening)

    # -- paths ---------------------------------------------------------------------------------------------------

    def _path_of(self, key: str) -> str:
        if not key:
            return self._path
        if key.startswith(_BY_TIME):
            top, folder, name = [*key.split("/", 2), ""][:3]
            if name:
                return f"{self._path}/{top}/{folder}/{name[:BUCKET]}/{name}"
        return f"{self._path}/{key}"


def _cut(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _entry(answer: tuple[bytes, Any] | None, is_job: bool) -> Entry:
    if answer is None:
        return Entry(None, -1)
    value, stat = answer
    if is_job and not value:
        return Entry(None, stat.version)
    return Entry(value.decode(errors="backslashreplace"), stat.version)
