"""What a row of the table and a measured case are. The rows themselves are in the modules beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Settings = Mapping[str, int | str]

BOTH = ("rota", "apscheduler")
#: The name under which a case's floor is measured: the same work by the bare primitive that no scheduler can do without.
FLOOR = "floor"


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure that a case reports, and what it should be."""

    title: str
    #: name of the figure in the case's answer
    figure: str
    unit: str
    #: what the figure is for somebody who uses the scheduler
    meaning: str
    more_is_better: bool = False
    #: how many times better than APScheduler it should be
    ratio: float | None = None
    #: what it should be at the most (at the least, if more is better), in the row's unit
    bound: float | None = None
    #: how many times the floor it may be
    floors: float | None = None
    #: False: a number beside which a ratio says nothing
    compared: bool = True
    #: False: not a duration or a rate, so that processor time is no second measure of it
    timed: bool = True


@dataclass(frozen=True)
class Case:
    """A program that measures, `cases/<module>:<function>`, with its arguments."""

    name: str
    program: str
    rows: tuple[Row, ...]
    settings: Settings = field(default_factory=dict)
    packages: tuple[str, ...] = BOTH
    #: the program of the floor, where there is a meaningful one
    floor: str | None = None
    #: the programs of other peers by the name of the peer
    peers: Mapping[str, str] = field(default_factory=dict)
    #: what replaces settings in the short form; None: the case is not part of it
    short: Settings | None = None
    #: long cases are not run as often as asked for
    most_rounds: int = 100
    #: seconds after which a run of the program is given up
    timeout: int = 100

    def programs(self) -> dict[str, str]:
        """Return the program of each contender: the packages, the floor, the peers."""
        found = dict.fromkeys(self.packages, self.program)
        if self.floor:
            found[FLOOR] = self.floor
        return found | dict(self.peers)
