"""Routing a request to its operation, by path and method.

Every operation has a path of its own (`POST /GetStage`), except for the three tag operations: they share
`/tags/{resourceArn}`, whose label is the rest of the path, slashes included. The readers, validators and serializers
of all operations are compiled once, when the router is made.
Source: the HTTP traits of the service model.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from stagebook.api.aws.access.resource_access import FindArns, compile_arn_finder
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.operation import Operation
from stagebook.api.aws.rest_json.operation_input import ReadInput, compile_input_reader
from stagebook.api.aws.rest_json.serialization import compile_output, has_modelled_headers
from stagebook.api.aws.rest_json.service_model import OperationModel, ServiceModel
from stagebook.api.aws.rest_json.validation import compile_input

_log = structlog.get_logger(__name__)


class OperationRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the service model with its compiled functions.

    `action` is its name in policies (`ivs:GetStage`). `validate` checks an input whose members are in one object, and
    `read_input` one whose members are where the protocol has them. `operation` is None when Stagebook does not
    implement it.
    """

    name: str
    action: str
    operation: Operation | None
    validate: Callable[[dict[str, Any]], dict[str, Any]]
    read_input: ReadInput
    find_arns: FindArns
    serialise: Callable[[Mapping[str, Any]], bytes]
    has_modelled_headers: bool


class OperationRouter:
    """Finds the route of a request.

    An operation that the service model lacks is left out with a log line, and its path is unknown. The model comes with
    the installed botocore, which can be older than Stagebook expects: one missing operation must not stop the others.
    """

    def __init__(self, model: ServiceModel, operations: Mapping[str, Operation]) -> None:
        missing = sorted(set(operations) - set(model.operations))
        if missing:
            _log.warning(
                "the service model of the installed botocore lacks operations: they are left out", operations=missing
            )
        self._exact: dict[bytes, dict[str, OperationRoute]] = {}
        self._labelled: dict[bytes, dict[str, OperationRoute]] = {}
        self._by_name: dict[str, OperationRoute] = {}
        for operation_model in model.operations.values():
            route = _compile_route(
                operation_model,
                operations.get(operation_model.name),
                action=f"{model.signing_name}:{operation_model.name}",
            )
            # A label is always the last part of the path, so what is before it identifies the path.
            path, has_label, _ = operation_model.uri.partition("{")
            table = self._labelled if has_label else self._exact
            table.setdefault(path.encode(), {})[operation_model.method] = route
            self._by_name[route.name] = route

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all operations of the service model."""
        return tuple(self._by_name)

    def named(self, name: str) -> OperationRoute:
        """Return the route of an operation by its name; raise KeyError if there is none."""
        return self._by_name[name]

    def methods(self, raw_path: bytes) -> tuple[str, ...]:
        """Return the methods of a path as sent; none for a path without an operation."""
        return tuple(self._locate(raw_path)[0])

    def find(self, method: str, raw_path: bytes) -> tuple[OperationRoute, bytes]:
        """Return the route and the undecoded label of the path; raise AwsError UnknownOperation or MethodNotAllowed."""
        routes, label = self._locate(raw_path)
        route = routes.get(method)
        if route is not None:
            return route, label
        if not routes:
            raise AwsError(ErrorType.UNKNOWN_OPERATION, "The path names no operation of this service.")
        raise AwsError(
            ErrorType.METHOD_NOT_ALLOWED,
            f"The operation at this path takes the method {' or '.join(routes)}.",
            headers=((b"allow", ", ".join(routes).encode()),),  # required in a 405 (RFC 9110 section 15.5.6)
        )

    def name_of(self, method: str, raw_path: bytes) -> str | None:
        """Return the name of the operation at a method and a path, None if there is none."""
        route = self._locate(raw_path)[0].get(method)
        return None if route is None else route.name

    def _locate(self, raw_path: bytes) -> tuple[Mapping[str, OperationRoute], bytes]:
        routes = self._exact.get(raw_path)
        if routes is not None:
            return routes, b""
        for prefix, labelled in self._labelled.items():
            if raw_path.startswith(prefix):
                return labelled, raw_path[len(prefix) :]
        return {}, b""


def _compile_route(model: OperationModel, operation: Operation | None, *, action: str) -> OperationRoute:
    validate = compile_input(model.input)
    return OperationRoute(
        name=model.name,
        action=action,
        operation=operation,
        validate=validate,
        read_input=compile_input_reader(model, validate),
        find_arns=compile_arn_finder(model.input),
        serialise=compile_output(model.output),
        has_modelled_headers=has_modelled_headers(model.output),
    )
