"""Wake-ups of the MongoDB store: there are none. Changes by other processes are noticed by a look at what is due next.

A server without a replica set has no change streams, and a look is one read of an index.
"""

from __future__ import annotations

#: How often a scheduler looks, in seconds.
POLL_INTERVAL = 1.0
