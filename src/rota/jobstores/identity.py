"""Which store this is: its identity, which is made together with its layout.

Pure; knows no store.
"""

from __future__ import annotations

from os import urandom


def new_identity() -> str:
    """Return an identity that no store has had."""
    return urandom(16).hex()
