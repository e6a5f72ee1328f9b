"""A participant without media: its token, its connections, and what it can do.

It uses the services of the stage manager as the participants API does, with a real token. Only its packets are missing.
"""

import asyncio

from stagebook.api.testing.participants.peer_services import PeerServices, conflict
from stagebook.api.testing.participants.recorded_peer import RecordedPeer
from stagebook.manager.presence.watchers import FarewellReason, StageChange, StageSnapshot, StageWatcher
from stagebook.media.port import CloseCause
from stagebook.media.simulated.simulated_offer import SimulatedOffer
from stagebook.stage.claims import Claims
from stagebook.stage.events import Cause
from stagebook.stage.resources import ClientInfo


class SimulatedParticipant:
    """One participant. The caller holds `lock` for each action, so that actions do not overlap.

    The actions raise ApiRefusedError 409 where the state forbids them, and the errors of the stage manager.
    """

    def __init__(
        self,
        services: PeerServices,
        *,
        token: str,
        claims: Claims,
        client: ClientInfo,
        connection_token: str | None = None,
    ) -> None:
        self.lock = asyncio.Lock()
        self.services = services
        self.token = token
        self.connection_token = connection_token
        self.claims = claims
        """Those of its newest token."""
        self.client = client
        self.recorded = RecordedPeer(services)
        self.publication_id: str | None = None
        self._subscriptions: dict[str, str] = {}
        """The publishers that it watches, by the ids of the connections. The quotas bound them."""
        self._events_id: str | None = None
        self._watcher = EventsWatcher()

    # State

    @property
    def has_joined(self) -> bool:
        """Whether its events websocket is open."""
        return self._events_id is not None and not self._watcher.has_ended

    @property
    def is_publishing(self) -> bool:
        """Whether its publication is open."""
        return self.publication_id is not None and self.services.engine.has(self.publication_id)

    @property
    def watched(self) -> tuple[str, ...]:
        """The ids of the publishers that it watches."""
        return tuple(dict.fromkeys(self._open_subscriptions().values()))

    @property
    def is_on_stage(self) -> bool:
        """Whether it has a connection of any kind."""
        return self.has_joined or self.is_publishing or bool(self._open_subscriptions())

    @property
    def is_idle(self) -> bool:
        """Whether it has no connection and no action in progress."""
        return not (self.is_on_stage or self.lock.locked())

    def admit(self) -> Claims:
        """Return the claims of its token. Raises TokenRefusedError, for example if the token has expired."""
        self.claims = self.services.manager.participants.admit(self.token, connection_token=self.connection_token)
        return self.claims

    # Actions

    async def join(self) -> None:
        """Open an events websocket."""
        if self.has_joined:
            raise conflict("the participant has joined already")
        self._events_id, self._watcher = None, EventsWatcher()
        self._events_id = await self.open_events(self.admit(), self._watcher)

    async def open_events(self, claims: Claims, watcher: StageWatcher) -> str:
        """Open an events websocket; return the id of the connection."""
        return await self.services.manager.participants.open_events(claims, watcher=watcher, client=self.client)

    async def publish(self) -> None:
        """Publish, and let the transport connect. A participant that publishes already replaces its publication."""
        opened = await self.offer(SimulatedOffer.MEDIA, self.admit())
        self.publication_id = opened
        self.services.engine.connect(opened)

    async def offer(self, offer: SimulatedOffer, claims: Claims) -> str:
        """Offer to publish; return the id of the connection."""
        opened = await self.services.manager.participants.publish(claims, offer=offer, client=self.client)
        return opened.connection_id

    async def never_connect(self) -> None:
        """Offer to publish, with a transport that never connects, and be given up by the server."""
        self.services.engine.lose(await self.offer(SimulatedOffer.MEDIA, self.admit()), CloseCause.NEVER_CONNECTED)

    async def unpublish(self) -> None:
        """End the publication."""
        if self.publication_id is None or not self.is_publishing:
            raise conflict("the participant does not publish")
        await self.withdraw(self.publication_id)

    async def subscribe(self, publisher_id: str) -> str:
        """Watch a publisher of its stage, and let the transport connect; return the id of the connection."""
        connection_id = await self.offer_to_watch(publisher_id, self.admit())
        self._subscriptions = {**self._open_subscriptions(), connection_id: publisher_id}
        self.services.engine.connect(connection_id)
        return connection_id

    async def offer_to_watch(self, publisher_id: str, claims: Claims) -> str:
        """Offer to watch a publisher; return the id of the connection."""
        opened = await self.services.manager.participants.subscribe(
            claims, publisher_id=publisher_id, offer=SimulatedOffer.MEDIA, client=self.client
        )
        return opened.connection_id

    async def unsubscribe(self, publisher_id: str) -> None:
        """End all subscriptions to a publisher."""
        watching = self.subscriptions_to(publisher_id)
        if not watching:
            raise conflict("the participant does not watch this publisher")
        await asyncio.gather(*(self.withdraw(connection_id) for connection_id in watching))

    async def mute(self, *, audio_muted: bool | None, video_stopped: bool | None) -> None:
        """Say whether its audio is muted and its video stopped; None leaves one as it is."""
        self.services.manager.participants.set_mute_state(
            connection_id=self._any_connection(), audio_muted=audio_muted, video_stopped=video_stopped
        )

    async def exchange(self, token: str) -> None:
        """Continue with another token."""
        self.claims = await self.services.manager.participants.exchange_token(
            connection_id=self._any_connection(), token=token
        )
        self.token = token

    async def leave(self) -> None:
        """End all connections, as a client does that leaves."""
        media = [*self._open_subscriptions(), *([self.publication_id] if self.publication_id is not None else [])]
        await asyncio.gather(*(self.withdraw(each) for each in media if self.services.engine.has(each)))
        await self._close_events(Cause.CLIENT)

    async def lose_connection(self) -> None:
        """Lose all connections, as a client does whose network fails. It may join again with the same token."""
        for connection_id in (*self._open_subscriptions(), self.publication_id):
            if connection_id is not None:
                self.services.engine.lose(connection_id, CloseCause.CONSENT_LOST)
        await self._close_events(Cause.PEER_LOST)

    def subscriptions_to(self, publisher_id: str) -> list[str]:
        """Return the ids of its open connections that watch a publisher."""
        return [each for each, watched in self._open_subscriptions().items() if watched == publisher_id]

    def _open_subscriptions(self) -> dict[str, str]:
        return {each: watched for each, watched in self._subscriptions.items() if self.services.engine.has(each)}

    def _any_connection(self) -> str:
        """Return the id of an open connection. Raises ApiRefusedError 409 without one."""
        if self._events_id is not None and self.has_joined:
            return self._events_id
        if self.publication_id is not None and self.is_publishing:
            return self.publication_id
        for connection_id in self._open_subscriptions():
            return connection_id
        raise conflict("the participant is not on the stage: let it join first")

    async def withdraw(self, connection_id: str) -> None:
        """End one of its media connections."""
        await self.services.manager.participants.close(self.claims, connection_id=connection_id)

    async def _close_events(self, cause: Cause) -> None:
        if self._events_id is not None and self.has_joined:
            self._watcher.has_ended = True
            await self.services.manager.participants.close_events(connection_id=self._events_id, cause=cause)


class EventsWatcher:
    """Its events websocket. Implements StageWatcher; nobody reads what it is shown."""

    takes_changes = True
    publishers_only = False

    def __init__(self) -> None:
        self.has_ended = False

    def show(self, snapshot: StageSnapshot) -> None:
        """Ignore a list."""

    def show_change(self, change: StageChange) -> None:
        """Ignore a change."""

    def farewell(self, reason: FarewellReason, detail: str) -> None:  # noqa: ARG002 - as in StageWatcher
        """The stage manager has ended the connection."""
        self.has_ended = True
