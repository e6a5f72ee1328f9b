"""The setting of a STUN or TURN server that participants are told about (RFC 7064, RFC 7065)."""

import re
from typing import Annotated

import msgspec

MAX_ICE_SERVERS = 8
MAX_ICE_URLS = 8
_STUN_URL = re.compile(r"stuns?:(?P<host>[^?]+)", re.ASCII)
_TURN_URL = re.compile(r"turns?:(?P<host>[^?]+)(\?transport=(udp|tcp))?", re.ASCII)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?", re.ASCII)
_PRINTABLE = r"\A[!#-\[\]-~]{1,255}\Z"
"""Visible ASCII characters without the quotation mark and the backslash, which a quoted header value would escape."""


class IceServerSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server of the TOML file. TURN servers need a secret, or a user name with a credential; STUN servers neither."""

    urls: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_ICE_URLS)]
    secret: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Shared with the TURN server, which derives credentials from it (coturn: `static-auth-secret`)."""
    username: Annotated[str, msgspec.Meta(pattern=_PRINTABLE)] | None = None
    credential: Annotated[str, msgspec.Meta(pattern=_PRINTABLE)] | None = None

    def __repr__(self) -> str:
        return f"IceServerSetting(urls={self.urls!r})"

    @property
    def violation(self) -> str | None:
        """What the server violates; None if it is valid. The message contains no value."""
        is_turn = any(_TURN_URL.fullmatch(url) for url in self.urls)
        if not all(_is_ice_url(url) for url in self.urls):
            return (
                "urls must have the form stun:HOST:PORT, stuns:HOST:PORT, turn:HOST:PORT?transport=udp|tcp or "
                "turns:HOST:PORT?transport=tcp; the port and the transport may be left out"
            )
        if (self.username is None) != (self.credential is None):
            return "username and credential must be set together"
        if self.secret is not None and self.username is not None:
            return "a server has either secret or username and credential"
        has_credentials = self.secret is not None or self.username is not None
        if is_turn and not has_credentials:
            return "a turn or turns URL needs secret, or username and credential"
        if has_credentials and not is_turn:
            return "a server with STUN URLs only has neither secret nor username and credential"
        return None


def ice_server_violation(servers: tuple[IceServerSetting, ...]) -> str | None:
    """Return what the setting `ice_servers` violates; None if it is valid."""
    if len(servers) > MAX_ICE_SERVERS:
        return f"must have at most {MAX_ICE_SERVERS} servers"
    return next((violation for server in servers if (violation := server.violation)), None)


def _is_ice_url(url: str) -> bool:
    match = _STUN_URL.fullmatch(url) or _TURN_URL.fullmatch(url)
    host = None if match is None else _HOST.fullmatch(match["host"])
    return host is not None and 0 < int(host["port"] or 1) <= 65_535
