"""Finding the operation of a request."""

from typing import cast
from unittest.mock import MagicMock

import msgspec
import pytest
from structlog.testing import capture_logs

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.operation_router import OperationRouter
from stagebook.api.aws.operations import operations as implemented_operations
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.manager.stage_manager import StageManager
from tests.api.aws.asgi_harness import operations
from tests.api.aws.model_rules import OPERATIONS

MODEL = load_service_model()
ROUTER = OperationRouter(MODEL, operations(GetStage=("arn", lambda _call: {})))


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_of_the_model_is_found(name: str) -> None:
    http = OPERATIONS[name]["http"]
    path = http["requestUri"].replace("{resourceArn}", "arn%3Ax").encode()

    route, label = ROUTER.find(http["method"], path)

    assert route.name == name
    assert route.action == f"ivs:{name}"
    assert label == (b"arn%3Ax" if "{" in http["requestUri"] else b"")
    assert (route.operation is not None) == (name == "GetStage")


@pytest.mark.parametrize(
    "path",
    [b"", b"/", b"/liststages", b"/ListStages/", b"/ListStages/x", b"/List%53tages", b"/tags", b"/x", b"//ListStages"],
)
def test_a_path_without_an_operation_is_unknown(path: bytes) -> None:
    with pytest.raises(AwsError) as refused:
        ROUTER.find("POST", path)

    assert (refused.value.error_type, refused.value.status) == (ErrorType.UNKNOWN_OPERATION, 404)
    assert ROUTER.methods(path) == ()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", b"/ListStages", "the method POST."),
        ("HEAD", b"/ListStages", "the method POST."),
        ("OPTIONS", b"/ListStages", "the method POST."),
        ("PUT", b"/tags/x", "the method GET or POST or DELETE."),
    ],
)
def test_the_error_for_another_method_names_the_allowed_ones(method: str, path: bytes, expected: str) -> None:
    with pytest.raises(AwsError) as refused:
        ROUTER.find(method, path)

    assert (refused.value.error_type, refused.value.status) == (ErrorType.METHOD_NOT_ALLOWED, 405)
    assert refused.value.message.endswith(expected)
    assert dict(refused.value.headers)[b"allow"] in (b"POST", b"GET, POST, DELETE")


def test_an_operation_that_the_model_lacks_is_left_out_with_a_log_line() -> None:
    older = msgspec.structs.replace(
        MODEL, operations={name: one for name, one in MODEL.operations.items() if name != "RevokeConnectionToken"}
    )

    with capture_logs() as logged:
        router = OperationRouter(
            older,
            operations(
                GetStage=("arn", lambda _call: {}),
                RevokeConnectionToken=("connectionTokenId", lambda _call: {}),
            ),
        )

    assert [(line["log_level"], line["operations"]) for line in logged] == [("warning", ["RevokeConnectionToken"])]
    assert router.find("POST", b"/GetStage")[0].operation is not None
    assert router.methods(b"/RevokeConnectionToken") == ()


def test_the_installed_model_has_every_operation_that_is_implemented() -> None:
    implemented = implemented_operations(cast("StageManager", MagicMock()), MagicMock(), page_token_secret=bytes(32))

    assert set(implemented) <= set(MODEL.operations)
