"""The options of a job as stored text: those that differ from the defaults.

Pure, apart from a bounded memory of what has been read.
"""

from __future__ import annotations

from ..core.policy import DEFAULT_POLICY, Policy, seconds_of, with_options
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
    }
    return {name: value for name, value in options.items() if value != _DEFAULTS.get(name)}


def policy_of_text(text: str) -> Policy:
    """Return the policy that a text of options means."""
    policy = _policies.get(text)
    if policy is None:
        policy = with_options(DEFAULT_POLICY, loads(text, triggers=False))
        if len(_policies) >= CACHE_SIZE:
            _policies.clear()
        _policies[text] = policy
    return policy


_DEFAULTS: dict[str, Any] = {}
_DEFAULTS.update(options_of(DEFAULT_POLICY))
