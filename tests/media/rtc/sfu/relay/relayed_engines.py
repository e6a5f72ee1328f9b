"""Two forwarders in the test's process, the first of which relays the source `source` to the second."""

import contextlib
import tempfile
from collections.abc import AsyncIterator

from stagebook.media.port import Connected
from stagebook.media.rtc.engine_settings import EngineSettings
from tests.media.rtc.feed_client import closing_feeds
from tests.media.rtc.raw_peer import RawPeer
from tests.media.rtc.running_engine import RunningEngine, running_engine, wait_until


class RelayedEngines:
    """The engine of the source, and another one."""

    def __init__(self, own: RunningEngine, other: RunningEngine) -> None:
        self.own, self.other = own, other

    def accept(self) -> None:
        """Let the other engine accept the relay, which is not started."""
        description = self.own.forwarder.describe_source(source_id="source")
        self.ticket = self.other.forwarder.accept_relay(source_id="source", description=description)

    async def relay(self) -> None:
        """Relay the source, as the pool does for the first viewer on the other engine, and wait until it is relayed."""
        self.accept()
        self.own.forwarder.start_relay(source_id="source", ticket=self.ticket)
        await wait_until(lambda: self.relays == 1, "the relay")

    @property
    def relays(self) -> int:
        """The number of open relays of the source, as its own engine knows it."""
        return len(self.own.forwarder._sources["source"].relays)

    async def viewer(self, connection_id: str = "v", **offer: object) -> RawPeer:
        """Connect a viewer to the other engine."""
        viewer = await self.other.viewer(connection_id, **offer)
        await self.other.wait_for(Connected(connection_id=connection_id))
        return viewer


@contextlib.asynccontextmanager
async def relayed_engines() -> AsyncIterator[RelayedEngines]:
    """Run both engines, without a source."""
    with tempfile.TemporaryDirectory(prefix="stagebook-") as directory:
        settings = EngineSettings(feed_directory=directory)
        async with running_engine(settings) as own, running_engine(settings) as other, closing_feeds():
            yield RelayedEngines(own, other)
