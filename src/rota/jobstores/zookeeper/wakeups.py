"""The watch of the ZooKeeper store: it is told when other processes have changed something.

It wakes the scheduler up, and looks at nothing else. All of it happens in the client's threads, so nothing here may wait.
"""

from __future__ import annotations

from kazoo.exceptions import KazooException
from kazoo.protocol.states import EventType, KazooState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Listener:
    """A watch on the node which the processes that share a path write to wake each other up.

    :param origin: what this process writes; it does not wake itself up
    """

    def __init__(
        self,
        client: Any,
        path: str,
        origin: str,
        wake: Callable[[], None],
        listening: Callable[[bool], None],
    ) -> None:
        self._client = client
        self._path = path
        self._origin = origin.encode()
        self._wake = wake
        self._listening = listening
        #: the version of the node that was seen last; None: what was written since is not known
        self._seen: int | None = None
        self._stopped = False
        client.add_listener(self._state_changed)
        self._watch()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped = True
        self._client.remove_listener(self._state_changed)

    def _state_changed(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._watch()
        else:
            self._seen = None
            self._listening(False)

    def _watch(self) -> None:
        if self._stopped:
            return
        try:
            self._client.get_async(self._path, watch=self._changed).rawlink(self._got)
        except KazooException:
            self._listening(False)

    def _changed(self, event: Any) -> None:
        if event.type != EventType.NONE:  # else the connection was lost, and all watches with it
            self._watch()

    def _got(self, answer: Any) -> None:
        if self._stopped:
            return
        if answer.exception is not None:
            self._listening(False)
            return
        value, stat = answer.value
        before, self._seen = self._seen, stat.version
        self._listening(True)
        # Of several words in between only the last can be read.
        if stat.version != before and (before is None or stat.version > before + 1 or value != self._origin):
            self._wake()
