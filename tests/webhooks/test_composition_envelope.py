"""The messages about compositions, compared with the documented details of EventBridge."""

import json
from typing import Any

import pytest

from stagebook.book.composition_log import LoggedCompositionEvent
from stagebook.stage.composition.composition_events import (
    CompositionErrorCode,
    CompositionEvent,
    CompositionEventName,
)
from stagebook.webhooks.composition_envelope import AWS_COMPOSITION_EVENT_NAMES, composition_message_body
from stagebook.webhooks.destination import DeliveryFormat
from tests.book.sample import ACCOUNT, ARN, COMPOSITION_ARN, NOON_MS


def logged(name: CompositionEventName, **members: Any) -> LoggedCompositionEvent:  # noqa: ANN401 - of CompositionEvent
    return LoggedCompositionEvent(
        account_id=ACCOUNT,
        stage_arn=ARN,
        composition_arn=COMPOSITION_ARN,
        sequence=NOON_MS << 20,
        event=CompositionEvent(name=name, **members),
    )


def message(name: CompositionEventName, form: DeliveryFormat, **members: Any) -> Any:  # noqa: ANN401 - JSON
    return json.loads(composition_message_body(logged(name, **members), form))


def test_the_envelope_names_the_composition() -> None:
    name = CompositionEventName.COMPOSITION_STARTED
    assert message(name, DeliveryFormat.EVENTBRIDGE) == {
        "version": "0",
        "id": logged(name).event_id,
        "detail-type": "IVS Composition State Change",
        "source": "aws.ivs",
        "account": ACCOUNT,
        "time": "2023-11-14T22:13:20Z",
        "region": "us-west-2",
        "resources": [COMPOSITION_ARN],
        "detail": {"event_name": "Session Start", "stage_arn": ARN},
    }


@pytest.mark.parametrize("name", CompositionEventName)
def test_each_event_has_the_documented_members(name: CompositionEventName) -> None:
    members: dict[str, Any] = {"destination_id": "GHFabcgefABC"} if "DESTINATION" in name else {}
    expected = {"event_name": AWS_COMPOSITION_EVENT_NAMES[name], "stage_arn": ARN}
    expected |= {"id": "GHFabcgefABC"} if members else {}
    if name.value.endswith("FAILED"):
        members["error_code"] = CompositionErrorCode.ACCESS_DENIED_EXCEPTION
        reason = "Access denied to S3 bucket. Please verify your bucket policy."
        expected |= {"error_code": "AccessDeniedException", "reason": reason}
    assert message(name, DeliveryFormat.EVENTBRIDGE, **members)["detail"] == expected


def test_a_cloud_event_has_the_event_as_its_data() -> None:
    found = message(CompositionEventName.COMPOSITION_ENDED, DeliveryFormat.CLOUDEVENTS)
    assert (found["type"], found["subject"]) == ("stagebook.composition.COMPOSITION_ENDED", COMPOSITION_ARN)
    assert found["data"]["compositionArn"] == COMPOSITION_ARN
    assert found["data"]["sequence"] == found["sequence"]
