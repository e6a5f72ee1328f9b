"""Real nodes: `stagebook serve` processes that share a PostgreSQL database."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from stagebook.data_folder.secrets import AccessKey, DataFolder
from tests.serving import ServerProcess, run_command

CLUSTER_SECRET = "0123456789abcdef0123456789abcdef"
PUBLIC_URL = "http://stages.example.com"
DEFAULTS = {
    "STAGEBOOK_INTERNAL_LISTEN": "127.0.0.1:0",
    "STAGEBOOK_CLUSTER_SECRET": CLUSTER_SECRET,
    "STAGEBOOK_PUBLIC_URL": PUBLIC_URL,
    "STAGEBOOK_WATCH_HEARTBEAT_SECONDS": "0.2",
    "STAGEBOOK_SESSION_LINGER_SECONDS": "0",
}
NO_INTERNAL_SERVER = {"STAGEBOOK_INTERNAL_LISTEN": "", "STAGEBOOK_CLUSTER_SECRET": ""}
_RTMP = re.compile(r"encoders +RTMP on 127\.0\.0\.1:(\d+)")
_RTMPS = re.compile(r"RTMPS on 127\.0\.0\.1:(\d+)")


class Node(ServerProcess):
    """A node on the database at `database_url`. Entering waits until it is ready, leaving kills it if it runs."""

    def __init__(self, data: Path, *arguments: str, database_url: str, name: str, **variables: str) -> None:
        """An empty one of `variables` leaves out a default of this class."""
        self._database = {"STAGEBOOK_BOOK": "postgres", "STAGEBOOK_DATABASE_URL": database_url}
        chosen = DEFAULTS | self._database | {"STAGEBOOK_NODE_NAME": name} | variables
        given = {name: value for name, value in chosen.items() if value}
        super().__init__(data, "--log-form=text", *arguments, **given)
        self.name = name

    @property
    def port(self) -> int:
        """The port for clients."""
        return int(self.url.rpartition(":")[2])

    @property
    def rtmp_port(self) -> int:
        """The port for encoders."""
        return self._port_in_output(_RTMP)

    @property
    def rtmps_port(self) -> int:
        """The port for encoders that use TLS."""
        return self._port_in_output(_RTMPS)

    @property
    def key(self) -> AccessKey:
        """The access key, which all nodes of a database have."""
        return DataFolder(self.data).read_server_access()[1]

    def client(self, **arguments: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client of this node, and not of the cluster's public URL."""
        return super().client(**({"endpoint_url": self.url} | arguments))

    def command(self, *arguments: str) -> str:
        """Run a `stagebook` command with the data folder and the database of this node; return its output."""
        ended = run_command(*arguments, "--data", str(self.data), **self._database)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def owns_account(self) -> bool:
        """Return whether this node has taken an account."""
        return "account acquired" in self.output

    def _port_in_output(self, pattern: re.Pattern[str]) -> int:
        found = pattern.search(self.output)
        assert found is not None, self.output
        return int(found[1])


def signed_headers(key: AccessKey, method: str, url: str) -> dict[str, str]:
    """Return the header fields of a signed request to the watch API."""
    request = AWSRequest(method, url)
    credentials = Credentials(key.access_key_id, key.secret_access_key)
    SigV4Auth(credentials, "stagebook", "us-west-2").add_auth(request)
    return dict(request.headers.items())


class TwoNodes(msgspec.Struct):
    """`owner` owns the account of the access key; clients ask `asked`."""

    asked: Node
    owner: Node


@contextmanager
def running_nodes(folder: Path, *, database_url: str, count: int, **variables: str) -> Iterator[list[Node]]:
    """Run nodes. The first one starts alone, as it creates the secrets that the others take."""
    with ExitStack() as stack:
        nodes: list[Node] = []
        for number in range(1, count + 1):
            name = f"node-{number}"
            node = Node(folder / name, database_url=database_url, name=name, **variables)
            nodes.append(stack.enter_context(node))
        yield nodes


@contextmanager
def two_nodes(folder: Path, *, database_url: str) -> Iterator[TwoNodes]:
    """Run two nodes. The second one owns the account, because it is asked for it first."""
    with running_nodes(folder, database_url=database_url, count=2) as (asked, owner):
        owner.client().create_stage(name="first")
        assert owner.owns_account()
        yield TwoNodes(asked=asked, owner=owner)
