"""The packets of a WebRTC publisher as frames: repair, loss, codecs, and publishers that follow each other."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.rtc.sfu.relay.relay_messages import PacketRelayed, PublisherGone, ReportRelayed
from stagebook.media.tap.source_tap import PATIENCE_SECONDS
from tests.media.rtc.packets import one_byte_extension, red, rtp
from tests.media.tap.sent_packets import h264_frames, media_packets, normalised, vp8_frames
from tests.media.tap.tapped_publisher import AUDIO_TYPE, RED_TYPE, REPAIRED_RID_ID, TappedPublisher, publisher_plan


def test_audio_and_video_come_with_their_times() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames()[:3])
    publisher.say(b"one", b"two")
    assert [frame.body for frame in publisher.video] == [normalised(frame) for frame in h264_frames()[:3]]
    assert [frame.body for frame in publisher.audio] == [b"one", b"two"]
    assert [frame.is_keyframe for frame in publisher.video] == [True, False, False]
    assert [after.time_us - before.time_us for before, after in pairwise(publisher.video)] == [33_333, 33_334]
    assert publisher.audio[1].time_us - publisher.audio[0].time_us == 20_000
    assert not any(frame.is_after_loss or frame.is_new_stream for frame in publisher.frames)


def test_a_keyframe_is_requested_of_a_stream_that_is_joined() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames()[3:6])
    assert publisher.asked == [1]
    assert publisher.frames == []
    publisher.pass_time(1)
    assert publisher.asked == [1, 1]
    publisher.send(h264_frames()[0], at=90_000)
    publisher.pass_time(2)
    assert publisher.asked == [1, 1]
    assert len(publisher.frames) == 1


def test_no_keyframe_is_requested_of_a_stream_that_begins() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames())
    assert publisher.asked == []


def test_keyframe_requests_keep_their_pace() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames())
    for _ in range(40):
        publisher.tap.request_keyframe(publisher.now)
        publisher.pass_time(0.1)
    assert len(publisher.asked) in (4, 5)


def drop_one(publisher: TappedPublisher) -> tuple[int, bytes]:
    """Send a keyframe and two frames, of which the first packet of the second is lost: its number and payload."""
    first, second, third = h264_frames()[:3]
    publisher.send(first)
    lost, *rest = media_packets(Codec.H264, [second], timestamp=3000)
    sequence = publisher.sequences[1] & 0xFFFF
    publisher.sequences[1] += 1
    for packet in rest:
        publisher.relay(publisher.packet_of(packet, ssrc=1, payload_type=96))
    publisher.send(third, at=6000)
    assert len(publisher.video) == 1
    return sequence, lost.payload


def rtx(sequence: int, payload: bytes, **fields: object) -> bytes:
    is_single = len(list(media_packets(Codec.H264, [h264_frames()[1]]))) == 1
    packet = {"payload_type": 97, "ssrc": 2, "timestamp": 3000, "marker": is_single, **fields}
    return rtp(sequence.to_bytes(2) + payload, **packet)  # type: ignore[arg-type]


def test_a_lost_packet_is_waited_for_and_comes_by_rtx() -> None:
    publisher = TappedPublisher()
    publisher.relay(rtx(*drop_one(publisher)))
    assert [frame.body for frame in publisher.video] == [normalised(frame) for frame in h264_frames()[:3]]
    assert not any(frame.is_after_loss for frame in publisher.video)


def test_retransmissions_of_other_numbers_are_dropped() -> None:
    publisher = TappedPublisher()
    publisher.start(publisher_plan("other"), {1: "a"})
    publisher.send(*h264_frames()[:1])
    for sequence in (20_000, 20_001, 65_499, 65_500, 20_002):
        publisher.relay(rtx(sequence, b"\x41\x9a", ssrc=2, extension=one_byte_extension({REPAIRED_RID_ID: b"a"})))
    publisher.send(*h264_frames()[1:3], at=3000)
    assert [frame.body for frame in publisher.video] == [normalised(frame) for frame in h264_frames()[:3]]


def test_rtx_is_found_by_the_description_and_by_the_repaired_rid() -> None:
    for changes, fields in (
        ({"ssrcs": (1, 3), "rtx_of": {2: 1}}, {}),
        ({"rids": ("a", "b")}, {"extension": one_byte_extension({REPAIRED_RID_ID: b"a"})}),
    ):
        publisher = TappedPublisher()
        publisher.start(publisher_plan("other", **changes), {1: "a"})
        publisher.send(*h264_frames()[:1])
        publisher.pass_time(1)
        lost, *_ = media_packets(Codec.H264, [h264_frames()[1]], timestamp=3000)
        sequence = publisher.sequences[1] & 0xFFFF
        publisher.sequences[1] += 1
        publisher.send(h264_frames()[2], at=6000)
        publisher.relay(rtx(sequence, lost.payload, **fields))
        assert len(publisher.video) == 3


def test_what_waits_for_a_lost_packet_is_handed_on_at_the_end() -> None:
    publisher = TappedPublisher()
    drop_one(publisher)
    publisher.send(h264_frames()[0], at=9000)
    assert len(publisher.video) == 1
    end_us = publisher.end()
    # The pictures between the loss and the keyframe cannot be decoded.
    assert [frame.is_keyframe for frame in publisher.video] == [True, True]
    assert publisher.video[1].is_after_loss
    assert end_us == publisher.video[1].time_us


def test_the_end_counts_also_if_its_pictures_cannot_be_decoded() -> None:
    publisher = TappedPublisher()
    drop_one(publisher)
    for number in range(10):
        publisher.send(h264_frames()[2], at=9000 + 3000 * number)
    assert len(publisher.video) == 1
    end_us = publisher.end()
    assert len(publisher.video) == 1
    # Twelve pictures after the first one.
    assert end_us is not None
    assert end_us - publisher.video[0].time_us == pytest.approx(12_000_000 / 30, abs=40_000)


def test_a_publisher_that_sent_nothing_has_no_end() -> None:
    assert TappedPublisher().end() is None


def test_what_waits_of_a_publisher_is_handed_on_before_the_next_one_begins() -> None:
    publisher = TappedPublisher()
    drop_one(publisher)
    publisher.send(h264_frames()[0], at=9000)
    publisher.tap.receive(PublisherGone(), publisher.now)
    publisher.start(publisher_plan("other"))
    publisher.send(h264_frames()[0], ssrc=5, at=500_000)
    assert [frame.is_new_stream for frame in publisher.video] == [False, False, True]


def test_after_a_loss_video_goes_on_with_a_keyframe() -> None:
    publisher = TappedPublisher()
    drop_one(publisher)
    publisher.pass_time(PATIENCE_SECONDS)
    publisher.send(h264_frames()[3], at=9000)
    assert publisher.asked == [1]
    assert len(publisher.video) == 1
    publisher.send(*h264_frames()[:2], at=90_000)
    assert [frame.is_after_loss for frame in publisher.video] == [False, True, False]
    assert [frame.is_new_stream for frame in publisher.video] == [False, False, False]


def test_lost_audio_is_told_and_audio_goes_on() -> None:
    publisher = TappedPublisher()
    publisher.say(b"one")
    publisher.sequences[7] += 1
    publisher.say(b"three", b"four", at=1920)
    assert len(publisher.audio) == 1
    publisher.pass_time(PATIENCE_SECONDS)
    assert [(frame.body, frame.is_after_loss) for frame in publisher.audio] == [
        (b"one", False),
        (b"three", True),
        (b"four", False),
    ]


def test_redundant_audio_is_handed_on_once_and_fills_gaps() -> None:
    publisher = TappedPublisher()
    spoken = [b"one", b"two", b"three", b"four"]
    for number, own in enumerate(spoken):
        repeated = [(960 * back, spoken[number - back]) for back in (2, 1) if number >= back]
        if number != 2:
            publisher.relay(
                rtp(red(own, repeated), payload_type=RED_TYPE, sequence=number, timestamp=960 * number, ssrc=7)
            )
        publisher.pass_time(0.02)
    assert [frame.body for frame in publisher.audio] == spoken
    assert {after.time_us - before.time_us for before, after in pairwise(publisher.audio)} == {20_000}


def test_packets_that_are_not_negotiated_or_malformed_are_dropped() -> None:
    publisher = TappedPublisher()
    for packet in (b"", b"\0" * 12, rtp(payload_type=5), rtp(b"", payload_type=97), rtp(b"x", payload_type=RED_TYPE)):
        publisher.relay(packet)
    publisher.tap.receive(ReportRelayed(compound=b"nonsense"), publisher.now)
    publisher.send(*h264_frames()[:2])
    assert len(publisher.video) == 2


def test_another_publisher_goes_on_in_the_same_tap() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames()[:2])
    publisher.say(b"one")
    publisher.tap.receive(PublisherGone(), publisher.now)
    publisher.send(h264_frames()[2], at=6000)
    assert len(publisher.video) == 2
    publisher.pass_time(3)
    publisher.start(publisher_plan("other"))
    publisher.send(*h264_frames()[:2], ssrc=21, at=77)
    publisher.say(b"two", b"three", ssrc=27, at=5)
    assert [frame.is_new_stream for frame in publisher.video] == [False, False, True, False]
    assert [frame.is_new_stream for frame in publisher.audio] == [False, True, False]
    gap_us = publisher.video[2].time_us - publisher.video[1].time_us
    assert 3_000_000 < gap_us < 3_300_000


def test_a_publisher_that_goes_on_with_another_codec_is_a_new_stream() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames()[:2])
    # The engine reacts to the first packet of the other codec.
    first, *rest = media_packets(Codec.VP8, vp8_frames()[:2], timestamp=6000)
    publisher.relay(publisher.packet_of(first, ssrc=1, payload_type=98))
    publisher.tap.receive(PublisherGone(), publisher.now)
    publisher.start(publisher_plan(codec=Codec.VP8))
    for packet in rest:
        publisher.relay(publisher.packet_of(packet, ssrc=1, payload_type=98))
    assert [frame.codec for frame in publisher.video] == [Codec.H264, Codec.H264, Codec.VP8, Codec.VP8]
    assert [frame.is_new_stream for frame in publisher.video] == [False, False, True, False]


def test_another_picture_size_is_a_new_stream() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames()[:2], *h264_frames(2, 640, 480))
    assert [frame.is_new_stream for frame in publisher.video] == [False, False, True, False]


def test_a_sender_that_goes_on_with_another_ssrc_is_followed_at_once() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames()[:2])
    publisher.send(*h264_frames()[:2], ssrc=2, at=500_000)
    publisher.say(b"one")
    publisher.say(b"two", ssrc=8, at=70_000)
    assert len(publisher.video) == 4
    assert len(publisher.audio) == 2


def test_a_publisher_that_is_muted_for_long_goes_on_as_before() -> None:
    publisher = TappedPublisher()
    publisher.send(*h264_frames()[:2])
    publisher.say(b"one")
    publisher.pass_time(60)
    publisher.send(h264_frames()[2], at=60 * 90_000)
    publisher.say(b"two", at=60 * 48_000)
    assert publisher.asked == []
    assert len(publisher.video) == 3
    assert len(publisher.audio) == 2


def test_reports_synchronise_audio_and_video() -> None:
    publisher = TappedPublisher()
    frame = h264_frames()[0]
    for number in range(200):
        # The video is captured 150 ms before it is sent.
        publisher.send(frame, at=3000 * number - 13_500 & 0xFFFFFFFF)
        publisher.relay(rtp(b"a", payload_type=AUDIO_TYPE, ssrc=7, sequence=number, timestamp=1600 * number))
        if number % 30 == 0:
            publisher.report(ssrc=1, ntp_seconds=4e9 + number / 30, timestamp=3000 * number & 0xFFFFFFFF)
            publisher.report(ssrc=7, ntp_seconds=4e9 + number / 30, timestamp=1600 * number)
    difference_us = publisher.audio[-1].time_us - publisher.video[-1].time_us
    assert abs(difference_us - 150_000) < 40_000


@given(packets=st.lists(st.binary(max_size=60), max_size=20), heads=st.binary(min_size=20, max_size=20))
def test_no_packet_raises(packets: list[bytes], heads: bytes) -> None:
    publisher = TappedPublisher()
    for packet, head in zip(packets, heads, strict=False):
        types = (96, 97, 98, 99, AUDIO_TYPE, RED_TYPE)
        publisher.tap.receive(
            PacketRelayed(packet=rtp(packet, payload_type=types[head % 6], sequence=head, ssrc=head // 64)),
            publisher.now,
        )
        publisher.tap.receive(ReportRelayed(compound=packet), publisher.now)
        publisher.pass_time(0.5)
