"""The media pipeline of one encoder: RTMP messages in, media bus units out. No I/O and no clock.

    video message -> FLV header -> VideoTrack (NAL units, RTP payloads) -> Timeline -> Unit --+
                                                                                              +-> StartBuffer -> feed
    audio message -> FLV header -> Timeline -> AudioTrack (AAC to Opus) ----------> Units ----+

The timestamps of units are on the encoder's clock. The first units come out when the stream is complete: both tracks
are configured, a keyframe was received and audio was decoded. `StartBuffer` keeps the units until then.
"""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import invalid_input
from stagebook.media.ingest.flv.audio_tag import AudioTagType, read_audio_tag
from stagebook.media.ingest.flv.video_tag import VideoTagType, read_video_tag
from stagebook.media.ingest.pipeline.audio_track import AudioTrack
from stagebook.media.ingest.pipeline.start_buffer import StartBuffer
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_MS, Timeline
from stagebook.media.ingest.pipeline.video_track import VideoTrack
from stagebook.media.media_bus import CLOCK_RATES, Unit

_VIDEO_TICKS_PER_MS = CLOCK_RATES[MediaKind.VIDEO] // 1_000


class MediaPipeline:
    """Processes the audio and video messages of one stream in the order in which they arrive."""

    def __init__(self) -> None:
        self._video = VideoTrack()
        self._audio = AudioTrack()
        self._timeline = Timeline()
        self._start_buffer: StartBuffer | None = StartBuffer()
        """None once the stream is complete."""

    @property
    def video_parameters(self) -> str | None:
        """The fmtp value for SDP with the profile of the stream's SPS. None before the video is configured."""
        return self._video.parameters

    def missing(self) -> str | None:
        """What the stream lacks to be complete, as a clause for an error message. None when it is complete."""
        return None if self._start_buffer is None else self._start_buffer.missing()

    def process_video(self, *, timestamp_ms: int, payload: bytes | bytearray) -> list[Unit]:
        """Process a video message: its payload and its unwrapped timestamp. Returns the units to send now.

        Raises InputFaultError.
        """
        tag = read_video_tag(payload)
        if tag is None:
            return []
        if tag.type is VideoTagType.CONFIGURATION:
            self._video.configure(tag.body)
            return []
        if abs(tag.composition_ms) > MAX_STEP_MS:
            raise invalid_input(
                f"a video frame is shown {tag.composition_ms} ms after it is decoded; "
                f"at most {MAX_STEP_MS} ms is allowed"
            )
        frame = self._video.packetize(tag.body)
        if frame is None:
            return []
        presentation_ms = self._timeline.place_video(timestamp_ms) + tag.composition_ms
        unit = Unit(
            kind=MediaKind.VIDEO,
            timestamp=max(0, presentation_ms) * _VIDEO_TICKS_PER_MS,
            is_keyframe=frame.is_keyframe,
            payloads=frame.payloads,
        )
        return self._buffered([unit])

    def process_audio(self, *, timestamp_ms: int, payload: bytes | bytearray) -> list[Unit]:
        """Process an audio message: its payload and its unwrapped timestamp. Returns the units to send now.

        Raises InputFaultError.
        """
        tag = read_audio_tag(payload)
        if tag is None:
            return []
        if tag.type is AudioTagType.CONFIGURATION:
            self._audio.configure(tag.body)
            return []
        if not self._audio.is_configured:
            return []
        self._timeline.check_audio(timestamp_ms)
        packets = self._audio.transcode(tag.body, timestamp_ms=timestamp_ms)
        return self._buffered(
            [
                Unit(kind=MediaKind.AUDIO, timestamp=packet.timestamp, is_keyframe=False, payloads=(packet.data,))
                for packet in packets
            ]
        )

    def _buffered(self, units: list[Unit]) -> list[Unit]:
        """Pass units through the start buffer while there is one."""
        if self._start_buffer is None:
            return units
        released = self._start_buffer.add(units)
        if released:
            self._start_buffer = None
        return released
