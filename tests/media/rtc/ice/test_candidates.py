"""The addresses of the host candidates."""

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
