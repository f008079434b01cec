"""The part of the port for what somebody asks of runs and nodes: runs that wait for a time of their own, cancelling, orders.

Its defaults are for ledgers in memory. Nothing here is planned by a schedule.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core.openings import Cut
    from ..core.orders import Orders
    from ..core.run import Run
    from ..core.waiting import MayTake


class TakesRequests:
    """What somebody may ask of a store beside the schedules. Each method is one atomic step.

    One that a pass calls waits for nobody, and may raise HeldRowsError; see :mod:`.held_rows` for what calls of users do then.
    """

    # -- runs that wait ------------------------------------------------------------------------------------------

    def open_runs(
        self, runs: Sequence[Run], now: int, cuts: Sequence[Cut] = (), version: int | None = None
    ) -> list[Run]:
        """Make runs wait that are asked for: new ones, and such as have ended (their record is opened again).

        A run is refused if its nominal time has a record that has not ended (R4), or if its job is not there. So is a new one that
        has any record, and one with a cut of which the record is not as it was looked at: of such runs none is opened that has been
        executed meanwhile. What a cut leaves of a record is written in the same step as its runs. With a key
        (``run.extra.key``) that was used for the same job within :data:`~rota.core.waiting.KEY_HOLDS`, the run of that time is
        returned as the store has it, and nothing is opened, unless it went with its job
        (:func:`~rota.core.waiting.answers_for_key`).

        :param runs: runs of different keys, with status "waiting" and their ``extra`` (origin, ``not_before``, what it waits for,
            arguments); a new one has attempt 0, one that is opened again goes on with the attempt of its record
        :param now: instant
        :param cuts: the records in place of which some of the runs are opened; those that stand for several times have one
        :param version: only if the job has this version (R1); None: whatever it is. All runs are of one job then
        :return: the runs that wait now, and those that were found by their keys; not those that were refused
        """
        from .requests_in_memory import open_runs  # rare

        return open_runs(self, runs, now, cuts, version)

    def give_back(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Make claimed runs wait, for any node: the reverse of taking them. A job that waited for them becomes due (R6).

        :param runs: claimed runs of a node, with what they wait for and ``not_before`` in their ``extra``. A retry and a snoozed
            run keep their place among the runs of their job
        :param now: instant
        :return: the runs that were refused, because the record names another owner or attempt (R5), because somebody has asked them
            to stop meanwhile (then their ``extra.cancel`` says why), or because their job was removed meanwhile
            (:func:`~rota.core.waiting.has_no_job`)
        """
        from .requests_in_memory import give_back  # rare

        return give_back(self, runs, now)

    def take_waiting(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None = None,
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take waiting runs whose time has come, earliest first, as :class:`~rota.core.waiting.Taking` decides.

        They are read by an index, in steps, until there is no room or some thousands were looked at; of a job that has no room
        no more are read.

        :param node: the id of a node that holds its lease
        :param now: instant
        :param room: for each executor alias, how many runs the node has room for; None: any number, for any alias
        :param may_take: asked whether a run may be taken, or ended, at this time, with the id of its job and its nominal time; None
            in place of that stands for those runs of the job that keep their places, as these are taken together. The engine gives
            it after the store has refused a step: nothing is written of a run that is left. None: any
        :return: runs that now belong to ``node``, with ``job`` set (a job with the arguments of the run, if it has its own), and
            runs that have ended: those whose job was removed, or whose arguments cannot be restored
        """
        from .requests_in_memory import take_waiting  # rare

        return take_waiting(self, node, now, room, may_take)

    def next_waiting(self) -> int | None:
        """Return when :meth:`take_waiting` has something to do next (instant): when a waiting run may start, or is to end.

        A run that only a change of its job lets start, as that is paused, on hold or in quarantine, is left out, but for the
        deadline of its retry; whoever changes the job has the nodes look again (:func:`~rota.core.waiting.looked_at`).

        :return: None if nothing waits but for such a change
        """
        from .requests_in_memory import next_waiting  # rare

        return next_waiting(self)

    def cancel_run(
        self, job_id: str, nominal: int, reason: str, now: int, only_waiting: bool = False
    ) -> Run | None:
        """Cancel a run: one that waits ends at once; of one that is under way its node is told by :meth:`orders`.

        A later request does not change the reason of an earlier one.

        :param job_id: the id of the job
        :param nominal: the key of the record (instant)
        :param reason: why, in words
        :param now: instant
        :param only_waiting: whether one that is under way is left alone
        :return: the record as it is now; None if there is none
        """
        from .requests_in_memory import cancel_run  # rare

        return cancel_run(self, job_id, nominal, reason, now, only_waiting)

    # -- what is left of a backfill ------------------------------------------------------------------------------

    def backfills(self) -> dict[str, str]:
        """Return what is left of backfills, as texts by the ids of their jobs; :meth:`orders` tells the same."""
        from .requests_in_memory import backfills  # rare

        return backfills(self)

    def keep_backfill(self, job_id: str, text: str | None, before: str | None) -> bool:
        """Keep what is left of the backfill of a job, if that is still as it was looked at; all nodes are told.

        :param text: what is left; None: nothing
        :param before: what was; None: nothing
        :return: False if it is something else by now
        """
        from .requests_in_memory import keep_backfill  # rare

        return keep_backfill(self, job_id, text, before)

    def backfill_refusal(self, job_id: str, text: str) -> str | None:
        """Return why what is left of the backfill of a job, as it is stored, is not carried on; None if it is."""
        return None

    def remembers_from(self, job_id: str, now: int) -> int | None:
        """Return the instant from which on the ledger knows of each time of a job whether it ran; None: of all times.

        :param job_id: the id of the job
        :param now: instant
        """
        from .requests_in_memory import remembers_from  # rare

        return remembers_from(self)

    # -- nodes ---------------------------------------------------------------------------------------------------

    def orders(self, node: str, now: int) -> Orders:
        """Return what others ask of a node; it looks after each renewal and whenever it is woken.

        :param node: the id of the node
        :param now: instant
        """
        from .requests_in_memory import orders  # rare

        return orders(self, node, now)

    def drain(self, node: str, draining: bool, now: int) -> bool:
        """Have a node claim nothing more, or claim again; it finishes what it has, and keeps its lease.

        :param draining: False: it claims again
        :param now: instant
        :return: False if there is no such node
        """
        from .requests_in_memory import drain  # rare

        return drain(self, node, draining, now)

    def request(self, node: str, kind: str, now: int, subject: tuple[str, int] | None = None) -> str:
        """Ask a node for something that only it knows; return the id of the request.

        :param node: the id of the node
        :param kind: what is asked for: "stack"
        :param now: instant
        :param subject: the key of the run that it is about
        """
        from .requests_in_memory import request  # rare

        return request(self, node, kind, now, subject)

    def answer(self, id: str, text: str, now: int) -> None:
        """Answer a request; one that is gone, after :data:`~rota.core.orders.REQUESTS_KEPT`, is forgotten.

        :param text: the answer, :data:`~rota.core.orders.LONGEST_ANSWER` bytes at most
        """
        from .requests_in_memory import answer  # rare

        answer(self, id, text, now)

    def answer_to(self, id: str, now: int) -> str | None:
        """Return the answer to a request, None: there is none yet, or it is gone."""
        from .requests_in_memory import answer_to  # rare

        return answer_to(self, id, now)
