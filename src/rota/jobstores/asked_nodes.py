"""What is asked of nodes, for stores that keep it in a part of its own: draining, questions and their answers.

It hands on what the port is asked; each store has its own part, and reads by itself what a node is to do.
"""

from __future__ import annotations

from abc import abstractmethod

from .requests import TakesRequests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..codec.jobs import JobFormat

    class OrdersPart(Protocol):
        """The part of a store that keeps what is asked of nodes."""

        def backfills(self, now: int) -> dict[str, str]: ...

        def keep_backfill(self, job_id: str, text: str | None, before: str | None, now: int) -> bool: ...

        def drain(self, node: str, draining: bool, now: int) -> bool: ...

        def request(self, node: str, kind: str, now: int, subject: tuple[str, int] | None) -> str: ...

        def answer(self, id: str, text: str, now: int) -> None: ...

        def answer_to(self, id: str, now: int) -> str | None: ...


class AsksNodes(TakesRequests):
    """A store that asks a part of its own; see the port for the methods."""

    now: Callable[[], int]
    _format: JobFormat

    @property
    @abstractmethod
    def _asked(self) -> OrdersPart:
        """The part, of a store that was started."""

    def backfills(self) -> dict[str, str]:
        """Return what is left of backfills, by the ids of their jobs."""
        return self._asked.backfills(self.now())

    def keep_backfill(self, job_id: str, text: str | None, before: str | None) -> bool:
        """Keep what is left of the backfill of a job, if that is still as it was looked at; see the port."""
        signed = None if text is None else self._format.signed_backfill(job_id, text)
        return self._asked.keep_backfill(job_id, signed, before, self.now())

    def backfill_refusal(self, job_id: str, text: str) -> str | None:
        """Return why what is left of the backfill of a job is not carried on; see the port."""
        return self._format.backfill_refusal(job_id, text)

    def drain(self, node: str, draining: bool, now: int) -> bool:
        """Have a node claim nothing more, or claim again; return False if there is no such node."""
        return self._asked.drain(node, draining, now)

    def request(self, node: str, kind: str, now: int, subject: tuple[str, int] | None = None) -> str:
        """Ask a node for something that only it knows; return the id of the request."""
        return self._asked.request(node, kind, now, subject)

    def answer(self, id: str, text: str, now: int) -> None:
        """Answer a request; one that is gone is forgotten."""
        self._asked.answer(id, text, now)

    def answer_to(self, id: str, now: int) -> str | None:
        """Return the answer to a request; None: there is none yet, or it is gone."""
        return self._asked.answer_to(id, now)
