"""The limit on failed authentications for each client network."""

from stagebook.api.access.failed_attempts import FAILURES_BURST, FailedAttempts


def test_a_network_may_fail_a_burst_of_times_and_then_once_a_second() -> None:
    seconds = [0.0]
    failures = FailedAttempts(monotonic=lambda: seconds[0])
    results = [failures.admit("192.0.2.1") for _ in range(FAILURES_BURST + 1)]
    assert results == [True] * FAILURES_BURST + [False]
    seconds[0] += 1.0
    assert [failures.admit("192.0.2.1") for _ in range(2)] == [True, False]


def test_addresses_of_one_ipv6_network_count_together_and_other_networks_do_not() -> None:
    failures = FailedAttempts(monotonic=lambda: 0.0)
    for host in range(FAILURES_BURST):
        assert failures.admit(f"2001:db8::{host:x}")
    assert not failures.admit("2001:db8::ffff")
    assert failures.admit("2001:db8:0:1::1")


def test_a_bounded_number_of_networks_is_remembered() -> None:
    failures = FailedAttempts(monotonic=lambda: 0.0, tracked_networks=2)
    for _ in range(FAILURES_BURST):
        failures.admit("192.0.2.1")
    assert not failures.admit("192.0.2.1")
    for other in ("192.0.2.2", "192.0.2.3"):
        failures.admit(other)
    assert failures.admit("192.0.2.1")
