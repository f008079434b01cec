"""The ZooKeeper store: jobs and ledger below one node of a ZooKeeper ensemble, every step one multi-operation.

Takes the options; the protocol is in ``rota.jobstores.tree``, the connection in ``server``.
"""

from __future__ import annotations

import pickle
from urllib.parse import urlsplit

from ...codec.jobs import JobFormat
from ...compat.absent import only_read
from ...errors import ConfigurationError, MissingExtraError
from ...masking import masked
from ...util import maybe_ref
from ..base import ConflictingIdError, JobLookupError
from ..tree.store import TreeJobStore

try:
    import kazoo  # noqa: F401  # whether it is here
except ImportError as exc:
    raise MissingExtraError("ZooKeeperJobStore", "zookeeper") from exc

from .server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ("ConflictingIdError", "JobLookupError", "ZooKeeperJobStore")


class ZooKeeperJobStore(TreeJobStore):
    """Keeps jobs and ledger in ZooKeeper (3.5 or later); any number of schedulers and processes may share it.

    Alias: ``zookeeper``. The first four parameters and ``connect_options`` are APScheduler's. Processes that share a path tell
    each other at once what is due soon (a watch). Leases are kept by the clock of the ensemble's leader.

    ZooKeeper keeps its data in memory, and has no ordered reads: due times are kept in one node for each 100 seconds, so a look
    for what is due reads the names of these nodes, and those of the jobs in the ones that are due. It is made for small data:
    some thousand jobs, with short records.

    :param path: the node that everything is below; different applications take different ones
    :param client: a ``kazoo.client.KazooClient`` (or a textual reference to one) to be used instead of an own one. It is started
        if it is not connected
    :param close_connection_on_exit: whether a client that you passed in is stopped and closed at shutdown
    :param pickle_protocol: protocol of pickles, if ``serializer`` is "pickle"
    :param url: ``zookeeper://host:2181,host2:2181/path`` or ``zk://…``, instead of hosts and path
    :param serializer: "json" (arguments and triggers that do not fit are refused), or "pickle" (they are pickled)
    :param imports: False: jobs are read without importing their code, to be looked at and repaired, and not to be run
    :param create: False: what is not there yet is not made, and an older layout is not migrated; ``start()`` refuses it
    :param keep_runs: how many ended runs of each job the ledger keeps; None for no bound
    :param keep_days: how many days ended runs are kept; None for no bound
    :param signing_key: a key of 16 bytes or more, or a list of keys: jobs are signed by the first, and a job that none of
        them has signed is quarantined and never run
    :param connect_options: more keyword arguments for ``kazoo.client.KazooClient()``: hosts, timeout, auth_data, default_acl …
    :raises ConfigurationError: (a ``ValueError``) if an option is wrong
    """

    _server: Server

    def __init__(
        self,
        path: str = "/rota",
        client: Any = None,
        close_connection_on_exit: bool = False,
        pickle_protocol: int = pickle.HIGHEST_PROTOCOL,
        *,
        url: str | None = None,
        serializer: str = "json",
        imports: bool = True,
        create: bool = True,
        keep_runs: int | None = 100,
        keep_days: float | None = 30,
        signing_key: str | bytes | Sequence[str | bytes] | None = None,
        **connect_options: Any,
    ) -> None:
        if url is not None:
            given, path = _options_of_url(url, path)
            connect_options = {**given, **connect_options}
        path = path.rstrip("/")
        if not path.startswith("/"):
            raise ConfigurationError(
                f'The "path" parameter must begin with / and name a node below the root, got {path!r}; it must not be empty'
            )
        format = JobFormat(serializer, pickle_protocol, imports, signing_key)
        server = Server(path, maybe_ref(client), close_connection_on_exit, connect_options)
        super().__init__(server, path, format, keep_runs, keep_days, create)

    @property
    def client(self) -> Any:
        """The client that the store uses."""
        return self._server.client


only_read(ZooKeeperJobStore, client="client=")


def _options_of_url(url: str, path: str) -> tuple[dict[str, Any], str]:
    """Return the client's options and the path in a ``zookeeper://`` or ``zk://`` URL; the given path if it has none."""
    parts = urlsplit(url)
    if parts.scheme not in ("zookeeper", "zk") or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{masked(url)!r} is no URL of a ZooKeeper store; it looks like zookeeper://host:2181,host2:2181/path"
        )
    return {"hosts": parts.netloc} if parts.netloc else {}, parts.path.rstrip("/") or path
