"""How each server is started and asked whether it is up; nothing here needs a client library."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import sys
import urllib.request
from glob import glob
from pathlib import Path

from tests.needs import missing

from .process import PATHS, Server, ask, find_program, free_port


class PostgreSQL(Server):
    """PostgreSQL; user ``rota`` with the password ``secret`` may do everything."""

    name = "PostgreSQL"
    package = "postgresql"
    stop_signal = signal.SIGINT  # fast: ends the connections
    user = "postgres"  # it refuses to run as root

    def find(self) -> str:
        homes = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        return find_program(self.name, self.package, "postgres", paths=os.pathsep.join([*homes[::-1], PATHS]))

    def prepare(self) -> None:
        # Programs beside a link are not found through it.
        initdb = Path(self.program).resolve().with_name("initdb")
        password = self.folder / "password"
        password.write_text("secret")
        password.chmod(0o644)
        self.run(
            str(initdb),
            f"--pgdata={self.folder / 'data'}",
            "--username=rota",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        )

    def command(self) -> list[str]:
        # A killed server loses nothing without fsync; only a machine without power would.
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=off"]
        options = [word for setting in [*settings, "max_connections=200"] for word in ("-c", setting)]
        return [self.program, "-D", str(self.folder / "data"), "-p", str(self.port), *options]

    def answers(self) -> bool:
        body = struct.pack("!i", 196608) + b"user\0rota\0database\0postgres\0\0"
        return ask(self.port, struct.pack("!i", len(body) + 4) + body)[:1] == b"R"

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://rota:secret@127.0.0.1:{self.port}/{database}"


class PgBouncer(Server):
    """PgBouncer in transaction mode, before the PostgreSQL server on the port ``upstream``, which is set before it is opened."""

    name = "PgBouncer"
    package = "pgbouncer"
    stop_signal = signal.SIGINT
    user = "postgres"  # it refuses to run as root
    upstream = 0

    def find(self) -> str:
        return find_program(self.name, self.package, "pgbouncer")

    def command(self) -> list[str]:
        settings = self.folder / "settings.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.upstream} user=rota password=secret\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nauth_type = any\n"
            # Two connections for all clients: each transaction meets another one than the last.
            f"pool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n"
            # It asks a server that was away anew after 15 seconds else.
            f"server_login_retry = 1\n"
        )
        settings.chmod(0o644)
        return [self.program, str(settings)]

    def answers(self) -> bool:
        body = struct.pack("!i", 196608) + b"user\0rota\0database\0postgres\0\0"
        return ask(self.port, struct.pack("!i", len(body) + 4) + body)[:1] == b"R"

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of the server behind it."""
        return f"postgresql://rota@127.0.0.1:{self.port}/{database}"


class MariaDB(Server):
    """MariaDB with its own defaults (latin1, so that tables must say what they need); user ``root`` without a password."""

    name = "MariaDB"
    package = "mariadb-server"

    def find(self) -> str:
        return find_program(self.name, self.package, "mariadbd")

    def prepare(self) -> None:
        install = find_program("mariadb-install-db", self.package, "mariadb-install-db")
        self.run(
            install,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            f"--tmpdir={self.folder}",
            *self._as_user(),
        )

    def command(self) -> list[str]:
        return [
            self.program,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--socket={self.folder / 's'}",
            "--skip-name-resolve",
            # A server that starts deletes what others have in the same folder for temporary tables.
            f"--tmpdir={self.folder}",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=2",
            # As with PostgreSQL: a killed server loses nothing. Each table that is made or dropped would wait for the disk else.
            "--innodb-flush-method=nosync",
            *self._as_user(),
        ]

    def _as_user(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def answers(self) -> bool:
        return ask(self.port, b"")[4:5] == b"\x0a"

    def url(self, database: str = "mysql") -> str:
        """Return the URL of a database of this server."""
        return f"mariadb://root@127.0.0.1:{self.port}/{database}"


class Redis(Server):
    """Redis; every write is in the append-only file before it is answered, so that a restart keeps all."""

    name = "Redis"
    package = "redis-server"

    def find(self) -> str:
        return find_program(self.name, self.package, "redis-server", "valkey-server")

    def command(self) -> list[str]:
        options = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self.folder,
            "save": "",
            "appendonly": "yes",
            # With "everysec" it answers before it writes while the disk is busy, for up to two seconds.
            "appendfsync": "no",
        }
        return [
            self.program,
            *(word for key, value in options.items() for word in (f"--{key}", str(value))),
        ]

    def answers(self) -> bool:
        return ask(self.port, b"PING\r\n").startswith(b"+PONG")

    def url(self, database: int = 0) -> str:
        """Return the URL of one of its 16 databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"


class SecantusDB(Server):
    """SecantusDB: speaks MongoDB's protocol. What passes on it may fail on a real mongod."""

    name = "SecantusDB"
    package = "secantusdb"

    def find(self) -> str:
        beside = str(Path(sys.executable).parent)
        # Debian has no MongoDB.
        program = shutil.which("secantusd-py", path=os.pathsep.join([beside, PATHS]))
        return program or missing(self.name, "install it with: pip install 'rota[dev]'")

    def command(self) -> list[str]:
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(self.folder / "data")]
        return [self.program, *place, "--standalone", "--log-level", "WARNING"]

    def answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2):
            return True

    def url(self, database: str = "test") -> str:
        """Return the URL of one of its databases."""
        return f"mongodb://127.0.0.1:{self.port}/{database}"


