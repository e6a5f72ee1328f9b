"""Layers over a real transport: the list, a choice, an initial layer, and which sources have layers."""

from typing import cast

import pytest

from stagebook.media.port import Connected, InitialLayer, LayerChoice, MediaRefusedError, RefusalReason
from stagebook.media.rtc.rtp.rtcp import KeyframeRequest, SenderReport
from stagebook.media.rtc.rtp.rtcp_writer import write_sender_report
from tests.media.rtc import offers
from tests.media.rtc.packets import one_byte_extension, rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import RID_EXTENSION, RawPeer
from tests.media.rtc.running_engine import RunningEngine, running_engine, wait_until

LOW, HIGH = 1, 2
SIZES = {LOW: (320, 180), HIGH: (1280, 720)}
RIDS = {LOW: b"l", HIGH: b"h"}


class Simulcast:
    """A raw peer that publishes two layers of VP8."""

    def __init__(self, peer: RawPeer) -> None:
        self._peer = peer
        self._sequences = {LOW: 100, HIGH: 50_000}

    async def send(self, layer: int, *, is_key: bool = False, has_rid: bool = True) -> bytes:
        """Send a packet of a layer and return its payload. Browsers send the RID with the first packets alone."""
        self._sequences[layer] += 1
        payload = vp8_keyframe(*SIZES[layer]) if is_key else vp8_delta(filler=layer)
        extension = one_byte_extension({RID_EXTENSION: RIDS[layer]}) if has_rid else b""
        sequence = self._sequences[layer]
        await self._peer.send_rtp(
            rtp(payload, sequence=sequence, timestamp=sequence * 90, ssrc=layer, marker=True, extension=extension)
        )
        return payload

    async def keyframe_request(self) -> int:
        """The layer of the next keyframe request."""
        request = cast("KeyframeRequest", await self._peer.receive_rtcp(KeyframeRequest))
        return request.media_ssrcs[0]

    async def wait_until_known(self, engine: RunningEngine) -> None:
        """Wait until both layers have arrived and the larger one is followed."""
        for layer in (HIGH, LOW):
            await self.send(layer, is_key=True)
        entry = engine.forwarder._connections.get("p")
        assert entry is not None
        assert entry.publisher is not None
        incoming = entry.publisher.tracks[-1]
        await wait_until(lambda: len(incoming.layers) == 2 and incoming.current is not None, "both layers")


async def start(engine: RunningEngine) -> Simulcast:
    publisher = await engine.publisher(rids=("l", "h"), rtx=False)
    await engine.wait_for(Connected(connection_id="p"))
    simulcast = Simulcast(publisher)
    await simulcast.wait_until_known(engine)
    return simulcast


def selected(engine: RunningEngine) -> list[str]:
    listed = engine.forwarder.layers(connection_id="v").layers
    return [layer.encoding_id for layer in listed if layer.is_selected]


async def test_a_viewer_chooses_a_layer_and_returns_to_the_best() -> None:
    async with running_engine() as engine:
        simulcast, viewer = await start(engine), await engine.viewer()
        await engine.wait_for(Connected(connection_id="v"))
        await simulcast.send(HIGH, is_key=True)
        first = await viewer.receive_rtp()
        listed = engine.forwarder.layers(connection_id="v")
        assert listed.section == 1
        assert [(each.encoding_id, each.width, each.height) for each in listed.layers] == [
            ("l", 320, 180),
            ("h", 1280, 720),
        ]
        assert selected(engine) == ["h"]

        engine.forwarder.select_layer(connection_id="v", choice=LayerChoice.exactly("l"))
        assert selected(engine) == ["l"]
        while await simulcast.keyframe_request() != LOW:
            pass
        await simulcast.send(HIGH)
        second = await viewer.receive_rtp()
        await simulcast.send(LOW, is_key=True)
        third = await viewer.receive_rtp()
        assert third.payload == vp8_keyframe(320, 180)

        engine.forwarder.select_layer(connection_id="v", choice=LayerChoice())
        await simulcast.send(HIGH, is_key=True)
        fourth = await viewer.receive_rtp()
        assert fourth.payload == vp8_keyframe(1280, 720)
        packets = (first, second, third, fourth)
        assert [packet.sequence - first.sequence for packet in packets] == [0, 1, 2, 3]
        assert len({packet.ssrc for packet in packets}) == 1
        assert [packet.timestamp for packet in packets] == sorted({packet.timestamp for packet in packets})


