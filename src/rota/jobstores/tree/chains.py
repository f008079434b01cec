"""Runs that the ends of others leave at the jobs after them, written in the steps that write these ends.

Such a step is committed by itself, as it changes the documents of several jobs. What an end starts is decided in
``rota.core.chains``.
"""

from __future__ import annotations

from functools import partial

from ...core.chains import followers, parent_of, starts_others
from ...core.extras import extra_of
from ...core.states import ENDED
from ...triggers.base import BaseTrigger
from .forms import REMOVED, changes_of, record_of, waits
from .history import NEVER
from .keys import CHILDREN, active_key, children_folder, ended_key, unquoted, waiting_key
from .port import Change, Step, carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ...codec.jobs import JobFormat
    from ...core.run import Run
    from ...job.handle import Job
    from .forms import Doc
    from .history import History
    from .jobs import Jobs
    from .port import Tree


class Chains:
    """Reads the jobs after others, and writes what the ends of these leave there.

    :param tree: the server
    :param jobs: reads the documents of jobs
    :param history: reads records
    :param format: signs runs
    :param job_of: returns the job of a document
    :param is_soon: tells whether other processes have to hear of a time
    """

    def __init__(
        self,
        tree: Tree,
        jobs: Jobs,
        history: History,
        format: JobFormat,
        job_of: Callable[[Doc], Job],
        is_soon: Callable[[int | None], bool],
    ) -> None:
        self._tree = tree
        self._jobs = jobs
        self._history = history
        self._format = format
        self._job_of = job_of
        self._is_soon = is_soon

    def children(self, parents: Collection[str]) -> list[Job]:
        """Return the jobs that the ends of some jobs start."""
        return [job for _, job in self._found(parents)]

    def has_children(self, job_id: str) -> bool:
        """Whether the ends of a job start others."""
        return bool(self._found((job_id,)))

    def parents(self) -> list[str]:
        """Return the ids of the jobs that start others."""
        return [unquoted(part) for part in self._tree.folders(CHILDREN)]

    def _found(self, parents: Collection[str]) -> list[tuple[Doc, Job]]:
        ids = [unquoted(name) for parent in parents for name in self._tree.names(children_folder(parent))]
        docs = [
            doc
            for doc in self._jobs.some(ids).values()
            if doc is not None and doc.unreadable is None and doc.state not in (REMOVED, ENDED)
        ]
        return [(doc, job) for doc in docs if parent_of(job := self._job_of(doc)) in parents]

    def carry_out(self, steps: Sequence[Step], now: int, tell: bool = False) -> list[Step]:
        """Commit steps, with what the ends in them leave at other jobs; return those that were refused."""
        if not BaseTrigger.some_chain:
            return carry_out(steps, self._tree, tell)
        plain: list[Step] = []
        refused: list[Step] = []
        for step in steps:
            changes, first = self.left_by(step.ended, now)
            if not changes:
                plain.append(step)
            elif not self._tree.commit([*step.changes, *changes], tell or self._is_soon(first)):
                refused.append(step)
            elif step.done is not None:
                step.done()
        return refused + carry_out(plain, self._tree, tell)

    def left_by(self, ended: Sequence[Run], now: int) -> tuple[list[Change], int | None]:
        """Return the changes that write what ends leave at other jobs, and when the first of that may start."""
        ended = [run for run in ended if starts_others(run)]
        found = self._found({run.job_id for run in ended}) if ended else []
        changes: list[Change] = []
        times: list[int] = []
        if found:
            self._history.look_back([doc for doc, _ in found])
        for doc, job in found:
            new, taken = doc.copy(), set[int]()
            for parent in ended:
                for run in followers(parent, [job], now, partial(self._is_taken, taken)):
                    taken.add(run.nominal)
                    # R4: a decision looks back from now on.
                    new.recorded = max(new.recorded or NEVER, run.nominal)
                    if run.ended:
                        changes.append(Change(ended_key(run.job_id, run.nominal), record_of(run)))
                        continue
                    self._format.sign(run)
                    new.waiting += 1
                    not_before = extra_of(run).not_before or now
                    changes += waits(run, not_before)
                    times.append(not_before)
            if taken:
                changes += changes_of(doc, new)
        return changes, min(times, default=None)

    def _is_taken(self, taken: Collection[int], job_id: str, nominal: int) -> bool:
        keys = [place(job_id, nominal) for place in (active_key, waiting_key, ended_key)]
        return nominal in taken or any(entry.value is not None for entry in self._tree.read(keys))
