"""The RTP header extensions that the engine negotiates (RFC 8285): how a packet names its section and its layer,
and how it is counted for congestion control.

An offer maps the URI of each extension to a small id (`a=extmap`, RFC 8285 section 5); packets carry only the id. Three
extensions identify a stream whose SSRC the offer does not signal, and one counts packets:

* MID (RFC 9143 section 15): the `a=mid` of the media section;
* RID (RFC 8852 section 3): the simulcast layer of a media packet;
* repaired RID (RFC 8852 section 3): the simulcast layer that an RTX packet repairs;
* transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2): it counts the packets
  of all streams of a connection, so that the receiver can report when each of them arrived.
"""

from collections.abc import Iterator, Mapping

import msgspec

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID_URI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID_URI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_SEQUENCE_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

_MAX_ONE_BYTE_ID = 14
"""RFC 8285 section 4.2. An id above it needs the two-byte form, which the answer does not accept."""


class HeaderExtensions(msgspec.Struct, frozen=True, kw_only=True):
    """The negotiated ids of one media section. None for an extension that the peer did not offer."""

    mid: int | None = None
    rid: int | None = None
    repaired_rid: int | None = None
    transport_sequence: int | None = None

    def extmaps(self) -> Iterator[tuple[int, str]]:
        """Yield (id, URI) of each negotiated extension, for `a=extmap`."""
        accepted = (
            (self.mid, MID_URI),
            (self.rid, RID_URI),
            (self.repaired_rid, REPAIRED_RID_URI),
            (self.transport_sequence, TRANSPORT_SEQUENCE_URI),
        )
        for number, uri in accepted:
            if number is not None:
                yield number, uri


def negotiate_extensions(offered: Mapping[str, int], *, is_simulcast: bool) -> HeaderExtensions:
    """Return the extensions to accept of those that were `offered` (URI to id). The RID ones only serve simulcast.

    All other offered extensions are left out of the answer, and the peer then does not send them (RFC 8285 section 7).
    Extensions of publishers are not forwarded to viewers. `section_choice` accepts the transport-wide number, which
    needs feedback as well.
    """
    return HeaderExtensions(
        mid=accepted_id(offered, MID_URI),
        rid=accepted_id(offered, RID_URI) if is_simulcast else None,
        repaired_rid=accepted_id(offered, REPAIRED_RID_URI) if is_simulcast else None,
    )


def accepted_id(offered: Mapping[str, int], uri: str) -> int | None:
    """Return the offered id of an extension; None if it was not offered or its id needs the two-byte form."""
    number = offered.get(uri)
    return number if number is not None and number <= _MAX_ONE_BYTE_ID else None
