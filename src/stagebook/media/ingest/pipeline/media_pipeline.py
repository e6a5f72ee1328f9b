"""One encoder's stream: messages of RTMP in, units for the forwarder out. Sans I/O, without a clock of its own.

Timestamps of units are the encoder's own clock. Nothing comes out before the stream is complete: both tracks are known,
a keyframe came, and audio was really decoded. What comes meanwhile from the last keyframe on is held, within a bound.
"""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import invalid_input
from stagebook.media.ingest.flv.audio_tag import AudioPart, read_audio_tag
from stagebook.media.ingest.flv.video_tag import VideoPart, read_video_tag
from stagebook.media.ingest.pipeline.audio_track import AudioTrack
from stagebook.media.ingest.pipeline.start_buffer import Opening
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_MS, Timeline
from stagebook.media.ingest.pipeline.video_track import VideoTrack
from stagebook.media.media_bus import Unit

_VIDEO_TICKS_PER_MS = 90


class Pipeline:
    """Takes the audio and video messages of one stream in the order in which they come."""

    def __init__(self) -> None:
        self._video = VideoTrack()
        self._audio = AudioTrack()
        self._timeline = Timeline()
        self._opening: Opening | None = Opening()

    @property
    def video_parameters(self) -> str | None:
        """The fmtp value for SDP with the profile of the stream's SPS; None before there is one."""
        return self._video.parameters

    def missing(self) -> str | None:
        """What the stream still lacks, for a person; None when it is ready."""
        return None if self._opening is None else self._opening.missing()

    def video(self, *, timestamp_ms: int, payload: bytes) -> list[Unit]:
        """Take the body of a video message and its unwrapped timestamp. Raises InputFaultError."""
        tag = read_video_tag(payload)
        if tag is None:
            return []
        if tag.part is VideoPart.CONFIGURATION:
            self._video.configure(tag.body)
            return []
        if abs(tag.composition_ms) > MAX_STEP_MS:
            raise invalid_input(
                f"a picture is shown {tag.composition_ms} ms after it is decoded; at most {MAX_STEP_MS} ms is allowed"
            )
        picture = self._video.picture(tag.body)
        if picture is None:
            return []
        shown_ms = self._timeline.picture(timestamp_ms) + tag.composition_ms
        unit = Unit(
            kind=MediaKind.VIDEO,
            timestamp=max(0, shown_ms) * _VIDEO_TICKS_PER_MS,
            is_keyframe=picture.is_keyframe,
            payloads=picture.payloads,
        )
        return self._passed([unit])

    def audio(self, *, timestamp_ms: int, payload: bytes) -> list[Unit]:
        """Take the body of an audio message and its unwrapped timestamp. Raises InputFaultError."""
        tag = read_audio_tag(payload)
        if tag is None:
            return []
        if tag.part is AudioPart.CONFIGURATION:
            self._audio.configure(tag.body)
            return []
        if not self._audio.is_configured:
            return []
        self._timeline.audio(timestamp_ms)
        return self._passed(
            [
                Unit(kind=MediaKind.AUDIO, timestamp=packet.timestamp, is_keyframe=False, payloads=(packet.data,))
                for packet in self._audio.frame(tag.body, timestamp_ms=timestamp_ms)
            ]
        )

    def _passed(self, units: list[Unit]) -> list[Unit]:
        if self._opening is None:
            return units
        held = self._opening.take(units)
        if held:
            self._opening = None
        return held
