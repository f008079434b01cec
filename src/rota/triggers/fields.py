"""The parameters that a kind of trigger declares: one table for its specs, its pickled states and what makes two of them equal.

Pure; it knows no trigger, only the attributes that a table names.
"""

from __future__ import annotations

from operator import attrgetter

from ..texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: The default of a parameter that has none: it is always written down, and what has no text for it has no spec.
REQUIRED = object()


class Field:
    """One parameter. Attributes may lead over others (``_terms.jitter``); None means that there is none.

    :param name: its name in specs and states
    :param default: with this value it is left out of specs
    :param write: returns what specs say of it, which is not the value itself; it is not asked about None
    :param sparse: whether it is left out of states then, too
    :param held: the attribute that holds it (default: ``name``)
    :param spec: the attribute that holds what specs say (default: ``held``)
    :param state: the attribute that holds what pickled states say (default: ``held``)
    :param same: the attribute by which triggers are compared (default: ``held``)
    """

    __slots__ = ("default", "name", "same", "sparse", "spec", "state", "write")

    def __init__(
        self,
        name: str,
        default: Any = REQUIRED,
        held: str | None = "",
        *,
        write: Callable[[Any], Any] | None = None,
        sparse: bool = False,
        spec: str | None = "",
        state: str | None = "",
        same: str | None = "",
    ) -> None:
        held = name if held == "" else held
        self.name = name
        self.default = default
        self.write = write
        self.sparse = sparse
        self.spec = held if spec == "" else spec
        self.state = held if state == "" else state
        self.same = held if same == "" else same


class Fields:
    """The parameters of a kind of trigger, in the order in which specs have them.

    :param version: the version of pickled states
    :param fields: the parameters
    :param states: the order in which states have them, where it is another one; programs have stored it
    """

    __slots__ = (
        "_schedule",
        "_spec",
        "_spec_defaults",
        "_spec_names",
        "_state",
        "_state_defaults",
        "_state_names",
        "_writers",
        "identity",
        "version",
    )

    def __init__(self, version: int, *fields: Field, states: str = "") -> None:
        self.version = version
        in_specs = [field for field in fields if field.spec is not None]
        in_states = [field for field in fields if field.state is not None]
        if states:
            by_name = {field.name: field for field in in_states}
            in_states = [by_name[name] for name in states.split()]
        self._spec_names = [field.name for field in in_specs]
        self._spec_defaults = [field.default for field in in_specs]
        self._spec = _reader(field.spec for field in in_specs)
        self._schedule = _reader(field.spec for field in in_specs if field.name != "start_date")
        self._writers = [(field.name, field.write) for field in in_specs if field.write is not None]
        self._state_names = [field.name for field in in_states]
        self._state_defaults = [field.default if field.sparse else REQUIRED for field in in_states]
        self._state = _reader(field.state for field in in_states)
        #: returns what makes two triggers equal, hashable
        self.identity: Callable[[Any], Any] = attrgetter(*[field.same for field in fields if field.same])

    def spec(self, trigger: object, kind: str, **more: str) -> dict[str, Any] | None:
        """Return a trigger as JSON-able data; None if something that it needs has no such form.

        :param kind: the ``type`` of the spec
        :param more: what comes first in it
        """
        spec: dict[str, Any] = {"type": kind, **more}
        values = self._spec(trigger)
        for name, default, value in zip(self._spec_names, self._spec_defaults, values, strict=False):
            if value != default:
                spec[name] = value
        if None in spec.values():
            return None
        for name, write in self._writers:
            if name in spec:
                spec[name] = write(spec[name])
        return spec

    def state(self, trigger: object) -> dict[str, Any]:
        """Return what is pickled of a trigger."""
        state: dict[str, Any] = {"version": self.version}
        values = self._state(trigger)
        for name, default, value in zip(self._state_names, self._state_defaults, values, strict=False):
            if default is REQUIRED or value != default:
                state[name] = value
        return state

    def same_schedule(self, one: object, other: object, start_counts: bool) -> bool:
        """Tell whether two triggers that have specs have the same one, which takes less time than to make both.

        :param start_counts: whether their ``start_date`` must be the same
        """
        read = self._spec if start_counts else self._schedule
        return read(one) == read(other)


def _reader(attributes: Any) -> Callable[[Any], tuple[Any, ...]]:
    """Return what reads attributes of an object, as a tuple."""
    names = tuple(attributes)
    if len(names) == 1:
        read = attrgetter(*names)
        return lambda trigger: (read(trigger),)
    return attrgetter(*names) if names else lambda trigger: ()


def call_text(name: str, options: dict[str, Any], *positional: object) -> str:
    """Return a call with keywords as Python writes it; the ``type`` of a spec is no keyword."""
    given = [f"{key}={repr_of(value)}" for key, value in options.items() if key != "type"]
    return f"{name}({', '.join([*map(repr, positional), *given])})"


#: What several kinds of triggers have.
JITTER = Field("jitter", None)
SPREAD = Field("spread", None, sparse=True)
TIMEZONE = Field("timezone", spec="_zone_text", same="_zone_text")
ZONE_GIVEN = Field("zone_given", True, sparse=True, spec=None, same=None)
