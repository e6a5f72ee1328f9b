"""Authorization of participants: tokens, deleted stages, and revoked participants, keys and connection tokens.

`verify` checks a token by itself: signature, expiry, connection token. `authorize` checks, once for each attempt and in
the same step as the session's decision, what the book says about it: the stage, the participant, the key and the
connection token. Deletions and revocations count from the moment at which they are submitted, before they are durable,
so no participant can join in between.
"""

from collections.abc import Callable

import msgspec

from stagebook.book.decision_book import DecisionReader
from stagebook.manager.tokens.token_authority import TokenAuthority
from stagebook.stage.arns import Arn, parse_arn
from stagebook.stage.claims import Claims, ConnectionClaims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Stage
from stagebook.stage.room_stages import is_room_stage

MAXIMUM_CACHED_STAGES = 10_000
"""How many stages' rights are cached. A full cache is cleared as a whole; each stage then costs one read again."""


class StageRights(msgspec.Struct, frozen=True, kw_only=True):
    """An existing stage, and whether any participant was disconnected from it permanently (`has_revoked`), or is
    refused without a connection token (`has_bound`).

    The ids of those participants have no bound, so they are looked up one by one.
    """

    stage: Stage
    has_revoked: bool
    has_bound: bool


class Authorization:
    """Checks tokens, and caches the rights of stages: this process is the only writer of the book.

    `is_ingest_participant` says whether an account has an ingest configuration with this participant id.
    """

    def __init__(
        self, *, book: DecisionReader, tokens: TokenAuthority, is_ingest_participant: Callable[[str, str], bool]
    ) -> None:
        self._book = book
        self._tokens = tokens
        self._is_ingest_participant = is_ingest_participant
        self._deleting: set[str] = set()
        self._revoking: set[tuple[str, str]] = set()
        self._revoking_connections: set[tuple[str, str]] = set()
        self._binding: set[tuple[str, str]] = set()
        self._rights: dict[str, StageRights] = {}

    def is_known(self, token: str) -> bool:
        """As TokenAuthority.is_known."""
        return self._tokens.is_known(token)

    def verify(self, token: str, *, now_ms: int, connection_token: str | None = None) -> Claims:
        """Return the claims of a valid participant token, optionally with a connection token beside it.

        `now_ms` is the machine's wall clock. Raises TokenRefusedError.
        """
        claims = self._tokens.verify(token, now_ms=now_ms)
        if connection_token is not None:
            token_id = self._connect(connection_token, parse_arn(claims.stage_arn), now_ms=now_ms)
            claims = msgspec.structs.replace(claims, connection_token_id=token_id)
        return claims

    def _connect(self, connection_token: str, stage: Arn, *, now_ms: int) -> str:
        """Return the id of a connection token that is valid for this stage; raise TokenRefusedError."""
        try:
            connection = self._tokens.verify_connection(connection_token, now_ms=now_ms)
        except TokenRefusedError as error:
            raise _connection_refused(f"the connection token: {error}") from None
        if (connection.account_id, connection.region) != (stage.account_id, stage.region):
            raise _connection_refused("the connection token is for another account or region than the stage")
        return connection.token_id

    def verify_connection(self, token: str, *, now_ms: int) -> ConnectionClaims:
        """Return the claims of a connection token that is valid and not revoked.

        `now_ms` is the machine's wall clock. Raises TokenRefusedError: CONNECTION_TOKEN if it was revoked.
        """
        connection = self._tokens.verify_connection(token, now_ms=now_ms)
        self._require_connection(connection.account_id, connection.token_id)
        return connection

    def identify(self, token: str) -> Claims:
        """Return the claims of a token that may have expired; raise TokenRefusedError for any other reason."""
        return self._tokens.verify(token, now_ms=None)

    def authorize(self, claims: Claims) -> Stage:
        """Return the stage of these claims.

        Raises TokenRefusedError: STAGE_DELETED, PARTICIPANT_DISCONNECTED, JTI_IN_USE, SIGNATURE (the imported key was
        deleted since the token was verified) or CONNECTION_TOKEN (revoked, or missing where one was revoked). Do not
        await between this call and the commit of the decision that relies on it.

        The id of an ingest configuration's participant is reserved: an application that signs its own tokens could
        name it as `jti`.
        """
        rights = self._rights_of(claims.stage_arn)
        if rights is None:
            raise TokenRefusedError(refusal=TokenRefusal.STAGE_DELETED, detail="the stage does not exist")
        if rights.has_revoked and self._is_revoked(claims):
            raise TokenRefusedError(
                refusal=TokenRefusal.PARTICIPANT_DISCONNECTED,
                detail="the participant was disconnected from the stage; its token is no longer valid",
            )
        if claims.ingest is None and self._is_ingest_participant(rights.stage.account_id, claims.participant_id):
            raise TokenRefusedError(
                refusal=TokenRefusal.JTI_IN_USE,
                detail="the token's jti is the participant id of an ingest configuration: use its stream key",
            )
        if claims.key_arn is not None and not self._tokens.has_key(claims.key_arn):
            raise TokenRefusedError(
                refusal=TokenRefusal.SIGNATURE, detail="the public key that the token names (kid) was deleted"
            )
        if claims.connection_token_id is not None:
            self._require_connection(rights.stage.account_id, claims.connection_token_id)
        elif rights.has_bound:
            self._require_no_revocation(rights.stage.account_id, claims)
        return rights.stage

    def has_stage(self, stage_arn: str) -> bool:
        """Return whether a stage exists and is not being deleted."""
        return self._rights_of(stage_arn) is not None

    def _is_revoked(self, claims: Claims) -> bool:
        # A revocation that is submitted and not durable is not in the book yet.
        pair = (claims.stage_arn, claims.participant_id)
        return pair in self._revoking or self._book.is_revoked(*pair)

    def _require_connection(self, account_id: str, token_id: str) -> None:
        revoking = (account_id, token_id) in self._revoking_connections
        if revoking or self._book.is_connection_token_revoked(account_id, token_id):
            raise _connection_refused("the connection token was revoked")

    def _require_no_revocation(self, account_id: str, claims: Claims) -> None:
        """Refuse a participant token alone if it was used beside a connection token that was revoked."""
        pair = (claims.stage_arn, claims.participant_id)
        if pair in self._binding or self._book.is_connection_token_revoked(account_id, bound_participant_id(*pair)):
            raise _connection_refused("the connection token that this participant used was revoked; use another one")

    def _rights_of(self, stage_arn: str) -> StageRights | None:
        rights = self._rights.get(stage_arn)
        if rights is not None:
            return rights
        stage = self._book.get_stage(stage_arn)
        # No participant is admitted to a stage that shows a room of LiveKit, by any token or stream key.
        if stage is None or stage_arn in self._deleting or is_room_stage(stage_arn):
            return None
        if len(self._rights) >= MAXIMUM_CACHED_STAGES:
            self._rights.clear()
        has_revoked = self._book.has_revoked(stage_arn) or any(arn == stage_arn for arn, _ in self._revoking)
        has_bound = self._book.has_bound_participants(stage.account_id, stage_arn.rpartition("/")[2])
        has_bound = has_bound or any(arn == stage_arn for arn, _ in self._binding)
        rights = StageRights(stage=stage, has_revoked=has_revoked, has_bound=has_bound)
        self._rights[stage_arn] = rights
        return rights

    def is_being_deleted(self, stage_arn: str) -> bool:
        """Return whether the deletion of a stage is submitted and not durable yet. The stage counts as deleted."""
        return stage_arn in self._deleting

    def begin_deletion(self, stage_arn: str) -> None:
        """Refuse all attempts on the stage from this moment on.

        Call it before the deletion is submitted, and `finish_deletion` when it is durable or has failed: from then on
        the book is right. The other pairs of `begin` and `finish` work alike.
        """
        self._deleting.add(stage_arn)
        self._rights.pop(stage_arn, None)

    def finish_deletion(self, stage_arn: str) -> None:
        """The deletion is durable, or has failed."""
        self._deleting.discard(stage_arn)

    def begin_revocation(self, stage_arn: str, participant_id: str) -> None:
        """Refuse this participant on this stage from this moment on."""
        self._revoking.add((stage_arn, participant_id))
        rights = self._rights.get(stage_arn)
        if rights is not None:
            self._rights[stage_arn] = msgspec.structs.replace(rights, has_revoked=True)

    def finish_revocation(self, stage_arn: str, participant_id: str) -> None:
        """The revocation is durable, or has failed."""
        self._revoking.discard((stage_arn, participant_id))

    def begin_connection_revocation(self, account_id: str, token_id: str) -> None:
        """Refuse this connection token from this moment on."""
        self._revoking_connections.add((account_id, token_id))

    def finish_connection_revocation(self, account_id: str, token_id: str) -> None:
        """The revocation is durable, or has failed."""
        self._revoking_connections.discard((account_id, token_id))

    def begin_binding(self, stage_arn: str, participant_id: str) -> None:
        """Refuse this participant of this stage without a connection token from this moment on."""
        self._binding.add((stage_arn, participant_id))
        rights = self._rights.get(stage_arn)
        if rights is not None:
            self._rights[stage_arn] = msgspec.structs.replace(rights, has_bound=True)

    def finish_binding(self, stage_arn: str, participant_id: str) -> None:
        """The change is durable, or has failed."""
        self._binding.discard((stage_arn, participant_id))


def bound_participant_id(stage_arn: str, participant_id: str) -> str:
    """Return the id of a participant among the revocations of connection tokens.

    The revocation of a connection token also revokes the participant tokens that were used only beside it, as far as
    they come alone. The id has a slash, which the id of a connection token never has.
    """
    return f"{stage_arn.rpartition('/')[2]}/{participant_id}"


def _connection_refused(detail: str) -> TokenRefusedError:
    return TokenRefusedError(refusal=TokenRefusal.CONNECTION_TOKEN, detail=detail)
