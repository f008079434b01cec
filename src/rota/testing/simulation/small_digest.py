"""By what a state of a small world is recognised.

It reads the world; it changes nothing.
"""

from __future__ import annotations

import marshal
from hashlib import blake2b

from .small_calls import NODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.extras import Extra
    from .rows import JobRow
    from .small_calls import Node
    from .small_world import SmallWorld

_SWAPPED = str.maketrans("".join(NODES), "".join(reversed(NODES)))


def digest(world: SmallWorld) -> bytes:
    """Return what tells this state from all others: the two nodes may have changed places."""
    first, second = (_shape(world, world.nodes[name]) for name in NODES)
    if first == second:
        return min(_digest(world, False, [first, second]), _digest(world, True, [first, second]))
    first_text, second_text = repr(first), repr(second)
    if first_text < second_text:
        return _digest(world, False, [first, second])
    return _digest(world, True, [second, first])


def _shape(world: SmallWorld, node: Node) -> Any:
    """Return what a node knows, without its name."""
    looked = None
    if node.looked is not None:
        now, rows, waits = node.looked
        looked = now, [_values(row) for row in rows], list(map(tuple, waits))
    trusts = max(node.trusts_until - world.elapsed, -1)
    return node.is_alive, node.is_late, node.offset, trusts, looked, list(map(tuple, node.hand))


def _digest(world: SmallWorld, swapped: bool, nodes: list[Any]) -> bytes:
    order = NODES[::-1] if swapped else NODES
    view, place = world.db.committed, {name: index for index, name in enumerate(order)}
    jobs = [_values(view.jobs[id]) for id in sorted(view.jobs)]
    runs = sorted(
        (
            key,
            run.last,
            run.attempt,
            run.status,
            -1 if run.owner is None else place[run.owner],
            _extra(run.extra),
        )
        for key, run in view.runs.items()
    )
    leases = [view.nodes.get(name, (0,))[1:] for name in order]
    state: Any = (world.elapsed, world.shift, tuple(world.budget), nodes, jobs, runs, leases)
    if world.calls:
        numbers = {call.transaction: index for index, call in enumerate(world.calls)}
        calls = [
            (call.actor, call.kind, call.arguments, call.is_late, call.tries, call.results)
            for call in world.calls
        ]
        open_ones = [
            (
                numbers.get(number),
                numbers.get(transaction.waits_for),
                transaction.writes,
                transaction.snapshot,
            )
            for number, transaction in world.db.open.items()
        ]
        locks = sorted((place_, numbers[holder]) for place_, holder in world.db.locks.items())
        text = repr((calls, open_ones, locks))
        state = (*state, text.translate(_SWAPPED) if swapped else text)
    return blake2b(marshal.dumps(state, 2), digest_size=12).digest()


def _values(row: JobRow) -> tuple[Any, ...]:
    return (row.id, row.nominal, row.due, row.version, row.state, row.running, row.since)


def _extra(extra: Extra | None) -> tuple[Any, ...] | None:
    return None if extra is None else (extra.waiting_for, extra.not_before, extra.cancel)
