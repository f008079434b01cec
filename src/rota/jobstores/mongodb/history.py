"""Forgetting in the MongoDB store: which records are deleted, in steps. Damaged ones that have no time stay.

It decides nothing that the bounds of retention do not say.
"""

from __future__ import annotations

from pymongo import DESCENDING

from ...clock import DAY
from ...codec.damaged import LATEST
from .. import retention
from ..base import COUNTED
from ..retention import Pace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ...clock import Clock
    from ..retention import Retention
    from .server import Server

#: How long the document of a node is kept after its lease was over.
_NODES_KEPT = DAY


class Pruning:
    """Deletes the records of one store that are beyond its bounds, and what is left of nodes.

    :param server: where they are
    :param bounds: what is kept
    """

    def __init__(self, server: Server, bounds: Retention) -> None:
        self._server = server
        self._bounds = bounds

    def prune(self, now: int, clock: Clock) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job, in steps; see the port."""
        bounds, pace = self._bounds, Pace(retention.FORGOTTEN)
        keep = bounds.keep
        if not bounds.wants_all(now):
            if keep is not None:
                for job_id in bounds.crowded():
                    yield from self._prune_job(job_id, keep, clock, pace)
            return
        bounds.begin()
        if bounds.age is not None:
            yield from self._prune_old(now - bounds.age, clock, pace)
        if keep is not None:
            yield from self._prune_all(keep, clock, pace)
        bounds.end(now)

    def _prune_old(self, instant: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records that ended before an instant."""
        start: int | None = None
        runs = self._server.runs
        while True:
            began, size = clock.monotonic(), pace.size
            before = {"$lt": instant} if start is None else {"$lt": instant, "$gte": start}
            with self._server.translated():
                some = list(
                    runs.find({"nominal": before}, {"nominal": 1, "finished": 1})
                    .sort("nominal", 1)
                    .limit(size)
                )
                old = [found["_id"] for found in some if _ended_before(found.get("finished"), instant)]
                self._delete(old)
                pace.note(len(old), clock.monotonic() - began)
                if len(some) < size:
                    return
                left = runs.count_documents({"nominal": before}, limit=COUNTED) if old else 0
            last = some[-1]["nominal"]
            # Of more records of one nominal time than are looked at, those behind the ones that stay are left to a later time.
            start = last + 1 if not old and last == some[0]["nominal"] else last
            yield left

    def _prune_all(self, keep: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records of each job beyond its newest: of some jobs after others, by their ids."""
        runs = self._server.runs
        start: str | None = ""
        while start is not None:
            of_some: dict[str, Any] = {"$gte": start}
            with self._server.translated():
                end = self._first({"job_id": of_some}, retention.LOOKED_AT)
                crowded: list[str] = []
                if end == start:  # it has more records than are looked at
                    crowded = [start]
                    end = self._first({"job_id": {"$gt": start}}, 0)
                elif keep < retention.LOOKED_AT:
                    if end is not None:
                        of_some["$lt"] = end
                    counted = [
                        {"$match": {"job_id": of_some}},
                        {"$group": {"_id": "$job_id", "count": {"$sum": 1}}},
                        {"$match": {"count": {"$gt": keep}}},
                    ]
                    crowded = [group["_id"] for group in runs.aggregate(counted)]
            yield 0
            for job_id in crowded:
                yield from self._prune_job(job_id, keep, clock, pace)
            start = end

    def _first(self, among: Mapping[str, Any], passed: int) -> str | None:
        """Return the job of the first of some records after so many, by the ids of jobs."""
        in_order = self._server.runs.find(among, {"job_id": 1}).sort([("job_id", 1), ("nominal", DESCENDING)])
        found = next(iter(in_order.skip(passed).limit(1)), None)
        return None if found is None else found["job_id"]

    def _prune_job(self, job_id: str, keep: int, clock: Clock, pace: Pace) -> Iterator[int]:
        """Delete the records of a job beyond its newest."""
        numbered = {"job_id": job_id, "nominal": {"$type": "number"}}
        newest = self._server.runs.find(numbered, {"nominal": 1}).sort("nominal", DESCENDING)
        with self._server.translated():
            edge = next(iter(newest.skip(keep).limit(1)), None)
        if edge is None:
            return
        beyond = {"job_id": job_id, "nominal": {"$lte": edge["nominal"]}}
        left = 1
        while left:
            began, size = clock.monotonic(), pace.size
            with self._server.translated():
                some = self._server.runs.find(beyond, {"_id": 1}).sort("nominal", 1).limit(size + COUNTED)
                keys = [found["_id"] for found in some]
                self._delete(keys[:size])
            pace.note(len(keys[:size]), clock.monotonic() - began)
            left = max(len(keys) - size, 0)
            yield left

    def _delete(self, keys: Sequence[Any]) -> None:
        if keys:
            self._server.runs.delete_many({"_id": {"$in": keys}})

    def nodes(self, now: int) -> None:
        """Delete the documents of nodes that are long gone; a lease that is damaged is over."""
        nodes = self._server.nodes
        with self._server.translated():
            for none in ({"$not": {"$type": "number"}}, {"$gt": LATEST}):
                nodes.update_many({"lease_until": none}, {"$set": {"lease_until": now - 1}})
            nodes.delete_many({"lease_until": {"$lt": now - _NODES_KEPT}})


def _ended_before(finished: Any, instant: int) -> bool:
    return isinstance(finished, int) and finished < instant
