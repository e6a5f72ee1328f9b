"""Peers that wait for our ClientHello, and peers whose handshake fails: what the log says of them."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from structlog.testing import capture_logs

from stagebook.media.port import CloseCause, Closed, Connected
from stagebook.media.rtc.rtp.rtcp import ReceiverReport
from tests.media.rtc.packets import rtp, vp8_keyframe
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import SSRC, RunningEngine, running_engine


async def connect_publisher(engine: RunningEngine, peer: RawPeer) -> str:
    """Connect a publisher. Return the answer that it got."""
    answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=peer.offer("sendonly"))
    await peer.connect(answer.sdp, engine.forwarder.udp_port)
    return answer.sdp


async def test_the_engine_is_the_dtls_client_of_a_passive_publisher_and_of_a_passive_viewer() -> None:
    async with running_engine() as engine:
        publisher, viewer = engine.raw_peer(is_dtls_server=True), engine.raw_peer(is_dtls_server=True)
        sdp = await connect_publisher(engine, publisher)
        assert "a=setup:active" in sdp
        assert "a=setup:passive" not in sdp
        answer = engine.forwarder.subscribe(connection_id="v", source_id="source", offer=viewer.offer("recvonly"))
        await viewer.connect(answer.sdp, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="v"))
        await publisher.send_rtp(rtp(vp8_keyframe(), sequence=10, ssrc=SSRC))
        assert (await viewer.receive_rtp()).payload == vp8_keyframe()
        await publisher.receive_rtcp(ReceiverReport)
        await publisher.send_close_notify()
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.PEER_CLOSED))


async def test_a_lost_client_hello_is_repeated() -> None:
    async with running_engine() as engine:
        publisher = engine.raw_peer(is_dtls_server=True)
        answer = engine.forwarder.publish(connection_id="p", source_id="source", offer=publisher.offer("sendonly"))
        publisher.take_credentials(answer.sdp)
        publisher._engine = ("127.0.0.1", engine.forwarder.udp_port)
        await publisher.check()
        first = await publisher.receive_datagram()
        assert first[0] == 22
        # The second one is the retransmission; it completes the handshake.
        await publisher._complete_handshake()
        await engine.wait_for(Connected(connection_id="p"))


async def test_the_log_says_why_a_certificate_is_not_accepted() -> None:
    async with running_engine() as engine:
        peer = engine.raw_peer(curve=ec.SECP224R1())
        with capture_logs() as logs, pytest.raises(SSL.Error):
            await connect_publisher(engine, peer)
        await engine.wait_for(Closed(connection_id="p", cause=CloseCause.TRANSPORT_FAILED))
        (entry,) = [entry for entry in logs if entry["event"] == "dtls_handshake_failed"]
        assert (entry["connection_id"], entry["log_level"]) == ("p", "warning")
        assert "P-256, P-384 or P-521 is needed" in entry["reason"]
