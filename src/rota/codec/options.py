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
        "on_failure": policy.on_failure,
    }
    return {name: value for name, value in options.items() if value != _DEFAULTS.get(name)}


def policy_of_text(text: str) -> Policy:
    """Return the policy that a text of options means."""
    policy = _policies.get(text)
    if policy is None:
        options = loads(text, triggers=False)
        reference = options.pop("on_failure", None) if type(options) is dict else None
        policy = with_options(DEFAULT_POLICY, options)
        if reference is not None:  # it is looked up when it is to be called: a job runs without it, too
            policy = telling(policy, reference)
        if len(_policies) >= CACHE_SIZE:
            _policies.clear()
        _policies[text] = policy
    return policy


_DEFAULTS: dict[str, Any] = {}
_DEFAULTS.update(options_of(DEFAULT_POLICY))
