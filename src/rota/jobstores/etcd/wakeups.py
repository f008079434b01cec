"""The watch of the etcd store: a thread that is told when other processes have changed something.

It wakes the scheduler up, and looks at nothing else.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from etcd3gw.exceptions import Etcd3Exception
from requests import RequestException

from ...errors import StoreError
from ..wakeups import PAUSE, ListenerThread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

#: How long an answer may take, in seconds; and how long the watch may be silent before it is made anew.
ANSWER_TIMEOUT = 10
SILENCE = 30


class Listener(ListenerThread):
    """A thread that watches the key which the processes that share a path write to wake each other up.

    :param origin: what this process writes; it does not wake itself up
    """

    def __init__(
        self,
        client: Any,
        key: str,
        origin: str,
        wake: Callable[[], None],
        listening: Callable[[bool], None],
    ) -> None:
        self._client = client
        self._key = key
        self._origin = origin
        #: what is written to end the thread; other processes pass it over
        self._end = f"!{origin}"
        super().__init__("rota-etcd-wakeups", wake, listening)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        put = {"request_put": {"key": self._key, "value": encoded(self._end)}}
        try:
            self._client.transaction({"compare": [], "success": [put], "failure": []})
        except (Etcd3Exception, RequestException, OSError, ValueError):
            return  # it notices by itself after a while
        self._thread.join(PAUSE)

    def _listen(self) -> None:
        answer = self._client.session.post(
            self._client.get_url("/watch"),
            json={"create_request": {"key": self._key}},
            stream=True,
            timeout=(ANSWER_TIMEOUT, SILENCE),
        )
        try:
            answer.raise_for_status()
            for result in _messages(answer.iter_content(chunk_size=None)):
                if self._stopped.is_set():
                    return
                if result.get("created"):
                    self._listening(True)
                    self._wake()  # something may have been told before
                origins = {value_of(event.get("kv", {})) for event in result.get("events", ())}
                if any(origin != self._origin and not origin.startswith("!") for origin in origins):
                    self._wake()
                if result.get("canceled"):
                    return
        finally:
            answer.close()


def _messages(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Return the results in the stream of a watch, which has one in a line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                message = json.loads(line)
                if "result" not in message:
                    raise StoreError(f"etcd ended the watch: {message}")
                yield message["result"]


def encoded(text: str) -> str:
    """Return a text as the gateway takes it."""
    return b64encode(text.encode()).decode()


def value_of(pair: Mapping[str, str]) -> str:
    """Return the value in a pair of the gateway's; bytes that are no text are shown by their codes."""
    return b64decode(pair.get("value", "")).decode(errors="backslashreplace")
