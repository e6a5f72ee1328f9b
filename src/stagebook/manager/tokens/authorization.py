"""Who may come in: the token, the stage it speaks of, and the participants who were sent away for good.

Owns the memory of deletions and disconnections that are on their way into the book, so that nobody slips in between.
"""

import msgspec

from stagebook.book.store import BookReader
from stagebook.manager.resources.ingest_configuration_index import IngestConfigurationIndex
from stagebook.manager.tokens.token_authority import TokenAuthority
from stagebook.stage.arns import Arn, parse_arn
from stagebook.stage.claims import Claims
from stagebook.stage.errors import TokenRefusal, TokenRefusedError
from stagebook.stage.resources import Stage

MAXIMUM_REMEMBERED = 10_000
"""How many stages' rights are remembered before all are forgotten and asked of the book anew."""


class StageRights(msgspec.Struct, frozen=True, kw_only=True):
    """A stage that exists, and the ids of the participants who may not come back to it."""

    stage: Stage
    revoked: set[str]


class Authorization:
    """Checks tokens when they are used, and again when what they were used for is about to be recorded.

    Asked several times for every arrival, so the rights of a stage are kept in memory: nobody else writes the book.
    """

    def __init__(self, *, book: BookReader, tokens: TokenAuthority, ingest_index: IngestConfigurationIndex) -> None:
        self._book = book
        self._tokens = tokens
        self._ingest_index = ingest_index
        self._deleting: set[str] = set()
        self._revoking: set[tuple[str, str]] = set()
        self._revoking_connections: set[tuple[str, str]] = set()
        self._rights: dict[str, StageRights] = {}

    def admit(self, token: str, *, now_ms: int, connection_token: str | None = None) -> Claims:
        """Return what a token grants, shown over a connection that was opened with `connection_token` if any.

        Raises TokenRefusedError.
        """
        claims = self._tokens.verify(token, now_ms=now_ms)
        if connection_token is not None:
            token_id = self._connect(connection_token, parse_arn(claims.stage_arn), now_ms=now_ms)
            claims = msgspec.structs.replace(claims, connection_token_id=token_id)
        self.require(claims)
        return claims

    def _connect(self, connection_token: str, stage: Arn, *, now_ms: int) -> str:
        """Return the id of a connection token that opens connections to this stage; raise TokenRefusedError."""
        try:
            connection = self._tokens.verify_connection(connection_token, now_ms=now_ms)
        except TokenRefusedError as error:
            raise _connection_refused(f"the connection token: {error}") from None
        if (connection.account_id, connection.region) != (stage.account_id, stage.region):
            raise _connection_refused("the connection token is for another account or region than the stage")
        return connection.token_id

    def identify(self, token: str) -> Claims:
        """Return whose token this is, expired or not; raise TokenRefusedError."""
        return self._tokens.verify(token, now_ms=None)

    def require(self, claims: Claims) -> Stage:
        """Return the stage of these claims; raise TokenRefusedError if it or the participant's right to it is gone.

        Tokens stop being good while somebody comes in with them, so this also asks after the key that signed this one
        and the connection token it came with. Participants of ingest configurations come by a stream key, and nobody
        else has their ids: whoever signs tokens could name one.
        """
        rights = self._rights_of(claims.stage_arn)
        if rights is None:
            raise TokenRefusedError(refusal=TokenRefusal.STAGE_DELETED, detail="the stage does not exist")
        if claims.participant_id in rights.revoked:
            raise TokenRefusedError(
                refusal=TokenRefusal.PARTICIPANT_DISCONNECTED,
                detail="the participant was disconnected from the stage; its token is no longer valid",
            )
        if claims.ingest is None and self._is_of_ingest(rights.stage.account_id, claims.participant_id):
            raise TokenRefusedError(
                refusal=TokenRefusal.JTI_IN_USE,
                detail="the token's jti is the participant id of an ingest configuration: it comes by a stream key",
            )
        if claims.key_arn is not None and self._book.get_resource(claims.key_arn) is None:
            raise TokenRefusedError(
                refusal=TokenRefusal.SIGNATURE, detail="the public key that the token names (kid) was deleted"
            )
        if claims.connection_token_id is not None:
            self._require_connection(rights.stage.account_id, claims.connection_token_id)
        return rights.stage

    def _is_of_ingest(self, account_id: str, participant_id: str) -> bool:
        return self._ingest_index.of_participant(account_id, participant_id) is not None

    def _require_connection(self, account_id: str, token_id: str) -> None:
        revoking = (account_id, token_id) in self._revoking_connections
        if revoking or self._book.is_connection_token_revoked(account_id, token_id):
            raise _connection_refused("the connection token was revoked")

    def _rights_of(self, stage_arn: str) -> StageRights | None:
        rights = self._rights.get(stage_arn)
        if rights is not None:
            return rights
        stage = self._book.get_stage(stage_arn)
        if stage is None or stage_arn in self._deleting:
            return None
        if len(self._rights) >= MAXIMUM_REMEMBERED:
            self._rights.clear()
        revoked = set(self._book.list_revoked(stage_arn))
        revoked.update(participant_id for arn, participant_id in self._revoking if arn == stage_arn)
        rights = StageRights(stage=stage, revoked=revoked)
        self._rights[stage_arn] = rights
        return rights

    def is_being_deleted(self, stage_arn: str) -> bool:
        """Return whether a stage's deletion is on its way into the book."""
        return stage_arn in self._deleting

    def begin_deletion(self, stage_arn: str) -> None:
        """Let nobody onto the stage from now on."""
        self._deleting.add(stage_arn)
        self._rights.pop(stage_arn, None)

    def finish_deletion(self, stage_arn: str) -> None:
        """The deletion is in the book (or has failed)."""
        self._deleting.discard(stage_arn)

    def begin_revocation(self, stage_arn: str, participant_id: str) -> None:
        """Let this participant onto this stage no more."""
        self._revoking.add((stage_arn, participant_id))
        rights = self._rights.get(stage_arn)
        if rights is not None:
            rights.revoked.add(participant_id)

    def finish_revocation(self, stage_arn: str, participant_id: str) -> None:
        """The revocation is in the book (or has failed)."""
        self._revoking.discard((stage_arn, participant_id))

    def begin_connection_revocation(self, account_id: str, token_id: str) -> None:
        """Let nobody in through this connection token from now on."""
        self._revoking_connections.add((account_id, token_id))

    def finish_connection_revocation(self, account_id: str, token_id: str) -> None:
        """The revocation is in the book (or has failed)."""
        self._revoking_connections.discard((account_id, token_id))


def _connection_refused(detail: str) -> TokenRefusedError:
    return TokenRefusedError(refusal=TokenRefusal.CONNECTION_TOKEN, detail=detail)
