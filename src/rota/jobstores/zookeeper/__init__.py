"""The ZooKeeper store.

Re-exports only.
"""

from .store import ZooKeeperJobStore as ZooKeeperJobStore
