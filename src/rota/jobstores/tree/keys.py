"""The keys of the tree store, and how ids and instants are written in them.

::

    meta                              what the path is, and the version of its layout
    wake                              who has told the others last
    jobs/<id>                         a job's document
    due/<executor>/<due>-<id>         an active job with a due time
    quarantined/<id>                  a job in quarantine
    active/<id>@<nominal>             a claimed run
    waiting/<id>/<nominal>            a run that waits for a time of its own
    starts/all/<time>-<id>@<nominal>  when it may start
    asked/<id>@<key>                  which run was asked for with a key, and when
    cancels/<node>/<id>@<nominal>     why a run of a node is to stop
    requests/<request>                what a node is asked, and its answer
    ended/<id>/<nominal>              the record of a run that has ended
    children/<id>/<other>             a job that the ends of runs of another one, <id>, start
    parts/<id>/<nominal>              what is kept beside the record of a run
    edits/<id>                        the last edits of a job
    durations/<id>                    how long the runs of a job took
    hours/<hour>                      how many records of an hour there are, for each status
    counted                           up to which hour records are counted there
    nodes/<node>                      when a node's lease is over, how long it is, how often it was renewed, when it began, when
                                      the node was asked to drain, and what it says of itself
    damaged/<folder>/<name>           what others had written in the place of something of ours
"""

from __future__ import annotations

import re
from hashlib import blake2b
from urllib.parse import quote, unquote

from ...clock import DAY
from ...codec.damaged import MOST, is_time

META = "meta"
WAKE = "wake"
JOBS = "jobs"
DUE = "due"
QUARANTINED_JOBS = "quarantined"
ACTIVE_RUNS = "active"
WAITING_RUNS = "waiting"
STARTS = "starts"
ASKED = "asked"
CANCELS = "cancels"
REQUESTS = "requests"
ENDED_RUNS = "ended"
PARTS = "parts"
CHILDREN = "children"
EDITS = "edits"
DURATIONS = "durations"
HOURS = "hours"
COUNTED = "counted"
NODES = "nodes"
DAMAGED_KEYS = "damaged"

#: Makes every instant that a datetime can show, and more, a number without a sign.
_SHIFT = 2**62
_DIGITS = 19
#: The longest lease (microseconds).
LONGEST = 30 * DAY
_plain = re.compile(r"[A-Za-z0-9_]+").fullmatch


def quoted(text: str) -> str:
    """Return a text as one part of a key; only letters and digits, ``_`` and ``%`` remain."""
    if _plain(text):
        return text
    return quote(text, safe="").replace(".", "%2E").replace("~", "%7E").replace("-", "%2D")


def unquoted(part: str) -> str:
    """Return the text of a part of a key."""
    return unquote(part)


def number(instant: int) -> str:
    """Return an instant in a form that sorts as text; all are equally long."""
    return f"{instant + _SHIFT:019d}"


def instant_of(text: str) -> int:
    """Return the instant of such a number."""
    return int(text) - _SHIFT


def is_number(text: str) -> bool:
    """Whether a text is such a number."""
    return len(text) == _DIGITS and text.isascii() and text.isdigit()


def damaged_key(folder: str, name: str) -> str:
    """Return the key of what is kept that others had written."""
    return f"{DAMAGED_KEYS}/{folder}/{quoted(name)}"


def job_key(job_id: str) -> str:
    """Return the key of a job's document."""
    return f"jobs/{quoted(job_id)}"


def due_folder(executor: str) -> str:
    """Return the folder of the due times of an executor's jobs."""
    return f"due/{quoted(executor)}"


def due_name(due: int, job_id: str) -> str:
    """Return the name of a due time in such a folder."""
    return f"{number(due)}-{quoted(job_id)}"


def due_of(name: str) -> tuple[int, str]:
    """Return due time and job id of such a name.

    :raises ValueError: if it is none
    """
    text, dash, part = name.partition("-")
    if not dash or not is_number(text):
        raise ValueError(f"{name!r} is no due time")
    return instant_of(text), unquoted(part)


def quarantined_key(job_id: str) -> str:
    """Return the key that a job in quarantine has besides its document."""
    return f"quarantined/{quoted(job_id)}"


def active_prefix(job_id: str) -> str:
    """Return how the names of a job's claimed runs begin."""
    return f"{quoted(job_id)}@"


def active_key(job_id: str, nominal: int) -> str:
    """Return the key of a claimed run."""
    return f"active/{quoted(job_id)}@{number(nominal)}"


def active_of(name: str) -> tuple[str, int] | None:
    """Return the job id and the nominal time of a claimed run by the name of its key; None if it is none."""
    part, at, text = name.rpartition("@")
    return (unquoted(part), instant_of(text)) if at and is_number(text) else None


