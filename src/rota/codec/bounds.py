"""How much one stored value may cost to read: length, parts, depth, keys, and keys that are made to collide.

Counts, on the text and the JSON data of a value; makes no value, and measures no time.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from uuid import UUID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: How many characters the text of one value may have, and those of one job together.
MAX_TEXT = 8 * 1024 * 1024
MAX_JOB_TEXT = 16 * 1024 * 1024
#: How many values one value may consist of.
MAX_PARTS = 500_000
#: How deep values may be nested.
MAX_DEPTH = 100
#: How many keys and members of sets one value may have that are no texts: what they hash to does not depend on the process.
MAX_KEYS = 10_000
#: How many of them may have the same hash.
MAX_ALIKE = 20
#: How many triggers one value may hold.
MAX_TRIGGERS = 1_000
#: Python reads no longer integers by default (sys.set_int_max_str_digits).
MAX_DIGITS = 4_300

#: What is not longer costs nothing worth a look.
SHORT = 1_024
#: One level of a value is at most so many levels of its text (``{"~type":[name,{…}]}``).
_TEXT_LEVELS = 3
# A string without an end goes to the end of the text: each quote would be tried anew otherwise.
_STRING = re.compile(r'"(?:[^"\\]|\\[\s\S])*(?:"|\\?\Z)')
_LONG_NUMBER = re.compile(rf"[0-9]{{{MAX_DIGITS + 1}}}")
_KEYED = frozenset(("~set", "~frozenset", "~dict"))
#: How many decoded triggers, callables and option sets are kept; jobs with equal texts share one object.
CACHE_SIZE = 20_000


class TooMuch(ValueError):
    """A value is over one of the bounds; the text says which, and what to do."""


def check_text(text: str) -> None:
    """Refuse the text of a value that would cost too much to read, whatever it says.

    :raises TooMuch: if it is over a bound
    """
    if len(text) <= SHORT:
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(_STRING.sub("", text))
        return
    if len(text) > MAX_TEXT:
        raise TooMuch(f"it is {len(text)} characters long as JSON, and {MAX_TEXT} are the most; {_INSTEAD}")
    opened = text.count("[") + text.count("{")
    many = opened + text.count(",") > MAX_PARTS
    if many or opened > MAX_DEPTH or _LONG_NUMBER.search(text):
        bare = _STRING.sub("", text)
        parts = bare.count("[") + bare.count("{") + bare.count(",")
        if parts > MAX_PARTS:
            raise TooMuch(f"it has {parts} parts, and {MAX_PARTS} are the most; {_INSTEAD}")
        _check_depth(bare)
        if _LONG_NUMBER.search(bare):
            raise TooMuch(f"a number in it has more than {MAX_DIGITS} digits; pass it as bytes")
    # Tags begin with "~"; an escape may hide it.
    if "~" in text or "\\u" in text:
        _check_tags(text)


def check_job(*texts: str) -> None:
    """Refuse the texts of a job that are too long together.

    :raises TooMuch: if they are
    """
    length = sum(map(len, texts))
    if length > MAX_JOB_TEXT:
        raise TooMuch(
            f"the job is {length} characters long as it is stored, and {MAX_JOB_TEXT} are the most; {_INSTEAD}"
        )


_INSTEAD = "keep the data elsewhere and pass its name: a path, a key, an id"


def _check_depth(bare: str) -> None:
    depth = 0
    for char in re.sub(r"[^\[\]{}]+", "", bare):
        if char in "[{":
            depth += 1
            if depth > (MAX_DEPTH + 2) * _TEXT_LEVELS:
                raise TooMuch(f"it is nested too deeply: {MAX_DEPTH} levels are the most")
        else:
            depth -= 1


def _check_tags(text: str) -> None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return  # whoever reads it says what is wrong
    keys = triggers = 0
    rest: list[Any] = [data]
    while rest:
        item = rest.pop()
        if type(item) is list:
            rest.extend(item)
        elif type(item) is dict:
            rest.extend(item.values())
            if len(item) != 1:
                continue
            ((tag, members),) = item.items()
            if tag in _KEYED and type(members) is list:
                keys += _checked_keys(members, tag)
                if keys > MAX_KEYS:
                    raise TooMuch(
                        f"it has more than {MAX_KEYS} keys or members of sets that are no texts; pass a list, or texts as keys"
                    )
            elif tag == "~trigger":
                triggers += 1
                if triggers > MAX_TRIGGERS:
                    raise TooMuch(f"it holds more than {MAX_TRIGGERS} triggers")


def _checked_keys(members: list[Any], tag: str) -> int:
    """Return how many of the keys are no texts."""
    if tag == "~dict":
        members = [pair[0] if type(pair) is list and pair else None for pair in members]
    hashes = [_hash_of(member) for member in members if type(member) is not str]
    check_hashes(hashes)
    return len(hashes)


def check_hashes(hashes: list[int]) -> None:
    """Refuse keys of which many have the same hash: to put them into a set or dictionary would compare each with all others.

    :param hashes: the hashes of the keys of one set or dictionary that are no texts
    :raises TooMuch: if there are too many, or too many are alike
    """
    if len(hashes) > MAX_KEYS:
        raise TooMuch(
            f"it has more than {MAX_KEYS} keys or members of sets that are no texts; pass a list, or texts as keys"
        )
    hashes = sorted(hashes)
    alike = 1
    for number in range(1, len(hashes)):
        alike = alike + 1 if hashes[number] == hashes[number - 1] else 1
        if alike > MAX_ALIKE:
            raise TooMuch(
                f"more than {MAX_ALIKE} keys or members of a set in it have the same hash; pass a list, or texts as keys"
            )


def _hash_of(data: Any) -> int:
    """Return a hash of JSON data; values of the same hash have the same one here."""
    kind = type(data)
    if kind is list:
        return hash(tuple(map(_hash_of, data)))
    if kind is not dict:
        return hash(data)
    if len(data) == 1:
        ((tag, inner),) = data.items()
        try:
            if tag == "~decimal":
                return hash(Decimal(inner))
            if tag == "~float":
                return hash(float(inner))
            if tag == "~uuid":
                return hash(UUID(inner))
            if tag in ("~frozenset", "~set"):
                return hash(frozenset(map(_hash_of, inner)))
            if tag in ("~tuple", "~timedelta"):
                return _hash_of(inner)
        except Exception:  # whoever reads it says what is wrong
            return 0
    # What a class makes of its state is its own affair; as a rule it hashes the parts.
    return hash(tuple(map(_hash_of, data.values())))
