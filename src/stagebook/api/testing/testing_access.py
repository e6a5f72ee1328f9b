"""Who may use the testing API: programs on the machine of the server, without credentials.

A caller controls the server. So three things are checked:

* The client's address is a loopback address, and no proxy has forwarded the request. A proxy on this machine that adds
  none of the usual header fields looks like a program on it.
* The Host is not a name that an attacker may own (DNS rebinding, see `local_hosts`).
* No web page has made the request: browsers add an Origin or Sec-Fetch-Site to all requests that change something.
"""

import ipaddress

from stagebook.api.access.local_hosts import LocalHosts
from stagebook.api.asgi import Scope, read_headers
from stagebook.api.routes.api_problems import ApiProblemCode, ApiRefusedError
from stagebook.api.routes.api_route import ReadBody, Role

_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
_FROM_PAGES = (b"origin", b"sec-fetch-site")


class LocalProgram:
    """A program on this machine. It may do everything that the testing API has."""

    account_id = ""
    name = "a program on this machine"

    def require(self, action: str, role: Role, *, resource: str | None = None) -> None:
        """Allow it."""


class LoopbackAccess:
    """Implements `ApiAccess`."""

    def __init__(self) -> None:
        self._hosts = LocalHosts()

    async def authenticate(self, scope: Scope, read_body: ReadBody) -> LocalProgram:  # noqa: ARG002 - as in ApiAccess
        """Return the caller. Raises ApiRefusedError 403 for any other one than a program on this machine."""
        headers = read_headers(scope["headers"])
        address = str((scope.get("client") or ("",))[0])
        if not _is_loopback(address):
            raise _forbidden("only programs on the machine of the server may call the testing API")
        if any(name in headers for name in _FORWARDED):
            raise _forbidden("the testing API cannot be called through a proxy")
        if not self._hosts.allow(headers.get(b"host", b"")):
            raise _forbidden("name the server by an IP address or a local name")
        if any(name in headers for name in _FROM_PAGES):
            raise _forbidden("web pages may not call the testing API")
        return LocalProgram()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _forbidden(detail: str) -> ApiRefusedError:
    return ApiRefusedError(status=403, code=ApiProblemCode.FORBIDDEN, detail=detail)
