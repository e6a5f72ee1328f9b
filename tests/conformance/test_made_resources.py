"""A run knows what it has made, also by calls that should have been refused."""

import json

from stagebook.conformance.made_resources import MadeResources, deletion
from stagebook.conformance.wire.wire_answer import WireAnswer

STAGE_ARN = "arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh"
INGEST_ARN = "arn:aws:ivs:us-west-2:123456789012:ingest-configuration/abcdABCDefgh"


def answer(operation: str, document: object, *, status: int = 200) -> WireAnswer:
    return WireAnswer(operation=operation, status=status, headers={}, body=json.dumps(document).encode())


def test_resources_are_deleted_newest_first() -> None:
    made = MadeResources()
    made.note(answer("CreateStage", {"stage": {"arn": STAGE_ARN}}), {})
    made.note(answer("CreateIngestConfiguration", {"ingestConfiguration": {"arn": INGEST_ARN}}), {})
    assert made.newest_first() == [
        (INGEST_ARN, "DeleteIngestConfiguration", {"arn": INGEST_ARN, "force": True}),
        (STAGE_ARN, "DeleteStage", {"arn": STAGE_ARN}),
    ]


def test_a_deleted_resource_is_forgotten_and_one_whose_deletion_failed_is_not() -> None:
    made = MadeResources()
    made.note(answer("CreateStage", {"stage": {"arn": STAGE_ARN}}), {})
    made.note(answer("DeleteStage", {}, status=409), {"arn": STAGE_ARN})
    assert len(made.newest_first()) == 1
    made.note(answer("DeleteStage", {}), {"arn": STAGE_ARN})
    assert made.newest_first() == []


def test_a_resource_without_an_arn_is_told() -> None:
    made = MadeResources()
    made.note(answer("CreateStage", {"stage": {"arn": 5}}), {})
    assert (len(made.unnamed), made.newest_first()) == (1, [])


def test_the_deletion_of_each_kind() -> None:
    assert deletion(STAGE_ARN) == ("DeleteStage", {"arn": STAGE_ARN})
    assert deletion(INGEST_ARN)[0] == "DeleteIngestConfiguration"
