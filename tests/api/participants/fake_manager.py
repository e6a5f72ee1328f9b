"""A fake stage manager that records its calls and returns or raises what a test has set."""

import asyncio

import msgspec

from stagebook.manager.participants.offer_negotiation import Opened
from stagebook.manager.presence.watchers import StageWatcher
from stagebook.manager.tokens.token_authority import Endpoints
from stagebook.media.port import Answer, InitialLayer, LayerChoice, PatchAnswer, VideoLayers
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.events import Cause
from stagebook.stage.resources import Capability, ClientInfo

STAGE_ID = "abcdABCDefgh"
STAGE = f"arn:aws:ivs:us-west-2:123456789012:stage/{STAGE_ID}"
TOKEN = "head.body.sign"
CLAIMS = Claims(
    participant_id="abCDEf12GHIj", stage_arn=STAGE, capabilities=frozenset(Capability), expires_at_seconds=2_000_000_000
)
CONNECTION_CLAIMS = ConnectionClaims(
    token_id="one",
    account_id="123456789012",
    region="us-west-2",
    key_arn="arn:aws:ivs:us-west-2:123456789012:public-key/abcdABCDefgh",
    issued_at_seconds=1_900_000_000,
    expires_at_seconds=2_000_000_000,
)


class FakeManager:
    """Records calls as tuples of the method's name and its arguments.

    `failure`, when set, is raised by every method but `admit` and `close_events`; `admission_failure` by `admit`.
    `exchange_token` waits for `exchange_gate`, when set, and `subscribe` for `offer_gate`. `admit_connection` raises
    `connection_failure`. `tokens` are the valid participant tokens. The events websockets have the connection ids
    connection-3, connection-4 and so on.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.failure: Exception | None = None
        self.admission_failure: Exception | None = None
        self.patch_answer = PatchAnswer(fragment=None, ice_session="ice-1")
        self.watcher: StageWatcher | None = None
        self.watchers: list[StageWatcher] = []
        self.sole: list[bool] = []
        self.offer_gate: asyncio.Event | None = None
        self.offers_in_progress = self.most_offers_in_progress = 0
        self.known_tokens: set[str] = set()
        self.exchange_gate: asyncio.Event | None = None
        self.initial_layer: InitialLayer | None = None
        self.video_layers = VideoLayers()
        self.connection_failure: Exception | None = None
        self.tokens = {TOKEN: CLAIMS}

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(
            events="wss://stages.example.com/events", whip="https://stages.example.com/whip", rtmp="", rtmps=""
        )

    def is_known(self, token: str) -> bool:
        return token in self.known_tokens

    def admit(self, token: str, *, connection_token: str | None = None) -> Claims:
        if connection_token is not None:
            self.calls.append(("admit", connection_token))
        if self.admission_failure is not None:
            raise self.admission_failure
        return self.identify(token)

    def admit_connection(self, token: str) -> ConnectionClaims:
        self.calls.append(("admit_connection", token))
        if self.connection_failure is not None:
            raise self.connection_failure
        return CONNECTION_CLAIMS

    def identify(self, token: str) -> Claims:
        if token not in self.tokens:
            raise TokenRefusedError(refusal=TokenRefusal.SIGNATURE, detail="the signature is wrong")
        return self.tokens[token]

    async def publish(self, claims: Claims, *, offer: str, client: ClientInfo) -> Opened:
        self._record("publish", claims.participant_id, offer, client)
        return Opened(connection_id="connection-1", answer=Answer(sdp="v=0 answer\r\n", ice_session="ice-1"))

    async def subscribe(
        self, claims: Claims, *, publisher_id: str, offer: str, client: ClientInfo, initial_layer: InitialLayer | None
    ) -> Opened:
        self.offers_in_progress += 1
        self.most_offers_in_progress = max(self.most_offers_in_progress, self.offers_in_progress)
        if self.offer_gate is not None:
            await self.offer_gate.wait()
        self.offers_in_progress -= 1
        self._record("subscribe", claims.participant_id, publisher_id, offer, client)
        self.initial_layer = initial_layer
        answer = Answer(sdp="v=0 answer\r\n", ice_session="ice-2", has_layers=bool(self.video_layers.layers))
        return Opened(connection_id="connection-2", answer=answer)

    async def patch(self, claims: Claims, *, connection_id: str, fragment: str, ice_session: str | None) -> PatchAnswer:
        self._record("patch", claims.participant_id, connection_id, fragment, ice_session)
        return self.patch_answer

    async def layers(self, claims: Claims, *, connection_id: str) -> VideoLayers:
        self._record("layers", claims.participant_id, connection_id)
        return self.video_layers

    async def select_layer(self, claims: Claims, *, connection_id: str, choice: LayerChoice) -> None:
        self._record("select_layer", claims.participant_id, connection_id, choice)

    async def close(self, claims: Claims, *, connection_id: str) -> None:
        self._record("close", claims.participant_id, connection_id)

    async def open_events(
        self, claims: Claims, *, watcher: StageWatcher, client: ClientInfo, is_sole: bool = False
    ) -> str:
        self._record("open_events", claims.participant_id, client)
        self.sole.append(is_sole)
        self.watcher = watcher
        self.watchers.append(watcher)
        return f"connection-{2 + len(self.watchers)}"

    def show_again(self, *, connection_id: str) -> None:
        self._record("show_again", connection_id)

    async def exchange_token(self, *, connection_id: str, token: str) -> Claims:
        if self.exchange_gate is not None:
            await self.exchange_gate.wait()
        self._record("exchange_token", connection_id, token)
        return msgspec.structs.replace(CLAIMS, user_id="ada")

    def set_mute_state(self, *, connection_id: str, audio_muted: bool | None, video_stopped: bool | None) -> None:
        self._record("set_mute_state", connection_id, audio_muted, video_stopped)

    async def close_events(self, *, connection_id: str, cause: Cause) -> None:
        self.calls.append(("close_events", connection_id, cause))

    def _record(self, *call: object) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure
