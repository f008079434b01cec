"""What errors say in the words of Python, in those of the command line.

The only place where that is done: whoever raises an error knows calls, and whoever reads it here knows commands. Pure.
"""

from __future__ import annotations

import re
from shlex import quote

#: The commands that do what methods of a scheduler do.
COMMANDS = {
    "backfill": "rota backfill",
    "cancel_backfill": "rota backfill --cancel",
    "cancel_run": "rota cancel",
    "drain": "rota drain",
    "explain": "rota explain --job",
    "find_jobs": "rota jobs",
    "find_runs": "rota runs",
    "get_jobs": "rota jobs",
    "get_nodes": "rota nodes",
    "get_run": "rota run-info",
    "get_runs": "rota runs",
    "hold": "rota hold",
    "pause_job": "rota pause",
    "release": "rota release",
    "remove_job": "rota remove",
    "rerun": "rota rerun",
    "resume_job": "rota resume",
    "run_job": "rota trigger",
    "undrain": "rota drain --undo",
}
#: The options that do what keyword arguments of theirs do.
OPTIONS = {"only_missing=False": "--all"}
#: What errors say of parameters that commands give to stores.
PARAMETERS = {
    r",? and create(_tables)? is False(; create them by your migrations .*, or let the store create them)?$": (
        "; a scheduler that is started on it makes what is missing"
    ),
    r", and create_tables is False; start once with create_tables=True to migrate them$": (
        "; a scheduler that is started on it migrates them"
    ),
    r"\b(another) (tablename|jobs_key|collection)\b": r"\1 --table",
}
#: What `rota explain --job` has no command for.
_LOG = "health() and the log of a node name that.", "The log of a node names that."

_call = re.compile(rf"(?<![\w.])({'|'.join(COMMANDS)})\((?:\"([^\"]*)\")?\)")
_option = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, OPTIONS))})(?!\w)")


def in_commands(message: str) -> str:
    """Return the message of an error with commands in the place of calls, and with options in that of arguments."""
    message = _call.sub(_command, message)
    for pattern, text in PARAMETERS.items():
        message = re.sub(pattern, text, message)
    return _option.sub(lambda found: OPTIONS[found[1]], message)


def explained(sentence: str) -> str:
    """Return why a job does not run, as :meth:`explain` says it, for readers of the command line."""
    calls, log = _LOG
    return f"{sentence.removesuffix(calls)}{log}" if sentence.endswith(calls) else sentence


def _command(found: re.Match[str]) -> str:
    command, job_id = COMMANDS[found[1]], found[2]
    if job_id is None:
        return command
    option = " --job" if command == "rota runs" else ""
    return f"{command}{option} {quote(job_id)}"
