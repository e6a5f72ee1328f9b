"""The checks of UDP, with real datagrams on loopback."""

import pytest

from stagebook.config.settings import Settings
from stagebook.diagnosis.finding import Severity
from stagebook.diagnosis.network.udp_checks import (
    DatagramFacts,
    Outcome,
    judge_buffers,
    judge_datagram,
    read_datagram_facts,
    send_to_itself,
)
from stagebook.media.rtc.ice.udp_socket import SOCKET_BUFFER_SIZE_BYTES


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_a_datagram_to_a_local_address_arrives(address: str) -> None:
    facts = send_to_itself(address, is_announced=False)
    assert facts.outcome is Outcome.RECEIVED
    assert judge_datagram(facts).severity is Severity.OK


def test_nothing_is_sent_to_an_address_of_another_machine() -> None:
    assert send_to_itself("192.0.2.1", is_announced=False).outcome is Outcome.NOT_LOCAL


def test_bound_and_announced_addresses_are_tried() -> None:
    settings = Settings(media_bind=("127.0.0.1",), media_announce=("192.0.2.7", "127.0.0.3"))
    tried = {facts.address: (facts.is_announced, facts.outcome) for facts in read_datagram_facts(settings)}
    assert tried == {
        "127.0.0.1": (False, Outcome.RECEIVED),
        "192.0.2.7": (True, Outcome.NOT_LOCAL),
        "127.0.0.3": (True, Outcome.RECEIVED),
    }


@pytest.mark.parametrize(
    ("outcome", "is_announced", "severity"),
    [
        (Outcome.NOT_LOCAL, True, Severity.NOTE),
        (Outcome.NOT_LOCAL, False, Severity.ERROR),
        (Outcome.LOST, True, Severity.ERROR),
        (Outcome.REFUSED, False, Severity.ERROR),
    ],
)
def test_each_outcome_has_its_severity(outcome: Outcome, severity: Severity, *, is_announced: bool) -> None:
    finding = judge_datagram(DatagramFacts(address="192.0.2.1", is_announced=is_announced, outcome=outcome))
    assert finding.severity is severity
    assert finding.meaning
    assert finding.remedy


@pytest.mark.parametrize(
    ("granted", "system", "severity"),
    [
        (2 * SOCKET_BUFFER_SIZE_BYTES, "linux", Severity.OK),
        (2 * SOCKET_BUFFER_SIZE_BYTES - 2, "linux", Severity.NOTE),
        (SOCKET_BUFFER_SIZE_BYTES, "darwin", Severity.OK),
        (425_984, "linux", Severity.NOTE),
    ],
)
def test_small_buffers_are_noted(granted: int, system: str, severity: Severity) -> None:
    facts = DatagramFacts(
        address="127.0.0.1", is_announced=False, outcome=Outcome.RECEIVED, buffers_bytes=(granted, 2 << 30)
    )
    finding = judge_buffers(facts, system=system)
    assert finding is not None
    assert finding.severity is severity
