"""Peers that send no checks, peers that send nothing, and peers whose address changes."""

import secrets

import pytest

from stagebook.media.port import CloseCause, Closed, Connected
from stagebook.media.rtc.engine_settings import EngineSettings
from stagebook.media.rtc.rtp.rtcp import KeyframeRequest
from stagebook.media.rtc.rtp.rtcp_writer import write_pli, write_receiver_report
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import VIDEO_PAYLOAD_TYPE, RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine, start_video, wait_until

SETTINGS = EngineSettings(consent_timeout_seconds=100)
SILENT_SECONDS = 60
"""Long enough for the consent to send to end, and far from the end of the connection: the machine may be busy."""
CLOSED_PUBLISHER = Closed(connection_id="p", cause=CloseCause.CONSENT_LOST)
BINDING_INDICATION = b"\x00\x11\x00\x00\x21\x12\xa4\x42"
"""The header of a Binding indication without attributes; a transaction id follows."""


async def send_video(publisher: RawPeer, sequence: int, payload: bytes) -> None:
    packet = rtp(
        payload, sequence=sequence, timestamp=sequence * 900, ssrc=SSRC, payload_type=VIDEO_PAYLOAD_TYPE, marker=True
    )
    await publisher.send_rtp(packet)


async def elapse(engine: RunningEngine, peer: RawPeer, connection_id: str, datagram: bytes) -> None:
    """Let SILENT_SECONDS pass, send the forwarder a datagram of the peer, and wait until it has received that."""
    entry = engine.forwarder._connections.get(connection_id)
    assert entry is not None
    engine.skipped_seconds += SILENT_SECONDS
    sent_at = engine.forwarder._clock()
    await peer.send_datagram(datagram)
    await wait_until(lambda: entry.peer.ice.last_received_at >= sent_at, "the datagram")


async def test_a_publisher_that_sends_media_and_no_checks_stays_connected() -> None:
    async with running_engine(SETTINGS) as engine:
        publisher = await engine.publisher()
        for sequence in range(1, 5):
            assert publisher._outbound is not None
            packet = rtp(vp8_keyframe(), sequence=sequence, ssrc=SSRC, payload_type=VIDEO_PAYLOAD_TYPE)
            await elapse(engine, publisher, "p", publisher._outbound.protect(packet))
        assert CLOSED_PUBLISHER not in engine.facts
        engine.skipped_seconds += 100.1
        await engine.wait_for(CLOSED_PUBLISHER)


async def test_a_check_with_a_forged_address_does_not_stop_the_media_of_another_peer() -> None:
    async with running_engine(SETTINGS) as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        # The publisher's socket stands for a forged source address.
        await publisher.send_datagram(viewer.check_message(nominate=True))
        await send_video(publisher, 11, vp8_delta())
        assert (await viewer.receive_rtp()).payload == vp8_delta()


async def test_a_viewer_that_sends_reports_and_no_checks_stays_connected_and_receives_media() -> None:
    async with running_engine(SETTINGS) as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        assert viewer._outbound is not None
        for sequence in range(11, 15):
            report = viewer._outbound.protect_rtcp(write_receiver_report(ssrc=1, blocks=(), cname=b"v"))
            await elapse(engine, viewer, "v", report)
            await send_video(publisher, sequence, vp8_delta())
            assert (await viewer.receive_rtp()).payload == vp8_delta()


async def test_a_viewer_that_sends_only_indications_stays_connected_and_is_sent_nothing_without_consent() -> None:
    async with running_engine(SETTINGS) as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        for _ in range(3):
            await publisher.check()
            await elapse(engine, viewer, "v", BINDING_INDICATION + secrets.token_bytes(12))
        await publisher.check()
        entry = engine.forwarder._connections.get("v")
        assert entry is not None
        await wait_until(lambda: entry.peer.ice.path is None, "the end of consent")
        await send_video(publisher, 11, vp8_keyframe())
        await publisher.check()
        assert not any(isinstance(packet, type(first)) for packet in viewer.pending())
        # A check renews consent.
        await viewer.check(nominate=False)
        await send_video(publisher, 12, vp8_keyframe())
        assert (await viewer.receive_rtp()).payload == vp8_keyframe()
        assert not any(isinstance(fact, Closed) for fact in engine.facts)


