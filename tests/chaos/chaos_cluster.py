"""Real nodes on a real database, which rounds kill, stop, cut off and start again.

Each node reaches the database through a proxy of its own, and the other nodes directly. A node that is started again
keeps its port, its name and its data folder, as with a supervisor.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import boto3
import psycopg
from botocore.config import Config

from tests.book.postgres.cuttable_proxy import CuttableProxy
from tests.e2e.cluster.nodes import Node
from tests.postgres_server import PostgresServer, running_server

DEADLINE_SECONDS: Final = 60.0
ACCOUNTS: Final = ("111122223333", "444455556666")
SECRET: Final = "0123456789012345678901234567890123456789"
CLIENT_CONFIG: Final = Config(
    retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=12, max_pool_connections=20
)
DATABASE_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({"track_commit_timestamp": "on"})
_OWNERS: Final = "SELECT account_id, run_id, node, sequence_slot FROM account_lease JOIN node_run USING (run_id)"
# A node takes accounts of others only after a contact of one lease.
_READY: Final = """
SELECT node FROM node_run WHERE fenced_at IS NULL AND ended_at IS NULL
    AND started_at < clock_timestamp() - interval '3.7 seconds'
    AND heartbeat_at > clock_timestamp() - interval '2 seconds'
"""


class ChaosNode:
    """A node, in one life after the other. `start` begins one, and `wait_ready` waits until it serves."""

    def __init__(self, folder: Path, *, name: str, server: PostgresServer, standby: PostgresServer | None) -> None:
        self.name = name
        self.proxy = CuttableProxy(server.url())
        self._database_url = url_of_either(self.proxy.url, standby)
        self._folder = folder
        self._port = 0
        self.is_avoided = False
        """Whether clients know that it does not serve, as behind a load balancer."""

    def start(self) -> None:
        """Start the process."""
        configuration = self._folder / "stagebook.toml"
        if not configuration.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            configuration.write_text(_credentials(), encoding="utf-8")
            configuration.chmod(0o600)
        self.process = Node(
            self._folder / "data",
            f"--config={configuration}",
            f"--listen=127.0.0.1:{self._port}",
            database_url=self._database_url,
            name=self.name,
        )

    def wait_ready(self) -> None:
        """Wait until the node serves."""
        self.process.__enter__()
        self._port = self.process.port
        self.is_avoided = False

    @property
    def is_serving(self) -> bool:
        """Whether the process runs and has begun to serve."""
        return self.process.is_running() and "server started" in self.process.output

    @property
    def url(self) -> str:
        """The URL for clients, the same in all lives."""
        return f"http://127.0.0.1:{self._port}"

    def kill(self) -> None:
        """Kill the process, if it runs."""
        self.process.kill()


class ChaosCluster:
    """Three nodes, and the database that they share."""

    def __init__(self, server: PostgresServer, nodes: list[ChaosNode], database_url: str) -> None:
        self.server = server
        self.nodes = nodes
        self._database_url = database_url
        self._session = boto3.Session()
        self._making = threading.Lock()
        self._clients: dict[tuple[str, str, bool], Any] = {}

    def rows(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - psycopg's
        """Return the rows of a statement, past the proxies."""
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def node(self, name: str) -> ChaosNode:
        """Return a node by its name."""
        return next(node for node in self.nodes if node.name == name)

    def owners(self) -> dict[str, tuple[int, str, int]]:
        """Return the run, the node and the slot of sequence numbers of the owner of each account."""
        return {account: (run, node, slot) for account, run, node, slot in self.rows(_OWNERS)}

    def client(self, node: ChaosNode, account_id: str, *, retries: bool = False) -> Any:  # noqa: ANN401 - of boto3
        """Return a boto3 client of one attempt; with `retries`, one that has boto3's defaults."""
        key = (node.name, account_id, retries)
        with self._making:  # Sessions of boto3 are not for several threads.
            if key not in self._clients:
                make: Any = self._session.client  # boto3-stubs accept only literal arguments
                self._clients[key] = make(
                    "ivs-realtime",
                    endpoint_url=node.url,
                    aws_access_key_id=access_key_id(account_id),
                    aws_secret_access_key=SECRET,
                    region_name="us-west-2",
                    config=None if retries else CLIENT_CONFIG,
                )
            return self._clients[key]

    def start_missing(self) -> None:
        """Start the nodes that do not run, and note those that have begun to serve."""
        for node in self.nodes:
            if not node.process.is_running():
                node.start()
            elif node.is_serving:
                node.wait_ready()

    def taker(self, victim: ChaosNode) -> ChaosNode | None:
        """Return a node that would take the accounts of another one, None if there is none yet."""
        self.start_missing()
        ready = {name for (name,) in self.rows(_READY)}
        takers = (node for node in self.nodes if node is not victim and node.is_serving and node.name in ready)
        return next(takers, None)


def access_key_id(account_id: str) -> str:
    """Return the access key of an account."""
    return f"AKIA{account_id}TEST"


def _credentials() -> str:
    return "".join(
        f'[[credentials]]\naccess_key_id = "{access_key_id(account)}"\nsecret_access_key = "{SECRET}"\n'
        f'account_id = "{account}"\nuser_name = "chaos"\n'
        '[[credentials.policy.Statement]]\nEffect = "Allow"\nAction = "ivs:*"\nResource = "*"\n'
        for account in ACCOUNTS
    )


def url_of_either(url: str, standby: PostgresServer | None) -> str:
    """Return the URL of the primary of two servers, one of which is at `url`."""
    if standby is None:
        return url
    before, _, database = url.rpartition("/")
    return f"{before},127.0.0.1:{standby.port}/{database}?target_session_attrs=read-write"


@contextmanager
def running_cluster(folder: Path) -> Iterator[ChaosCluster]:
    """Run a database server with fsync, and three nodes."""
    with running_server(settings=DATABASE_SETTINGS) as server, running_nodes_on(folder, server) as cluster:
        yield cluster


@contextmanager
def running_nodes_on(
    folder: Path, server: PostgresServer, *, standby: PostgresServer | None = None
) -> Iterator[ChaosCluster]:
    """Run three nodes on a database server, which may have a standby."""
    nodes = [ChaosNode(folder / name, name=name, server=server, standby=standby) for name in ("a", "b", "c")]
    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(node.proxy)
            node.start()
            stack.callback(node.kill)
            if node is nodes[0]:  # It makes the tables and the secrets.
                node.wait_ready()
        for node in nodes:
            node.wait_ready()
        yield ChaosCluster(server, nodes, url_of_either(server.url(), standby))


def wait_for(condition: Any, what: str, *, pause_seconds: float = 0.05) -> None:  # noqa: ANN401 - a function
    """Wait until a condition holds; fail after DEADLINE_SECONDS."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(pause_seconds)
