"""What a job carries for people and programs to find it by: tags and metadata, checked.

Pure. It knows no job.
"""

from __future__ import annotations

from json import dumps

from ..errors import JobTypeError, JobValueError
from ..texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The most tags of a job, and the longest (characters).
MOST_TAGS = 50
LONGEST_TAG = 100
#: The longest metadata (bytes, as JSON in UTF-8).
LONGEST_METADATA = 8 * 1024


def checked_tags(value: Any) -> tuple[str, ...]:
    """Return tags in their order, each once.

    :raises JobTypeError, JobValueError: if they are none
    """
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise JobTypeError(
            f'tags must be a set or list of texts, got {repr_of(value)}; for one tag give {{"tag"}}'
        )
    tags = set()
    for tag in value:
        if not isinstance(tag, str):
            raise JobTypeError(f"tags must be texts, got {repr_of(tag)} among them")
        if not (0 < len(tag) <= LONGEST_TAG and tag.isprintable()):
            raise JobValueError(
                f"tags must be printable texts of 1 to {LONGEST_TAG} characters, got {repr_of(tag)}"
            )
        tags.add(str(tag))
    if len(tags) > MOST_TAGS:
        raise JobValueError(
            f"tags must be {MOST_TAGS} at most, got {len(tags)}; what is different for each job is metadata"
        )
    return tuple(sorted(tags))


def checked_metadata(value: Any) -> dict[str, Any]:
    """Return metadata as plain JSON-able data of its own.

    :raises JobTypeError, JobValueError: if it is none
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise JobTypeError(f"metadata must be a dictionary, got {repr_of(value)}")
    metadata: dict[str, Any] = _plain(value, 0)
    size = len(dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode())
    if size > LONGEST_METADATA:
        raise JobValueError(
            f"metadata must be {LONGEST_METADATA} bytes of JSON at most, got {size}; keep what is large elsewhere"
        )
    return metadata


#: How deep metadata may be nested.
_DEEPEST = 20


def _plain(value: Any, depth: int) -> Any:
    """Return a copy of JSON-able data; what JSON has no word for is refused."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        if "\0" in value or not _is_encodable(value):
            raise JobValueError(f"metadata must have no NUL characters or surrogates, got {repr_of(value)}")
        return value
    if kind is int:
        if abs(value) >= 2**63:
            raise JobValueError(
                f"metadata must have numbers of 64 bits, got {repr_of(value)}; give it as a text"
            )
        return value
    if kind is float and value - value == 0:
        return value
    if depth < _DEEPEST:
        if kind in (list, tuple):
            return [_plain(item, depth + 1) for item in value]
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    raise JobTypeError(f"metadata must have texts as keys, got {repr_of(key)}")
            return {_plain(key, depth + 1): _plain(item, depth + 1) for key, item in value.items()}
    raise JobTypeError(
        f"metadata must be JSON, {_DEEPEST} levels deep at most: texts, numbers, booleans, None, lists and dictionaries, got "
        f"{repr_of(value)}"
    )


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
