"""The names of the Redis store's keys, and its scripts with these names in them."""

from __future__ import annotations

from ...errors import ConfigurationError
from .lua import Script, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .server import Server

SCHEMA_VERSION = 3
JOBS_KEY = "rota.jobs"
RUN_TIMES_KEY = "rota.run_times"


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
            "BROKEN": f"{prefix}quarantined",
            "CLAIMED": f"{prefix}claimed",
            "RUNS": f"{prefix}runs",
            "BY_JOB": f"{prefix}runs_by_job",
            "STATUS": f"{prefix}runs:",
            "NODES": f"{prefix}nodes",
            "ANSWERS": f"{prefix}answers",
            "DAMAGED": f"{prefix}damaged",
            "META": f"{prefix}meta",
            "TIMES": f"{run_times}:",
        }
        self.names = tuple(names.values())
        if len(set(self.names)) < len(names):
            raise ConfigurationError(
                f"jobs_key={jobs!r} and run_times_key={run_times!r} lead to the same key twice; give others"
            )
        lines = [f"local {name} = {quoted(key)}" for name, key in names.items()]
        lines += [f"local WAKE = {quoted(self.wake)}", f"local VERSION = '{SCHEMA_VERSION}'"]
        self._prelude = "\n".join(lines)
        self._scripts: dict[str, Script] = {}

    def script(self, body: str) -> Script:
        """Return a script of this store."""
        found = self._scripts.get(body)
        if found is None:
            found = self._scripts[body] = Script(self._prelude, body)
        return found

    def run(self, server: Server, body: str, fields: Sequence[str]) -> Any:
        """Carry out a script of this store; a text in the answer is decoded."""
        payload = "\0".join(fields) + "\0" if fields else ""
        # Also what was no text when it was read goes back as it was.
        sent = payload if payload.isascii() else payload.encode(errors="surrogateescape")
        answer = server.run(self.script(body), self.jobs, sent)
        return answer.decode(errors="surrogateescape") if isinstance(answer, bytes) else answer
