"""What triggers that are made of another one have in common.

Pure; see the port in :mod:`rota.triggers.base`. The stream of the inner trigger is that of a schedule which has always
run, so a derived trigger means the same whatever has fired so far.
"""

from __future__ import annotations

from ...errors import DeserializationError, NeverFiresError, TriggerError, TriggerTypeError
from ...trust.names import class_named, name_of_class
from ...work import check_size, spend
from ..arguments import checked_state
from ..base import BaseTrigger, InstantTrigger, restored, state_of
from ..fields import call_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

#: How many times of the inner trigger are looked at before the search for one that suits is given up.
SEARCH_LIMIT = 10_000


def following(trigger: BaseTrigger, instant: int) -> int | None:
    """Return the first time later than ``instant`` of a trigger that has always run."""
    spend()
    return trigger.after(instant, trigger.anchor_among(instant))


def fires_at(trigger: BaseTrigger, instant: int) -> bool:
    """Tell whether an instant is one of the times of a trigger that has always run."""
    return following(trigger, instant - 1) == instant


def member_state(trigger: BaseTrigger) -> tuple[str, Any]:
    """Return a trigger as the reference to its class and its state."""
    return name_of_class(type(trigger)), state_of(trigger)


def member_of_state(reference: str, state: Any) -> BaseTrigger:
    """Return the trigger of a :func:`member_state`.

    :raises DeserializationError: (a ``ValueError``) if the reference leads to no trigger class
    """
    cls = class_named(reference)
    if not (isinstance(cls, type) and issubclass(cls, BaseTrigger)):
        raise DeserializationError(f"{reference} is no trigger class, so it cannot be part of a trigger")
    return restored(cls, state)


def refuse_delay(trigger: BaseTrigger) -> None:
    """Refuse to make another trigger of one whose times depend on when runs end.

    :raises TriggerError: if it is one of these
    """
    if getattr(trigger, "follows_end", False):
        raise TriggerError(
            f"{trigger} counts from the end of its runs, so its times are not known before and cannot be combined or "
            f"filtered; use mode='rate'"
        )


class DerivedTrigger(InstantTrigger):
    """Base class of the triggers that are made of one other trigger.

    A subclass has a constructor that takes the inner trigger and the keywords that :meth:`_parameters` returns.

    :param trigger: the inner trigger
    """

    __slots__ = ("_machine_zone", "trigger")
    counts_work = True

    #: the name of the kind in specs
    alias = ""
    trigger: BaseTrigger

    def __init__(self, trigger: BaseTrigger) -> None:
        if not isinstance(trigger, BaseTrigger):
            raise TriggerTypeError(f"{type(self).__name__} is made of a trigger, not of {trigger!r}")
        refuse_delay(trigger)
        self.trigger = trigger
        check_size(self)
        #: whether a parameter is read in the zone of this machine, because neither it nor the inner trigger has one
        self._machine_zone = False

    @property
    def timezone(self) -> tzinfo | None:  # type: ignore[override]  # it is not assigned
        """The zone of the inner trigger."""
        return self.trigger.timezone

    @property
    def jitter(self) -> float | None:  # type: ignore[override]  # it is not assigned
        """The jitter of the inner trigger."""
        return self.trigger.jitter

    @property
    def spread(self) -> float | None:  # type: ignore[override]  # it is not assigned
        """The spread of the inner trigger."""
        return self.trigger.spread

    @property
    def zone_given(self) -> bool:  # type: ignore[override]  # it does not change
        """False where wall times are read in the zone of this machine because no zone was given."""
        return not self._machine_zone and self.trigger.zone_given

    def parts(self) -> list[BaseTrigger]:
        """Return the inner trigger."""
        return [self.trigger]

    def anchor_among(self, previous: int) -> int | None:
        return previous

    def origin(self) -> int | None:
        return self.trigger.origin()

    def same_schedule(self, other: BaseTrigger) -> bool:
        return (
            isinstance(other, DerivedTrigger)
            and type(self) is type(other)
            and self._parameters() == other._parameters()
            and self.trigger.same_schedule(other.trigger)
        )

    def spec(self) -> dict[str, Any] | None:
        """Return ``{"type", "trigger": spec of the inner trigger, …}`` with the parameters; None if that has no spec."""
        inner = self.trigger.spec()
        return None if inner is None else {"type": self.alias, "trigger": inner, **self._parameters()}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> DerivedTrigger:
        """Return the trigger of a :meth:`spec`."""
        from .. import trigger_from_spec  # circle

        parameters = {name: value for name, value in spec.items() if name not in ("type", "trigger")}
        return cls(trigger_from_spec(spec["trigger"]), **parameters)

    def __getstate__(self) -> dict[str, Any]:
        state = {"version": 1, "trigger": member_state(self.trigger), "parameters": self._parameters()}
        return {**state, "zone_given": False} if self._machine_zone else state

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 1)
        type(self).__init__(self, member_of_state(*state["trigger"]), **state["parameters"])
        self._machine_zone = not state.get("zone_given", True)

    def _parameters(self) -> dict[str, Any]:
        """Return the other parameters of the constructor, as JSON-able data."""
        raise NotImplementedError

    def _anchor(self, previous: int | None) -> int | None:
        """Return what the inner trigger must be given as its previous time."""
        return None if previous is None else self.trigger.anchor_among(previous)

    def _no_time(self, one: int, other: int) -> NeverFiresError:
        first, last = sorted((one, other))
        return NeverFiresError(
            f"{self} has no time between {self._moment(first)} and {self._moment(last)}: the search was given up, none "
            f"of the many times of {self.trigger} suits"
        )

    def _identity(self) -> tuple[Any, ...]:
        return (self.trigger, repr(self._parameters()))

    def _shown(self) -> str:
        """Return the call that makes the trigger of the inner one."""
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{self.trigger}.{self._shown()}"

    def __repr__(self) -> str:
        return call_text(type(self).__name__, self._parameters(), self.trigger)
