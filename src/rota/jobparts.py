"""The parts of a stored job: triggers, callables and options, from what is written down and back.

Names become objects by :mod:`rota.storednames` only.
"""

from __future__ import annotations

import re
import sys

from .clock import instant_of_text
from .codec import loads, pack
from .core.policy import DEFAULT_POLICY, Policy, seconds_of, with_options
from .errors import CallableLookupError, DeserializationError
from .storednames import callable_named, check_known, class_named, judge, name_of_class
from .triggers import trigger_class, trigger_from_spec
from .triggers.base import BaseTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

#: How many decoded triggers, callables and option sets are kept; jobs with equal texts share one object.
CACHE_SIZE = 20_000

#: What most jobs have of which each has its own: an interval of whole seconds or a date, as their specs are written down. Classes
#: of characters instead of "." would take twice as long.
_PLAIN = re.compile(
    r'\{"type":"(?:interval","seconds":([1-9][0-9]{0,9}),"start|date","run)_date":"(.{10}T.{8,15})([+-]..:..)","timezone":"([^"\\]+)"\}'
)
_PLAIN_MODULES = frozenset(("rota.triggers.date", "rota.triggers.interval"))


# ------------------------------------------------------------------------------------------------------------ triggers


def trigger_spec(trigger: BaseTrigger) -> dict[str, Any]:
    """Return a trigger as JSON-able data; a trigger without a spec is written by its class name and its packed state.

    :raises SerializationError: if the state does not fit
    """
    cls = type(trigger)
    # A user's class derived from a built-in one must not come back as the built-in one.
    spec = trigger.spec() if cls.__module__.startswith("rota.triggers.") or "spec" in cls.__dict__ else None
    if spec is not None:
        return spec
    state = trigger.__getstate__()
    if isinstance(state, tuple) and len(state) == 2 and not hasattr(trigger, "__setstate__"):
        state = {**(state[0] or {}), **state[1]}  # attributes from the instance's dictionary and from slots
    return {"type": "custom", "class": name_of_class(cls), "state": pack(state, "trigger")}


def trigger_of(spec: Mapping[str, Any]) -> BaseTrigger:
    """Return the trigger of an unpacked spec.

    :raises DeserializationError: if it leads to no trigger
    """
    if not isinstance(spec, dict) or "type" not in spec:
        raise DeserializationError(f"{spec!r:.80} describes no trigger")
    if spec["type"] != "custom":
        return trigger_from_spec(spec)
    cls = class_named(spec["class"])
    if not (isinstance(cls, type) and issubclass(cls, BaseTrigger)):
        raise DeserializationError(
            f"{spec['class']} is no trigger class; a trigger derives from rota.triggers.base.BaseTrigger"
        )
    trigger = cls.__new__(cls)
    state = spec["state"]
    if hasattr(trigger, "__setstate__"):
        trigger.__setstate__(state)
    elif state is not None:
        for name, value in state.items():
            setattr(trigger, name, value)
    return trigger


def plain_text(trigger: BaseTrigger) -> str | None:
    """Return the text of a plain interval or date, in a third of the time that its spec takes; None if it is something else."""
    # A class that a user derived may be written in another way.
    if type(trigger).__module__ not in _PLAIN_MODULES:
        return None
    text: str | None = trigger.plain_text()  # type: ignore[attr-defined]
    return text


def plain_trigger(text: str) -> BaseTrigger | None:
    """Return the trigger of a text that is a plain interval or date, in a third of the time; None if it is something else.

    A scheduler that begins reads thousands of them, and no two are the same.
    """
    found = _PLAIN.fullmatch(text)
    if found is None:
        return None
    seconds, wall, offset, timezone = found.groups()
    try:
        at = instant_of_text(wall, offset)
    except (TypeError, ValueError):
        return None  # trigger_of() says what is wrong with it
    made: BaseTrigger
    if seconds is None:
        made = trigger_class("date").plain(at, timezone)  # type: ignore[attr-defined]
    else:
        made = trigger_class("interval").plain(at, timezone, seconds)  # type: ignore[attr-defined]
    return made


# ------------------------------------------------------------------------------------------------ callables and options

#: reference: (module name, first name in the module, what it was then, the callable)
_callables: dict[str, tuple[str, str, Any, Callable[..., Any]]] = {}
_policies: dict[str, Policy] = {}


def callable_of(reference: str) -> Callable[..., Any]:
    """Return the callable of a reference; a reloaded module gives its new one.

    :raises CallableNotAllowedError: if there is a list of allowed callables, and this is not on it
    :raises CallableLookupError: if the reference leads to no callable
    """
    known = _callables.get(reference)
    if known is not None:
        module = sys.modules.get(known[0])
        if module is not None and module.__dict__.get(known[1]) is known[2]:
            if judge() is not None:
                check_known(reference, known[3])
            return known[3]
    found = callable_named(reference)
    if not callable(found):
        raise CallableLookupError(
            f"The reference {reference} leads to a {type(found).__name__}, which cannot be called"
        )
    name, _, path = reference.partition(":")
    first = path.partition(".")[0]
    if len(_callables) >= CACHE_SIZE:
        _callables.clear()
    _callables[reference] = (name, first, getattr(sys.modules.get(name), first, None), found)
    return found  # type: ignore[no-any-return]


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
