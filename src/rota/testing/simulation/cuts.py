"""Records that are split in a simulation: what is left of them has their ends.

It is told by the audit, and looks at no store.
"""

from __future__ import annotations

from .attempts import name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ...core.openings import Cut

    #: job id, nominal instant
    Key = tuple[str, int]


def note_cut(
    ended: dict[Key, tuple[str | None, int, str, int | None]],
    order: dict[Key, int],
    require: Callable[[object, str], None],
    cut: Cut,
    taken: Collection[Key],
) -> None:
    """Check that a record was as it was looked at, and take note of what is left of it.

    :param ended: owner, attempt, status and end of the records
    :param order: in which order nominal times got their records
    :param require: raises unless what it is given holds
    :param taken: the keys of the runs that were opened in the same step
    """
    job_id, first = cut.found.job_id, cut.found.nominal
    known = ended.pop((job_id, first), None)
    status, attempt = cut.seen[:2]
    require(
        known is not None and known[1:3] == (attempt, status),
        f"{name((job_id, first))} was opened again as {status}#{attempt}; it was {known}",
    )
    assert known is not None
    pieces = [first] if cut.seen[2] == first else []
    for piece in cut.left:
        pieces += [piece.nominal]
        ended[job_id, piece.nominal] = known
    place = order[job_id, first]
    for nominal in (*pieces, *(nominal for id, nominal in taken if id == job_id)):
        order.setdefault((job_id, nominal), place)
