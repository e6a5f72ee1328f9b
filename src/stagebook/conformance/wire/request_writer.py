"""The HTTP requests of operations, written by the service model without any validation, and their signatures.

An SDK refuses most invalid input before it sends it. Here everything reaches the server.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.model import OperationModel

from stagebook.conformance.model.api_model import input_shape
from stagebook.conformance.wire.wire_answer import Json

CONTENT_TYPE: Mapping[str, str] = {"Content-Type": "application/json"}


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request before it is signed. `path` contains the query; `operation` is for the pace and the report."""

    operation: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: CONTENT_TYPE)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is signed with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    region: str
    service: str = "ivs"


def operation_request(operation: OperationModel, members: Mapping[str, Json]) -> HttpRequest:
    """Return the request of an operation with these members, each in the part of the request that the model names."""
    path = str(operation.http["requestUri"])
    query: list[tuple[str, str]] = []
    body: dict[str, Json] = {}
    shape_members = input_shape(operation).members
    for name, value in members.items():
        serialization = shape_members[name].serialization if name in shape_members else {}
        location = serialization.get("location")
        wire_name = serialization.get("name", name)
        if location == "uri":
            path = path.replace("{" + wire_name + "}", quote(str(value), safe=""))
        elif location == "querystring":
            query += [(wire_name, str(item)) for item in value]
        else:
            body[wire_name] = value
    if query:
        path += "?" + urlencode(query, quote_via=quote)
    method = str(operation.http["method"])
    has_body = method == "POST"
    return HttpRequest(
        operation=operation.name,
        method=method,
        path=path,
        body=json.dumps(body).encode() if has_body else b"",
        headers=CONTENT_TYPE if has_body else {},
    )


def unsigned_request(request: HttpRequest, *, endpoint_url: str) -> AWSRequest:
    """Return a request for botocore's HTTP session, without a signature."""
    return AWSRequest(
        method=request.method, url=endpoint_url + request.path, data=request.body, headers=dict(request.headers)
    )


def signed_request(
    request: HttpRequest, signature: Signature, *, endpoint_url: str, at: datetime | None = None
) -> AWSRequest:
    """Return a request for botocore's HTTP session with a signature (AWS Signature Version 4), made now or at `at`."""
    prepared = unsigned_request(request, endpoint_url=endpoint_url)
    credentials = ReadOnlyCredentials(signature.access_key_id, signature.secret_access_key, signature.session_token)
    signer = SigV4Auth(credentials, signature.service, signature.region)
    if at is not None:
        signer = _SignerAt(credentials, signature.service, signature.region, at=at)
    signer.add_auth(prepared)
    return prepared


class _SignerAt(SigV4Auth):
    """botocore's signer with another time than the clock's."""

    def __init__(self, credentials: ReadOnlyCredentials, service: str, region: str, *, at: datetime) -> None:
        super().__init__(credentials, service, region)
        self._at = at

    def _modify_request_before_signing(self, request: Any) -> None:  # noqa: ANN401 - as in botocore
        request.context["timestamp"] = self._at.strftime("%Y%m%dT%H%M%SZ")
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # the stubs lack private methods
