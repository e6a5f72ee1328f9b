"""Connection tokens: one token for all connections of a client to the stages of an account, and its revocation.

Source: "Distribute Tokens" of the IVS Real-Time user guide and API reference, RevokeConnectionToken. A client presents
a connection token in addition to the participant token of each stage. It is signed by the application, so the server
knows only the tokens that were used, and stores only their revocations.
"""

from stagebook.book.changes import RevokeConnectionToken
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.events import Cause
from stagebook.stage.session.session_facts import ParticipantsDisconnected


class ConnectionTokenService:
    """Revokes connection tokens."""

    def __init__(self, *, unit: UnitOfWork, authorization: Authorization) -> None:
        self._unit = unit
        self._authorization = authorization

    async def revoke(self, *, account_id: str, token_id: str) -> None:
        """Refuse a connection token from now on, and disconnect each participant that is connected through it.

        All of it is one transaction, also for participants on several stages. Returns when it is durable. A token that
        was never used can be revoked, and revoking a token again changes nothing.
        """
        # Before the transaction: it looks for connections once, and no further one may open until it is durable.
        self._authorization.begin_connection_revocation(account_id, token_id)
        try:
            transaction = self._unit.begin()
            for stage_arn, participant_ids in self._connected_through(account_id, token_id).items():
                fact = ParticipantsDisconnected(
                    participant_ids=tuple(participant_ids), cause=Cause.CONNECTION_TOKEN_REVOKED
                )
                transaction.apply(self._unit.registry.sessions[stage_arn], fact)
            at_ms = transaction.at.wall_ms
            transaction.add(RevokeConnectionToken(account_id=account_id, token_id=token_id, at_ms=at_ms))
            await self._unit.wait(transaction.commit())
        finally:
            self._authorization.finish_connection_revocation(account_id, token_id)

    def _connected_through(self, account_id: str, token_id: str) -> dict[str, dict[str, None]]:
        """Return the participants that are connected through a token, by stage ARN, each once."""
        found: dict[str, dict[str, None]] = {}
        for route in self._unit.registry.connected_through(account_id, token_id):
            found.setdefault(route.stage_arn, {})[route.participant_id] = None
        return found
