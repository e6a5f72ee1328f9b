"""What an encoder sends: RTMP sessions, chunks and commands (RtmpError), FLV tags and codecs (InputFaultError)."""

from stagebook.media.codecs.aac import parse_audio_specific_config
from stagebook.media.codecs.adts import begins_with_adts, split_adts
from stagebook.media.codecs.avc import parse_decoder_configuration, split_nal_units
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.h264_packetizer import MAX_PAYLOAD_BYTES, packetize, packetize_together
from stagebook.media.codecs.h264_sps import parse_sps
from stagebook.media.codecs.input_fault import InputFaultError
from stagebook.media.ingest.flv.audio_tag import AudioTagType, read_audio_tag
from stagebook.media.ingest.flv.video_tag import VideoTag, VideoTagType, read_further_tags, read_video_tag
from stagebook.media.ingest.pipeline.media_pipeline import MediaPipeline
from stagebook.media.media_bus import MAX_VIDEO_TRACKS, Unit
from stagebook.media.rtmp.amf0 import read_values, write_values
from stagebook.media.rtmp.chunk_reader import ChunkReader
from stagebook.media.rtmp.chunk_writer import write_message
from stagebook.media.rtmp.command_messages import connect_result, read_command
from stagebook.media.rtmp.message import Message, MessageType
from stagebook.media.rtmp.rtmp_error import RtmpError
from stagebook.media.rtmp.rtmp_events import AudioMessage, VideoMessage
from stagebook.media.rtmp.rtmp_limits import RtmpLimits
from tests.fuzz.fuzz_target import FuzzTarget
from tests.media.ingest import received
from tests.media.rtmp.session_replay import CORPUS, check_session, replay

_LIMITS = RtmpLimits(max_message_bytes=20_000, max_command_bytes=4_000, max_incomplete_bytes=30_000)
_AUDIO = 0x80
"""The bit of a part's first byte that makes it an audio message."""


def check_whole_session(data: bytes) -> None:
    """A session has the events of at most one publish, or ends with RtmpError."""
    check_session(data, piece_bytes=1_400)


def check_chunks(data: bytes) -> None:
    """The messages do not depend on the sizes of the reads, and can be written and read again."""
    messages, error = _read_chunks(data, piece_bytes=65_536)
    in_pieces, same_error = _read_chunks(data, piece_bytes=7)
    assert error == same_error
    # An error takes the messages of the same read with it.
    assert in_pieces[: len(messages)] == messages
    assert error is not None or in_pieces == messages
    assert sum(len(message.payload) for message in in_pieces) <= len(data)
    written = b"".join(write_message(message, chunk_stream_id=3, chunk_bytes=128) for message in in_pieces)
    assert _read_chunks(written, piece_bytes=65_536) == (in_pieces, None)


def _read_chunks(data: bytes, *, piece_bytes: int) -> tuple[list[Message], str | None]:
    reader = ChunkReader(_LIMITS)
    messages: list[Message] = []
    try:
        for start in range(0, len(data), piece_bytes):
            messages += reader.receive(data[start : start + piece_bytes])
    except RtmpError as error:
        return messages, error.detail
    return messages, None


def check_amf0(data: bytes) -> None:
    """Values are refused, or can be written and are read as the same values. So is a command with its result."""
    try:
        values = read_values(data, _LIMITS)
    except RtmpError:
        return
    # Compared as text, since NaN is not equal to itself.
    assert repr(read_values(write_values(*values), _LIMITS)) == repr(values)
    try:
        command = read_command(Message(MessageType.COMMAND_AMF0, 0, 0, data), _LIMITS)
    except RtmpError:
        return
    result = read_command(connect_result(command), _LIMITS)
    assert repr((result.name, result.transaction_id)) == repr(("_result", command.transaction_id))


def check_video_tag(data: bytes) -> None:
    """A video message is refused, or its tracks have a configuration, or NAL units that viewers can reassemble."""
    try:
        tags = [read_video_tag(data), *(further.tag for further in read_further_tags(data))]
    except InputFaultError:
        return
    for tag in tags:
        if isinstance(tag, VideoTag):
            _check_video(tag)


def _check_video(tag: VideoTag) -> None:
    try:
        if tag.type is VideoTagType.CONFIGURATION:
            sets = parse_decoder_configuration(tag.body).parameter_sets
            assert _depacketized(list(packetize_together(list(sets.values())))) == list(sets.values())
            return
    except InputFaultError:
        return
    for length_size_bytes in (1, 2, 4):
        try:
            units = split_nal_units(tag.body, length_size_bytes=length_size_bytes)
        except InputFaultError:
            continue
        assert sum(map(len, units)) <= len(tag.body)
        for unit in units:
            payloads = list(packetize(unit))
            assert all(0 < len(payload) <= MAX_PAYLOAD_BYTES for payload in payloads)
            # The types above 23 are those of RTP payloads, so a receiver does not read them as NAL units.
            assert unit[0] & 0x1F > 23 or _depacketized(payloads) == [bytes(unit)]


def _depacketized(payloads: list[bytes]) -> list[bytes]:
    return received.nal_units(Unit(kind=MediaKind.VIDEO, timestamp=0, is_keyframe=False, payloads=tuple(payloads)))


