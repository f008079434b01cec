"""URLs as messages, logs and ``repr()`` may show them: without users, passwords, tokens and keys.

Works on texts; when in doubt it masks too much.
"""

from __future__ import annotations

import re

#: What stands for what is not shown.
MASK = "***"
#: What the names of parameters with secrets have in them, and names that only look so.
_SECRET = re.compile(r"pass|pwd|secret|token|key|cred|auth|sig")
_HARMLESS = frozenset(("authsource", "authmechanism"))
#: Between ``//`` and the last ``@``; a path of three slashes has nobody before it.
_USER = re.compile(r"(?<=://)(?!/)\S*@")
_PARAMETER = re.compile(r"[?&;]([^=&#;?\s]*)=")
_VALUE = re.compile(r"[^&\s]*?(?=['\")>\],]*(?:[&\s]|$))")
_INNER = re.compile(rf"(?:{_SECRET.pattern})\w*=")
#: Shorter pieces of a password may be a part of any word.
_SHORTEST = 3


def masked(url: object) -> str:
    """Return a URL without what stands between ``//`` and ``@``, spaces and slashes included, and without secret parameters.

    What is no URL is shown without what stands before its ``@``: somebody may have mistyped one.
    """
    text = str(url)
    head, user, rest = _split(text)
    return _without_parameters(f"{head}{MASK}@{rest}" if user is not None else text)


def without_secrets(text: str, *urls: object) -> str:
    """Return a text with the secrets of the URLs in it replaced by ``***``.

    :param urls: URLs that the text may speak of, as a whole or in pieces, such as the half of a password that was read as a port
    """
    for url in map(str, urls):
        text = text.replace(url, masked(url))
        for piece in _pieces(url):
            text = text.replace(piece, MASK)
    return _without_parameters(_USER.sub(f"{MASK}@", text))


def _split(text: str) -> tuple[str, str | None, str]:
    """Return what stands before the user of a URL, the user and password (None if there are none), and what follows ``@``."""
    head, separator, rest = text.partition("://")
    if not separator:
        head, rest = "", text
    user, at, behind = rest.rpartition("@")
    if not at or (separator and rest.startswith("/")):
        return head + separator, None, rest
    return head + separator, user, behind


def _pieces(url: str) -> list[str]:
    """Return the password of a URL and the parts that a wrong reading may make of it, the longest first."""
    from urllib.parse import unquote  # import time

    _, user, _ = _split(url)
    if not user:
        return []
    secret = user.partition(":")[2] or user
    found = {secret, unquote(secret), *re.split(r"[/?#@:\s]", secret)}
    return sorted((piece for piece in found if len(piece) >= _SHORTEST), key=len, reverse=True)


def _without_parameters(text: str) -> str:
    if "=" not in text:
        return text
    from urllib.parse import unquote  # import time

    shown, at = [], 0
    for found in _PARAMETER.finditer(text):
        value = _VALUE.match(text, found.end())
        if found.start() < at or value is None:
            continue
        name, inner = unquote(found[1]).lower(), unquote(value[0]).lower()
        # The value may be another connection string: odbc_connect=DRIVER%3D…%3BPWD%3D…
        if (_SECRET.search(name) and name not in _HARMLESS) or _INNER.search(inner):
            shown.append(f"{text[at : found.end()]}{MASK}")
            at = value.end()
    return "".join((*shown, text[at:]))
