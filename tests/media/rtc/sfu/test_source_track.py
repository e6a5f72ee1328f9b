"""A track of a source: where viewers start, their own sequence numbers, and the packets kept for retransmission."""

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.sfu.fault_isolation import FaultIsolation
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.sending.send_schedule import SendSchedule
from stagebook.media.rtc.sfu.simulcast.picture_layers import PictureLayer
from stagebook.media.rtc.sfu.source_track import HISTORY_PACKETS
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.sending.manual_timers import ManualTimers


def make_track(
    kind: MediaKind = MediaKind.VIDEO, *, start: int = 1000, schedule: SendSchedule | None = None
) -> PublishedTrack:
    """A track that follows a stream from sequence number `start` on. The first sequence number of a viewer is 7."""
    track = PublishedTrack(
        kind=kind,
        codec=Codec.VP8 if kind is MediaKind.VIDEO else Codec.OPUS,
        clock_rate=90_000,
        random_bits=lambda _: 7,
        schedule=schedule,
    )
    track.switch(sequence=start, timestamp=0, now=0.0)
    return track


def send(track: PublishedTrack, sequence: int, *, can_start: bool = False, payload: bytes = b"payload") -> None:
    """Forward one packet of the followed stream."""
    track.forward(
        sequence=sequence & 0xFFFF,
        marker=0,
        timestamp=sequence * 10,
        payload=payload,
        now=sequence / 100,
        layer=PictureLayer(starts_keyframe=can_start),
    )


def test_a_viewer_starts_at_a_start_point_with_a_low_sequence_number() -> None:
    track, viewer = make_track(start=65530), FakeViewer()
    track.add(viewer.down_track, 0.0)
    send(track, 65530)
    assert not track.has_started(viewer.down_track)
    send(track, 65531, can_start=True)
    send(track, 65532)
    assert [packet.sequence for packet in viewer.packets] == [7, 8]


def test_a_removed_viewer_is_sent_nothing() -> None:
    track, viewer, waiting = make_track(), FakeViewer(ssrc=1), FakeViewer(ssrc=2)
    track.add(viewer.down_track, 0.0)
    send(track, 1000, can_start=True)
    track.add(waiting.down_track, 0.0)
    for removed in (viewer, waiting, FakeViewer(ssrc=3)):
        track.remove(removed.down_track)
    send(track, 1001, can_start=True)
    assert len(viewer.packets) == 1
    assert waiting.packets == []
    assert track.find_sent(viewer.down_track, 7) is None


def test_sent_packets_are_found_by_the_viewers_own_sequence_numbers() -> None:
    track, viewer = make_track(), FakeViewer()
    track.add(viewer.down_track, 0.0)
    send(track, 1000, can_start=True, payload=b"one")
    send(track, 1001, payload=b"two")
    found = track.find_sent(viewer.down_track, 8)
    assert found is not None
    assert found.payload == b"two"
    assert track.find_sent(viewer.down_track, 9) is None


def test_packets_from_before_a_viewers_start_are_not_found() -> None:
    track, viewer = make_track(), FakeViewer()
    send(track, 1000)
    track.add(viewer.down_track, 0.0)
    send(track, 1001, can_start=True)
    assert track.find_sent(viewer.down_track, 7) is not None
    assert track.find_sent(viewer.down_track, 6) is None


def test_only_the_last_packets_are_found() -> None:
    track, viewer = make_track(), FakeViewer()
    track.add(viewer.down_track, 0.0)
    for sequence in range(1000, 1000 + HISTORY_PACKETS + 1):
        send(track, sequence, can_start=True)
    assert track.find_sent(viewer.down_track, 7) is None
    assert track.find_sent(viewer.down_track, 8) is not None


def test_octets_are_counted_from_a_viewers_start() -> None:
    track, viewer = make_track(), FakeViewer()
    send(track, 1000, payload=b"before")
    track.add(viewer.down_track, 0.0)
    send(track, 1001, can_start=True, payload=b"12345")
    send(track, 1002, payload=b"67")
    assert track.sent_octets(viewer.down_track) == 7


def test_the_timestamp_is_extrapolated_from_the_last_packet() -> None:
    track = make_track()
    assert track.timestamp_at(0.0) is None
    send(track, 1000)
    assert track.timestamp_at(10.0 + 0.5) == 10_000 + 45_000


def test_a_run_ends_with_what_waited_to_be_sent() -> None:
    timers = ManualTimers()
    isolation = FaultIsolation(clock=timers.clock)
    schedule = SendSchedule(call_later=timers.call_later, clock=timers.clock, isolation=isolation)
    track, viewer = make_track(schedule=schedule), FakeViewer()
    track.add(viewer.down_track, 0.0)
    send(track, 1000, can_start=True)
    send(track, 1001)
    assert viewer.datagrams == []
    ended = track.end_run(viewer.down_track)
    timers.advance(1.0)
    assert [packet.sequence for packet in viewer.packets] == [7, 8]
    assert ended.next_sequence == 9