def check_audio_tag(data: bytes) -> None:
    """An audio message is refused, or has a configuration or frames."""
    try:
        tag = read_audio_tag(data)
        if tag is None:
            return
        assert tag.body in data
        if begins_with_adts(tag.body):
            frames = split_adts(tag.body)
            assert sum(len(frame.body) for frame in frames) < len(tag.body)
            for frame in frames:
                parse_audio_specific_config(frame.description)
        elif tag.type is AudioTagType.CONFIGURATION:
            configuration = parse_audio_specific_config(tag.body)
            assert configuration.channels in (1, 2)
    except InputFaultError:
        return


def check_sps(data: bytes) -> None:
    """A sequence parameter set is refused, or has a size that a decoder could have."""
    parameters = parse_sps(data)
    assert parameters is None or (0 < parameters.width <= 16_384 and 0 < parameters.height <= 16_384)


def check_media(data: bytes) -> None:
    """The messages of a stream become units, or the stream ends with InputFaultError.

    Each message is a byte of its kind and the step of its timestamp, a 16-bit size, and the payload.
    """
    pipeline = MediaPipeline(clock=lambda: 0.0)
    timestamp_ms = position = 0
    try:
        while position + 3 <= len(data):
            kind, start = data[position], position + 3
            position = start + int.from_bytes(data[position + 1 : start])
            timestamp_ms += kind & 0x7F
            process = pipeline.process_audio if kind & _AUDIO else pipeline.process_video
            for unit in process(timestamp_ms=timestamp_ms, payload=data[start:position]):
                assert all(0 < len(payload) <= MAX_PAYLOAD_BYTES for payload in unit.payloads)
                assert unit.timestamp >= 0
                assert 0 <= unit.track < MAX_VIDEO_TRACKS
    except InputFaultError as error:
        assert error.detail


def _media(session: bytes, *, further_tracks: int = 0) -> bytes:
    """Return the first media messages of a session as `check_media` reads them, the video also as further tracks."""
    parts: list[bytes] = []
    last_ms = 0
    for event in replay(session, piece_bytes=1_400):
        if isinstance(event, AudioMessage | VideoMessage) and len(parts) < 40:
            kind = isinstance(event, AudioMessage) * _AUDIO | max(0, min(event.timestamp_ms - last_ms, 0x7F))
            parts.append(bytes([kind]) + len(event.payload).to_bytes(2) + bytes(event.payload))
            last_ms = event.timestamp_ms
            for track_id in range(1, 1 + further_tracks if isinstance(event, VideoMessage) else 1):
                payload = _as_further_track(bytes(event.payload), track_id)
                parts.append(b"\0" + len(payload).to_bytes(2) + payload)
    return b"".join(parts)


def _as_further_track(payload: bytes, track_id: int) -> bytes:
    """Return a video message of the legacy layout as one of a further track (Enhanced RTMP v2)."""
    body = payload[2:] if payload[1] == 1 else payload[5:]
    return bytes([0x86 | payload[0] & 0x70, payload[1]]) + b"avc1" + bytes([track_id]) + body


def _payloads(kind: type[AudioMessage | VideoMessage]) -> tuple[bytes, ...]:
    """Return the first three payloads of each recorded session: the configuration and two frames."""
    events = [
        [event for event in replay(session, piece_bytes=1_400) if isinstance(event, kind)][:3]
        for session in CORPUS.values()
    ]
    return tuple(dict.fromkeys(bytes(event.payload) for found in events for event in found))


_HANDSHAKE_BYTES = 1 + 2 * 1_536
_CONNECT = write_values(
    "connect",
    1.0,
    {"app": "app", "tcUrl": "rtmp://127.0.0.1/app", "fourCcList": ["avc1", None, True], "capsEx": 0.0},
)
_SPS = (
    bytes.fromhex("6742c01fd9005005bb011000000300100000030320f1832a"),
    bytes.fromhex("67640028acd940780227e5c05a808080a0000003002000000781e30632c0"),
)

TARGETS = (
    FuzzTarget(
        name="rtmp-session",
        check=check_whole_session,
        max_size_bytes=16_384,
        seeds=tuple(session[:8_000] for session in CORPUS.values()),
    ),
    FuzzTarget(
        name="rtmp-chunks",
        check=check_chunks,
        max_size_bytes=4_096,
        seeds=tuple(session[_HANDSHAKE_BYTES : _HANDSHAKE_BYTES + 3_000] for session in CORPUS.values()),
        operations_per_byte=300,
    ),
    FuzzTarget(name="amf0", check=check_amf0, max_size_bytes=4_000, seeds=(_CONNECT,), operations_per_byte=300),
    FuzzTarget(
        name="flv-video",
        check=check_video_tag,
        max_size_bytes=16_384,
        seeds=(*_payloads(VideoMessage), *(_as_further_track(payload, 1) for payload in _payloads(VideoMessage)[:3])),
        operations_per_byte=150,
    ),
    FuzzTarget(name="flv-audio", check=check_audio_tag, max_size_bytes=4_096, seeds=_payloads(AudioMessage)),
    FuzzTarget(name="h264-sps", check=check_sps, max_size_bytes=1_500, seeds=_SPS, operations_per_byte=300),
    FuzzTarget(
        name="rtmp-media",
        check=check_media,
        max_size_bytes=32_768,
        seeds=tuple(_media(session, further_tracks=further) for session in CORPUS.values() for further in (0, 2)),
        operations_per_input=100_000,
    ),
)
