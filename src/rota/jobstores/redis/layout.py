"""The layout of the Redis store: the names of its keys, its scripts with these names in them, its version, and whose the keys are.

It knows nothing of jobs.
"""

from __future__ import annotations

from ...clock import DAY, HOUR, LEASE, SECOND
from ...core.states import END_STATES
from ...errors import ConfigurationError, SchemaError, StoreError
from .. import earlier
from ..documents import steps_from, version_in
from ..identity import new_identity
from ..server_clock import AHEAD
from .lua import Script, quoted, sources
from .server import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .server import Server

SCHEMA_VERSION = 4
#: The script that takes a version of the keys to the one after it, in steps: it answers "more" until it is done. It does nothing to
#: another version.
MIGRATIONS: dict[int, str] = {1: "migrate_1", 2: "migrate_2", 3: "migrate_3"}
JOBS_KEY = "rota.jobs"
RUN_TIMES_KEY = "rota.run_times"
#: The longest lease, and the one that is taken for a length that is none (microseconds).
LONGEST_LEASE = 30 * DAY
USUAL_LEASE = int(LEASE * SECOND)


class Keys:
    """The keys of one store, and its scripts.

    :param jobs: the hash of the jobs; the other keys take its prefix: ``rota.jobs`` gives ``rota.runs`` …, ``tasks`` gives
        ``tasks.runs`` …
    :param run_times: the sorted sets of due times are called so, with a colon and the executor's alias; if only ``jobs`` is
        changed, they take its prefix too
    """

    def __init__(self, jobs: str, run_times: str, db: int) -> None:
        if not jobs:
            raise ConfigurationError('The "jobs_key" parameter must not be empty')
        if not run_times:
            raise ConfigurationError('The "run_times_key" parameter must not be empty')
        prefix = jobs.removesuffix("jobs") if jobs.endswith("jobs") else f"{jobs}."
        if run_times == RUN_TIMES_KEY and jobs != JOBS_KEY:
            run_times = f"{prefix}run_times"
        self.jobs = jobs
        self.run_times = run_times
        #: the channel for wake-ups; channels do not belong to a database
        self.wake = f"{prefix}wake:{db}"
        names = {
            "JOBS": jobs,
            "STATES": f"{prefix}states",
            "EXECUTORS": f"{prefix}executors",
            "QUARANTINED": f"{prefix}quarantined",
            "CLAIMED": f"{prefix}claimed",
            "RUNS": f"{prefix}runs",
            "BY_JOB": f"{prefix}runs_by_job",
            "STATUS": f"{prefix}runs:",
            "NODES": f"{prefix}nodes",
            "ANSWERS": f"{prefix}answers",
            "IDS": f"{prefix}ids",
            "TAGS": f"{prefix}tags",
            "PARTS": f"{prefix}parts",
            "CHANGES": f"{prefix}changes",
            "HOURS": f"{prefix}hours",
            "DURATIONS": f"{prefix}durations",
            "WAITING": f"{prefix}waiting",
            "WAITING_JOBS": f"{prefix}waiting_jobs",
            "CANCELS": f"{prefix}cancels",
            "ASKED": f"{prefix}asked",
            "REQUESTS": f"{prefix}requests",
            "REPLIES": f"{prefix}replies",
            "DAMAGED": f"{prefix}damaged",
            "META": f"{prefix}meta",
            "TIMES": f"{run_times}:",
        }
        self.meta = names["META"]
        self.names = tuple(names.values())
        if len(set(self.names)) < len(names):
            raise ConfigurationError(
                f"jobs_key={jobs!r} and run_times_key={run_times!r} lead to the same key twice; give others"
            )
        lines = [f"local {name} = {quoted(key)}" for name, key in names.items()]
        lines.append(f"local WAKE = {quoted(self.wake)}")
        self._beginning = "\n".join(lines)
        self._scripts: dict[str, Script] = {}

    def script(self, name: str) -> Script:
        """Return a script of this store."""
        found = self._scripts.get(name)
        if found is None:
            text = f"{self._beginning}\n{_constants()}\n{sources()[name]}"
            found = self._scripts[name] = Script(text)
        return found

    def run(self, server: Server, name: str, fields: Sequence[str], beside: Sequence[str] = ()) -> Any:
        """Carry out a script of this store; a text in the answer is decoded.

        :param beside: more fields, which few requests have
        """
        script, sent = self.script(name), _payload(fields)
        answer = (
            server.run(script, self.jobs, sent, _payload(beside))
            if beside
            else server.run(script, self.jobs, sent)
        )
        return answer.decode(errors="surrogateescape") if isinstance(answer, bytes) else answer


