"""SDP offers in the form of the clients that we support (Chromium, Firefox, OBS, GStreamer), and offers of aiortc."""

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpTransceiver
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from stagebook.media.rtc.sdp.sdp_answer import LocalTransport
from stagebook.media.rtc.sdp.session_description import Fingerprint

SHA256 = ":".join(f"{value:02X}" for value in range(32))
SHA512 = ":".join(f"{value:02X}" for value in range(64))
UFRAG = "wXyZ"
PWD = "abcdefghijklmnopqrstuvwx"

# The engine's side of a connection, for answers.
LOCAL = LocalTransport(
    ufrag="ourfrag",
    pwd="our-password-of-24-bytes",
    fingerprint=Fingerprint(algorithm="sha-256", digest=bytes(range(32))),
    addresses=(("192.0.2.1", 40_000), ("2001:db8::1", 40_001)),
    session_id=4_711,
)


def lines(*parts: str) -> str:
    """Return a session description made of blocks of lines."""
    return "".join(line.strip() + "\r\n" for part in parts for line in part.strip().splitlines())


TRANSPORT = f"""
a=ice-ufrag:{UFRAG}
a=ice-pwd:{PWD}
a=ice-options:trickle
a=fingerprint:sha-256 {SHA256}
a=setup:actpass
"""

CHROMIUM_HEAD = """
v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS 7c3d
"""

CHROMIUM_AUDIO = f"""
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
{TRANSPORT}
a=candidate:1 1 udp 2113937151 4b1a6c0e-9b2f-4c5d-8a8e-111111111111.local 51234 typ host generation 0 network-cost 999
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:7c3d 1f2e
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1001 cname:ZmFrZQ
a=ssrc:1001 msid:7c3d 1f2e
"""


def _h264(number: int, rtx: int, profile: str, mode: int) -> str:
    return f"""
a=rtpmap:{number} H264/90000
a=rtcp-fb:{number} goog-remb
a=rtcp-fb:{number} transport-cc
a=rtcp-fb:{number} ccm fir
a=rtcp-fb:{number} nack
a=rtcp-fb:{number} nack pli
a=fmtp:{number} level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={profile}
a=rtpmap:{rtx} rtx/90000
a=fmtp:{rtx} apt={number}
"""


CHROMIUM_VIDEO = f"""
m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114 117 118 39 40 45 46 123 124 125
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
{TRANSPORT}
a=mid:1
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=sendonly
a=msid:7c3d 3a4b
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
{_h264(103, 104, "42001f", 1)}
{_h264(107, 108, "42001f", 0)}
{_h264(109, 114, "42e01f", 1)}
{_h264(117, 118, "42e01f", 0)}
{_h264(39, 40, "4d001f", 1)}
a=rtpmap:45 AV1/90000
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=rtpmap:123 red/90000
a=rtpmap:124 rtx/90000
a=fmtp:124 apt=123
a=rtpmap:125 ulpfec/90000
"""

CHROMIUM_ONE_LAYER = """
a=ssrc-group:FID 2001 2002
a=ssrc:2001 cname:ZmFrZQ
a=ssrc:2001 msid:7c3d 3a4b
a=ssrc:2002 cname:ZmFrZQ
"""

CHROMIUM_RIDS = """
a=rid:q send
a=rid:h send
a=rid:f send
a=simulcast:send q;h;~f
"""

CHROMIUM_LEGACY_SIMULCAST = """
a=ssrc:2001 cname:ZmFrZQ
a=ssrc:2003 cname:ZmFrZQ
a=ssrc:2005 cname:ZmFrZQ
a=ssrc:2002 cname:ZmFrZQ
a=ssrc:2004 cname:ZmFrZQ
a=ssrc:2006 cname:ZmFrZQ
a=ssrc-group:SIM 2003 2001 2005
a=ssrc-group:FID 2001 2002
a=ssrc-group:FID 2003 2004
a=ssrc-group:FID 2005 2006
"""

DATA_CHANNEL = """
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:2
a=sctp-port:5000
a=max-message-size:262144
"""

CHROMIUM = lines(CHROMIUM_HEAD, CHROMIUM_AUDIO, CHROMIUM_VIDEO, CHROMIUM_ONE_LAYER)
CHROMIUM_SIMULCAST = lines(CHROMIUM_HEAD, CHROMIUM_AUDIO, CHROMIUM_VIDEO, CHROMIUM_RIDS)
CHROMIUM_LEGACY = lines(CHROMIUM_HEAD, CHROMIUM_AUDIO, CHROMIUM_VIDEO, CHROMIUM_LEGACY_SIMULCAST)
CHROMIUM_WITH_DATA = lines(
    CHROMIUM_HEAD.replace("BUNDLE 0 1", "BUNDLE 0 1 2"), CHROMIUM_AUDIO, CHROMIUM_VIDEO, DATA_CHANNEL
)
CHROMIUM_VIEWER = CHROMIUM.replace("a=sendonly", "a=recvonly")

