"""The SQL store.

Re-exports only.
"""

from .store import SQLAlchemyJobStore as SQLAlchemyJobStore
