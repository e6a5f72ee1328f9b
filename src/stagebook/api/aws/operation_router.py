"""Which operation a request asks for, with everything that was compiled for it.

Source: the HTTP traits of the service model. All operations have a path of their own, but for the tag operations,
whose path ends in the label `{resourceArn}`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from stagebook.api.aws.access.resource_access import FindArns, compile_arn_finder
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.operation import Operation
from stagebook.api.aws.rest_json.operation_input import ReadRequest, compile_request
from stagebook.api.aws.rest_json.serialization import compile_output, has_modelled_headers
from stagebook.api.aws.rest_json.service_model import OperationModel, ServiceModel


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the model, ready to serve; `operation` is None where Stagebook does not have it yet."""

    name: str
    action: str
    operation: Operation | None
    read: ReadRequest
    find_arns: FindArns
    serialise: Callable[[Mapping[str, Any]], bytes]
    answers_with_headers: bool


class Router:
    """Finds routes. Raises ValueError when a handler is given for an operation that the model lacks."""

    def __init__(self, model: ServiceModel, operations: Mapping[str, Operation]) -> None:
        unknown = sorted(set(operations) - set(model.operations))
        if unknown:
            raise ValueError(f"the service model has no operation {', '.join(unknown)}")
        self._exact: dict[bytes, dict[str, Route]] = {}
        self._labelled: dict[bytes, dict[str, Route]] = {}
        for shape in model.operations.values():
            route = _compile(shape, operations.get(shape.name), action=f"{model.signing_name}:{shape.name}")
            path, has_label, _ = shape.uri.partition("{")
            table = self._labelled if has_label else self._exact
            table.setdefault(path.encode(), {})[shape.method] = route

    def methods(self, raw_path: bytes) -> tuple[str, ...]:
        """Return the methods that a path takes; none for a path that no operation has."""
        return tuple(self._locate(raw_path)[0])

    def find(self, method: str, raw_path: bytes) -> tuple[Route, bytes]:
        """Return the route, and the path's label as sent; raise AwsError UnknownOperation or MethodNotAllowed."""
        routes, label = self._locate(raw_path)
        route = routes.get(method)
        if route is not None:
            return route, label
        if not routes:
            raise AwsError(ErrorType.UNKNOWN_OPERATION, "The path names no operation of this service.")
        raise AwsError(
            ErrorType.METHOD_NOT_ALLOWED,
            f"The operation at this path takes the method {' or '.join(routes)}.",
            headers=((b"allow", ", ".join(routes).encode()),),
        )

    def _locate(self, raw_path: bytes) -> tuple[Mapping[str, Route], bytes]:
        routes = self._exact.get(raw_path)
        if routes is not None:
            return routes, b""
        for prefix, labelled in self._labelled.items():
            if raw_path.startswith(prefix):
                return labelled, raw_path[len(prefix) :]
        return {}, b""


def _compile(shape: OperationModel, operation: Operation | None, *, action: str) -> Route:
    return Route(
        name=shape.name,
        action=action,
        operation=operation,
        read=compile_request(shape),
        find_arns=compile_arn_finder(shape.input),
        serialise=compile_output(shape.output),
        answers_with_headers=has_modelled_headers(shape.output),
    )
