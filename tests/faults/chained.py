"""The balance of jobs that the ends of others' runs start: has each end left exactly one run, and is there none besides?

Pure, as the balance is of which it is a part.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rota.core.states import CANCELLED, FAILED, LOST, SUCCEEDED, TIMED_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rota.core.run import Run
    from tests.faults.balance import Plan

#: Which ends count, for each value of `on`.
COUNTING = {
    "succeeded": (SUCCEEDED,),
    "failed": (FAILED, TIMED_OUT, LOST),
    "any": (SUCCEEDED, FAILED, TIMED_OUT, LOST, CANCELLED),
}


def planned(id: str, plan: Plan, records: Mapping[str, Sequence[Run]]) -> Plan:
    """Check that each end that counts has left one run, and no other; return the plan with the times of these runs.

    :param id: the id of a job
    :param records: all records, by the ids of their jobs
    """
    if plan.after is None:
        return plan
    left, ends = _left_and_ends(id, plan, records)
    lost, others = ends - set(left), set(left) - ends
    assert not lost, f"{len(lost)} ends have left no run of {id}, such as that of {min(map(str, lost))}"
    assert not others, f"{id} has runs that no end has left, such as one of {min(map(str, others))}"
    twice = [end for end, count in left.items() if count > 1]
    assert not twice, (
        f"{len(twice)} ends have left several runs of {id}, such as that of {min(map(str, twice))}"
    )
    return plan._replace(times=sorted(record.nominal for record in records.get(id, ())))


def are_missing(plans: Mapping[str, Plan], runs: Sequence[Run]) -> bool:
    """Whether runs are missing that ends must leave: a dead process may have left that to others."""
    records: dict[str, list[Run]] = {}
    for run in runs:
        records.setdefault(run.job_id, []).append(run)
    for id, plan in plans.items():
        if plan.after is not None:
            left, ends = _left_and_ends(id, plan, records)
            if ends - set(left):
                return True
    return False


def _left_and_ends(
    id: str, plan: Plan, records: Mapping[str, Sequence[Run]]
) -> tuple[Counter[str | None], set[str | None]]:
    """Return of which runs the ends have left some of a job, and of which they must."""
    parent, on = plan.after or ("", "any")
    ends: set[str | None] = {run.id for run in records.get(parent, ()) if run.status in COUNTING[on]}
    return Counter(run.parent for run in records.get(id, ())), ends
