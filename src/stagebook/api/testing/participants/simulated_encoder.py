"""An RTMP encoder without media: its stream key, its connection, and what it can do."""

import asyncio

from stagebook.api.testing.participants.peer_services import PeerServices, conflict
from stagebook.api.testing.participants.recorded_peer import RecordedPeer
from stagebook.media.port import CloseCause
from stagebook.stage.resources import IngestConfiguration


class SimulatedEncoder:
    """One encoder. The caller holds `lock` for each action, so that actions do not overlap.

    The actions raise ApiRefusedError 409 where the state forbids them, EncoderRefusedError, and ResourceNotFoundError
    if the ingest configuration was deleted.
    """

    def __init__(self, services: PeerServices, *, configuration_arn: str, stream_key: str, is_secure: bool) -> None:
        """`configuration_arn` is the ingest configuration that the stream key names."""
        self.lock = asyncio.Lock()
        self.services = services
        self.configuration_arn = configuration_arn
        self.stream_key = stream_key
        self.is_secure = is_secure
        self.recorded = RecordedPeer(services)
        self.connection_id = ""
        """The id of its newest connection."""

    @property
    def is_publishing(self) -> bool:
        """Whether its connection is open."""
        return self.services.engine.has(self.connection_id)

    @property
    def is_idle(self) -> bool:
        """Whether it has no connection and no action in progress."""
        return not (self.is_publishing or self.lock.locked())

    def configuration(self) -> IngestConfiguration:
        """Return its ingest configuration as it is now. Raises ResourceNotFoundError."""
        return self.services.manager.ingest_configurations.get(self.configuration_arn)

    def participant_id(self, configuration: IngestConfiguration) -> str:
        """Return the id of the participant that it publishes as.

        It is that of the configuration, or of the redundant credential with this key.
        """
        for credential in configuration.redundant_credentials:
            if credential.stream_key == self.stream_key:
                return credential.participant_id
        return configuration.participant_id

    async def publish(self) -> None:
        """Send the stream key, and audio and video when it is admitted."""
        if self.is_publishing:
            raise conflict("the encoder publishes already")
        self.services.engine.connect(await self.open())

    async def open(self) -> str:
        """Send the stream key, and no media yet; return the id of the connection."""
        self.connection_id = await self.services.engine.ask(self.stream_key, is_secure=self.is_secure)
        return self.connection_id

    async def stop(self) -> None:
        """End the stream, as an encoder does that is stopped."""
        self.services.engine.lose(self.connection_id, CloseCause.PEER_CLOSED)

    async def lose_connection(self) -> None:
        """Lose the connection, as an encoder does whose network fails."""
        self.services.engine.lose(self.connection_id, CloseCause.CONSENT_LOST)
