"""A wildcard address (0.0.0.0 or ::) as a media address: one socket for each local address that peers reach.

A host may have several addresses. When a socket that is bound to the wildcard answers, the system chooses the source
address by its routes, and that need not be the address that the peer sent to. The peer then drops the answer, because
it comes from an address that it has no candidate for, and never connects.

So the wildcard socket only receives, and learns from the system to which local address each datagram came (IP_PKTINFO,
RFC 3542 section 6.2 for IPv6). For each such address it binds a socket of its own to the same port. From then on the
system delivers the datagrams for that address there, and answers and media that are sent from it have the right source.
Addresses that the host gets later work too, and the hot loop keeps the plain `sendto`.

The system allows the second bind only if SO_REUSEADDR is set on both sockets at that moment. It is set for that moment
alone: otherwise another process could bind the port as well, and a second server with the same port would start.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import structlog

from stagebook.media.rtc.ice.udp_socket import DATAGRAMS_PER_WAKE_UP, DatagramReceiver, UdpSocket
from stagebook.media.rtc.srtp.srtp_session import MAX_PACKET_SIZE_BYTES

MAX_LOCAL_ADDRESSES = 64
"""Sockets of one wildcard. Datagrams for further local addresses are dropped. Only the host itself can send to more."""
_IP_PKTINFO = 8  # Linux; the socket module has no name for it before Python 3.14.
_IPV4_INFO = struct.Struct("=i4s4s")  # interface index, local address, destination address
_IPV6_INFO = struct.Struct("=16sI")  # destination address, interface index
_ANCILLARY_SIZE_BYTES = socket.CMSG_SPACE(_IPV6_INFO.size)

_log = structlog.get_logger(__name__)


class WildcardSocket:
    """A socket that is bound to a wildcard address, and the sockets of the local addresses behind it."""

    def __init__(self, bind_address: str, port: int) -> None:
        """Bind the wildcard address. Raises OSError."""
        self._udp = UdpSocket(bind_address, port)
        self.port = self._udp.port
        self._is_ipv6 = ":" in bind_address
        self._receivers: dict[tuple[str, int], DatagramReceiver | None] = {}
        """By local address and scope; None for an address that is not served."""
        self._bound: list[UdpSocket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._make_receiver: Callable[[UdpSocket], DatagramReceiver] | None = None
        self._clock: Callable[[], float] = float
        self._connections: Callable[[], int] = int

    def start_receiving(
        self,
        loop: asyncio.AbstractEventLoop,
        make_receiver: Callable[[UdpSocket], DatagramReceiver],
        clock: Callable[[], float],
        *,
        connections: Callable[[], int],
    ) -> None:
        """Bind a socket for each local address to which a datagram comes, and call the receiver that `make_receiver`
        makes for that socket with the datagrams, as `UdpSocket.start_receiving`."""
        self._loop, self._make_receiver, self._clock, self._connections = loop, make_receiver, clock, connections
        if sys.platform == "linux":
            if self._is_ipv6:
                self._udp.system_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._udp.system_socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            loop.add_reader(self._udp.system_socket.fileno(), self._drain)
        else:
            self._udp.start_receiving(loop, make_receiver(self._udp), clock, connections=connections)

    def stop_receiving(self) -> None:
        """Undo `start_receiving`. No effect before it."""
        if self._loop is not None:
            self._loop.remove_reader(self._udp.system_socket.fileno())
        for bound in (self._udp, *self._bound):
            bound.stop_receiving()

    def close(self) -> None:
        """Release the port on all addresses."""
        for bound in (self._udp, *self._bound):
            bound.close()

    def _drain(self) -> None:
        """Read the datagrams for addresses that have no socket yet, and those that came before their socket."""
        now = self._clock()
        for _ in range(DATAGRAMS_PER_WAKE_UP):
            try:
                datagram, ancillary, _, address = self._udp.system_socket.recvmsg(
                    MAX_PACKET_SIZE_BYTES, _ANCILLARY_SIZE_BYTES
                )
            except BlockingIOError:
                return
            except OSError:
                continue
            local = next((_local_address(level, kind, data) for level, kind, data in ancillary), None)
            if local is None:
                continue
            if local not in self._receivers and len(self._receivers) < MAX_LOCAL_ADDRESSES:
                self._receivers[local] = self._bind(*local)
            receiver = self._receivers.get(local)
            if receiver is not None:
                self._udp.deliver(receiver, datagram, address, now)

    def _bind(self, local_ip: str, scope_id: int) -> DatagramReceiver | None:
        """Bind a socket to a local address and start to receive on it. None if the system refuses."""
        if self._loop is None or self._make_receiver is None:
            return None
        wildcard = self._udp.system_socket
        wildcard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound = UdpSocket(local_ip, self.port, scope_id=scope_id, shares_port=True)
        except OSError as error:
            _log.warning("media cannot be sent from a local address", address=local_ip, reason=str(error))
            return None
        finally:
            wildcard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        self._bound.append(bound)
        receiver = self._make_receiver(bound)
        bound.start_receiving(self._loop, receiver, self._clock, connections=self._connections)
        return receiver


def _local_address(level: int, kind: int, data: bytes) -> tuple[str, int] | None:
    """The local address and scope from a control message. The scope is 0 except for link-local addresses. None for
    another message and for a multicast address, from which nothing can be sent."""
    if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(data) >= _IPV4_INFO.size:
        # The local address differs from the destination address of a broadcast.
        return socket.inet_ntop(socket.AF_INET, _IPV4_INFO.unpack_from(data)[1]), 0
    if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) >= _IPV6_INFO.size:
        packed, interface = _IPV6_INFO.unpack_from(data)
        address = ip_address(packed)
        return None if address.is_multicast else (str(address), interface if address.is_link_local else 0)
    return None


def bind_all(bind_addresses: Sequence[str], port: int) -> list[UdpSocket | WildcardSocket]:
    """Bind one socket for each address, all to one port. With port 0 the system chooses the port for the first.

    Raises OSError if an address cannot be bound; the sockets bound before it are closed.
    """
    sockets: list[UdpSocket | WildcardSocket] = []
    try:
        for bind_address in bind_addresses:
            is_wildcard = ip_address(bind_address).is_unspecified
            sockets.append((WildcardSocket if is_wildcard else UdpSocket)(bind_address, port))
            port = sockets[0].port
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets
