"""What this door asks of the stage manager, and no more."""

from typing import Protocol

from stagebook.manager.presence.watchers import StageWatcher
from stagebook.manager.stage_manager import Opened
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.port import PatchAnswer
from stagebook.stage.claims import Claims
from stagebook.stage.events import Cause
from stagebook.stage.resources import ClientInfo


class ParticipantManager(Protocol):
    """The participants' side of the stage manager. Its errors are those of `stagebook.stage.errors`."""

    @property
    def endpoints(self) -> Endpoints:
        """The addresses that stages and tokens carry."""

    def admit(self, token: str, *, connection_token: str | None = None) -> Claims:
        """Return the claims of a token that admits, by itself or over a connection of a connection token.

        Raises TokenRefusedError.
        """

    def identify(self, token: str) -> Claims:
        """Return whose token this is, even after it has expired; raise TokenRefusedError."""

    async def publish(self, claims: Claims, *, offer: str, client: ClientInfo) -> Opened:
        """Open a publishing connection."""

    async def subscribe(self, claims: Claims, *, publisher_id: str, offer: str, client: ClientInfo) -> Opened:
        """Open a connection that watches one publisher."""

    async def patch(self, claims: Claims, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Hand a trickle or restart fragment to a connection; `ice_session` None matches any."""

    async def close(self, claims: Claims, *, connection_id: str) -> None:
        """End a connection of this participant."""

    async def open_events(self, claims: Claims, *, watcher: StageWatcher, client: ClientInfo) -> str:
        """Count an events websocket as a connection and return its id."""

    async def exchange_token(self, *, connection_id: str, token: str) -> Claims:
        """Let the participant of an events websocket go on with another token and return what that grants.

        Raises TokenRefusedError, ExchangeRefusedError and ConnectionNotFoundError.
        """

    async def close_events(self, *, connection_id: str, cause: Cause) -> None:
        """Say that an events websocket is gone; fine for one that the manager has ended itself."""
