"""Programs that were written for APScheduler 3, as they would be for Rota: files in, changed files and what to look at out.

Pure; it opens nothing. Only names of modules, loggers, options and distributions are changed, never those of data.
"""

from .diffs import diff
from .edits import Edit, Migrated, Remark
from .files import migrated

__all__ = ("Edit", "Migrated", "Remark", "diff", "migrated")
