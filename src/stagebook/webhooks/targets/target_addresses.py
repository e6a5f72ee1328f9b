"""The addresses that HTTP endpoints may have, checked when a connection is made.

The name of a target is resolved here, its addresses are checked, and the connection is made to an address that has been
checked. So a name that resolves to another address at the next moment (DNS rebinding) gets nowhere. The certificate is
still checked against the name.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import httpx

ADDRESS_SECONDS = 30.0
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class TargetAddressError(OSError):
    """The name of a target does not resolve, or only to addresses that are denied."""


def is_denied(address: _IPAddress, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of the networks. An IPv4 address in an IPv6 address counts as itself."""
    candidates: list[_IPAddress] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        embedded = (address.ipv4_mapped, address.sixtofour, *_nat64(address))
        candidates += [each for each in embedded if each is not None]
    return any(each.version == network.version and each in network for each in candidates for network in networks)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052, section 2.1."""


def _nat64(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    return [ipaddress.IPv4Address(address.packed[-4:])] if address in _NAT64 else []


class CheckedTransport(httpx.AsyncBaseTransport):
    """A transport that connects to addresses outside of `denied` only. It is for one target.

    An address that was found and checked is used for ADDRESS_SECONDS, or until a request to it fails: a query for each
    delivery would be slow, and the connections are kept by address. The resolver has a thread of its own, because one
    that hangs must not hold up other targets.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        denied: Sequence[Network],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._denied = tuple(denied)
        self._monotonic = monotonic
        self._known: tuple[str, _IPAddress] | None = None
        self._known_until = 0.0
        self._resolving = asyncio.Lock()
        self._resolver = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhook-resolver")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address. Raises httpx.ConnectError."""
        host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            address = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(str(error) or type(error).__name__, request=request) from error
        # The Host header field and the name for TLS stay those of the target.
        request.url = request.url.copy_with(host=str(address))
        request.extensions = {**request.extensions, "sni_hostname": host}
        try:
            return await self._inner.handle_async_request(request)
        except httpx.TransportError:
            self._known = None
            raise

    async def aclose(self) -> None:
        """Close the connections."""
        self._resolver.shutdown(wait=False, cancel_futures=True)
        await self._inner.aclose()

    async def _resolve(self, host: str, port: int) -> _IPAddress:
        async with self._resolving:
            if self._known is not None and self._known[0] == host and self._monotonic() < self._known_until:
                return self._known[1]
            address = await self._find(host, port)
            self._known, self._known_until = (host, address), self._monotonic() + ADDRESS_SECONDS
            return address

    async def _find(self, host: str, port: int) -> _IPAddress:
        try:
            query = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = await asyncio.get_running_loop().run_in_executor(self._resolver, query)
        except socket.gaierror as error:
            raise TargetAddressError(f"the host of the target does not resolve: {error.strerror}") from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            if not is_denied(address, self._denied):
                return address
        raise TargetAddressError("the address of the target is in `webhook_denied_networks`")
