"""The job as users hold it.

Re-exports only.
"""

from .handle import Job as Job
