"""One track of a source: the start of viewers, and what is kept for them."""

from stagebook.media.codecs.codec_names import Codec, MediaKind
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.source_track import HISTORY_PACKETS
from tests.media.rtc.sfu.fake_viewer import FakeViewer


def track(kind: MediaKind = MediaKind.VIDEO, *, start: int = 1000) -> PublishedTrack:
    """A track that follows a stream from `start` on; viewers begin at 7."""
    made = PublishedTrack(
        kind=kind,
        codec=Codec.VP8 if kind is MediaKind.VIDEO else Codec.OPUS,
        clock_rate=90_000,
        random_bits=lambda _: 7,
    )
    made.switch(sequence=start, timestamp=0, now=0.0)
    return made


def send(made: PublishedTrack, sequence: int, *, can_start: bool = False, payload: bytes = b"payload") -> None:
    """Bring one packet."""
    made.forward(
        sequence=sequence & 0xFFFF,
        marker=0,
        timestamp=sequence * 10,
        payload=payload,
        now=sequence / 100,
        can_start=can_start,
    )


def test_a_viewer_begins_where_it_can_with_a_low_number() -> None:
    made, viewer = track(start=65530), FakeViewer()
    made.add(viewer.down_track, 0.0)
    send(made, 65530)
    assert not made.has_started(viewer.down_track)
    send(made, 65531, can_start=True)
    send(made, 65532)
    assert [packet.sequence for packet in viewer.packets] == [7, 8]


def test_a_viewer_that_left_gets_nothing_more() -> None:
    made, viewer, waiting = track(), FakeViewer(ssrc=1), FakeViewer(ssrc=2)
    made.add(viewer.down_track, 0.0)
    send(made, 1000, can_start=True)
    made.add(waiting.down_track, 0.0)
    for gone in (viewer, waiting, FakeViewer(ssrc=3)):
        made.remove(gone.down_track)
    send(made, 1001, can_start=True)
    assert len(viewer.packets) == 1
    assert waiting.packets == []
    assert made.find_sent(viewer.down_track, 7) is None


def test_kept_packets_are_found_by_the_viewers_own_numbers() -> None:
    made, viewer = track(), FakeViewer()
    made.add(viewer.down_track, 0.0)
    send(made, 1000, can_start=True, payload=b"one")
    send(made, 1001, payload=b"two")
    found = made.find_sent(viewer.down_track, 8)
    assert found is not None
    assert found.payload == b"two"
    assert made.find_sent(viewer.down_track, 9) is None


def test_what_was_before_a_viewers_start_is_not_for_it() -> None:
    made, viewer = track(), FakeViewer()
    send(made, 1000)
    made.add(viewer.down_track, 0.0)
    send(made, 1001, can_start=True)
    assert made.find_sent(viewer.down_track, 7) is not None
    assert made.find_sent(viewer.down_track, 6) is None


def test_only_the_last_packets_are_kept() -> None:
    made, viewer = track(), FakeViewer()
    made.add(viewer.down_track, 0.0)
    for sequence in range(1000, 1000 + HISTORY_PACKETS + 1):
        send(made, sequence, can_start=True)
    assert made.find_sent(viewer.down_track, 7) is None
    assert made.find_sent(viewer.down_track, 8) is not None


def test_octets_count_from_a_viewers_own_start() -> None:
    made, viewer = track(), FakeViewer()
    send(made, 1000, payload=b"before")
    made.add(viewer.down_track, 0.0)
    send(made, 1001, can_start=True, payload=b"12345")
    send(made, 1002, payload=b"67")
    assert made.sent_octets(viewer.down_track) == 7


def test_the_time_goes_on_after_the_last_packet() -> None:
    made = track()
    assert made.timestamp_at(0.0) is None
    send(made, 1000)
    assert made.timestamp_at(10.0 + 0.5) == 10_000 + 45_000