def waiting_folder(job_id: str) -> str:
    """Return the folder of a job's waiting runs."""
    return f"waiting/{quoted(job_id)}"


def waiting_key(job_id: str, nominal: int) -> str:
    """Return the key of a waiting run."""
    return f"waiting/{quoted(job_id)}/{number(nominal)}"


#: The folder of the times at which waiting runs may start.
START_TIMES = "starts/all"


def start_key(not_before: int, job_id: str, nominal: int) -> str:
    """Return the key by which a waiting run is found when its time has come."""
    return f"{START_TIMES}/{number(not_before)}-{quoted(job_id)}@{number(nominal)}"


def start_of(name: str) -> tuple[int, str, int] | None:
    """Return when a waiting run may start, its job id and nominal time, by the name of such a key; None if it is none."""
    text, _, rest = name.partition("-")
    key = active_of(rest)
    return (instant_of(text), *key) if key is not None and is_number(text) else None


def asked_key(job_id: str, key: str) -> str:
    """Return the key of what is known of a run that was asked for with a key; such a key may be of any length."""
    return (
        f"asked/{quoted(job_id)}@{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
    )


def cancels_folder(node: str) -> str:
    """Return the folder of the runs of a node that are to stop."""
    return f"cancels/{quoted(node)}"


def cancel_key(node: str, job_id: str, nominal: int) -> str:
    """Return the key of why a run of a node is to stop."""
    return f"cancels/{quoted(node)}/{quoted(job_id)}@{number(nominal)}"


def request_key(id: str) -> str:
    """Return the key of a request to a node."""
    return f"requests/{quoted(id)}"


def ended_folder(job_id: str) -> str:
    """Return the folder of a job's records."""
    return f"ended/{quoted(job_id)}"


def ended_key(job_id: str, nominal: int) -> str:
    """Return the key of a record."""
    return f"ended/{quoted(job_id)}/{number(nominal)}"


def parts_folder(job_id: str) -> str:
    """Return the folder of what is kept beside a job's records."""
    return f"parts/{quoted(job_id)}"


def parts_key(job_id: str, nominal: int) -> str:
    """Return the key of what is kept beside a record."""
    return f"parts/{quoted(job_id)}/{number(nominal)}"


def children_folder(parent: str) -> str:
    """Return the folder of the jobs that the ends of a job start."""
    return f"children/{quoted(parent)}"


def child_key(parent: str, job_id: str) -> str:
    """Return the key that a job has which the ends of another one start."""
    return f"children/{quoted(parent)}/{quoted(job_id)}"


def edits_key(job_id: str) -> str:
    """Return the key of a job's edits."""
    return f"edits/{quoted(job_id)}"


def durations_key(job_id: str) -> str:
    """Return the key of the durations of a job's runs."""
    return f"durations/{quoted(job_id)}"


def hour_key(hour: int) -> str:
    """Return the key of the counts of an hour."""
    return f"hours/{number(hour)}"


def node_key(node: str) -> str:
    """Return the key of a node's lease."""
    return f"nodes/{quoted(node)}"


def lease_text(
    until: int,
    length: int,
    renewals: int | None,
    started: int | None = None,
    draining: int | None = None,
    about: str | None = None,
) -> str:
    """Return the text of a lease.

    :param until: when it is over (instant)
    :param length: how long it is (microseconds)
    :param renewals: how often it was renewed; None: that is not known
    :param started: when it began (instant); None: that is not known
    :param draining: since when the node drains (instant); None: it does not
    :param about: what the node says of itself
    """
    text = f"{until} {length} {_shown(renewals)} {_shown(started)}"
    return text if draining is None and about is None else f"{text} {_shown(draining)} {about or ''}"


def lease_of(text: str | None) -> tuple[int | None, int, int | None]:
    """Return when a lease is over, how long it is and how often it was renewed; None, 0 and None for what is damaged or not there.

    Older versions wrote no more than the first.
    """
    numbers: list[int | None] = [_number_in(part) for part in (text or "").split(" ", 3)[:3]]
    until, length, renewals = [*numbers, 0, 0][:3]
    return (
        until if is_time(until) else None,
        length if length is not None and 0 <= length <= LONGEST else 0,
        renewals if text and renewals is not None and 0 <= renewals < MOST else None,
    )


def description_of(text: str | None) -> tuple[int | None, int | None, str | None]:
    """Return when a lease began, since when its node drains, and what that says of itself; None for what is not there."""
    started, draining, about, *_ = [*(text or "").split(" ", 5)[3:], "", "", ""]
    times = [time if is_time(time := _number_in(part)) else None for part in (started, draining)]
    return times[0], times[1], about or None


def _shown(value: int | None) -> str:
    return "?" if value is None else str(value)


def _number_in(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
