"""Configuration: from keyword arguments, nested or dotted dictionaries to one checked structure.

Pure; it makes no store and no executor, and leaves the caller's dictionaries as they are.
"""

from __future__ import annotations

from contextvars import Context

from ..core.policy import DEFAULT_POLICY, OPTION_NAMES, Policy, with_options
from ..errors import (
    ConfigurationError,
    JobTypeError,
    JobValueError,
    OptionTypeError,
    UnknownOptionError,
)
from ..texts import repr_of, shortened, type_name
from ..util import asbool, asint
from .names import check_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Prefixes of the keys that belong to us in a configuration shared with others.
PREFIXES = ("rota.", "apscheduler.")

OPTIONS = (
    "logger",
    "timezone",
    "jobstore_retry_interval",
    "job_defaults",
    "jobstores",
    "executors",
    "clock",
    "lease",
    "runs_jobs",
    "allowed_callables",
    "context",
)

_ADD_JOB_ONLY = (
    "id",
    "name",
    "func",
    "args",
    "kwargs",
    "trigger",
    "jobstore",
    "executor",
    "replace_existing",
    "next_run_time",
)


def read_config(gconfig: Mapping[str, Any], prefix: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return one nested dictionary of options.

    :param gconfig: a dictionary that may hold other people's keys too. Keys are dotted (``rota.jobstores.default.type``) or
        nested (``{"rota": {"jobstores": …}}``); those with another prefix are left out
    :param prefix: the prefix of our keys; with the default one, ``apscheduler.`` is read as well. None or "": no prefix
    :param options: keyword arguments; they win over ``gconfig``
    """
    if not hasattr(gconfig, "items"):
        raise ConfigurationError(f"The configuration must be a dictionary, got {type(gconfig).__name__}")
    config: dict[str, Any] = {}
    prefixes = PREFIXES if prefix in PREFIXES else (prefix,) if prefix else ()
    for key, value in gconfig.items():
        if not prefixes:
            _put(config, key.split("."), value)
            continue
        for wanted in prefixes:
            if key.startswith(wanted):
                _put(config, key[len(wanted) :].split("."), value)
            elif key == wanted.rstrip(".") and hasattr(value, "items"):
                for name, inner in value.items():
                    _put(config, name.split("."), inner)
    for name, value in options.items():
        config[name] = value
    for name in ("jobstores", "executors"):
        value = config.get(name) or {}
        if not hasattr(value, "items"):
            example = "postgresql://…" if name == "jobstores" else {"type": "threadpool"}
            raise ConfigurationError(
                f"{name} must be a dictionary by alias, such as {{'default': {example!r}}}, got {type(value).__name__}"
            )
    return config


def check_options(config: Mapping[str, Any], what: str) -> None:
    """Refuse options that a scheduler does not have; the message for a default of jobs says where it belongs.

    :param what: whose options they are, for the message
    :raises UnknownOptionError: for the first unknown name
    """
    for name, value in config.items():
        if name in OPTION_NAMES and name not in OPTIONS:
            raise UnknownOptionError(
                f"{what} has no option {name!r}: it is one of jobs; "
                f"write job_defaults={{{name!r}: {shortened(repr_of(value), 100)}}}"
            )
    check_names(config, OPTIONS, what)


def seconds_option(config: Mapping[str, Any], name: str, default: float) -> float:
    """Return an option that is a positive number of seconds; strings are converted, as ini files need it.

    :raises ConfigurationError: (a ValueError) if it is something else
    """
    value = config.get(name, default)
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"{name} must be a positive number of seconds, got {repr_of(value)}")
    return seconds


def context_option(config: Mapping[str, Any]) -> Context:
    """Return the context variables that runs see: a copy of what is given, else none.

    :raises OptionTypeError: if something else than a context is given
    """
    given = config.get("context")
    if given is None:
        return Context()
    if not isinstance(given, Context):
        raise OptionTypeError(
            f"context must be a contextvars.Context, got {type_name(given)}; copy_context() returns the current one"
        )
    return given.copy()


def default_policy(job_defaults: Mapping[str, Any]) -> Policy:
    """Return the policy of jobs that say nothing else; strings are converted, as ini files need it.

    :raises UnknownOptionError: for a name that is not a default of jobs
    """
    if not hasattr(job_defaults, "items"):
        raise ConfigurationError(f"job_defaults must be a dictionary, got {repr_of(job_defaults)}")
    for name in job_defaults:
        if name in _ADD_JOB_ONLY:
            raise UnknownOptionError(
                f"job_defaults has no option {name!r}: it belongs to a single job; pass it to add_job()"
            )
    check_names(job_defaults, OPTION_NAMES, "job_defaults")
    options: dict[str, Any] = {}
    for name, value in job_defaults.items():
        if name == "coalesce":
            options[name] = asbool(value)
        elif name in ("max_instances", "max_attempts", "keep_log"):
            options[name] = asint(value)
        elif name == "on_failure" and isinstance(value, str):
            options[name] = None if value.strip().lower() in ("", "none") else value.strip()
        elif name == "retry" and isinstance(value, str):
            options[name] = None if value.strip().lower() in ("", "none") else asbool(value)
        elif name == "pause_on_failure" and isinstance(value, str):
            options[name] = asint(value) if value.strip().isdigit() else asbool(value)
        elif isinstance(value, str) and name != "on_lost":
            options[name] = None if value.strip().lower() in ("", "none") else _number(name, value)
        else:
            options[name] = value
    try:
        return with_options(DEFAULT_POLICY, options)
    except (JobTypeError, JobValueError) as exc:
        raise type(exc)(f"job_defaults: {exc}") from None


def _number(name: str, text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise ConfigurationError(
                f"job_defaults: {name} must be a number of seconds, got {repr_of(text)}"
            ) from None


def _put(config: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner: Any = config.get(part)
        if not isinstance(inner, dict):
            inner = config[part] = dict(inner) if hasattr(inner, "items") else {}
        config = inner
    last = path[-1]
    if hasattr(value, "items") and isinstance(config.get(last), dict):
        config[last].update(value)
    else:
        config[last] = dict(value) if hasattr(value, "items") and not isinstance(value, Context) else value
