"""Audio and video from an aiortc publisher to an aiortc viewer."""

import pytest

from stagebook.media.codecs.codec_names import Codec
from stagebook.media.port import Connected, SourceMeasured
from tests.media.rtc.peers.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.media.rtc.running_engine import running_engine, wait_until


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
async def test_a_viewer_receives_the_moving_bar_and_the_tone(codec: Codec) -> None:
    async with running_engine() as engine:
        publisher = AiortcPublisher(engine, "p", codec=codec)
        await publisher.publish()
        viewer = AiortcViewer(engine, "v")
        await viewer.subscribe()
        await viewer.wait_for_media()
        assert engine.facts.count(Connected(connection_id="p")) == 1
        assert engine.facts.count(Connected(connection_id="v")) == 1
        await publisher.leave()
        await viewer.leave()


async def test_the_source_is_measured_each_second() -> None:
    async with running_engine() as engine:
        publisher = AiortcPublisher(engine, "p", codec=Codec.H264, width=320, height=240, frames_per_second=15)
        await publisher.publish()

        def measured() -> list[SourceMeasured]:
            return [fact for fact in engine.facts if isinstance(fact, SourceMeasured) and fact.width is not None]

        await wait_until(lambda: len(measured()) >= 3, "three measurements with a size")
        last = measured()[-1]
        assert (last.source_id, last.connection_id) == ("source", "p")
        assert (last.width, last.height, last.video_codec, last.audio_codec) == (320, 240, "H264", "opus")
        assert last.frames_per_second == pytest.approx(15, abs=4)
        assert (last.bitrate_bps or 0) > 10_000
        await publisher.leave()
