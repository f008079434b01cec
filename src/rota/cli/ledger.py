"""Commands that search the ledger and govern runs: what failed, what runs where, why something did not run; cancel, hold, drain.

It opens a store that other processes run, and makes no pass: what it asks for is carried out by them.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..clock import SECOND, SYSTEM_CLOCK, instant, moment
from ..core.queries import LARGEST_PAGE, MOST_VALUES, RunQuery, key_of_run
from ..core.states import CLAIMED, END_STATES, WAITING
from .escaping import escaped
from .output import CliError, duration, iso, local_time, note, one_line, print_columns, print_json, say, until
from .stores import check_words, job_of, label, no_such_job, opened, outcome
from .wording import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

    from ..core.run import Run
    from .stores import Guest

_AGO = re.compile(r"(\d+)\s*(s|m|min|h|d|w)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
#: How many records `rota failures` looks through, and how many jobs are found by a tag.
MOST = 100_000
#: How many runs are usual ones, with which the duration of a run is compared.
USUAL = 20


def time_of(option: str, text: str | None, zone: tzinfo) -> datetime | None:
    """Return the time that an option names: ISO 8601 in the zone of the command, or how long ago ("90m", "2h", "3d").

    :raises CliError: if it is neither
    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return moment(SYSTEM_CLOCK.now(), zone) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(
            f"{option}: {text!r} is no time; write 2026-12-24T18:00, or 2h for two hours ago", 2
        ) from None
    return at.replace(tzinfo=zone) if at.tzinfo is None else at


def nominal_of(text: str, zone: tzinfo) -> datetime:
    """Return the nominal time that names a run: ISO 8601, or the number that --json prints.

    :raises CliError: if it is neither
    """
    if text.isdecimal():
        return moment(int(text), zone)
    found = time_of("NOMINAL", text, zone)
    assert found is not None
    return found


def exact_of(guest: Guest, job_id: str, text: str, zone: tzinfo) -> datetime:
    """Return the nominal time that a text means: that of the only record of the job within its second, as times are printed without
    their microseconds."""
    at = nominal_of(text, zone)
    if text.isdecimal() or at.microsecond or guest.get_run(job_id, at) is not None:
        return at
    within = RunQuery(job_ids=job_id, since=at, until=at + timedelta(seconds=1))
    found = guest.find_runs(within, 2).items
    return moment(found[0].nominal, zone) if len(found) == 1 else at


def search(
    url: str | None,
    tablename: str,
    fields: dict[str, Any],
    tags: list[str],
    limit: int,
    offset: int,
    zone: tzinfo,
    as_json: bool,
) -> None:
    """Print the records that match, newest first."""
    check_words("--status", fields.get("statuses") or [], (CLAIMED, WAITING, *END_STATES))
    with opened(url, tablename) as (guest, _):
        given = job_ids = fields.get("job_ids")
        if tags:
            tagged = {
                job.id for job in _all(lambda cursor: guest.find_jobs(tags=tags, limit=1000, cursor=cursor))
            }
            job_ids = tagged if not given else tagged & set(given)
        most = limit + offset
        found = [_newest(guest, {**fields, "job_ids": some}, most) for some in _parts(job_ids)]
        runs = list(islice(merge(*found, key=key_of_run), offset, most))
        if not runs and not offset and given:
            for job_id in given:
                if job_of(guest, job_id) is None and not guest.last_runs({job_id}):
                    raise no_such_job(guest, job_id)
    print_runs(runs, zone, as_json)


def _parts(job_ids: Iterable[str] | None) -> Iterable[list[str] | None]:
    """Return ids in as many parts as they have to be asked for in; None: of all jobs."""
    if job_ids is None:
        return [None]
    ids = sorted(job_ids)
    return [ids[start : start + MOST_VALUES] for start in range(0, max(len(ids), 1), MOST_VALUES)]


def _newest(guest: Guest, fields: dict[str, Any], most: int) -> Iterable[Run]:
    """Return records, newest first, page by page."""
    query = RunQuery(**{name: value for name, value in fields.items() if value is not None})
    return found_in_pages(lambda cursor: guest.find_runs(query, min(most, LARGEST_PAGE), cursor), most)


