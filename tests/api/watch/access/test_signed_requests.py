"""Requests signed by an access key of the AWS API, with botocore's signer, and the actions of its policy."""

from typing import Any

import pytest

from stagebook.api.access.policy import ALLOW_EVERYTHING, Policy, parse_policy
from stagebook.api.asgi import Scope
from stagebook.api.routes.api_problems import ApiRefusedError
from stagebook.api.routes.api_route import ApiCaller, Role
from tests.api.aws.asgi_harness import STAGE_ARN, Request, credential, scope_of, signed
from tests.api.watch.access.access_harness import AccessHarness

OTHER_STAGE = STAGE_ARN.replace("abcdABCDefgh", "ijklIJKLmnop")


async def authenticate(request: Request, *, policy: Policy = ALLOW_EVERYTHING, scope: Scope | None = None) -> ApiCaller:
    harness = AccessHarness(credentials=(credential(policy=policy),))

    async def body() -> bytes:
        return request.body

    return await harness.authentication.authenticate(scope or scope_of(request), body)


@pytest.mark.parametrize("service", ["stagebook", "ivs"])
async def test_both_services_sign(service: str) -> None:
    watcher = await authenticate(signed("POST", "/watch/v1/things?a=b", body=b"{}", service=service))
    assert (watcher.account_id, watcher.name) == ("123456789012", "AKIDEXAMPLE (stagebook)")


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "s3"},
        {"region": "eu-west-1"},
        {"key_id": "AKIDOTHER"},
        {"secret": "another secret"},
        {"token": "a session token"},
    ],
    ids=str,
)
async def test_another_signature_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ApiRefusedError) as refused:
        await authenticate(signed("GET", "/watch/v1/things", **changes))
    assert refused.value.status == 401


async def test_a_signature_of_another_path_is_refused() -> None:
    request = signed("GET", "/watch/v1/things")
    with pytest.raises(ApiRefusedError, match="does not match"):
        await authenticate(request, scope={**scope_of(request), "raw_path": b"/watch/v1/others"})


@pytest.mark.parametrize(("query", "read"), [("a=%2B", b"a=%2B"), ("a=%20", b"a=%20")])
async def test_the_query_is_read_as_it_was_signed(query: str, read: bytes) -> None:
    request = signed("GET", f"/watch/v1/things?{query}")
    scope = scope_of(request)
    await authenticate(request, scope=scope)
    assert scope["query_string"] == read


def allows(watcher: ApiCaller, resource: str | None) -> bool:
    """Return whether the caller may search for events of a resource."""
    try:
        watcher.require("stagebook:SearchEvents", Role.READER, resource=resource)
    except ApiRefusedError as error:
        return error.status != 403
    return True


STATEMENTS = {
    "everything": {"Action": "*", "Resource": "*"},
    "ivs only": {"Action": "ivs:*", "Resource": "*"},
    "search everywhere": {"Action": "stagebook:Search*", "Resource": "*"},
    "search in the account": {"Action": "stagebook:*", "Resource": "arn:aws:ivs:us-west-2:123456789012:*"},
    "search in one stage": {"Action": "stagebook:SearchEvents", "Resource": STAGE_ARN},
}


@pytest.mark.parametrize(
    ("statement", "in_account", "in_stage", "in_other_stage"),
    [
        ("everything", True, True, True),
        ("ivs only", False, False, False),
        ("search everywhere", True, True, True),
        ("search in the account", True, True, True),
        ("search in one stage", False, True, False),
    ],
)
async def test_the_policy_decides_for_the_stage_or_the_account(
    statement: str, *, in_account: bool, in_stage: bool, in_other_stage: bool
) -> None:
    policy = parse_policy({"Statement": {"Effect": "Allow", **STATEMENTS[statement]}})
    watcher = await authenticate(signed("GET", "/watch/v1/events"), policy=policy)

    assert [allows(watcher, resource) for resource in (None, STAGE_ARN, OTHER_STAGE)] == [
        in_account,
        in_stage,
        in_other_stage,
    ]


async def test_a_policy_gives_no_access_to_another_account() -> None:
    watcher = await authenticate(signed("GET", "/watch/v1/events"))
    with pytest.raises(ApiRefusedError, match="not authorized"):
        watcher.require(
            "stagebook:SearchEvents", Role.READER, resource=STAGE_ARN.replace("123456789012", "999999999999")
        )
