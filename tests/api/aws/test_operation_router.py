"""Finding the operation of a request."""

import pytest

from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.operation_router import OperationRouter
from stagebook.api.aws.rest_json.service_model import load_service_model
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


def test_an_operation_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="no operation GetStagee"):
        OperationRouter(MODEL, operations(GetStagee=(None, lambda _call: {})))
