"""STUN against the test vectors of RFC 5769, against aioice, and with malformed messages."""

import aioice.stun
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.media.rtc.ice.stun import binding_success, is_stun, parse_binding_request, unknown_attributes_error

# RFC 5769 section 2.1.
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")


def _request(*, username: str | None = "ours:theirs", use_candidate: bool = True, key: bytes = PASSWORD) -> bytes:
    message = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.REQUEST,
        transaction_id=TRANSACTION,
    )
    if username is not None:
        message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1
    if use_candidate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(key)
    return bytes(message)


def _with(*attributes: bytes) -> bytes:
    """Return a binding request with raw attributes."""
    body = b"".join(attributes)
    return b"\0\1" + len(body).to_bytes(2) + b"\x21\x12\xa4\x42" + TRANSACTION + body


def test_the_sample_request_of_rfc_5769_is_parsed_and_verified() -> None:
    request = parse_binding_request(REQUEST)
    assert request is not None
    assert request.transaction_id == TRANSACTION
    assert request.local_ufrag == "evtj"
    assert not request.use_candidate
    assert request.unknown_attributes == ()
    assert request.verify(PASSWORD)
    assert not request.verify(b"another password of 22 b")


def test_a_request_of_aioice_is_parsed_and_verified() -> None:
    request = parse_binding_request(_request())
    assert request is not None
    assert (request.local_ufrag, request.use_candidate) == ("ours", True)
    assert request.verify(PASSWORD)


def test_a_changed_byte_invalidates_the_integrity_or_the_fingerprint() -> None:
    # With another type, the FINGERPRINT becomes an attribute that is ignored after MESSAGE-INTEGRITY.
    type_of_fingerprint = range(len(REQUEST) - 8, len(REQUEST) - 4)
    for position in set(range(20, len(REQUEST))) - set(type_of_fingerprint):
        changed = bytearray(REQUEST)
        changed[position] ^= 0x01
        request = parse_binding_request(bytes(changed))
        assert request is None or not request.verify(PASSWORD)


def test_a_request_without_integrity_never_verifies() -> None:
    request = parse_binding_request(_with(b"\x00\x06\x00\x03a:b\0"))
    assert request is not None
    assert request.integrity == b""
    assert not request.verify(b"")


def test_attributes_after_the_integrity_are_ignored() -> None:
    unsigned = parse_binding_request(_request(use_candidate=False))
    assert unsigned is not None
    whole = _request(use_candidate=False)
    stripped = whole[:-8] + b"\x00\x25\x00\x00"
    request = parse_binding_request(stripped[:2] + (len(stripped) - 20).to_bytes(2) + stripped[4:])
    assert request is not None
    assert not request.use_candidate


@pytest.mark.parametrize("username", [None, "", "nocolon", "ü" + "x:y"])
def test_a_username_that_is_not_an_ice_username_has_no_ufrag(username: str | None) -> None:
    request = parse_binding_request(_request(username=username))
    assert request is not None
    assert request.local_ufrag == ""


def test_unknown_comprehension_required_attributes_are_listed() -> None:
    request = parse_binding_request(_with(b"\x00\x7a\x00\x00", b"\xc0\x57\x00\x04\0\0\0\1"))
    assert request is not None
    assert request.unknown_attributes == (0x7A,)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        REQUEST[:19],
        REQUEST[:-4],
        REQUEST + b"\0\0\0\0",
        b"\x01\x01" + REQUEST[2:],
        b"\x80\x01" + REQUEST[2:],
        REQUEST[:4] + b"\0\0\0\0" + REQUEST[8:],
        _with(b"\x00\x06\x00\xff"),
        _with(b"\x00\x08\x00\x04abcd"),
        _with(b"\x80\x28\x00\x00"),
        _with(*[b"\xc0\x00\x00\x00"] * 33),
        _with(b"\xc0\x00\x05\xdc" + bytes(1500)),
    ],
    ids=[
        "empty", "short", "cut", "longer", "response", "not stun", "cookie", "overrun", "short integrity",
        "short fingerprint", "too many", "too large",
    ],
)  # fmt: skip
def test_everything_else_is_not_a_binding_request(datagram: bytes) -> None:
    assert parse_binding_request(datagram) is None


@pytest.mark.parametrize(
    ("address", "value"),
    [
        (("192.0.2.1", 32853), "0001a147e112a643"),
        (("2001:db8:1234:5678:11:2233:4455:6677", 32853), "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
        (("::ffff:192.0.2.1", 32853), "0001a147e112a643"),
    ],
    ids=["IPv4", "IPv6", "IPv4 in IPv6"],
)
def test_the_mapped_address_is_that_of_rfc_5769(address: tuple[str, int], value: str) -> None:
    request = parse_binding_request(REQUEST)
    assert request is not None
    answer = binding_success(request, address, PASSWORD)
    assert answer[20:24] == b"\x00\x20" + (len(value) // 2).to_bytes(2)
    assert answer[24 : 24 + len(value) // 2].hex() == value


def test_a_scoped_address_is_written_without_its_scope() -> None:
    request = parse_binding_request(REQUEST)
    assert request is not None
    scoped = binding_success(request, ("fe80::1%eth0", 1), PASSWORD)
    assert scoped == binding_success(request, ("fe80::1", 1), PASSWORD)


def test_aioice_accepts_the_success_response() -> None:
    request = parse_binding_request(_request())
    assert request is not None
    answer = binding_success(request, ("198.51.100.7", 4711), PASSWORD)
    message = aioice.stun.parse_message(answer)
    message.check_message_integrity(PASSWORD)
    assert message.message_class is aioice.stun.Class.RESPONSE
    assert message.transaction_id == TRANSACTION
    assert message.attributes["XOR-MAPPED-ADDRESS"] == ("198.51.100.7", 4711)


def test_aioice_accepts_the_error_that_lists_unknown_attributes() -> None:
    request = parse_binding_request(_with(b"\x00\x7a\x00\x00"))
    assert request is not None
    answer = unknown_attributes_error(request, PASSWORD)
    message = aioice.stun.parse_message(answer)
    message.check_message_integrity(PASSWORD)
    assert message.message_class is aioice.stun.Class.ERROR
    assert message.attributes["ERROR-CODE"][0] == 420
    assert b"\x00\x0a\x00\x02\x00\x7a\x00\x00" in answer


def test_dtls_and_rtp_are_not_stun() -> None:
    assert is_stun(REQUEST)
    assert not is_stun(b"\x16\xfe\xfd" + bytes(30))
    assert not is_stun(b"\x80" + REQUEST[1:])


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(noise: bytes) -> None:
    parse_binding_request(noise)
    request = parse_binding_request(_with(noise + bytes(-len(noise) % 4)))
    if request is not None:
        assert not request.verify(PASSWORD)


@settings(max_examples=300)
@given(st.integers(0, len(REQUEST) - 1), st.binary(min_size=1, max_size=8))
def test_mutated_requests_never_raise(position: int, noise: bytes) -> None:
    parse_binding_request(REQUEST[:position] + noise + REQUEST[position + len(noise) :])
