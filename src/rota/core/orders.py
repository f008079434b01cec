"""What others ask of a node: to drain, to cancel runs, to answer.

Pure data.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any


#: How long a request to a node and its answer are kept (microseconds), and the longest answer (bytes as UTF-8).
REQUESTS_KEPT = 60 * 1_000_000
LONGEST_ANSWER = 64 * 1024
#: What is asked of no particular node: to carry on a backfill. Stores keep it with the requests, under this kind and this node.
BACKFILL, ANY_NODE = "backfill", "*"


class Request:
    """A question that only one node can answer.

    :ivar str id: names the answer
    :ivar str kind: what is asked for
    :ivar tuple | None subject: the key of the run that it is about
    """

    __slots__ = ("id", "kind", "subject")

    def __init__(self, id: str, kind: str, subject: tuple[str, int] | None) -> None:
        self.id = id
        self.kind = kind
        self.subject = subject

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.kind} {self.subject}>"


class Orders:
    """What others ask of a node.

    :ivar bool draining: whether it is to claim nothing more
    :ivar cancels: job id, nominal time and reason for each of its runs that somebody has asked to stop
    :ivar requests: questions that it has not answered
    :ivar int | None next_waiting: the earliest time (instant) at which a waiting run may start
    :ivar bool outdated: whether the store has a newer layout than the node knows: it claims nothing more
    :ivar backfills: what is left of backfills, as stored texts by the ids of their jobs: whichever node comes first carries them on
    :ivar strays: the ids of what is kept as left of a backfill, and belongs to no job
    """

    __slots__ = ("backfills", "cancels", "draining", "next_waiting", "outdated", "requests", "strays")

    def __init__(
        self,
        draining: bool = False,
        cancels: Sequence[tuple[str, int, str]] = (),
        requests: Sequence[Request] = (),
        next_waiting: int | None = None,
        outdated: bool = False,
        backfills: Mapping[str, str] | None = None,
        strays: Sequence[str] = (),
    ) -> None:
        self.draining = draining
        self.cancels = cancels
        self.requests = requests
        self.next_waiting = next_waiting
        self.outdated = outdated
        self.backfills = backfills or {}
        self.strays = strays

    def __repr__(self) -> str:
        return f"<Orders {'draining ' if self.draining else ''}{list(self.cancels)} {list(self.requests)}>"


def kept_backfills(found: Iterable[tuple[Any, Any, Any]]) -> tuple[dict[str, str], list[str]]:
    """Return what is left of backfills by the ids of their jobs, and the ids of what belongs to no job: it is damaged.

    :param found: id, job id and text of each
    """
    backfills, strays = {}, []
    for id, job_id, text in found:
        if type(job_id) is str and text is not None and id == backfill_id(job_id):
            backfills[job_id] = str(text)
        else:
            strays.append(str(id))
    return backfills, strays


def backfill_id(job_id: str) -> str:
    """Return the id under which what is left of a job's backfill is kept."""
    from hashlib import blake2b  # rare

    return f"{BACKFILL}-{blake2b(job_id.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
