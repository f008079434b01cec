"""What must hold of a job that the ends of another one start, in a simulation: one run for each end, and none besides.

It is told by the audit, and looks at the store right after each call.
"""

from __future__ import annotations

from contextlib import suppress

from ...core.chains import starts_others
from ...core.extras import extra_of
from ...core.states import CLAIMED
from ...errors import RotaError
from ...triggers.after import After
from .attempts import Waits, name
from .nodes import Crash
from .users import WORK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...core.run import Run
    from ...jobstores.base import BaseJobStore
    from .audit import Audit
    from .nodes import Node

#: Each so many seeds have a job that the ends of another one start.
CHAINED = 3


#: What its runs do that find no place, one after another.
OVERLAPS = ("skip", "buffer_all", "buffer_one", "cancel_other")


class Chain:
    """Two jobs, of which one is started by each end of the other.

    :param parent: the id of the one
    :param child: the id of the other
    :param observer: a store object on the same data
    """

    def __init__(self, parent: str, child: str, observer: BaseJobStore, audit: Audit) -> None:
        self._parent = parent
        self._child = child
        self._audit = audit
        self._lookup = type(observer).lookup_job.__get__(observer)
        self._get_runs = type(observer).get_runs.__get__(observer)
        #: the runs of the parent whose ends have left something
        self._ends: set[str] = set()
        audit.followed, audit.chain_adds_up = self.followed, self.adds_up

    def followed(self, run: Run) -> None:
        """Check that an end which was just written has left what it must."""
        audit = self._audit
        if run.job_id != self._parent or not starts_others(run):
            return
        found = [left for left in self._records() if extra_of(left).parent == run.id]
        if not found and self._lookup(self._child) is None:
            return
        audit.require(len(found) == 1, f"the end of {run.id} has left {found} at {self._child}")
        audit.require(run.id not in self._ends, f"{run.id} has ended twice")
        self._ends.add(run.id)
        (left,) = found
        key, extra = (left.job_id, left.nominal), extra_of(left)
        audit.require(
            key not in audit.claimed and key not in audit.ended and key not in audit.waiting,
            f"{name(key)} was left beside another run",
        )
        audit.by_hand.add(key)
        if left.ended:
            audit.ended[key] = (left.owner, left.attempt, left.status, left.finished_at)
            audit.count("left out by another job")
        else:
            before = left.attempt - (left.status == CLAIMED)  # it may have been taken by the same call
            audit.waiting[key] = Waits(before, extra.not_before or 0, extra.waiting_for)
            audit.count("started by another job")

    def adds_up(self) -> None:
        """Check that the job has no run that no end has left."""
        parents = [extra_of(run).parent for run in self._records()]
        self._audit.require(
            len(set(parents)) == len(parents) and self._ends.issuperset(parents),
            f"{self._child} has runs of {sorted(map(str, parents))}; {sorted(self._ends)} have ended",
        )

    def _records(self) -> list[Run]:
        found: list[Run] = self._get_runs(self._child, limit=1_000_000)
        return found


def has_chain(seed: int, audit: Audit) -> bool:
    """Whether a seed has a job that is started by the ends of another one's runs."""
    return seed % CHAINED == 0 and audit.observer.starts_chains


def begin_chain(seed: int, audit: Audit, node: Node) -> None:
    """Have a job started by the ends of another one's runs; it chooses nothing."""
    parent, child = f"{seed}.0", f"{seed}.after"
    Chain(parent, child, audit.observer, audit)
    with suppress(Crash, RotaError, ConnectionError):
        overlap = OVERLAPS[seed // CHAINED % len(OVERLAPS)]
        node.scheduler.add_job(WORK, After(parent, "any"), id=child, retry=None, overlap=overlap)
