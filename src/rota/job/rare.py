"""What most jobs have not, kept in one slot of a job.

Values only; it knows no job.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Rare:
    """What most jobs have not, in one slot of a job: a slot for each would be 16 bytes of every job. It is never changed."""

    __slots__ = ("error", "kwargs", "metadata", "new_id", "paused", "revision", "sealed", "tags")

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

    def but(self, **values: Any) -> Rare:
        """Return the same with some other values."""
        twin = Rare.__new__(Rare)
        for name in Rare.__slots__:
            setattr(twin, name, values[name] if name in values else getattr(self, name))
        return twin


NOTHING_RARE = Rare()
ONLY_NEW_ID = Rare(new_id=True)
