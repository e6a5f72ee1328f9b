"""What an encoder feeds, seen and heard by a real viewer."""

from stagebook.media.port import Connected
from tests.media.webrtc.feeding import open_feed, running_fed_engine
from tests.media.webrtc.peers.peers import WatchingPeer


async def test_a_viewer_sees_moving_pictures_and_hears_the_tone() -> None:
    async with running_fed_engine() as engine:
        feed = await open_feed(engine)
        await engine.wait_for(Connected(connection_id="f"))
        feed.play()
        viewer = WatchingPeer(engine, "v")
        await viewer.subscribe()
        await viewer.wait_until_satisfied()
        await feed.close()
        await viewer.leave()
