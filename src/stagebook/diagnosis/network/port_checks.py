"""The ports: whether the server could bind them now, and who has them otherwise.

The ports are bound as the server binds them, and closed at once.
"""

import errno
import os
import socket
from contextlib import ExitStack
from typing import Literal

import msgspec

from stagebook.config.rules import Address, parse_address
from stagebook.config.settings import SETTINGS, Settings
from stagebook.diagnosis.finding import Finding, Severity
from stagebook.diagnosis.network.socket_owners import SocketOwner, find_socket_owners
from stagebook.media.rtc.ice.tcp_listener import bind_tcp_listeners
from stagebook.media.rtc.ice.udp_socket import UdpSocket
from stagebook.server.listen_sockets import ListenError, bind_listen_socket

CHECK = "ports"


class PortFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of binding a port. `failure` is None if it worked; `owners` are the processes that have the port."""

    setting: str
    kind: Literal["tcp", "udp"]
    address: Address
    failure: OSError | None = None
    owners: tuple[SocketOwner, ...] = ()


def read_port_facts(settings: Settings) -> list[PortFacts]:
    """Bind the ports of the settings together, as the server does, and return what became of each."""
    listening = {name: getattr(settings, name) for name in ("listen", "internal_listen", "rtmp_listen", "rtmps_listen")}
    with ExitStack() as bound:
        found = [_tcp_facts(name, parse_address(text), bound) for name, text in listening.items() if text]
        for host in media_bind_addresses(settings):
            # With port 0 each process gets a free one: one attempt shows whether the address can be bound.
            for number in range(settings.media_processes if settings.media_port else 1):
                port = settings.media_port + number
                found.append(_udp_facts(Address(host=host, port=port), bound))
            if settings.tcp_media_port is not None:
                found.append(_tcp_media_facts(Address(host=host, port=settings.tcp_media_port), bound))
    return found


def media_bind_addresses(settings: Settings) -> tuple[str, ...]:
    """Return the IP addresses on which this server receives media: none with LiveKit, or if the host of `listen` has no
    address."""
    if settings.media_engine == "livekit":
        return ()
    if settings.media_bind:
        return settings.media_bind
    try:
        found = socket.getaddrinfo(settings.address.host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return ()
    return (str(found[0][4][0]),)


def _tcp_facts(setting: str, address: Address, bound: ExitStack) -> PortFacts:
    try:
        bound.enter_context(bind_listen_socket(address, setting=setting))
    except ListenError as error:
        cause = error.__cause__
        assert isinstance(cause, OSError)  # noqa: S101 - for mypy; `bind_listen_socket` says so
        return _failed(setting, "tcp", address, cause)
    return PortFacts(setting=setting, kind="tcp", address=address)


def _udp_facts(address: Address, bound: ExitStack) -> PortFacts:
    try:
        bound.callback(UdpSocket(address.host, address.port).close)
    except OSError as error:
        return _failed("media_port", "udp", address, error)
    return PortFacts(setting="media_port", kind="udp", address=address)


def _tcp_media_facts(address: Address, bound: ExitStack) -> PortFacts:
    try:
        for listener in bind_tcp_listeners([address.host], address.port):
            bound.enter_context(listener)
    except OSError as error:
        return _failed("media_tcp_port", "tcp", address, error)
    return PortFacts(setting="media_tcp_port", kind="tcp", address=address)


def _failed(setting: str, kind: Literal["tcp", "udp"], address: Address, failure: OSError) -> PortFacts:
    owners = tuple(find_socket_owners(kind, address.port)) if failure.errno == errno.EADDRINUSE else ()
    return PortFacts(setting=setting, kind=kind, address=address, failure=failure, owners=owners)


def judge_port(facts: PortFacts, *, server_id: int | None) -> Finding:
    """Return the finding of a port. `server_id` is the process of the server that runs on the data folder, if any."""
    subject = f"{facts.setting} {facts.address} {facts.kind.upper()}"
    if facts.failure is None:
        found = "free" if facts.address.port else "any free port"
        return Finding(check=CHECK, subject=subject, severity=Severity.OK, found=found)
    if server_id is not None and any(server_id in {owner.process_id, owner.parent_id} for owner in facts.owners):
        found = f"used by the server of this data folder (process {server_id})"
        return Finding(check=CHECK, subject=subject, severity=Severity.OK, found=found)
    found, remedy = _failure_texts(facts)
    return Finding(
        check=CHECK,
        subject=subject,
        severity=Severity.ERROR,
        found=found,
        meaning="the server does not start",
        remedy=remedy,
    )


def _failure_texts(facts: PortFacts) -> tuple[str, str]:
    """Return what is wrong with a port, and what to do."""
    assert facts.failure is not None  # noqa: S101 - for mypy
    flag = SETTINGS[facts.setting].flag
    another = f"choose another port with {flag}"
    match facts.failure.errno:
        case errno.EADDRINUSE if any(owner.process_id == os.getpid() for owner in facts.owners):
            return "another setting has the same port", another
        case errno.EADDRINUSE:
            owners = ", ".join(f"process {owner.process_id} ({owner.command})" for owner in facts.owners)
            return f"taken by {owners or 'a process of another user'}", f"end that process, or {another}"
        case errno.EACCES | errno.EPERM:
            return (
                "privileged: this user may not bind it",
                f"choose a port above 1023 with {flag}, or give the service CAP_NET_BIND_SERVICE",
            )
        case errno.EADDRNOTAVAIL:
            return (
                "no interface of this machine has this address",
                "use an address of this machine; that of a NAT belongs into media_announce or public_url",
            )
    if isinstance(facts.failure, socket.gaierror):
        return f"the host name cannot be resolved: {facts.failure.strerror}", f"use an IP address with {flag}"
    return f"cannot be bound: {facts.failure.strerror}", another
