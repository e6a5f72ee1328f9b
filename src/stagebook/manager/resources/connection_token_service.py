"""Connection tokens: one token for a client's connections to the stages of an account, and its revocation.

Source: "Distribute Tokens" of the IVS Real-Time user guide and API reference, RevokeConnectionToken. A participant
token is still needed for every stage; who was let in by it is not this module's.
"""

from stagebook.book.changes import Change, RevokeConnectionToken
from stagebook.book.store import Durable
from stagebook.manager.participants.teardown import Teardown
from stagebook.manager.session.running_sessions import LiveSession
from stagebook.manager.session.unit_of_work import UnitOfWork
from stagebook.manager.tokens.authorization import Authorization
from stagebook.stage.events import Cause


class ConnectionTokenService:
    """Revokes connection tokens."""

    def __init__(self, *, ledger: UnitOfWork, endings: Teardown, admission: Authorization) -> None:
        self._ledger = ledger
        self._endings = endings
        self._admission = admission

    async def revoke(self, *, account_id: str, token_id: str) -> None:
        """Refuse a connection token from now on and disconnect every participant who is connected through it.

        A token that was never seen is revoked as well; one that is revoked already is fine. The revocation is handed
        to the book first, so no crash leaves somebody disconnected by a token that is still good.
        """
        self._admission.begin_connection_revocation(account_id, token_id)
        try:
            revoked = RevokeConnectionToken(account_id=account_id, token_id=token_id, at_ms=self._ledger.now_ms())
            last = self._ledger.submit([revoked])
            for session, participant_id in self._connected_through(account_id, token_id):
                last = self._disconnect(session, participant_id) or last
            await last
        finally:
            self._admission.finish_connection_revocation(account_id, token_id)

    def _connected_through(self, account_id: str, token_id: str) -> list[tuple[LiveSession, str]]:
        found = {
            (route.session.stage_arn, route.participant_id): (route.session, route.participant_id)
            for route in self._ledger.live.routes.values()
            if route.connection_token_id == token_id and route.session.account_id == account_id
        }
        return list(found.values())

    def _disconnect(self, session: LiveSession, participant_id: str) -> Durable | None:
        connection_ids = tuple(session.participants[participant_id].machine.connections)
        if not connection_ids:  # it watched itself or another of these, and that ended its last connection
            return None
        changes: list[Change] = self._endings.gone(
            session, participant_id, connection_ids, cause=Cause.CONNECTION_TOKEN_REVOKED
        )
        return self._ledger.commit(session, changes)
