"""The MongoDB store.

Re-exports only.
"""

from .store import MongoDBJobStore as MongoDBJobStore
