"""The candidates of answers: UDP before TCP, read by aioice."""

import msgspec
from aioice import Candidate

from stagebook.media.rtc.sdp.sdp_answer import candidate_lines
from tests.media.rtc import offers

TCP = (("192.0.2.1", 443), ("2001:db8::1", 443))


def candidates() -> list[Candidate]:
    local = msgspec.structs.replace(offers.LOCAL, tcp_addresses=TCP)
    *lines, end = candidate_lines(local)
    assert end == "a=end-of-candidates"
    return [Candidate.from_sdp(line.removeprefix("a=candidate:")) for line in lines]


def test_tcp_candidates_are_passive_and_have_their_own_port() -> None:
    found = [(each.transport, each.host, each.port, each.tcptype) for each in candidates()]
    assert found == [
        *(("udp", host, port, None) for host, port in offers.LOCAL.addresses),
        *(("tcp", host, port, "passive") for host, port in TCP),
    ]


def test_every_candidate_of_udp_is_preferred_to_those_of_tcp() -> None:
    priorities = [each.priority for each in candidates()]
    assert priorities == sorted(set(priorities), reverse=True)
    assert all(0 < priority < 2**31 for priority in priorities)


def test_each_candidate_has_a_foundation_of_its_own() -> None:
    """Their addresses and protocols differ (RFC 8445 section 5.1.1.3)."""
    assert len({each.foundation for each in candidates()}) == len(candidates())
