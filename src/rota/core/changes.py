"""What an edit has changed of a job, for people who look back.

Pure. It stores nothing.
"""

from __future__ import annotations

from ..clock import moment
from ..texts import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: How many edits of a job are kept.
KEPT = 20
#: The longest text of one (characters).
LONGEST = 500


class Change:
    """One edit of a job.

    :ivar int revision: the revision that it has given the job
    :ivar int at: when (instant)
    :ivar str who: the node or person that made it
    :ivar str what: what was changed, in words
    """

    __slots__ = ("at", "revision", "what", "who")

    def __init__(self, revision: int, at: int, who: str, what: str) -> None:
        self.revision = revision
        self.at = at
        self.who = shortened(who, LONGEST)
        self.what = shortened(what, LONGEST)

    def to_dict(self) -> dict[str, Any]:
        """Return the edit as JSON-able data (the time is ISO 8601, UTC)."""
        return {
            "revision": self.revision,
            "at": moment(self.at).isoformat(),
            "who": self.who,
            "what": self.what,
        }

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Change) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a record, compared in tests

    def __repr__(self) -> str:
        return f"<Change {self.revision} by {self.who}: {self.what}>"


def text_of(change: Change) -> str:
    """Return an edit as a stored text."""
    from json import dumps  # import time: memory keeps the edits themselves

    return dumps(
        [change.revision, change.at, change.who, change.what], ensure_ascii=False, separators=(",", ":")
    )


def change_of(text: str) -> Change | None:
    """Return the edit of a stored text, None if it is damaged."""
    from json import loads  # likewise

    try:
        values = loads(text)
        if [type(value) for value in values] == [int, int, str, str]:
            return Change(*values)
    except (ValueError, TypeError, RecursionError):
        pass
    return None


def newest_first(changes: Sequence[Change | None]) -> list[Change]:
    """Return the last edits that are not damaged, newest first."""
    sound = [change for change in changes if change is not None]
    return sorted(sound, key=lambda change: -change.revision)[:KEPT]
