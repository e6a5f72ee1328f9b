"""Which addresses are announced."""

from stagebook.media.rtc.ice.candidates import candidate_ips


def test_announced_addresses_stand_for_all_others_once_and_in_order() -> None:
    announced = ("203.0.113.7", "2001:db8::7", "203.0.113.7")
    assert candidate_ips(bind_addresses=("0.0.0.0",), announced_addresses=announced) == (  # noqa: S104 - a wildcard is what is tested
        "203.0.113.7",
        "2001:db8::7",
    )


def test_bound_addresses_are_announced_where_nothing_is_said() -> None:
    assert candidate_ips(bind_addresses=("127.0.0.1", "::1"), announced_addresses=()) == ("127.0.0.1", "::1")


def test_a_wildcard_stands_for_addresses_of_the_host_loopback_last() -> None:
    found = candidate_ips(bind_addresses=("0.0.0.0",), announced_addresses=())  # noqa: S104 - a wildcard is what is tested
    assert "0.0.0.0" not in found  # noqa: S104 - same
    assert found[-1] == "127.0.0.1"
    assert candidate_ips(bind_addresses=("::",), announced_addresses=())[-1] == "::1"
