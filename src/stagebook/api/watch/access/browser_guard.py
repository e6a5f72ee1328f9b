"""What keeps web pages of other origins away from requests that carry no secret of their own.

A request with a bearer key or a signature shows that its sender knows a secret. A request with a cookie, or any request
while authentication is off, shows only that it came from some browser. So two things are checked:

* The Host. A page of `evil.example` whose name is looked up again as 127.0.0.1 (DNS rebinding) is of the same origin
  as what it calls; only its Host shows it (`local_hosts`).
* The origin of the page, in `Sec-Fetch-Site` (Fetch Metadata) or `Origin` (Fetch standard). `SameSite=Strict` alone
  lets other ports of the same host through, since a site has no port.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from stagebook.api.access.local_hosts import LocalHosts
from stagebook.api.watch.access.authenticated import forbidden

CONSOLE_HEADER = b"x-stagebook-console"
"""A header field of our own. A page of another origin cannot send it without a preflight, which is refused."""


class BrowserGuard:
    """Checks requests without a secret. `hosts` are the server's own names, `public_url` is its URL for clients.

    `allowed_origins` are those of other pages.
    """

    def __init__(self, *, public_url: str, hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()) -> None:
        parts = urlsplit(public_url)
        self._public_origin = f"{parts.scheme}://{parts.netloc}".lower().encode()
        self._hosts = LocalHosts([*hosts, parts.hostname or ""])
        self._allowed_origins = frozenset(origin.encode() for origin in allowed_origins)

    def check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise ApiRefusedError 403 if the Host could be a name that an attacker owns."""
        if not self._hosts.allow(headers.get(b"host", b"")):
            raise forbidden(
                "requests without a key must name this server by an IP address, a local name or the host of public_url"
            )

    def check_origin(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise ApiRefusedError 403 if the request comes from a page of another origin that is not allowed."""
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"none")
        if site == b"same-origin":
            return  # the browser has compared the origins itself
        if origin is None:
            if site != b"none":
                raise forbidden("pages of other origins are not allowed to call")
        elif not (self._is_own(origin, headers) or self._is_allowed(origin)):
            raise forbidden("pages of this origin are not allowed to call")

    def check_change(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise ApiRefusedError 403 unless a request that changes something was made by a script of the console."""
        self.check_sign_in(headers)
        if b"origin" not in headers and headers.get(b"sec-fetch-site") != b"same-origin":
            raise forbidden("a request with a cookie that changes something needs an Origin")

    def check_sign_in(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise ApiRefusedError 403 unless a request was made by a script of the console, or by no page."""
        if CONSOLE_HEADER not in headers:
            raise forbidden("a sign-in, or a change with a cookie, needs the header field X-Stagebook-Console: 1")
        self.check_origin(headers)

    def _is_allowed(self, origin: bytes) -> bool:
        return origin in self._allowed_origins or b"*" in self._allowed_origins

    def _is_own(self, origin: bytes, headers: Mapping[bytes, bytes]) -> bool:
        # The scheme is not compared: behind a TLS proxy the server sees http where the browser sees https.
        _, separator, host = origin.partition(b"://")
        return (bool(separator) and host == headers.get(b"host", b"")) or origin == self._public_origin
