"""Typed JSON with a closed registry: what durable stores keep of arguments, triggers and results.

Never imports a module and never builds a class because data names it: a class comes back only if the application registered it.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from uuid import UUID
from zoneinfo import ZoneInfo

from ..errors import CallableNotAllowedError, ConfigurationError, DeserializationError, SerializationError
from ..texts import error_text
from .bounds import MAX_DEPTH, SHORT, TooMuch, check_text
from .times import (
    Refused,
    pack_datetime,
    pack_time,
    pack_zone,
    unpack_datetime,
    unpack_offset,
    unpack_pytz,
    unpack_time,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ("dumps", "loads", "pack", "register_type", "unpack")

#: Python refuses to turn longer integers into text (sys.set_int_max_str_digits).
MAX_BITS = 14_000

_PLAIN = frozenset({type(None), bool, str})


# ---------------------------------------------------------------------------------------------------- the interface


def dumps(value: Any, where: str = "value") -> str:
    """Return a value as typed JSON.

    Fits: None, bool, int, float, str, list, tuple, dict, set, frozenset, bytes, datetime, date, time, timedelta, time zones, UUID,
    Decimal, triggers, and the classes given to :func:`register_type`; nothing that is merely derived from these.

    :param where: what to call the value in an error message
    :raises SerializationError: with the path and the type of the part that does not fit; or if the value would cost too much to
        read (see :mod:`rota.codec.bounds`)
    """
    kind = type(value)
    if value is None:
        return "null"
    if (kind is list and not value) or (kind is dict and not value):
        return "[]" if kind is list else "{}"
    return to_text(pack(value, where), where)


def loads(text: str, triggers: bool = True) -> Any:
    """Return the value of a text made by :func:`dumps`.

    :param triggers: False: refuse triggers, which may lead to an import
    :raises DeserializationError: if the text is damaged, or names a class that is not registered
    """
    if text == "[]":
        return []
    if text == "{}":
        return {}
    try:
        if len(text) > MAX_DEPTH and (len(text) > SHORT or text.count("[") + text.count("{") > MAX_DEPTH):
            check_text(text)
        if not triggers:
            return _without_triggers.decode(text)
        if text[0] in '[{"':
            # As dumps() writes it: decode() takes twice as long, as it looks for white space by regular expressions.
            try:
                value, end = _scan(text, 0)
            except StopIteration:
                end = -1  # decode() says what is wrong
            if end == len(text):
                return value
        return _decoder.decode(text)
    except (DeserializationError, CallableNotAllowedError):
        raise
    except TooMuch as exc:
        raise DeserializationError(f"{_cut(text)} is not read: {exc}") from None
    except Exception as exc:  # whatever is wrong with the data, it is one error for the caller
        raise DeserializationError(f"{_cut(text)} cannot be restored: {type(exc).__name__}: {exc}") from exc


def raw(text: str) -> Any:
    """Return the JSON data of such a text as it stands, without making values of it.

    :raises DeserializationError: if the text is damaged
    """
    try:
        check_text(text)
        return json.loads(text, parse_constant=_refuse_constant)
    except TooMuch as exc:
        raise DeserializationError(f"{_cut(text)} is not read: {exc}") from None
    except (ValueError, RecursionError) as exc:
        raise DeserializationError(f"{_cut(text)} is no JSON: {exc}") from exc


def pack(value: Any, where: str = "value") -> Any:
    """Return a value as data that any JSON library writes (the form that :func:`dumps` writes).

    :raises SerializationError: as :func:`dumps`
    """
    try:
        return _pack(value, 0)
    except Refused as refused:
        path = where + "".join(reversed(refused.path))
        raise SerializationError(f"{path}: {refused}") from None


def unpack(data: Any) -> Any:
    """Return the value of data made by :func:`pack`.

    :raises DeserializationError: as :func:`loads`
    """
    return loads(to_text(data, "data"))


def to_text(packed: Any, where: str) -> str:
    """Return packed data as JSON text that every database can keep.

    :raises SerializationError: if it is no data for JSON, or would cost too much to read (see :mod:`rota.codec.bounds`)
    """
    try:
        text = _encoder.encode(packed)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:  # a lone surrogate is only kept as an escape
        text = json.dumps(packed, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as exc:
        raise SerializationError(f"{where} cannot be written as JSON: {exc}") from exc
    if len(text) > SHORT:
        try:
            check_text(text)
        except TooMuch as exc:
            raise SerializationError(f"{where}: {exc}") from None
    return text


def register_type(
    cls: type,
    name: str | None = None,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
) -> type:
    """Let values of a class be stored; also a class decorator. Returns the class.

    Enums, dataclasses, named tuples and pydantic models need nothing else; other classes need ``encode`` and ``decode``.

    :param name: name in the stored data, by default ``module:qualified.name``; keep it when the class is renamed or moved
    :param encode: makes a value that fits (e.g. a dict) out of an object
    :param decode: makes an object out of that value
    :raises ConfigurationError: if another class has the name, or the class needs ``encode`` and ``decode``
    """
    name = name or f"{cls.__module__}:{cls.__qualname__}"
    known = _by_name.get(name)
    if (
        known is not None
        and f"{known[0].__module__}:{known[0].__qualname__}" != f"{cls.__module__}:{cls.__qualname__}"
    ):
        raise ConfigurationError(
            f"register_type({cls!r}): the name {name!r} belongs to {known[0]!r}; give another name=…"
        )
    if encode is None or decode is None:
        encode, decode = _default_codec(cls)
    _by_name[name] = (cls, decode)
    _registered[cls] = (name, encode)
    return cls


def add_kind(
    base: type, tag: str, pack: Callable[[Any], dict[str, Any]], unpack: Callable[[Any], object]
) -> None:
    """Let objects of a class, and of those derived from it, be values; for the other modules of this package.

    :param tag: the name under which they are written, with ``~`` before it
    :param pack: from an object to JSON data
    :param unpack: from JSON data whose parts are values already to an object
    """
    _others.append((base, tag, pack))
    _DECODERS[tag] = unpack


def is_registered(cls: type) -> bool:
    """Whether values of a class are stored because :func:`register_type` said so."""
    return cls in _registered


def state_of(value: Any) -> Any:
    """Return what stands for a value of a registered class in stored data.

    :raises SerializationError: if its class is not registered
    """
    entry = _registered.get(type(value))
    if entry is None:
        raise SerializationError(f"{_name(type(value))} is not registered")
    return entry[1](value)


# ---------------------------------------------------------------------------------------------- what can be registered

_registered: dict[type, tuple[str, Callable[[Any], Any]]] = {}
_by_name: dict[str, tuple[type, Callable[[Any], Any]]] = {}
#: kinds of objects that other modules add: (class, tag, to JSON data)
_others: list[tuple[type, str, Callable[[Any], dict[str, Any]]]] = []


def _default_codec(cls: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    from dataclasses import fields, is_dataclass  # import time

    if issubclass(cls, Flag):
        return (lambda member: member.value), cls
    if issubclass(cls, Enum):
        return (lambda member: member.name), (lambda member: cls[member])
    if hasattr(cls, "model_dump") and hasattr(cls, "model_validate"):
        return (lambda model: model.model_dump()), cls.model_validate
    if is_dataclass(cls) and isinstance(cls, type):
        names = [field.name for field in fields(cls) if field.init]
        return (lambda obj: {name: getattr(obj, name) for name in names}), (lambda data: cls(**data))
    if issubclass(cls, tuple) and hasattr(cls, "_asdict"):
        return (lambda obj: obj._asdict()), (lambda data: cls(**data))
    raise ConfigurationError(
        f"register_type({cls!r}) needs encode=… and decode=…: it is neither an enum, a dataclass, a named tuple nor a pydantic "
        f"model"
    )


# ------------------------------------------------------------------------------------------------------ values to data


def _pack(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    encode = _ENCODERS.get(kind)
    if encode is not None:
        return encode(value, depth)
    entry = _registered.get(kind)
    if entry is not None:
        name, to_plain = entry
        try:
            return {"~type": [name, _pack_state(to_plain(value), depth + 1)]}
        except (Refused, RecursionError, CallableNotAllowedError):
            raise
        except Exception as exc:  # the application's encode() may raise anything
            raise Refused(f"encoding {_name(kind)} failed: {error_text(exc)}") from exc
    return _pack_other(value, kind)


def _pack_state(state: Any, depth: int) -> Any:
    """Pack what stands for an object: the path of a part reads as an attribute."""
    if type(state) is not dict or not all(type(key) is str for key in state):
        return _pack(state, depth)
    return _pack_dict(state, depth, ".{}")


def _pack_other(value: Any, kind: type) -> Any:
    for base, tag, pack in _others:
        if isinstance(value, base):
            return {tag: pack(value)}
    if isinstance(value, tzinfo):
        return pack_zone(value)
    raise Refused(f"{_name(kind)} does not fit into JSON; {_advice(value, kind)}")


def _advice(value: Any, kind: type) -> str:
    from dataclasses import is_dataclass  # import time

    if isinstance(value, Enum) or is_dataclass(kind) or hasattr(kind, "model_dump"):
        return f"register the class: rota.codec.register_type({kind.__qualname__})"
    for base in kind.__mro__[1:]:
        if base in _PLAIN or base in _ENCODERS:
            return f"convert it to {base.__name__}, or register its class with rota.codec.register_type()"
    return (
        "pass something plain (an id, a path, an address) and make the object in the job; or register its class with "
        'rota.codec.register_type(), use serializer="pickle" for this store, or the memory store'
    )


def _pack_int(value: int, depth: int) -> int:
    if value.bit_length() > MAX_BITS:
        raise Refused(f"int of {value.bit_length()} bits is too long (at most {MAX_BITS}); pass it as bytes")
    return value


def _pack_float(value: float, depth: int) -> Any:
    return value if value - value == 0 else {"~float": repr(value)}


def _pack_items(items: Iterable[Any], depth: int) -> list[Any]:
    if depth >= MAX_DEPTH:
        raise Refused(f"nested deeper than {MAX_DEPTH} levels (or it contains itself)")
    packed = []
    for index, item in enumerate(items):
        try:
            packed.append(_pack(item, depth + 1))
        except Refused as refused:
            refused.path.append(f"[{index}]")
            raise
    return packed


def _pack_dict(value: dict[Any, Any], depth: int, step: str = "[{!r}]") -> Any:
    if depth >= MAX_DEPTH:
        raise Refused(f"nested deeper than {MAX_DEPTH} levels (or it contains itself)")
    packed: dict[str, Any] = {}
    plain = True
    for key, item in value.items():
        if type(key) is not str or key[:1] == "~":
            plain = False
            break
        try:
            packed[key] = _pack(item, depth + 1)
        except Refused as refused:
            refused.path.append(step.format(key))
            raise
    return packed if plain else {"~dict": _pack_pairs(value, depth)}


def _pack_pairs(value: dict[Any, Any], depth: int) -> list[list[Any]]:
    pairs = []
    for key, item in value.items():
        try:
            packed_key = _pack(key, depth + 1)
        except Refused as refused:
            refused.path.append(f"<key {key!r:.50}>")
            raise
        try:
            pairs.append([packed_key, _pack(item, depth + 1)])
        except Refused as refused:
            refused.path.append(f"[{key!r:.50}]")
            raise
    return pairs


def _pack_set(value: Iterable[Any], depth: int) -> list[Any]:
    # Sorted by their text, so that equal sets have equal texts.
    return sorted(_pack_items(value, depth), key=json.dumps)


_ENCODERS: dict[type, Callable[[Any, int], Any]] = {
    int: _pack_int,
    float: _pack_float,
    list: _pack_items,
    dict: _pack_dict,
    tuple: lambda value, depth: {"~tuple": _pack_items(value, depth)},
    set: lambda value, depth: {"~set": _pack_set(value, depth)},
    frozenset: lambda value, depth: {"~frozenset": _pack_set(value, depth)},
    bytes: lambda value, depth: {"~bytes": b64encode(value).decode()},
    datetime: pack_datetime,
    date: lambda value, depth: {"~date": value.isoformat()},
    time: pack_time,
    timedelta: lambda value, depth: {"~timedelta": [value.days, value.seconds, value.microseconds]},
    UUID: lambda value, depth: {"~uuid": str(value)},
    Decimal: lambda value, depth: {"~decimal": str(value)},
}


# ------------------------------------------------------------------------------------------------------ data to values


def _untag(found: dict[str, Any]) -> Any:
    """Return the value of one JSON object whose parts have their values already."""
    if len(found) != 1:
        return found
    ((tag, data),) = found.items()
    if tag[:1] != "~":
        return found
    decode = _DECODERS.get(tag)
    if decode is None:
        raise DeserializationError(
            f"The stored data has an unknown kind of value, {tag!r}; a newer Rota may have written it"
        )
    return decode(data)


def _untag_no_trigger(found: dict[str, Any]) -> Any:
    if "~trigger" in found:
        raise DeserializationError("A trigger is not restored here")
    return _untag(found)


def _unpack_type(data: Any) -> Any:
    name, state = data
    known = _by_name.get(name)
    if known is None:
        raise DeserializationError(
            f"The class {name!r} is not registered here; import the module that calls rota.codec.register_type() for it"
        )
    return known[1](state)


def _refuse_pickle(data: Any) -> Any:
    raise DeserializationError(
        'This was stored by pickle; open the store with serializer="pickle" if you trust its content'
    )


def _refuse_constant(name: str) -> Any:
    raise DeserializationError(f"{name} is no JSON")


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "~float": float,
    "~tuple": tuple,
    "~dict": dict,
    "~set": set,
    "~frozenset": frozenset,
    "~bytes": lambda data: b64decode(data, validate=True),
    "~datetime": unpack_datetime,
    "~date": date.fromisoformat,
    "~time": unpack_time,
    "~timedelta": lambda data: timedelta(*data),
    "~zone": ZoneInfo,
    "~offset": unpack_offset,
    "~pytz": unpack_pytz,
    "~uuid": UUID,
    "~decimal": Decimal,
    "~type": _unpack_type,
    "~pickle": _refuse_pickle,
}

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_decoder = json.JSONDecoder(object_hook=_untag, parse_constant=_refuse_constant)
_without_triggers = json.JSONDecoder(object_hook=_untag_no_trigger, parse_constant=_refuse_constant)
_scan = _decoder.scan_once  # type: ignore[attr-defined]  # what decode() and raw_decode() call


def _cut(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
