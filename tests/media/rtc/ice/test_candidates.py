"""The addresses of the host candidates."""

from pathlib import Path

import pytest

from stagebook.media.rtc.ice import candidates
from stagebook.media.rtc.ice.candidates import candidate_ips


def test_announced_addresses_replace_all_others_in_order_and_without_duplicates() -> None:
    announced = ("203.0.113.7", "2001:db8::7", "203.0.113.7")
    assert candidate_ips(bind_addresses=("0.0.0.0",), announced_addresses=announced) == (  # noqa: S104 - the test is about the wildcard
        "203.0.113.7",
        "2001:db8::7",
    )


def test_without_announced_addresses_the_bind_addresses_are_used() -> None:
    assert candidate_ips(bind_addresses=("127.0.0.1", "::1"), announced_addresses=()) == ("127.0.0.1", "::1")


def test_a_wildcard_is_replaced_by_addresses_of_the_host_with_loopback_last() -> None:
    found = candidate_ips(bind_addresses=("0.0.0.0",), announced_addresses=())  # noqa: S104 - the test is about the wildcard
    assert "0.0.0.0" not in found  # noqa: S104 - same
    assert found[-1] == "127.0.0.1"
    assert candidate_ips(bind_addresses=("::",), announced_addresses=())[-1] == "::1"


def test_the_addresses_of_all_interfaces_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fib_trie = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
     |-- 198.51.100.7
        /32 host LOCAL
Local:
     |-- 192.0.2.2
        /32 host LOCAL
"""
    if_inet6 = """20010db8000000000000000000000002 04 40 00 80     eth0
20010db8000000000000000000000003 04 40 00 c0     eth0
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""
    files = {"/proc/net/fib_trie": fib_trie, "/proc/net/if_inet6": if_inet6}
    monkeypatch.setattr(Path, "read_text", lambda path, **_: files[str(path)])
    monkeypatch.setattr(candidates, "_default_route_ip", lambda _family: ["192.0.2.2"])
    wildcards = ("0.0.0.0",)  # noqa: S104 - the test is about the wildcard
    assert candidate_ips(bind_addresses=wildcards, announced_addresses=()) == ("192.0.2.2", "198.51.100.7", "127.0.0.1")
    monkeypatch.setattr(candidates, "_default_route_ip", lambda _family: [])
    assert candidate_ips(bind_addresses=("::",), announced_addresses=()) == ("2001:db8::2", "::1")


def test_a_host_that_does_not_list_its_addresses_has_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_text(_path: Path, **_options: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(candidates, "_default_route_ip", lambda _family: [])
    assert candidate_ips(bind_addresses=("::",), announced_addresses=()) == ("::1",)
