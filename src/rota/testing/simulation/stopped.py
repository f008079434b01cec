"""What must hold in a simulation of runs that somebody has asked to stop, and of those whose time is over: a model of both.

It is told by the audit, and looks at what is kept beside records only.
"""

from __future__ import annotations

from ...core.states import CLAIMED, TIMED_OUT
from ...core.timeouts import MARK
from .attempts import name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from ...core.run import Run
    from .attempts import Key


class Stopped:
    """Which runs under way were asked to stop, and which attempts went on after their time.

    :param claimed: owner and attempt of the runs under way
    :param parts_of: returns what is kept beside runs
    :param require: raises unless what it is given holds
    :param count: adds to a number of the report
    """

    def __init__(
        self,
        claimed: Mapping[Key, tuple[str | None, int]],
        parts_of: Callable[[Collection[Key]], Mapping[Key, Mapping[str, str]]],
        require: Callable[[object, str], None],
        count: Callable[..., None],
    ) -> None:
        self._claimed = claimed
        self._parts_of = parts_of
        self._require = require
        self._count = count
        self._asked: set[Key] = set()
        self._late: set[tuple[str, int, int]] = set()

    def asked(self, run: Run) -> None:
        """Take note that somebody has asked a run to stop, if it is under way."""
        key = (run.job_id, run.nominal)
        if run.status == CLAIMED and key in self._claimed:
            self._asked.add(key)
            self._count("asked to stop")

    def time_is_over(self, run: Run) -> None:
        """Take note that the time of an attempt is over, which goes on."""
        self._late.add((run.job_id, run.nominal, run.attempt))
        self._count("went on after its time")

    def marked(self) -> set[Key]:
        """Return the runs under way of whose present attempt the store knows that its time is over."""
        late = [key for key, (_, attempt) in self._claimed.items() if (*key, attempt) in self._late]
        parts = self._parts_of(late) if late else {}
        return {key for key in parts if parts[key].get(MARK, "").startswith(f"{self._claimed[key][1]} ")}

    def ended(self, key: Key, attempt: int, status: str) -> None:
        """Check that an attempt whose time was over has timed out, whatever it did then."""
        self._require(
            (*key, attempt) not in self._late or status in (TIMED_OUT, CLAIMED),
            f"the time of {name(key)}#{attempt} was over, and it is {status}",
        )

    def forget(self, key: Key) -> None:
        """Take note that a run has ended."""
        self._asked.discard(key)

    def may_wait(self, key: Key, is_refused: bool) -> bool:
        """Check that a run which somebody has asked to stop is not given back; return whether it may be."""
        if key not in self._asked:
            return True
        self._require(is_refused, f"{name(key)} was given back; somebody had asked it to stop")
        self._count("cancelled instead of another try")
        return False

    def ended_with_node(self, key: Key, attempt: int, status: str, marked: Collection[Key]) -> None:
        """Check a run that has ended as its node was dead.

        :param marked: what :meth:`marked` has returned before
        """
        self.forget(key)
        self._require(status == TIMED_OUT or key not in marked, f"{name(key)} is {status}; its time was over")
        if status == TIMED_OUT:
            self._require(
                (*key, attempt) in self._late,
                f"{name(key)} has timed out with its node; its time was not over",
            )
            self._count("timed out with its node")

    def rescued(self, key: Key, job: Any, is_dead: bool, marked: Collection[Key]) -> None:
        """Check a run that is executed again.

        :param is_dead: whether another node had it
        :param marked: what :meth:`marked` has returned before
        """
        self._require(key not in self._asked, f"{name(key)} was rescued; somebody had asked it to stop")
        retry = None if job is None else job.policy.retry
        self._require(
            key not in marked or not is_dead or (retry is not None and retry.is_for_timeouts),
            f"{name(key)} was rescued; its time was over",
        )
