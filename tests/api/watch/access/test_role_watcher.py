"""What a role allows."""

import pytest

from stagebook.api.access.policy import PolicyEvaluator
from stagebook.api.aws.rest_json.service_model import load_service_model
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import Role
from stagebook.api.watch.access.role_watcher import OPERATIONS_OF_ROLES, RoleWatcher
from tests.api.watch.access.access_harness import holder
from tests.api.watch.access.key_store import ACCOUNT_ID, REGION

STAGE = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/abcdABCDefgh"


def status_of(watcher: RoleWatcher, role: Role, *, resource: str | None = None) -> int:
    try:
        watcher.require("stagebook:Act", role, resource=resource)
    except ApiRefusedError as error:
        return error.status
    return 200


def test_an_operator_may_do_what_a_reader_may_and_not_the_reverse() -> None:
    assert [status_of(holder(role), Role.READER) for role in Role] == [200, 200]
    assert [status_of(holder(role), Role.OPERATOR) for role in (Role.READER, Role.OPERATOR)] == [403, 200]


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        (STAGE, 200),
        (STAGE.replace(ACCOUNT_ID, "999999999999"), 403),
        (STAGE.replace(ACCOUNT_ID, ACCOUNT_ID + "0"), 403),
        (STAGE.replace(REGION, "eu-west-1"), 403),
        ("x", 403),
    ],
)
def test_a_resource_must_be_of_the_account_and_the_region(resource: str, status: int) -> None:
    assert status_of(holder(Role.OPERATOR), Role.READER, resource=resource) == status


def test_a_revoked_key_may_do_nothing_more() -> None:
    assert status_of(holder(Role.OPERATOR, is_valid=False), Role.READER) == 401


@pytest.mark.parametrize("name", load_service_model().operations)
def test_a_reader_may_call_operations_that_read_and_return_no_secret(name: str) -> None:
    reader, operator = (PolicyEvaluator(OPERATIONS_OF_ROLES[role]) for role in (Role.READER, Role.OPERATOR))
    is_reading = name.startswith(("Get", "List")) and name != "GetIngestConfiguration"
    assert reader.allows(f"ivs:{name}", STAGE) is is_reading
    assert operator.allows(f"ivs:{name}", STAGE)
