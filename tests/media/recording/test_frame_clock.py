"""Frames whose time does not agree: what is kept, moved, left out, and what begins a part."""

from collections.abc import Iterable

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.recording.frame_clock import DOUBT_MS, FrameClock
from stagebook.media.recording.recording_timeline import RecordingTimeline
from stagebook.media.tap.tapped_frame import TappedFrame

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO
HOUR_US = 3_600_000_000
STEP_MS = 20


class SentFrames:
    """A frame clock with its timeline, in virtual time. Each kind sends a frame every STEP_MS."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.may_begin_part = True
        self.placed: list[tuple[MediaKind, int]] = []
        self.parts = 0
        self.gaps: list[MediaKind] = []
        self.timeline = RecordingTimeline(now_ms=lambda: self.now_ms)
        self.clock = FrameClock(self.timeline, now_ms=lambda: self.now_ms, may_begin_part=lambda: self.may_begin_part)

    def send(self, kind: MediaKind, time_us: int) -> None:
        """Feed one frame, as a recorder does."""
        frame = TappedFrame(kind=kind, codec=Codec.OPUS, time_us=time_us, body=b"body", is_keyframe=True)
        for timed in self.clock.take(frame):
            if timed.begins_part:
                self.parts += 1
                self.timeline.resume_at(max(time_us for _, time_us in self.placed))
            if timed.is_after_gap:
                self.gaps.append(timed.frame.kind)
            time_us = self.timeline.place(timed.frame.kind, timed.frame.time_us, arrived_ms=timed.arrived_ms)
            self.placed.append((timed.frame.kind, time_us))

    def play(self, steps: int, *, kinds: Iterable[MediaKind] = (AUDIO, VIDEO), **offsets_us: int) -> None:
        """Let the kinds send. `audio_us` and `video_us` are added to the times of their frames."""
        for _ in range(steps):
            self.now_ms += STEP_MS
            for kind in kinds:
                offset_us = offsets_us.get("audio_us" if kind is AUDIO else "video_us", 0)
                self.send(kind, self.now_ms * 1_000 + offset_us)

    def count(self, kind: MediaKind) -> int:
        """How many frames of a kind were placed."""
        return sum(each is kind for each, _ in self.placed)


def test_frames_that_agree_are_placed_at_once() -> None:
    frames = SentFrames()
    frames.play(100)
    assert frames.placed[-1] == (VIDEO, 99 * STEP_MS * 1_000)
    assert (frames.parts, frames.gaps) == (0, [])


def test_a_clock_that_jumps_begins_one_part_and_loses_nothing() -> None:
    for jump_us in (HOUR_US, -HOUR_US):
        frames = SentFrames()
        frames.play(100)
        frames.play(100, audio_us=jump_us, video_us=jump_us)
        assert frames.parts == 1
        assert (frames.count(AUDIO), frames.count(VIDEO)) == (200, 200)


def test_a_clock_of_video_alone_that_jumps_begins_one_part_and_loses_nothing() -> None:
    frames = SentFrames()
    frames.play(100, kinds=[VIDEO])
    frames.play(100, kinds=[VIDEO], video_us=HOUR_US)
    assert frames.parts == 1
    assert frames.count(VIDEO) == 200


def test_video_that_lags_is_moved_without_a_part() -> None:
    frames = SentFrames()
    frames.play(100)
    for lag_seconds in range(1, 9):
        frames.play(100, video_us=-lag_seconds * 1_000_000)
    assert frames.parts == 0
    assert frames.gaps == []
    assert (frames.count(AUDIO), frames.count(VIDEO)) == (900, 900)
    assert abs(frames.placed[-1][1] - frames.placed[-2][1]) <= 2_000_000


def test_audio_that_jumps_alone_is_moved_without_a_part() -> None:
    for jump_us in (HOUR_US, -HOUR_US):
        frames = SentFrames()
        frames.play(100)
        frames.play(100, audio_us=jump_us)
        assert frames.parts == 0
        assert frames.placed[-2] == (AUDIO, frames.placed[-1][1])


def test_one_wrong_time_is_left_out() -> None:
    frames = SentFrames()
    frames.play(100)
    frames.send(VIDEO, HOUR_US)
    frames.play(100)
    assert (frames.parts, frames.gaps) == (0, [VIDEO])
    assert frames.count(VIDEO) == 200


def test_a_jump_is_mapped_if_no_part_may_begin() -> None:
    frames = SentFrames()
    frames.play(100)
    frames.may_begin_part = False
    frames.play(100, audio_us=HOUR_US, video_us=HOUR_US)
    assert frames.parts == 0
    assert (frames.count(AUDIO), frames.count(VIDEO)) == (200, 200)
    assert abs(frames.placed[-1][1] - 199 * STEP_MS * 1_000) <= STEP_MS * 1_000


def test_what_is_kept_is_bounded() -> None:
    frames = SentFrames()
    frames.play(100)
    for number in range(1_000):
        # The wall clock stands still.
        frames.send(VIDEO, HOUR_US + number)
    assert frames.count(VIDEO) > 800


def test_a_doubt_lasts_a_second() -> None:
    frames = SentFrames()
    frames.play(100)
    frames.play(DOUBT_MS // STEP_MS, video_us=-5_000_000)
    assert frames.count(VIDEO) == 100
    frames.play(1, video_us=-5_000_000)
    assert frames.count(VIDEO) == 100 + DOUBT_MS // STEP_MS + 1
