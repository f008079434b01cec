"""The etcd store.

Re-exports only.
"""

from .store import EtcdJobStore as EtcdJobStore