async def test_a_sender_report_has_the_time_of_the_layer_that_the_viewer_is_sent() -> None:
    async with running_engine() as engine:
        simulcast, viewer = await start(engine), await engine.viewer()
        await engine.wait_for(Connected(connection_id="v"))
        await simulcast.send(HIGH, is_key=True)
        await viewer.receive_rtp()
        engine.forwarder.select_layer(connection_id="v", choice=LayerChoice.exactly("l"))
        await simulcast.send(LOW, is_key=True)
        low = await viewer.receive_rtp()
        # Of the timestamp that the last packet of the layer had.
        report = write_sender_report(ssrc=LOW, ntp=5 << 32, rtp_timestamp=102 * 90, packets=1, octets=1, cname=b"")
        await simulcast._peer.send_rtcp(report)
        received = cast("SenderReport", await viewer.receive_rtcp(SenderReport))
        assert (received.ssrc, received.rtp_timestamp) == (low.ssrc, low.timestamp)


async def test_a_viewer_can_start_with_the_lowest_layer() -> None:
    async with running_engine() as engine:
        simulcast = await start(engine)
        peer = engine.raw_peer()
        answer = engine.forwarder.subscribe(
            connection_id="v", source_id="source", offer=peer.offer("recvonly"), initial_layer=InitialLayer.LOWEST
        )
        assert answer.has_layers
        await peer.connect(answer.sdp, engine.forwarder.udp_port)
        await engine.wait_for(Connected(connection_id="v"))
        await simulcast.send(HIGH, is_key=True)
        await simulcast.send(LOW, is_key=True)
        assert (await peer.receive_rtp()).payload == vp8_keyframe(320, 180)


async def test_an_unknown_layer_and_an_unknown_connection_are_refused() -> None:
    async with running_engine() as engine:
        await start(engine)
        await engine.viewer()
        for connection_id, encoding_id, reason in (
            ("v", "x", RefusalReason.UNKNOWN_LAYER),
            ("p", "l", RefusalReason.UNKNOWN_CONNECTION),
            ("w", None, RefusalReason.UNKNOWN_CONNECTION),
        ):
            with pytest.raises(MediaRefusedError) as refused:
                engine.forwarder.select_layer(connection_id=connection_id, choice=LayerChoice.exactly(encoding_id))
            assert refused.value.reason is reason
        with pytest.raises(MediaRefusedError):
            engine.forwarder.layers(connection_id="p")


async def test_a_publisher_without_simulcast_has_no_layers() -> None:
    async with running_engine() as engine:
        await engine.publisher()
        peer = engine.raw_peer()
        answer = engine.forwarder.subscribe(connection_id="v", source_id="source", offer=peer.offer("recvonly"))
        assert not answer.has_layers
        assert engine.forwarder.layers(connection_id="v").layers == ()
        engine.forwarder.select_layer(connection_id="v", choice=LayerChoice())
        with pytest.raises(MediaRefusedError):
            engine.forwarder.select_layer(connection_id="v", choice=LayerChoice.exactly("l"))


async def test_the_layers_of_a_sim_group_are_named_by_their_positions() -> None:
    async with running_engine() as engine:
        engine.forwarder.publish(connection_id="p", source_id="source", offer=offers.CHROMIUM_LEGACY)
        entry = engine.forwarder._connections.get("p")
        assert entry is not None
        assert entry.publisher is not None
        video = entry.publisher.plan.video
        assert video is not None
        assert video.encoding_ids == ("0", "1", "2")
