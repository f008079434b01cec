"""What paths say on Linux, macOS and Windows: which folders are passed over, which file is which, how a diff names a file.

Pure: it takes paths of any system, and opens nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from pathlib import PurePath

#: Folders with files of others, or with none that anybody wrote.
_PASSED_OVER = frozenset(
    (".git", ".hg", ".svn", ".tox", ".nox", ".eggs", "node_modules", "site-packages", "__pycache__")
)
_CACHE = re.compile(r"\..*_cache|.*\.egg-info")


def is_passed_over(folder: str) -> bool:
    """Return whether the files below a folder of this name are not the project's own; its case does not count."""
    name = folder.lower()
    return name in _PASSED_OVER or _CACHE.fullmatch(name) is not None


def name_in_diff(path: PurePath) -> str:
    """Return a path as diffs write it: with slashes, and without a drive or a slash before it."""
    return path.relative_to(path.anchor).as_posix() if path.anchor else path.as_posix()


def identity(real_path: str, found: os.stat_result) -> object:
    """Return what two paths have in common if they lead to the same file.

    A file system may take names in another case for the same, which the real path does not tell everywhere; a file with
    several hard links is several files, as each is written anew.

    :param real_path: the path without links in it
    :param found: what ``os.stat()`` says of it
    """
    if found.st_nlink == 1 and found.st_ino:
        return found.st_dev, found.st_ino
    return real_path
