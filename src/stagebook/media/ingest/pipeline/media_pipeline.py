"""The media pipeline of one encoder: RTMP messages in, media bus units out. No I/O.

    video message -> FLV header -> VideoTrack (RTP payloads) -> Timeline -> FrameAssembler -> Unit --+
                                                                                                     +-> StartBuffer
    audio message -> FLV header -> Timeline -> AudioTrack (AAC to Opus) -------------------> Units --+

A video message may also have packets of further tracks, which go their own way beside this one (`further_tracks`). Of
several audio tracks only track 0 is read.

The timestamps of units are on the clock of the stream (`timeline`). The first units come out when the stream is
complete: both tracks are configured, a keyframe was received and audio was decoded. `StartBuffer` keeps the units until
then.

Errors of the encoder have two grades. A message that cannot be read is damage: it is dropped, counted and logged, and
the stream goes on. InputFaultError ends the stream: for another codec, for a configuration that cannot be read while
there is none, and for damage or clock jumps that do not end.
"""

import time
from collections.abc import Callable

import msgspec
import structlog

from stagebook.log_rate_limit import LogRateLimit
from stagebook.media.codecs.adts import begins_with_adts
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError, invalid_input
from stagebook.media.ingest.flv.audio_tag import AudioTag, AudioTagType, read_audio_tag
from stagebook.media.ingest.flv.video_tag import VideoTag, VideoTagType, read_video_tag
from stagebook.media.ingest.pipeline.audio_track import AudioTrack
from stagebook.media.ingest.pipeline.frame_assembler import FrameAssembler
from stagebook.media.ingest.pipeline.further_tracks import FurtherTracks
from stagebook.media.ingest.pipeline.start_buffer import StartBuffer
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_MS, Timeline
from stagebook.media.ingest.pipeline.video_track import VideoFrame, VideoTrack
from stagebook.media.media_bus import VIDEO_TICKS_PER_MS, Unit
from stagebook.media.port import IngestFault


