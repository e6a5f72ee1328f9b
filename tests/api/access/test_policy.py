"""IAM-style policies: evaluation, and the documents that are refused."""

from typing import Any

import pytest

from stagebook.api.access.policy import (
    ALLOW_EVERYTHING,
    ALLOW_NOTHING,
    MalformedPolicyError,
    PolicyEvaluator,
    parse_policy,
)

STAGE = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
OTHER = "arn:aws:ivs:us-west-2:123456789012:stage/ABCDabcdEFGH"


def statement(
    effect: str = "Allow", action: object = "ivs:*", resource: object = "*", **more: object
) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def allows(*statements: dict[str, Any], action: str = "ivs:GetStage", resource: str = STAGE) -> bool:
    policy = parse_policy({"Version": "2012-10-17", "Statement": list(statements)})
    return PolicyEvaluator(policy).allows(action, resource)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        ("ivs:*", True),
        ("ivs:GetStage", True),
        ("ivs:getstage", True),
        ("IVS:GETSTAGE", True),
        ("ivs:Get*", True),
        ("ivs:*Stage", True),
        ("ivs:G?tStage", True),
        ("ivs:***", True),
        ("ivs:GetStage?", False),
        ("ivs:GetStag", False),
        ("ivs:etStage", False),
        ("ivs:List*", False),
        ("s3:*", False),
        ("ivschat:*", False),
    ],
)
def test_actions_match_with_wildcards_and_without_regard_to_case(pattern: str, *, matches: bool) -> None:
    assert allows(statement(action=pattern)) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        (STAGE, True),
        ("arn:aws:ivs:us-west-2:123456789012:stage/*", True),
        ("arn:aws:ivs:*:*:stage/abcd*", True),
        ("arn:*", True),
        ("arn:aws:ivs:*:*:*/????????????", True),
        ("arn:aws:ivs:*:*:*/???????????", False),
        (OTHER, False),
        (STAGE.upper().replace("ARN", "arn"), False),
        ("arn:aws:ivs:us-west-2:123456789012:stage", False),
        ("arn:aws:ivs:us.west.2:123456789012:stage/*", False),
        ("arn:aws:ivs:us-west-2:123456789012:channel/*", False),
        ("arn:aws:ivs:us-west-2:123456789012:stage/[a-z]*", False),
    ],
)
def test_resources_match_with_wildcards_and_exactly(pattern: str, *, matches: bool) -> None:
    assert allows(statement(resource=pattern)) is matches


def test_nothing_is_allowed_without_a_statement() -> None:
    assert not allows()
    assert not PolicyEvaluator(parse_policy({})).allows("ivs:GetStage", STAGE)
    assert not PolicyEvaluator(ALLOW_NOTHING).allows("ivs:GetStage", STAGE)
    assert PolicyEvaluator(ALLOW_EVERYTHING).allows("ivs:GetStage", STAGE)


@pytest.mark.parametrize("deny_first", [True, False])
def test_deny_overrides_allow_in_any_order(*, deny_first: bool) -> None:
    statements = [statement("Deny", "ivs:GetStage", OTHER), statement()]
    ordered = statements if deny_first else statements[::-1]

    assert allows(*ordered)
    assert not allows(*ordered, resource=OTHER)
    assert allows(*ordered, action="ivs:DeleteStage", resource=OTHER)


def test_a_deny_statement_alone_allows_nothing() -> None:
    assert not allows(statement("Deny", "ivs:DeleteStage"))


def test_a_list_and_a_single_value_are_equivalent() -> None:
    several = statement(action=["ivs:GetStage", "ivs:ListStages"], resource=[STAGE, OTHER])

    assert allows(several)
    assert allows(several, action="ivs:ListStages", resource=OTHER)
    assert not allows(several, action="ivs:DeleteStage")


def test_action_and_resource_of_one_statement_belong_together() -> None:
    pair = (statement(action="ivs:GetStage", resource=STAGE), statement(action="ivs:DeleteStage", resource=OTHER))

    assert not allows(*pair, action="ivs:GetStage", resource=OTHER)
    assert not allows(*pair, action="ivs:DeleteStage", resource=STAGE)


def test_a_single_statement_may_stand_without_a_list() -> None:
    policy = parse_policy({"Id": "mine", "Statement": statement(Sid="all")})

    assert PolicyEvaluator(policy).allows("ivs:GetStage", STAGE)


def test_a_cached_evaluation_has_the_same_result() -> None:
    evaluator = PolicyEvaluator(parse_policy({"Statement": [statement(resource=STAGE)]}))

    assert [evaluator.allows("ivs:GetStage", arn) for arn in (STAGE, OTHER, STAGE, OTHER)] == [True, False] * 2


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"Version": "2020-01-01"}, "Version must be one of"),
        ({"Statements": []}, "the policy has Statements, which is not supported"),
        ({"Statement": "all"}, "Statement must be an object or a list"),
        ({"Statement": ["all"]}, r"Statement\[0\] must be an object"),
        ({"Statement": [statement("allow")]}, r"Statement\[0\].Effect must be Allow or Deny"),
        ({"Statement": [statement(), {"Action": "*", "Resource": "*"}]}, r"Statement\[1\].Effect"),
        ({"Statement": [{**statement(), "Effect": ["Allow"]}]}, "Effect"),
        ({"Statement": [{"Effect": "Allow", "Resource": "*"}]}, "Action must be a string or a list"),
        ({"Statement": [{"Effect": "Allow", "Action": "*"}]}, "Resource must be a string or a list"),
        ({"Statement": [statement(action=[])]}, "Action must be a string or a list of 1 to"),
        ({"Statement": [statement(action=["ivs:*"] * 1_001)]}, "Action must be a string or a list of 1 to"),
        ({"Statement": [statement(action=[5])]}, "Action must be"),
        ({"Statement": [statement(action="GetStage")]}, "Action must be"),
        ({"Statement": [statement(action="ivs:GetStage\n")]}, "Action must be"),
        ({"Statement": [statement(resource="stage/abc")]}, "Resource must be"),
        ({"Statement": [statement(resource="arn:aws:ivs:*:${aws:PrincipalAccount}:*")]}, "policy variable"),
        ({"Statement": [statement(NotAction="ivs:DeleteStage")]}, "has NotAction, which is not supported"),
        ({"Statement": [statement(NotResource=STAGE)]}, "has NotResource, which is not supported"),
        ({"Statement": [statement(Condition={})]}, "has Condition, which is not supported"),
        ({"Statement": [statement(Principal="*")]}, "has Principal, which is not supported"),
    ],
)
def test_invalid_and_unsupported_policies_are_refused(document: dict[str, Any], expected: str) -> None:
    with pytest.raises(MalformedPolicyError, match=expected):
        parse_policy(document)
