"""The video tracks of a multitrack stream beside track 0: the same picture at other qualities.

Track 0 is the stream: it sets the clock, and its faults end the stream. A further track only adds a version that
viewers may be sent instead, so no fault of one ends the stream. A message that cannot be read drops the track until its
next keyframe, as with track 0. A track that viewers could never be sent (another codec, B-frames, more tracks than
MAX_FURTHER_TRACKS) is ignored, with one line in the log.

The engine learns the number of tracks when the stream starts. So tracks are added until then only, each with its
configuration, which encoders send before their first frame.
"""

from collections.abc import Callable
from typing import Final

from stagebook.media.codecs import h264
from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.codecs.input_fault import InputFaultError, invalid_input
from stagebook.media.ingest.flv.video_tag import FurtherTag, VideoTag, VideoTagType, read_further_tags
from stagebook.media.ingest.pipeline.frame_assembler import FrameAssembler
from stagebook.media.ingest.pipeline.timeline import MAX_STEP_MS, Timeline
from stagebook.media.ingest.pipeline.video_track import VideoFrame, VideoTrack
from stagebook.media.media_bus import MAX_VIDEO_TRACKS, VIDEO_TICKS_PER_MS, Unit

MAX_FURTHER_TRACKS: Final = MAX_VIDEO_TRACKS - 1


class _FurtherTrack:
    """One track beside track 0."""

    def __init__(self, *, number: int, timeline: Timeline) -> None:
        """`number` is the `track` of its units."""
        self.video = VideoTrack()
        self._number = number
        self._timeline = timeline
        self._frames = FrameAssembler()
        self._newest_ms = -1
        """The decoding time of the newest frame."""
        self.has_b_frames = False

    def process(self, tag: VideoTag, timestamp_ms: int) -> list[Unit]:
        """Process a message. Returns the frames that are complete. Raises InputFaultError."""
        if tag.type is VideoTagType.CONFIGURATION:
            self.video.configure(tag.body)
            return []
        if abs(tag.composition_ms) > MAX_STEP_MS:
            raise invalid_input(f"a frame is shown {tag.composition_ms} ms after it is decoded")
        frame = self.video.packetize(tag.body)
        if frame is None:
            return []
        self.has_b_frames = self.has_b_frames or _has_b_slice(frame)
        if self.has_b_frames:
            return []
        if frame.is_continuation:
            self._frames.extend(frame.payloads)
            return []
        time_ms = self._timeline.follow_video(timestamp_ms)
        if time_ms is None:
            raise invalid_input("a timestamp is not on the clock of track 0")
        self._newest_ms = max(time_ms, self._newest_ms + 1)
        unit = Unit(
            kind=MediaKind.VIDEO,
            timestamp=max(0, self._newest_ms + tag.composition_ms) * VIDEO_TICKS_PER_MS,
            is_keyframe=frame.is_keyframe,
            payloads=frame.payloads,
            track=self._number,
        )
        return self._frames.begin(unit)

    def drop(self, detail: str) -> None:
        """Drop the incomplete frame, and messages until the next keyframe. `detail` says what is damaged."""
        self._frames.drop()
        try:
            self.video.drop_until_keyframe(detail)
        except InputFaultError:
            return  # So much damage would end a stream. A further track shows what comes whole.


class FurtherTracks:
    """The further tracks of one stream."""

    def __init__(self, timeline: Timeline, *, log_damage: Callable[..., None]) -> None:
        """`timeline` is that of the stream. `log_damage` logs a message with fields, within the stream's limit."""
        self._timeline = timeline
        self._log_damage = log_damage
        self._tracks: dict[int, _FurtherTrack] = {}
        """By the encoder's track id, in the order of their configurations."""
        self._ignored: set[int] = set()
        """Track ids that the log has named. An id is a byte."""
        self._is_complete = False

    def __len__(self) -> int:
        """The number of tracks."""
        return len(self._tracks)

    def complete(self) -> None:
        """Add no further track: the stream starts."""
        self._is_complete = True

    def process(self, *, timestamp_ms: int, payload: bytes | bytearray) -> list[Unit]:
        """Process what a video message has of further tracks. Returns the frames that are complete. Never raises."""
        try:
            found = read_further_tags(payload)
        except InputFaultError:
            return []  # Damage of the message as a whole counts as damage of track 0.
        return [unit for further in found for unit in self._process(further, timestamp_ms)]

    def _process(self, further: FurtherTag, timestamp_ms: int) -> list[Unit]:
        track_id, tag = further.track_id, further.tag
        track = self._tracks.get(track_id)
        try:
            if isinstance(tag, InputFaultError):
                raise tag
            if tag is None:
                return []
            if track is None:
                self._add(track_id, tag)
                return []
            units = track.process(tag, timestamp_ms)
        except InputFaultError as error:
            if track is None:
                self._ignore(track_id, error.detail)
            else:
                self._log_damage("encoder's further track is damaged", track_id=track_id, detail=error.detail)
                track.drop(error.detail)
            return []
        if track.has_b_frames:
            self._ignore(track_id, "it has B-frames")
        return units

    def _add(self, track_id: int, tag: VideoTag) -> None:
        """Add a track by its configuration. Raises InputFaultError."""
        if tag.type is not VideoTagType.CONFIGURATION:
            return
        if self._is_complete:
            self._ignore(track_id, "its configuration came after the stream had started")
        elif len(self._tracks) >= MAX_FURTHER_TRACKS:
            self._ignore(track_id, f"only {MAX_VIDEO_TRACKS} video tracks are forwarded")
        else:
            track = _FurtherTrack(number=len(self._tracks) + 1, timeline=self._timeline)
            track.video.configure(tag.body)
            self._tracks[track_id] = track

    def _ignore(self, track_id: int, detail: str) -> None:
        if track_id not in self._ignored:
            self._ignored.add(track_id)
            self._log_damage("encoder's further track is ignored", track_id=track_id, detail=detail)


def _has_b_slice(frame: VideoFrame) -> bool:
    """Whether a frame has a slice of type B. Later fragments of a NAL unit have no slice header."""
    return any(
        h264.slice_type(unit) is h264.SliceType.B
        for payload in frame.payloads
        if not h264.continues_nal_unit(payload)
        for unit in h264.nal_units(payload)
    )
