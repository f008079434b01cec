"""Jobs of the MongoDB store that are paused after failures in a row: what is counted goes into the update that ends a run.

Pure: it asks no server.
"""

from __future__ import annotations

from ...core.pauses import count_ends
from ...core.policy import Policy
from ..documents import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ...core.run import Run
    from ...job.handle import Job


def counted(job: Job | None, runs: Sequence[Run], running: int, now: int) -> dict[str, dict[str, Any]]:
    """Return what an update of a job sets and takes from its document as it is counted how some runs have ended.

    :param job: the job as it was read; the update expects its version (R1)
    :param running: how many runs of the job are under way after these
    :return: nothing if they change nothing of it
    """
    if job is None or not runs or not Policy.some_pause or not job.policy.pause_on_failure:
        return {}
    draft = job.copy()
    draft.running = running
    if not count_ends(draft, runs, now):
        return {}
    values: dict[str, Any] = {
        "next_nominal": draft.next_nominal,
        "next_due": draft.next_due,
        "state": draft.state,
        "version": draft.version + 1,
    }
    if draft.revision:
        values["revision"] = draft.revision
    if draft.paused is None:
        return {"$set": values, "$unset": {"paused": ""}}
    return {"$set": {**values, "paused": whole(draft.paused)}}


def together(change: dict[str, Any], more: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return an update that does what another does as well; the version is raised once."""
    if not more:
        return change
    merged = {name: {**change.get(name, {}), **more.get(name, {})} for name in {*change, *more}}
    if merged.get("$inc", {}).pop("version", None) is not None and not merged["$inc"]:
        del merged["$inc"]
    return merged
