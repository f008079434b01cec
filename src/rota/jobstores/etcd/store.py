"""The etcd store: jobs and ledger under one prefix of an etcd cluster (API v3), every step one transaction.

Takes the options; the protocol is in ``rota.jobstores.tree``, the connection in ``server``.
"""

from __future__ import annotations

import pickle
from urllib.parse import urlsplit

from ...codec.jobs import JobFormat
from ...compat.absent import only_read
from ...errors import ConfigurationError, MissingExtraError
from ...masking import masked, without_secrets
from ...util import maybe_ref
from ..base import ConflictingIdError, JobLookupError
from ..tree.store import TreeJobStore

try:
    from .server import Server
except ImportError as exc:
    raise MissingExtraError("EtcdJobStore", "etcd") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ("ConflictingIdError", "EtcdJobStore", "JobLookupError")


class EtcdJobStore(TreeJobStore):
    """Keeps jobs and ledger in etcd (3.4 or later); any number of schedulers and processes may share it. Alias: ``etcd``.

    The first four parameters and ``connect_options`` are APScheduler's. Processes that share a path tell each other at once what
    is due soon (a watch). Leases are kept by the clock of the member that a node talks to, to within a second.

    etcd keeps its data in memory and is made for small data: some ten thousand jobs, with short records.

    :param path: prefix of all keys; different applications take different ones
    :param client: an ``etcd3gw.Etcd3Client`` (or a textual reference to one) to be used instead of an own one
    :param close_connection_on_exit: whether the connections of a client that you passed in are closed at shutdown
    :param pickle_protocol: protocol of pickles, if ``serializer`` is "pickle"
    :param url: ``etcd://host:2379/path`` or ``etcds://…`` (TLS), instead of host, port, protocol and path
    :param serializer: "json" (arguments and triggers that do not fit are refused), or "pickle" (they are pickled)
    :param imports: False: jobs are read without importing their code, to be looked at and repaired, and not to be run
    :param create: False: what is not there yet is not made, and an older layout is not migrated; ``start()`` refuses it
    :param keep_runs: how many ended runs of each job the ledger keeps; None for no bound
    :param keep_days: how many days ended runs are kept; None for no bound
    :param signing_key: a key of 16 bytes or more, or a list of keys: jobs are signed by the first, and a job that none of
        them has signed is quarantined and never run
    :param connect_options: more keyword arguments for ``etcd3gw.Etcd3Client()``: host, port, protocol, ca_cert, timeout …
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
        if not path:
            raise ConfigurationError('The "path" parameter must not be empty')
        format = JobFormat(serializer, pickle_protocol, imports, signing_key)
        server = Server(path, maybe_ref(client), close_connection_on_exit, connect_options)
        super().__init__(server, path, format, keep_runs, keep_days, create)

    @property
    def client(self) -> Any:
        """The client that the store uses."""
        return self._server.client


only_read(EtcdJobStore, client="client=")


def _options_of_url(url: str, path: str) -> tuple[dict[str, Any], str]:
    """Return the client's options and the path in an ``etcd://`` or ``etcds://`` URL; the given path if it has none."""
    parts = urlsplit(url)
    if parts.scheme not in ("etcd", "etcds") or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{masked(url)!r} is no URL of an etcd store; it looks like etcd://host:2379/path. Users, passwords "
            f"and certificates are options of a client that you make and pass in as client="
        )
    try:
        options: dict[str, Any] = {"protocol": "https" if parts.scheme == "etcds" else "http"}
        if parts.hostname:
            options["host"] = parts.hostname
        if parts.port:
            options["port"] = parts.port
    except ValueError as exc:
        raise ConfigurationError(
            f"{masked(url)!r} is no URL of an etcd store: {without_secrets(str(exc), url)}"
        ) from None
    return options, parts.path.rstrip("/") or path
