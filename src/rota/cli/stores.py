"""Commands on a job store: list jobs and runs, pause, resume, remove, and ask for a run now.

It opens a store that other processes run, and makes no pass: no job is claimed, healed or run, and no code of jobs is imported.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clock import HELD, NO_TIME, SYSTEM_CLOCK, trigger_zone
from ..codec.files import encode_job
from ..codec.jobs import JobFormat
from ..core.chains import parent_of
from ..core.plan import AFTER_RUN
from ..core.queries import BY_DUE
from ..core.states import ACTIVE, ENDED, PAUSED, QUARANTINED
from ..errors import SchemaError
from ..masking import masked
from ..schedulers.base import BaseScheduler
from ..schedulers.plugins import BUILT_IN, URL_SCHEMES, create_plugin
from ..texts import text_of
from ..util import suggestion
from .escaping import escaped
from .output import (
    CliError,
    iso,
    local_time,
    note,
    one_line,
    print_columns,
    print_json,
    say,
    trigger_text,
    until,
    zone_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore

_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///([^?]+)(\?.*)?")
_FORMAT = JobFormat(imports=False)
_FROM_ENVIRONMENT: list[str] = []
DEFAULT_TABLE = "rota_jobs"
#: the forms of ids that were made: for jobs that were given none, and for lines of crontab files
RANDOM_ID = re.compile("[0-9a-f]{32}")
_ID_OF_LINE = re.compile(r".+-[0-9a-f]{8}(-\d+)?")
#: what the jobs of crontab files call
RUN_COMMAND = "rota.commands:run_command"
#: How many jobs are looked for at once.
_PAGE = 1000
#: How many jobs are searched for a suggestion when there is no job of an id.
_SUGGESTED = 1000


class Guest(BaseScheduler):
    """A scheduler without a host: it opens its stores and never makes a pass over them."""

    def wakeup(self) -> None:
        """Do nothing: whoever runs the store notices the change."""

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Close the stores."""
        return super().shutdown(wait, timeout)


def signing_keys() -> list[str] | None:
    """Return the keys that ``ROTA_SIGNING_KEY`` gives, with spaces between them; None if there is none."""
    return os.environ.get("ROTA_SIGNING_KEY", "").split() or None


def make_store(
    url: str,
    tablename: str = DEFAULT_TABLE,
    guest: bool = False,
    fills: bool = False,
    keys: list[str] | None = _FROM_ENVIRONMENT,
) -> BaseJobStore:
    """Return the job store at a URL.

    :param guest: whether other processes run it: what is missing is not made, and the code of its jobs is not imported
    :param keys: the keys of its signatures
    :param fills: whether it is only written to: what is missing is made, and the code of its jobs is not imported
    :raises CliError: if it is no URL, or there is nothing at it
    """
    if "://" not in url:
        raise CliError(
            f"{masked(url)!r} is not the URL of a job store; for an SQLite file write sqlite:///{masked(url)}",
            2,
        )
    file = _SQLITE.fullmatch(url)
    if file and file[1] != ":memory:" and not file[1].startswith("file:"):
        path = Path(file[1])
        if guest and not path.exists():
            raise CliError(f"there is no file {path}")
        if not guest and not path.parent.is_dir():
            raise CliError(f"there is no folder {path.parent} for {path.name}; make it first")
    options: dict[str, Any] = {
        "imports": not (guest or fills),
        "signing_key": signing_keys() if keys is _FROM_ENVIRONMENT else keys,
    }
    scheme = url.partition("://")[0].partition("+")[0].lower()
    kind = URL_SCHEMES.get(scheme, scheme)
    if kind == "sqlalchemy":
        options |= {"tablename": tablename, "create_tables": not guest}
    elif kind in BUILT_IN["jobstore"]:
        options["create"] = not guest
        if tablename != DEFAULT_TABLE:
            options |= _named(kind, tablename)
    store: BaseJobStore = create_plugin("jobstore", url, options)
    return store


