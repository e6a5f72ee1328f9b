"""Tags with boto3."""

from tests.e2e.aws.client_errors import refused
from tests.e2e.aws.documented_example import ACCOUNT_ID
from tests.e2e.server import Client

UNKNOWN_ARNS = [f"arn:aws:ivs:us-west-2:{ACCOUNT_ID}:{kind}/000000000000" for kind in ("stage", "public-key")]


def test_tags_are_added_replaced_removed_and_listed(ivs: Client, stage_arn: str) -> None:
    assert ivs.list_tags_for_resource(resourceArn=stage_arn)["tags"] == {}
    ivs.tag_resource(resourceArn=stage_arn, tags={"team": "blue", "a b": "é", "cost&x=y": ""})
    ivs.tag_resource(resourceArn=stage_arn, tags={"team": "red"})
    ivs.untag_resource(resourceArn=stage_arn, tagKeys=["cost&x=y", "never"])
    assert ivs.list_tags_for_resource(resourceArn=stage_arn)["tags"] == {"team": "red", "a b": "é"}
    ivs.untag_resource(resourceArn=stage_arn, tagKeys=["a b", "team"])
    assert ivs.get_stage(arn=stage_arn)["stage"]["tags"] == {}


def test_a_resource_has_at_most_fifty_tags(ivs: Client, stage_arn: str) -> None:
    ivs.tag_resource(resourceArn=stage_arn, tags={f"key{number}": "" for number in range(50)})
    with refused("ValidationException", naming="tags"):
        ivs.tag_resource(resourceArn=stage_arn, tags={"one more": ""})


def test_tag_keys_with_the_prefix_aws_are_refused(ivs: Client, stage_arn: str) -> None:
    with refused("ValidationException", naming="tags"):
        ivs.tag_resource(resourceArn=stage_arn, tags={"aws:team": "blue"})
    with refused("ValidationException", naming="tags"):
        ivs.create_stage(tags={"aws:team": "blue"})


def test_an_unknown_resource_is_not_found(ivs: Client) -> None:
    for arn in UNKNOWN_ARNS:
        with refused("ResourceNotFoundException", naming=arn):
            ivs.list_tags_for_resource(resourceArn=arn)
        with refused("ResourceNotFoundException", naming=arn):
            ivs.tag_resource(resourceArn=arn, tags={"team": "blue"})
        with refused("ResourceNotFoundException", naming=arn):
            ivs.untag_resource(resourceArn=arn, tagKeys=["team"])
