"""Job stores on trees of keys, such as etcd and ZooKeeper keep.

Re-exports only.
"""

from .store import TreeJobStore as TreeJobStore
