"""What `schemathesis run` needs of us, named by SCHEMATHESIS_HOOKS: signatures, and a check of errors.

The access key comes from the environment, as AWS clients read it.
"""

import os
import re
from typing import Any

import requests
import schemathesis
from requests.auth import AuthBase
from schemathesis import Case, CheckContext, HookContext, Response

from tests.api.aws.model_rules import OPERATIONS, conforms
from tests.e2e.aws.raw_requests import signed_headers
from tests.e2e.server import Key

_KEY = Key(access_key_id=os.environ["AWS_ACCESS_KEY_ID"], secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"])
_COMMON_ERRORS = {"ValidationException", "AccessDeniedException", "ResourceNotFoundException"}
_MALFORMED_REQUESTS = {"SerializationException", "UnsupportedMediaTypeException", "MethodNotAllowedException"}
_NAMED_MEMBER = re.compile(r"([A-Za-z]\w*)[\w.\[\]\"]*: ")


class _Signature(AuthBase):
    """Signs a request in its final form, with botocore."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        assert isinstance(body, bytes)
        content_type = request.headers.get("Content-Type")
        kept = {} if content_type is None else {"Content-Type": str(content_type)}
        assert request.method is not None
        assert request.url is not None
        # requests writes a space in a query as a plus sign, which botocore signs as it is. AWS's clients write %20.
        path, question_mark, query = request.url.partition("?")
        request.url = path + question_mark + query.replace("+", "%20")
        request.headers.update(signed_headers(request.method, request.url, body, key=_KEY, headers=kept))
        return request


@schemathesis.hook
def before_call(_context: HookContext, _case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Sign each request."""
    kwargs["auth"] = _Signature()


@schemathesis.check
def declared_errors(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """An error is one that the service model declares; an input that breaks a rule is a ValidationException that names
    a member of the input."""
    if response.status_code == 200:
        return
    name = str(case.operation.definition.raw["operationId"])
    error = (response.headers.get("x-amzn-errortype") or [""])[0]
    declared = {shape["shape"] for shape in OPERATIONS[name].get("errors", [])} | _COMMON_ERRORS
    assert error in declared | _MALFORMED_REQUESTS, f"{name} does not declare {error}"
    if case.method.upper() != "POST" or not isinstance(case.body, dict):
        return
    shape = OPERATIONS[name]["input"]["shape"]
    if not case.path_parameters and error != "MethodNotAllowedException" and not conforms(shape, case.body):
        found = _NAMED_MEMBER.match(response.json()["message"])
        assert error == "ValidationException", f"{name} answers an invalid input with {error}"
        assert found is not None, "the message names no member"
