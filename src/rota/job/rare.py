"""What most jobs have not, kept in one slot of a job.

Values only; it knows no job.
"""

from __future__ import annotations

from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar


class Rare:
    """What most jobs have not, in one slot of a job: a slot for each would be 16 bytes of every job. It is never changed."""

    __slots__ = ("chained", "error", "kwargs", "metadata", "new_id", "paused", "revision", "sealed", "tags")
    #: whether any job of this process was paused, so that somebody has to look for pauses that are over
    some_paused: ClassVar[bool] = False

    def __init__(
        self,
        kwargs: Mapping[str, Any] | None = None,
        error: str | None = None,
        sealed: str | None = None,
        new_id: bool = False,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Any] | None = None,
        revision: int = 0,
        paused: str | None = None,
        chained: bool = False,
    ) -> None:
        self.kwargs = kwargs
        self.error = error
        self.sealed = sealed
        #: whether the id was made for this job, so that there are no records of it
        self.new_id = new_id
        self.tags = tags
        self.metadata = metadata
        self.revision = revision
        self.paused = paused
        #: whether the ends of its runs start other jobs
        self.chained = chained
        if paused is not None:
            Rare.some_paused = True

    def but(self, **values: Any) -> Rare:
        """Return the same with some other values."""
        twin: Rare = object.__new__(Rare)
        # One after the other by name took five times as long.
        (
            twin.chained,
            twin.error,
            twin.kwargs,
            twin.metadata,
            twin.new_id,
            twin.paused,
            twin.revision,
            twin.sealed,
            twin.tags,
        ) = _values(self)
        for name, value in values.items():
            setattr(twin, name, value)
        if twin.paused is not None:
            Rare.some_paused = True
        return twin


_values = attrgetter(*Rare.__slots__)

NOTHING_RARE = Rare()
ONLY_NEW_ID = Rare(new_id=True)
