"""The checks of ports, with real sockets and with injected failures."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stagebook.config.rules import Address
from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.network.port_checks import PortFacts, judge_port, read_port_facts
from stagebook.diagnosis.network.socket_owners import SocketOwner

OTHER = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp = socket.create_server(("127.0.0.1", 0))
udp.bind(tcp.getsockname())
print(tcp.getsockname()[1], flush=True)
sys.stdin.read()
"""
FREE = {"listen": "127.0.0.1:0", "rtmp_listen": "127.0.0.1:0", "rtmps_listen": "127.0.0.1:0"}


def facts_of(setting: str, **settings: object) -> PortFacts:
    """Return the facts of the first port of a setting."""
    return next(facts for facts in read_port_facts(Settings(**FREE | settings)) if facts.setting == setting)  # type: ignore[arg-type]  # settings of many types


def failed(number: int, *, owners: tuple[SocketOwner, ...] = ()) -> PortFacts:
    failure = OSError(number, os.strerror(number))
    return PortFacts(
        setting="listen", kind="tcp", address=Address(host="192.0.2.1", port=80), failure=failure, owners=owners
    )


@pytest.mark.parametrize("setting", [*FREE, "media_port", "media_tcp_port"])
def test_a_free_port_is_fine(setting: str) -> None:
    assert judge_port(facts_of(setting), server_id=None).severity is Severity.OK


def test_each_port_of_the_settings_is_tried() -> None:
    settings = Settings(
        listen="127.0.0.1:0", media_bind=("127.0.0.1", "127.0.0.2"), media_port=50_000, media_processes=2
    )
    tried = [(facts.kind, str(facts.address)) for facts in read_port_facts(settings) if facts.kind == "udp"]
    assert tried == [("udp", f"127.0.0.{host}:{port}") for host in (1, 2) for port in (50_000, 50_001)]


def test_media_over_tcp_has_one_port_for_all_engines() -> None:
    settings = Settings(listen="127.0.0.1:0", media_port=50_000, media_processes=2)
    tried = [str(facts.address) for facts in read_port_facts(settings) if facts.setting == "media_tcp_port"]
    assert tried == ["127.0.0.1:50000"]


def test_media_over_tcp_cannot_have_the_port_of_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    media = facts_of("media_tcp_port", listen=f"127.0.0.1:{port}", media_tcp_port=port)
    finding = judge_port(media, server_id=None)
    assert finding.found == "another setting has the same port"
    assert "--media-tcp-port" in finding.remedy


def test_protocols_that_are_switched_off_have_no_port() -> None:
    settings = Settings(listen="127.0.0.1:0", rtmp_listen="", rtmps_listen="", media_tcp=False)
    assert {facts.setting for facts in read_port_facts(settings)} == {"listen", "media_port"}


def test_two_settings_with_one_port_are_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    first, second = read_port_facts(Settings(listen=address, rtmp_listen="", rtmps_listen=address))[:2]
    assert judge_port(first, server_id=None).severity is Severity.OK
    assert judge_port(second, server_id=None).found == "another setting has the same port"


@pytest.fixture(name="other")
def other_fixture() -> Iterator[subprocess.Popen[str]]:
    """Another process, which has a TCP and a UDP port of the same number and prints it."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        yield other


def test_a_taken_port_names_the_process(other: subprocess.Popen[str]) -> None:
    assert other.stdout is not None
    port = int(other.stdout.readline())
    findings = [
        judge_port(facts_of("listen", listen=f"127.0.0.1:{port}"), server_id=None),
        judge_port(facts_of("media_port", media_port=port), server_id=None),
    ]
    for finding, flag in zip(findings, ("--listen", "--media-port"), strict=True):
        assert finding.severity is Severity.ERROR
        assert f"process {other.pid} (" in finding.found
        assert flag in finding.remedy


@pytest.mark.parametrize(("process_id", "parent_id"), [(7, 1), (8, 7)])
def test_a_port_of_the_server_of_the_data_folder_is_fine(process_id: int, parent_id: int) -> None:
    owner = SocketOwner(process_id=process_id, parent_id=parent_id, command="stagebook serve")
    finding = judge_port(failed(errno.EADDRINUSE, owners=(owner,)), server_id=7)
    assert finding.severity is Severity.OK
    assert "process 7" in finding.found


@pytest.mark.parametrize(
    ("number", "found", "remedy"),
    [
        (errno.EADDRINUSE, "a process of another user", "choose another port"),
        (errno.EACCES, "privileged", "CAP_NET_BIND_SERVICE"),
        (errno.EADDRNOTAVAIL, "no interface", "media_announce"),
        (errno.ENOBUFS, os.strerror(errno.ENOBUFS), "choose another port"),
    ],
)
def test_each_failure_says_what_to_do(number: int, found: str, remedy: str) -> None:
    finding = judge_port(failed(number), server_id=None)
    assert finding.severity is Severity.ERROR
    assert found in finding.found
    assert remedy in finding.remedy


def test_an_address_of_another_machine_is_found_out() -> None:
    finding = judge_port(facts_of("listen", listen="192.0.2.1:0"), server_id=None)
    assert finding.found == "no interface of this machine has this address"


def test_a_host_name_that_does_not_resolve_is_found_out() -> None:
    finding = judge_port(facts_of("listen", listen="no-such-host.invalid:0"), server_id=None)
    assert "cannot be resolved" in finding.found