class Etcd(Server):
    """etcd, one member."""

    name = "etcd"
    package = "etcd-server"

    def find(self) -> str:
        return find_program(self.name, self.package, "etcd")

    def prepare(self) -> None:
        self._peers = f"http://127.0.0.1:{free_port()}"

    def command(self) -> list[str]:
        clients = f"http://127.0.0.1:{self.port}"
        return [
            self.program,
            f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={self._peers}",
            f"--initial-advertise-peer-urls={self._peers}",
            f"--initial-cluster=default={self._peers}",
            "--logger=zap",
            "--log-level=warn",
        ]

    def answers(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
            return json.load(answer).get("health") == "true"

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        return "127.0.0.1", self.port

    def url(self, path: str = "rota") -> str:
        """Return the URL of a path of this server."""
        return f"etcd://127.0.0.1:{self.port}/{path}"


class ZooKeeper(Server):
    """ZooKeeper, one member, without the admin server."""

    name = "ZooKeeper"
    package = "zookeeper and default-jre-headless"
    JARS = "/usr/share/java"

    def find(self) -> str:
        if not Path(self.JARS, "zookeeper.jar").exists():
            missing(self.name, f"install the packages {self.package}")
        return find_program("java", "default-jre-headless", "java")

    def prepare(self) -> None:
        (self.folder / "data").mkdir()

    def command(self) -> list[str]:
        # Written at each start: the port may have changed.
        (self.folder / "zoo.cfg").write_text(
            f"tickTime=500\ndataDir={self.folder / 'data'}\nclientPort={self.port}\nclientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n"
        )
        # Debian's launcher names these; java leaves out what is not there.
        jars = [jar for pattern in _ZOOKEEPER_JARS for jar in sorted(glob(f"{self.JARS}/{pattern}.jar"))]
        return [
            self.program,
            "-Xmx256m",
            "-Dzookeeper.admin.enableServer=false",
            "-Dzookeeper.forceSync=no",  # likewise
            "-cp",
            ":".join(jars),
            "org.apache.zookeeper.server.ZooKeeperServerMain",
            "zoo.cfg",
        ]

    def answers(self) -> bool:
        # It says that it is well ("ruok") some time before it takes sessions.
        return b"Mode: standalone" in ask(self.port, b"srvr")

    @property
    def hosts(self) -> str:
        """Return the address in kazoo's form."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "rota") -> str:
        """Return the URL of a path of this server."""
        return f"zookeeper://{self.hosts}/{path}"


_ZOOKEEPER_JARS = (
    "zookeeper",
    "zookeeper-jute",
    "log4j-1.2",
    "slf4j-api",
    "slf4j-simple",
    "slf4j-reload4j",
    "reload4j",
    "netty*",
    "jline2",
    "metrics-core",
    "snappy-java",
    "commons-cli",
    "jackson-*",
)
