"""ImportPublicKey, GetPublicKey, ListPublicKeys, DeletePublicKey (API reference, PublicKey)."""

from typing import Any

from stagebook.api.aws.operation import Call, Operation, Result
from stagebook.api.aws.page_token import PageTokens, page_size
from stagebook.book.book_pages import BookPages
from stagebook.manager.stage_manager import StageManager
from stagebook.stage.arns import PUBLIC_KEY
from stagebook.stage.errors import ResourceNotFoundError
from stagebook.stage.resources import PublicKey, Resource


class PublicKeyOperations:
    """The operations on public keys, which verify tokens that applications sign themselves."""

    def __init__(self, manager: StageManager, pages: BookPages, page_tokens: PageTokens) -> None:
        self._manager = manager
        self._pages = pages
        self._page_tokens = page_tokens

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations on this kind of resource."""
        return (
            Operation(name="ImportPublicKey", handle=self.import_key),
            Operation(name="GetPublicKey", handle=self.get, resource_member="arn"),
            Operation(name="ListPublicKeys", handle=self.list),
            Operation(name="DeletePublicKey", handle=self.delete, resource_member="arn"),
        )

    async def import_key(self, call: Call) -> Result:
        """Import a P-384 public key; InvalidInputError for any other key, ConflictError for one that exists already."""
        request = call.request
        key = await self._manager.public_keys.import_key(
            account_id=call.caller.account_id,
            name=request.get("name", ""),
            tags=request.get("tags", {}),
            material=request["publicKeyMaterial"],
        )
        return {"publicKey": _show(key)}

    async def get(self, call: Call) -> Result:
        """Return one key; ResourceNotFoundError when it does not exist."""
        arn = call.request["arn"]
        key = await self._pages.get_resource(arn)
        if not isinstance(key, PublicKey):
            raise ResourceNotFoundError(kind="public key", name=arn)
        return {"publicKey": _show(key)}

    async def list(self, call: Call) -> Result:
        """Return summaries of the account's keys, in order of import."""
        page = await self._pages.list_resources(
            call.caller.account_id,
            PUBLIC_KEY,
            after=self._page_tokens.open("ListPublicKeys", call),
            limit=page_size(call),
        )
        return {
            "publicKeys": [_summary(key) for key in page.items],
            "nextToken": self._page_tokens.seal("ListPublicKeys", call, page.next_position),
        }

    async def delete(self, call: Call) -> Result:
        """Delete a key. Tokens that it signed become invalid."""
        await self._manager.public_keys.delete(arn=call.request["arn"])
        return {}


def _summary(key: Resource) -> dict[str, Any]:
    """Return shape PublicKeySummary."""
    return {"arn": key.arn, "name": key.name, "tags": key.tags}


def _show(key: PublicKey) -> dict[str, Any]:
    """Return shape PublicKey."""
    return {**_summary(key), "publicKeyMaterial": key.material, "fingerprint": key.fingerprint}