class StreamDamage(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong with a stream that went on nevertheless, counted since its start."""

    damaged_video_messages: int
    damaged_audio_frames: int
    clock_jumps: int

    def log_fields(self) -> dict[str, int]:
        """The counters that are not 0, as fields of a log line."""
        return {name: count for name in self.__struct_fields__ if (count := getattr(self, name))}


class MediaPipeline:
    """Processes the audio and video messages of one stream in the order in which they arrive."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        log: structlog.typing.FilteringBoundLogger | None = None,
    ) -> None:
        """`clock` returns monotonic seconds. `log` gets the lines about damage, and is bound to the connection."""
        self._log = log or structlog.get_logger(__name__)
        self._log_limit = LogRateLimit(clock=clock)
        self._video = VideoTrack()
        self._audio = AudioTrack()
        self._timeline = Timeline(clock=clock, on_jump=self._on_jump)
        self._frames = FrameAssembler()
        self._further = FurtherTracks(self._timeline, log_damage=self._log_damage)
        self._has_unconfigured: set[MediaKind] = set()
        """The kinds of which frames came before a configuration."""
        self._clock_jumps = 0
        self._start_buffer: StartBuffer | None = StartBuffer()
        """None once the stream is complete."""

    @property
    def video_parameters(self) -> str | None:
        """The fmtp value for SDP with the profile of the stream's SPS. None before the video is configured."""
        return self._video.parameters

    @property
    def video_tracks(self) -> int:
        """The number of video tracks. It is fixed when the stream is complete."""
        return 1 + len(self._further)

    @property
    def damage(self) -> StreamDamage:
        """The damage of the stream so far."""
        return StreamDamage(
            damaged_video_messages=self._video.damaged_messages,
            damaged_audio_frames=self._audio.broken_frames,
            clock_jumps=self._clock_jumps,
        )

    def missing(self) -> str | None:
        """What the stream lacks to be complete, as a clause for an error message. None when it is complete.

        Frames that came without their configuration are named first: "the stream has no audio" would send the user to
        the microphone instead of to the encoder's settings.
        """
        if self._start_buffer is None:
            return None
        if MediaKind.AUDIO in self._has_unconfigured and not self._audio.is_configured:
            return "audio frames arrive but no AudioSpecificConfig"
        if MediaKind.VIDEO in self._has_unconfigured and not self._video.is_configured:
            return "video frames arrive but no AVCDecoderConfigurationRecord"
        return self._start_buffer.missing()

    def process_video(self, *, timestamp_ms: int, payload: bytes | bytearray) -> list[Unit]:
        """Process a video message: its payload and its unwrapped timestamp. Returns the units to send now.

        Raises InputFaultError.
        """
        units = self._process_default_track(timestamp_ms=timestamp_ms, payload=payload)
        further = self._further.process(timestamp_ms=timestamp_ms, payload=payload)
        return self._buffered([*units, *further]) if units or further else []

    def _process_default_track(self, *, timestamp_ms: int, payload: bytes | bytearray) -> list[Unit]:
        """Process what a video message has of track 0. Returns its complete frames. Raises InputFaultError."""
        try:
            tag = read_video_tag(payload)
            frame = None if tag is None else self._read_video(tag)
        except InputFaultError as error:
            self._drop_damaged_video(error)
            return []
        if tag is None or frame is None:
            self._video.check_recovery()
            return []
        if frame.is_continuation:
            return self._extend_frame(frame)
        presentation_ms = self._timeline.place_video(timestamp_ms) + tag.composition_ms
        unit = Unit(
            kind=MediaKind.VIDEO,
            timestamp=max(0, presentation_ms) * VIDEO_TICKS_PER_MS,
            is_keyframe=frame.is_keyframe,
            payloads=frame.payloads,
        )
        return self._frames.begin(unit)

    def process_audio(self, *, timestamp_ms: int, payload: bytes | bytearray) -> list[Unit]:
        """Process an audio message: its payload and its unwrapped timestamp. Returns the units to send now.

        Raises InputFaultError.
        """
        try:
            tag = read_audio_tag(payload)
            frames = [] if tag is None else self._read_audio(tag)
        except InputFaultError as error:
            self._drop_damaged_audio(error)
            return []
        if not frames:
            return []
        start_ms = self._timeline.place_audio(timestamp_ms)
        return self._buffered(
            [
                unit
                for offset_ms, frame in frames
                for unit in self._transcode(frame, timestamp_ms=start_ms + round(offset_ms))
            ]
        )

    def _read_video(self, tag: VideoTag) -> VideoFrame | None:
        """Apply a configuration, or packetize the slices of a message. Raises InputFaultError."""
        if tag.type is VideoTagType.CONFIGURATION:
            self._video.configure(tag.body)
            return None
        if abs(tag.composition_ms) > MAX_STEP_MS:
            raise invalid_input(
                f"a video frame is shown {tag.composition_ms} ms after it is decoded; "
                f"at most {MAX_STEP_MS} ms is allowed"
            )
        frame = self._video.packetize(tag.body)
        if not self._video.is_configured:
            self._has_unconfigured.add(MediaKind.VIDEO)
        return frame

    def _extend_frame(self, frame: VideoFrame) -> list[Unit]:
        """Add slices to the frame that an earlier message began."""
        try:
            self._frames.extend(frame.payloads)
        except InputFaultError as error:
            self._drop_damaged_video(error)
        return []

    def _drop_damaged_video(self, error: InputFaultError) -> None:
        """Go on after a video message that cannot be read, or raise `error` if the stream cannot go on."""
        if error.fault is not IngestFault.INPUT or not self._video.is_configured:
            raise error
        # Slices of the frame that were held are dropped too: it is not complete without the damaged message.
        self._frames.drop()
        self._log_damage("encoder's video is damaged; dropped until the next keyframe", detail=error.detail)
        self._video.drop_until_keyframe(error.detail)

    def _read_audio(self, tag: AudioTag) -> list[tuple[float, bytes]]:
        """Apply a configuration, or return the frames of a message with their distance from its timestamp in ms.

        Raises InputFaultError.
        """
        # Encoders that send ADTS may send an empty configuration, or a first frame in place of it.
        if tag.type is AudioTagType.CONFIGURATION and not begins_with_adts(tag.body):
            if tag.body:
                self._audio.configure(tag.body)
            return []
        frames = self._audio.read_frames(tag.body)
        if self._audio.is_configured:
            return frames
        self._has_unconfigured.add(MediaKind.AUDIO)
        return []

    def _drop_damaged_audio(self, error: InputFaultError) -> None:
        """Go on after an audio message that cannot be read, or raise `error` if the stream cannot go on."""
        if error.fault is not IngestFault.INPUT or not self._audio.is_configured:
            raise error
        self._log_damage("encoder's audio is damaged; one message dropped", detail=error.detail)
        self._audio.count_broken_frame()

    def _transcode(self, frame: bytes, *, timestamp_ms: int) -> list[Unit]:
        broken_frames = self._audio.broken_frames
        packets = self._audio.transcode(frame, timestamp_ms=timestamp_ms)
        if self._audio.broken_frames > broken_frames:
            self._log_damage("encoder's audio is damaged; one frame dropped", detail="it cannot be decoded")
        return [
            Unit(kind=MediaKind.AUDIO, timestamp=packet.timestamp, is_keyframe=False, payloads=(packet.data,))
            for packet in packets
        ]

    def _on_jump(self, kind: MediaKind, distance_ms: int) -> None:
        self._clock_jumps += 1
        self._log_damage("encoder's clock jumped; its timestamps are re-based", track=kind, distance_ms=distance_ms)

    def _log_damage(self, message: str, **fields: str | int) -> None:
        if (more := self._log_limit.admit(message)) is not None:
            self._log.warning(message, **fields, **more)

    def _buffered(self, units: list[Unit]) -> list[Unit]:
        """Pass units through the start buffer while there is one."""
        if self._start_buffer is None:
            return units
        released = self._start_buffer.add(units)
        if released:
            self._start_buffer = None
            self._further.complete()
        return released
