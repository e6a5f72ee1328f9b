"""UDP, which carries all WebRTC media: whether a datagram to each address arrives, and how much the system buffers.

A datagram is sent from this machine to its own addresses only. Whether others can reach them depends on firewalls and
NATs, which only a peer outside could test.
"""

import errno
import socket
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import ip_address

import msgspec

from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.network.port_checks import media_bind_addresses
from stagebook.media.rtc.ice.candidates import candidate_ips
from stagebook.media.rtc.ice.udp_socket import SOCKET_BUFFER_SIZE_BYTES, UdpSocket

CHECK = "udp"
TIMEOUT_SECONDS = 2.0
PROBE = b"stagebook doctor"


class Outcome(StrEnum):
    """What became of a datagram."""

    RECEIVED = "received"
    LOST = "lost"
    NOT_LOCAL = "not local"
    REFUSED = "refused"


class DatagramFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a datagram to an address, and the sizes of the buffers that the system granted.

    `detail` is the system's reason for a refusal. `is_announced` says that peers get the address as a candidate because
    `media_announce` names it.
    """

    address: str
    is_announced: bool
    outcome: Outcome
    detail: str = ""
    buffers_bytes: tuple[int, int] | None = None


def read_datagram_facts(settings: Settings) -> Iterator[DatagramFacts]:
    """Send a datagram to each address on which media is received or that is announced."""
    own = candidate_ips(bind_addresses=media_bind_addresses(settings), announced_addresses=())
    for address in dict.fromkeys((*own, *settings.media_announce)):
        yield send_to_itself(address, is_announced=address in settings.media_announce)


def send_to_itself(address: str, *, is_announced: bool) -> DatagramFacts:
    """Bind a free port of an address, send a datagram to it, and receive it. Nothing is sent unless it can be bound."""
    try:
        receiver = UdpSocket(address, 0)
    except OSError as error:
        outcome = Outcome.NOT_LOCAL if error.errno == errno.EADDRNOTAVAIL else Outcome.REFUSED
        return DatagramFacts(address=address, is_announced=is_announced, outcome=outcome, detail=error.strerror or "")
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    system = receiver.system_socket
    buffers = (
        system.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        system.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
    )
    outcome, detail = Outcome.LOST, ""
    try:
        system.settimeout(TIMEOUT_SECONDS)
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(PROBE, (address, receiver.port))
            if system.recv(len(PROBE)) == PROBE:
                outcome = Outcome.RECEIVED
    except TimeoutError:
        pass
    except OSError as error:
        outcome, detail = Outcome.REFUSED, error.strerror or ""
    finally:
        receiver.close()
    return DatagramFacts(
        address=address, is_announced=is_announced, outcome=outcome, detail=detail, buffers_bytes=buffers
    )


def judge_datagram(facts: DatagramFacts) -> Finding:
    """Return the finding of an address."""
    match facts.outcome:
        case Outcome.RECEIVED:
            return _finding(facts, Severity.OK, "a datagram to it arrives")
        case Outcome.NOT_LOCAL if facts.is_announced:
            return _finding(
                facts,
                Severity.NOTE,
                "announced, and no address of this machine",
                "peers reach media only if a NAT forwards the UDP ports of media_port to the same numbers here",
                "open and forward those ports, and try from outside",
            )
        case Outcome.NOT_LOCAL:
            found, remedy = "no address of this machine", "correct media_bind, or use 0.0.0.0"
        case Outcome.LOST:
            found, remedy = "a datagram to it does not arrive", "let the firewall of this machine pass UDP"
        case Outcome.REFUSED:
            found, remedy = f"refused: {facts.detail}", "correct media_bind, or the rules of this machine or container"
    return _finding(facts, Severity.ERROR, found, "nobody can publish or watch over WebRTC", remedy)


def judge_buffers(facts: DatagramFacts, *, system: str) -> Finding | None:
    """Return the finding about the buffers, None without a socket. `system` is `sys.platform`."""
    if facts.buffers_bytes is None:
        return None
    # Linux reports twice the granted size: the other half is for its own bookkeeping (socket(7), SO_RCVBUF).
    granted = min(facts.buffers_bytes) // (2 if system == "linux" else 1)
    found = f"{granted // 1_024:,} KiB of {SOCKET_BUFFER_SIZE_BYTES // 1_024:,} KiB"
    if granted >= SOCKET_BUFFER_SIZE_BYTES:
        return Finding(check=CHECK, subject="socket buffers", severity=Severity.OK, found=found)
    limits = f"net.core.rmem_max={SOCKET_BUFFER_SIZE_BYTES} net.core.wmem_max={SOCKET_BUFFER_SIZE_BYTES}"
    return Finding(
        check=CHECK,
        subject="socket buffers",
        severity=Severity.NOTE,
        found=found,
        meaning="packets are lost in bursts, for instance a keyframe to hundreds of viewers",
        remedy=f"`sysctl -w {limits}`" if system == "linux" else "raise the system's limit of socket buffers",
    )


def _finding(facts: DatagramFacts, severity: Severity, found: str, meaning: str = "", remedy: str = "") -> Finding:
    return Finding(check=CHECK, subject=facts.address, severity=severity, found=found, meaning=meaning, remedy=remedy)
