"""Faults of the AWS API that a test asks for, in a testing server.

A fault is taken where the call rate is checked: after authentication, before validation. Its error is the one that the
server itself raises there or later, so a client cannot tell the difference.
"""

from functools import partial

import msgspec

from stagebook.api.asgi import Scope
from stagebook.api.aws.access.call_rates import rate_exceeded
from stagebook.api.aws.access.resource_access import Principal
from stagebook.api.aws.aws_errors import internal_error
from stagebook.api.aws.operation import Call, Handler, Operation, Result
from stagebook.api.aws.operation_router import OperationRoute
from stagebook.api.connection_cut import ANSWER_FAULT, ConnectionCutError
from stagebook.api.fault_table import FaultKind, FaultTable


class InjectedFaults:
    """Applies the faults of `table` to calls."""

    def __init__(self, table: FaultTable) -> None:
        self._table = table

    def apply(self, route: OperationRoute, operation: Operation, principal: Principal, scope: Scope) -> Operation:
        """Return the operation that a call performs: `operation`, or one that does what its fault says.

        A fault of the answer is noted in the scope. Raises AwsError for THROTTLING, and ConnectionCutError for CUT.
        """
        fault = self._table.take(route.name, principal.caller.account_id)
        match None if fault is None else fault.kind:
            case FaultKind.THROTTLING:
                raise rate_exceeded()
            case FaultKind.CUT:
                raise ConnectionCutError
            case FaultKind.ACCESS_DENIED:
                return msgspec.structs.replace(operation, handle=partial(_deny, route, operation, principal))
            case FaultKind.INTERNAL_ERROR:
                return msgspec.structs.replace(operation, handle=_fail)
            case FaultKind.LOSE_ANSWER | FaultKind.CUT_ANSWER as kind:
                scope[ANSWER_FAULT] = kind
        if fault is not None and fault.kind is FaultKind.SLOW:
            return msgspec.structs.replace(operation, handle=partial(self._delay, operation.handle, fault.seconds))
        return operation

    async def _delay(self, handle: Handler, seconds: float, call: Call) -> Result:
        try:
            return await handle(call)
        finally:
            await self._table.delay(seconds)


async def _deny(route: OperationRoute, operation: Operation, principal: Principal, call: Call) -> Result:
    resource = call.request.get(operation.resource_member) if operation.resource_member else None
    raise principal.denied(route.action, resource or principal.all_resources(route.name))


async def _fail(_call: Call) -> Result:
    raise internal_error()
