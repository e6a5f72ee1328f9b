"""RTP and RTCP to a viewer: the start, its own sequence numbers, retransmission, sender reports."""

from typing import cast
from unittest.mock import Mock

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.rtc.ice.ice_lite import IceCredentials, IceLiteAgent
from stagebook.media.rtc.ice.udp_socket import Path
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_fir, write_nack, write_pli, write_sender_report
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from stagebook.media.rtc.sfu.down_track import DownTrack
from stagebook.media.rtc.sfu.publisher import MAX_SENDER_REPORTS_AT_ONCE
from stagebook.media.rtc.sfu.repair.viewer_repair import MAX_RESENDS_AT_ONCE
from stagebook.media.rtc.sfu.source_track import SourceTrack
from stagebook.media.rtc.sfu.statistics.engine_statistics import MediaCounters
from stagebook.media.rtc.sfu.viewer import MAX_KEYFRAME_REQUESTS_AT_ONCE, Viewer
from stagebook.media.rtc.sfu.viewer_track import ViewerTrack
from tests.media.rtc.packets import one_byte_extension, rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RTX_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE
from tests.media.rtc.running_engine import SSRC, running_engine, start_video


async def test_a_viewer_starts_with_a_keyframe_and_gets_its_own_sequence_numbers() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await publisher.send_rtp(rtp(vp8_delta(), sequence=9, timestamp=6000, ssrc=SSRC))
        first = await start_video(engine, publisher, viewer)
        assert first.payload == vp8_keyframe()
        assert first.ssrc != SSRC
        assert first.payload_type == VIDEO_PAYLOAD_TYPE
        await publisher.send_rtp(rtp(vp8_delta(), sequence=12, timestamp=12000, ssrc=SSRC, marker=True))
        second = await viewer.receive_rtp()
        # The gap of one packet is kept, so that the viewer notices the loss.
        assert (second.sequence - first.sequence) & 0xFFFF == 2
        assert second.timestamp - first.timestamp == 3000
        assert (second.ssrc, second.marker) == (first.ssrc, 1)


async def test_the_publishers_header_extensions_are_not_forwarded() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        secret = one_byte_extension({3: b"secret"})
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC, extension=secret))
        packet = await viewer.receive_rtp()
        assert (packet.payload, packet.extension) == (vp8_delta(), b"")


async def test_a_nack_is_answered_by_rtx() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[first.sequence]))
        again = await viewer.receive_rtp()
        assert again.payload_type == RTX_PAYLOAD_TYPE
        assert again.ssrc != first.ssrc
        assert again.payload == first.sequence.to_bytes(2, "big") + first.payload
        assert again.timestamp == first.timestamp


async def test_without_rtx_a_nack_is_answered_by_the_original_packet() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), engine.raw_peer()
        answer = engine.forwarder.subscribe(
            connection_id="v", source_id="source", offer=viewer.offer("recvonly", rtx=False)
        )
        await viewer.connect(answer.sdp, engine.forwarder.udp_port)
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=10, ssrc=SSRC))
        first = await viewer.receive_datagram()
        packet = viewer.unprotect(first)
        assert isinstance(packet, RtpPacket)
        await viewer.send_rtcp(write_nack(sender_ssrc=1, media_ssrc=packet.ssrc, sequences=[packet.sequence]))
        # The encrypted datagram must be identical: SRTP must not use a nonce for two different packets.
        again = await viewer.receive_datagram()
        while again != first:
            again = await viewer.receive_datagram()


async def test_sender_reports_are_rewritten_for_each_viewer() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        for ntp, timestamp in ((5 << 32, 9000), (6 << 32, 99000)):
            await publisher.send_rtcp(
                write_sender_report(
                    ssrc=SSRC, ntp=ntp, rtp_timestamp=timestamp, packets=77, octets=7777, cname=b"hidden"
                )
            )
        one = cast("SenderReport", await viewer.receive_rtcp(SenderReport))
        two = cast("SenderReport", await viewer.receive_rtcp(SenderReport))
        assert (one.ssrc, one.packets, one.octets) == (first.ssrc, 1, len(first.payload))
        assert one.rtp_timestamp == first.timestamp
        assert two.rtp_timestamp - one.rtp_timestamp == 90000
        assert two.ntp - one.ntp == 1 << 32


async def test_a_packet_is_sent_again_at_most_once_in_a_round_trip() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        item = first.sequence.to_bytes(2, "big") + b"\0\0"
        head = write_nack(sender_ssrc=1, media_ssrc=first.ssrc, sequences=[])[4:]
        # One NACK message that lists the same packet 250 times.
        await viewer.send_rtcp(b"\x81\xcd" + (2 + 250).to_bytes(2, "big") + head + item * 250)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        again = 0
        while (await viewer.receive_rtp()).ssrc != first.ssrc:
            again += 1
        assert again == 1


