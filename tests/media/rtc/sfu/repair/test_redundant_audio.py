"""Audio with redundancy (RED) to the viewers that lose packets."""

from collections.abc import Sequence

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.ice.udp_socket import Address, Path
from stagebook.media.rtc.rtp import red_payload
from stagebook.media.rtc.rtp.red_payload import RepeatedFrame, unpack_red
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu import source_track
from stagebook.media.rtc.sfu.published_track import PublishedTrack
from stagebook.media.rtc.sfu.viewer_track import RED_LOSS, RED_SECONDS, RED_START_SECONDS, ViewerTrack
from tests.media.rtc.sfu.fake_viewer import FakeViewer
from tests.media.rtc.sfu.test_source_track import make_track, send

OPUS, RED = 100, 63


class RecordingSocket:
    """A socket whose datagrams a viewer records."""

    waited_seconds = 0.0

    def __init__(self, viewer: FakeViewer) -> None:
        self._sendto = viewer.down_track.sendto
        self.send_run = viewer.down_track.send_run

    def sendto(self, data: memoryview | bytes, address: Address) -> int:
        return self._sendto(memoryview(data), address)

    def send(self, datagram: bytes, address: Address) -> None:
        self.sendto(memoryview(datagram), address)


def watch(
    track: PublishedTrack, viewer: FakeViewer, *, has_red: bool = True, cannot_repair: bool = False
) -> ViewerTrack:
    viewer_track = ViewerTrack(
        track=track,
        down_track=viewer.down_track,
        rtx_ssrc=None,
        rtx_payload_type=None,
        rtx_sequence=0,
        red_payload_type=RED if has_red else None,
        cannot_repair=cannot_repair,
    )
    viewer_track.start(-RED_START_SECONDS)
    viewer_track.follow_loss(0.0, 0.0)
    return viewer_track


def frames(packet: RtpPacket) -> tuple[bytes, tuple[RepeatedFrame, ...]]:
    audio = unpack_red(packet.payload, OPUS)
    assert packet.payload_type == RED
    assert audio is not None
    return audio.payload, audio.repeated


def test_a_viewer_without_loss_is_sent_plain_opus() -> None:
    track, viewer = make_track(MediaKind.AUDIO), FakeViewer()
    viewer_track = watch(track, viewer)
    send(track, 1000, can_start=True, payload=b"one")
    viewer_track.follow_loss(RED_LOSS, 1.0)
    send(track, 1001, can_start=True, payload=b"two")
    assert [(packet.payload_type, packet.payload) for packet in viewer.packets] == [(OPUS, b"one"), (OPUS, b"two")]


def test_a_viewer_begins_with_redundancy() -> None:
    track, viewer = make_track(MediaKind.AUDIO), FakeViewer()
    viewer_track = watch(track, viewer)
    viewer_track.start(1.0)
    send(track, 1000, can_start=True, payload=b"one")
    viewer_track.follow_loss(0.0, 1.0 + RED_START_SECONDS)
    send(track, 1001, can_start=True, payload=b"two")
    assert [packet.payload_type for packet in viewer.packets] == [RED, OPUS]


def test_a_viewer_with_loss_is_sent_each_frame_again_for_a_while() -> None:
    track, viewer = make_track(MediaKind.AUDIO), FakeViewer()
    viewer_track = watch(track, viewer)
    send(track, 1000, can_start=True, payload=b"one")
    viewer_track.follow_loss(0.05, 1.0)
    send(track, 1001, can_start=True, payload=b"two")
    send(track, 1002, can_start=True, payload=b"three")
    viewer_track.follow_loss(0.0, 1.0 + RED_SECONDS)
    send(track, 1003, can_start=True, payload=b"four")
    plain, two, three, four = viewer.packets
    assert [packet.sequence for packet in (plain, two, three, four)] == [7, 8, 9, 10]
    assert frames(two) == (b"two", (RepeatedFrame(1, 10, b"one"),))
    assert frames(three) == (b"three", (RepeatedFrame(2, 20, b"one"), RepeatedFrame(1, 10, b"two")))
    assert (four.payload_type, four.payload) == (OPUS, b"four")


def test_a_frame_behind_a_gap_repeats_nothing() -> None:
    track, viewer = make_track(MediaKind.AUDIO), FakeViewer()
    watch(track, viewer).follow_loss(0.05, 1.0)
    send(track, 1000, can_start=True, payload=b"one")
    send(track, 1002, can_start=True, payload=b"three")
    assert [frames(packet) for packet in viewer.packets] == [(b"one", ()), (b"three", ())]


def test_the_payload_is_made_once_for_all_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def count(payload: bytes, payload_type: int, repeated: Sequence[tuple[int, bytes]] = ()) -> bytes:
        made.append(payload)
        return red_payload.pack_red(payload, payload_type, repeated)

    monkeypatch.setattr(source_track, "pack_red", count)
    track = make_track(MediaKind.AUDIO)
    viewers = [FakeViewer(ssrc=ssrc) for ssrc in range(1, 6)]
    for viewer in viewers:
        watch(track, viewer).follow_loss(0.05, 1.0)
    send(track, 1000, can_start=True, payload=b"one")
    assert made == [b"one"]
    assert all(frames(viewer.packets[0]) == (b"one", ()) for viewer in viewers)


def test_viewers_without_red_and_those_that_leave_are_not_concerned() -> None:
    track, plain, gone = make_track(MediaKind.AUDIO), FakeViewer(ssrc=1), FakeViewer(ssrc=2)
    watch(track, plain, has_red=False).follow_loss(0.5, 1.0)
    leaving = watch(track, gone)
    leaving.follow_loss(0.5, 1.0)
    send(track, 1000, can_start=True, payload=b"one")
    leaving.close()
    send(track, 1001, can_start=True, payload=b"two")
    assert [packet.payload for packet in plain.packets] == [b"one", b"two"]
    assert len(gone.datagrams) == 1
    assert track._red_queues == {}


def test_audio_that_may_be_redundant_is_not_sent_again() -> None:
    track, viewer = make_track(MediaKind.AUDIO), FakeViewer()
    viewer_track = watch(track, viewer)
    send(track, 1000, can_start=True, payload=b"one")
    other = FakeViewer(ssrc=9)
    plain = watch(track, other, has_red=False)
    send(track, 1001, can_start=True, payload=b"two")
    assert viewer_track.sent_size(8) is None
    assert plain.sent_size(7) is not None


def test_a_viewer_that_cannot_repair_audio_is_sent_each_packet_twice_while_it_loses_packets() -> None:
    track, viewer = make_track(MediaKind.AUDIO), FakeViewer()
    viewer_track = watch(track, viewer, has_red=False, cannot_repair=True)
    viewer.down_track.set_path(Path(RecordingSocket(viewer), ("192.0.2.1", 5)))
    for sequence, loss in ((1000, 0.0), (1001, 0.05), (1002, 0.0)):
        viewer_track.follow_loss(loss, 1.0)
        send(track, sequence, can_start=True, payload=b"frame")
    assert viewer_track.copies == 2
    viewer_track.follow_loss(0.0, 1.0 + RED_SECONDS)
    send(track, 1003, can_start=True, payload=b"frame")
    one, two, three, again, four = (datagram for datagram, _ in viewer.datagrams)
    assert again == two
    assert len({one, two, three, four}) == 4
    assert viewer_track.copies == 1
