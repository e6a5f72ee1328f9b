"""Settings of the book's store, and of several servers (nodes) that share one book.

With `book = "postgres"` the book is in a PostgreSQL database. Each server process on it is a node. A node without
`internal_listen` is the only one of its database; nodes that share one reach each other at their `internal_url`, and
sign what they send to each other with `cluster_secret`.
"""

import re
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from stagebook.config.media_engine_settings import MediaEngineSettings
from stagebook.config.rules import Address, Rule, is_address, is_base_url, parse_address

CLUSTER_SECRET_MINIMUM: Final = 32
"""Characters. A key of HMAC-SHA256 should have at least the 32 bytes of its output (RFC 2104 section 3)."""
CLUSTER_SECRET_MAXIMUM: Final = 1_024
_NODE_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NOT_IN_NODE_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_DATABASE_SCHEMES: Final = frozenset({"postgresql", "postgres"})


class ClusterSettings(MediaEngineSettings, frozen=True, kw_only=True):
    """The seventh part of `Settings`. `Settings` checks the values."""

    book: Annotated[
        Literal["sqlite", "postgres"],
        Rule(
            description="Where the book is: in a SQLite file of the data folder (`sqlite`), or in a PostgreSQL "
            "database (`postgres`)."
        ),
    ] = "sqlite"
    database_url: Annotated[
        str | None,
        Rule(
            description="URL of the PostgreSQL database; only in the TOML file or the environment, because it may "
            "contain a password.",
            requirement="a URL such as postgresql://USER:PASSWORD@HOST:5432/DATABASE",
            accepts=lambda value: value is None or _is_database_url(value),
        ),
    ] = None
    database_readers: Annotated[
        int,
        Rule(
            description="Number of threads that read the PostgreSQL database for Get and List operations, each on a "
            "connection of its own.",
            minimum=1,
            maximum=64,
        ),
    ] = 4
    node_name: Annotated[
        str | None,
        Rule(
            description="Name of this node, different for each server on the same database. Default: the name of the "
            "host.",
            requirement="1 to 63 letters, digits, dots, hyphens and underscores",
            accepts=lambda value: value is None or _NODE_NAME.fullmatch(value) is not None,
        ),
    ] = None
    internal_listen: Annotated[
        str | None,
        Rule(
            description="Address at which the other nodes reach this one, in a network that only nodes reach. Default: "
            "none, and this node is the only one of its database.",
            requirement="HOST:PORT, an IPv6 host in brackets, port 0 for any free one",
            unit="HOST:PORT",
            accepts=lambda value: value is None or is_address(value),
        ),
    ] = None
    internal_url: Annotated[
        str | None,
        Rule(
            description="Base URL of `internal_listen` for the other nodes. Default: the address of `internal_listen`.",
            requirement="an http URL without a path, query or user name",
            unit="URL",
            accepts=lambda value: value is None or _is_internal_url(value),
        ),
    ] = None
    cluster_secret: Annotated[
        str | None,
        Rule(
            description="Secret that all nodes of a database share, for the requests between them; only in the TOML "
            "file or the environment.",
            requirement=f"a secret of {CLUSTER_SECRET_MINIMUM} to {CLUSTER_SECRET_MAXIMUM} characters",
            accepts=lambda value: value is None or CLUSTER_SECRET_MINIMUM <= len(value) <= CLUSTER_SECRET_MAXIMUM,
        ),
    ] = None

    def _cluster_conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what a book in PostgreSQL and several nodes need and is not set, and what needs them."""
        if self.book == "postgres" and self.database_url is None:
            yield "database_url", 'must be set with book = "postgres"'
        if self.book != "postgres":
            for name in ("database_url", "internal_listen"):
                if getattr(self, name) is not None:
                    yield name, 'needs book = "postgres"'
        if self.internal_listen is None:
            if self.internal_url is not None:
                yield "internal_url", "needs internal_listen"
            return
        if self.cluster_secret is None:
            yield "cluster_secret", "must be set with internal_listen, to the same value on every node"
        if self.internal_url is None and parse_address(self.internal_listen).is_wildcard:
            yield "internal_url", "must be set: other nodes cannot reach the wildcard address of internal_listen"
        if self.public_url is None:
            yield "public_url", "must be set with internal_listen, to the same URL on every node"

    @property
    def internal_address(self) -> Address | None:
        """The address of the internal HTTP server; None without one."""
        return None if self.internal_listen is None else parse_address(self.internal_listen)

    def effective_node_name(self) -> str:
        """Return the name of this node: the setting, or the name of the host."""
        if self.node_name is not None:
            return self.node_name
        return _NOT_IN_NODE_NAMES.sub("-", socket.gethostname())[:63].strip("._-") or "node"

    def effective_internal_url(self, *, port: int) -> str | None:
        """Return the base URL of the internal server for other nodes; None without one. `port` is the bound port."""
        address = self.internal_address
        if self.internal_url is not None or address is None:
            return self.internal_url
        return f"http://{Address(host=address.host, port=port)}"


def database_secrets(url: str) -> list[str]:
    """Return what of a database's URL must not appear in a log line: the password, as it is written and decoded."""
    parts = urlsplit(url)
    written = _written_password(parts)
    in_query = [value for name, value in parse_qsl(parts.query) if name in {"password", "sslpassword"}]
    return list(dict.fromkeys(secret for secret in (written, unquote(written), *in_query) if secret))


def encrypts_database(url: str) -> bool:
    """Return whether the way to a database is protected: TLS with a verified server, or none that leaves this machine.

    A host that the environment or a service file gives is not known, and counts as this machine.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if query.get("sslmode") in {"verify-ca", "verify-full"}:
        return True
    # Not `parts.hostname`, for the same reason as below.
    named = parts.netloc.rpartition("@")[2].split(",")
    hosts = [_host_of(each) for each in named if each] or query.get("host", "").split(",")
    return all(_is_this_machine(unquote(host)) for host in hosts)


def _host_of(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _is_this_machine(host: str) -> bool:
    if host in {"", "localhost"} or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _written_password(parts: SplitResult) -> str:
    # Not `parts.password`: it is not defined for URLs of several hosts, which libpq accepts.
    user_info, separator, _ = parts.netloc.rpartition("@")
    return user_info.partition(":")[2] if separator else ""


def _is_database_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    # A host may be missing: libpq then uses the Unix socket, or the query's `host`.
    return parts.scheme in _DATABASE_SCHEMES and value.partition(":")[2].startswith("//") and not parts.fragment


def _is_internal_url(value: str) -> bool:
    return is_base_url(value) and value.startswith("http://") and not urlsplit(value).path
