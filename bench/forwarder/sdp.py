"""The SDP descriptions of the peers, with the relevant lines of a browser's, and a parser of the servers' descriptions.

An offer and an answer of a peer differ in one point: an answer has the payload types of the server's offer (RFC 3264
section 6.1).
"""

import re

import msgspec

from bench.forwarder.synthetic_stream import AUDIO_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE

RTX_PAYLOAD_TYPE = 103
_LINES = re.MULTILINE | re.DOTALL
VIDEO_SSRC, RTX_SSRC, AUDIO_SSRC = 0x1001, 0x1002, 0x1003

_AUDIO = """m=audio 9 UDP/TLS/RTP/SAVPF {audio}
c=IN IP4 0.0.0.0
a=mid:0
a=rtpmap:{audio} opus/48000/2
a=fmtp:{audio} minptime=10;useinbandfec=1"""

_VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF {video} {rtx}
c=IN IP4 0.0.0.0
a=mid:1
a=rtpmap:{video} H264/90000
a=rtcp-fb:{video} goog-remb
a=rtcp-fb:{video} ccm fir
a=rtcp-fb:{video} nack
a=rtcp-fb:{video} nack pli
a=fmtp:{video} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:{rtx} rtx/90000
a=fmtp:{rtx} apt={video}"""

_AUDIO_STREAM = f"a=ssrc:{AUDIO_SSRC} cname:bench"
_VIDEO_STREAM = f"""a=ssrc-group:FID {VIDEO_SSRC} {RTX_SSRC}
a=ssrc:{VIDEO_SSRC} cname:bench
a=ssrc:{RTX_SSRC} cname:bench"""


class LocalPeer(msgspec.Struct, frozen=True, kw_only=True):
    """The ICE credentials of a peer of the benchmark and the SHA-256 digest of its certificate."""

    ufrag: str
    pwd: str
    digest: bytes


class RemotePeer(msgspec.Struct, frozen=True, kw_only=True):
    """The ICE credentials of a server and its UDP address."""

    ufrag: str
    pwd: str
    address: tuple[str, int]


class PayloadTypes(msgspec.Struct, frozen=True, kw_only=True):
    """The payload types of a description. The defaults are those of an offer of a peer."""

    audio: int = AUDIO_PAYLOAD_TYPE
    video: int = VIDEO_PAYLOAD_TYPE
    rtx: int = RTX_PAYLOAD_TYPE


_OFFERED = PayloadTypes()


def write_offer(local: LocalPeer, *, sends: bool) -> str:
    """Return the offer of a publisher if `sends`, otherwise that of a viewer."""
    return _write(local, _OFFERED, sends=sends)


def write_viewer_answer_to(offer: str, local: LocalPeer) -> str:
    """Return a viewer's answer to a server's offer of Opus as mid 0 and H.264 with RTX as mid 1.

    Raises ValueError if the server offers something else.
    """
    audio = re.search(r"^m=audio .*?^a=mid:0\r?$.*?^a=rtpmap:(\d+) opus/48000/2", offer, _LINES)
    video = re.search(r"^m=video .*?^a=mid:1\r?$.*?^a=rtpmap:(\d+) H264/90000", offer, _LINES)
    rtx = re.search(rf"^a=fmtp:(\d+) apt={video[1]}\r?$", offer, re.MULTILINE) if video else None
    if audio is None or video is None or rtx is None:
        raise ValueError(f"an offer of other media: {offer}")
    return _write(local, PayloadTypes(audio=int(audio[1]), video=int(video[1]), rtx=int(rtx[1])), sends=False)


def _write(local: LocalPeer, payload_types: PayloadTypes, *, sends: bool) -> str:
    transport = f"""a=ice-ufrag:{local.ufrag}
a=ice-pwd:{local.pwd}
a=fingerprint:sha-256 {local.digest.hex(":").upper()}
a=setup:active
a=rtcp-mux
a=rtcp-rsize
a={"sendonly" if sends else "recvonly"}"""
    head = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1"
    numbers = msgspec.structs.asdict(payload_types)
    audio, video = [_AUDIO.format(**numbers), transport], [_VIDEO.format(**numbers), transport]
    if sends:
        audio.append(_AUDIO_STREAM)
        video.append(_VIDEO_STREAM)
    return "\r\n".join("\n".join([head, *audio, *video]).splitlines()) + "\r\n"


def read_transport(sdp: str) -> RemotePeer:
    """Return the transport of a server's description. Raises ValueError if it is incomplete."""
    ufrag = re.search(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE)
    pwd = re.search(r"^a=ice-pwd:(\S+)", sdp, re.MULTILINE)
    candidate = re.search(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", sdp, re.MULTILINE)
    if ufrag is None or pwd is None or candidate is None:
        raise ValueError(f"a description without a transport: {sdp}")
    return RemotePeer(ufrag=ufrag[1], pwd=pwd[1], address=(candidate[1], int(candidate[2])))