# Firefox: fingerprint and ice-options in the session part, and a bundle-only section with port 0.
FIREFOX_VIEWER = lines(
    f"""
v=0
o=mozilla...THIS_IS_SDPARTA-99.0 5133544461383443141 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {SHA256}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=recvonly
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:{PWD}
a=ice-ufrag:{UFRAG}
a=mid:0
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
m=video 0 UDP/TLS/RTP/SAVPF 120 124 126 127 97 98
c=IN IP4 0.0.0.0
a=bundle-only
a=recvonly
a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1
a=fmtp:97 profile-level-id=42e01f;level-asymmetry-allowed=1
a=fmtp:120 max-fs=12288;max-fr=60
a=fmtp:124 apt=120
a=fmtp:127 apt=126
a=fmtp:98 apt=97
a=ice-pwd:{PWD}
a=ice-ufrag:{UFRAG}
a=mid:1
a=rtcp-fb:120 nack
a=rtcp-fb:120 nack pli
a=rtcp-fb:120 ccm fir
a=rtcp-fb:120 goog-remb
a=rtcp-fb:126 nack
a=rtcp-fb:126 nack pli
a=rtcp-fb:126 ccm fir
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:120 VP8/90000
a=rtpmap:124 rtx/90000
a=rtpmap:126 H264/90000
a=rtpmap:127 rtx/90000
a=rtpmap:97 H264/90000
a=rtpmap:98 rtx/90000
a=setup:actpass
"""
)

# OBS (libdatachannel): one H.264 payload type with the profile of the encoder, and the fingerprint in the session part.
OBS = lines(
    f"""
v=0
o=rtc 1122334455 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=group:LS 0 1
a=msid-semantic:WMS *
a=ice-options:ice2,trickle
a=fingerprint:sha-256 {SHA256}
m=audio 56324 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.7
a=mid:0
a=sendonly
a=ssrc:3001 cname:obs
a=ssrc:3001 msid:obs obs-audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
a=setup:actpass
a=ice-ufrag:{UFRAG}
a=ice-pwd:{PWD}
a=candidate:1 1 UDP 2122317823 192.0.2.7 56324 typ host
a=end-of-candidates
m=video 56324 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 192.0.2.7
a=mid:1
a=sendonly
a=ssrc:3002 cname:obs
a=ssrc-group:FID 3002 3003
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id=640c1f;packetization-mode=1;level-asymmetry-allowed=1
a=rtpmap:97 RTX/90000
a=fmtp:97 apt=96
a=setup:actpass
a=ice-ufrag:{UFRAG}
a=ice-pwd:{PWD}
"""
)

# GStreamer: bundle policy max-bundle, sprop-parameter-sets, a SHA-512 fingerprint, no RTX.
GSTREAMER = lines(
    f"""
v=0
o=- 8377292310935214077 0 IN IP4 0.0.0.0
s=-
t=0 0
a=ice-options:trickle
a=group:BUNDLE video0 audio1
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=setup:actpass
a=ice-ufrag:{UFRAG}
a=ice-pwd:{PWD}
a=rtcp-mux
a=rtcp-rsize
a=sendonly
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
a=framerate:30
a=fmtp:96 packetization-mode=1;profile-level-id=42c01f;sprop-parameter-sets=Z0LAH9kAUAW7ARAAAAMA,aMuMsg==
a=ssrc:4001 msid:user webrtctransceiver0
a=ssrc:4001 cname:user
a=mid:video0
a=fingerprint:sha-512 {SHA512}
m=audio 0 UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
a=bundle-only
a=setup:actpass
a=ice-ufrag:{UFRAG}
a=ice-pwd:{PWD}
a=rtcp-mux
a=sendonly
a=rtpmap:97 OPUS/48000/2
a=fmtp:97 sprop-stereo=1;sprop-maxcapturerate=48000
a=ssrc:4002 cname:user
a=mid:audio1
a=fingerprint:sha-512 {SHA512}
"""
)

# FFmpeg 8.1's WHIP muxer: the DTLS server, one payload type of each kind, and no keyframe requests.
FFMPEG = lines(
    f"""
v=0
o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1
s=FFmpegPublishSession
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:{UFRAG}
a=ice-pwd:{PWD}
a=fingerprint:sha-256 {SHA256}
a=setup:passive
a=mid:0
a=sendonly
a=msid:FFmpeg audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:5001 cname:FFmpeg
a=ssrc:5001 msid:FFmpeg audio
m=video 9 UDP/TLS/RTP/SAVPF 106 105
c=IN IP4 0.0.0.0
a=ice-ufrag:{UFRAG}
a=ice-pwd:{PWD}
a=fingerprint:sha-256 {SHA256}
a=setup:passive
a=mid:1
a=sendonly
a=msid:FFmpeg video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:106 H264/90000
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42000d
a=rtcp-fb:106 nack
a=rtpmap:105 rtx/90000
a=fmtp:105 apt=106
a=ssrc-group:FID 5002 5003
a=ssrc:5002 cname:FFmpeg
a=ssrc:5002 msid:FFmpeg video
"""
)

PUBLISHERS = {
    "chromium": CHROMIUM,
    "chromium simulcast": CHROMIUM_SIMULCAST,
    "chromium legacy simulcast": CHROMIUM_LEGACY,
    "chromium with a data channel": CHROMIUM_WITH_DATA,
    "obs": OBS,
    "gstreamer": GSTREAMER,
    "ffmpeg": FFMPEG,
}


async def aiortc_publisher() -> str:
    """Return the offer of an aiortc publisher."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        connection.addTransceiver(AudioStreamTrack(), direction="sendonly")
        connection.addTransceiver(VideoStreamTrack(), direction="sendonly")
        return await _offer(connection)
    finally:
        await connection.close()


async def aiortc_viewer() -> str:
    """Return the offer of an aiortc viewer."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        for kind in ("audio", "video"):
            transceiver: RTCRtpTransceiver = connection.addTransceiver(kind, direction="recvonly")
            assert transceiver.kind == kind
        return await _offer(connection)
    finally:
        await connection.close()


async def _offer(connection: RTCPeerConnection) -> str:
    await connection.setLocalDescription(await connection.createOffer())
    return str(connection.localDescription.sdp)
