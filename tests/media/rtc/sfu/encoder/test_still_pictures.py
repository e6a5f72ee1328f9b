"""Viewers of an encoder whose lines do not carry its video: they are sent its keyframes alone."""

from collections.abc import Callable

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.connection_statistics import LayerReason
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.encoder.encoder_track import EncoderTrack
from stagebook.media.rtc.sfu.encoder.gop_cache import GopCache
from stagebook.media.rtc.sfu.encoder.replay_pacer import ReplayPacer
from stagebook.media.rtc.sfu.encoder.still_pictures import STILL_SHARE, StillPictures
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.timer.engine_timer import TICK_SECONDS
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack
from tests.media.rtc.operation_count import count_operations
from tests.media.rtc.sfu.encoder.encoder_track_scenario import frames_of, is_decodable
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.sending.manual_timers import ManualTimers

FRAMES_PER_SECOND = 32
FRAMES_PER_GOP = 2 * FRAMES_PER_SECOND
FRAMES_PER_TICK = round(FRAMES_PER_SECOND * TICK_SECONDS)
KEYFRAME_PACKETS, FRAME_PACKETS = 80, 10
"""About 130 kbit/s: a packet has some 368 bits."""
NARROW_BPS, WIDE_BPS = 60_000, 3_000_000


class Line:
    """What the line of a viewer carries, as its estimate knows it."""

    def __init__(self) -> None:
        self.estimate_bps: int | None = None
        self.on_estimate_fell: Callable[[float], None] | None = None
        self.is_full = False

    @property
    def known_bps(self) -> int | None:
        """The viewer is never silent."""
        return self.estimate_bps

    def may_raise(self, bitrate_bps: int, now: float) -> bool:  # noqa: ARG002 - the answer does not depend on the time
        """Whether so much fits."""
        return self.estimate_bps is None or bitrate_bps <= self.estimate_bps


class Watching:
    """A viewer of the video."""

    def __init__(self, scenario: "StillScenario", ssrc: int) -> None:
        self.bandwidth = Line()
        self.audio_copies = 1
        self.end = FakeViewer(ssrc=ssrc)
        self.video = ViewerTrack(
            track=scenario.track,
            down_track=self.end.down_track,
            rtx_ssrc=None,
            rtx_payload_type=None,
            rtx_sequence=0,
        )
        self._scenario = scenario

    def narrow(self) -> None:
        """The line becomes too slow for the video."""
        self.bandwidth.estimate_bps, self.bandwidth.is_full = NARROW_BPS, True
        if self.bandwidth.on_estimate_fell is not None:
            self.bandwidth.on_estimate_fell(self._scenario.timers.now)
        self.bandwidth.is_full = False

    def take(self) -> list[RtpPacket]:
        """What has come since the last call."""
        packets = self.end.packets
        self.end.datagrams.clear()
        return packets


class StillScenario:
    """An encoder that sends a keyframe every two seconds."""

    def __init__(self) -> None:
        self.timers = ManualTimers()
        schedule = SendSchedule(
            call_later=self.timers.call_later,
            clock=self.timers.clock,
            isolation=FaultIsolation(clock=self.timers.clock),
        )
        self.track, self.audio = [self._track(kind, schedule) for kind in (MediaKind.VIDEO, MediaKind.AUDIO)]
        self.stills = StillPictures(self.track, self.audio, schedule=schedule)
        self.cache = GopCache()
        self.viewers: list[Watching] = []
        self.number = 0

    def _track(self, kind: MediaKind, schedule: SendSchedule) -> EncoderTrack:
        return EncoderTrack(
            kind=kind,
            codec=Codec.H264 if kind is MediaKind.VIDEO else Codec.OPUS,
            clock_rate=90_000,
            random_bits=lambda _: 7,
            pacer=ReplayPacer(call_later=self.timers.call_later, clock=self.timers.clock),
            on_started=lambda *_: None,
            schedule=schedule,
        )

    def join(self) -> Watching:
        """Add a viewer on a wide line, and let it see the video."""
        viewer = Watching(self, ssrc=len(self.viewers))
        self.viewers.append(viewer)
        viewer.video.start(self.timers.now)
        viewer.bandwidth.estimate_bps = WIDE_BPS
        self.run(4)
        return viewer

    def send_frame(self) -> None:
        """Send the next frame of the encoder."""
        key = self.number % FRAMES_PER_GOP == 0
        self.number += 1
        count = KEYFRAME_PACKETS if key else FRAME_PACKETS
        payloads = [f"{self.number}:{'key' if key else ''}:{index}".encode() for index in range(count)]
        timestamp = round(self.number * 90_000 / FRAMES_PER_SECOND)
        self.cache.add(payloads, is_keyframe=key)
        self.track.send(payloads, timestamp=timestamp, can_start=key, gop=self.cache.current, now=self.timers.now)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / TICK_SECONDS)):
            for _ in range(FRAMES_PER_TICK):
                self.send_frame()
                self.timers.advance(1 / FRAMES_PER_SECOND)
            self.stills.handle_timers(self.viewers, self.timers.now)

    def reason(self, viewer: Watching) -> LayerReason:
        return self.stills.reason(viewer, viewer.video)


