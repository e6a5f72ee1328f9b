"""Who has a port, with real sockets of this process."""

import os
import socket
import sys
from pathlib import Path

import pytest

from stagebook.diagnosis.network.socket_owners import find_socket_owners

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_owner_of_a_listening_socket_is_found(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        (owner,) = find_socket_owners("tcp", server.getsockname()[1])
    assert (owner.process_id, owner.parent_id) == (os.getpid(), os.getppid())
    assert "python" in owner.command


def test_the_owner_of_a_udp_socket_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        (owner,) = find_socket_owners("udp", bound.getsockname()[1])
        assert find_socket_owners("tcp", bound.getsockname()[1]) == []
    assert owner.process_id == os.getpid()


def test_a_connection_is_no_owner_of_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert find_socket_owners("tcp", client.getsockname()[1]) == []


def test_a_system_without_proc_knows_no_owners(tmp_path: Path) -> None:
    assert find_socket_owners("tcp", 80, proc=tmp_path) == []
