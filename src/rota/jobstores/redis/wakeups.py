"""Wake-ups of the Redis store: a channel on which the processes that share its keys tell each other of what is due sooner.

When something is published is decided by ``place_all`` in ``scripts/_common.lua``; this module subscribes. It looks at nothing
but the origin of what was published.
"""

from __future__ import annotations

from redis.exceptions import RedisError

from ..wakeups import ListenerThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How often the thread looks whether it is to end (seconds).
LOOK = 1.0


class Listener(ListenerThread):
    """A thread that waits for what is published.

    :param origin: what this process publishes; it does not wake itself up
    """

    def __init__(
        self,
        client: Any,
        channel: str,
        origin: str,
        wake: Callable[[], None],
        listening: Callable[[bool], None],
    ) -> None:
        self._client = client
        self._channel = channel
        self._origin = origin.encode()
        super().__init__("rota-redis-wakeups", wake, listening)

    def stop(self) -> None:
        """End the thread; it need not be waited for."""
        self._stopped.set()
        try:
            self._client.publish(f"{self._channel}:{self._origin.decode()}", "")
        except RedisError:
            pass  # it looks by itself after a while

    def _listen(self) -> None:
        subscription = self._client.pubsub()
        try:
            subscription.subscribe(self._channel, f"{self._channel}:{self._origin.decode()}")
            while not self._stopped.is_set():
                message = subscription.get_message(timeout=LOOK)
                if message is not None and message["type"] == "subscribe":
                    if (
                        _encoded(message["channel"]) == self._channel.encode()
                    ):  # the other one only ends the thread
                        self._listening(True)
                        self._wake()  # something may have been published before
                elif message is not None and _encoded(message["data"]) != self._origin:
                    self._wake()
        finally:
            subscription.close()


def _encoded(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)
