"""Chooses the one payload type of a section that we answer: codec, H.264 profile, and its RTX (RFC 6184, RFC 4588)."""

from collections.abc import Iterator, Sequence

import msgspec

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.sdp.media_plan import SourceFormat
from stagebook.media.rtc.sdp.session_description import MediaSection, PayloadFormat

_VIDEO_CLOCK_RATE = 90_000
_OPUS_CLOCK_RATE = 48_000
_OPUS_CHANNELS = 2  # always 2 in SDP, whatever is sent (RFC 7587 section 7)

# profile_idc values of H.264 (ITU-T H.264 annex A).
_BASELINE = 66
_MAIN = 77
_EXTENDED = 88
_HIGH = 100
_CONSTRAINT_SET_1 = 0x40
_DEFAULT_PROFILE = (_BASELINE, 0)  # RFC 6184 section 8.1, profile-level-id absent

# What a publisher may best send: what most viewers can play. Constrained Baseline stands before all of these.
_WIDELY_PLAYED = {_BASELINE: 1, _MAIN: 2, _HIGH: 3}
# What a decoder of the first profile also plays, besides its own.
_ALSO_PLAYS = {
    (_BASELINE, False): {(_BASELINE, True)},
    (_MAIN, False): {(_BASELINE, True)},
    (_HIGH, False): {(_BASELINE, True), (_MAIN, False)},
}


class CodecChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A payload type that we take, the fmtp to answer it with, and the RTX payload type that repairs it."""

    codec: Codec
    payload: PayloadFormat
    parameters: str
    rtx_payload_type: int | None


def choose_publisher_video(
    section: MediaSection, codecs: Sequence[Codec], current: SourceFormat | None
) -> CodecChoice | None:
    """What a publisher shall send: the codec that its source has so far, then `codecs` in order. For H.264
    packetization-mode 1 comes before 0, then the profile the source has, then what most viewers can play."""
    order = list(codecs)
    if current is not None and current.video_codec in order:
        order.sort(key=lambda codec: codec is not current.video_codec)
    for codec in order:
        profile = None
        if codec is Codec.H264 and current is not None and current.video_codec is codec:
            profile = h264_profile(current.video_parameters)
        found = [
            (_published_rank(payload, profile) if codec is Codec.H264 else (), payload)
            for payload in _video(section, codec)
        ]
        if found:
            return _choice(section, codec, min(found, key=lambda ranked: ranked[0])[1])
    return None


def choose_viewer_video(section: MediaSection, source: SourceFormat) -> CodecChoice | None:
    """What a viewer of `source` shall expect. For H.264 only packetization-mode 1 can carry every source; of those the
    source's own profile is best, then one whose decoders play it too, then any (decoders play more than they say)."""
    codec = source.video_codec
    if codec is not Codec.H264:
        return next((_choice(section, codec, payload) for payload in _video(section, codec)), None)
    wanted = h264_profile(source.video_parameters)
    ranked = [
        (_played_rank(h264_profile(payload.parameters), wanted), payload)
        for payload in _video(section, codec)
        if packetization_mode(payload.parameters) == 1
    ]
    return _choice(section, codec, min(ranked, key=lambda pair: pair[0])[1]) if ranked else None


def choose_opus(section: MediaSection) -> CodecChoice | None:
    """The first Opus payload type."""
    for payload in _encoded(section, Codec.OPUS):
        if payload.clock_rate == _OPUS_CLOCK_RATE and payload.channels == _OPUS_CHANNELS:
            return _choice(section, Codec.OPUS, payload)
    return None


def h264_profile(parameters: str) -> tuple[int, bool]:
    """(profile_idc, whether constraint_set1 makes it Constrained Baseline) of an fmtp (RFC 6184 section 8.1)."""
    text = parse_fmtp(parameters).get("profile-level-id", "")
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = b""
    idc, constraints = (octets[0], octets[1]) if len(octets) == 3 else _DEFAULT_PROFILE
    constrained = bool(constraints & _CONSTRAINT_SET_1)
    # Main or Extended with constraint_set0 is Constrained Baseline too (RFC 6184, table 5).
    if idc in (_MAIN, _EXTENDED) and constraints & 0x80:
        return _BASELINE, True
    return idc, constrained and idc == _BASELINE


def packetization_mode(parameters: str) -> int:
    """The packetization-mode of an fmtp; 0 when absent, -1 when it is nonsense."""
    text = parse_fmtp(parameters).get("packetization-mode", "0")
    return int(text) if text in ("0", "1", "2") else -1


def parse_fmtp(parameters: str) -> dict[str, str]:
    """The `name=value` pairs of an fmtp value, names in lower case; the first of equal names counts."""
    pairs: dict[str, str] = {}
    for part in parameters.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            pairs.setdefault(name.strip().lower(), value.strip())
    return pairs


def _encoded(section: MediaSection, codec: Codec) -> Iterator[PayloadFormat]:
    """The payload types of a codec, except those that RTCP's types would be taken for (RFC 5761 section 4)."""
    return (
        payload
        for payload in section.payloads
        if payload.encoding.lower() == codec.lower() and not 64 <= payload.payload_type <= 95
    )


def _video(section: MediaSection, codec: Codec) -> Iterator[PayloadFormat]:
    """The payload types of a video codec that we can forward."""
    for payload in _encoded(section, codec):
        interleaved = codec is Codec.H264 and packetization_mode(payload.parameters) not in (0, 1)
        if payload.clock_rate == _VIDEO_CLOCK_RATE and not interleaved:
            yield payload


def _published_rank(payload: PayloadFormat, current: tuple[int, bool] | None) -> tuple[int, ...]:
    profile = h264_profile(payload.parameters)
    idc, constrained = profile
    return (
        packetization_mode(payload.parameters) != 1,
        current is not None and profile != current,
        0 if constrained else _WIDELY_PLAYED.get(idc, 4),
    )


def _played_rank(offered: tuple[int, bool], wanted: tuple[int, bool]) -> int:
    if offered == wanted:
        return 0
    if wanted in _ALSO_PLAYS.get(offered, ()):
        return 1
    return 2


def _choice(section: MediaSection, codec: Codec, payload: PayloadFormat) -> CodecChoice:
    # sprop-* say what the offerer sends: they have no place in our answer (RFC 6184 section 8.2.2, RFC 7587).
    kept = [part.strip() for part in payload.parameters.split(";")]
    parameters = ";".join(part for part in kept if part and not part.lower().startswith("sprop-"))
    return CodecChoice(codec=codec, payload=payload, parameters=parameters, rtx_payload_type=_rtx(section, payload))


def _rtx(section: MediaSection, payload: PayloadFormat) -> int | None:
    """The payload type whose apt names this one (RFC 4588 section 8.1), if retransmission can be asked for."""
    if "nack" not in payload.feedback:
        return None
    apt = str(payload.payload_type)
    for other in section.payloads:
        if (
            other.encoding.lower() == "rtx"
            and other.clock_rate == payload.clock_rate
            and parse_fmtp(other.parameters).get("apt") == apt
            and not 64 <= other.payload_type <= 95
        ):
            return other.payload_type
    return None
