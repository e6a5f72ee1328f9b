"""Chooses the payload type that the answer accepts in a section (RFC 3264 section 6.1).

An offer lists several payload types for a section: VP8, several H.264 profiles, each with an RTX payload type. The
engine forwards packets unchanged, so it accepts exactly one of them.

H.264 needs a choice of its own (RFC 6184 section 8.2.2). Two parameters of a=fmtp decide:

* profile-level-id: the profile (Constrained Baseline, Baseline, Main, High). A decoder of a profile also plays the
  simpler profiles that it includes. A publisher gets the profile that most viewers play.
* packetization-mode: 0 allows only single NAL units, 1 also fragments and aggregates, 2 interleaves. Mode 1 covers
  mode 0. Mode 2 is not forwarded.

RTX (RFC 4588) is a second payload type whose `apt` names the first one. It is accepted only with NACK feedback.
"""

from collections.abc import Iterator, Sequence

import msgspec

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sdp.session_description import MediaSection, PayloadFormat

_VIDEO_CLOCK_RATE = 90_000
_OPUS_CLOCK_RATE = 48_000
_OPUS_CHANNELS = 2
"""Always 2 in SDP, also for mono (RFC 7587 section 7)."""

# The values of profile_idc (ITU-T H.264 annex A).
_BASELINE = 66
_MAIN = 77
_EXTENDED = 88
_HIGH = 100
_CONSTRAINT_SET_1 = 0x40
_CONSTRAINT_SET_0 = 0x80
_DEFAULT_PROFILE = (_BASELINE, 0)
"""Without profile-level-id (RFC 6184 section 8.1)."""

# The order of preference for a publisher: profiles that more viewers play come first. Constrained Baseline, rank 0,
# comes before all of these.
_PROFILE_RANK = {_BASELINE: 1, _MAIN: 2, _HIGH: 3}
# The profiles that a decoder of the key plays besides its own.
_ALSO_PLAYS = {
    (_BASELINE, False): {(_BASELINE, True)},
    (_MAIN, False): {(_BASELINE, True)},
    (_HIGH, False): {(_BASELINE, True), (_MAIN, False)},
}


class CodecChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The accepted payload type of a section."""

    codec: Codec
    payload: PayloadFormat
    parameters: str
    """The value of the answer's a=fmtp, "" for none."""
    rtx_payload_type: int | None
    """The payload type of its RTX stream, None without one."""
    is_stereo: bool = False
    """Opus: whether the offerer sends two channels, or would if the answer asks for them (RFC 7587 section 6.1)."""


def choose_publisher_video(
    section: MediaSection, codecs: Sequence[Codec], current: SourceFormat | None
) -> CodecChoice | None:
    """Return the payload type that a publisher has to send; None if the section has none of `codecs`.

    The codec of the source that the publisher takes over (`current`) is preferred, then `codecs` in order. For H.264,
    packetization-mode 1 is preferred to 0, then the profile of `current`, then the profile that most viewers play.
    """
    order = list(codecs)
    if current is not None and current.video_codec in order:
        order.sort(key=lambda codec: codec is not current.video_codec)
    for codec in order:
        profile = None
        if codec is Codec.H264 and current is not None and current.video_codec is codec:
            profile = h264_profile(current.video_parameters)
        found = [
            (_publisher_rank(payload, profile) if codec is Codec.H264 else (), payload)
            for payload in _video(section, codec)
        ]
        if found:
            return _choice(section, codec, min(found, key=lambda ranked: ranked[0])[1])
    return None


def choose_viewer_video(section: MediaSection, source: SourceFormat) -> CodecChoice | None:
    """Return the payload type for a viewer of `source`; None if the section does not have its codec.

    For H.264, only packetization-mode 1 can carry every source. Of those, the source's own profile is preferred, then a
    profile whose decoders play it too, then any: in practice decoders play more than they declare.
    """
    codec = source.video_codec
    if codec is not Codec.H264:
        return next((_choice(section, codec, payload) for payload in _video(section, codec)), None)
    wanted = h264_profile(source.video_parameters)
    ranked = [
        (_viewer_rank(h264_profile(payload.parameters), wanted), payload)
        for payload in _video(section, codec)
        if packetization_mode(payload.parameters) == 1
    ]
    return _choice(section, codec, min(ranked, key=lambda pair: pair[0])[1]) if ranked else None


def choose_opus(section: MediaSection) -> CodecChoice | None:
    """Return the first Opus payload type (RFC 7587 section 7); None without one."""
    for payload in _encoded(section, Codec.OPUS):
        if payload.clock_rate == _OPUS_CLOCK_RATE and payload.channels == _OPUS_CHANNELS:
            offered = parse_fmtp(payload.parameters)
            choice = _choice(section, Codec.OPUS, payload)
            parameters = choice.parameters
            if offered.get("sprop-stereo") == "1" and "stereo" not in offered:
                # Without it the answerer prefers mono, and a sender of stereo would mix its channels.
                parameters = append_parameter(parameters, "stereo=1")
            is_stereo = "1" in (offered.get("stereo"), offered.get("sprop-stereo"))
            return msgspec.structs.replace(choice, parameters=parameters, is_stereo=is_stereo)
    return None


