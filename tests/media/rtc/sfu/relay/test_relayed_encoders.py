"""An encoder's media through two engines: the GOP so far, units, and a change of the active feed."""

from stagebook.media.codecs.codec_names import MediaKind
from stagebook.media.media_bus import Unit
from stagebook.media.port import Connected
from tests.media.rtc.feed_client import FeedClient, open_feed
from tests.media.rtc.running_engine import wait_until
from tests.media.rtc.sfu.relay.relayed_engines import RelayedEngines, relayed_engines

SPS = b"\x67\x42\xe0\x1f\x00"
KEYFRAME, DELTA = b"\x65key", b"\x41delta"


def frame(number: int, *payloads: bytes) -> Unit:
    is_keyframe = payloads[0] == SPS
    return Unit(kind=MediaKind.VIDEO, timestamp=3000 * number, is_keyframe=is_keyframe, payloads=payloads)


async def start_feed(engines: RelayedEngines, connection_id: str = "f", *, is_redundant: bool = False) -> FeedClient:
    feed = await open_feed(engines.own, connection_id, is_redundant=is_redundant)
    await engines.own.wait_for(Connected(connection_id=connection_id))
    return feed


async def received_units(engines: RelayedEngines, count: int) -> None:
    """Wait until the source's own engine has received so many units."""
    counters = engines.own.forwarder._counters
    await wait_until(lambda: counters.feed_units == count, "the units")


async def test_a_viewer_on_another_engine_is_sent_the_gop_so_far() -> None:
    async with relayed_engines() as engines:
        feed = await start_feed(engines)
        feed.send(frame(0, SPS, KEYFRAME))
        feed.send(frame(1, DELTA))
        await received_units(engines, 2)
        await engines.relay()
        viewer = await engines.viewer(codec="H264")
        feed.send(frame(2, DELTA + b"2"))
        packets = [await viewer.receive_rtp() for _ in range(4)]
        assert [packet.payload for packet in packets] == [SPS, KEYFRAME, DELTA, DELTA + b"2"]
        assert [packet.sequence - packets[0].sequence for packet in packets] == [0, 1, 2, 3]


async def test_a_standby_feed_that_takes_over_continues_on_another_engine() -> None:
    async with relayed_engines() as engines:
        feed = await start_feed(engines, is_redundant=True)
        standby = await start_feed(engines, "g", is_redundant=True)
        feed.send(frame(0, SPS, KEYFRAME))
        await received_units(engines, 1)
        await engines.relay()
        viewer = await engines.viewer(codec="H264")
        feed.send(frame(1, DELTA))
        assert [(await viewer.receive_rtp()).payload for _ in range(3)] == [SPS, KEYFRAME, DELTA]
        engines.own.forwarder.close(connection_id="f")
        standby.send(frame(100, SPS, KEYFRAME + b"of the standby"))
        assert [(await viewer.receive_rtp()).payload for _ in range(2)] == [SPS, KEYFRAME + b"of the standby"]
