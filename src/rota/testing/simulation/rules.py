"""The rules of the claim protocol as something that can be taken out, so that a simulation can be judged by what it finds.

It keeps no rule; ``protocol`` does.
"""

from __future__ import annotations

from typing import NamedTuple


class Rules(NamedTuple):
    """Which rules of the protocol are kept. What is taken out makes a mutant, by which a simulation is judged.

    :param versions: R1: a decision counts only if the job's version is the one that was looked at
    :param limits: R2: runs are claimed only while fewer than the limit are under way
    :param moves: R3: the claim moves the job and counts its runs in the same step in which it writes them
    :param records: R4: a nominal time has one record at most
    :param retries: R4: the claim of a later time ends a retry only if that still waits
    :param superseded: a retry that the claim of a later time counts out is ended in the same step
    :param taken: R4: a run that waits is taken only if it still does
    :param cancels: a run that somebody has asked to stop is not given back for another try
    :param fences: R5: an end is accepted only from the owner and attempt that the record names
    :param chained: an end and what it starts are written in the same step
    :param once: an end that is written already starts nothing
    :param serialised: a job that is added counts the runs of its id that are under way while none of them can end
    :param heals: a counter that would refuse work is compared with the ledger first
    """

    versions: bool = True
    limits: bool = True
    moves: bool = True
    records: bool = True
    retries: bool = True
    superseded: bool = True
    taken: bool = True
    cancels: bool = True
    fences: bool = True
    chained: bool = True
    once: bool = True
    serialised: bool = True
    heals: bool = True


ALL = Rules()
#: the mutants, by what is taken out
MUTANTS = {
    "R1": ALL._replace(versions=False),
    "R2": ALL._replace(limits=False),
    "R3": ALL._replace(moves=False),
    "R4": ALL._replace(records=False),
    "retries": ALL._replace(retries=False),
    "superseded": ALL._replace(superseded=False),
    "taken": ALL._replace(taken=False),
    "cancels": ALL._replace(cancels=False),
    "R5": ALL._replace(fences=False),
    "chained": ALL._replace(chained=False),
    "once": ALL._replace(once=False),
    "counters": ALL._replace(serialised=False, heals=False),
}
#: those of them that only runs reach which are tried again
OF_RETRIES = ("retries", "superseded", "taken", "cancels")
#: those that only the ends of runs reach that start other jobs
OF_CHAINS = ("chained", "once")
