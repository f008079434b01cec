"""Typed JSON with a closed registry: what durable stores keep of arguments, triggers and results.

Re-exports only. Each kind of stored thing has its module.
"""

from . import triggers as triggers  # for what it does: values may be triggers
from .values import dumps, loads, pack, register_type, unpack

__all__ = ("dumps", "loads", "pack", "register_type", "unpack")
