"""RevokeConnectionToken (API reference, RevokeConnectionToken)."""

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.manager.stage_manager import StageManager


class ConnectionTokenOperations:
    """The operation on connection tokens: callers sign them, this server only ends them."""

    def __init__(self, manager: StageManager) -> None:
        self._manager = manager

    def operations(self) -> tuple[Operation, ...]:
        """Return it for the door's table."""
        return (Operation(name="RevokeConnectionToken", handle=self.revoke),)

    async def revoke(self, call: Call) -> Result:
        """Refuse a connection token of the caller's account from now on, also one that was never seen, and disconnect
        the participants who are connected through it."""
        await self._manager.connection_tokens.revoke(
            account_id=call.caller.account_id, token_id=call.request["tokenId"]
        )
        return {}
