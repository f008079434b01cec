"""The Redis store.

Re-exports only.
"""

from .store import RedisJobStore as RedisJobStore
