"""Options of jobs as people write them in one line: ``retry=3 timeout=300 pause_on_failure=true``.

Pure. It knows the names of the options only by :mod:`rota.core.policy`, which also judges their values.
"""

from __future__ import annotations

import re

from ..errors import JobValueError, UnknownOptionError
from ..texts import repr_of
from ..util import nearest
from .policy import DEFAULT_POLICY, OPTION_NAMES, with_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
    "none": None,
}


def options_in(text: str) -> dict[str, Any]:
    """Return the options that a text names, as ``add_job()`` takes them.

    :param text: ``name=value``, with blanks or commas between several. ``retry=3`` stands for a retry up to three times
    :raises UnknownOptionError, JobTypeError, JobValueError: if a name or a value is not acceptable
    """
    given: dict[str, str] = {}
    for word in re.split(r"[,\s]+", text.strip(", \t\r\n")):
        name, is_there, value = word.partition("=")
        if not (name and is_there and value):
            raise JobValueError(
                f"options must be written as name=value, got {word!r}; write retry=3 timeout=300"
            )
        if name in given:
            raise JobValueError(f"options must be given once, got {name} twice; leave one of them out")
        given[name] = value
    return options_of_texts(given)


def options_of_texts(given: Mapping[str, str]) -> dict[str, Any]:
    """Return options that are given as texts, by their names; see :func:`options_in`."""
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name not in OPTION_NAMES:
            near = nearest(name, OPTION_NAMES)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(OPTION_NAMES)}"
            raise UnknownOptionError(f"A job has no option {name}; {hint}")
        options[name] = _value(text)
    again = options.get("retry")
    if type(again) is int:
        if again < 1 or "max_attempts" in options:
            raise JobValueError(
                f"retry must be true, false, or how often a run is tried again, without max_attempts beside it, got "
                f"{repr_of(again)}; write retry=3, or retry=true max_attempts=4"
            )
        options["retry"], options["max_attempts"] = True, again + 1
    with_options(DEFAULT_POLICY, options)  # it raises what is wrong with a value
    return options


def _value(text: str) -> Any:
    """Return what a value means: a word for true, false or None, a number, or the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text