def print_runs(runs: list[Run], zone: tzinfo, as_json: bool) -> None:
    """Print records of the ledger."""
    if as_json:
        print_json([{**run.to_dict(), "nominal": run.nominal} for run in runs])
        return
    now = SYSTEM_CLOCK.now()
    rows = [
        (
            f"{moment(run.nominal, zone):%Y-%m-%d %H:%M:%S %z}",
            run.job_id,
            one_line(label(run.job_id, run.name, run.func), 40),
            run.status,
            str(run.attempt) if run.attempt > 1 else "",
            "" if run.duration is None else duration(run.duration * SECOND),
            outcome(run, zone, now),
        )
        for run in runs
    ]
    print_columns(("SCHEDULED", "JOB", "NAME", "STATUS", "TRY", "TOOK", "OUTCOME"), rows, "no runs", 1)


def show_run(url: str | None, tablename: str, job_id: str, nominal: str, zone: tzinfo, as_json: bool) -> None:
    """Print all that is known of one run: its record, attempts, progress, log and traceback."""
    with opened(url, tablename) as (guest, _):
        run = _run(guest, job_id, nominal, zone)
    beat = _beat_of(run, zone)
    if as_json:
        print_json(
            {
                **run.to_dict(),
                "nominal": run.nominal,
                "attempts": [attempt.to_dict() for attempt in run.attempts],
                "progress": run.progress,
                "note": run.note,
                "last_heartbeat": beat,
                "log": run.log,
            }
        )
        return
    now = SYSTEM_CLOCK.now()
    lines = [
        ("job", run.job_id),
        ("name", run.name or ""),
        ("calls", run.func or ""),
        ("scheduled", iso(run.nominal, zone) or ""),
        ("status", run.status),
        ("reason", run.reason or ""),
        ("origin", _origin_of(run)),
        ("outcome", outcome(run, zone, now)),
        ("node", run.owner or ""),
        ("executor", run.executor),
        ("started", iso(run.started_at, zone) or ""),
        ("took", "" if run.duration is None else duration(run.duration * SECOND)),
        ("progress", "" if run.progress is None else f"{run.progress:.0%}"),
        ("note", run.note or ""),
        ("heartbeat", beat or ""),
    ]
    for name, value in lines:
        if value:
            say(f"{name + ':':11}{escaped(one_line(value, 400))}")
    for attempt in run.attempts if len(run.attempts) > 1 else ():
        error = f"  {attempt.error_type}: {attempt.error}" if attempt.error_type else ""
        began = iso(attempt.started_at, zone) or "not begun"
        told = f"attempt {attempt.number}:  {attempt.outcome}, {began}, node {attempt.node or '?'}  "
        say(f"{told}{escaped(one_line(error, 200))}".rstrip())
    for title, text in (("traceback", run.traceback), ("log", run.log)):
        if text:
            say(f"{title}:\n" + "\n".join(f"  {escaped(line)}" for line in text.rstrip().split("\n")))


def _origin_of(run: Run) -> str:
    return run.origin if run.parent is None else f"{run.origin} {run.parent}"


def _beat_of(run: Run, zone: tzinfo) -> str | None:
    beat = run.last_heartbeat
    return None if beat is None else iso(instant(beat), zone)


def show_nodes(url: str | None, tablename: str, zone: tzinfo, as_json: bool) -> None:
    """Print the nodes that run the jobs of a store."""
    with opened(url, tablename) as (guest, _):
        nodes = guest.get_nodes()
    if as_json:
        print_json([node.to_dict() for node in nodes])
        return
    now = SYSTEM_CLOCK.now()
    rows = [
        (
            node.id,
            "draining" if node.draining and node.alive else "alive" if node.alive else "gone",
            f"{node.host or '?'}:{node.pid or '?'}",
            node.version or "",
            local_time(node.started, zone, now),
            str(node.under_way),
            " ".join(f"{alias}={'any' if room is None else room}" for alias, room in node.executors.items()),
        )
        for node in nodes
    ]
    head = ("NODE", "STATE", "PROCESS", "ROTA", "SINCE", "RUNS", "ROOM")
    print_columns(head, rows, "no nodes: nobody runs this store", 1)


