"""The rules that values of settings must satisfy: the form of a rule, the error, and the checks.

A rule consists of a numeric range or a predicate, and of the text that tells the operator what is required. The rules
of the single settings are in `server_settings`, `media_settings` and `settings`.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

INGEST_PATH: Final = "/app/"
"""The path of every RTMP URL. Encoders send its first segment as the application name; the stream key follows it."""


class ConfigError(Exception):
    """A setting has an invalid value.

    The message names the setting, the source of the value and the violated requirement. It does not contain the value,
    which may be a secret.
    """

    def __init__(self, *, name: str, rule: str, source: str | None = None) -> None:
        origin = f" (from {source})" if source else ""
        super().__init__(f"setting {name}{origin}: {rule}")
        self.name = name
        self.rule = rule


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A host and a TCP port. As a string: `HOST:PORT` or `[IPV6]:PORT`."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is a loopback address, which only this machine can reach."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of this machine."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")


def parse_address(value: str) -> Address:
    """Return the address. Raises ValueError unless `value` is HOST:PORT with a port from 0 to 65535.

    An IPv6 host must be in brackets (RFC 3986 section 3.2.2), since its colons could otherwise be the port's. Host
    names are not resolved: a name that does not resolve is reported when the socket is bound, with the system's reason.
    Port 0 lets the system choose a free port.
    """
    match = _ADDRESS.fullmatch(value)
    if match is None or int(match[3]) > 65_535:
        raise ValueError(value)
    return Address(host=match[1] or match[2], port=int(match[3]))


def is_address(value: str) -> bool:
    """Return whether `value` is HOST:PORT (see `parse_address`)."""
    try:
        parse_address(value)
    except ValueError:
        return False
    return True


def is_base_url(value: str) -> bool:
    """Return whether `value` is an http or https URL without a trailing slash, query, fragment or user name.

    Paths are appended to it, so a trailing slash would be doubled and a query would swallow the path. A user name would
    be published with every stage.
    """
    parts = _with_host(value)
    return (
        parts is not None
        and parts.scheme in {"http", "https"}
        and not (parts.query or parts.fragment or parts.username or value.endswith("/"))
    )


def is_ingest_url(value: str, *, scheme: str) -> bool:
    """Return whether `value` is `SCHEME://HOST/app/`, with or without a port. Encoders append a stream key to it."""
    parts = _with_host(value)
    return parts is not None and parts.username is None and value == f"{scheme}://{parts.netloc}{INGEST_PATH}"


def _with_host(url: str) -> SplitResult | None:
    """Return the parts of a URL that has a host and, if any, a valid port; None for any other string."""
    try:
        # The port is parsed when the attribute is read, so both can raise ValueError.
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def is_origin(value: str) -> bool:
    """Return whether `value` is a web origin (RFC 6454 section 6.2) or the wildcard `*`."""
    return value == "*" or (is_base_url(value) and not urlsplit(value).path)


def is_ip(value: str) -> bool:
    """Return whether `value` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def is_network(value: str) -> bool:
    """Return whether `value` is an IP address or a network in CIDR notation.

    A network with host bits set, such as 10.0.0.1/8, is refused: it is ambiguous whether the host or the network is
    meant, and a list of trusted proxies must not be wider than intended.
    """
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


def every(check: Callable[[str], bool]) -> Callable[[tuple[str, ...]], bool]:
    """Return a check of a list that applies `check` to each of its members."""
    return lambda values: all(check(value) for value in values)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What a setting is for, and what its value must satisfy besides its type.

    `description` is for the help text and the documentation. `requirement` completes the sentence "the setting must be
    ..."; `accepts` is the predicate that checks it. `minimum` and `maximum` are the inclusive bounds of a number.
    `unit` is shown to the operator.
    """

    description: str
    requirement: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    accepts: Callable[[Any], bool] | None = None

    def violation(self, value: object) -> str | None:
        """Return what `value` violates, for example `must be from 1 to 9`; None if it is valid."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            # Negated comparisons, so that NaN is refused.
            if (low is not None and not value >= low) or (high is not None and not value <= high):
                return f"must be {self.range_text()}"
        if self.accepts is not None and not self.accepts(value):
            return f"must be {self.requirement}"
        return None

    def range_text(self) -> str:
        """Return the range in words: `from 1 to 9`, `at least 1`, or an empty string."""
        low = None if self.minimum is None else f"{self.minimum:g}"
        high = None if self.maximum is None else f"{self.maximum:.0f}"
        if low is not None and high is not None:
            return f"from {low} to {high}"
        return f"at least {low}" if low is not None else ""
