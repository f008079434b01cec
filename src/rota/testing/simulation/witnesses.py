"""Who looks on when a store does something: at what it held before, and at its answer.

They judge nothing; the audit does.
"""

from __future__ import annotations

from ...schedulers.base import STATE_RUNNING
from .attempts import presented

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .audit import Audit
    from .fibers import Fiber, Fibers
    from .nodes import Node

    #: takes the answer of the store
    Note = Callable[[Any], None]


class Witnesses:
    """Those of one world.

    :param fibers: what is going on at the same time; None: the methods of the store are one step each
    """

    def __init__(self, audit: Audit, fibers: Fibers | None) -> None:
        self._audit = audit
        self._fibers = fibers
        #: what a commit is looked at by, for each fiber
        self._begins: dict[Fiber | None, Callable[[], Note]] = {}

    def watch(self, node: Node, method: str, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a method of the store, and let the audit see what it did."""
        node.began = min(node.began, node.now)
        if self._fibers is None:
            note = self._look(node, method, args)
            result = original(*args)
            note(result)
            return result
        # Not what the store looked like before the call counts, but what it did before the commit.
        fiber, noted = self._fibers.running, []

        def begin() -> Note:
            note = self._look(node, method, args)

            def end(result: Any) -> None:
                noted.append(method)
                note(result)

            return end

        self._begins[fiber] = begin
        try:
            result = original(*args)
        finally:
            del self._begins[fiber]
        if not noted:  # nothing was committed
            begin()(result)
        return result

    def begin(self) -> Note:
        """Look at what the store holds right before a commit; return what takes the answer right after it."""
        assert self._fibers is not None
        begin = self._begins.get(self._fibers.running)
        return _see_nothing if begin is None else begin()

    def _look(self, node: Node, method: str, args: tuple[Any, ...]) -> Note:
        """Look at what the store holds before it does something; return what takes its answer."""
        audit = self._audit
        if method == "claim":
            decisions, owner, now = args
            before = {decision.job.id: audit.look(decision.job.id) for decision in decisions}
            # A pass that is under way when its scheduler is paused may still claim; here none ever is.
            running = node.scheduler.state == STATE_RUNNING or not node.alive
            return lambda won: audit.claim(before, won, owner, now, running)
        if method in ("add_job", "save_job", "remove_job", "remove_all_jobs"):
            return self._look_at_jobs(node, method, args)
        if method in ("open_runs", "take_waiting", "cancel_run"):
            return self._look_at_waiting(method, args)
        if method == "give_back":
            given = presented(args[0])
            return lambda refused: audit.given_back(given, refused)
        if method == "finish":
            return lambda refused: audit.finish(args[0], refused)
        if method == "renew":
            return lambda lost: audit.renew(lost, *args)
        if method == "rescue":
            # In the middle of a transaction, a node may say that a time is over after that was looked at.
            marked = audit.stopped.marked() if self._fibers is None else ()
            return lambda runs: audit.rescue(runs, marked, args[0], args[1], *args[3:])
        if method == "leave":
            return lambda result: audit.leave(args[0], args[1])
        return _see_nothing

    def _look_at_jobs(self, node: Node, method: str, args: tuple[Any, ...]) -> Note:
        audit = self._audit
        if method == "remove_all_jobs":
            all_before = {job_id: audit.look(job_id) for job_id in audit.segments}

            def removed(result: Any) -> None:
                audit.removed(all_before)
                audit.cancelled(result or ())

            return removed
        job_id = args[0] if method == "remove_job" else args[0].id
        seen = audit.look(job_id)

        def changed(result: Any) -> None:
            if result is not False:
                audit.changed(job_id, seen, audit.look(job_id), method, node.began)
            if method == "remove_job":
                audit.cancelled(result or ())

        return changed

    def _look_at_waiting(self, method: str, args: tuple[Any, ...]) -> Note:
        audit = self._audit
        if method == "open_runs":
            cuts = args[2] if len(args) > 2 else ()
            return lambda runs: audit.opened(runs, cuts)
        if method == "take_waiting":
            before = {job_id: audit.look(job_id) for job_id, _ in audit.waiting}
            return lambda runs: audit.taken(before, runs, args[0], args[1])
        key = args[0], args[1]

        def cancelled(run: Any) -> None:
            if run is not None and run.ended and key in audit.waiting:
                audit.cancelled([run])
            elif run is not None:
                audit.stopped.asked(run)

        return cancelled


def _see_nothing(result: Any) -> None:
    """Take an answer that cannot be wrong."""
