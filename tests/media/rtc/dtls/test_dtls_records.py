"""The records of a peer that reach OpenSSL: none that it would only store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.rtc.dtls.dtls_records import (
    MAX_MESSAGE_SIZE_BYTES,
    MAX_RECORDS,
    RECORD_HEADER_SIZE_BYTES,
    RecordFilter,
    split_records,
)

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23


def record(content_type: int, body: bytes = b"x", *, epoch: int = 0, number: int = 0) -> bytes:
    head = bytes([content_type]) + b"\xfe\xfd" + epoch.to_bytes(2) + number.to_bytes(6) + len(body).to_bytes(2)
    return head + body


def fragment(stated_length: int, body: bytes = b"x") -> bytes:
    """Return a fragment of a handshake message of `stated_length` bytes."""
    return b"\x0b" + stated_length.to_bytes(3) + bytes(2) + bytes(3) + len(body).to_bytes(3) + body


@pytest.mark.parametrize("content_type", [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE])
def test_records_of_the_handshake_and_alerts_pass(content_type: int) -> None:
    datagram = record(content_type)
    assert RecordFilter().select(datagram, handshaking=True) == datagram


@pytest.mark.parametrize("handshaking", [True, False])
@pytest.mark.parametrize("epoch", [0, 1])
def test_application_data_never_passes(epoch: int, handshaking: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert RecordFilter().select(record(APPLICATION_DATA, epoch=epoch), handshaking=handshaking) == b""


def test_after_the_handshake_only_encrypted_records_pass() -> None:
    clear, encrypted = record(HANDSHAKE), record(ALERT, epoch=1)
    assert RecordFilter().select(clear + encrypted + record(ALERT, epoch=2), handshaking=False) == encrypted


def test_early_records_are_limited_during_the_handshake_and_not_afterwards() -> None:
    records = RecordFilter()
    early = [record(HANDSHAKE, epoch=1, number=number) for number in range(100)]
    assert sum(bool(records.select(one, handshaking=True)) for one in early) == RecordFilter.MAX_EARLY_RECORDS
    assert RecordFilter().select(early[0], handshaking=False) == early[0]


def test_a_message_that_states_a_great_length_does_not_pass_wherever_it_stands() -> None:
    small, large = fragment(MAX_MESSAGE_SIZE_BYTES), fragment(MAX_MESSAGE_SIZE_BYTES + 1)
    for body, passes in ((small, True), (large, False), (small + large, False), (small + small, True)):
        assert bool(RecordFilter().select(record(HANDSHAKE, body), handshaking=True)) is passes


def test_the_records_of_a_datagram_are_limited() -> None:
    kept = RecordFilter().select(record(ALERT) * (MAX_RECORDS + 10), handshaking=True)
    assert kept == record(ALERT) * MAX_RECORDS


@given(st.binary(max_size=200))
def test_only_whole_records_of_the_datagram_pass(noise: bytes) -> None:
    assert noise.startswith(b"".join(split_records(noise)))
    kept = RecordFilter().select(record(ALERT) + noise, handshaking=True)
    assert kept[: RECORD_HEADER_SIZE_BYTES + 1] == record(ALERT)
