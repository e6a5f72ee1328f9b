"""The part of the stage manager that this API calls."""

from typing import Protocol

from stagebook.manager.participants.offer_negotiation import Opened
from stagebook.manager.presence.watchers import StageWatcher
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.port import InitialLayer, LayerChoice, PatchAnswer, VideoLayers
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.events import Cause
from stagebook.stage.resources import ClientInfo


class ParticipantManager(Protocol):
    """The operations of participants. They raise the errors of `stagebook.stage.errors`."""

    @property
    def endpoints(self) -> Endpoints:
        """The public URLs of this server."""

    def is_known(self, token: str) -> bool:
        """Return whether verifying this token, of a participant or a connection, costs no check of a signature."""

    def admit(self, token: str, *, connection_token: str | None = None) -> Claims:
        """Return the claims of a valid participant token, optionally with a connection token beside it.

        Raises TokenRefusedError.
        """

    def admit_connection(self, token: str) -> ConnectionClaims:
        """Return the claims of a connection token that is valid and not revoked; raise TokenRefusedError."""

    def identify(self, token: str) -> Claims:
        """Return the claims of a participant token that may have expired; raise TokenRefusedError."""

    async def publish(self, claims: Claims, *, offer: str, client: ClientInfo) -> Opened:
        """Open a publishing connection from an SDP offer."""

    async def subscribe(
        self, claims: Claims, *, publisher_id: str, offer: str, client: ClientInfo, initial_layer: InitialLayer | None
    ) -> Opened:
        """Open a connection that receives the media of one publisher, from an SDP offer. `initial_layer` is the
        simulcast layer to begin with."""

    async def patch(self, claims: Claims, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        """Apply a trickle ICE or ICE restart fragment. `ice_session` is the session it must match; None matches any."""

    async def layers(self, claims: Claims, *, connection_id: str) -> VideoLayers:
        """Return the simulcast layers that a viewer's connection of this participant can choose."""

    async def select_layer(self, claims: Claims, *, connection_id: str, choice: LayerChoice) -> None:
        """Let a viewer's connection of this participant choose what it is sent of the publisher."""

    async def close(self, claims: Claims, *, connection_id: str) -> None:
        """End a connection of this participant."""

    async def open_events(
        self, claims: Claims, *, watcher: StageWatcher, client: ClientInfo, is_sole: bool = False
    ) -> str:
        """Register an events websocket as a connection of the participant; return the id of the connection.

        `is_sole`: its client has one events websocket at a time. A former one of that kind gets a farewell, and a
        client that closes it has left the stage with all of its connections.
        """

    def show_again(self, *, connection_id: str) -> None:
        """Show an events websocket the list again, because it has not taken all changes. An unknown id is ignored."""

    async def exchange_token(self, *, connection_id: str, token: str) -> Claims:
        """Replace the token of the participant of an events websocket; return the claims of the new token.

        Raises TokenRefusedError, ExchangeRefusedError and ConnectionNotFoundError.
        """

    def set_mute_state(self, *, connection_id: str, audio_muted: bool | None, video_stopped: bool | None) -> None:
        """Set what the participant of an events websocket says about its media; None leaves one as it is.

        An unknown id is ignored.
        """

    async def close_events(self, *, connection_id: str, cause: Cause) -> None:
        """Report that an events websocket has ended. An id that is not open is ignored."""
