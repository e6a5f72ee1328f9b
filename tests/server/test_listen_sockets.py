"""Listen sockets: binding, closing, and errors that name the setting and a remedy."""

import socket

import pytest

from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from stagebook.server.listen_sockets import ListenError, ListenSockets, bind_listen_socket, open_listen_sockets

ANY_PORT = Address(host="127.0.0.1", port=0)


def free_ports(**addresses: str) -> Settings:
    """Return settings that listen on free ports, except for the given addresses."""
    free = dict.fromkeys(("listen", "rtmp_listen", "rtmps_listen"), "127.0.0.1:0")
    return load_settings(flags=free | addresses, environment={})


def bound(sockets: ListenSockets) -> list[socket.socket]:
    return [each for each in (sockets.http, sockets.rtmp, sockets.rtmps) if each is not None]


def address_of(listener: socket.socket) -> str:
    return str(Address(host="127.0.0.1", port=listener.getsockname()[1]))


def test_every_socket_accepts_connections() -> None:
    with open_listen_sockets(free_ports()) as sockets:
        assert len(bound(sockets)) == 3
        for listener in bound(sockets):
            socket.create_connection(listener.getsockname(), timeout=20).close()


def test_leaving_the_context_closes_every_socket() -> None:
    with open_listen_sockets(free_ports()) as sockets:
        pass
    assert [listener.fileno() for listener in bound(sockets)] == [-1, -1, -1]


def test_a_protocol_that_is_switched_off_has_no_socket() -> None:
    with open_listen_sockets(free_ports(rtmp_listen="", rtmps_listen="")) as sockets:
        assert (sockets.rtmp, sockets.rtmps) == (None, None)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("listen", "--listen HOST:PORT"),
        ("rtmp_listen", '--rtmp-listen HOST:PORT, or switch it off with --rtmp-listen ""'),
        ("rtmps_listen", '--rtmps-listen HOST:PORT, or switch it off with --rtmps-listen ""'),
    ],
)
def test_the_error_of_a_port_in_use_names_the_setting_and_a_remedy(setting: str, remedy: str) -> None:
    with bind_listen_socket(ANY_PORT) as taken:
        address = address_of(taken)
        with pytest.raises(ListenError) as refused, open_listen_sockets(free_ports(**{setting: address})):
            pass
    assert str(refused.value).startswith(f"{setting}: cannot listen on {address}: Address already in use")
    assert str(refused.value).endswith(remedy)


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(ListenError, match="cannot listen"):
        bind_listen_socket(Address(host="nowhere.invalid", port=1))


def test_an_ipv6_address_can_be_bound() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        listener = bind_listen_socket(Address(host="::1", port=0))
    except ListenError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert listener.family is socket.AF_INET6
