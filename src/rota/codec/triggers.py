"""Triggers as stored data: their specs, and for a user's trigger its class and its state.

A name becomes a class by :mod:`rota.trust.names` only.
"""

from __future__ import annotations

import re

from ..clock import instant_of_text
from ..errors import DeserializationError
from ..triggers import trigger_class, trigger_from_spec
from ..triggers.base import BaseTrigger, restored, state_of
from ..trust.names import class_named, name_of_class
from .values import add_kind, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: What most jobs have of which each has its own: an interval of whole seconds or a date, as their specs are written down. Classes
#: of characters instead of "." would take twice as long.
_PLAIN = re.compile(
    r'\{"type":"(?:interval","seconds":([1-9][0-9]{0,9}),"start|date","run)_date":"(.{10}T.{8,15})([+-]..:..)","timezone":"([^"\\]+)"\}'
)
_PLAIN_MODULES = frozenset(("rota.triggers.date", "rota.triggers.interval"))


def trigger_spec(trigger: BaseTrigger) -> dict[str, Any]:
    """Return a trigger as JSON-able data; a trigger without a spec is written by its class name and its packed state.

    :raises SerializationError: if the state does not fit
    """
    cls = type(trigger)
    # A user's class derived from a built-in one must not come back as the built-in one.
    spec = trigger.spec() if cls.__module__.startswith("rota.triggers.") or "spec" in cls.__dict__ else None
    if spec is not None:
        return spec
    return {"type": "custom", "class": name_of_class(cls), "state": pack(state_of(trigger), "trigger")}


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
    return restored(cls, spec["state"])


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


# Arguments of jobs may be triggers, and the state of a user's trigger may hold any value.
add_kind(BaseTrigger, "~trigger", trigger_spec, trigger_of)