def show_top(
    url: str | None, tablename: str, zone: tzinfo, as_json: bool, every: float, times: int | None
) -> None:
    """Print what runs on all nodes, with progress and the time it takes against what is usual; again and again on a terminal.

    :param every: seconds from one look to the next
    :param times: how often, None: until Ctrl-C
    """
    with opened(url, tablename) as (guest, _):
        looks = 0
        while True:
            runs = guest.get_running()
            usual = _usual(guest, {run.job_id for run in runs})
            now = SYSTEM_CLOCK.now()
            if as_json:
                print_json([_running_data(run, usual.get(run.job_id), now) for run in runs])
            else:
                _print_running(runs, usual, now, zone, clear=looks > 0)
            looks += 1
            if times is not None and looks >= times:
                return
            time.sleep(every)


def _running_data(run: Run, usual: float | None, now: int) -> dict[str, Any]:
    elapsed = (now - (run.started_at or run.claimed_at or now)) / SECOND
    shown = {
        "nominal": run.nominal,
        "elapsed": elapsed,
        "usual": usual,
        "progress": run.progress,
        "note": run.note,
    }
    return {**run.to_dict(), **shown}


def _print_running(runs: list[Run], usual: dict[str, float], now: int, zone: tzinfo, clear: bool) -> None:
    if clear:
        print("\x1b[H\x1b[2J", end="")
    rows = []
    for run in sorted(runs, key=lambda run: run.claimed_at or 0):
        elapsed = now - (run.started_at or run.claimed_at or now)
        known = usual.get(run.job_id)
        rows.append(
            (
                run.job_id,
                run.owner or "",
                local_time(run.nominal, zone, now),
                duration(max(elapsed, 0)),
                "" if known is None else duration(known * SECOND),
                "" if run.progress is None else f"{run.progress:.0%}",
                one_line(run.note or "", 100),
            )
        )
    print_columns(("JOB", "NODE", "SCHEDULED", "RUNS FOR", "USUAL", "DONE", "SAYS"), rows, "nothing runs", 1)