def make_private(url: str) -> None:
    """Make the SQLite file of a store, if there is none, so that only this user can read it.

    What SQLite puts beside it gets the same mode. The jobs of crontab files hold commands, variables and output.
    """
    file = _SQLITE.fullmatch(url)
    if file and file[1] != ":memory:" and not file[1].startswith("file:"):
        try:
            os.close(os.open(file[1], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:  # it exists, or it cannot be made, and the store's own error says why
            pass


def _named(kind: str, name: str) -> dict[str, str]:
    """Return the options of a store by which it is given the name in --table.

    :raises CliError: if such a store has its name in the URL
    """
    if kind == "redis":
        return {"jobs_key": name}
    if kind == "mongodb":
        return {"collection": name}
    raise CliError(f"--table: the jobs of an {kind} store are told by the path in its URL", 2)


@contextmanager
def opened(url: str | None, tablename: str) -> Iterator[tuple[Guest, BaseJobStore]]:
    """Open the store at a URL, and close it at the end.

    :raises CliError: if there is no URL, or no jobs of Rota at it
    """
    if not url:
        raise CliError(
            "which job store? Give its URL by --jobstore (-s) or in ROTA_JOBSTORE, for example: -s sqlite:///jobs.sqlite",
            2,
        )
    store = make_store(url, tablename, guest=True)
    guest = Guest(jobstores={"default": store})
    try:
        guest.start(paused=True)
    except SchemaError as exc:
        raise CliError(f"no job store of Rota at {masked(url)}: {exc}") from exc
    try:
        yield guest, store
    finally:
        guest.shutdown()


# -- looking -----------------------------------------------------------------------------------------------------


def show_jobs(
    url: str | None,
    tablename: str,
    state: list[str],
    tags: list[str],
    limit: int | None,
    offset: int,
    zone: tzinfo,
    as_json: bool,
) -> None:
    """Print the jobs of a store."""
    check_words("--state", state, (ACTIVE, PAUSED, QUARANTINED, ENDED))
    with opened(url, tablename) as (guest, _):
        jobs = _jobs(guest, state, tags, limit, offset)
    now = SYSTEM_CLOCK.now()
    if as_json:
        print_json([job_data(job, zone) for job in jobs])
        return
    rows = []
    for job in jobs:
        due = _due(job) if job.state == ACTIVE else None
        rows.append(
            (
                job.id,
                "running" if job.running else job.state,
                "" if due is None else local_time(due, zone, now),
                "" if due is None else until(due, now),
                trigger_text(job.trigger, zone),
                called(job),
            )
        )
    print_columns(("ID", "STATE", "NEXT RUN", "", "TRIGGER", "CALLS"), rows, "no jobs", 2)
    for job in jobs:
        if job.state == QUARANTINED:
            note(f"{escaped(job.id)} is quarantined: {escaped(job.error or '')}")


def _jobs(guest: Guest, state: list[str], tags: list[str], limit: int | None, offset: int) -> list[Job]:
    """Return a page of the jobs of some states that have all of some tags; those whose schedule is over come last."""
    if ENDED not in state and not tags:
        return guest.get_jobs(state=state or None, limit=limit, offset=offset)
    most = None if limit is None else offset + limit
    others = [one for one in state if one != ENDED]
    jobs: list[Job] = []
    if others or not state:
        jobs = _found(guest, most, states=others or None, tags=tags or None, sort=BY_DUE)
    if ENDED in state and (most is None or len(jobs) < most):
        jobs += _found(guest, most, states={ENDED}, tags=tags or None)
    return jobs[offset:most]


def _found(guest: Guest, most: int | None, **fields: Any) -> list[Job]:
    """Return jobs that are found, page by page: all, or so many at least if there are as many."""
    found: list[Job] = []
    cursor = None
    while True:
        page = guest.find_jobs(limit=_PAGE, cursor=cursor, **fields)
        found += page.items
        cursor = page.cursor
        if cursor is None or (most is not None and len(found) >= most):
            return found


def job_of(guest: Guest, job_id: str) -> Job | None:
    """Return a job, also one whose schedule is over; None: there is none of that id."""
    job = guest.get_job(job_id)
    return job or next(iter(guest.find_jobs(ids={job_id}, states={ENDED}).items), None)


def no_such_job(guest: BaseScheduler, job_id: str) -> CliError:
    """Return the error for an id that no job has."""
    known = [job.id for job in guest.get_jobs(limit=_SUGGESTED)]
    return CliError(f"there is no job {job_id!r} in the store{suggestion(job_id, known)}")


def check_words(option: str, words: list[str], known: Sequence[str]) -> None:
    """Refuse words that an option does not know.

    :raises CliError: if there is one
    """
    for word in words:
        if word not in known:
            raise CliError(
                f"{option}: there is no {option[2:]} {word!r}{suggestion(word, known)}; there are {', '.join(known)}",
                2,
            )


def _who_runs_it(run: Run, living: int | None) -> str:
    """Return when a run that was asked for will start."""
    if living is None:
        return f"it starts when a scheduler with an executor {run.executor!r} is alive"
    if living:
        return "whoever runs this store takes it within seconds"
    return f"no scheduler runs this store now, so it waits until one with an executor {run.executor!r} is started"


#: What the reasons of runs that did not take place mean.
_REASONS = {
    "coalesced": "merged into the run after {} (coalesced)",
    "max_instances": "the job was running as often as it may (max_instances)",
    "too late": "too late to start (misfire_grace_time)",
    "expired": "it waited too long for its turn (expires)",
    "paused": "the job was paused",
    "on hold": "the job was on hold",
    "rescheduled": "it waited for room until its job was given another schedule",
}


def outcome(run: Run, zone: tzinfo, now: int) -> str:
    """Return how a run ended, on one line: its result, its error, or why it did not run."""
    if run.error is not None:
        text = run.error if run.error_type == "CommandError" else f"{run.error_type}: {run.error}"
    elif run.retval is not None:
        text = str(run.to_dict()["result"])
    else:
        reason = run.reason or ""
        text = _REASONS[reason].format("them" if run.count > 1 else "it") if reason in _REASONS else reason
    if run.count > 1:
        text = f"{run.count} times up to {local_time(run.last, zone, now)}: {text}"
    return one_line(text, 200)


def label(job_id: str, name: str | None, func: str | None) -> str:
    """Return what people call a job whose id says little, a random one or that of a crontab's line; else an empty string."""
    if not name:
        return ""
    if RANDOM_ID.fullmatch(job_id):
        return name
    return f"$ {name}" if func == RUN_COMMAND and _ID_OF_LINE.fullmatch(job_id) else ""


def called(job: Job) -> str:
    """Return what a job calls; for a command that it runs the command itself."""
    ref = job.func_ref or ""
    if ref == RUN_COMMAND:
        try:
            arguments = encode_job(job, _FORMAT)["args"]  # jobs that are only looked at have them as texts
            if isinstance(arguments[0], str):
                return f"$ {one_line(arguments[0], 200)}"
        except Exception:  # a row may hold anything
            pass
    return ref


def job_data(job: Job, zone: tzinfo) -> dict[str, Any]:
    """Return a job as JSON-able data."""
    zone_of_trigger = trigger_zone(job.trigger)
    return {
        "id": job.id,
        "name": job.name,
        "func": job.func_ref,
        "trigger": text_of(job.trigger),
        "timezone": None if zone_of_trigger is None else zone_name(zone_of_trigger),
        "executor": job.executor,
        "state": job.state,
        "next_run_time": iso(_due(job), zone) if job.state == ACTIVE else None,
        "running": job.running,
        "error": job.error,
    }


def _due(job: Job) -> int | None:
    due = job.next_nominal if job.next_due in (None, HELD) else job.next_due
    return None if due == AFTER_RUN or (due == NO_TIME and parent_of(job) is not None) else due


# -- changing ----------------------------------------------------------------------------------------------------


def change(what: str, url: str | None, tablename: str, job_id: str, zone: tzinfo, as_json: bool) -> None:
    """Pause, resume, remove or trigger a job and say so.

    :param what: "pause", "resume", "remove" or "trigger"
    """
    living: int | None = None
    with opened(url, tablename) as (guest, store):
        if job_of(guest, job_id) is None:
            raise no_such_job(guest, job_id)
        run: Run | None = None
        if what == "pause":
            guest.pause_job(job_id)
        elif what == "resume":
            guest.resume_job(job_id)
        elif what == "remove":
            guest.remove_job(job_id)
        else:
            run = guest.run_job(job_id)
            living = store.living_nodes(SYSTEM_CLOCK.now())
        job = job_of(guest, job_id)
    if as_json:
        data: dict[str, Any] = {
            "id": job_id,
            "did": what,
            "job": None if job is None else job_data(job, zone),
        }
        if run is not None:
            data |= {"run": run.to_dict(), "living_nodes": living}
        print_json(data)
    elif run is not None:
        say(f"{escaped(job_id)}: a run is asked for; {_who_runs_it(run, living)}")
    elif job is None:
        say(f"{escaped(job_id)}: removed" + (", its schedule is over" if what == "resume" else ""))
    elif what == "pause":
        say(f"{escaped(job_id)}: paused")
    else:
        parent = parent_of(job)
        following = f"next run {iso(_due(job), zone)}" if parent is None else f"runs after {escaped(parent)}"
        say(f"{escaped(job_id)}: active, {following}")
