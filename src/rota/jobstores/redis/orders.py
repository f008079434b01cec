"""What others ask of nodes in the Redis store: to cancel runs, to claim nothing more, to answer questions.

It changes no run; the steps, which are atomic, are in ``scripts/``: orders.lua, drain.lua, request.lua, answer.lua,
keep_backfill.lua.
"""

from __future__ import annotations

from ...clock import LAST_SHOWN
from ...core.details import cut
from ...core.orders import LONGEST_ANSWER, REQUESTS_KEPT, Orders, Request, backfill_id, kept_backfills
from ...util import new_node_id
from ..documents import version_in
from .forms import kept_text, number_of, time_of_score
from .layout import SCHEMA_VERSION
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

#: How many texts a question is.
_PARTS = 4


class OrderBook:
    """Reads and writes what is asked of the nodes of one store.

    :param run: carries out a script with some fields
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def of(self, node: str, now: int) -> Orders:
        """Return what is asked of a node."""
        draining, version, first, count, several, *found = texts(self._run("orders", node, _since(now)))
        end = 2 * int(count)
        cancels, kept, asked = (
            found[:end],
            found[end : end + 3 * int(several)],
            found[end + 3 * int(several) :],
        )
        return Orders(
            bool(draining),
            [_cancel(key, reason) for key, reason in zip(cancels[::2], cancels[1::2], strict=True)],
            [
                Request(id, kind, (job_id, number_of(nominal)) if job_id and _is_number(nominal) else None)
                for id, kind, job_id, nominal in zip(*[iter(asked)] * _PARTS, strict=True)
            ],
            time_of_score(first) if first else None,
            (version_in(version) or 0) > SCHEMA_VERSION,
            *kept_backfills(_kept(kept)),
        )

    def backfills(self, now: int) -> dict[str, str]:
        """Return what is left of backfills, by the ids of their jobs."""
        kept = texts(self._run("backfills", _since(now)))
        return kept_backfills(_kept(kept))[0]

    def keep_backfill(self, job_id: str, text: str | None, before: str | None, now: int) -> bool:
        """Keep what is left of the backfill of a job, if that is still as it was looked at."""
        fields = backfill_id(job_id), _since(now), job_id, str(LAST_SHOWN), text or "", before or ""
        return bool(self._run("keep_backfill", *fields) == "1")

    def drain(self, node: str, draining: bool, now: int) -> bool:
        """Have a node claim nothing more, or claim again; return False if there is no such node."""
        return bool(self._run("drain", node, str(now) if draining else ""))

    def request(self, node: str, kind: str, now: int, subject: tuple[str, int] | None) -> str:
        """Ask a node for something; return the id of the request."""
        id: str = new_node_id()
        about = ("", "") if subject is None else (subject[0], str(subject[1]))
        self._run("request", id, _since(now), node, kind, str(now), *about)
        return id

    def answer(self, id: str, text: str, now: int) -> None:
        """Answer a question, unless it is gone."""
        self._run("answer", id, _since(now), kept_text(cut(text, LONGEST_ANSWER)))

    def answer_to(self, id: str, now: int) -> str | None:
        """Return the answer to a question, None: there is none yet, or it is gone."""
        found = self._run("answer", id, _since(now))
        return None if found is None else str(found)


def _kept(found: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    """Return id, job id and text of what is left of backfills; a text with a NUL cannot be sent as one that was looked at."""
    for id, job_id, text in zip(*[iter(found)] * 3, strict=True):
        yield id, job_id, None if "\0" in text else text


def _since(now: int) -> str:
    """Return the instant from which on questions count."""
    return str(now - REQUESTS_KEPT + 1)


def _cancel(key: str, reason: str) -> tuple[str, int, str]:
    job_id, _, nominal = key.rpartition("\0")
    return job_id, number_of(nominal), reason


def _is_number(text: str) -> bool:
    return len(text) <= 20 and text.isascii() and text.removeprefix("-").isdecimal()