def test_a_viewer_on_a_narrow_line_is_sent_complete_keyframes_alone() -> None:
    scenario = StillScenario()
    viewer = scenario.join()
    viewer.narrow()
    before = viewer.take()
    scenario.run(10)
    frames = frames_of([before[-1]._replace(payload=b"0::0", marker=1), *viewer.take()])[1:]
    assert len(frames) >= 4
    assert all(is_key for _, is_key in frames)
    assert scenario.reason(viewer) is LayerReason.BANDWIDTH


def test_a_still_picture_never_takes_more_than_its_share_of_the_line() -> None:
    scenario = StillScenario()
    viewer = scenario.join()
    viewer.narrow()
    scenario.run(4)
    for _ in range(40):
        viewer.end.datagrams.clear()
        scenario.run(TICK_SECONDS)
        sent_bps = sum(8 * len(each) for each, _ in viewer.end.datagrams) / TICK_SECONDS
        assert sent_bps <= STILL_SHARE * NARROW_BPS * 1.1


def test_a_still_picture_is_not_late_by_its_timestamp_when_it_is_complete() -> None:
    scenario = StillScenario()
    viewer = scenario.join()
    viewer.narrow()
    viewer.end.datagrams.clear()
    complete_at = {}
    for _ in range(40):
        scenario.run(TICK_SECONDS)
        complete_at.update({each.timestamp: scenario.timers.now for each in viewer.take() if each.marker})
    assert complete_at
    for timestamp, at in complete_at.items():
        due = timestamp / 90_000 - 1 / FRAMES_PER_SECOND + 100.0
        assert abs(at - due) <= TICK_SECONDS + 0.05


def test_the_video_goes_on_at_a_keyframe_when_the_line_carries_it_again() -> None:
    scenario = StillScenario()
    viewer, other = scenario.join(), scenario.join()
    packets = viewer.take()
    viewer.narrow()
    scenario.run(9)
    viewer.bandwidth.estimate_bps = WIDE_BPS
    scenario.run(6)
    frames = frames_of([*packets, *viewer.take()])
    assert is_decodable(frames)
    last = [number for number, _ in frames[-2 * FRAMES_PER_SECOND :]]
    assert last == list(range(scenario.number - len(last) + 1, scenario.number + 1))
    assert scenario.reason(viewer) is LayerReason.BEST
    others = [number for number, _ in frames_of(other.take())]
    assert others[-1] - others[0] == len(others) - 1


def test_lines_that_carry_all_that_they_are_sent_keep_the_video_below_a_low_estimate() -> None:
    scenario = StillScenario()
    viewer = scenario.join()
    viewer.bandwidth.estimate_bps = NARROW_BPS
    scenario.run(3)
    assert scenario.reason(viewer) is LayerReason.BEST


def test_a_packet_of_a_still_picture_can_be_retransmitted() -> None:
    scenario = StillScenario()
    viewer = scenario.join()
    viewer.narrow()
    viewer.end.datagrams.clear()
    scenario.run(3)
    sent = viewer.take()[-1]
    found = scenario.track.find_sent(viewer.end.down_track, sent.sequence)
    assert found is not None
    assert found.payload == sent.payload


def test_a_viewer_that_stops_its_video_gets_no_stills_and_goes_on_with_its_numbers() -> None:
    scenario = StillScenario()
    viewer = scenario.join()
    packets = viewer.take()
    viewer.narrow()
    scenario.run(0.5)
    viewer.video.pause(scenario.timers.now)
    packets += viewer.take()
    scenario.run(3)
    assert viewer.take() == []
    assert scenario.reason(viewer) is LayerReason.CHOSEN
    viewer.bandwidth.estimate_bps = WIDE_BPS
    viewer.video.resume(scenario.timers.now)
    scenario.run(3)
    packets += viewer.take()
    assert [(each.sequence - packets[0].sequence) & 0xFFFF for each in packets] == list(range(len(packets)))


def test_a_viewer_that_leaves_is_sent_no_more_of_its_picture() -> None:
    scenario = StillScenario()
    viewer = scenario.join()
    viewer.narrow()
    scenario.run(0.5)
    viewer.video.close()
    scenario.viewers.remove(viewer)
    viewer.end.datagrams.clear()
    scenario.run(2)
    assert viewer.end.datagrams == []


def test_the_choice_for_a_viewer_costs_little() -> None:
    scenario = StillScenario()
    scenario.join()

    def choose() -> None:
        scenario.stills.handle_timers(scenario.viewers, scenario.timers.now)

    one = count_operations(choose)
    for _ in range(4):
        scenario.join()
    assert count_operations(choose) - one < 4 * 400
