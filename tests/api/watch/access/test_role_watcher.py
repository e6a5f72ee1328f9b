"""What a role allows."""

import pytest

from stagebook.api.watch.access.role_watcher import RoleWatcher
from stagebook.api.watch.watch_problems import WatchRefusedError
from stagebook.api.watch.watch_route import Role
from tests.api.watch.access.key_store import ACCOUNT_ID, REGION

STAGE = f"arn:aws:ivs:{REGION}:{ACCOUNT_ID}:stage/abcdABCDefgh"


def watcher(role: Role, *, is_valid: bool = True) -> RoleWatcher:
    return RoleWatcher(account_id=ACCOUNT_ID, name="key", role=role, region=REGION, is_valid=lambda: is_valid)


def status_of(watcher: RoleWatcher, role: Role, *, resource: str | None = None) -> int:
    try:
        watcher.require("stagebook:Act", role, resource=resource)
    except WatchRefusedError as error:
        return error.status
    return 200


def test_an_operator_may_do_what_a_reader_may_and_not_the_reverse() -> None:
    assert [status_of(watcher(role), Role.READER) for role in Role] == [200, 200]
    assert [status_of(watcher(role), Role.OPERATOR) for role in (Role.READER, Role.OPERATOR)] == [403, 200]


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
    assert status_of(watcher(Role.OPERATOR), Role.READER, resource=resource) == status


def test_a_revoked_key_may_do_nothing_more() -> None:
    assert status_of(watcher(Role.OPERATOR, is_valid=False), Role.READER) == 401