def red_of_opus(section: MediaSection, payload_type: int) -> int | None:
    """Return the payload type of RED with blocks of this Opus payload type (RFC 2198 section 5); None without one."""
    for payload in section.payloads:
        is_red = payload.encoding.lower() == "red" and payload.clock_rate == _OPUS_CLOCK_RATE
        blocks = set(payload.parameters.strip().split("/"))
        if is_red and blocks == {str(payload_type)} and not _is_rtcp_like(payload.payload_type):
            return payload.payload_type
    return None


def append_parameter(parameters: str, parameter: str) -> str:
    """Return an a=fmtp value with one more `name=value`."""
    return f"{parameters};{parameter}" if parameters else parameter


def h264_profile(parameters: str) -> tuple[int, bool]:
    """Return the H.264 profile of an a=fmtp value: profile_idc, and whether it is Constrained Baseline.

    See RFC 6184 section 8.1, table 5. A missing or malformed profile-level-id means Baseline.
    """
    digits = parse_fmtp(parameters).get("profile-level-id", "")
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        octets = b""
    idc, constraints = (octets[0], octets[1]) if len(octets) == 3 else _DEFAULT_PROFILE
    constrained = bool(constraints & _CONSTRAINT_SET_1)
    # Main or Extended with constraint_set0 is Constrained Baseline too (RFC 6184, table 5).
    if idc in (_MAIN, _EXTENDED) and constraints & _CONSTRAINT_SET_0:
        return _BASELINE, True
    return idc, constrained and idc == _BASELINE


def packetization_mode(parameters: str) -> int:
    """Return the packetization-mode of an a=fmtp value (RFC 6184 section 8.1): 0 if absent, -1 if malformed.

    -1 matches no mode, so that a payload type with a malformed mode is never chosen.
    """
    mode = parse_fmtp(parameters).get("packetization-mode", "0")
    return int(mode) if mode in ("0", "1", "2") else -1


def parse_fmtp(parameters: str) -> dict[str, str]:
    """Return the `name=value` pairs of an a=fmtp value, with names in lower case. The first of equal names counts.

    Parts without "=" are left out: they are formats of their own, such as `0-15` for telephone-event. Names are
    compared without case, as they are media type parameters (RFC 2045 section 5.1).
    """
    pairs: dict[str, str] = {}
    for part in parameters.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            pairs.setdefault(name.strip().lower(), value.strip())
    return pairs


def _encoded(section: MediaSection, codec: Codec) -> Iterator[PayloadFormat]:
    """Yield the payload types of a codec, without 64 to 95: with the marker bit set, the second byte of such an RTP
    packet is that of an RTCP packet (RFC 5761 section 4)."""
    return (
        payload
        for payload in section.payloads
        if payload.encoding.lower() == codec.lower() and not _is_rtcp_like(payload.payload_type)
    )


def _video(section: MediaSection, codec: Codec) -> Iterator[PayloadFormat]:
    """Yield the payload types of a video codec that can be forwarded."""
    for payload in _encoded(section, codec):
        interleaved = codec is Codec.H264 and packetization_mode(payload.parameters) not in (0, 1)
        if payload.clock_rate == _VIDEO_CLOCK_RATE and not interleaved:
            yield payload


def _is_rtcp_like(payload_type: int) -> bool:
    return 64 <= payload_type <= 95


def _publisher_rank(payload: PayloadFormat, current: tuple[int, bool] | None) -> tuple[int, ...]:
    profile = h264_profile(payload.parameters)
    idc, constrained = profile
    return (
        packetization_mode(payload.parameters) != 1,
        current is not None and profile != current,
        0 if constrained else _PROFILE_RANK.get(idc, 4),
    )


def _viewer_rank(offered: tuple[int, bool], wanted: tuple[int, bool]) -> int:
    if offered == wanted:
        return 0
    if wanted in _ALSO_PLAYS.get(offered, ()):
        return 1
    return 2


def _choice(section: MediaSection, codec: Codec, payload: PayloadFormat) -> CodecChoice:
    # sprop- parameters describe what the offerer sends; the answerer sends nothing in them (RFC 6184 section 8.2.2, RFC
    # 7587 section 6.1).
    kept = [part.strip() for part in payload.parameters.split(";")]
    parameters = ";".join(part for part in kept if part and not part.lower().startswith("sprop-"))
    return CodecChoice(codec=codec, payload=payload, parameters=parameters, rtx_payload_type=_rtx(section, payload))


def _rtx(section: MediaSection, payload: PayloadFormat) -> int | None:
    """Return the payload type whose apt names this one (RFC 4588 section 8.1), if NACK can request retransmissions."""
    if "nack" not in payload.feedback:
        return None
    apt = str(payload.payload_type)
    for other in section.payloads:
        if (
            other.encoding.lower() == "rtx"
            and other.clock_rate == payload.clock_rate
            and parse_fmtp(other.parameters).get("apt") == apt
            and not _is_rtcp_like(other.payload_type)
        ):
            return other.payload_type
    return None