def _usual(guest: Guest, ids: set[str]) -> dict[str, float]:
    """Return the middle one of the last durations of some jobs (seconds)."""
    found = {}
    for job_id, runs in (guest.last_runs(ids, USUAL, "succeeded") if ids else {}).items():
        durations = sorted(run.duration for run in runs if run.duration is not None)
        if durations:
            found[job_id] = durations[len(durations) // 2]
    return found


def cancel(
    url: str | None,
    tablename: str,
    job_id: str,
    nominal: str | None,
    reason: str,
    zone: tzinfo,
    as_json: bool,
) -> None:
    """Cancel a run, or leave out a time to come; without a time, the next one."""
    with opened(url, tablename) as (guest, _):
        if nominal is None:
            job = guest.get_job(job_id)
            if job is None:
                raise no_such_job(guest, job_id)
            if job.next_run_time is None or job.next_nominal is None:
                raise CliError(f"{job_id!r} has no time to come")
            at = moment(job.next_nominal, zone)
        else:
            at = exact_of(guest, job_id, nominal, zone)
        run = guest.cancel_run(job_id, at, reason)
        job = guest.get_job(job_id)
    following = (
        None
        if job is None or job.next_nominal is None or job.next_run_time is None
        else iso(job.next_nominal, zone)
    )
    if as_json:
        print_json({"run": {**run.to_dict(), "nominal": run.nominal}, "next_run_time": following})
    elif run.status == CLAIMED:
        say(f"{_named(run, zone)}: asked to stop; node {run.owner} sees it within seconds")
    else:
        say(f"{_named(run, zone)}: {run.status}, {run.reason}; next run {following or 'never'}")


def rerun(
    url: str | None,
    tablename: str,
    job_id: str,
    nominal: str,
    chain: bool,
    zone: tzinfo,
    as_json: bool,
) -> None:
    """Have a run that has ended executed once more; without its chain, it starts no other job."""
    with opened(url, tablename) as (guest, _):
        run = guest.rerun(job_id, exact_of(guest, job_id, nominal, zone), chain=chain)
        if as_json:
            print_json({"run": {**run.to_dict(), "nominal": run.nominal}})
        else:
            say(
                f"{_named(run, zone)}: waits to be executed once more; a running node takes it within seconds"
            )


def _named(run: Run, zone: tzinfo) -> str:
    """Return a run as people name it: its job and the time that `run-info` takes."""
    return f"{escaped(run.job_id)} {iso(run.nominal, zone)}"


def hold(
    url: str | None, tablename: str, chosen: dict[str, Any], reason: str | None, held: bool, as_json: bool
) -> None:
    """Put jobs on hold, or release them."""
    if len([value for value in chosen.values() if value]) != 1:
        raise CliError("give one of --tag TAG, --executor ALIAS and --all: which jobs are meant", 2)
    with opened(url, tablename) as (guest, _):
        count = guest.hold(note=reason, **chosen) if held else guest.release(**chosen)
        if not count:
            _say_why_none(guest, chosen, held)
    if as_json:
        print_json({"did": "hold" if held else "release", "jobs": count})
    else:
        say(f"{count} jobs {'on hold' if held else 'released'}")


def _say_why_none(guest: Guest, chosen: dict[str, Any], held: bool) -> None:
    """Say why no job was put on hold or released; an option that names no job is an error.

    :raises CliError: if there is no such job
    """
    tag, executor = chosen.get("tag"), chosen.get("executor")
    fields: dict[str, Any] = {"tags": [tag]} if tag else {"executors": [executor]} if executor else {}
    there = guest.count_jobs(**fields)
    if not there:
        what = f" with the tag {tag!r}" if tag else f" of the executor {executor!r}" if executor else ""
        raise CliError(f"there is no job{what}")
    note(f"{there} jobs are {'on hold already' if held else 'there, and none of them is on hold'}")


def drain(url: str | None, tablename: str, node: str, draining: bool, as_json: bool) -> None:
    """Have a node claim nothing more, or claim again."""
    with opened(url, tablename) as (guest, _):
        if not guest.drain(node) if draining else not guest.undrain(node):
            known = ", ".join(each.id for each in guest.get_nodes() if each.alive) or "none is alive"
            raise CliError(f"there is no node {node!r}; there are: {known}")
    if as_json:
        print_json({"node": node, "draining": draining})
    else:
        say(
            f"{escaped(node)}: {'drains; it finishes its runs and claims nothing more' if draining else 'claims again'}"
        )


def explain(
    url: str | None, tablename: str, job_id: str, at: str | None, zone: tzinfo, as_json: bool
) -> None:
    """Print in one sentence why a job, or one time of it, did not run."""
    with opened(url, tablename) as (guest, _):
        job = guest.get_job(job_id)
        if at is None and job is None and not guest.last_runs({job_id}):
            raise no_such_job(guest, job_id)
        guest.timezone = zone
        sentence = explained(guest.explain(job_id, None if at is None else exact_of(guest, job_id, at, zone)))
        last = guest.last_runs({job_id}).get(job_id, [])
    if as_json:
        print_json(
            {
                "job_id": job_id,
                "why": sentence,
                "last": None if not last else {**last[0].to_dict(), "nominal": last[0].nominal},
            }
        )
        return
    say(escaped(sentence))
    if at is None and last:
        run = last[0]
        now = SYSTEM_CLOCK.now()
        say(
            f"Its last record: {run.status}, {until(run.nominal, now)}: {escaped(outcome(run, zone, now)) or '-'}"
        )


def _run(guest: Guest, job_id: str, nominal: str, zone: tzinfo) -> Run:
    at = exact_of(guest, job_id, nominal, zone)
    run = guest.get_run(job_id, at)
    if run is None:
        if job_of(guest, job_id) is None and not guest.last_runs({job_id}):
            raise no_such_job(guest, job_id)
        raise CliError(
            f"{job_id!r} has no record of {at.isoformat()}; rota runs --job {job_id} lists what there is"
        )
    return run


def _all(find: Callable[[str | None], Any]) -> Iterable[Any]:
    return found_in_pages(find, MOST)


def found_in_pages(find: Callable[[str | None], Any], most: int) -> Iterable[Any]:
    """Return what is found page by page, up to so many; say on stderr if there is more to look through."""
    cursor, count = None, 0
    while True:
        page = find(cursor)
        for item in page.items:
            if count == most:
                return
            count += 1
            yield item
        cursor = page.cursor
        if cursor is None or count >= most:
            return
        if page.searched_back_to is not None and not page.items:
            note(f"searched back to {page.searched_back_to:%Y-%m-%d %H:%M %Z} …")
