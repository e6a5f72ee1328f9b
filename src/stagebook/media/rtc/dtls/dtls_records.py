"""Which DTLS records of a peer reach OpenSSL (RFC 6347 sections 4.1 and 4.2).

A datagram holds one or more records. A record has a header in clear (content type, version, epoch, sequence number,
length) and a fragment, which is encrypted from epoch 1 on:

    epoch 0   the handshake up to ChangeCipherSpec, in clear
    epoch 1   Finished, and then alerts and retransmissions, encrypted

OpenSSL keeps what it cannot use yet: records of the next epoch, handshake messages that come early, a buffer for a
message of which one fragment has arrived, and application data until somebody reads it. A peer could so fill the memory
of an engine by a few bytes each. WebRTC media needs none of that beyond a small number, so everything else is dropped
here, before any state exists for it.
"""

from collections.abc import Iterator
from itertools import islice

RECORD_HEADER_SIZE_BYTES = 13
MAX_RECORDS = 32
"""Records of one datagram that are used. The longest flight, a client's second one, has five, and some more if its
certificate is fragmented."""
MAX_MESSAGE_SIZE_BYTES = 16_384
"""The longest handshake message. OpenSSL reserves the length that the first fragment states. Only a Certificate is
long: a WebRTC peer's is self-signed and has about 300 bytes for ECDSA and 1,000 for RSA."""
_MESSAGE_HEADER_SIZE_BYTES = 12
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE = 20, 21, 22
_DTLS_MAJOR_VERSION = 0xFE


def split_records(datagram: bytes) -> Iterator[bytes]:
    """Yield the records of a datagram, each with its header. What follows a malformed header is left out."""
    position = 0
    while position + RECORD_HEADER_SIZE_BYTES <= len(datagram):
        end = position + RECORD_HEADER_SIZE_BYTES + int.from_bytes(datagram[position + 11 : position + 13])
        if end > len(datagram):
            return
        yield datagram[position:end]
        position = end


def pack_records(stream: bytes, max_size_bytes: int) -> Iterator[bytes]:
    """Pack the DTLS records of a memory BIO's stream into datagrams of at most `max_size_bytes`.

    A record must not span two datagrams (RFC 6347 section 4.1.1). Several records may share one, which saves datagrams
    in the long second flight.
    """
    start = position = 0
    while position + RECORD_HEADER_SIZE_BYTES <= len(stream):
        # The header is type (1), version (2), epoch (2), sequence number (6) and length (2): RFC 6347 section 4.1.
        length = int.from_bytes(stream[position + 11 : position + 13], "big")
        end = position + RECORD_HEADER_SIZE_BYTES + length
        if end - start > max_size_bytes and position > start:
            yield stream[start:position]
            start = position
        position = end
    if start < len(stream):
        yield stream[start:]


class RecordFilter:
    """The filter of one association. It remembers how many early records it has let through."""

    MAX_EARLY_RECORDS = 16
    """Records of epoch 1 that are passed during the handshake. A client sends one, Finished, and repeats it with each
    retransmission of its flight. OpenSSL keeps those that overtake the ChangeCipherSpec."""

    def __init__(self) -> None:
        self._early_records_left = self.MAX_EARLY_RECORDS

    def select(self, datagram: bytes, *, handshaking: bool) -> bytes:
        """Return the records of a datagram that OpenSSL may have, joined; b"" for none.

        `handshaking` is False once the association is connected. From then on only epoch 1 is of use: its alerts, and
        the Finished by which a peer shows that it has missed our last flight.
        """
        records = islice(split_records(datagram), MAX_RECORDS)
        return b"".join(record for record in records if self._is_useful(record, handshaking=handshaking))

    def _is_useful(self, record: bytes, *, handshaking: bool) -> bool:
        content_type, epoch = record[0], int.from_bytes(record[3:5])
        # Type 23, application data, is not among them: nothing of a WebRTC media connection travels over DTLS.
        if record[1] != _DTLS_MAJOR_VERSION or content_type not in (_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE):
            return False
        if epoch == 1:
            if handshaking:
                self._early_records_left -= 1
            return self._early_records_left >= 0
        return epoch == 0 and handshaking and (content_type != _HANDSHAKE or _states_sane_lengths(record))


def _states_sane_lengths(record: bytes) -> bool:
    """Return whether all handshake messages of a record in clear state lengths of at most MAX_MESSAGE_SIZE_BYTES.

    A message header is type (1), length of the message (3), message number (2), offset of the fragment (3) and length
    of the fragment (3): RFC 6347 section 4.2.2.
    """
    position = RECORD_HEADER_SIZE_BYTES
    while position + _MESSAGE_HEADER_SIZE_BYTES <= len(record):
        if int.from_bytes(record[position + 1 : position + 4]) > MAX_MESSAGE_SIZE_BYTES:
            return False
        position += _MESSAGE_HEADER_SIZE_BYTES + int.from_bytes(record[position + 9 : position + 12])
    return True
