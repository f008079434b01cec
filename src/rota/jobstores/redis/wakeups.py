"""Wake-ups of the Redis store: a channel on which the processes that share its keys tell each other of what is due sooner.

When something is published is decided by ``place_all`` in ``scripts/_common.lua``; this module subscribes. It looks at nothing
but the origin of what was published.
"""

from __future__ import annotations

from threading import Event, Thread

from redis.exceptions import RedisError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How often the thread looks whether it is to end, and how long it waits after an error (seconds).
PAUSE = 1.0


class Listener:
    """A thread that waits for wake-ups. Whatever happens to the connection, it comes back.

    :param origin: what this process publishes; it does not wake itself up
    :param listening: called with True when it listens and with False when it does not any more
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
        self._wake = wake
        self._listening = listening
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="rota-redis-wakeups", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it need not be waited for."""
        self._stopped.set()
        try:
            self._client.publish(f"{self._channel}:{self._origin.decode()}", "")
        except RedisError:
            pass  # it looks by itself after a while

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception:  # a cut connection, which the passes of the engine notice and report
                pass
            if not self._stopped.is_set():  # else the store listens anew already, perhaps
                self._listening(False)
                self._stopped.wait(PAUSE)

    def _listen(self) -> None:
        subscription = self._client.pubsub()
        try:
            subscription.subscribe(self._channel, f"{self._channel}:{self._origin.decode()}")
            while not self._stopped.is_set():
                message = subscription.get_message(timeout=PAUSE)
                if message is not None and message["type"] == "subscribe":
                    self._listening(True)
                    self._wake()  # something may have been published before
                elif message is not None and _encoded(message["data"]) != self._origin:
                    self._wake()
        finally:
            subscription.close()


def _encoded(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)
