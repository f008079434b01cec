"""From due to done: passes over the stores, leases, ends of runs.

Knows no scheduler and no host. Nothing is imported here.
"""
