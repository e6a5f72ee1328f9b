"""Faults of the next calls: set, list and delete them."""

from collections.abc import Collection, Iterator
from typing import Annotated, TypeAlias

import msgspec

from stagebook.api.fault_table import ANY_OPERATION, Fault, FaultKind, FaultTable
from stagebook.api.http_responses import HttpResponse
from stagebook.api.routes.api_route import ApiCall, ApiResponse, ApiRoute, json_response
from stagebook.stage.errors import InvalidInputError, ResourceNotFoundError

MAXIMUM_SECONDS = 300

_ALL = "/testing/v1/faults"
_ONE = f"{_ALL}/{{fault_id}}"
_Operation: TypeAlias = Annotated[
    str, msgspec.Meta(max_length=64, description="The name of an operation, such as `CreateStage`, or `*` for all.")
]
_Times: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000, description="For how many calls.")]
_Seconds: TypeAlias = Annotated[
    float, msgspec.Meta(ge=0, le=MAXIMUM_SECONDS, description="For SLOW, and only for it: how long the answer takes.")
]
_AccountId: TypeAlias = Annotated[
    str, msgspec.Meta(pattern="^[0-9]{12}$(?!\n)", description="The account of the calls. Default: any.")
]


class FaultBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which calls get which fault."""

    operation: _Operation
    kind: FaultKind
    times: _Times = 1
    seconds: _Seconds | None = None
    account_id: _AccountId | None = None


class FaultDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A fault that is set, with the calls that are left."""

    id: str
    operation: str
    kind: FaultKind
    times: int
    seconds: float | None = None
    account_id: str | None = None


class FaultList(msgspec.Struct, frozen=True, kw_only=True):
    """The faults that are set, in order of their creation."""

    faults: tuple[FaultDocument, ...]


class FaultRoutes:
    """The routes of the faults in `table`.

    `operations` are the names of the operations of the AWS API that take faults from it, and `whip_operations` those
    of the participants API, of which the account is not known.
    """

    def __init__(self, table: FaultTable, *, operations: Collection[str], whip_operations: Collection[str]) -> None:
        self._table = table
        self._operations = frozenset(operations)
        self._whip_operations = frozenset(whip_operations)

    def routes(self) -> Iterator[ApiRoute]:
        """Yield the routes."""
        yield ApiRoute(
            method="GET",
            template=_ALL,
            action="ListFaults",
            summary="The faults that are set",
            handle=self._list,
            response=FaultList,
        )
        yield ApiRoute(
            method="POST",
            template=_ALL,
            action="CreateFault",
            summary="Let the next calls of an operation fail, or be slow",
            handle=self._create,
            body=FaultBody,
            response=FaultDocument,
            status=201,
        )
        yield ApiRoute(
            method="DELETE",
            template=_ALL,
            action="DeleteFaults",
            summary="Remove all faults",
            handle=self._clear,
            status=204,
        )
        yield ApiRoute(
            method="DELETE",
            template=_ONE,
            action="DeleteFault",
            summary="Remove a fault",
            handle=self._delete,
            status=204,
        )

    async def _list(self, _call: ApiCall) -> ApiResponse:
        return json_response(FaultList(faults=tuple(_document(fault) for fault in self._table.all)))

    async def _create(self, call: ApiCall) -> ApiResponse:
        body: FaultBody = call.body
        self._check(body)
        fault = self._table.add(
            operation=body.operation,
            kind=body.kind,
            times=body.times,
            seconds=body.seconds or 0.0,
            account_id=body.account_id,
        )
        return json_response(_document(fault), status=201)

    def _check(self, body: FaultBody) -> None:
        known_operations = self._operations | self._whip_operations
        if body.operation != ANY_OPERATION and body.operation not in known_operations:
            known = ", ".join(sorted(known_operations))
            raise InvalidInputError(member="operation", rule=f"must be {ANY_OPERATION} or one of {known}")
        if body.operation in self._whip_operations and body.account_id is not None:
            raise InvalidInputError(member="accountId", rule="must be left out for operations of the participants API")
        if (body.kind is FaultKind.SLOW) != (body.seconds is not None):
            raise InvalidInputError(member="seconds", rule="must be given for SLOW, and for no other kind")

    async def _clear(self, _call: ApiCall) -> ApiResponse:
        self._table.clear()
        return HttpResponse(status=204)

    async def _delete(self, call: ApiCall) -> ApiResponse:
        fault_id = call.path["fault_id"]
        if not self._table.remove(fault_id):
            raise ResourceNotFoundError(kind="fault", name=fault_id)
        return HttpResponse(status=204)


def _document(fault: Fault) -> FaultDocument:
    return FaultDocument(
        id=fault.id,
        operation=fault.operation,
        kind=fault.kind,
        times=fault.times,
        seconds=fault.seconds if fault.kind is FaultKind.SLOW else None,
        account_id=fault.account_id,
    )
