"""What the tree store needs of a server: keys with revisions, read in order and changed together under conditions.

Values only; a server's file implements :class:`Tree`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from random import random
from time import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


#: How often a step is tried against others' changes, and the longest pause before a try, in seconds.
TRIES = 20
LONGEST_PAUSE = 0.1
#: The value of a change that changes nothing, and only makes sure of the revision.
KEEP = "\0keep"


class Entry:
    """What a key holds: its value (None: there is none) and the revision that a change of it has to present."""

    __slots__ = ("rev", "value")

    def __init__(self, value: str | None, rev: int) -> None:
        self.value = value
        self.rev = rev


class Change:
    """A new value for a key.

    :param value: the value; None to delete the key; :data:`KEEP` to leave it as it is
    :param rev: the revision that the key must have, None for any
    """

    __slots__ = ("key", "rev", "value")

    def __init__(self, key: str, value: str | None, rev: int | None = None) -> None:
        self.key = key
        self.value = value
        self.rev = rev

    @property
    def size(self) -> int:
        """About how many bytes it takes in a request."""
        return len(self.key) + len((self.value or "").encode()) + 60


class Tree(ABC):
    """A server that keeps texts under keys such as ``jobs/cleanup``; keys are relative to the store's path.

    Reads see everything that was committed before they began, by whomever. All methods may be called by several threads.

    :raises StoreUnavailableError: (from every method) if the server cannot be reached, or cannot work at the moment
    :raises StoreError: if it answers with another error
    """

    #: how many changes, and about how many bytes, one commit may have; at least 110, which the runs of one job take, and 800 kB
    max_changes: int
    max_bytes: int
    #: where the server is, without user and password
    address: str
    #: in which unit (microseconds) the server tells its time
    clock_unit = 1000

    @abstractmethod
    def open(self) -> None:
        """Connect."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening and disconnect, unless the connection is the application's."""

    @abstractmethod
    def forked(self) -> None:
        """Leave the connections to the parent process; :meth:`open` makes new ones."""

    @abstractmethod
    def read(self, keys: Sequence[str]) -> list[Entry]:
        """Return what the keys hold, in their order."""

    @abstractmethod
    def entries(self, folder: str, prefix: str = "") -> dict[str, Entry]:
        """Return what is in a folder, by name, in the order of the names; those that begin with ``prefix``."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the names of the entries in a folder, in order."""

    @abstractmethod
    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""

    @abstractmethod
    def first(
        self, folders: Sequence[str], below: str | None, limits: Sequence[int | None], since: str = ""
    ) -> list[list[str]]:
        """Return for each of these folders its first names in order.

        :param below: only names less than this
        :param limits: for each folder at most how many, None for all
        :param since: no names less than this
        """

    @abstractmethod
    def last(self, folders: Sequence[str]) -> list[str | None]:
        """Return for each of these folders its last name in order, None if it is empty."""

    @abstractmethod
    def newest(
        self, folders: Sequence[str], limit: int, since: str, before: Sequence[str]
    ) -> list[list[str]]:
        """Return for each of these folders its last names, the last one first.

        :param limit: at most how many of each
        :param since: no names less than this
        :param before: for each folder, only names less than this
        """

    @abstractmethod
    def some_below(self, folder: str, limit: int) -> tuple[dict[str, list[str]], bool]:
        """Return :meth:`below` as far as so many keys go, and whether that is all; what counts as a key is up to the server.

        Of a folder that has more than it is worth to look at, no names may be returned.
        """

    @abstractmethod
    def sizes(self, folders: Sequence[str]) -> list[int]:
        """Return as how many keys each of these folders counts for :meth:`some_below`; none is read where the server can count."""

    @abstractmethod
    def below(self, folder: str) -> dict[str, list[str]]:
        """Return the names of the entries in each folder of a folder, in order."""

    @abstractmethod
    def commit(self, changes: Sequence[Change], tell: bool = False) -> bool:
        """Make all the changes, or none if a key has not the revision that its change presents.

        :param tell: wake up the other processes that listen
        :return: whether they were made
        """

    @abstractmethod
    def time(self) -> int | None:
        """Return the server's time as an instant, rounded down to :attr:`clock_unit`; None if it cannot tell."""

    @abstractmethod
    def listen(self, wake: Callable[[], None], listening: Callable[[bool], None]) -> None:
        """Call ``wake`` when another process has told of something.

        :param listening: called with True when that begins to work, and with False when it ceases
        """

    def existing(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of some keys that are to be deleted which are there, if deleting others costs anything."""
        return keys

    def names_at(self, path: str) -> list[str]:
        """Return the names of what another path of the server has directly below it."""
        return []

    def url_at(self, path: str) -> str | None:
        """Return the URL of another path of the server; None if no URL says how it is reached."""
        return None

    def forget(self) -> None:  # noqa: B027  # most servers need none
        """Forget what is known of keys that are there: the path was emptied, or holds others now."""

    def after(self, folder: str, name: str, limit: int) -> list[str]:
        """Return the first names in a folder that come after one, at most so many."""
        names = self.names(folder)
        start = bisect_right(names, name)
        return names[start : start + limit]

    def some_values(self, folder: str, limit: int) -> dict[str, str | None]:
        """Return the first names in a folder, at most so many, and with each its value where that costs little more, else None."""
        return dict.fromkeys(self.after(folder, "", limit))

    def pages(self, folder: str) -> Iterator[list[tuple[str, str]]]:
        """Return the names in the folders of a folder, each with its folder's, in order; a page is read when it is asked for."""
        for part, names in self.below(folder).items():
            yield [(part, name) for name in names]

    def sweep(self) -> Iterator[None]:
        """Delete what the server keeps of deleted keys, in steps; called now and then."""
        return iter(())  # most servers keep nothing

    def delete(self, keys: Iterable[str]) -> None:
        """Delete keys, in batches."""
        for batch in packed((Step(key, [Change(key, None)]) for key in keys), self):
            self.commit([change for step in batch for change in step.changes])


def tries() -> Iterator[int]:
    """Count the tries of a step that others' changes may refuse; a random pause before each but the first grows a little."""
    for number in range(TRIES):
        if number:
            sleep(random() * min(0.001 * 2**number, LONGEST_PAUSE))
        yield number


class Step:
    """Changes that must be made together, and what they are about."""

    __slots__ = ("about", "changes", "done", "ended")

    def __init__(
        self,
        about: Any,
        changes: list[Change],
        done: Callable[[], None] | None = None,
        ended: Sequence[Any] = (),
    ) -> None:
        self.about = about
        self.changes = changes
        #: called when they have been made
        self.done = done
        #: the runs that end with them
        self.ended = ended


def packed(steps: Iterable[Step], tree: Tree) -> Iterator[list[Step]]:
    """Put steps into batches that the server takes in one commit."""
    batch: list[Step] = []
    count = size = 0
    for step in steps:
        more = sum(change.size for change in step.changes)
        if batch and (count + len(step.changes) > tree.max_changes or size + more > tree.max_bytes):
            yield batch
            batch, count, size = [], 0, 0
        batch.append(step)
        count += len(step.changes)
        size += more
    if batch:
        yield batch


def carry_out(steps: Iterable[Step], tree: Tree, tell: bool = False) -> list[Step]:
    """Commit steps in as few batches as possible; return those whose batch was refused."""
    refused: list[Step] = []
    for batch in packed(steps, tree):
        if not tree.commit([change for step in batch for change in step.changes], tell):
            refused += batch
            continue
        for step in batch:
            if step.done is not None:
                step.done()
    return refused
