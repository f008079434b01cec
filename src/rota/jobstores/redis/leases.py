"""The leases of the nodes in the Redis store: begun, renewed, counted, forgotten.

It touches no run; what becomes of those of a dead node is decided in ``rota.core.orphans``, for ``rescue()`` in ``runs``. A lease
is ended by leave.lua, which looks for runs.
"""

from __future__ import annotations

from ..retention import NODES_KEPT
from .forms import padded
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from ...core.run import Run
    from ..identity import Identity

#: How many entries of nodes one step deletes.
FORGOTTEN = 1000


class Leases:
    """Reads and writes the leases in one store.

    :param run: carries out a script with some fields
    :param identity: what is known of the store that is open
    """

    def __init__(self, run: Callable[..., Any], identity: Identity) -> None:
        self._run = run
        self._identity = identity

    def renew(
        self,
        node: str,
        now: int,
        until: int,
        in_hand: Collection[Run],
        in_doubt: bool,
    ) -> tuple[list[Run] | None, str | None]:
        """Begin or prolong a lease; see the port.

        :return: the answer, and what happened to the store if it is not the one that was opened
        """
        identity = self._identity
        known = identity.value, str(identity.renewals(node)), str(identity.until(node))
        asked = "1" if in_hand else "", "1" if in_doubt else ""
        answer = texts(self._run("renew", node, str(now), str(until), *asked, *known))
        if answer[0] == "?":
            _, found, count = answer
            return None, identity.change(node, now, found or None, int(count) if count else None)
        renewals, text = answer
        identity.written(node, int(renewals), until)
        if not text:
            return None, None
        parts = text[1:].split("\0")
        held = set(zip(parts[::3], parts[1::3], parts[2::3], strict=False))
        lost = [run for run in in_hand if (run.job_id, padded(run.nominal), str(run.attempt)) not in held]
        return lost, None

    def living(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        return int(self._run("living", str(now)))

    def prune(self, now: int) -> None:
        """Delete the entries of nodes that are long gone, some of them."""
        self._run("forget_nodes", str(now - NODES_KEPT), str(FORGOTTEN))
