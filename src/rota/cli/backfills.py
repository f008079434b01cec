"""``rota backfill``: the missing times of a job run, or how many these are; or that is cancelled.

It opens a store that other processes run, and makes no pass: what it asks for is carried out by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..clock import SYSTEM_CLOCK, instant, moment
from .escaping import escaped
from .ledger import time_of
from .output import CliError, iso, print_json, say
from .stores import no_such_job, opened

if TYPE_CHECKING:
    from datetime import datetime, tzinfo


def backfill(
    url: str | None,
    tablename: str,
    job_id: str,
    start: str | None,
    end: str | None,
    only_missing: bool,
    preview: bool,
    chain: bool,
    zone: tzinfo,
    as_json: bool,
) -> None:
    """Have the times of a job in a range run, or say how many these are."""
    first = time_of("START", start, zone)
    if first is None:
        raise CliError(f"START is missing; write rota backfill {job_id} 3d for the last three days", 2)
    last = time_of("END", end, zone) or moment(SYSTEM_CLOCK.now(), zone)
    with opened(url, tablename) as (guest, _):
        if guest.get_job(job_id) is None:
            raise no_such_job(guest, job_id)
        found = guest.backfill(job_id, first, last, only_missing, preview, chain=chain)
    begin, until = _shown(found.first, zone), _shown(found.last, zone)
    if as_json:
        print_json({"job_id": job_id, "times": int(found), "first": begin, "last": until, "dry_run": preview})
        return
    what = "missing" if only_missing else "in all"
    if not found:
        say(f"{escaped(job_id)}: no times {what}")
        return
    range = f"{begin}" if found == 1 else f"{begin} to {until}"
    will = "would run" if preview else "run as places come free"
    say(f"{escaped(job_id)}: {found:,} {'time' if found == 1 else 'times'} {what}, {range}: {will}")


def cancel_backfill(url: str | None, tablename: str, job_id: str, as_json: bool) -> None:
    """End the backfill of a job."""
    with opened(url, tablename) as (guest, _):
        if guest.get_job(job_id) is None:
            raise no_such_job(guest, job_id)
        count = guest.cancel_backfill(job_id)
    if as_json:
        print_json({"job_id": job_id, "cancelled": count})
    else:
        say(f"{escaped(job_id)}: {count} waiting runs were cancelled; what runs goes on")


def _shown(time: datetime | None, zone: tzinfo) -> str | None:
    return None if time is None else iso(instant(time), zone)