def viewer_of_a_mock_track() -> tuple[Viewer, Mock]:
    """Return a connected viewer with one stream, SSRC 7, of a track that holds no packets."""
    track = Mock(spec=SourceTrack, kind=MediaKind.VIDEO)
    track.find_sent.return_value = None
    viewer_track = ViewerTrack(
        track=track,
        down_track=DownTrack(ssrc=7, payload_type=96, counters=MediaCounters()),
        rtx_ssrc=None,
        rtx_payload_type=None,
        rtx_sequence=0,
    )
    viewer = Viewer(tracks={7: viewer_track}, cname=b"", counters=viewer_track.down_track.counters)
    viewer.connected(Mock(**{"ice.path": None}), 0.0)
    return viewer, track


def test_each_lookup_of_a_nack_is_charged_also_if_nothing_is_found() -> None:
    viewer, track = viewer_of_a_mock_track()
    nack = write_nack(sender_ssrc=1, media_ssrc=7, sequences=[])[4:] + b"\0\1\xff\xff" * 480
    for _ in range(20):
        viewer.receive_rtcp(b"\x81\xcd" + (2 + 480).to_bytes(2, "big") + nack, 1.0)
    assert track.find_sent.call_count == MAX_RESENDS_AT_ONCE
    viewer.receive_rtcp(b"\x81\xcd" + (2 + 480).to_bytes(2, "big") + nack, 1.1)
    assert track.find_sent.call_count == MAX_RESENDS_AT_ONCE + 60


def test_a_viewer_requests_a_keyframe_at_most_every_two_seconds_in_the_long_run() -> None:
    viewer, track = viewer_of_a_mock_track()
    pli, fir = write_pli(sender_ssrc=1, media_ssrc=7), write_fir(sender_ssrc=1, media_ssrc=7, command=1)
    for hundredths in range(100 * 100):
        viewer.receive_rtcp(pli * 50 + fir * 50, hundredths / 100)
    assert track.handle_keyframe_request.call_count <= MAX_KEYFRAME_REQUESTS_AT_ONCE + 50


def test_a_viewer_whose_path_was_silent_gets_a_keyframe_on_its_new_path_and_an_estimate_without_losses() -> None:
    viewer, track = viewer_of_a_mock_track()
    socket, ice = Mock(), IceLiteAgent(IceCredentials(ufrag="u", pwd="p"), now=0.0)
    viewer.connected(Mock(ice=ice), 0.0)
    former, path = Path(socket, ("192.0.2.1", 5000)), Path(socket, ("192.0.2.1", 5001))
    assert ice.receive_verified(former, 1.0)
    viewer.path_changed(quiet_seconds=1.0, now=1.0)
    viewer.bandwidth.receive_round_trip(0.5)
    assert track.handle_keyframe_request.call_count == 0
    assert ice.receive_response(path, nominated=True, now=9.0)
    viewer.path_changed(quiet_seconds=ice.quiet_seconds, now=9.0)
    track.handle_keyframe_request.assert_called_once_with(next(iter(viewer.streams)).down_track, 9.0)
    assert viewer.bandwidth.round_trip_seconds is None


def test_a_viewer_that_changes_its_path_without_a_silence_asks_for_what_it_misses_by_itself() -> None:
    viewer, track = viewer_of_a_mock_track()
    socket, ice = Mock(), IceLiteAgent(IceCredentials(ufrag="u", pwd="p"), now=0.0)
    viewer.connected(Mock(ice=ice), 0.0)
    for port in (5000, 5001):
        assert ice.receive_response(Path(socket, ("192.0.2.1", port)), nominated=True, now=1.0)
        viewer.path_changed(quiet_seconds=ice.quiet_seconds, now=1.0)
    assert track.handle_keyframe_request.call_count == 0


async def test_a_flood_of_sender_reports_is_not_multiplied_by_the_viewers() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        report = write_sender_report(ssrc=SSRC, ntp=5 << 32, rtp_timestamp=9000, packets=1, octets=1, cname=b"")
        for _ in range(4):
            await publisher.send_rtcp(report * 20)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=11, ssrc=SSRC))
        reports = 0
        while not isinstance(received := await viewer.receive(), RtpPacket):
            reports += sum(isinstance(message, SenderReport) for message in received)
        assert 1 <= reports <= MAX_SENDER_REPORTS_AT_ONCE + 1
