"""Everything that can happen in a small world, up to a depth: each state is looked at once, however it is reached.

It searches; what can happen, and what must hold, is the world's business.
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import RotaError
from .audit import Violation
from .rules import ALL
from .small_digest import digest
from .small_world import SmallWorld

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from .rules import Rules
    from .small_calls import Budget

    #: what has happened, the last first
    Path = tuple[str, Any] | None

#: How deep the search goes unless somebody wants another depth.
DEPTH = 5
#: The same where runs are tried again: a cancel can come between any two steps, so that there is more to try.
DEPTH_OF_RETRIES = 4
#: Where it begins: before anything, and when the second and the third time of the jobs are due and runs of those before are
#: under way. Each is what happens after the one before it.
BEGINNINGS = (
    (),
    ("¹ looks", "claim of ¹", "a second passes"),
    ("finish of ¹ (b", "finish of ¹ (a", "¹ looks", "claim of ¹", "a second passes"),
)
#: The same where runs are tried again: runs are under way; one of them has failed and waits; the next time is due besides; and a
#: node that is about to take the waiting run has seen that it waits.
OF_RETRIES = (
    ("¹ looks", "claim of ¹"),
    ("give_back of ¹ (a",),
    ("finish of ¹ (b", "a second passes"),
    ("take of ¹ begins", *3 * ("take of ¹ goes on",)),
)


class Result(NamedTuple):
    """What a search has found.

    :ivar depth: up to so many things happened one after another, in every order
    :ivar states: how many states were reached
    :ivar steps: how many times something was made to happen
    """

    depth: int
    states: int
    steps: int
    violation: Violation | None


def search(
    depth: int = DEPTH,
    rules: Rules = ALL,
    budget: Budget | None = None,
    tell: Callable[[int, int], None] | None = None,
    beginnings: Sequence[Sequence[str]] = BEGINNINGS,
) -> Result:
    """Try everything that can happen from each beginning on, the shortest way first, and let it come to rest in the end.

    :param depth: how many things may happen one after another
    :param rules: the rules of the protocol that are kept
    :param budget: what may go wrong, and what users may do
    :param tell: called with each depth that was searched and the number of states so far
    :param beginnings: what happens before, one after another; the search begins after each
    :return: what was found; the first violation ends the search
    """
    try:
        level = list(_beginnings(SmallWorld(rules, budget), beginnings))
    except Violation as exc:
        return Result(0, 0, 0, exc)
    seen = {digest(world) for world, _ in level}
    resting: set[bytes] = set()
    steps = 0
    for reached in range(1, depth + 1):
        following: list[tuple[SmallWorld, Path]] = []
        for world, path in level:
            for what, make in world.choices():
                steps += 1
                twin = world.copy()
                try:
                    make(twin)
                    state = digest(twin)
                    if state in seen:
                        continue
                    seen.add(state)
                    if reached == depth:  # nearer ones are on the way of some of these
                        twin.copy().come_to_rest(resting, digest)
                except (Violation, RotaError) as exc:
                    return Result(reached, len(seen), steps, _told(exc, (what, path)))
                following.append((twin, (what, path)))
        level = following
        if tell is not None:
            tell(reached, len(seen))
    return Result(depth, len(seen), steps, None)


def _beginnings(world: SmallWorld, beginnings: Sequence[Sequence[str]]) -> Iterator[tuple[SmallWorld, Path]]:
    """Yield where the search begins, and what has happened before."""
    path: Path = None
    for names in beginnings:
        for wanted in names:
            what, make = next(choice for choice in world.choices() if choice[0].startswith(wanted))
            path = what, path
            try:
                make(world)
            except Violation as exc:
                raise _told(exc, path) from None
        yield world.copy(), path


def _told(violation: Exception, path: Path) -> Violation:
    happened = []
    while path is not None:
        what, path = path
        happened.append(what)
    lines = "\n".join(f"  {number}. {what}" for number, what in enumerate(reversed(happened), 1))
    return Violation(f"{violation}\n{lines}")
