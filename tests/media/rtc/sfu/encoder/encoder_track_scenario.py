"""An encoder's track with its pacer on a fake event loop, and frames sent by the test."""

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.encoder.encoder_track import (
    MIN_REPLAY_INTERVAL_SECONDS,
    EncoderTrack,
)
from stagebook.media.rtc.sfu.encoder.gop_cache import GopCache
from stagebook.media.rtc.sfu.encoder.replay_pacer import ReplayPacer
from tests.media.rtc.sfu.encoder.fake_event_loop import FakeEventLoop
from tests.media.rtc.sfu.fake_viewer import FakeViewer

FRAME_TICKS = 3_000
FIRST_SEQUENCE = 7


class Scenario:
    """A track with its pacer on a fake event loop, frames sent by the test, and viewers."""

    def __init__(self, kind: MediaKind = MediaKind.VIDEO) -> None:
        self.loop = FakeEventLoop()
        self.started: list[DownTrack] = []
        self.track = EncoderTrack(
            kind=kind,
            codec=Codec.H264 if kind is MediaKind.VIDEO else Codec.OPUS,
            clock_rate=90_000,
            random_bits=lambda _: FIRST_SEQUENCE,
            pacer=ReplayPacer(call_later=self.loop.call_later, clock=lambda: self.loop.now),
            on_started=lambda _track, down_track, _now: self.started.append(down_track),
        )
        self.cache = GopCache()
        self.viewers: list[FakeViewer] = []
        self.timestamp = 2**32 - 20 * FRAME_TICKS
        """Wraps during the tests."""
        self.number = 0

    def send_frame(self, *, key: bool = False, packets: int = 1, ahead: int = FRAME_TICKS) -> None:
        """Send the next frame. A payload is `<frame number>:<"key" for a keyframe>:<packet index in the frame>`."""
        self.loop.now += 1 / 30
        self.timestamp += ahead
        self.number += 1
        payloads = [f"{self.number}:{'key' if key else ''}:{index}".encode() for index in range(packets)]
        self.cache.add(payloads, is_keyframe=key)
        self.track.send(payloads, timestamp=self.timestamp, can_start=key, gop=self.cache.current, now=self.loop.now)

    def join(self) -> FakeViewer:
        """Add a viewer."""
        viewer = FakeViewer(ssrc=len(self.viewers))
        self.viewers.append(viewer)
        self.track.add(viewer.down_track, self.loop.now)
        return viewer

    def request_keyframe(self, viewer: FakeViewer, *, later_seconds: float = MIN_REPLAY_INTERVAL_SECONDS) -> None:
        """Let a viewer send a PLI."""
        self.loop.now += later_seconds
        self.track.handle_keyframe_request(viewer.down_track, self.loop.now)

    def switch_feed(self, *, frames: int, ahead: int) -> None:
        """Switch to another feed that has sent `frames` frames since its keyframe; 0 means no keyframe yet."""
        self.cache = GopCache()
        self.number += 1  # a viewer that continued in the previous GOP would see a gap here
        for number in range(frames):
            self.number += 1
            self.cache.add([f"{self.number}:{'' if number else 'key'}:0".encode()], is_keyframe=number == 0)
        self.timestamp += ahead
        self.track.switch_feed(self.cache.current, newest_timestamp=self.timestamp, now=self.loop.now)


def frames_of(packets: list[RtpPacket]) -> list[tuple[int, bool]]:
    """(number, is keyframe) of each frame. Checks that each is complete, has a marker, and has its own timestamp."""
    frames: list[tuple[int, bool]] = []
    expected_index = 0
    previous: RtpPacket | None = None
    for packet in packets:
        number, key, packet_index = packet.payload.decode().split(":")
        assert int(packet_index) == expected_index
        if expected_index == 0:
            frames.append((int(number), key == "key"))
        assert int(number) == frames[-1][0]
        if previous is not None:
            assert packet.sequence == (previous.sequence + 1) & 0xFFFF
            step = (packet.timestamp - previous.timestamp) & 0xFFFFFFFF
            assert step == 0 if expected_index else 0 < step < 2**31
        expected_index = 0 if packet.marker else expected_index + 1
        previous = packet
    return frames


def is_decodable(frames: list[tuple[int, bool]]) -> bool:
    """Whether the first frame is a keyframe and every other frame is a keyframe or follows its predecessor."""
    previous_frames = [(0, False), *frames]
    return all(
        key or number == previous + 1 for (previous, _), (number, key) in zip(previous_frames, frames, strict=False)
    ) and (not frames or frames[0][1])
