"""The sender reports of an encoder's source: audio and video in sync, and one clock across a switch of feeds."""

import pytest

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import CLOCK_RATES
from stagebook.media.port import Connected
from stagebook.media.rtc.rtp.rtcp import SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_pli
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from tests.media.rtc.feed_client import FeedClient, open_feed, running_engine_with_feeds
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import RunningEngine
from tests.media.rtc.sfu.encoder.encoder_source_scenario import make_unit


async def open_started_feed(engine: RunningEngine, name: str, *, seconds: float) -> FeedClient:
    """Open a redundant feed and send its first keyframe and audio packet, at `seconds` on the encoder's clock."""
    feed = await open_feed(engine, name, is_redundant=True)
    await engine.wait_for(Connected(connection_id=name))
    send_moment(feed, seconds=seconds, key=True)
    return feed


def send_moment(feed: FeedClient, *, seconds: float, key: bool = False) -> None:
    """Send a frame and an audio packet with the same presentation time."""
    feed.send(make_unit(MediaKind.VIDEO, seconds=seconds, key=key, payloads=(b"key" if key else b"frame",)))
    feed.send(make_unit(MediaKind.AUDIO, seconds=seconds, payloads=(b"audio",)))


class ViewerClocks:
    """The clocks of a viewer's streams, by the sender reports that it received."""

    def __init__(self) -> None:
        self.reports: dict[int, SenderReport] = {}
        self.packets: list[RtpPacket] = []

    async def receive_reports(self, viewer: RawPeer, *, streams: int = 2) -> None:
        """Receive packets until there is a report for each of so many streams."""
        while len(self.reports) < streams:
            received = await viewer.receive()
            if isinstance(received, RtpPacket):
                self.packets.append(received)
                continue
            for message in received:
                if isinstance(message, SenderReport):
                    self.reports[message.ssrc] = message

    def ntp_seconds(self, packet: RtpPacket) -> float:
        """The NTP time of a packet. A receiver plays audio and video of the same NTP time together."""
        report = self.reports[packet.ssrc]
        rate = CLOCK_RATES[MediaKind.AUDIO if packet.payload == b"audio" else MediaKind.VIDEO]
        ahead = ((packet.timestamp - report.rtp_timestamp + 2**31) & 0xFFFFFFFF) - 2**31
        return report.ntp / 2**32 + ahead / rate


async def next_of_both(viewer: RawPeer) -> dict[bytes, RtpPacket]:
    """Receive until a frame (not a keyframe) and an audio packet have arrived."""
    newest: dict[bytes, RtpPacket] = {}
    while not {b"frame", b"audio"} <= newest.keys():
        packet = await viewer.receive_rtp()
        newest[packet.payload] = packet
    return newest


@pytest.mark.parametrize("drift", [0.0, 3600.0])
async def test_audio_and_video_are_in_sync_by_the_first_reports_and_after_hours(drift: float) -> None:
    async with running_engine_with_feeds() as engine:
        feed = await open_started_feed(engine, "f", seconds=50.0)
        viewer, clocks = await engine.viewer(codec="H264"), ViewerClocks()
        send_moment(feed, seconds=50.1)
        await clocks.receive_reports(viewer)
        assert len(clocks.packets) <= 4
        # The encoder's clock runs at another speed than the server's.
        engine.skipped_seconds += drift and 13.0
        clocks.reports.clear()
        await clocks.receive_reports(viewer)
        send_moment(feed, seconds=50.2 + drift)
        newest = await next_of_both(viewer)
        video, audio = (clocks.ntp_seconds(newest[kind]) for kind in (b"frame", b"audio"))
        assert video == pytest.approx(audio, abs=0.001)


async def test_a_switch_of_feeds_does_not_move_the_clock() -> None:
    async with running_engine_with_feeds() as engine:
        first = await open_started_feed(engine, "f", seconds=50.0)
        viewer, clocks = await engine.viewer(codec="H264"), ViewerClocks()
        second = await open_started_feed(engine, "g", seconds=9000.0)
        send_moment(first, seconds=50.1)
        await clocks.receive_reports(viewer)
        before = dict(clocks.reports)
        engine.forwarder.close(connection_id="f")
        send_moment(second, seconds=9000.1)
        newest = await next_of_both(viewer)
        video, audio = (clocks.ntp_seconds(newest[kind]) for kind in (b"frame", b"audio"))
        assert video == pytest.approx(audio, abs=0.001)
        clocks.reports.clear()
        await clocks.receive_reports(viewer)
        for ssrc, report in clocks.reports.items():
            rate = 90_000 if newest[b"frame"].ssrc == ssrc else 48_000
            passed = (report.ntp - before[ssrc].ntp) / 2**32
            assert report.rtp_timestamp - before[ssrc].rtp_timestamp == pytest.approx(passed * rate, abs=2)


async def test_a_keyframe_request_replays_the_gop() -> None:
    async with running_engine_with_feeds() as engine:
        feed = await open_started_feed(engine, "f", seconds=50.0)
        viewer = await engine.viewer(codec="H264")
        send_moment(feed, seconds=50.1)
        frame = (await next_of_both(viewer))[b"frame"]
        engine.skipped_seconds += 2
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=frame.ssrc))
        replayed = [await viewer.receive_rtp() for _ in range(2)]
        assert [packet.payload for packet in replayed] == [b"key", b"frame"]
        assert replayed[0].sequence == (frame.sequence + 1) & 0xFFFF
        assert [packet.timestamp - frame.timestamp for packet in replayed] == [1, 2]
