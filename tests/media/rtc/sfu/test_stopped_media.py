"""Viewers over a real transport that want no video, or nothing, for a while."""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.port import Connected, LayerChoice, LayerMode, SourceMeasured
from stagebook.media.rtc.rtp.rtp_packet import RtpPacket
from tests.media.rtc.packets import rtp, vp8_delta, vp8_keyframe
from tests.media.rtc.raw_peer import AUDIO_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE, RawPeer
from tests.media.rtc.running_engine import RunningEngine, running_engine, wait_until

AUDIO, VIDEO = 11, 22


class Sending:
    """A publisher of one layer and its viewer."""

    def __init__(self, publisher: RawPeer, viewer: RawPeer) -> None:
        self._publisher = publisher
        self._viewer = viewer
        self._sequence = 100

    async def send(self, *, is_key: bool = False) -> None:
        """Send a packet of video and then one of audio."""
        self._sequence += 1
        number, time = self._sequence, self._sequence * 3000
        video = vp8_keyframe() if is_key else vp8_delta()
        await self._publisher.send_rtp(rtp(video, sequence=number, timestamp=time, ssrc=VIDEO, marker=True))
        audio = rtp(b"opus", payload_type=AUDIO_PAYLOAD_TYPE, sequence=number, timestamp=time, ssrc=AUDIO)
        await self._publisher.send_rtp(audio)

    async def receive(self, count: int) -> list[RtpPacket]:
        """The next packets of the viewer."""
        return [await self._viewer.receive_rtp() for _ in range(count)]


async def start(engine: RunningEngine) -> Sending:
    publisher = await engine.publisher(rtx=False)
    await engine.wait_for(Connected(connection_id="p"))
    viewer = await engine.viewer()
    await engine.wait_for(Connected(connection_id="v"))
    sending = Sending(publisher, viewer)
    await sending.send(is_key=True)
    assert {each.payload_type for each in await sending.receive(2)} == {AUDIO_PAYLOAD_TYPE, VIDEO_PAYLOAD_TYPE}
    return sending


def select(engine: RunningEngine, mode: LayerMode) -> None:
    engine.forwarder.select_layer(connection_id="v", choice=LayerChoice(mode=mode))


async def test_a_viewer_of_audio_alone_gets_its_video_again_from_a_keyframe_on() -> None:
    async with running_engine() as engine:
        sending = await start(engine)
        select(engine, LayerMode.AUDIO_ONLY)
        for _ in range(3):
            await sending.send()
        assert {each.payload_type for each in await sending.receive(3)} == {AUDIO_PAYLOAD_TYPE}
        select(engine, LayerMode.AUTO)
        await sending.send()
        assert [each.payload_type for each in await sending.receive(1)] == [AUDIO_PAYLOAD_TYPE]
        await sending.send(is_key=True)
        received = await sending.receive(2)
        video = next(each for each in received if each.payload_type == VIDEO_PAYLOAD_TYPE)
        assert video.payload == vp8_keyframe()


async def test_a_paused_viewer_gets_nothing_and_goes_on_with_the_numbers_that_follow() -> None:
    async with running_engine() as engine:
        sending = await start(engine)
        await sending.send()
        before = {each.payload_type: each for each in await sending.receive(2)}
        select(engine, LayerMode.PAUSED)
        for _ in range(3):
            await sending.send()
        audio = engine.forwarder._sources["source"].tracks[MediaKind.AUDIO]
        await wait_until(lambda: audio.packets == 5, "all packets at the engine")
        select(engine, LayerMode.AUTO)
        await sending.send(is_key=True)
        after = {each.payload_type: each for each in await sending.receive(2)}
        for payload_type, packet in after.items():
            assert packet.sequence == before[payload_type].sequence + 1
            assert packet.timestamp > before[payload_type].timestamp


async def test_the_manager_is_told_nothing_of_choices() -> None:
    async with running_engine() as engine:
        sending = await start(engine)
        for mode in (LayerMode.AUDIO_ONLY, LayerMode.PAUSED, LayerMode.AUTO):
            select(engine, mode)
            await sending.send(is_key=True)
        await sending.receive(3)
        assert not [each for each in engine.facts if not isinstance(each, Connected | SourceMeasured)]
