"""The parts of a cluster on one machine as child processes: PostgreSQL, Redis, LiveKit, and the nodes."""

import secrets
import shutil
import signal
import subprocess
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from contrib.cluster.balancer_config import BalancerPorts
from contrib.cluster.child_process import ChildProcess, accepts_connections, environment_of_children, free_port
from contrib.cluster.cluster_programs import unprivileged_user
from contrib.cluster.livekit_config import API_KEY, write_livekit_config

_DATABASE_USER: Final = "stagebook"


class Database:
    """A PostgreSQL server, whose folder is made at the first start."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder / "postgres"
        self._user = unprivileged_user()
        self._port = free_port()
        self._password_file = self._folder / "password"
        self.child = ChildProcess(
            "PostgreSQL",
            (
                *(programs / "postgres", "-D", self._data, "-p", str(self._port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"),
            ),
            log=folder / "postgres.log",
            environment=environment_of_children(),
            folder=folder,
            user=self._user,
            stop_signal=signal.SIGINT,  # Disconnects the clients. SIGTERM waits for them.
        )

    @property
    def url(self) -> str:
        """The URL of the database, with the password."""
        password = self._password_file.read_text(encoding="ascii").strip()
        return f"postgresql://{_DATABASE_USER}:{password}@127.0.0.1:{self._port}/postgres"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start the server, and wait until it accepts connections.

        Raises ChildFailedError; CalledProcessError, with the output, if the folder cannot be made.
        """
        if not (self._data / "PG_VERSION").exists():
            self._make_data_folder()
        self.child.start()
        self.child.wait_until(lambda: accepts_connections(self._port))

    def _make_data_folder(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_hex(16), encoding="ascii")
        if self._user is not None:
            shutil.chown(self._folder, user=self._user)
            shutil.chown(self._password_file, user=self._user)
        subprocess.run(
            (
                *(self._programs / "initdb", "--pgdata", self._data, "--username", _DATABASE_USER),
                *("--auth", "scram-sha-256", "--pwfile", self._password_file),
                *("--encoding", "UTF8", "--locale", "C", "--no-instructions"),
            ),
            cwd=self._folder.parent,
            env=environment_of_children(),
            check=True,
            capture_output=True,
            text=True,
            user=self._user,
            extra_groups=None if self._user is None else (),
        )


class Redis:
    """A Redis, through which LiveKit's nodes know of each other. It keeps what it has over a restart."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port = free_port()
        (folder / "redis").mkdir(exist_ok=True)
        self.child = ChildProcess(
            "Redis",
            (
                *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder / "redis"),
                *("--save", "", "--appendonly", "yes"),
            ),
            log=folder / "redis.log",
            environment=environment_of_children(),
            folder=folder,
        )

    def start(self) -> None:
        """Start it, and wait until it accepts connections. Raises ChildFailedError."""
        self.child.start()
        self.child.wait_until(lambda: accepts_connections(self.port))


class LiveKit:
    """A node of LiveKit."""

    def __init__(
        self, program: Path, folder: Path, *, number: int, redis_port: int, webhook_url: str, secret: str
    ) -> None:
        self.port = free_port()
        config = folder / f"livekit-{number}.yaml"
        write_livekit_config(
            config,
            port=self.port,
            tcp_port=free_port(),
            udp_port=free_port(),
            redis_port=redis_port,
            webhook_url=webhook_url,
            secret=secret,
        )
        self.child = ChildProcess(
            f"livekit-{number}",
            (program, "--config", config),
            log=folder / f"livekit-{number}.log",
            environment=environment_of_children(),
            folder=folder,
            stop_signal=signal.SIGKILL,  # SIGTERM lets it wait for its rooms to end.
        )

    def start(self) -> None:
        """Start it, and wait until it accepts connections. Raises ChildFailedError."""
        self.child.start()
        self.child.wait_until(lambda: accepts_connections(self.port))


class Node:
    """A Stagebook node. `settings` are those that all nodes have, by the names of their variables."""

    def __init__(self, folder: Path, *, number: int, settings: dict[str, str]) -> None:
        self.ports = BalancerPorts(http=free_port(), rtmp=free_port(), rtmps=free_port())
        self.data = folder / f"node-{number}"
        own = {
            "STAGEBOOK_NODE_NAME": f"node-{number}",
            "STAGEBOOK_DATA": str(self.data),
            "STAGEBOOK_LISTEN": f"127.0.0.1:{self.ports.http}",
            "STAGEBOOK_RTMP_LISTEN": f"127.0.0.1:{self.ports.rtmp}",
            "STAGEBOOK_RTMPS_LISTEN": f"127.0.0.1:{self.ports.rtmps}",
            "STAGEBOOK_INTERNAL_LISTEN": f"127.0.0.1:{free_port()}",
        }
        if number > 1:
            # Encoders meet one certificate, whichever node they reach: that of the first node.
            first = folder / "node-1"
            own["STAGEBOOK_RTMPS_CERTIFICATE"] = str(first / "rtmps-certificate.pem")
            own["STAGEBOOK_RTMPS_PRIVATE_KEY"] = str(first / "rtmps-private-key.pem")
        self.child = ChildProcess(
            f"node-{number}",
            (sys.executable, "-m", "stagebook", "serve"),
            log=folder / f"node-{number}.log",
            environment=environment_of_children() | settings | own,
            folder=folder,
        )

    def is_healthy(self) -> bool:
        """Return whether the node answers /health with status 200."""
        connection = HTTPConnection("127.0.0.1", self.ports.http, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def write_settings_file(path: Path, settings: dict[str, str]) -> None:
    """Write the settings that commands about the cluster need, such as `stagebook cluster status`."""
    names = ("BOOK", "DATABASE_URL", "CLUSTER_SECRET", "PUBLIC_URL")
    path.touch(mode=0o600)
    lines = (f'{name.lower()} = "{settings[f"STAGEBOOK_{name}"]}"' for name in names)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def shared_settings(
    *, database_url: str, ports: BalancerPorts, livekit_port: int, livekit_secret: str
) -> dict[str, str]:
    """Return the settings that all nodes have, as variables. Without LiveKit, `livekit_port` is 0."""
    settings = {
        "STAGEBOOK_BOOK": "postgres",
        "STAGEBOOK_DATABASE_URL": database_url,
        "STAGEBOOK_CLUSTER_SECRET": secrets.token_hex(32),
        "STAGEBOOK_PUBLIC_URL": f"http://127.0.0.1:{ports.http}",
        "STAGEBOOK_RTMP_PUBLIC_URL": f"rtmp://127.0.0.1:{ports.rtmp}/app/",
        "STAGEBOOK_RTMPS_PUBLIC_URL": f"rtmps://127.0.0.1:{ports.rtmps}/app/",
        # The load balancer: the address of a client is in its header field X-Forwarded-For.
        "STAGEBOOK_TRUSTED_PROXIES": "127.0.0.1",
        # Three nodes share the cores of one machine.
        "STAGEBOOK_INGEST_PROCESSES": "1",
    }
    if livekit_port:
        settings |= {
            "STAGEBOOK_MEDIA_ENGINE": "livekit",
            "STAGEBOOK_LIVEKIT_URL": f"http://127.0.0.1:{livekit_port}",
            "STAGEBOOK_LIVEKIT_API_KEY": API_KEY,
            "STAGEBOOK_LIVEKIT_API_SECRET": livekit_secret,
        }
    return settings
