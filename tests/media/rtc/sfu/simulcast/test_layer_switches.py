"""Random choices, losses, reordering, stopped layers and replaced publishers: every viewer sees one correct stream."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagebook.media.codecs import vp8
from stagebook.media.codecs.vp8_descriptor import parse_descriptor
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket, timestamp_distance
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.simulcast.switchable_track import SwitchableTrack
from tests.media.rtc.sfu.simulcast.layer_scenario import FRAME_SECONDS, SIZES, LayerScenario, Watching, rid_of

RIDS = tuple(SIZES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("choose"), st.integers(0, 1), st.sampled_from([*RIDS, None])),
        st.tuples(st.just("thin"), st.integers(0, 1), st.sampled_from([0, 1, None])),
        st.tuples(st.just("pause_video"), st.integers(0, 1), st.none()),
        st.tuples(st.just("cut"), st.integers(0, 1), st.none()),
        st.tuples(st.just("frames"), st.integers(1, 12), st.sets(st.sampled_from(RIDS), min_size=1)),
        st.tuples(st.just("lose"), st.integers(1, 3), st.sampled_from(RIDS)),
        st.tuples(st.just("hold"), st.integers(1, 3), st.sampled_from(RIDS)),
        st.tuples(st.just("release"), st.just(0), st.none()),
        st.tuples(st.just("keyframe"), st.just(0), st.sampled_from(RIDS)),
        st.tuples(st.just("pause"), st.integers(1, 60), st.none()),
        st.tuples(st.just("replace"), st.integers(1, 60_000), st.none()),
    ),
    max_size=40,
)


class Switches(LayerScenario):
    """Carries out the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.viewers = [self.watch(ssrc=5), self.watch(ssrc=6)]
        self._held: list[RtpPacket] = []

    def choose(self, number: int, rid: str | None) -> None:
        """Let a viewer choose."""
        self.tracks.choose(self.viewers[number].track, rid, self.now)

    def thin(self, number: int, max_temporal_id: int | None) -> None:
        """Move a viewer to a version of the layer that it is sent."""
        track = self.viewers[number].track
        if isinstance(track.track, SwitchableTrack) and isinstance(track.track.whole, PublishedTrack):
            track.move_to(track.track.whole.version(max_temporal_id), self.now)

    def pause_video(self, number: int, *_: object) -> None:
        """Pause a viewer's video."""
        self.viewers[number].track.pause(self.now)

    def cut(self, number: int, *_: object) -> None:
        """Send a viewer nothing until its next track begins."""
        self.viewers[number].track.cut(self.now)

    def frames(self, number: int, rids: set[str]) -> None:
        """Send frames of these layers; the others are silent."""
        for _ in range(number):
            self.send_frame(*sorted(rids))
        self.tick()

    def lose(self, number: int, rid: str) -> None:
        """Lose packets that continue the frame."""
        for _ in range(number):
            self.packet(rid, number=1)

    def hold(self, number: int, rid: str) -> None:
        """Let packets that continue the frame arrive later."""
        self._held += [self.packet(rid, number=1) for _ in range(number)]

    def release(self, *_: object) -> None:
        """Let the packets arrive that were held."""
        for packet in reversed(self._held):
            self.receive(packet)
        self._held.clear()

    def keyframe(self, _: int, rid: str) -> None:
        """Make the next frame of a layer a keyframe."""
        self.sent[rid].keyframe_is_due = True

    def pause(self, frames: int, *_: object) -> None:
        """Send nothing for a while."""
        self.now += frames * FRAME_SECONDS

    def replace(self, first: int, *_: object) -> None:
        """Let the publisher connect again."""
        self._held.clear()
        self.publish(first=first)


def check(viewer: Watching, *, is_lossy: bool) -> None:
    """The viewer's stream in the order of its numbers has no contradiction, and can be decoded.

    `is_lossy`: packets of the publisher are missing. A thinned stream can have their gap as the last of a layer: the
    packet that shows the gap is left out.
    """
    by_number: dict[int, RtpPacket] = {}
    for packet in viewer.packets:
        assert by_number.setdefault(packet.sequence, packet) == packet
    numbers = sorted(by_number)
    assert all(number >= 7 for number in numbers)
    # An empty packet stands for one that came too late to be left out without a gap.
    ordered = [by_number[number] for number in numbers if by_number[number].payload]
    for before, after in pairwise(ordered):
        assert timestamp_distance(after.timestamp, before.timestamp) >= 0
        if rid_of(after.payload) != rid_of(before.payload):
            assert vp8.starts_keyframe(after.payload)
            assert is_lossy or all(number in by_number for number in range(before.sequence + 1, after.sequence))
            assert after.timestamp != before.timestamp
        check_pictures(before.payload, after.payload)
    assert not ordered or vp8.starts_keyframe(ordered[0].payload)


def check_pictures(before: bytes, after: bytes) -> None:
    """The numbers of VP8 grow by one for each frame, and with each frame of layer 0."""
    first, second = parse_descriptor(before), parse_descriptor(after)
    assert first is not None
    assert second is not None
    assert first.picture_id is not None
    assert second.picture_id is not None
    assert first.tl0 is not None
    assert second.tl0 is not None
    new_frame = (second.picture_id - first.picture_id) & 0x7FFF
    assert new_frame in (0, 1)
    assert (second.tl0 - first.tl0) & 0xFF == int(bool(new_frame) and second.temporal_id == 0)


@settings(max_examples=150, deadline=None)
@given(STEPS)
@example([("thin", 0, 0), ("replace", 1, None), ("frames", 1, {"low"}), ("lose", 1, "low")])
def test_every_viewer_sees_one_stream_whatever_it_chooses(steps: list[tuple[str, int, object]]) -> None:
    scenario = Switches()
    scenario.run(0.2)
    for step in steps:
        name, number, argument = step
        action: Callable[[int, object], None] = getattr(scenario, name)
        action(number, argument)
    scenario.run(0.2)
    is_lossy = any(name in ("lose", "hold") for name, *_ in steps)
    for viewer in scenario.viewers:
        check(viewer, is_lossy=is_lossy)
