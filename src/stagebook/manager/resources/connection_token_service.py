"""Connection tokens: one token for all connections of a client to the stages of an account, and its revocation.

Source: "Distribute Tokens" of the IVS Real-Time user guide and API reference, RevokeConnectionToken. A client presents
a connection token in addition to the participant token of each stage. It is signed by the application, so the server
knows only the tokens that were used, and stores only their revocations.
"""

from stagebook.book.changes import RevokeConnectionToken
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization, bound_participant_id
from stagebook.stage.events import Cause
from stagebook.stage.session.session_facts import ParticipantsDisconnected


class ConnectionTokenService:
    """Revokes connection tokens."""

    def __init__(self, *, unit: UnitOfWork, authorization: Authorization) -> None:
        self._unit = unit
        self._authorization = authorization

    async def revoke(self, *, account_id: str, token_id: str) -> None:
        """Refuse a connection token from now on, and disconnect each participant that is connected through it.

        A participant whose connections all came with a connection token is refused without one from now on: otherwise
        the client would go on with its participant token. With another connection token it is admitted.

        All of it is one transaction, also for participants on several stages. Returns when it is durable. A token that
        was never used can be revoked, and revoking a token again changes nothing.
        """
        found = self._connected_through(account_id, token_id)
        bound = [
            (stage_arn, participant_id)
            for stage_arn, participant_ids in found.items()
            for participant_id in participant_ids
            if self._is_bound(stage_arn, participant_id)
        ]
        # Before the transaction: it looks for connections once, and no further one may open until it is durable.
        self._authorization.begin_connection_revocation(account_id, token_id)
        for stage_arn, participant_id in bound:
            self._authorization.begin_binding(stage_arn, participant_id)
        try:
            transaction = self._unit.begin()
            for stage_arn, participant_ids in found.items():
                fact = ParticipantsDisconnected(
                    participant_ids=tuple(participant_ids), cause=Cause.CONNECTION_TOKEN_REVOKED
                )
                transaction.apply(self._unit.registry.sessions[stage_arn], fact)
            at_ms = transaction.at.wall_ms
            for revoked_id in (token_id, *(bound_participant_id(*each) for each in bound)):
                transaction.add(RevokeConnectionToken(account_id=account_id, token_id=revoked_id, at_ms=at_ms))
            await self._unit.wait(transaction.commit())
        finally:
            self._authorization.finish_connection_revocation(account_id, token_id)
            for stage_arn, participant_id in bound:
                self._authorization.finish_binding(stage_arn, participant_id)

    def _connected_through(self, account_id: str, token_id: str) -> dict[str, dict[str, None]]:
        """Return the participants that are connected through a token, by stage ARN, each once."""
        found: dict[str, dict[str, None]] = {}
        for route in self._unit.registry.connected_through(account_id, token_id):
            found.setdefault(route.stage_arn, {})[route.participant_id] = None
        return found

    def _is_bound(self, stage_arn: str, participant_id: str) -> bool:
        """Return whether a participant has no connection that came without a connection token."""
        registry = self._unit.registry
        participant = registry.sessions[stage_arn].participants.get(participant_id)
        routes = () if participant is None else map(registry.routes.get, participant.machine.connections)
        return all(route is None or route.connection_token_id is not None for route in routes)
