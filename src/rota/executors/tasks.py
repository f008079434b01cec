"""The coroutines that are under way on an event loop: the one registry of all executors.

It makes no loop and no thread. All of it is called on the thread of the loop, except where something else is said.
"""

from __future__ import annotations

from ..core.states import CLAIMED
from .steps import cancel_group, close_quietly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

    from ..core.run import Run

    #: what an executor keeps beside a task: its run, what the run's job has returned (None if nothing waits for it but the task),
    #: and whatever else it needs when the task has ended
    Entry = tuple[Run, Coroutine[Any, Any, Any] | None, *tuple[Any, ...]]


class Tasks:
    """The tasks under way, and the run that each carries out. Iterating over them, from any thread too, gives the tasks.

    :param ended: called once for each task that has ended or could not be made, with its entry and the error that the run has not
        got as its outcome: what the program's task factory raised; None if there is no such error
    """

    __slots__ = ("_ended", "entries")

    def __init__(self, ended: Callable[[Entry, BaseException | None], None]) -> None:
        self._ended = ended
        #: the entry of each task (or of what else can be cancelled)
        self.entries: dict[Any, Entry] = {}

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, task: object) -> bool:
        return task in self.entries

    def begin(
        self, make_task: Callable[..., Any], work: Coroutine[Any, Any, None], context: Any, entry: Entry
    ) -> None:
        """Let a task carry out a run's work.

        :param make_task: makes a task of a coroutine and ``context=``
        :param work: what writes the outcome into the run
        :param context: the context variables that it sees
        """
        try:
            task = make_task(work, context=context)
            if not task.done():
                task.add_done_callback(self._task_ended)
                self.entries[task] = entry
                if entry[0].cancelled:  # while it was on its way here
                    task.cancel()
                return
        except BaseException as exc:  # a task factory of the program's may do anything
            close_quietly(work)
            self._ended(entry, exc)
            return
        self._task_ended(task, entry)

    def _task_ended(self, task: Any, entry: Entry | None = None) -> None:
        entry = entry or self.entries.pop(task, None)
        if entry is not None:  # else it was taken out
            self._ended(entry, None if entry[0].status != CLAIMED or task.cancelled() else task.exception())

    def cancel_all(self) -> None:
        """Ask all runs and what follows them in their groups to stop, and cancel the tasks."""
        for task, entry in list(self.entries.items()):
            cancel_group(entry[0])
            task.cancel()

    def cancel_run(self, run: Run) -> None:
        """Cancel the task that carries out a run, if there is one."""
        for task, entry in list(self.entries.items()):
            if entry[0] is run:
                task.cancel()

    def take_all(self) -> list[Entry]:
        """Take out what is under way and return it; nobody hears of these tasks any more."""
        left = list(self.entries.values())
        self.entries.clear()
        return left
