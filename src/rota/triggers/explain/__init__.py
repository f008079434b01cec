"""Triggers in plain language.

Re-exports only; loaded when an explanation is asked for.
"""

from .describe import explain as explain
