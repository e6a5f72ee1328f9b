"""What reaches a server before the operation: paths, methods, bodies, content types and signatures.

AWS documents the names of most of these errors on the Common Errors page, and not which request gets which: where the
service's front end is known to answer otherwise, both are accepted.
"""

import json
from datetime import UTC, datetime, timedelta

import msgspec

from stagebook.conformance.check import Basis, Cost
from stagebook.conformance.check_group import CheckGroup
from stagebook.conformance.expectations import expect, expect_output, expect_refused
from stagebook.conformance.service_under_test import ServiceUnderTest
from stagebook.conformance.wire.request_writer import CONTENT_TYPE, HttpRequest, signed_request
from stagebook.conformance.wire.wire_answer import WireAnswer

checks = CheckGroup(cost=Cost.HARMLESS)

LIST = "ListStages"
COMMON = 'API reference, page "Common Errors"'
REST_JSON = 'Smithy, "AWS restJson1 protocol"'
SIGNING = 'IAM user guide, "Troubleshoot AWS API request signing"'
NO_SUCH = ("UnknownOperationException", "MissingAuthenticationTokenException", "AccessDeniedException")
MEGABYTE = 1_000_000


def _list_with(body: bytes, **headers: str) -> HttpRequest:
    return HttpRequest(operation=LIST, method="POST", path=f"/{LIST}", body=body, headers={**CONTENT_TYPE, **headers})


def _expect_client_error(answer: WireAnswer) -> None:
    expect(400 <= answer.status < 500, expected="an error of the client, 4xx", got=answer.summary)


@checks.add(LIST, "body.not-json", source=f"{REST_JSON}: SerializationException")
def _not_json(service: ServiceUnderTest) -> None:
    expect_refused(service.send(_list_with(b"{")), "SerializationException", "ValidationException")


@checks.add(LIST, "body.array", source=f"{REST_JSON}: the body is an object", basis=Basis.CHOSEN)
def _array(service: ServiceUnderTest) -> None:
    expect_refused(service.send(_list_with(b"[]")), "SerializationException", "ValidationException")


@checks.add(LIST, "body.not-utf-8", source=f"{REST_JSON}: JSON is UTF-8", basis=Basis.CHOSEN)
def _not_utf8(service: ServiceUnderTest) -> None:
    answer = service.send(_list_with(b'{"nextToken":"\xff"}'))
    expect_refused(answer, "SerializationException", "ValidationException")


@checks.add(LIST, "body.deeply-nested", source=REST_JSON, basis=Basis.CHOSEN)
def _nested(service: ServiceUnderTest) -> None:
    _expect_client_error(service.send(_list_with(b'{"nextToken":' + b"[" * 10_000 + b"]" * 10_000 + b"}")))


@checks.add(LIST, "body.empty", source=f"{REST_JSON}: an empty body is an empty object", basis=Basis.CHOSEN)
def _empty(service: ServiceUnderTest) -> None:
    expect_output(service, service.send(_list_with(b"")))


@checks.add(LIST, "body.with-spaces", source="RFC 8259, section 2")
def _spaces(service: ServiceUnderTest) -> None:
    expect_output(service, service.send(_list_with(b' {\r\n\t"maxResults" : 1 } ')))


@checks.add(LIST, "body.escaped", source="RFC 8259, section 7")
def _escaped(service: ServiceUnderTest) -> None:
    expect_output(service, service.send(_list_with(rb'{"m\u0061xResults":1}')))


@checks.add(LIST, "body.too-large", source=f"{COMMON}: RequestEntityTooLargeException", basis=Basis.CHOSEN)
def _too_large(service: ServiceUnderTest) -> None:
    body = json.dumps({"nextToken": "a" * 2 * MEGABYTE}).encode()
    answer = service.send(_list_with(body))
    expect_refused(answer, "RequestEntityTooLargeException", "ValidationException", "SerializationException")


@checks.add(LIST, "content-type.unknown", source=REST_JSON, basis=Basis.CHOSEN)
def _content_type(service: ServiceUnderTest) -> None:
    answer = service.send(_list_with(b"{}", **{"Content-Type": "text/html"}))
    if answer.is_success:
        expect_output(service, answer)
    else:
        _expect_client_error(answer)


@checks.add(LIST, "response.content-type", source=f"{REST_JSON}: application/json")
def _response_type(service: ServiceUnderTest) -> None:
    value = service.call(LIST, maxResults=1).headers.get("content-type", "")
    expect(value.startswith("application/json"), expected="Content-Type application/json", got=value)


@checks.add(
    LIST,
    "response.request-id",
    source="AWS CLI reference, create-ingest-configuration, example of headers",
    basis=Basis.OBSERVED,
)
def _request_id(service: ServiceUnderTest) -> None:
    first, second = (service.call(LIST, maxResults=1).headers.get("x-amzn-requestid", "") for _ in range(2))
    expect(bool(first) and first != second, expected="a new x-amzn-RequestId for each call", got=f"{first}, {second}")


@checks.add(LIST, "method.get", source='API reference, page "ListStages": POST', basis=Basis.CHOSEN)
def _get(service: ServiceUnderTest) -> None:
    _expect_client_error(service.send(HttpRequest(operation=LIST, method="GET", path=f"/{LIST}", headers={})))


@checks.add("UnknownOperation", "path.unknown", source=f"{COMMON}: UnknownOperationException")
def _unknown_path(service: ServiceUnderTest) -> None:
    request = HttpRequest(operation="UnknownOperation", method="POST", path="/NoSuchOperation", body=b"{}")
    expect_refused(service.send(request), *NO_SUCH)


