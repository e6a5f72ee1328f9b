"""The SDP offers of the peers, with the relevant lines of a browser's offer, and a parser of the answers."""

import re

import msgspec

from bench.forwarder.synthetic_stream import AUDIO_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE

RTX_PAYLOAD_TYPE = 103
VIDEO_SSRC, RTX_SSRC, AUDIO_SSRC = 0x1001, 0x1002, 0x1003

_AUDIO = f"""m=audio 9 UDP/TLS/RTP/SAVPF {AUDIO_PAYLOAD_TYPE}
c=IN IP4 0.0.0.0
a=mid:0
a=rtpmap:{AUDIO_PAYLOAD_TYPE} opus/48000/2
a=fmtp:{AUDIO_PAYLOAD_TYPE} minptime=10;useinbandfec=1"""

_VIDEO = f"""m=video 9 UDP/TLS/RTP/SAVPF {VIDEO_PAYLOAD_TYPE} {RTX_PAYLOAD_TYPE}
c=IN IP4 0.0.0.0
a=mid:1
a=rtpmap:{VIDEO_PAYLOAD_TYPE} H264/90000
a=rtcp-fb:{VIDEO_PAYLOAD_TYPE} goog-remb
a=rtcp-fb:{VIDEO_PAYLOAD_TYPE} ccm fir
a=rtcp-fb:{VIDEO_PAYLOAD_TYPE} nack
a=rtcp-fb:{VIDEO_PAYLOAD_TYPE} nack pli
a=fmtp:{VIDEO_PAYLOAD_TYPE} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:{RTX_PAYLOAD_TYPE} rtx/90000
a=fmtp:{RTX_PAYLOAD_TYPE} apt={VIDEO_PAYLOAD_TYPE}"""

_AUDIO_STREAM = f"a=ssrc:{AUDIO_SSRC} cname:bench"
_VIDEO_STREAM = f"""a=ssrc-group:FID {VIDEO_SSRC} {RTX_SSRC}
a=ssrc:{VIDEO_SSRC} cname:bench
a=ssrc:{RTX_SSRC} cname:bench"""


class LocalPeer(msgspec.Struct, frozen=True, kw_only=True):
    """The ICE credentials of the offering peer and the SHA-256 digest of its certificate."""

    ufrag: str
    pwd: str
    digest: bytes


class RemotePeer(msgspec.Struct, frozen=True, kw_only=True):
    """The ICE credentials of the answering peer and its UDP address."""

    ufrag: str
    pwd: str
    address: tuple[str, int]


def write_offer(local: LocalPeer, *, sends: bool) -> str:
    """Return the offer of a publisher if `sends`, otherwise that of a viewer."""
    transport = f"""a=ice-ufrag:{local.ufrag}
a=ice-pwd:{local.pwd}
a=fingerprint:sha-256 {local.digest.hex(":").upper()}
a=setup:active
a=rtcp-mux
a=rtcp-rsize
a={"sendonly" if sends else "recvonly"}"""
    head = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1"
    audio, video = [_AUDIO, transport], [_VIDEO, transport]
    if sends:
        audio.append(_AUDIO_STREAM)
        video.append(_VIDEO_STREAM)
    return "\r\n".join("\n".join([head, *audio, *video]).splitlines()) + "\r\n"


def read_answer(sdp: str) -> RemotePeer:
    """Return the transport of an answer. Raises ValueError if it is incomplete."""
    ufrag = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    pwd = re.search(r"^a=ice-pwd:(\S+)", sdp, re.MULTILINE)
    candidate = re.search(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", sdp, re.MULTILINE)
    if ufrag is None or pwd is None or candidate is None:
        raise ValueError(f"an answer without a transport: {sdp}")
    return RemotePeer(ufrag=ufrag[1], pwd=pwd[1], address=(candidate[1], int(candidate[2])))
