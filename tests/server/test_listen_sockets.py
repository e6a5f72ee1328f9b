"""Sockets: all bound before anything is started, or a refusal that names the setting and says what to do."""

import socket

import pytest

from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.config.sources import load_settings
from stagebook.server.listen_sockets import ListenError, ListenSockets, listen, listening

ANY_PORT = Address(host="127.0.0.1", port=0)


def free_ports(**doors: str) -> Settings:
    """Return settings to listen on any free ports, unless told otherwise."""
    free = dict.fromkeys(("listen", "rtmp_listen", "rtmps_listen"), "127.0.0.1:0")
    return load_settings(flags=free | doors, environment={})


def bound(sockets: ListenSockets) -> list[socket.socket]:
    return [each for each in (sockets.http, sockets.rtmp, sockets.rtmps) if each is not None]


def address_of(listener: socket.socket) -> str:
    return str(Address(host="127.0.0.1", port=listener.getsockname()[1]))


def test_every_door_has_a_socket_that_takes_connections() -> None:
    with listening(free_ports()) as sockets:
        assert len(bound(sockets)) == 3
        for door in bound(sockets):
            socket.create_connection(door.getsockname(), timeout=20).close()


def test_no_socket_outlives_its_use() -> None:
    with listening(free_ports()) as sockets:
        pass
    assert [door.fileno() for door in bound(sockets)] == [-1, -1, -1]


def test_a_door_that_is_switched_off_has_none() -> None:
    with listening(free_ports(rtmp_listen="", rtmps_listen="")) as sockets:
        assert (sockets.rtmp, sockets.rtmps) == (None, None)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("listen", "--listen HOST:PORT"),
        ("rtmp_listen", '--rtmp-listen HOST:PORT, or switch it off with --rtmp-listen ""'),
        ("rtmps_listen", '--rtmps-listen HOST:PORT, or switch it off with --rtmps-listen ""'),
    ],
)
def test_a_taken_port_is_refused_with_its_setting_and_what_to_do(setting: str, remedy: str) -> None:
    with listen(ANY_PORT) as taken:
        address = address_of(taken)
        with pytest.raises(ListenError) as refused, listening(free_ports(**{setting: address})):
            pass
    assert str(refused.value).startswith(f"{setting}: cannot listen on {address}: Address already in use")
    assert str(refused.value).endswith(remedy)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ListenError, match="cannot listen"):
        listen(Address(host="nowhere.invalid", port=1))


def test_ipv6_is_listened_on() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        door = listen(Address(host="::1", port=0))
    except ListenError:
        pytest.skip("this machine has no IPv6")
    with door:
        assert door.family is socket.AF_INET6
