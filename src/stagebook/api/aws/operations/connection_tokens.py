"""RevokeConnectionToken (API reference, RevokeConnectionToken)."""

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.manager.stage_manager import StageManager


class ConnectionTokenOperations:
    """The operation on connection tokens. Applications sign these tokens themselves; the server only revokes them."""

    def __init__(self, manager: StageManager) -> None:
        self._manager = manager

    def operations(self) -> tuple[Operation, ...]:
        """Return the operation on this kind of resource."""
        return (Operation(name="RevokeConnectionToken", handle=self.revoke),)

    async def revoke(self, call: Call) -> Result:
        """Revoke a connection token of the caller's account and disconnect the participants that are connected with it.

        The server need not have seen the token before.
        """
        await self._manager.connection_tokens.revoke(
            account_id=call.caller.account_id, token_id=call.request["tokenId"]
        )
        return {}
