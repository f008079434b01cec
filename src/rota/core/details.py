"""What is kept of a run beside its record, and written only when there is something: its attempts, log, progress and note.

Pure. A store keeps the *parts* of a run as texts by name, and does not read them; here they get their meaning.
"""

from __future__ import annotations

from json import dumps, loads

from ..clock import FIRST_SHOWN, LAST_SHOWN, moment
from ..texts import shortened
from .states import CLAIMED, SUCCEEDED, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    #: parts of one run that are to be kept: job id, nominal time, and text (None: not any more) by name
    RunParts = tuple[str, int, Mapping[str, str | None]]

#: The names of parts.
LOG, NOTE, PROGRESS, BEAT = "log", "note", "progress", "beat"
_ATTEMPT = "attempt:"
#: The longest name of a part (characters) and the longest part (bytes as UTF-8).
LONGEST_NAME = 32
LONGEST_PART = 64 * 1024
#: The longest note (bytes as UTF-8), and the longest text of an attempt (characters).
LONGEST_NOTE = 1024
LONGEST_ERROR = 2048
#: Of its attempts a run keeps the first and so many of the newest.
NEWEST = 9

#: The outcomes of attempts that no status of a run names.
DIED, GIVEN_BACK = "died", "given back"


class Attempt:
    """One time that a node took a run to execute it.

    :ivar int number: 1 for the first; what it shows as the fence in the ledger
    :ivar str outcome: "succeeded", "failed", "timed_out", "cancelled", "skipped", "died", "snoozed", "given back"; "claimed": it
        is under way
    :ivar int | None started_at: instant; None: it did not begin, or nobody knows
    :ivar int | None finished_at: instant; None: it is under way, or its node died
    :ivar str | None node: the node that had it
    :ivar str | None error_type: the class of the exception
    :ivar str | None error: its text
    :ivar str | None traceback: of the first attempt and of the last only
    """

    __slots__ = ("error", "error_type", "finished_at", "node", "number", "outcome", "started_at", "traceback")

    def __init__(self, number: int, outcome: str, node: str | None = None) -> None:
        self.number = number
        self.outcome = outcome
        self.node = node
        self.started_at: int | None = None
        self.finished_at: int | None = None
        self.error_type: str | None = None
        self.error: str | None = None
        self.traceback: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attempt as JSON-able data (times are ISO 8601, UTC)."""
        return {
            "attempt": self.number,
            "outcome": self.outcome,
            "node": self.node,
            "started": _iso(self.started_at),
            "finished": _iso(self.finished_at),
            "error_type": self.error_type,
            "error": self.error,
            "traceback": self.traceback,
        }

    def __repr__(self) -> str:
        return f"<Attempt {self.number} {self.outcome}>"


def part_of_attempt(attempt: Attempt) -> tuple[str, str]:
    """Return name and text of the part that keeps an attempt."""
    values = {name: getattr(attempt, name) for name in Attempt.__slots__ if name != "number"}
    kept = {name: value for name, value in values.items() if value is not None}
    return f"{_ATTEMPT}{attempt.number}", dumps(kept, ensure_ascii=False, separators=(",", ":"))


def last_attempt(run: Any) -> Attempt:
    """Return the attempt that a record itself tells of."""
    attempt = Attempt(run.attempt, run.status, run.owner)
    attempt.started_at, attempt.finished_at = run.started_at, run.finished_at
    if run.status not in (CLAIMED, SUCCEEDED):
        attempt.error_type = run.error_type
        attempt.error = None if run.error is None else shortened(run.error, LONGEST_ERROR)
        attempt.traceback = run.traceback
    return attempt


def attempts_of(run: Any, parts: Mapping[str, str]) -> list[Attempt]:
    """Return the attempts of a run that are known, oldest first; the last is what its record says, if it does not wait.

    :param parts: the parts that are kept of the run; what cannot be read is left out
    """
    # What waits, or has ended while it waited, has no owner: its last attempt is kept as the others are.
    waits = run.status == WAITING or run.owner is None
    found: dict[int, Attempt] = {}
    for name, text in parts.items():
        number = _number(name)
        if number is not None and number < run.attempt + waits:
            found[number] = _attempt_of(number, text)
    if run.attempt > 0 and run.status != WAITING:
        found.setdefault(run.attempt, last_attempt(run))
    return [found[number] for number in sorted(found)]


def forgotten_with(number: int) -> dict[str, None]:
    """Return the part that goes when an attempt is kept: that of an older one, unless it was the first."""
    old = number - NEWEST
    return {f"{_ATTEMPT}{old}": None} if old > 1 else {}


def before_another(attempt: Attempt) -> Attempt:
    """Return an attempt as it is kept when another one follows: only the first one keeps its traceback."""
    if attempt.number > 1:
        attempt.traceback = None
    elif attempt.traceback is not None:
        attempt.traceback = shortened(attempt.traceback, LONGEST_PART // 8)
    return attempt


def progress_of(parts: Mapping[str, str]) -> float | None:
    """Return the progress of a run, from 0 to 1; None: nothing sound is known."""
    try:
        progress = float(parts[PROGRESS])
    except (KeyError, TypeError, ValueError):
        return None
    return progress if 0 <= progress <= 1 else None


def beat_of(parts: Mapping[str, str]) -> int | None:
    """Return when a run gave its last sign of life (instant); None: nothing sound is known."""
    try:
        at = int(parts[BEAT])
    except (KeyError, TypeError, ValueError):
        return None
    return at if FIRST_SHOWN <= at <= LAST_SHOWN else None


def cut(text: str, most: int) -> str:
    """Return the beginning of a text that is at most so many bytes long as UTF-8."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def newest(text: str, most: int) -> str:
    """Return the end of a text that is at most so many bytes long as UTF-8."""
    return text.encode("utf-8", "replace")[-most:].decode("utf-8", "ignore") if most > 0 else ""


def _number(name: str) -> int | None:
    number = name.removeprefix(_ATTEMPT)
    is_one = number != name and len(number) < 19 and number.isascii() and number.isdecimal()
    return int(number) if is_one else None


def _attempt_of(number: int, text: str) -> Attempt:
    attempt = Attempt(number, DIED)
    try:
        values = loads(text)
        for name, kind in _KINDS.items():
            value = values.get(name)
            if type(value) is kind:
                setattr(attempt, name, value)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass  # what is damaged says nothing
    return attempt


_KINDS: dict[str, type] = {
    "outcome": str,
    "node": str,
    "started_at": int,
    "finished_at": int,
    "error_type": str,
    "error": str,
    "traceback": str,
}


def _iso(instant: int | None) -> str | None:
    return None if instant is None else moment(instant).isoformat()