@checks.add("UnknownOperation", "path.lower-case", source=f"{COMMON}: UnknownOperationException")
def _lower_case(service: ServiceUnderTest) -> None:
    request = HttpRequest(operation="UnknownOperation", method="POST", path="/liststages", body=b"{}")
    expect_refused(service.send(request), *NO_SUCH)


@checks.add("Signature", "access-key.unknown", source=f"{COMMON}: UnrecognizedClientException")
def _unknown_key(service: ServiceUnderTest) -> None:
    signature = msgspec.structs.replace(
        service.client.signature, access_key_id="AKIAIOSFODNN7EXAMPLE", session_token=None
    )
    answer = service.noted(service.client.send(_list_with(b"{}"), signature=signature), {})
    expect_refused(answer, "UnrecognizedClientException", "AccessDeniedException")


@checks.add("Signature", "region.other", source=SIGNING)
def _other_region(service: ServiceUnderTest) -> None:
    region = "eu-west-1" if service.region != "eu-west-1" else "us-east-1"
    signature = msgspec.structs.replace(service.client.signature, region=region)
    answer = service.noted(service.client.send(_list_with(b"{}"), signature=signature), {})
    expect_refused(answer, "InvalidSignatureException", "AccessDeniedException", "UnrecognizedClientException")


@checks.add("Signature", "service.other", source=SIGNING)
def _signed_for_another_service(service: ServiceUnderTest) -> None:
    signature = msgspec.structs.replace(service.client.signature, service="s3")
    answer = service.noted(service.client.send(_list_with(b"{}"), signature=signature), {})
    expect_refused(answer, "InvalidSignatureException", "AccessDeniedException", "UnrecognizedClientException")


@checks.add("Signature", "body.changed", source=SIGNING)
def _changed_body(service: ServiceUnderTest) -> None:
    request = _list_with(b'{"maxResults":1}')
    prepared = signed_request(request, service.client.signature, endpoint_url=service.client.endpoint_url)
    prepared.data = b'{"maxResults":2}'
    answer = service.noted(service.client.send_prepared(request, prepared), {})
    expect_refused(answer, "InvalidSignatureException", "AccessDeniedException")


@checks.add("Signature", "path.changed", source=SIGNING)
def _changed_path(service: ServiceUnderTest) -> None:
    request = _list_with(b"{}")
    prepared = signed_request(request, service.client.signature, endpoint_url=service.client.endpoint_url)
    prepared.url = f"{service.client.endpoint_url}/ListPublicKeys"
    answer = service.noted(service.client.send_prepared(request, prepared), {})
    expect_refused(answer, "InvalidSignatureException", "AccessDeniedException")


@checks.add("Signature", "date.old", source=f"{SIGNING}: five minutes")
def _old_date(service: ServiceUnderTest) -> None:
    expect_refused(_signed_at(service, timedelta(hours=-1)), "InvalidSignatureException", "AccessDeniedException")


@checks.add("Signature", "date.future", source=f"{SIGNING}: five minutes")
def _future_date(service: ServiceUnderTest) -> None:
    expect_refused(_signed_at(service, timedelta(hours=1)), "InvalidSignatureException", "AccessDeniedException")


def _signed_at(service: ServiceUnderTest, offset: timedelta) -> WireAnswer:
    request = _list_with(b"{}")
    prepared = signed_request(
        request, service.client.signature, endpoint_url=service.client.endpoint_url, at=datetime.now(UTC) + offset
    )
    return service.noted(service.client.send_prepared(request, prepared), {})


@checks.add("Signature", "header.incomplete", source=f"{COMMON}: IncompleteSignature")
def _incomplete(service: ServiceUnderTest) -> None:
    key = service.client.signature.access_key_id
    request = _list_with(b"{}", Authorization=f"AWS4-HMAC-SHA256 Credential={key}")
    answer = service.noted(service.client.send_unsigned(request), {})
    expect_refused(
        answer, "IncompleteSignatureException", "InvalidSignatureException", "AccessDeniedException", NO_SUCH[1]
    )


@checks.add("Signature", "header.other-scheme", source=f"{COMMON}: IncompleteSignature")
def _other_scheme(service: ServiceUnderTest) -> None:
    request = _list_with(b"{}", Authorization="Bearer not-a-signature")
    answer = service.noted(service.client.send_unsigned(request), {})
    expect_refused(
        answer, "IncompleteSignatureException", "InvalidSignatureException", "AccessDeniedException", NO_SUCH[1]
    )


@checks.add("Signature", "date.absent", source=f"{COMMON}: IncompleteSignature")
def _no_date(service: ServiceUnderTest) -> None:
    request = _list_with(b"{}")
    prepared = signed_request(request, service.client.signature, endpoint_url=service.client.endpoint_url)
    del prepared.headers["X-Amz-Date"]
    answer = service.noted(service.client.send_prepared(request, prepared), {})
    expect_refused(answer, "IncompleteSignatureException", "InvalidSignatureException", "AccessDeniedException")


@checks.add("Signature", "session-token.made-up", source=f"{COMMON}: UnrecognizedClientException")
def _session_token(service: ServiceUnderTest) -> None:
    signature = msgspec.structs.replace(service.client.signature, session_token="not-a-session-token")  # noqa: S106 - no secret
    answer = service.noted(service.client.send(_list_with(b"{}"), signature=signature), {})
    expect_refused(answer, "UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException")
