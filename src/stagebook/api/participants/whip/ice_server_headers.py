"""The STUN and TURN servers for a participant, as `Link` header fields (RFC 9725 section 4.6).

    Link: <stun:stun.example.net>; rel="ice-server"
    Link: <turn:turn.example.net?transport=udp>; rel="ice-server"; username="1767225600:p"; credential="...";
          credential-type="password"

A TURN server that shares a secret with Stagebook needs no account for each participant
(draft-uberti-behave-turn-rest-00, coturn's `use-auth-secret`). The user name is the time at which it expires, in Unix
seconds, a colon and the participant id; the credential is the HMAC-SHA1 of the user name by the secret, in base64. The
TURN server computes the same. An allocation that was made in time goes on: the server checks the time when it first
sees the user name in a session.
"""

import base64
import hmac
from collections.abc import Callable, Sequence

import msgspec

from stagebook.api.asgi import Header


class IceServer(msgspec.Struct, frozen=True, kw_only=True):
    """A STUN or TURN server by its URL. A TURN server has `secret`, or `username` and `credential`."""

    url: str
    secret: str | None = None
    username: str | None = None
    credential: str | None = None

    def __repr__(self) -> str:
        return f"IceServer(url={self.url!r})"


class IceServerHeaders:
    """Makes the header fields for one participant at a time."""

    def __init__(
        self, servers: Sequence[IceServer] = (), *, lifetime_seconds: int, wall_clock: Callable[[], float]
    ) -> None:
        """`lifetime_seconds` is that of derived credentials; `wall_clock` returns seconds since 1970."""
        self._servers = tuple(servers)
        self._lifetime_seconds = lifetime_seconds
        self._wall_clock = wall_clock

    def __bool__(self) -> bool:
        return bool(self._servers)

    def for_participant(self, participant_id: str) -> tuple[Header, ...]:
        """Return the header fields of all servers, with credentials for an authenticated participant."""
        username = f"{int(self._wall_clock()) + self._lifetime_seconds}:{participant_id}"
        return tuple(_link(server, username) for server in self._servers)


def derived_credential(secret: str, username: str) -> str:
    """Return the credential of a user name of the TURN REST form."""
    return base64.b64encode(hmac.digest(secret.encode("utf-8"), username.encode("utf-8"), "sha1")).decode("ascii")


def _link(server: IceServer, derived_username: str) -> Header:
    username, credential = server.username, server.credential
    if server.secret is not None:
        username, credential = derived_username, derived_credential(server.secret, derived_username)
    value = f'<{server.url}>; rel="ice-server"'
    if credential is not None:
        value += f'; username="{username}"; credential="{credential}"; credential-type="password"'
    return (b"link", value.encode("ascii"))
