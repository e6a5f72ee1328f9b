"""The cookie of a console session.

`HttpOnly` keeps scripts from reading it, `SameSite=Strict` keeps it out of requests that pages of other sites cause.
With https it is `Secure` and has the prefix `__Host-`, so that no other host can set or overwrite it (RFC 6265bis
section 4.1.3.2). A cookie has no port: with http the name contains the port of the server, so that two servers on one
machine do not overwrite each other's.
"""

from urllib.parse import urlsplit

from stagebook.api.asgi import Header

_DEFAULT_PORTS = {"http": 80, "https": 443}


class SessionCookie:
    """The cookie of a server with this public URL."""

    def __init__(self, public_url: str) -> None:
        parts = urlsplit(public_url)
        self._is_secure = parts.scheme == "https"
        self.name = "__Host-stagebook" if self._is_secure else f"stagebook_{parts.port or _DEFAULT_PORTS[parts.scheme]}"

    def set_header(self, session_id: str, *, lifetime_seconds: float) -> Header:
        """Return the header field of a response that sets the cookie."""
        return self._header(session_id, max_age=int(lifetime_seconds))

    def clear_header(self) -> Header:
        """Return the header field of a response that deletes the cookie."""
        return self._header("", max_age=0)

    def read(self, header: bytes) -> str | None:
        """Return the session id in a Cookie header field.

        None without one, and for two of this name: one of them was set by another host of the same domain.
        """
        values = []
        for pair in header.decode("latin-1").split(";"):
            name, separator, value = pair.strip().partition("=")
            if separator and name == self.name:
                values.append(value)
        return values[0] if len(values) == 1 else None

    def _header(self, value: str, *, max_age: int) -> Header:
        secure = "; Secure" if self._is_secure else ""
        text = f"{self.name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}"
        return b"set-cookie", text.encode("ascii")
