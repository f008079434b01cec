"""What a run says of itself while it runs: how far it has got, a note, that it is alive, and what it logs.

Pure: the newest of it in memory. Who keeps it in a store is handed in; nothing here waits, and what is said is never refused later.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque

from ..errors import HeartbeatError
from ..texts import repr_of, shortened, type_name
from .details import BEAT, LOG, LONGEST_NOTE, NOTE, PROGRESS, cut
from .policy import LONGEST_LOG
from .timeouts import MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Listener(Protocol):
        """What keeps what the runs of one store say, on the node that has them."""

        def monotonic(self) -> int:
            """Return the monotonic time (microseconds)."""

        def add(self, said: Said) -> None:
            """Take note that a run has said something that is not kept yet; it does not wait, and it raises nothing."""

        def claimed(self, run: Any) -> Any:
            """Return the run that was claimed, of which this one may be a copy for the job."""

    class Listeners(Protocol):
        """What knows who listens to a run."""

        def listener_of(self, run: Any) -> Listener | None:
            """Return who listens to a run; None: nobody."""


#: The note of a run that somebody has asked to stop, and that goes on, or has returned all the same.
CANCEL_REQUESTED = "cancel was requested"

#: Held while what is made once is made.
_lock = allocate_lock()


class Said:
    """What one run has said of itself, as far as it is known here.

    :ivar key: job id and nominal time of the run
    :ivar float | None progress: how far it has got, from 0 to 1
    :ivar str | None note: what it said last
    :ivar int | None beat_at: when it said so last (microseconds, monotonic)
    :ivar Log | None log: what it has logged; None: it has not, or that is not to be kept
    :ivar str | None mark: what is kept of it while it goes on after its time (:data:`rota.core.timeouts.MARK`)
    :ivar bool is_noted: whether its listener knows that something is new
    :ivar bool is_over: whether the run has ended, so that nothing is listened to any more
    """

    __slots__ = (
        "_add",
        "_monotonic",
        "beat_at",
        "is_noted",
        "is_over",
        "key",
        "log",
        "mark",
        "note",
        "progress",
    )

    def __init__(self, run: Any, listener: Listener | None) -> None:
        self.key = (run.job_id, run.nominal)
        self.progress: float | None = None
        self.note: str | None = None
        self.beat_at: int | None = None
        self.log: Log | None = None
        self.mark: str | None = None
        self.is_over = False
        self.is_noted = listener is None
        self._monotonic: Callable[[], int] = int if listener is None else listener.monotonic
        self._add: Callable[[Said], None] | None = None if listener is None else listener.add

    def beat(self, progress: float | None, note: str | None) -> None:
        """Take note of what the run says. Thread-safe; of what several threads say at once, any may be the newest."""
        if self.is_over:
            return
        if progress is not None:
            self.progress = progress
        if note is not None:
            self.note = note
        self.beat_at = self._monotonic()
        self._note_news()

    def go_on(self, mark: str) -> None:
        """Take note that the run goes on after its time."""
        self.mark = mark
        self._note_news()

    def _note_news(self) -> None:
        if not self.is_noted and self._add is not None:
            self.is_noted = True
            self._add(self)

    def log_kept(self, most: int) -> Log:
        """Return what keeps the log of the run.

        :param most: how much of it is kept (bytes)
        """
        if self.log is None:
            with _lock:
                if self.log is None:
                    self.log = Log(most)
        return self.log

    def pass_log_on(self, most: int) -> None:
        """Have the listener know what the run logs while it is under way, and not only at its end.

        :param most: how much of it is kept (bytes)
        """
        if self._add is not None:
            self.log_kept(most).pass_on()
            self._add(self)

    def parts(self, instant_of: Callable[[int], int]) -> dict[str, str]:
        """Return what it has said as the parts that a store keeps.

        :param instant_of: returns the instant of a monotonic time
        """
        progress, note, beat_at = self.progress, self.note, self.beat_at
        parts = {}
        if progress is not None:
            parts[PROGRESS] = repr(progress)
        if note is not None:
            parts[NOTE] = cut(note, LONGEST_NOTE)
        if beat_at is not None:
            parts[BEAT] = str(instant_of(beat_at))
        if self.mark is not None and not self.is_over:
            parts[MARK] = self.mark
        return parts

    def last_words(self, instant_of: Callable[[int], int], longest_log: int) -> dict[str, str]:
        """Return the parts that are to be kept with the end of the run; what is said after that is not heard.

        :param longest_log: how much of the log the store keeps (bytes)
        """
        self.is_over = True
        parts = self.parts(instant_of)
        if self.log is not None:
            parts[LOG] = self.log.text(longest_log)
        return parts


def begun(run: Any, listener: Listener | None) -> Said:
    """Return what a run has said, which begins now.

    :param listener: who listens to it
    """
    claimed = run if listener is None else listener.claimed(run)
    new = Said(run, listener)
    with _lock:  # several threads of a job may begin at once
        said: Said = getattr(claimed, "said", new)
        claimed.said = run.said = said
    type(run).some_say = True
    return said


class Log:
    """The newest of what a run logs, in bounded memory. Thread-safe.

    :param most: how much is kept (bytes as UTF-8)
    """

    __slots__ = ("_data", "_most", "_new", "_waits")

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        #: what nobody has taken yet, and about how many bytes that are; None: nobody will
        self._new: deque[bytes] | None = None
        self._waits = 0

    def add(self, text: str) -> None:
        """Add an exact text; of a long one only the end is looked at."""
        data, added = self._data, text[-self._most :].replace("\0", "\\0").encode("utf-8", "backslashreplace")
        data.extend(added)
        if self._new is not None:
            self._pass(self._new, added)
        if len(data) > 4 * self._most:  # seldom, as the rest is moved by that
            del data[: -self._most]

    def pass_on(self) -> None:
        """Keep what is added from now on for :meth:`taken`, too."""
        self._new = deque()

    def _pass(self, new: deque[bytes], added: bytes) -> None:
        new.append(added)
        self._waits += len(added)  # of several threads one may be left out: it is a bound, not a count
        while self._waits > 4 * self._most and len(new) > 1:
            self._waits -= len(new.popleft())

    def taken(self) -> str:
        """Return what has been added since the last call, its newest part if that is much."""
        new, found = self._new, []
        while new:
            found.append(new.popleft())
        self._waits = 0
        return b"".join(found)[-self._most :].decode("utf-8", "ignore")

    @property
    def size(self) -> int:
        """How many bytes are in memory."""
        return len(self._data)

    def text(self, most: int = LONGEST_LOG) -> str:
        """Return the end of the log, of at most so many bytes."""
        most = min(most, self._most)
        return bytes(self._data[-most:]).decode("utf-8", "ignore") if most > 0 else ""


def checked_progress(value: Any) -> float:
    """Return a progress as a float.

    :raises HeartbeatError: if it is no number from 0 to 1
    """
    try:
        # What only looks like a number is none: "0.5" and True.
        is_number = type(value) is not bool and hasattr(type(value), "__float__")
        progress = float(value) if is_number else -1.0
    except Exception:  # a number of the program's own
        progress = -1.0
    if 0.0 <= progress <= 1.0:
        return progress
    raise HeartbeatError(
        f"progress must be a number from 0 to 1, got {shortened(repr_of(value), 100)}; divide what is done by what there is to do"
    )


def checked_note(value: Any) -> str:
    """Return a note of at most :data:`~rota.core.details.LONGEST_NOTE` bytes, the beginning of what was given.

    :raises HeartbeatError: if it is no text
    """
    if not isinstance(value, str):
        raise HeartbeatError(
            f"note must be a text, got {shortened(repr_of(value), 100)}; write note=str(…) for {type_name(value)}"
        )
    return cut(str.__str__(value)[:LONGEST_NOTE], LONGEST_NOTE)