@pytest.mark.parametrize("nominate", [False, True])
async def test_media_follows_a_viewer_to_its_new_port(nominate: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        viewer.change_address()
        engine.skipped_seconds += 3.1
        await viewer.check(nominate=nominate)
        await send_video(publisher, 11, vp8_delta())
        assert (await viewer.receive_rtp()).payload == vp8_delta()


async def test_a_report_moves_the_path_when_the_check_came_too_early() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await start_video(engine, publisher, viewer)
        viewer.change_address()
        await viewer.check(nominate=False)
        engine.skipped_seconds += 3.1
        await viewer.send_rtcp(write_receiver_report(ssrc=1, blocks=(), cname=b"v"))
        entry = engine.forwarder._connections.get("v")
        assert entry is not None
        new_address = viewer.socket.getsockname()
        await wait_until(lambda: entry.peer.ice.path is not None and entry.peer.ice.path.address == new_address, "path")
        await send_video(publisher, 11, vp8_delta())
        assert (await viewer.receive_rtp()).payload == vp8_delta()


async def test_feedback_follows_a_publisher_to_its_new_port() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        publisher.change_address()
        await publisher.check(nominate=False)
        engine.skipped_seconds += 3.1
        await send_video(publisher, 11, vp8_delta())
        await viewer.receive_rtp()
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        request = await publisher.receive_rtcp(KeyframeRequest)
        assert isinstance(request, KeyframeRequest)
        assert request.media_ssrcs == (SSRC,)
        assert Connected(connection_id="p") in engine.facts


async def test_a_publisher_that_was_silent_is_asked_for_a_keyframe_on_its_new_path() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        first = await start_video(engine, publisher, viewer)
        counters = engine.forwarder._counters
        requested = counters.requested_keyframes
        publisher.change_address()
        await publisher.check(nominate=False)
        engine.skipped_seconds += 3.1
        # This request goes to the former port, and does not count.
        await viewer.send_rtcp(write_pli(sender_ssrc=1, media_ssrc=first.ssrc))
        await wait_until(lambda: counters.requested_keyframes > requested, "a request")
        await send_video(publisher, 11, vp8_delta())
        request = await publisher.receive_rtcp(KeyframeRequest)
        assert isinstance(request, KeyframeRequest)
        assert request.media_ssrcs == (SSRC,)


async def test_a_replayed_check_does_not_move_the_path_of_a_peer_that_answers_probes() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await viewer.answer_probe()
        await start_video(engine, publisher, viewer)
        captured = viewer.check_message(nominate=True)
        attacker = RawPeer()
        attacker.pwd, attacker._engine = viewer.pwd, viewer.engine_address  # to read the request, not to sign
        engine.skipped_seconds += 3.1
        await attacker.send_datagram(captured)
        probe = await attacker.receive_probe()
        await attacker.send_datagram(attacker.probe_response(probe, password="p" * 24))
        await attacker.send_datagram(captured)
        await send_video(publisher, 11, vp8_delta())
        assert (await viewer.receive_rtp()).payload == vp8_delta()
        entry = engine.forwarder._connections.get("v")
        assert entry is not None
        assert entry.peer.ice.path is not None
        assert entry.peer.ice.path.address == viewer.socket.getsockname()
        attacker.close()


async def test_a_peer_that_answers_probes_is_followed_to_its_new_port_with_the_first_nominated_check() -> None:
    async with running_engine() as engine:
        publisher, viewer = await engine.publisher(), await engine.viewer()
        await viewer.answer_probe()
        await start_video(engine, publisher, viewer)
        viewer.change_address()
        await viewer.check(nominate=True)
        await viewer.answer_probe()
        entry = engine.forwarder._connections.get("v")
        assert entry is not None
        new_address = viewer.socket.getsockname()
        await wait_until(lambda: entry.peer.ice.path is not None and entry.peer.ice.path.address == new_address, "path")
        await send_video(publisher, 11, vp8_delta())
        assert (await viewer.receive_rtp()).payload == vp8_delta()
