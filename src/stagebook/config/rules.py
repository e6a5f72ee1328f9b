"""What makes a setting's value acceptable: the form of a rule, the error that names it, and the checks in use.

Must not know which settings there are (`config`).
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

INGEST_PATH: Final = "/app/"
"""The path of every RTMP URL. Encoders take its first part for the application, the rest for the stream key."""


class ConfigError(Exception):
    """A setting cannot be used. The text names the setting, where its value came from, and the rule; no value, as
    that may be a secret."""

    def __init__(self, *, name: str, rule: str, source: str | None = None) -> None:
        origin = f" (from {source})" if source else ""
        super().__init__(f"setting {name}{origin}: {rule}")
        self.name = name
        self.rule = rule


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A host and a TCP port, as `HOST:PORT` or `[IPV6]:PORT` says them."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        """Whether it means every address of this machine."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104 - recognised here, bound nowhere

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")


def parse_address(text: str) -> Address:
    """Return the address that `text` names; raise ValueError when it is not HOST:PORT."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > 65_535:
        raise ValueError(text)
    return Address(host=match[1] or match[2], port=int(match[3]))


def is_address(value: str) -> bool:
    """Whether `value` is HOST:PORT."""
    try:
        parse_address(value)
    except ValueError:
        return False
    return True


def is_base_url(value: str) -> bool:
    """Whether paths can be put after `value`: http or https, a host, no trailing slash, query or user name."""
    parts = _with_host(value)
    return (
        parts is not None
        and parts.scheme in {"http", "https"}
        and not (parts.query or parts.fragment or parts.username or value.endswith("/"))
    )


def is_ingest_url(value: str, *, scheme: str) -> bool:
    """Whether `value` is the address of an ingest door, after which encoders put a stream key: `rtmp://HOST/app/`."""
    parts = _with_host(value)
    return parts is not None and parts.username is None and value == f"{scheme}://{parts.netloc}{INGEST_PATH}"


def _with_host(url: str) -> SplitResult | None:
    """Return the parts of a URL with a host and, if it has a port, one that can be; None for any other text."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def is_origin(value: str) -> bool:
    """Whether `value` is a web origin (RFC 6454 section 6.2) or the wildcard."""
    return value == "*" or (is_base_url(value) and not urlsplit(value).path)


def is_ip(value: str) -> bool:
    """Whether `value` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def is_network(value: str) -> bool:
    """Whether `value` is an address or a network in CIDR form."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


def every(check: Callable[[str], bool]) -> Callable[[tuple[str, ...]], bool]:
    """Return a check of a whole list by a check of one of its members."""
    return lambda values: all(check(value) for value in values)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What a setting's value must be beyond its type, and why the setting exists."""

    why: str
    rule: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    accepts: Callable[[Any], bool] | None = None

    def refusal(self, value: object) -> str | None:
        """Return the rule that `value` breaks, or None."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = self.minimum, self.maximum
            if (low is not None and not value >= low) or (high is not None and not value <= high):
                return f"must be {self.range_text()}"
        if self.accepts is not None and not self.accepts(value):
            return f"must be {self.rule}"
        return None

    def range_text(self) -> str:
        """Return the range in words: `from 1 to 9`, `at least 1`, or nothing."""
        low = None if self.minimum is None else f"{self.minimum:g}"
        high = None if self.maximum is None else f"{self.maximum:.0f}"
        if low is not None and high is not None:
            return f"from {low} to {high}"
        return f"at least {low}" if low is not None else ""
