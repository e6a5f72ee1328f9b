"""The server as its clients see it, and fresh accounts."""

from collections.abc import Iterator
from typing import Annotated, TypeAlias

import msgspec

from stagebook.api.access.sigv4.credentials import AwsCredential
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, json_response
from stagebook.api.testing.fresh_accounts import FreshAccounts

_AccountId: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9]{12}$(?!\n)", description="An account of your choice, which may exist. Default: a fresh one."
    ),
]


class AccountBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which account the new access key is for."""

    account_id: _AccountId | None = None


class AccountDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account and an access key of it."""

    account_id: str
    access_key_id: str
    secret_access_key: str


class ServedDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a client needs to call the AWS API of this server. The access key is that of its data folder."""

    version: str
    region: str
    endpoint_url: str
    account_id: str
    access_key_id: str
    secret_access_key: str


class AccountRoutes:
    """The routes. `server` describes the server, and `accounts` makes access keys."""

    def __init__(self, server: ServedDocument, accounts: FreshAccounts) -> None:
        self._server = server
        self._accounts = accounts

    def routes(self) -> Iterator[ApiRoute]:
        """Yield the routes."""
        yield ApiRoute(
            method="GET",
            template="/testing/v1/server",
            action="GetServer",
            summary="What a client needs to call this server",
            handle=self._describe,
            response=ServedDocument,
        )
        yield ApiRoute(
            method="POST",
            template="/testing/v1/accounts",
            action="CreateAccount",
            summary="Make an access key of a fresh account, until the server stops",
            handle=self._create,
            body=AccountBody,
            is_body_optional=True,
            response=AccountDocument,
            status=201,
        )

    async def _describe(self, _call: ApiCall) -> ApiResponse:
        return json_response(self._server)

    async def _create(self, call: ApiCall) -> ApiResponse:
        return json_response(_document(self._accounts.create(call.body.account_id)), status=201)


def _document(credential: AwsCredential) -> AccountDocument:
    return AccountDocument(
        account_id=credential.account_id,
        access_key_id=credential.access_key_id,
        secret_access_key=credential.secret_access_key,
    )
