"""Where the tests keep their files: in memory where there is plenty, as nothing that they write need survive the machine."""

from __future__ import annotations

import os

#: a file system in memory, where there is one
MEMORY = "/dev/shm"
#: What must be free there, and how much memory the machine must have, in bytes.
FREE, ALL = 4 << 30, 8 << 30


def keep_files_in_memory() -> None:
    """Have pytest and the tests' servers make their folders in memory, if the environment names no other place."""
    if _has_room():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


def folder_of_files() -> str | None:
    """Return the folder in which folders for files are made, or None for the usual one."""
    return os.environ.get("PYTEST_DEBUG_TEMPROOT")


def _has_room() -> bool:
    try:
        found = os.statvfs(MEMORY)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return False
    return found.f_bavail * found.f_frsize >= FREE and memory >= ALL and os.access(MEMORY, os.W_OK)
