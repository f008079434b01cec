"""The options of a job as stored text: those that differ from the defaults.

Pure, apart from a bounded memory of what has been read.
"""

from __future__ import annotations

from ..core.policy import DEFAULT_POLICY, Policy, seconds_of, telling, with_options
from .bounds import CACHE_SIZE
from .values import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..job.handle import Job

#: what says how many runs may be under way, and what a due time meets then
_OF_ROOM = ("max_instances", "overlap")
#: what is no policy, and stands among the options
MARKS = ("tags", "metadata", "chained")

_policies: dict[str, Policy] = {}


def options_of(policy: Policy) -> dict[str, Any]:
    """Return the options that differ from the defaults, as add_job() takes them."""
    options = {
        "misfire_grace_time": seconds_of(policy.misfire_grace),
        "coalesce": policy.coalesce,
        "max_instances": policy.max_instances,
        "expires": seconds_of(policy.expires),
        "on_lost": policy.on_lost,
        "max_attempts": policy.max_attempts,
        "keep_log": policy.keep_log,
        "timeout": seconds_of(policy.timeout),
        "heartbeat_timeout": seconds_of(policy.heartbeat_timeout),
        "on_failure": policy.on_failure,
        "retry": None if policy.retry is None else policy.retry.to_dict(),
        "overlap": policy.overlap,
        "pause_on_failure": policy.pause_on_failure,
    }
    return {name: value for name, value in options.items() if value != _DEFAULTS.get(name)}


def is_marked(job: Job) -> bool:
    """Whether a job has tags or metadata, or starts others."""
    rare = job._rare
    return bool(rare.tags or rare.metadata or rare.chained)


def marks_of(job: Job) -> dict[str, Any]:
    """Return the tags and the metadata of a job, as far as there are any, and whether it starts others."""
    return {name: value for name in MARKS if (value := getattr(job, name))}


def spare_in(text: Any) -> int:
    """Return how many runs of a job may be under way when it is due again, if it waits for their end; 0 if the text is damaged.

    :param text: its options
    """
    if type(text) is not str or '"overlap"' not in text:
        return 0
    policy = _policies.get(text)
    if policy is None:
        try:
            options = loads(text, triggers=False)
            policy = with_options(
                DEFAULT_POLICY, {name: options[name] for name in _OF_ROOM if name in options}
            )
        except (
            ValueError,
            TypeError,
            AttributeError,
        ):  # whatever is wrong with it is told when the job is planned
            return 0
    return policy.spare


def set_options(job: Job, text: str) -> None:
    """Set the policy, the tags and the metadata of a job to what a text of options means."""
    policy = _policies.get(text)
    if policy is None:
        options = loads(text, triggers=False)
        is_mapping = type(options) is dict
        marks = {name: options.pop(name) for name in MARKS if name in options} if is_mapping else {}
        reference = options.pop("on_failure", None) if is_mapping else None
        if is_mapping and options.get("retry") is not None:
            from ..core.retry import stored_retry  # most jobs have none

            options["retry"] = stored_retry(options["retry"])
        policy = with_options(DEFAULT_POLICY, options)
        if reference is not None:  # it is looked up when it is to be called: a job runs without it, too
            policy = telling(policy, reference)
        if marks:
            from ..job.marks import checked_metadata, checked_tags  # most jobs have none

            job.tags = checked_tags(marks.get("tags"))
            job.metadata = checked_metadata(marks.get("metadata"))
            job.chained = marks.get("chained") is True
        else:
            if len(_policies) >= CACHE_SIZE:
                _policies.clear()
            _policies[text] = policy
    job.policy = policy


_DEFAULTS: dict[str, Any] = {}
_DEFAULTS.update(options_of(DEFAULT_POLICY))
