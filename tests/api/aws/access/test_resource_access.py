"""Authorization: the account and region of every ARN, and the policy."""

import pytest

from stagebook.api.access.policy import ALLOW_NOTHING, parse_policy
from stagebook.api.aws.access.resource_access import RESOURCE_TYPES, Principal, compile_arn_finder
from stagebook.api.aws.aws_errors import AwsError, ErrorType
from stagebook.api.aws.rest_json.service_model import load_service_model
from tests.api.aws.asgi_harness import REGION, STAGE_ARN, credential
from tests.api.aws.model_rules import OPERATIONS, SHAPES, valid

MODEL = load_service_model()


def principal(**statement: object) -> Principal:
    policy = parse_policy({"Statement": {"Effect": "Allow", **statement}}) if statement else ALLOW_NOTHING
    return Principal(credential(policy=policy).identity, region=REGION)


EVERYTHING = principal(Action="*", Resource="*")


def test_the_caller_has_access_key_id_account_and_arn() -> None:
    caller = EVERYTHING.caller

    assert (caller.access_key_id, caller.account_id) == ("AKIDEXAMPLE", "123456789012")
    assert caller.arn == "arn:aws:iam::123456789012:user/stagebook"


def test_an_allowed_action_passes() -> None:
    EVERYTHING.authorise("ivs:GetStage", STAGE_ARN, [STAGE_ARN])


def test_a_denied_action_has_the_message_of_aws() -> None:
    with pytest.raises(AwsError) as denied:
        principal().authorise("ivs:GetStage", STAGE_ARN, [STAGE_ARN])

    assert denied.value.error_type is ErrorType.ACCESS_DENIED
    assert denied.value.message == (
        "User: arn:aws:iam::123456789012:user/stagebook is not authorized to perform: "
        f"ivs:GetStage on resource: {STAGE_ARN}"
    )


@pytest.mark.parametrize(
    "foreign",
    [
        STAGE_ARN.replace("123456789012", "999999999999"),
        STAGE_ARN.replace("us-west-2", "eu-central-1"),
        STAGE_ARN.replace("123456789012", "1234567890123"),
        STAGE_ARN.replace("us-west-2", "us-west-22"),
    ],
)
def test_an_arn_of_another_account_or_region_is_denied_under_any_policy(foreign: str) -> None:
    with pytest.raises(AwsError, match="is not authorized to perform: ivs:GetStage on resource: " + foreign):
        EVERYTHING.authorise("ivs:GetStage", STAGE_ARN, [STAGE_ARN, foreign])


def test_an_operation_without_an_arn_needs_access_to_all_resources_of_its_type() -> None:
    stages = principal(Action="ivs:*", Resource="arn:aws:ivs:*:*:stage/*")
    one_stage = principal(Action="ivs:*", Resource=STAGE_ARN)

    assert stages.all_resources("ListStages") == "arn:aws:ivs:us-west-2:123456789012:stage/*"
    stages.authorise("ivs:ListStages", stages.all_resources("ListStages"), [])
    with pytest.raises(AwsError):
        one_stage.authorise("ivs:ListStages", one_stage.all_resources("ListStages"), [])
    with pytest.raises(AwsError):
        stages.authorise("ivs:ListCompositions", stages.all_resources("ListCompositions"), [])


def test_every_operation_without_a_required_arn_has_a_resource_type() -> None:
    def names_a_resource(operation: str) -> bool:
        shape = SHAPES[OPERATIONS[operation]["input"]["shape"]]
        return any(
            SHAPES[shape["members"][name]["shape"]].get("pattern", "").startswith("arn:")
            for name in shape.get("required", [])
        )

    assert set(RESOURCE_TYPES) == {operation for operation in OPERATIONS if not names_a_resource(operation)}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_arn_of_an_input_is_found_at_any_depth(operation: str) -> None:
    document = valid(OPERATIONS[operation]["input"]["shape"])

    def arns(value: object) -> list[str]:
        if isinstance(value, dict):
            return [arn for item in value.values() for arn in arns(item)]
        if isinstance(value, list):
            return [arn for item in value for arn in arns(item)]
        return [value] if isinstance(value, str) and value.startswith("arn:") else []

    assert compile_arn_finder(MODEL.operations[operation].input)(document) == arns(document)


def test_an_empty_string_is_no_arn() -> None:
    find = compile_arn_finder(MODEL.operations["UpdateIngestConfiguration"].input)

    assert find({"arn": "arn:aws:ivs:x", "stageArn": ""}) == ["arn:aws:ivs:x"]
