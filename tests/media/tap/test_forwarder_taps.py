"""What an engine hands to a tap of a WebRTC publisher, beside its packets: sender reports, and keyframe requests."""

import pytest

from stagebook.media.rtc.rtp.rtcp import KeyframeRequest
from stagebook.media.rtc.rtp.rtcp_writer import write_sender_report
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, wait_until
from tests.media.tap.recorded_taps import RecordedTaps, recorded_taps


async def open_tap(engine: RunningEngine, taps: RecordedTaps) -> None:
    """Open a tap as the pool does, and wait until it is connected."""
    ticket = await taps.accept(engine.forwarder.describe_source(source_id="source"))
    engine.forwarder.start_relay(source_id="source", ticket=ticket, is_tap=True)
    await wait_until(lambda: taps.are_connected, "the tap")


async def test_a_tap_that_begins_late_knows_the_reports_of_before() -> None:
    async with running_engine() as engine, recorded_taps() as taps:
        publisher = await engine.publisher()
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=10, timestamp=0, ssrc=SSRC, marker=True))
        report = write_sender_report(
            ssrc=SSRC, ntp=4_000_000_000 << 32, rtp_timestamp=90_000, packets=1, octets=1, cname=b""
        )
        await publisher.send_rtcp(report)
        source = engine.forwarder._sources["source"]
        await wait_until(lambda: bool(source.publisher.sender_reports), "the report")  # type: ignore[attr-defined]
        await open_tap(engine, taps)
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=11, timestamp=3000, ssrc=SSRC, marker=True))
        await wait_until(lambda: bool(taps.frames["0"]), "the frame")
        tap = taps.receiver._taps["0"].media._publisher
        assert tap is not None
        offset_us = tap._clock.ntp_offset
        assert offset_us is not None
        report_us = offset_us + 4_000_000_000 * 1e6
        assert taps.frames["0"][0].time_us - report_us == pytest.approx(-87_000 / 0.09, abs=10)


async def test_a_tap_requests_keyframes_of_the_publisher() -> None:
    async with running_engine() as engine, recorded_taps() as taps:
        publisher = await engine.publisher()
        await open_tap(engine, taps)
        await publisher.send_rtp(rtp(vp8_delta(), sequence=10, ssrc=SSRC, marker=True))
        asked = await publisher.receive_rtcp(KeyframeRequest)
        assert asked == KeyframeRequest(media_ssrcs=(SSRC,))


async def test_a_tap_that_is_closed_ends_the_relay() -> None:
    async with running_engine() as engine, recorded_taps() as taps:
        await engine.publisher()
        await open_tap(engine, taps)
        taps.receiver.close("0")
        await wait_until(lambda: not engine.forwarder._sources["source"].relays, "the end of the relay")
        assert taps.ended == []


async def test_a_drained_tap_hands_on_what_the_engine_has_received() -> None:
    async with running_engine() as engine, recorded_taps() as taps:
        await engine.publisher()
        await open_tap(engine, taps)
        source = engine.forwarder._sources["source"]
        for number in range(10):
            source.relays[0].relay_packet(
                rtp(vp8_keyframe(), sequence=10 + number, timestamp=3000 * number, ssrc=SSRC, marker=True)
            )
        assert taps.frames["0"] == []
        taps.receiver.drain("0")
        await wait_until(lambda: taps.ended == ["0"], "the end of the tap")
        assert len(taps.frames["0"]) == 10
        assert taps.ends_us["0"] == taps.frames["0"][-1].time_us
        assert not source.relays


async def test_a_drain_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.media.tap.tap_receiver.MAX_DRAINED_BYTES", 100)
    async with running_engine() as engine, recorded_taps() as taps:
        await engine.publisher()
        await open_tap(engine, taps)
        relay = engine.forwarder._sources["source"].relays[0]
        for number in range(10):
            relay.relay_packet(rtp(vp8_keyframe(), sequence=10 + number, timestamp=3000 * number, ssrc=SSRC))
        size_bytes = len(rtp(vp8_keyframe(), ssrc=SSRC))
        taps.receiver.drain("0")
        await wait_until(lambda: taps.ended == ["0"], "the end of the tap")
        assert len(taps.frames["0"]) <= 100 // size_bytes + 1


async def test_a_drain_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagebook.media.tap.tap_receiver.DRAIN_SECONDS", 0.05)
    async with running_engine() as engine, recorded_taps() as taps:
        await engine.publisher()
        await open_tap(engine, taps)
        relay = engine.forwarder._sources["source"].relays[0]
        # An engine that does not answer.
        monkeypatch.setattr(relay, "finish", lambda: None)
        taps.receiver.drain("0")
        await wait_until(lambda: taps.ended == ["0"], "the end of the tap")


async def test_a_tap_that_no_engine_has_connected_to_is_drained_at_once() -> None:
    async with running_engine() as engine, recorded_taps() as taps:
        await engine.publisher()
        await taps.accept(engine.forwarder.describe_source(source_id="source"))
        taps.receiver.drain("0")
        assert taps.ended == []
        await wait_until(lambda: taps.ended == ["0"], "the end of the tap")
        assert taps.ends_us == {"0": None}