def take_possession(keys: Keys, server: Server, create: bool) -> tuple[str, bool]:
    """Make the keys Rota's, or see that they are; migrate them. Return the identity of the store, and whether it is new.

    :param create: whether what is not there may be made
    :raises SchemaError: if they are somebody else's, or of a version that this code does not know
    """
    offered = new_identity()
    version, identity = _prepare(keys, server, create, offered)
    if version == "foreign":
        raise SchemaError(
            f"Some of the keys {', '.join(keys.names)} exist on {server.address}, and {keys.meta} does not say that they "
            "are Rota's; give another jobs_key"
            + (
                _of_apscheduler(keys, server)
                or f". If they are Rota's and that was lost: HSET {keys.meta} schema {SCHEMA_VERSION}"
            )
        )
    where = f"{keys.jobs} … on {server.address}"
    if version == "missing":
        raise SchemaError(f"There are no keys {where}, and create is False")
    known = version_in(version)
    found = version if known is None else known
    for step in steps_from(found, SCHEMA_VERSION, create, where, "another jobs_key"):
        while keys.run(server, MIGRATIONS[step], ()) == "more":
            pass
    is_new = identity == offered
    if not identity:  # it is new with this version
        _, identity = _prepare(keys, server, create, offered)
    return identity, is_new


def earlier_jobs(server: Server) -> str | None:
    """Return what to say of the jobs that APScheduler keeps on the server under its usual key; None if there are none."""
    if not _holds_pickles(server, earlier.JOBS_KEY):
        return None
    count = server.client.hlen(earlier.JOBS_KEY)
    return earlier.left_behind(count, f"the key {earlier.JOBS_KEY}", earlier.by_import(server.address))


def _of_apscheduler(keys: Keys, server: Server) -> str:
    """Return what to do if the key that was named is one of APScheduler's."""
    try:
        if not _holds_pickles(server, keys.jobs):
            return ""
    except Exception:  # no hash
        return ""
    name = "" if keys.jobs == earlier.JOBS_KEY else keys.jobs
    return earlier.instead("jobs_key and run_times_key", earlier.by_import(server.address, name))


def _holds_pickles(server: Server, key: str) -> bool:
    """Whether a key is a hash as APScheduler makes it; a client that decodes cannot tell."""
    _, found = server.client.hscan(key, count=1)
    state = next(iter(found.values()), None)
    return isinstance(state, bytes) and state.startswith(b"\x80")


def _prepare(keys: Keys, server: Server, create: bool, offered: str) -> tuple[str, str]:
    """Return the version of the layout of the keys, or what is wrong with them, and the identity."""
    try:
        version, identity = texts(keys.run(server, "prepare", ("1" if create else "", offered)))
    except StoreError as exc:
        if "WRONGTYPE" not in str(exc):
            raise
        return "foreign", ""
    return version, identity


def _payload(fields: Sequence[str]) -> str | bytes:
    """Return fields as one argument of a script."""
    payload = "\0".join(fields) + "\0" if fields else ""
    # Also what was no text when it was read goes back as it was.
    return payload if payload.isascii() else payload.encode(errors="surrogateescape")


def _constants() -> str:
    """Return what the scripts know besides the names of keys, as Lua."""
    statuses = ", ".join(f"'{status}'" for status in END_STATES)
    return (
        f"local VERSION = '{SCHEMA_VERSION}'\n"
        f"local LONGEST_LEASE, USUAL_LEASE, AHEAD, HOUR = {LONGEST_LEASE}, {USUAL_LEASE}, {AHEAD}, {HOUR}\n"
        f"local STATUSES = {{{statuses}}}"
    )
